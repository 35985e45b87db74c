/* base64, RFC 4648 4 and RFC 2045 6.8. */
#include "text/encoding.h"

static const u8 digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Value plus one of each base64 digit; 0: none. */
static const u8 values[128] = {
	0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
	0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  63,
	0,  0,  0,  64, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 0,  0,  0,  0,  0,  0,  0,  1,
	2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23,
	24, 25, 26, 0,  0,  0,  0,  0,  0,  27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39,
	40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 0,  0,  0,  0,  0,
};

static unsigned value_of(u8 byte)
{
	return byte < 128 ? values[byte] : 0;
}

static void encode_group(u8 *out, const u8 *in, size_t n)
{
	u32 bits = (u32)in[0] << 16 | (n > 1 ? (u32)in[1] << 8 : 0) | (n > 2 ? in[2] : 0);

	out[0] = digits[bits >> 18];
	out[1] = digits[bits >> 12 & 63];
	out[2] = n > 1 ? digits[bits >> 6 & 63] : '=';
	out[3] = n > 2 ? digits[bits & 63] : '=';
}

void base64_encode(struct buf *out, str bytes)
{
	size_t groups = bytes.n / 3 + (bytes.n % 3 != 0);
	u8 *p;

	if (groups == 0)
		return;
	if (groups > out->max / 4) {
		out->full = true;
		return;
	}
	p = buf_room(out, groups * 4);
	if (p == NULL)
		return;
	for (size_t i = 0; i < groups; i++) {
		size_t left = bytes.n - i * 3;
		encode_group(p + i * 4, bytes.p + i * 3, left < 3 ? left : 3);
	}
	buf_added(out, groups * 4);
}

void base64_encode_lines(struct buf *out, str bytes)
{
	enum { LINE = ENCODING_LINE / 4 * 3 };

	for (size_t i = 0; i < bytes.n; i += LINE) {
		base64_encode(out, str_slice(bytes, i, i + LINE));
		buf_add(out, S("\r\n"));
	}
}

/* A group that ends the text: "xx==" or "xxx=", its unused bits zero. */
static bool decode_last(struct buf *out, const u8 *p)
{
	unsigned a = value_of(p[0]), b = value_of(p[1]), c = value_of(p[2]);
	unsigned bits;

	if (p[3] != '=' || !a || !b)
		return false;
	bits = (a - 1) << 10 | (b - 1) << 4;
	if (p[2] == '=') {
		if (bits & 0xFF)
			return false;
		buf_add_byte(out, (u8)(bits >> 8));
		return true;
	}
	if (!c || ((c - 1) & 3))
		return false;
	bits |= (c - 1) >> 2;
	buf_add(out, str_from((u8[]){ (u8)(bits >> 8), (u8)bits }, 2));
	return true;
}

/* Four digits are three bytes; false when one of them is no digit. */
static bool add_group(struct buf *out, const u8 *p)
{
	unsigned a = value_of(p[0]), b = value_of(p[1]), c = value_of(p[2]), d = value_of(p[3]);
	u32 bits;

	if (!a || !b || !c || !d)
		return false;
	bits = (a - 1) << 18 | (b - 1) << 12 | (c - 1) << 6 | (d - 1);
	buf_add(out, str_from((u8[]){ (u8)(bits >> 16), (u8)(bits >> 8), (u8)bits }, 3));
	return true;
}

bool base64_decode(struct buf *out, str text)
{
	if (text.n % 4)
		return false;
	for (size_t i = 0; i < text.n; i += 4)
		if (!add_group(out, text.p + i))
			return i + 4 == text.n && decode_last(out, text.p + i);
	return true;
}

void base64_finish(struct base64_reader *r, struct buf *out)
{
	u32 bits = r->bits << 6 * (4 - r->count);

	if (r->count >= 2)
		buf_add_byte(out, (u8)(bits >> 16));
	if (r->count == 3)
		buf_add_byte(out, (u8)(bits >> 8));
	*r = (struct base64_reader){ 0 };
}

void base64_read(struct base64_reader *r, str text, struct buf *out)
{
	for (size_t i = 0; i < text.n; i++) {
		unsigned value;
		if (r->count == 0 && text.n - i >= 4 && add_group(out, text.p + i)) {
			i += 3;
			continue;
		}
		value = value_of(text.p[i]);
		if (text.p[i] == '=')
			base64_finish(r, out);
		if (!value)
			continue;
		r->bits = r->bits << 6 | (value - 1);
		if (++r->count < 4)
			continue;
		buf_add(
		    out,
		    str_from((u8[]){ (u8)(r->bits >> 16), (u8)(r->bits >> 8), (u8)r->bits }, 3));
		*r = (struct base64_reader){ 0 };
	}
}
