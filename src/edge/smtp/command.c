/* From a line to its handler, past the rules of smtp.tbl. */
#include "edge/edge.h"
#include "edge/smtp/smtp_int.h"

const struct verb smtp_verbs[SMTP_VERBS] = {
#define VERB(verb, handler, services_, states_, needs_, flags_, section_) \
	[SMTP_##verb] = { .run = smtp_verb_##handler,                     \
			  .services = (services_),                        \
			  .states = (states_),                            \
			  .needs = (needs_),                              \
			  .flags = (flags_),                              \
			  .section = (section_) },
#include "edge/smtp/smtp.tbl"
#undef VERB
};

/* What browsers and other strays begin with (THREATS S16). */
static const str foreign[] = { S("GET"),    S("POST"),    S("PUT"),     S("HEAD"),
			       S("DELETE"), S("OPTIONS"), S("CONNECT"), S("TRACE"),
			       S("PATCH"),  S("PRI"),     S("HOST:") };

/* In clear, and where people log in, with a configuration that has no exception. */
static bool wants_tls(struct smtp *s)
{
	return s->service == FOR_PEOPLE && sasl_mechanisms(s->session).n == 0;
}

bool smtp_verb_offered(struct smtp *s, enum smtp_verb verb)
{
	const struct verb *v = &smtp_verbs[verb];

	if (!v->run || !(v->services & s->service))
		return false;
	if ((v->needs & NEEDS_CLEAR) && !edge_offers_tls(s->session))
		return false;
	if ((v->needs & NEEDS_TLS) && wants_tls(s))
		return false;
	return !((v->needs & NEEDS_NOBODY) && s->login);
}

/* Why the input behind a command must not be there yet (RFC 2920 3.1). Without EHLO nothing at all may be. */
static bool out_of_sync(struct smtp *s, const struct verb *v)
{
	bool alone = (v->flags & VERB_LAST) || !s->extended;

	return alone && !(v->flags & VERB_CHUNK) && session_is_pipelined(s->session);
}

static struct reply out_of_order(struct smtp *s)
{
	switch (smtp_state(s)) {
	case IN_START:
		return s->service == FOR_LMTP ? REPLY(503, "5.5.1", "say LHLO first")
					      : REPLY(503, "5.5.1", "say EHLO first");
	case IN_READY:
		return REPLY(503, "5.5.1", "MAIL comes first");
	case IN_MAIL:
		return REPLY(503, "5.5.1", "no recipient yet, or not while mail is under way");
	case IN_CHUNK: /* RFC 3030 2: the state after this is indeterminate, so there is none */
		transaction_end(s);
		return REPLY(503, "5.5.1", "not after BDAT; this mail is dropped");
	case IN_RCPT:
	case IN_ANY:
		break;
	}
	return REPLY(503, "5.5.1", "not while mail is under way");
}

/* TLS and login, after the order is right. Code 0: nothing is missing. */
static struct reply missing(struct smtp *s, const struct verb *v)
{
	bool auth = v->run == smtp_verb_auth;

	if ((v->needs & NEEDS_CLEAR) && session_is_tls(s->session))
		return REPLY(503, "5.5.1", "TLS is on already");
	if ((v->needs & NEEDS_CLEAR) && !edge_offers_tls(s->session))
		return REPLY(502, "5.5.1", "no TLS here");
	if ((v->needs & NEEDS_EHLO) && !s->extended)
		return REPLY(503, "5.5.1", "not after HELO: say EHLO");
	if ((v->needs & NEEDS_TLS) && wants_tls(s)) /* RFC 4954 6, RFC 3207 4 */
		return auth ? REPLY(538, "5.7.11", "STARTTLS first: no passwords in the clear")
			    : REPLY(530, "5.7.0", "STARTTLS first");
	if ((v->needs & NEEDS_NOBODY) && s->login)
		return REPLY(503, "5.5.1", "not after logging in");
	if ((v->needs & NEEDS_LOGIN) && s->service == FOR_PEOPLE && !s->login)
		return REPLY(530, "5.7.0", "log in first");
	return (struct reply){ 0 };
}

static struct reply refusal(struct smtp *s, const struct verb *v)
{
	if (!(v->services & s->service))
		return REPLY(502, "5.5.1", "not on this port");
	if (out_of_sync(s, v))
		return REPLY_CLOSE(503, "5.5.0", "input came before our answer");
	if (!(v->states & smtp_state(s)))
		return out_of_order(s);
	if ((v->flags & VERB_JUNK) && ++s->junk > SMTP_JUNK)
		return REPLY_CLOSE(421, "4.7.0", "too many commands that move no mail");
	return missing(s, v);
}

static struct reply unknown(str word)
{
	for (size_t i = 0; i < ARRAY_LEN(foreign); i++)
		if (str_eq_nocase(word, foreign[i]))
			return REPLY_CLOSE(521, "5.5.1", "this is a mail server");
	return REPLY(500, "5.5.1", "no such command");
}

str smtp_path(str argument)
{
	struct scan s = scan_of(argument);
	str before, path;

	if (scan_until(&s, '<', &before) && scan_byte(&s, '<') && scan_until(&s, '>', &path))
		return path;
	return argument;
}

static void record(struct smtp *s, const struct smtp_command *c, struct reply *r)
{
	if (c->verb == SMTP_MAIL)
		smtp_record_refusal(s, "refused_sender", "sender", smtp_path(c->argument), r);
	else if (c->verb == SMTP_RCPT)
		smtp_record_refusal(s, r->code < 500 ? "deferred_recipient" : "refused_recipient",
				    "recipient", smtp_path(c->argument), r);
	else /* never the argument: AUTH has a password in it */
		smtp_record_refusal(s, "refused_command", "command", c->word, r);
}

static struct reply run(struct smtp *s, const struct smtp_command *c, size_t length)
{
	const struct verb *v = &smtp_verbs[c->verb];
	struct scan argument = scan_of(c->argument);
	struct reply refused;

	if (!v->run)
		return unknown(c->word);
	if (length > SMTP_LINE && !(v->flags & VERB_LONG))
		return REPLY_CLOSE(500, "5.5.2", "line too long");
	refused = refusal(s, v);
	if (refused.code == 0)
		return v->run(s, &argument);
	if (!(v->flags & VERB_CHUNK))
		return refused;
	record(s, c, &refused);
	s->refusal = &refused;
	refused = v->run(s, &argument);
	s->refusal = NULL;
	return refused;
}

/* A BDAT whose size is unknown leaves octets behind it that nobody can tell from commands. */
static struct reply malformed(struct smtp *s, str line, const struct fail *f)
{
	struct reply r = reply_from_fail(smtp_turn_arena(s), f);

	if (str_starts_nocase(line, S("BDAT"))) {
		transaction_end(s);
		r.next = REPLY_THEN_CLOSE;
	}
	return r;
}

struct reply smtp_command_run(struct smtp *s, str line)
{
	struct smtp_command c = { 0 };
	const struct fail *f = smtp_command_parse(smtp_turn_arena(s), line, &c);
	struct reply r = f ? malformed(s, line, f) : run(s, &c, line.n);

	if (r.code >= 400 && !r.recorded)
		record(s, &c, &r);
	return r;
}
