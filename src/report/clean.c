#include "report/clean.h"

#include <arpa/inet.h>

#include "text/charset.h"
#include "text/shown.h"

str clean_text(struct arena *a, str s)
{
	return shown_line(a, utf8_cut(str_trim(s), CLEAN_TEXT), ' ');
}

str clean_domain(struct arena *a, str s)
{
	s = str_trim(s);
	if (s.n && s.p[s.n - 1] == '.')
		s.n--;
	if (s.n > CLEAN_DOMAIN || str_has(s, ' ') || !str_eq(s, shown_line(a, s, ' ')))
		return STR_NONE;
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
