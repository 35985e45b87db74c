/* Modified UTF-7 of IMAP mailbox names, RFC 3501 5.1.3. */
#include "text/encoding.h"

#include <string.h>

#include "text/utf8.h"

enum { UTF7_NAME = 64 * 1024 }; /* bytes that decoding may give before it is compared */

static const u8 digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/* UTF-16 units as base64 without padding, high bits first. */
struct shift {
	u32 bits;
	unsigned n;
	bool open;
};

static void shift_unit(struct shift *s, u32 unit, struct buf *out)
{
	if (!s->open)
		buf_add_byte(out, '&');
	s->open = true;
	s->bits = s->bits << 16 | unit;
	for (s->n += 16; s->n >= 6; s->n -= 6)
		buf_add_byte(out, digits[s->bits >> (s->n - 6) & 63]);
	s->bits &= (1u << s->n) - 1;
}

static void shift_end(struct shift *s, struct buf *out)
{
	if (s->n)
		buf_add_byte(out, digits[s->bits << (6 - s->n) & 63]);
	if (s->open)
		buf_add_byte(out, '-');
	*s = (struct shift){ 0 };
}

bool utf7_encode(struct buf *out, str utf8)
{
	struct shift s = { 0 };

	for (size_t i = 0, n; i < utf8.n; i += n) {
		u32 code;
		if (!utf8_next(utf8, i, &code, &n))
			return false;
		if (code >= 0x20 && code <= 0x7E) {
			shift_end(&s, out);
			buf_add_byte(out, (u8)code);
			if (code == '&')
				buf_add_byte(out, '-');
		} else if (code < 0x10000) {
			shift_unit(&s, code, out);
		} else {
			shift_unit(&s, 0xD800 + ((code - 0x10000) >> 10), out);
			shift_unit(&s, 0xDC00 + ((code - 0x10000) & 0x3FF), out);
		}
	}
	shift_end(&s, out);
	return true;
}

/* One UTF-16 unit; *high keeps a surrogate that waits for its other half. */
static bool take_unit(u32 unit, u32 *high, struct buf *out)
{
	bool low = unit >= 0xDC00 && unit <= 0xDFFF;

	if ((*high != 0) != low)
		return false;
	if (unit >= 0xD800 && unit <= 0xDBFF) {
		*high = unit;
		return true;
	}
	if (low)
		unit = 0x10000 + ((*high - 0xD800) << 10) + (unit - 0xDC00);
	*high = 0;
	if (unit < 0x20 || (unit >= 0x7F && unit <= 0x9F))
		return false;
	utf8_add(out, unit);
	return true;
}

/* base64 between '&' and '-'. */
static bool decode_shifted(str text, struct buf *out)
{
	u32 bits = 0, high = 0;
	unsigned n = 0;

	for (size_t i = 0; i < text.n; i++) {
		const u8 *at = memchr(digits, text.p[i], 64);
		if (at == NULL)
			return false;
		bits = bits << 6 | (u32)(at - digits);
		n += 6;
		if (n < 16)
			continue;
		n -= 16;
		if (!take_unit(bits >> n & 0xFFFF, &high, out))
			return false;
		bits &= (1u << n) - 1;
	}
	return high == 0;
}

static bool decode_loose(str text, struct buf *out)
{
	for (size_t i = 0; i < text.n; i++) {
		size_t end;
		if (text.p[i] < 0x20 || text.p[i] > 0x7E)
			return false;
		if (text.p[i] != '&') {
			buf_add_byte(out, text.p[i]);
			continue;
		}
		end = str_find(str_skip(text, i), '-');
		if (end == SIZE_MAX)
			return false;
		if (end == 1)
			buf_add_byte(out, '&');
		else if (!decode_shifted(str_slice(text, i + 1, i + end), out))
			return false;
		i += end;
	}
	return true;
}

/* Strictness by proof: what was decoded must encode to the same text again. */
bool utf7_decode(struct buf *out, str text)
{
	struct buf name, again;
	bool good;

	buf_init(&name, UTF7_NAME);
	buf_init(&again, UTF7_NAME * 2);
	good = text.n <= UTF7_NAME && decode_loose(text, &name) && !name.full &&
	       utf7_encode(&again, buf_str(&name)) && str_eq(buf_str(&again), text);
	if (good)
		buf_add(out, buf_str(&name));
	buf_free(&name);
	buf_free(&again);
	return good;
}
