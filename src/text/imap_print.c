/* Builders of IMAP responses. Contract in imap_print.h. */
#include <string.h>

#include "base/chars.h"
#include "text/date.h"
#include "text/encoding.h"
#include "text/imap_print.h"
#include "text/imap_scan.h"

#define EIGHT(byte) (0x0101010101010101u * (byte))

/* Eight bytes at once, each of them CHAR_PLAIN. A borrow or carry out of a byte comes only from one that is not. */
static bool eight_plain(const u8 *p)
{
	u64 w;

	memcpy(&w, p, sizeof w);
	return ((w | (w - EIGHT(0x20)) | (w + EIGHT(1)) | ((w ^ EIGHT('"')) - EIGHT(1)) |
		 ((w ^ EIGHT('\\')) - EIGHT(1))) &
		EIGHT(0x80)) == 0;
}

/* How many of its bytes want a backslash; SIZE_MAX when it cannot be quoted. */
static size_t escapes(str s)
{
	size_t n = 0;

	if (s.n > IMAP_QUOTED)
		return SIZE_MAX;
	for (size_t i = 0; i < s.n; i++) {
		while (s.n - i > 8 && eight_plain(s.p + i))
			i += 8;
		if (char_is(s.p[i], CHAR_PLAIN))
			continue;
		if (s.p[i] != '"' && s.p[i] != '\\')
			return SIZE_MAX;
		n++;
	}
	return n;
}

/* Most of an ENVELOPE goes through here. */
static void put_quoted(struct buf *b, str s, size_t escaped)
{
	u8 *at = buf_room(b, s.n + escaped + 2), *to = at;

	if (at == NULL)
		return;
	*to++ = '"';
	for (size_t i = 0; i < s.n && escaped; i++) {
		if (!char_is(s.p[i], CHAR_PLAIN))
			*to++ = '\\';
		*to++ = s.p[i];
	}
	if (s.n && !escaped)
		to = (u8 *)mempcpy(to, s.p, s.n);
	*to++ = '"';
	buf_added(b, (size_t)(to - at));
}

void imap_put_literal(struct buf *b, u64 n)
{
	buf_add_byte(b, '{');
	buf_add_u64(b, n);
	buf_add(b, S("}\r\n"));
}

void imap_put_string(struct buf *b, str s)
{
	size_t escaped = escapes(s);

	if (escaped != SIZE_MAX) {
		put_quoted(b, s, escaped);
		return;
	}
	imap_put_literal(b, s.n);
	for (size_t nul; (nul = str_find(s, 0)) != SIZE_MAX; s = str_skip(s, nul + 1)) {
		buf_add(b, str_slice(s, 0, nul));
		buf_add_byte(b, '?');
	}
	buf_add(b, s);
}

void imap_put_nstring(struct buf *b, str s)
{
	if (s.n == 0)
		buf_add(b, S("NIL"));
	else
		imap_put_string(b, s);
}

void imap_put_text(struct buf *b, str s)
{
	if (s.n == 0)
		buf_add(b, S("done"));
	for (size_t i = 0; i < s.n; i++) {
		u8 c = s.p[i];

		/* A '[' in front would be read as a response code. */
		if (c < 0x20 || c > 0x7E)
			c = '?';
		else if (c == '[' && i == 0)
			c = '(';
		buf_add_byte(b, c);
	}
}

void imap_put_flags(struct buf *b, u64 flags, bool recent, unsigned first, const str *keywords,
		    size_t n)
{
	str space = STR_NONE;

	buf_add_byte(b, '(');
	for (size_t i = 0; i < ARRAY_LEN(imap_flag_names); i++)
		if (flags >> i & 1) {
			buf_add(b, space);
			buf_add(b, imap_flag_names[i]);
			space = S(" ");
		}
	if (recent) {
		buf_add(b, space);
		buf_add(b, S("\\Recent"));
		space = S(" ");
	}
	for (size_t i = 0; i < n && first + i < 64; i++)
		if (flags >> (first + i) & 1) {
			buf_add(b, space);
			buf_add(b, keywords[i]);
			space = S(" ");
		}
	buf_add_byte(b, ')');
}

void imap_put_mailbox(struct buf *b, str utf8)
{
	struct buf name;

	buf_init(&name, 4 * utf8.n + 16);
	if (utf7_encode(&name, utf8))
		imap_put_string(b, buf_str(&name));
	else
		imap_put_string(b, S("?"));
	buf_free(&name);
}

void imap_put_date(struct buf *b, struct arena *a, u64 ms)
{
	imap_put_string(b, date_print_imap(a, (i64)(ms > INT64_MAX ? INT64_MAX : ms), 0));
}

static void put_range(struct buf *b, const struct imap_set_printer *p)
{
	buf_add_u64(b, p->low);
	if (p->high == p->low)
		return;
	buf_add_byte(b, ':');
	buf_add_u64(b, p->high);
}

void imap_put_set_number(struct buf *b, struct imap_set_printer *p, u32 low, u32 high)
{
	if (p->any && low == (u64)p->high + 1) {
		p->high = high;
		return;
	}
	if (p->any) {
		put_range(b, p);
		buf_add_byte(b, ',');
	}
	*p = (struct imap_set_printer){ low, high, true };
}

void imap_put_set_end(struct buf *b, struct imap_set_printer *p)
{
	if (p->any)
		put_range(b, p);
	p->any = false;
}
