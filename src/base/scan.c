#include "base/scan.h"

bool scan_end(const struct scan *s)
{
	return s->rest.n == 0;
}

int scan_peek(const struct scan *s)
{
	return s->rest.n ? s->rest.p[0] : -1;
}

static str advance(struct scan *s, size_t n)
{
	str taken = { s->rest.p, n };

	s->rest = str_skip(s->rest, n);
	return taken;
}

bool scan_byte(struct scan *s, u8 byte)
{
	if (scan_peek(s) != byte)
		return false;
	advance(s, 1);
	return true;
}

bool scan_lit(struct scan *s, str literal)
{
	if (!str_starts_nocase(s->rest, literal))
		return false;
	advance(s, literal.n);
	return true;
}

bool scan_span0(struct scan *s, unsigned classes, str *out)
{
	size_t n = 0;

	while (n < s->rest.n && char_is(s->rest.p[n], classes))
		n++;
	*out = advance(s, n);
	return true;
}

bool scan_span(struct scan *s, unsigned classes, str *out)
{
	if (s->rest.n == 0 || !char_is(s->rest.p[0], classes))
		return false;
	return scan_span0(s, classes, out);
}

bool scan_until(struct scan *s, u8 byte, str *out)
{
	size_t n = str_find(s->rest, byte);

	if (n == SIZE_MAX)
		return false;
	*out = advance(s, n);
	return true;
}

bool scan_take(struct scan *s, size_t n, str *out)
{
	if (s->rest.n < n)
		return false;
	*out = advance(s, n);
	return true;
}

bool scan_u64(struct scan *s, u64 *out)
{
	struct scan saved = *s;
	str digits;

	if (scan_span(s, CHAR_DIGIT, &digits) && str_u64(digits, out))
		return true;
	*s = saved;
	return false;
}

bool scan_u32(struct scan *s, u32 *out)
{
	struct scan saved = *s;
	u64 value;

	if (scan_u64(s, &value) && value <= UINT32_MAX) {
		*out = (u32)value;
		return true;
	}
	*s = saved;
	return false;
}

bool scan_sp(struct scan *s)
{
	return scan_byte(s, ' ');
}

bool scan_wsp0(struct scan *s)
{
	str skipped;

	return scan_span0(s, CHAR_WSP, &skipped);
}
