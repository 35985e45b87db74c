/* hex, and xtext of RFC 3461 4. */
#include "text/encoding.h"

#include "base/chars.h"

static const u8 hex_lower[] = "0123456789abcdef", hex_upper[] = "0123456789ABCDEF";

void hex_encode(struct buf *out, str bytes)
{
	for (size_t i = 0; i < bytes.n; i++)
		buf_add(
		    out,
		    str_from((u8[]){ hex_lower[bytes.p[i] >> 4], hex_lower[bytes.p[i] & 15] }, 2));
}

bool hex_decode(struct buf *out, str text)
{
	if (text.n % 2)
		return false;
	for (size_t i = 0; i < text.n; i += 2) {
		int high = char_hex(text.p[i]), low = char_hex(text.p[i + 1]);
		if (high < 0 || low < 0)
			return false;
		buf_add_byte(out, (u8)(high << 4 | low));
	}
	return true;
}

void xtext_encode(struct buf *out, str text)
{
	for (size_t i = 0; i < text.n; i++) {
		u8 byte = text.p[i];
		if (char_is(byte, CHAR_XCHAR))
			buf_add_byte(out, byte);
		else
			buf_add(
			    out,
			    str_from((u8[]){ '+', hex_upper[byte >> 4], hex_upper[byte & 15] }, 3));
	}
}

static bool is_upper_hex(u8 byte)
{
	return char_hex(byte) >= 0 && !(byte >= 'a' && byte <= 'f');
}

bool xtext_decode(struct buf *out, str text)
{
	size_t start = out->n;

	for (size_t i = 0; i < text.n; i++) {
		u8 byte = text.p[i];
		if (byte == '+') {
			if (text.n - i < 3 || !is_upper_hex(text.p[i + 1]) ||
			    !is_upper_hex(text.p[i + 2]))
				return false;
			byte = (u8)(char_hex(text.p[i + 1]) << 4 | char_hex(text.p[i + 2]));
			if (char_is(byte, CHAR_CTL)) /* THREATS S18 */
				return false;
			i += 2;
		} else if (!char_is(byte, CHAR_XCHAR)) {
			return false;
		}
		buf_add_byte(out, byte);
	}
	return str_is_utf8(str_skip(buf_str(out), start));
}
