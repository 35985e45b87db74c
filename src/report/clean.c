#include "report/clean.h"

#include <arpa/inet.h>

#include "base/chars.h"

static str cut(str s, size_t max)
{
	size_t n = s.n < max ? s.n : max;

	while (n < s.n && n && (s.p[n] & 0xC0) == 0x80)
		n--;
	return str_slice(s, 0, n);
}

str clean_text(struct arena *a, str s)
{
	str whole = cut(str_trim(s), CLEAN_TEXT);
	bool utf8 = str_is_utf8(whole);
	u8 *out = arena_alloc(a, whole.n);

	for (size_t i = 0; i < whole.n; i++) {
		out[i] = whole.p[i];
		if (char_is(out[i], CHAR_CTL))
			out[i] = ' ';
		else if (out[i] >= 0x80 && !utf8)
			out[i] = '?';
	}
	return str_from(out, whole.n);
}

str clean_domain(struct arena *a, str s)
{
	s = str_trim(s);
	if (s.n && s.p[s.n - 1] == '.')
		s.n--;
	if (s.n > CLEAN_DOMAIN || !str_is_utf8(s))
		return STR_NONE;
	for (size_t i = 0; i < s.n; i++) {
		if (char_is(s.p[i], CHAR_CTL) || s.p[i] == ' ')
			return STR_NONE;
	}
	return str_lower(a, s);
}

str clean_ip(struct arena *a, str s)
{
	static const u8 mapped[12] = { [10] = 0xFF, [11] = 0xFF };
	u8 bytes[16];
	char text[INET6_ADDRSTRLEN];

	s = str_trim(s);
	if (s.n > 2 && s.p[0] == '[' && s.p[s.n - 1] == ']')
		s = str_slice(s, 1, s.n - 1);
	if (str_starts_nocase(s, S("IPv6:")))
		s = str_skip(s, 5);
	if (s.n == 0 || s.n >= sizeof text || str_has(s, 0))
		return STR_NONE;
	for (size_t i = 0; i < s.n; i++)
		text[i] = (char)s.p[i];
	text[s.n] = 0;
	if (inet_pton(AF_INET, text, bytes) == 1)
		return str_copy(a, str_from(bytes, 4));
	if (inet_pton(AF_INET6, text, bytes) != 1)
		return STR_NONE;
	if (str_eq(str_from(bytes, 12), str_from(mapped, 12)))
		return str_copy(a, str_from(bytes + 12, 4));
	return str_copy(a, str_from(bytes, 16));
}
