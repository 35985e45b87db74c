/*
 * AUTH (RFC 4954). The exchange is edge/sasl.c's and keys login's; here are its replies. Every failed login has the same words
 * and waits as long as login says (THREATS A01, S24). Outside a mail transaction only, once a session.
 */
#include "edge/smtp/smtp_int.h"

/* RFC 4954 4, 6 */
static struct reply auth_fail(struct smtp *s, const struct fail *f)
{
	struct reply r = reply_from_fail(smtp_turn_arena(s), f);

	if (f->kind == FAIL_TEMP)
		return REPLY(454, "4.7.0", "login is not possible now, try again later");
	if (f->what == FAIL_INVALID)
		r.code = 504;
	else if (f->what == FAIL_DENIED)
		r.code = 538;
	else
		r.code = 501;
	return r;
}

static struct reply rejected(struct smtp *s, const struct sasl_result *result)
{
	struct reply r = REPLY(535, "5.7.8", "wrong name or password");

	reply_name(smtp_turn_arena(s), &r,
		   sasl_record_failure(s->session, s->policy->stage, result));
	if (result->delay_ms == 0)
		return r;
	smtp_say_later(s, r);
	s->input = INPUT_PAUSE;
	session_pause(s->session, result->delay_ms);
	return REPLY_SILENT;
}

static struct reply logged_in(struct smtp *s, const struct sasl_login *login)
{
	s->login = login;
	session_logged_in(s->session);
	session_timer(s->session, 0);
	return REPLY(235, "2.7.0", "welcome");
}

static struct reply answer(struct smtp *s, const struct fail *f, const struct sasl_result *r)
{
	s->input = INPUT_COMMAND;
	if (f)
		return auth_fail(s, f);
	if (r->status == SASL_DONE)
		return logged_in(s, r->login);
	if (r->status == SASL_FAILED)
		return rejected(s, r);
	s->input = INPUT_RESPONSE;
	return (struct reply){ .code = 334, .text = r->challenge };
}

struct reply smtp_verb_auth(struct smtp *s, struct scan *argument)
{
	struct sasl_result r = { 0 };
	str mechanism, initial;
	bool has_initial;
	const struct fail *f;

	f = smtp_auth_parse(smtp_turn_arena(s), argument->rest, &mechanism, &has_initial, &initial);
	if (f)
		return reply_from_fail(smtp_turn_arena(s), f);
	f = sasl_start(s->session, &s->sasl, mechanism, has_initial, initial, smtp_helo(s), &r);
	return answer(s, f, &r);
}

struct reply smtp_auth_response(struct smtp *s, str line)
{
	struct sasl_result r = { 0 };
	const struct fail *f = sasl_step(s->session, &s->sasl, line, &r);

	return answer(s, f, &r);
}
