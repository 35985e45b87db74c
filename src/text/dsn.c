#include "text/dsn.h"

#include "base/arena.h"
#include "base/chars.h"
#include "text/date.h"
#include "text/encoding.h"
#include "text/header.h"
#include "text/utf8.h"

enum {
	DSN_BOUNDARY_TRIES = 100,
	DSN_DIAGNOSTIC = 900, /* bytes of one Diagnostic-Code */
	DSN_LINE = 998,
};

struct printer {
	struct arena *a;
	const struct dsn *d;
	struct header_builder h;
	struct buf *out;
	str boundary, original, text;
	bool full; /* the whole original goes back */
};

static const char *action_name(enum dsn_action action)
{
	static const char *const names[] = { [DSN_FAILED] = "failed",
					     [DSN_DELAYED] = "delayed",
					     [DSN_DELIVERED] = "delivered",
					     [DSN_RELAYED] = "relayed",
					     [DSN_EXPANDED] = "expanded" };

	return names[action];
}

/* RFC 3463 2: ("2" / "4" / "5") "." 1*3digit "." 1*3digit */
static bool is_status(str s)
{
	size_t dots = 0, digits = 0;

	if (s.n < 5 || s.n > 9 || !str_has(S("245"), s.p[0]) || s.p[1] != '.')
		return false;
	for (size_t i = 0; i < s.n; i++) {
		bool dot = s.p[i] == '.';
		if ((!dot && !char_is(s.p[i], CHAR_DIGIT)) || (dot && digits == 0) ||
		    (!dot && digits == 3))
			return false;
		digits = dot ? 0 : digits + 1;
		dots += dot;
	}
	return dots == 2 && digits > 0;
}

static const struct fail *check(struct arena *a, const struct dsn *d)
{
	if (d->to.n == 0)
		return fail_new(a, FAIL_INVALID, "a null sender gets no notification");
	if (d->recipients_n == 0 || d->recipients_n > DSN_RECIPIENTS)
		return fail_new(a, FAIL_INVALID, "a notification tells of 1 to %d recipients",
				DSN_RECIPIENTS);
	for (size_t i = 0; i < d->recipients_n; i++)
		if (!is_status(d->recipients[i].status))
			return fail_new(a, FAIL_INVALID, "bad status in a notification");
	return NULL;
}

static bool any_failed(const struct dsn *d)
{
	for (size_t i = 0; i < d->recipients_n; i++)
		if (d->recipients[i].action == DSN_FAILED)
			return true;
	return false;
}

/* What goes back: the message, or its header cut at the last field that fits. */
static str choose_original(const struct dsn *d, bool full)
{
	str header, rest;
	struct header_field field;
	size_t n = 0;

	if (full)
		return d->original;
	header = str_slice(d->original, 0, header_length(d->original));
	if (header.n <= DSN_HEADER)
		return header;
	for (rest = header; header_next(&rest, &field) && n + field.raw.n <= DSN_HEADER;)
		n += field.raw.n;
	return str_slice(header, 0, n);
}

/* One that occurs nowhere in what goes back or in the text. */
static const struct fail *choose_boundary(struct printer *p)
{
	for (unsigned i = 0; i < DSN_BOUNDARY_TRIES; i++) {
		p->boundary =
		    str_format(p->a, "=_report_%llx_%u", (unsigned long long)p->d->date, i);
		if (str_find_str(p->original, p->boundary) == SIZE_MAX &&
		    str_find_str(p->text, p->boundary) == SIZE_MAX)
			return NULL;
	}
	return fail_new(p->a, FAIL_INVALID, "no boundary is free");
}

/* RFC 3464 2, RFC 6533 4. The whole is named after it too (RFC 6522 3). */
static str status_type(const struct dsn *d)
{
	return d->utf8 ? S("global-delivery-status") : S("delivery-status");
}

static void put_message_header(struct printer *p)
{
	const struct dsn *d = p->d;

	header_start(&p->h, S("From"));
	header_add_address(&p->h, d->from_name, d->from);
	header_end(&p->h);
	header_start(&p->h, S("To"));
	header_add_address(&p->h, STR_NONE, d->to);
	header_end(&p->h);
	header_put_text(&p->h, S("Subject"), d->subject);
	header_put(&p->h, S("Date"), date_print(p->a, d->date, 0));
	header_put(&p->h, S("Message-ID"), d->message_id);
	header_put(&p->h, S("Auto-Submitted"), S("auto-replied")); /* RFC 3834 5 */
	header_put(&p->h, S("MIME-Version"), S("1.0"));
	header_start(&p->h, S("Content-Type"));
	header_add(&p->h, S("multipart/report"));
	header_add_param(&p->h, S("report-type"), status_type(d));
	header_add_param(&p->h, S("boundary"), p->boundary);
	header_end(&p->h);
	if (d->utf8 || !str_is_ascii(p->original)) /* RFC 2045 6.4: as wide as its widest part */
		header_put(&p->h, S("Content-Transfer-Encoding"), S("8bit"));
	buf_add(p->out, S("\r\n"));
}

static void put_boundary(struct printer *p, str tail)
{
	buf_add(p->out, S("\r\n--"));
	buf_add(p->out, p->boundary);
	buf_add(p->out, tail);
	buf_add(p->out, S("\r\n"));
}

static bool line_too_long(str text)
{
	for (size_t end; text.n > DSN_LINE; text = str_skip(text, end + 2)) {
		end = str_find_str(text, S("\r\n"));
		if (end == SIZE_MAX || end > DSN_LINE)
			return true;
	}
	return false;
}

/* Line ends as CRLF, NUL and other controls but HTAB out. */
static str canonical_text(struct arena *a, str text)
{
	struct buf *out = buf_new(a, text.n * 2 + 1);

	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '\n')
			buf_add(out, S("\r\n"));
		else if (!char_is(text.p[i], CHAR_CTL) || text.p[i] == '\t')
			buf_add_byte(out, text.p[i]);
	}
	return buf_str(out);
}

static void put_text(struct printer *p)
{
	bool encode = !str_is_ascii(p->text) || line_too_long(p->text);

	put_boundary(p, STR_NONE);
	header_start(&p->h, S("Content-Type"));
	header_add(&p->h, S("text/plain"));
	header_add_param(&p->h, S("charset"), S("utf-8"));
	header_end(&p->h);
	if (p->d->language.n)
		header_put(&p->h, S("Content-Language"), p->d->language);
	header_put(&p->h, S("Content-Transfer-Encoding"),
		   encode ? S("quoted-printable") : S("7bit"));
	buf_add(p->out, S("\r\n"));
	if (encode)
		qp_encode(p->out, p->text);
	else
		buf_add(p->out, p->text);
}

/* "\x{E9}" for what is not ASCII, RFC 6533 3 (utf-8-addr-xtext). */
static str unicode_as_ascii(struct arena *a, str text)
{
	struct buf *out = buf_new(a, text.n * 10 + 16);

	for (size_t i = 0, n; i < text.n; i += n) {
		u32 code = '?';
		bool good = utf8_next(text, i, &code, &n);
		if (!good || code > 0x7E || code == '\\')
			buf_printf(out, "\\x{%X}", good ? code : '?');
		else
			buf_add_byte(out, (u8)code);
	}
	return buf_str(out);
}

/* Field: type; value */
static void put_typed(struct printer *p, str name, str type, str value)
{
	header_start(&p->h, name);
	header_add(&p->h, type);
	header_add_close(&p->h, S(";"));
	header_add(&p->h, value);
	header_end(&p->h);
}

static void put_address(struct printer *p, str name, str type, str address)
{
	if (type.n == 0)
		type = str_is_ascii(address) ? S("rfc822") : S("utf-8");
	if (!p->d->utf8 && !str_is_ascii(address))
		address = unicode_as_ascii(p->a, address);
	put_typed(p, name, type, address);
}

static void put_date(struct printer *p, str name, i64 ms)
{
	if (ms)
		header_put(&p->h, name, date_print(p->a, ms, 0));
}

/* What a peer said, as printable ASCII of bounded length. */
static str printable(struct arena *a, str text)
{
	struct buf *out = buf_new(a, DSN_DIAGNOSTIC);

	for (size_t i = 0; i < text.n && out->n < DSN_DIAGNOSTIC; i++)
		buf_add_byte(out,
			     char_is(text.p[i], CHAR_VCHAR) || text.p[i] == ' ' ? text.p[i] : '?');
	return str_trim(buf_str(out));
}

/* RFC 3464 2.3.6; without a peer it is no SMTP diagnostic. */
static void put_diagnostic(struct printer *p, const struct dsn_recipient *r)
{
	str rest = printable(p->a, r->diagnostic);

	if (rest.n == 0)
		return;
	header_start(&p->h, S("Diagnostic-Code"));
	header_add(&p->h, r->remote_mta.n ? S("smtp") : S("x-postern"));
	header_add_close(&p->h, S(";"));
	for (size_t blank; rest.n; rest = str_skip(rest, blank == SIZE_MAX ? blank : blank + 1)) {
		str word;
		blank = str_find(rest, ' ');
		word = str_slice(rest, 0, blank);
		if (word.n)
			header_add(&p->h, word);
	}
	header_end(&p->h);
}

/* Per-recipient fields, RFC 3464 2.3, in its order. */
static void put_recipient(struct printer *p, const struct dsn_recipient *r)
{
	buf_add(p->out, S("\r\n"));
	if (r->original.n)
		put_address(p, S("Original-Recipient"), r->original_type, r->original);
	put_address(p, S("Final-Recipient"), STR_NONE, r->final);
	header_put(&p->h, S("Action"), str_cstr(action_name(r->action)));
	header_put(&p->h, S("Status"), r->status);
	if (r->remote_mta.n)
		put_typed(p, S("Remote-MTA"), S("dns"), printable(p->a, r->remote_mta));
	put_diagnostic(p, r);
	put_date(p, S("Last-Attempt-Date"), r->last_attempt);
	if (r->action == DSN_DELAYED)
		put_date(p, S("Will-Retry-Until"), r->will_retry_until);
}

/* RFC 3464 2.1; RFC 6533 4.1 with UTF-8. */
static void put_status(struct printer *p)
{
	const struct dsn *d = p->d;

	put_boundary(p, STR_NONE);
	header_put(&p->h, S("Content-Type"),
		   str_format(p->a, "message/%.*s", STR_ARG(status_type(d))));
	if (d->utf8)
		header_put(&p->h, S("Content-Transfer-Encoding"), S("8bit"));
	buf_add(p->out, S("\r\n"));
	if (d->envelope_id.n) { /* RFC 3461 6.3: as xtext when it would not fit a line */
		struct buf *id = buf_new(p->a, d->envelope_id.n * 3 + 1);
		xtext_encode(id, d->envelope_id);
		header_put(&p->h, S("Original-Envelope-Id"),
			   str_is_ascii(d->envelope_id) ? d->envelope_id : buf_str(id));
	}
	put_typed(p, S("Reporting-MTA"), S("dns"), d->reporting_mta);
	put_date(p, S("Arrival-Date"), d->arrival);
	for (size_t i = 0; i < d->recipients_n; i++)
		put_recipient(p, &d->recipients[i]);
}

/* RFC 3461 6.2, RFC 6522 3: the third part. RFC 6533 4: message/global when its header is UTF-8. */
static void put_original(struct printer *p)
{
	str header = str_slice(p->original, 0, header_length(p->original));
	bool global = p->d->utf8 && !str_is_ascii(header) && str_is_utf8(header);
	str type = p->full ? (global ? S("message/global") : S("message/rfc822"))
			   : (global ? S("message/global-headers") : S("text/rfc822-headers"));

	put_boundary(p, STR_NONE);
	header_put(&p->h, S("Content-Type"), type);
	if (!str_is_ascii(p->original))
		header_put(&p->h, S("Content-Transfer-Encoding"), S("8bit"));
	buf_add(p->out, S("\r\n"));
	buf_add(p->out, p->original);
}

const struct fail *dsn_print(struct arena *a, const struct dsn *d, struct buf *out)
{
	bool full = d->return_full && any_failed(d);
	struct printer p = { .a = a, .d = d, .out = out, .full = full };

	TRY(check(a, d));
	p.original = choose_original(d, full);
	p.text = canonical_text(a, d->text);
	TRY(choose_boundary(&p));
	header_builder_init(&p.h, out);
	p.h.utf8 = d->utf8;
	put_message_header(&p);
	buf_add(out, S("This is a delivery report in MIME format.\r\n"));
	put_text(&p);
	put_status(&p);
	put_original(&p);
	put_boundary(&p, S("--"));
	return p.h.bad ? fail_new(a, FAIL_INVALID, "a value that no header field may have") : NULL;
}
