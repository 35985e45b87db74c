#include "text/smtp_reply.h"

#include "base/arena.h"
#include "base/scan.h"
#include "text/charset.h"

void smtp_reply_start(struct smtp_reply_reader *r, struct arena *a)
{
	*r = (struct smtp_reply_reader){ .arena = a };
}

static const struct fail *no_reply(struct arena *a, const char *why)
{
	return fail_code(a, FAIL_UNAVAILABLE, "4.5.0", "bad reply of the server: %s", why);
}

/* Reply-code, RFC 5321 4.2: %x32-35 %x30-35 %x30-39. 1xx is of no use in SMTP. */
static bool scan_code(struct scan *s, u32 *code)
{
	str d;

	if (!scan_take(s, 3, &d) || d.p[0] < '2' || d.p[0] > '5' || d.p[1] < '0' || d.p[1] > '5' ||
	    !char_is(d.p[2], CHAR_DIGIT))
		return false;
	*code = (u32)(d.p[0] - '0') * 100 + (u32)(d.p[1] - '0') * 10 + (u32)(d.p[2] - '0');
	return true;
}

/* RFC 3463 2: class "." 1*3digit "." 1*3digit, then a blank or the end; its class that of the
 * reply. */
static bool scan_status(struct scan *s, u32 code, u8 *class_, u32 *subject, u32 *detail)
{
	struct scan saved = *s;
	str digit;

	if (scan_take(s, 1, &digit) && digit.p[0] == '0' + code / 100 && scan_byte(s, '.') &&
	    scan_u32(s, subject) && *subject < 1000 && scan_byte(s, '.') && scan_u32(s, detail) &&
	    *detail < 1000 && (scan_end(s) || scan_sp(s))) {
		*class_ = (u8)(digit.p[0] - '0');
		return true;
	}
	*s = saved;
	return false;
}

/* Controls become '?'; so do all 8-bit bytes of a line that is no UTF-8. */
static str clean(struct arena *a, str text)
{
	bool utf8 = str_is_utf8(text);
	u8 *p = arena_alloc(a, text.n);

	for (size_t i = 0; i < text.n; i++)
		p[i] = char_is(text.p[i], utf8 ? CHAR_CTL : CHAR_CTL | CHAR_8BIT) ? '?' : text.p[i];
	return str_from(p, text.n);
}

static void keep_line(struct smtp_reply_reader *r, str text)
{
	str *grown;

	if (r->lines_n == r->lines_cap) {
		r->lines_cap = r->lines_cap ? r->lines_cap * 2 : 4;
		grown = arena_array_of(r->arena, r->lines_cap, str);
		for (size_t i = 0; i < r->lines_n; i++)
			grown[i] = r->lines[i];
		r->lines = grown;
	}
	r->lines[r->lines_n++] = clean(r->arena, text);
}

const struct fail *smtp_reply_feed(struct smtp_reply_reader *r, str line, bool *done,
				   struct smtp_reply *out)
{
	struct scan s = scan_of(line);
	u32 code, subject, detail;
	bool more;
	u8 class_;

	*done = false;
	if (line.n > SMTP_REPLY_LINE || r->lines_n == SMTP_REPLY_LINES)
		return no_reply(r->arena, "too long");
	if (!scan_code(&s, &code))
		return no_reply(r->arena, "no reply code");
	if (r->lines_n && code != r->code)
		return no_reply(r->arena, "codes differ");
	more = scan_byte(&s, '-');
	if (!more && !scan_sp(&s) && !scan_end(&s)) /* "250" alone is seen, RFC 5321 4.2 */
		return no_reply(r->arena, "no reply code");
	r->code = code;
	if (scan_status(&s, code, &class_, &subject, &detail)) {
		r->class_ = class_;
		r->subject = subject;
		r->detail = detail;
	}
	keep_line(r, s.rest);
	*done = !more;
	*out =
	    (struct smtp_reply){ r->code, r->class_, r->subject, r->detail, r->lines, r->lines_n };
	return NULL;
}

str smtp_reply_status(struct arena *a, const struct smtp_reply *r)
{
	if (r->class_ == 0)
		return str_format(a, "%u.0.0", r->code / 100);
	return str_format(a, "%u.%u.%u", r->class_, r->subject, r->detail);
}

str smtp_reply_text(struct arena *a, const struct smtp_reply *r)
{
	struct buf *out = buf_new(a, SMTP_REPLY_TEXT);

	buf_printf(out, "%u", r->code);
	if (r->class_)
		buf_printf(out, " %u.%u.%u", r->class_, r->subject, r->detail);
	for (size_t i = 0; i < r->lines_n && out->n < SMTP_REPLY_TEXT; i++) {
		if (r->lines[i].n == 0)
			continue;
		buf_add_byte(out, ' ');
		buf_add(out, utf8_cut(r->lines[i], SMTP_REPLY_TEXT - out->n));
	}
	return buf_str(out);
}

bool smtp_reply_is(str text)
{
	struct scan s = scan_of(text);
	u32 code;

	return scan_code(&s, &code) && (scan_end(&s) || scan_sp(&s));
}

bool smtp_reply_extension(const struct smtp_reply *r, str keyword, str *params)
{
	for (size_t i = 1; i < r->lines_n; i++) {
		size_t space = str_find(r->lines[i], ' ');
		if (!str_eq_nocase(str_slice(r->lines[i], 0, space), keyword))
			continue;
		*params = space == SIZE_MAX ? STR_NONE : str_trim(str_skip(r->lines[i], space));
		return true;
	}
	return false;
}
