/*
 * IMAP4rev1, RFC 3501, for people. The session: units of input become commands, commands become answers.
 *
 * A command is gathered until it is complete (its lines and literals together at most IMAP_COMMAND) and then parsed as a
 * whole, by pure parsers (text/imap_*.h). The message of an APPEND alone never enters memory: it goes to the gate as it comes.
 *
 * Before login a session learns nothing but our name and what it may do to log in; unknown user and wrong password look
 * alike and cost a pause (THREATS A01); no password is read without TLS unless the configuration says so (T05).
 * not: RFC 3501 7.1.5 lets a server send BYE at any time; we do so for too many errors, idleness, shutdown and a mailbox
 * that was deleted while it was open.
 */
#include "edge/imap/imap.h"

#include "base/check.h"
#include "edge/imap/imap_int.h"
#include "text/imap_print.h"

static enum turn idle_news(struct imap *i);

static enum turn bye(struct imap *i, str code, str text)
{
	i->stage = STAGE_BYE;
	imap_untagged(i, "BYE", code, text);
	return TURN_CLOSE;
}

static enum turn greet(struct imap *i)
{
	struct buf *out = imap_out(i);

	session_deadline(i->session, imap_config(i)->limit_login_time);
	session_timer(i->session, imap_config(i)->limit_login_time);
	buf_add(out, S("* OK ["));
	imap_put_capability(i, out);
	buf_add(out, S("] "));
	imap_put_text(out, imap_config(i)->server_hostname);
	buf_add(out, S(" ready\r\n"));
	return TURN_MORE;
}

/* --- The end of a command ------------------------------------------------------------------------------------- */

static void count_error(struct imap *i)
{
	if (++i->errors >= imap_config(i)->limit_errors)
		i->rude = true;
}

/* The news, then the tagged line, then the next command. */
static enum turn tell(struct imap *i)
{
	if (i->view && !imap_tell_news(i, i->command && i->command->expunge)) {
		i->stage = STAGE_NEWS;
		session_continue(i->session);
		return TURN_MORE;
	}
	buf_add(imap_out(i), buf_str(&i->tagged));
	buf_free(&i->tagged);
	i->stage = STAGE_COMMAND;
	i->news_checked = false;
	if (i->tls_wanted) {
		i->tls_wanted = false;
		return TURN_TLS;
	}
	if (i->rude) {
		str text = S("too many errors");
		u64 attempt = event_refused_now(i->session, "connection", S("BYE"), text);
		return bye(i, S(""), event_named(imap_arena(i), text, attempt));
	}
	if (i->lost)
		return bye(i, S(""), str_cstr(i->lost));
	if (i->command && i->command->run == imap_logout)
		return TURN_CLOSE;
	return TURN_MORE;
}

static enum turn finish(struct imap *i, struct imap_reply r)
{
	if (i->broken_off)
		return TURN_ABORT;
	if (r.status == IMAP_LATER)
		return TURN_MORE;
	if (r.status == IMAP_BAD)
		count_error(i);
	if (i->login &&
	    str_eq(r.code, S("AUTHENTICATIONFAILED"))) /* whatever it asks for will be refused */
		i->lost = LOGIN_LOST;
	buf_reset(&i->tagged);
	imap_put_reply(i, &i->tagged, r);
	return tell(i);
}

/* --- Gathering a command -------------------------------------------------------------------------------------- */

static const struct fail *literal_write(struct sink *k, struct arena *turn, str bytes)
{
	struct imap_literal_sink *sink = (struct imap_literal_sink *)k;

	(void)turn;
	buf_add(sink->to, bytes);
	return NULL;
}

static const struct fail *literal_drop(struct sink *k, struct arena *turn, str bytes)
{
	(void)k;
	(void)turn;
	(void)bytes;
	return NULL;
}

static void read_literal(struct imap *i, u64 n, bool keep)
{
	i->literal_sink =
	    (struct imap_literal_sink){ { keep ? literal_write : literal_drop }, &i->input };
	i->stage = keep ? STAGE_LITERAL : STAGE_DISCARD;
	session_read_counted(i->session, n, &i->literal_sink.sink);
}

/* The tag alone is needed to refuse what was not read. */
static void take_tag(struct imap *i, str command)
{
	struct scan s = scan_of(command);
	str tag = STR_NONE;

	i->command = NULL;
	if (!imap_scan_tag(&s, &tag) || !scan_sp(&s))
		tag = STR_NONE;
	for (size_t k = 0; k < tag.n; k++)
		i->tag[k] = tag.p[k];
	i->tag_n = tag.n;
}

/* A literal that comes though it is not wanted is dropped, as far as that makes sense (RFC 7888 4). i->tagged holds
 * the answer. */
static enum turn drop_literal(struct imap *i, const struct imap_literal *l)
{
	if (l->size > IMAP_DISCARD || i->state == PLAIN) {
		buf_add(imap_out(i), buf_str(&i->tagged));
		return bye(i, S("TOOBIG"), S("literal too large"));
	}
	read_literal(i, l->size, false);
	return TURN_MORE;
}

/* A literal is not wanted. Synchronizing: the client hears it and sends nothing. */
static enum turn refuse_literal(struct imap *i, const struct imap_literal *l, struct imap_reply r)
{
	buf_free(&i->input);
	if (!l->plus)
		return finish(i, r);
	if (r.status == IMAP_BAD)
		count_error(i);
	buf_reset(&i->tagged);
	imap_put_reply(i, &i->tagged, r);
	return drop_literal(i, l);
}

static bool literal_fits(struct imap *i, const struct imap_literal *l)
{
	if (l->size > IMAP_COMMAND || i->input.n + l->size > IMAP_COMMAND)
		return false;
	if (i->state != PLAIN)
		return true;
	i->literals_plain += l->size;
	return l->size <= IMAP_LITERAL_PLAIN && i->literals_plain <= IMAP_LITERALS_PLAIN;
}

/* A line ended in {n}. i->input holds the command up to it, CRLF included. */
static enum turn literal_announced(struct imap *i, const struct imap_literal *l)
{
	struct imap_reply refusal = REPLY(IMAP_BAD, "TOOBIG", "command too long");
	str command = str_slice(buf_str(&i->input), 0, i->input.n - 2);

	take_tag(i, command);
	switch (imap_append_begin(i, command, l, &refusal)) {
	case APPEND_TAKEN:
		buf_free(&i->input);
		i->stage = STAGE_APPEND;
		break;
	case APPEND_REFUSED:
		return refuse_literal(i, l, refusal);
	case APPEND_NOT:
	case APPEND_ARGUMENT:
		if (!literal_fits(i, l))
			return refuse_literal(i, l, refusal);
		read_literal(i, l->size, true);
	}
	if (!l->plus)
		buf_add(imap_out(i), S("+ go ahead\r\n"));
	return TURN_MORE;
}

static enum turn command_line(struct imap *i, str line)
{
	struct imap_literal l;
	struct imap_reply r;

	if (imap_literal_announced(line, &l)) {
		buf_add(&i->input, line);
		buf_add(&i->input, S("\r\n"));
		if (!i->input.full)
			return literal_announced(i, &l);
		take_tag(i, buf_str(&i->input));
		return refuse_literal(i, &l, REPLY(IMAP_BAD, "TOOBIG", "command too long"));
	}
	if (i->input.n == 0)
		return finish(i, imap_run(i, line));
	buf_add(&i->input, line);
	r = i->input.full ? BAD_REPLY("command too long") : imap_run(i, buf_str(&i->input));
	/* What the reply says may borrow the command. */
	r.code = str_copy(imap_arena(i), r.code);
	r.text = str_copy(imap_arena(i), r.text);
	buf_free(&i->input);
	return finish(i, r);
}

/* --- Units ---------------------------------------------------------------------------------------------------- */

/* A literal has come to its end; the line goes on behind it. */
static enum turn stretch(struct imap *i)
{
	if (i->stage == STAGE_APPEND) {
		i->stage = STAGE_APPENDED;
		return TURN_MORE;
	}
	i->stage = i->stage == STAGE_DISCARD ? STAGE_REFUSED : STAGE_COMMAND;
	return TURN_MORE;
}

/* Behind a literal that was dropped: still the refused command, never a new one. */
static enum turn refused_line(struct imap *i, str line)
{
	struct imap_literal l;

	return imap_literal_announced(line, &l) && l.plus ? drop_literal(i, &l) : tell(i);
}

/* Behind the message of an APPEND. A second message (RFC 3502) is not taken. */
static enum turn appended_line(struct imap *i, str line)
{
	struct imap_literal l;

	if (!imap_literal_announced(line, &l))
		return finish(i, imap_append_end(i, line));
	imap_append_forget(i);
	return refuse_literal(i, &l, BAD_REPLY("one message at a time"));
}

static enum turn line(struct imap *i)
{
	str l = session_line(i->session);

	switch (i->stage) {
	case STAGE_SASL:
		return finish(i, imap_sasl_line(i, l));
	case STAGE_IDLE:
		i->stage = STAGE_COMMAND;
		return finish(i, str_eq_nocase(l, S("DONE")) ? OK_REPLY("no longer idle")
							     : BAD_REPLY("IDLE ends with DONE"));
	case STAGE_APPENDED:
		return appended_line(i, l);
	case STAGE_REFUSED:
		return refused_line(i, l);
	case STAGE_COMMAND:
	case STAGE_LITERAL:
	case STAGE_DISCARD:
	case STAGE_APPEND:
	case STAGE_JOB:
	case STAGE_NEWS:
	case STAGE_PENALTY:
	case STAGE_BYE:
		break;
	}
	return command_line(i, l);
}

static enum turn bad_line(struct imap *i)
{
	static const str texts[] = { { (const u8 *)"line too long", 13 },
				     { (const u8 *)"CR and LF belong together", 25 },
				     { (const u8 *)"NUL in a line", 13 } };

	if (i->sasl.under_way)
		session_line_max(i->session, IMAP_LINE);
	sasl_abort(i->session, &i->sasl);
	imap_append_forget(i);
	buf_free(&i->input);
	i->tag_n = 0;
	i->command = NULL;
	/* Where the next command begins is anybody's guess now: a bare CR may be cut another way without, a long line may have announced
	 * a literal. */
	if (session_bad(i->session) != BAD_LINE_NUL)
		return bye(i, S(""), texts[session_bad(i->session)]);
	return finish(i, (struct imap_reply){ IMAP_BAD, STR_NONE, texts[session_bad(i->session)] });
}

/* Always these words, for an unknown user and a wrong password alike. */
static struct imap_reply login_failed(struct imap *i)
{
	return (struct imap_reply){ IMAP_NO, S("AUTHENTICATIONFAILED"),
				    event_named(imap_arena(i), S("authentication failed"),
						i->login_refused) };
}

static enum turn resume(struct imap *i)
{
	switch (i->stage) {
	case STAGE_JOB:
		return finish(i, imap_job_go_on(i));
	case STAGE_NEWS:
		return tell(i);
	case STAGE_PENALTY:
		return finish(i, login_failed(i));
	case STAGE_IDLE:
		return idle_news(i);
	case STAGE_COMMAND:
	case STAGE_LITERAL:
	case STAGE_DISCARD:
	case STAGE_REFUSED:
	case STAGE_APPEND:
	case STAGE_APPENDED:
	case STAGE_SASL:
	case STAGE_BYE:
		break;
	}
	return TURN_MORE;
}

/* Something changed in the mailbox: while idle the client hears it at once (RFC 2177 3). */
static enum turn idle_news(struct imap *i)
{
	if (i->stage != STAGE_IDLE || !i->view)
		return TURN_MORE;
	if (!imap_tell_news(i, true)) {
		session_continue(i->session);
		return TURN_MORE;
	}
	if (i->dirty) /* it could not be asked, or does not tell us */
		session_timer(i->session, IMAP_LOOK_AGAIN_MS);
	return i->lost ? bye(i, S(""), str_cstr(i->lost)) : TURN_MORE;
}

static enum turn notice(struct imap *i)
{
	i->dirty = true;
	/* Half-told news are told to their end first: changes laid over them would move the numbers under the client. */
	if (i->stage == STAGE_IDLE)
		i->news_checked = false;
	return idle_news(i);
}

static enum turn imap_turn(struct session *s, enum wake why)
{
	struct imap *i = session_state(s);

	switch (why) {
	case WAKE_OPEN:
		i->session = s;
		i->state = PLAIN;
		buf_init(&i->input, IMAP_COMMAND + 4);
		buf_init(&i->tagged, 2 * IMAP_CODE_MAX);
		return greet(i);
	case WAKE_LINE:
		return line(i);
	case WAKE_STRETCH:
		return stretch(i);
	case WAKE_BAD_LINE:
		return bad_line(i);
	case WAKE_TLS:
		return TURN_MORE;
	case WAKE_NOTICE:
		return notice(i);
	case WAKE_TIMER:
		return i->state == PLAIN ? bye(i, S(""), S("too slow to log in"))
		       : i->dirty        ? notice(i)
					 : TURN_MORE;
	case WAKE_RESUME:
		return resume(i);
	case WAKE_IDLE:
		return bye(i, S(""), S("idle for too long"));
	case WAKE_SHUTDOWN:
		if (i->stage == STAGE_JOB) /* in a literal, perhaps: BYE would be a part of it */
			return TURN_CLOSE;
		return bye(i, S("UNAVAILABLE"), S("shutting down"));
	case WAKE_GONE:
		break;
	}
	return TURN_CLOSE;
}

/* Gives back all that is not in the session's arena. */
static void imap_session_close(struct session *s)
{
	struct imap *i = session_state(s);

	sasl_abort(s, &i->sasl);
	imap_append_forget(i);
	imap_job_end(i);
	imap_unselect(i);
	buf_free(&i->input);
	buf_free(&i->tagged);
}

static str too_many(struct arena *a, const struct session_refusal *r)
{
	str text = r->per_address ? S("too many connections from your address")
				  : S("too many connections, try again later");
	u64 attempt = event_turned_away(a, r, S("BYE [LIMIT]"), text);

	return str_format(a, "* BYE [LIMIT] %.*s\r\n", STR_ARG(event_named(a, text, attempt)));
}

const struct protocol imap_protocol = {
	.name = "imap",
	.session_size = sizeof(struct imap),
	.arena_budget = IMAP_TURN,
	.keep_budget = IMAP_KEEP,
	.line_max = IMAP_LINE,
	.turn = imap_turn,
	.close = imap_session_close,
	.too_many = too_many,
	.tls_failed = event_tls_failed,
};
