#include "text/token.h"

#include "base/arena.h"
#include "text/encoding.h"

void encoding_blank_controls(u8 *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (char_is(p[i], CHAR_CTL))
			p[i] = ' ';
}

static u8 next(struct scan *s)
{
	u8 byte = s->rest.p[0];

	s->rest = str_skip(s->rest, 1);
	return byte;
}

/* CR and LF of a fold are no content; the blank behind them is. */
static void add_content(struct buf *out, u8 byte)
{
	if (out && !char_is(byte, CHAR_CRLF))
		buf_add_byte(out, byte);
}

void token_comment(struct scan *s, struct buf *text, bool *broken)
{
	size_t depth = 0;

	while (!scan_end(s)) {
		u8 byte = next(s);
		if (byte == '(' && depth++ == 0)
			continue;
		if (byte == ')' && --depth == 0)
			return;
		if (byte == '\\' && !scan_end(s))
			byte = next(s);
		add_content(text, byte);
	}
	*broken = true;
}

void token_cfws0(struct scan *s, bool *broken)
{
	str blanks;

	for (;;) {
		scan_span0(s, CHAR_WSP | CHAR_CRLF, &blanks);
		if (scan_peek(s) != '(')
			return;
		token_comment(s, NULL, broken);
	}
}

void token_quoted(struct scan *s, struct buf *out, bool *broken)
{
	next(s);
	while (!scan_end(s)) {
		u8 byte = next(s);
		if (byte == '"')
			return;
		if (byte == '\\' && !scan_end(s))
			byte = next(s);
		add_content(out, byte);
	}
	*broken = true;
}

str token_clean(struct arena *a, str bytes)
{
	u8 *p = arena_alloc(a, bytes.n);
	size_t n = 0;

	for (size_t i = 0; i < bytes.n; i++) {
		bool fold = bytes.n - i > 2 && bytes.p[i] == '\r' && bytes.p[i + 1] == '\n' &&
			    char_is(bytes.p[i + 2], CHAR_WSP);
		if (fold)
			i += 2;
		p[n++] = bytes.p[i];
	}
	encoding_blank_controls(p, n);
	return str_from(p, n);
}
