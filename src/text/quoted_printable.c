/* Quoted-printable, RFC 2045 6.7. */
#include "text/encoding.h"

#include "base/chars.h"

static const u8 hex_upper[] = "0123456789ABCDEF";

static void let_blanks(struct qp_reader *r, struct buf *out)
{
	buf_add(out, str_from(r->blanks, r->blanks_n));
	r->blanks_n = 0;
}

/* What was held is no escape: it stands for itself. Blanks held came after its '='. */
static void let_held(struct qp_reader *r, struct buf *out)
{
	if (r->held_n)
		buf_add_byte(out, r->held[0]);
	let_blanks(r, out);
	if (r->held_n > 1)
		buf_add_byte(out, r->held[1]);
	r->held_n = 0;
}

static void hold_blank(struct qp_reader *r, u8 byte, struct buf *out)
{
	if (r->blanks_n == sizeof r->blanks)
		let_held(r, out);
	r->blanks[r->blanks_n++] = byte;
}

/* A byte after "=": true when it was used up. */
static bool read_escape(struct qp_reader *r, u8 byte, struct buf *out)
{
	if (byte == '\n' && (r->held_n == 1 || r->held[1] == '\r')) { /* soft line break */
		r->held_n = 0;
		r->blanks_n = 0;
		return true;
	}
	if (r->held_n == 1 && (byte == '\r' || (char_hex(byte) >= 0 && r->blanks_n == 0))) {
		r->held[r->held_n++] = byte;
		return true;
	}
	if (r->held_n == 1 && char_is(byte, CHAR_WSP)) {
		hold_blank(r, byte, out);
		return true;
	}
	if (r->held_n == 2 && r->held[1] != '\r' && char_hex(byte) >= 0) {
		buf_add_byte(out, (u8)(char_hex(r->held[1]) << 4 | char_hex(byte)));
		r->held_n = 0;
		return true;
	}
	let_held(r, out);
	return false;
}

static void read_plain(struct qp_reader *r, u8 byte, struct buf *out)
{
	if (char_is(byte, CHAR_WSP)) {
		hold_blank(r, byte, out);
		return;
	}
	if (byte == '\r' || byte == '\n')
		r->blanks_n = 0; /* RFC 2045 6.7 (3) */
	let_blanks(r, out);
	if (byte == '=')
		r->held[r->held_n++] = byte;
	else
		buf_add_byte(out, byte);
}

void qp_read(struct qp_reader *r, str text, struct buf *out)
{
	for (size_t i = 0; i < text.n; i++)
		if (r->held_n == 0 || !read_escape(r, text.p[i], out))
			read_plain(r, text.p[i], out);
}

void qp_finish(struct qp_reader *r, struct buf *out)
{
	if (r->held_n != 1) /* "=" at the very end is a soft break */
		let_held(r, out);
	*r = (struct qp_reader){ 0 };
}

static bool is_line_end(str text, size_t i)
{
	return i + 1 < text.n && text.p[i] == '\r' && text.p[i + 1] == '\n';
}

static bool is_literal(str text, size_t i)
{
	u8 byte = text.p[i];

	if (char_is(byte, CHAR_WSP))
		return i + 1 < text.n && !is_line_end(text, i + 1);
	return byte != '=' && char_is(byte, CHAR_VCHAR);
}

void qp_encode(struct buf *out, str text)
{
	size_t column = 0;

	for (size_t i = 0; i < text.n; i++) {
		size_t width = is_literal(text, i) ? 1 : 3;
		if (is_line_end(text, i)) {
			buf_add(out, S("\r\n"));
			column = 0;
			i++;
			continue;
		}
		if (column + width > ENCODING_LINE - 1) {
			buf_add(out, S("=\r\n"));
			column = 0;
		}
		column += width;
		if (width == 1)
			buf_add_byte(out, text.p[i]);
		else
			buf_add(out, str_from((u8[]){ '=', hex_upper[text.p[i] >> 4],
						      hex_upper[text.p[i] & 15] },
					      3));
	}
}
