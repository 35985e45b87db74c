#include "text/utf8.h"

#include "text/charset.h"

/* What may stand behind a lead byte: RFC 3629 4. */
static size_t lead_length(u8 lead, u8 *low, u8 *high)
{
	*low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
	*high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
	if (lead < 0x80)
		return 1;
	if (lead >= 0xC2 && lead <= 0xDF)
		return 2;
	if (lead >= 0xE0 && lead <= 0xEF)
		return 3;
	return lead >= 0xF0 && lead <= 0xF4 ? 4 : 0;
}

bool utf8_next(str s, size_t i, u32 *code, size_t *n)
{
	u8 low, high;
	size_t length = lead_length(s.p[i], &low, &high);

	*n = 1;
	if (length == 0)
		return false;
	*code = length == 1 ? s.p[i] : s.p[i] & (0x7Fu >> length);
	for (; *n < length; ++*n) {
		if (*n >= s.n - i || s.p[i + *n] < low || s.p[i + *n] > high)
			return false;
		*code = *code << 6 | (s.p[i + *n] & 0x3F);
		low = 0x80;
		high = 0xBF;
	}
	return true;
}

void utf8_add(struct buf *out, u32 code)
{
	u8 p[4];
	size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;

	for (size_t i = n; i-- > 1; code >>= 6)
		p[i] = (u8)(0x80 | (code & 0x3F));
	p[0] = (u8)(n == 1 ? code : (0xF00u >> n & 0xFF) | code);
	buf_add(out, str_from(p, n));
}

void utf8_repair(str text, struct buf *out)
{
	for (size_t i = 0, n; i < text.n && !out->full; i += n) {
		u32 code;
		if (utf8_next(text, i, &code, &n))
			buf_add(out, str_slice(text, i, i + n));
		else
			buf_add(out, S("\xEF\xBF\xBD"));
	}
}

str utf8_cut(str s, size_t max)
{
	size_t end = max;

	if (s.n <= max)
		return s;
	while (end > 0 && max - end < 3 && (s.p[end] & 0xC0) == 0x80)
		end--;
	return str_slice(s, 0, end);
}
