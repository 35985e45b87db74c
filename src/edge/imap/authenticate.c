/* AUTHENTICATE, RFC 3501 6.2.2, with the initial response of RFC 4959; and what a login leads to, for LOGIN too. */
#include "edge/imap/imap_int.h"

static struct imap_reply logged_in(struct imap *i, const struct sasl_login *login)
{
	struct buf *b = buf_new(imap_arena(i), 4096);

	i->login = login;
	i->state = LOGGED_IN;
	session_logged_in(i->session);
	session_timer(i->session, 0);
	session_deadline(i->session, imap_config(i)->limit_imap_idle);
	session_line_max(i->session, IMAP_LINE_LOGGED_IN);
	imap_put_capability(i, b);
	return (struct imap_reply){ IMAP_OK, buf_str(b), S("logged in") };
}

/* One event a session, or a peer could fill the record with one connection. */
static struct imap_reply refused_privacy(struct imap *i)
{
	str text = S("not without TLS: turn on STARTTLS");

	if (!i->privacy_refused)
		i->privacy_refused =
		    event_refused_now(i->session, "command", S("NO [PRIVACYREQUIRED]"), text);
	return (struct imap_reply){ IMAP_NO, S("PRIVACYREQUIRED"),
				    event_named(imap_arena(i), text, i->privacy_refused) };
}

static struct imap_reply refused(struct imap *i, const struct fail *f)
{
	switch ((int)f->what) {
	case FAIL_INVALID:
		return REPLY(IMAP_NO, "CANNOT", "not a mechanism of ours");
	case FAIL_SYNTAX:
		return BAD_REPLY("not base64, or too long");
	case FAIL_CONFLICT:
		return BAD_REPLY("cancelled");
	case FAIL_DENIED:
		return refused_privacy(i);
	case FAIL_BUSY: /* nobody holds anything: there are too many logins at once */
		return (struct imap_reply){ IMAP_NO, S("UNAVAILABLE"), f->text };
	default:
		return imap_fail(f);
	}
}

struct imap_reply imap_sasl_result(struct imap *i, const struct fail *f,
				   const struct sasl_result *r)
{
	session_line_max(i->session, IMAP_LINE);
	i->stage = STAGE_COMMAND;
	if (f)
		return refused(i, f);
	if (r->status == SASL_DONE)
		return logged_in(i, r->login);
	if (r->status == SASL_CONTINUE) {
		session_line_max(i->session, SASL_LINE_MAX);
		i->stage = STAGE_SASL;
		buf_printf(imap_out(i), "+ %.*s\r\n", STR_ARG(r->challenge));
		return LATER;
	}
	i->login_refused = sasl_record_failure(i->session, "imap", r);
	i->errors++;
	i->rude = i->errors >= imap_config(i)->limit_errors;
	i->stage = STAGE_PENALTY;
	session_pause(i->session, r->delay_ms ? r->delay_ms : 1);
	return LATER;
}

struct imap_reply imap_sasl_line(struct imap *i, str line)
{
	struct sasl_result r;
	const struct fail *f = sasl_step(i->session, &i->sasl, line, &r);

	return imap_sasl_result(i, f, &r);
}

struct imap_reply imap_authenticate(struct imap *i, struct scan *s)
{
	struct sasl_result r;
	str mechanism, initial = STR_NONE;
	bool has_initial;
	const struct fail *f;

	if (!scan_sp(s) || !imap_scan_atom(s, &mechanism))
		return BAD_REPLY("expected a mechanism");
	has_initial = scan_sp(s);
	if (has_initial && !scan_span(s, CHAR_VCHAR, &initial))
		return BAD_REPLY("expected an initial response");
	if (!scan_end(s))
		return BAD_REPLY("expected a mechanism, perhaps an initial response");
	f = sasl_start(i->session, &i->sasl, mechanism, has_initial, initial, STR_NONE, &r);
	return imap_sasl_result(i, f, &r);
}
