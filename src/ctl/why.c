/* postern why and postern trace: what happened to a mail, and why, in the language of the one who asks. */
#include <stdlib.h>

#include "base/id.h"
#include "ctl/ctl_int.h"
#include "ctl/replay.h"
#include "ctl/story.h"
#include "office/event.h"
#include "text/json.h"

enum { WHY_OUTPUT = 16 * 1024 * 1024, WHY_INDENT = 21 };

/* --language, then the locale, then the setting. */
static const struct fail *take_language(struct ctl *c, enum language *out)
{
	static const char *const variables[] = { "LC_ALL", "LC_MESSAGES", "LANG" };
	str asked = ctl_option(c, "language");

	*out = LANGUAGE_EN;
	if (ctl_has(c, "language"))
		return language_parse(asked, out)
			   ? NULL
			   : fail_new(c->arena, FAIL_INVALID, "--language: expected en or nl");
	for (size_t i = 0; i < ARRAY_LEN(variables); i++)
		if (language_parse(str_cstr(getenv(variables[i])), out))
			return NULL;
	if (c->config)
		(void)!language_parse(c->config->record_language, out);
	return NULL;
}

static const struct fail *ask(struct ctl *c, str word, u32 max, struct office_trace_answer *r)
{
	struct office_trace_request q = { .word = word, .max = max };

	TRY(office_trace(c->arena, c->office, &q, r));
	if (r->messages_n == 0 && r->events_n == 0)
		return fail_new(c->arena, FAIL_NOT_FOUND, "nothing is known of \"%.*s\"",
				STR_ARG(word));
	return NULL;
}

/* --- For people ---------------------------------------------------------------------------------------------------- */

static void put_line(struct buf *out, str text)
{
	for (size_t i = 0; i < WHY_INDENT; i++)
		buf_add_byte(out, ' ');
	buf_add(out, text);
	buf_add_byte(out, '\n');
}

static void put_event(struct ctl *c, struct buf *out, const struct event_record *e, enum language l)
{
	struct decision d;

	buf_add(out, ctl_time(c, e->time));
	buf_add(out, S("  "));
	buf_add(out, event_sentence(c->arena, e->code, e->arguments, l));
	buf_add_byte(out, '\n');
	if (!decision_read(c->arena, e->arguments, &d))
		return;
	for (size_t i = 0; i < d.n; i++)
		put_line(out, story_fact(c->arena, &d.facts[i], l));
	put_line(out, story_sum(c->arena, &d, l));
}

static bool get_subject(void *context, str name, str *value)
{
	(void)name;
	*value = *(const str *)context;
	return true;
}

static void put_story(struct ctl *c, struct buf *out, const struct story *s, str subject,
		      enum language l)
{
	const struct sentence_values values = { get_subject, &subject };

	buf_add(out, s->sentence);
	buf_add_byte(out, '\n');
	if (subject.n) {
		buf_add(out, story_phrase(c->arena, PHRASE_SUBJECT, l, &values));
		buf_add_byte(out, '\n');
	}
	buf_add_byte(out, '\n');
	for (size_t i = 0; i < s->events_n; i++)
		put_event(c, out, &s->events[i], l);
	if (s->advice_n)
		buf_printf(out, "\n%.*s\n", STR_ARG(story_phrase(c->arena, PHRASE_DO, l, NULL)));
	for (size_t i = 0; i < s->advice_n; i++)
		buf_printf(out, "  - %.*s\n", STR_ARG(s->advice[i]));
}

/* --- For programs --------------------------------------------------------------------------------------------------- */

static void field(struct json *j, const char *name, str value)
{
	json_key(j, name);
	json_str(j, value);
}

/* Names as the API has them (openapi-sketch: TraceEvent). */
static void json_event(struct ctl *c, struct json *j, const struct event_record *e, enum language l)
{
	json_object(j);
	field(j, "t", ctl_time(c, e->time));
	field(j, "stage", e->stage);
	field(j, "code", e->code);
	field(j, "text", event_sentence(c->arena, e->code, e->arguments, l));
	if (event_args_valid(e->arguments))
		json_key(j, "args"), json_raw(j, e->arguments);
	json_object_end(j);
}

static void json_story(struct ctl *c, struct json *j, const struct story *s, str subject,
		       enum language l)
{
	field(j, "id", s->id ? id_text(c->arena, s->id) : STR_NONE);
	field(j, "outcome", str_cstr(s->outcome));
	field(j, "language", str_cstr(language_code(l)));
	field(j, "summary", s->sentence);
	field(j, "subject", subject);
	if (s->decided)
		json_key(j, "decision"), json_raw(j, decision_print(c->arena, &s->decision));
	json_key(j, "events");
	json_array(j);
	for (size_t i = 0; i < s->events_n; i++)
		json_event(c, j, &s->events[i], l);
	json_array_end(j);
	json_key(j, "advice");
	json_array(j);
	for (size_t i = 0; i < s->advice_n; i++)
		json_str(j, s->advice[i]);
	json_array_end(j);
}

/* --- why --------------------------------------------------------------------------------------------------------------- */

static const struct fail *why(struct ctl *c, struct buf *out)
{
	struct office_trace_answer r;
	struct replay replay = { .done = false };
	struct json j = json_to(out);
	struct story s;
	enum language l;
	str subject;
	u64 id;

	if (!id_parse(c->arguments[0], &id))
		return fail_new(
		    c->arena, FAIL_INVALID,
		    "\"%.*s\" is not an id: 10 letters and digits behind a refusal, 13 of "
		    "a message; for other words: postern trace",
		    STR_ARG(c->arguments[0]));
	TRY(ctl_connect(c));
	TRY(take_language(c, &l));
	TRY(ask(c, c->arguments[0], 1, &r));
	if (r.events_n == 0)
		return fail_new(c->arena, FAIL_NOT_FOUND, "nothing is known of it any more");
	story_tell(c->arena, r.events, r.events_n, l, &s);
	subject = r.messages_n ? r.messages[0].subject : STR_NONE;
	if (ctl_has(c, "replay"))
		TRY(replay_run(c, &s, &replay));
	if (!c->json) {
		put_story(c, out, &s, subject, l);
		replay_put(c, out, &s, &replay, l);
		return NULL;
	}
	json_object(&j);
	json_story(c, &j, &s, subject, l);
	if (replay.done)
		json_key(&j, "replay"), json_raw(&j, decision_print(c->arena, &replay.today));
	json_object_end(&j);
	buf_add(out, S("\n"));
	return NULL;
}

enum exit_status ctl_why(struct ctl *c)
{
	struct buf *out = buf_new(c->arena, WHY_OUTPUT);
	const struct fail *f = why(c, out);

	if (f)
		return ctl_fail(c, f, "say why");
	ctl_print(buf_str(out));
	return EXIT_OK;
}

/* --- trace ------------------------------------------------------------------------------------------------------------- */

static str subject_of(const struct office_trace_answer *r, u64 id)
{
	for (size_t i = 0; i < r->messages_n; i++)
		if (r->messages[i].message == id)
			return r->messages[i].subject;
	return STR_NONE;
}

/* Events of one id stand together; those of none are each a story. Moves *at behind it. */
static void next_story(struct ctl *c, const struct office_trace_answer *r, enum language l,
		       size_t *at, struct story *out)
{
	const struct event_record *e = &r->events[*at];
	size_t n = 1;

	while (*at + n < r->events_n && e->message && e[n].message == e->message)
		n++;
	story_tell(c->arena, e, n, l, out);
	out->advice_n = 0; /* postern why has it */
	*at += n;
}

static void put_stories(struct ctl *c, struct buf *out, const struct office_trace_answer *r,
			enum language l)
{
	struct story s;

	for (size_t at = 0; at < r->events_n;) {
		if (at && r->events[at].message)
			buf_add_byte(out, '\n');
		next_story(c, r, l, &at, &s);
		if (s.id)
			buf_printf(out, "%.*s  ", STR_ARG(id_text(c->arena, s.id)));
		put_story(c, out, &s, subject_of(r, s.id), l);
	}
}

static void json_stories(struct ctl *c, struct buf *out, const struct office_trace_answer *r,
			 enum language l)
{
	struct json j = json_to(out);
	struct story s;

	json_array(&j);
	for (size_t at = 0; at < r->events_n;) {
		next_story(c, r, l, &at, &s);
		json_object(&j);
		json_story(c, &j, &s, subject_of(r, s.id), l);
		json_object_end(&j);
	}
	json_array_end(&j);
	buf_add_byte(out, '\n');
}

static const struct fail *trace(struct ctl *c)
{
	struct buf *out = buf_new(c->arena, WHY_OUTPUT);
	struct office_trace_answer r;
	u64 max = CTL_TRACE_MAX;
	enum language l;

	if (ctl_has(c, "max") && (!str_u64(ctl_option(c, "max"), &max) || max == 0 || max > 1000))
		return fail_new(c->arena, FAIL_INVALID, "--max: expected a number from 1 to 1000");
	TRY(ctl_connect(c));
	TRY(take_language(c, &l));
	TRY(ask(c, c->arguments[0], (u32)max, &r));
	if (c->json)
		json_stories(c, out, &r, l);
	else
		put_stories(c, out, &r, l);
	ctl_print(buf_str(out));
	return NULL;
}

enum exit_status ctl_trace(struct ctl *c)
{
	const struct fail *f = trace(c);

	return f ? ctl_fail(c, f, "trace it") : EXIT_OK;
}
