#include "ctl/story.h"

#include <time.h>

#include "base/arena.h"
#include "base/id.h"
#include "ctl/reason.h"
#include "office/event.h"

static const str phrases[PHRASES][LANGUAGES] = {
#define PHRASE(NAME, en, nl) [PHRASE_##NAME] = { S(en), S(nl) },
#include "ctl/phrase.tbl"
#undef PHRASE
};

static const struct fact_row {
	str check, text[LANGUAGES];
} facts[] = {
#define FACT(check, en, nl) { S(check), { S(en), S(nl) } },
#include "ctl/fact.tbl"
#undef FACT
};

static const struct why {
	str check, code, word, because[LANGUAGES], advice[LANGUAGES];
} whys[] = {
#define WHY(NAME, check, code, word, en, nl, do_en, do_nl) \
	{ S(check), S(code), S(word), { S(en), S(nl) }, { S(do_en), S(do_nl) } },
#include "ctl/why.tbl"
#undef WHY
};

/* What an event makes of the mail it is about. Of several the highest rank counts; state: of one recipient, later ones replace it. */
static const struct ending {
	enum event_code code;
	int rank;
	const char *outcome;
	enum phrase phrase;
	const char *check; /* of why.tbl, when no fact decided */
	bool state;
} endings[] = {
	{ EVENT_FAILED, 9, "failed", PHRASE_FAILED, "remote", true },
	{ EVENT_EXPIRED, 9, "expired", PHRASE_FAILED, "remote", true },
	{ EVENT_REFUSED_SENDER, 8, "refused", PHRASE_REFUSED, "sender", false },
	{ EVENT_REFUSED_RECIPIENT, 8, "refused", PHRASE_REFUSED, "recipient", false },
	{ EVENT_REFUSED_MESSAGE, 8, "refused", PHRASE_REFUSED, "sender", false },
	{ EVENT_REFUSED_COMMAND, 8, "refused", PHRASE_REFUSED, "command", false },
	{ EVENT_REFUSED_CONNECTION, 8, "refused", PHRASE_REFUSED, "connection", false },
	{ EVENT_DEFERRED_RECIPIENT, 8, "put_off", PHRASE_PUT_OFF, "recipient", false },
	{ EVENT_LOGIN_FAILED, 8, "refused", PHRASE_REFUSED, "login", false },
	{ EVENT_LOST, 8, "broken", PHRASE_BROKEN, "lost", false },
	{ EVENT_TIMEOUT, 8, "broken", PHRASE_BROKEN, "timeout", false },
	{ EVENT_HELD, 7, "held", PHRASE_HELD, NULL, true },
	{ EVENT_POISON, 7, "held", PHRASE_HELD, NULL, true },
	{ EVENT_DEFERRED, 6, "delayed", PHRASE_DELAYED, "remote", true },
	{ EVENT_DROPPED, 5, "dropped", PHRASE_DROPPED, NULL, true },
	{ EVENT_RELAYED, 4, "relayed", PHRASE_RELAYED, NULL, true },
	{ EVENT_DELIVERED, 4, "delivered", PHRASE_DELIVERED, NULL, true },
	{ EVENT_RELEASED, 1, "waiting", PHRASE_WAITING, NULL, true },
	{ EVENT_ACCEPTED, 2, "waiting", PHRASE_WAITING, NULL, false },
};

static const struct ending recorded = { EVENT_CODES, 0, "recorded", PHRASE_RECORDED, NULL, false };

static const struct ending *ending_of(const struct event_record *e)
{
	for (size_t i = 0; i < ARRAY_LEN(endings); i++)
		if (str_eq(e->code, event_code_name(endings[i].code)))
			return &endings[i];
	return &recorded;
}

/* --- What fills the places ----------------------------------------------------------------------------------------- */

struct telling {
	struct arena *arena;
	enum language language;
	struct story *story;
	const struct event_record *event; /* that ended it */
	const struct fact *fact;          /* that decided; NULL: none */
	str other, reason;                /* of another fact, for advice */
	str because;
};

static str argument(const struct telling *t, str name)
{
	str value;

	return event_args_get(t->arena, t->event->arguments, name, &value) ? value : STR_NONE;
}

static str time_text(struct arena *a, u64 ms)
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm t;

	gmtime_r(&seconds, &t);
	return str_format(a, "%04d-%02d-%02d %02d:%02d:%02d UTC", t.tm_year + 1900, t.tm_mon + 1,
			  t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec);
}

static str of_fact(struct arena *a, const struct fact *f, str name, enum language l)
{
	if (str_eq(name, S("input")))
		return f->input;
	if (str_eq(name, S("result")))
		return f->result;
	if (str_eq(name, S("source")))
		return f->source;
	return str_eq(name, S("reason")) ? reason_in(a, f->reason, l) : STR_NONE;
}

static bool get(void *context, str name, str *value)
{
	const struct telling *t = context;

	if (str_eq(name, S("time")))
		*value = time_text(t->arena, t->event->time);
	else if (str_eq(name, S("id")))
		*value = id_text(t->arena, t->story->id);
	else if (str_eq(name, S("because")))
		*value = t->because;
	else if (str_eq(name, S("what")))
		*value = event_sentence(t->arena, t->event->code, t->event->arguments, t->language);
	else if (str_eq(name, S("other")))
		*value = t->other;
	else if (str_eq(name, S("reason")) && t->reason.n)
		*value = t->reason;
	else
		*value = t->fact ? of_fact(t->arena, t->fact, name, t->language) : STR_NONE;
	if (value->n == 0)
		*value = argument(t, name);
	return true;
}

static str fill(struct telling *t, str sentence)
{
	const struct sentence_values values = { get, t };

	return sentence_fill(t->arena, sentence, &values);
}

struct telling_fact {
	struct arena *arena;
	const struct fact *fact;
	enum language language;
};

static bool get_of_fact(void *context, str name, str *value)
{
	const struct telling_fact *t = context;

	*value = of_fact(t->arena, t->fact, name, t->language);
	return true;
}

str story_fact(struct arena *a, const struct fact *f, enum language l)
{
	struct telling_fact t = { a, f, l };
	const struct sentence_values values = { get_of_fact, &t };
	str text = str_format(a, "%.*s {input}: {result} ({reason})", STR_ARG(f->check));

	for (size_t i = 0; i < ARRAY_LEN(facts); i++)
		if (str_eq(facts[i].check, f->check))
			text = facts[i].text[l];
	text = sentence_fill(a, text, &values);
	return f->weight ? str_format(a, "%.*s [%+d]", STR_ARG(text), f->weight) : text;
}

struct sum {
	struct arena *arena;
	const struct decision *decision;
};

static bool get_of_sum(void *context, str name, str *value)
{
	const struct sum *s = context;
	const struct decision *d = s->decision;

	if (str_eq(name, S("total")))
		*value = str_format(s->arena, "%d", d->total);
	else if (str_eq(name, S("threshold")))
		*value = d->threshold ? str_format(s->arena, "%d", d->threshold) : STR_NONE;
	else if (str_eq(name, S("action")))
		*value = str_cstr(decision_action_name(d->action));
	else
		*value = d->decided;
	return true;
}

str story_sum(struct arena *a, const struct decision *d, enum language l)
{
	struct sum s = { a, d };
	const struct sentence_values values = { get_of_sum, &s };

	return sentence_fill(a, phrases[PHRASE_SUM][l], &values);
}

static bool get_nothing(void *context, str name, str *value)
{
	(void)context;
	(void)name;
	(void)value;
	return false;
}

str story_phrase(struct arena *a, enum phrase p, enum language l,
		 const struct sentence_values *values)
{
	const struct sentence_values none = { get_nothing, NULL };

	return sentence_fill(a, phrases[p][l], values ? values : &none);
}

/* --- How it ended ---------------------------------------------------------------------------------------------------- */

static bool same_recipient(struct arena *a, const struct event_record *x,
			   const struct event_record *y)
{
	str one, other;

	return !event_args_get(a, x->arguments, S("recipient"), &one) ||
	       !event_args_get(a, y->arguments, S("recipient"), &other) || str_eq(one, other);
}

/* Something later happened to the same recipient. */
static bool is_replaced(struct arena *a, const struct story *s, size_t at)
{
	for (size_t i = at + 1; i < s->events_n; i++)
		if (ending_of(&s->events[i])->state &&
		    same_recipient(a, &s->events[at], &s->events[i]))
			return true;
	return false;
}

static const struct ending *find_ending(struct arena *a, const struct story *s,
					const struct event_record **event)
{
	const struct ending *best = &recorded;

	*event = &s->events[0];
	for (size_t i = 0; i < s->events_n; i++) {
		const struct ending *e = ending_of(&s->events[i]);
		if (e->rank < best->rank || (e->state && is_replaced(a, s, i)))
			continue;
		best = e;
		*event = &s->events[i];
	}
	return best;
}

static const struct fact *find_fact(const struct decision *d, str check)
{
	const struct fact *found = NULL;

	for (size_t i = 0; i < d->n; i++)
		if (str_eq(d->facts[i].check, check) &&
		    (!found || d->facts[i].weight >= found->weight))
			found = &d->facts[i];
	return found;
}

static bool has_word(struct arena *a, str text, str word)
{
	return word.n == 0 || str_find_str(str_lower(a, text), str_lower(a, word)) != SIZE_MAX;
}

/* "5.7" fits "5.7.26", "5.1.1" does not fit "5.1.10". */
static bool has_code(str code, str wanted)
{
	return str_starts(code, wanted) &&
	       (wanted.n == 0 || code.n == wanted.n || code.p[wanted.n] == '.');
}

/* text: the reply, or what the other server said. code: of it. */
static const struct why *find_why(const struct telling *t, str check)
{
	str text = argument(t, S("text")), code = argument(t, S("code"));
	str reply = argument(t, S("reply"));

	if (reply.n) { /* "550 5.1.1 no such mailbox" */
		text = reply;
		code = str_skip(reply, str_find(reply, ' ') + 1);
		code = str_slice(code, 0, str_find(code, ' '));
	}
	for (size_t i = 0; i < ARRAY_LEN(whys); i++)
		if (str_eq(whys[i].check, check) && has_code(code, whys[i].code) &&
		    has_word(t->arena, text, whys[i].word))
			return &whys[i];
	return NULL;
}

/* --- What would have helped ----------------------------------------------------------------------------------------- */

static void advise(struct telling *t, str advice)
{
	if (t->story->advice_n < STORY_ADVICE && advice.n)
		t->story->advice[t->story->advice_n++] = fill(t, advice);
}

static void advise_about(struct telling *t, enum phrase p, const struct fact *f)
{
	t->other = f ? f->input : STR_NONE;
	t->reason = f ? reason_in(t->arena, f->reason, t->language) : STR_NONE;
	advise(t, phrases[p][t->language]);
	t->other = t->reason = STR_NONE;
}

/* DMARC passes when SPF or one signature passes for the author's domain: what each lacks. */
static void advise_dmarc(struct telling *t)
{
	const struct decision *d = &t->story->decision;
	const struct fact *spf = find_fact(d, S("spf"));
	bool has_signature = false;

	if (spf && str_eq(spf->result, S("pass")))
		advise_about(t, PHRASE_SPF_OTHER, spf);
	else
		advise_about(t, PHRASE_ADD_SPF, spf);
	for (size_t i = 0; i < d->n; i++) {
		const struct fact *f = &d->facts[i];
		if (!str_eq(f->check, S("dkim")) || str_eq(f->result, S("none")))
			continue;
		has_signature = true;
		advise_about(
		    t, str_eq(f->result, S("pass")) ? PHRASE_SIGN_OTHER : PHRASE_SIGNATURE_BROKEN,
		    f);
	}
	if (!has_signature)
		advise_about(t, PHRASE_SIGN, NULL);
	advise_about(t, PHRASE_LIST, NULL);
}

/* --- All of it --------------------------------------------------------------------------------------------------------- */

static bool is_junk(const struct ending *e, const struct story *s)
{
	return s->decided && s->decision.action == DECISION_JUNK &&
	       (e->code == EVENT_DELIVERED || e->code == EVENT_ACCEPTED);
}

/* Refused by a 4xx it is only put off. */
static enum phrase phrase_of(const struct ending *e, struct story *s)
{
	if (is_junk(e, s)) {
		s->outcome = "junk";
		return PHRASE_JUNK;
	}
	if (e->phrase == PHRASE_REFUSED && s->decided && s->decision.action == DECISION_DEFER) {
		s->outcome = "put_off";
		return PHRASE_PUT_OFF;
	}
	return e->phrase;
}

/* A mailbox here is no server elsewhere. */
static str ours_or(const struct telling *t, const struct ending *e)
{
	str check = str_cstr(e->check);

	return str_eq(check, S("remote")) && str_eq(t->event->stage, S("mda")) ? S("mailbox")
									       : check;
}

static void explain(struct telling *t, const struct ending *e)
{
	struct story *s = t->story;
	bool by_fact = s->decided && s->decision.decided.n && (is_junk(e, s) || e->rank == 8);
	str fallback = ours_or(t, e);
	str check = by_fact ? s->decision.decided : fallback;
	const struct why *why;

	if (check.n == 0)
		return;
	t->fact = by_fact ? find_fact(&s->decision, check) : NULL;
	why = find_why(t, check);
	if (!why)
		why = find_why(t, fallback);
	t->because = why ? fill(t, why->because[t->language]) : argument(t, S("text"));
	if (why)
		advise(t, why->advice[t->language]);
	if (str_eq(check, S("dmarc")) && s->decision.action != DECISION_DEFER)
		advise_dmarc(t);
}

void story_tell(struct arena *a, const struct event_record *events, size_t n, enum language l,
		struct story *out)
{
	struct telling t = { .arena = a, .language = l, .story = out };
	const struct ending *e;

	*out = (struct story){ .id = events[0].message, .events = events, .events_n = n };
	for (size_t i = 0; i < n && !out->decided; i++)
		out->decided = decision_read(a, events[i].arguments, &out->decision);
	e = find_ending(a, out, &t.event);
	out->outcome = e->outcome;
	enum phrase p = phrase_of(e, out);
	explain(&t, e);
	out->sentence = fill(&t, phrases[p][l]);
}

const char *story_untranslated(void)
{
	for (size_t l = 0; l < LANGUAGES; l++) {
		for (size_t i = 0; i < PHRASES; i++)
			if (!phrases[i][l].n || !sentence_same_places(phrases[i][0], phrases[i][l]))
				return (const char *)phrases[i][0].p;
		for (size_t i = 0; i < ARRAY_LEN(facts); i++)
			if (!facts[i].text[l].n ||
			    !sentence_same_places(facts[i].text[0], facts[i].text[l]))
				return (const char *)facts[i].check.p;
		for (size_t i = 0; i < ARRAY_LEN(whys); i++)
			if (!whys[i].because[l].n || !whys[i].advice[0].n != !whys[i].advice[l].n ||
			    !sentence_same_places(whys[i].advice[0], whys[i].advice[l]))
				return (const char *)whys[i].because[0].p;
	}
	return NULL;
}
