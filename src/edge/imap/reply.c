/* Replies: how a fail becomes NO with the codes of RFC 5530, and how lines are written. */
#include "base/log.h"
#include "edge/imap/imap_int.h"
#include "text/imap_print.h"

static const char *code_of(enum fail_what what)
{
	static const char *const codes[FAIL_WHATS] = {
		[FAIL_INTERNAL] = "UNAVAILABLE", [FAIL_UNAVAILABLE] = "UNAVAILABLE",
		[FAIL_TIMEOUT] = "UNAVAILABLE",  [FAIL_LIMIT] = "LIMIT",
		[FAIL_STORAGE] = "UNAVAILABLE",  [FAIL_QUOTA] = "OVERQUOTA",
		[FAIL_BUSY] = "INUSE",           [FAIL_INVALID] = "CANNOT",
		[FAIL_TOO_LARGE] = "TOOBIG",     [FAIL_NOT_FOUND] = "NONEXISTENT",
		[FAIL_EXISTS] = "ALREADYEXISTS", [FAIL_CONFLICT] = "CANNOT",
		[FAIL_DENIED] = "NOPERM",        [FAIL_LOGIN] = "AUTHENTICATIONFAILED",
		[FAIL_CORRUPT] = "CORRUPTION",
	};

	return codes[what];
}

struct imap_reply imap_fail(const struct fail *f)
{
	return (struct imap_reply){ f->what == FAIL_SYNTAX ? IMAP_BAD : IMAP_NO,
				    str_cstr(code_of(f->what)), f->text };
}

static void put_code(struct buf *b, str code)
{
	if (code.n == 0)
		return;
	buf_add_byte(b, '[');
	buf_add(b, code);
	buf_add(b, S("] "));
}

struct imap_reply imap_break_off(struct imap *i, const struct fail *f)
{
	LOG(WARN, "imap.broken_off", LOG_U64("session", session_id(i->session)),
	    LOG_FAIL("why", f));
	i->broken_off = true;
	return imap_fail(f);
}

void imap_untagged(struct imap *i, const char *status, str code, str text)
{
	struct buf *out = imap_out(i);

	buf_printf(out, "* %s ", status);
	put_code(out, code);
	imap_put_text(out, text);
	buf_add(out, S("\r\n"));
}

void imap_put_reply(struct imap *i, struct buf *b, struct imap_reply r)
{
	static const char *const words[] = { "OK", "NO", "BAD" };

	buf_add(b, i->tag_n ? str_from(i->tag, i->tag_n) : S("*"));
	buf_printf(b, " %s ", words[r.status]);
	put_code(b, r.code);
	imap_put_text(b, r.text);
	buf_add(b, S("\r\n"));
}

bool imap_full(struct imap *i)
{
	return session_unsent(i->session) + imap_out(i)->n >= SESSION_HIGH_WATER;
}
