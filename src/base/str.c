#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/chars.h"
#include "base/check.h"

str str_cstr(const char *text)
{
	return text ? str_from(text, strlen(text)) : STR_NONE;
}

bool str_eq(str a, str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

int str_cmp(str a, str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int order = n ? memcmp(a.p, b.p, n) : 0;

	return order ? order : (a.n > b.n) - (a.n < b.n);
}

int str_cmp_nocase(str a, str b)
{
	size_t n = a.n < b.n ? a.n : b.n;

	for (size_t i = 0; i < n; i++) {
		int order = char_lower(a.p[i]) - char_lower(b.p[i]);
		if (order)
			return order;
	}
	return (a.n > b.n) - (a.n < b.n);
}

bool str_eq_nocase(str a, str b)
{
	return a.n == b.n && str_cmp_nocase(a, b) == 0;
}

bool str_starts(str s, str prefix)
{
	return s.n >= prefix.n && str_eq(str_slice(s, 0, prefix.n), prefix);
}

bool str_starts_nocase(str s, str prefix)
{
	return s.n >= prefix.n && str_eq_nocase(str_slice(s, 0, prefix.n), prefix);
}

bool str_ends_nocase(str s, str suffix)
{
	return s.n >= suffix.n && str_eq_nocase(str_skip(s, s.n - suffix.n), suffix);
}

size_t str_find(str s, u8 byte)
{
	const u8 *at = s.n ? memchr(s.p, byte, s.n) : NULL;

	return at ? (size_t)(at - s.p) : SIZE_MAX;
}

size_t str_find_last(str s, u8 byte)
{
	const u8 *at = s.n ? memrchr(s.p, byte, s.n) : NULL;

	return at ? (size_t)(at - s.p) : SIZE_MAX;
}

size_t str_find_str(str s, str needle)
{
	const u8 *at;

	if (needle.n == 0)
		return 0;
	at = s.n ? memmem(s.p, s.n, needle.p, needle.n) : NULL;
	return at ? (size_t)(at - s.p) : SIZE_MAX;
}

bool str_has(str s, u8 byte)
{
	return str_find(s, byte) != SIZE_MAX;
}

str str_slice(str s, size_t from, size_t to)
{
	if (to > s.n)
		to = s.n;
	if (from >= to)
		return STR_NONE;
	return (str){ s.p + from, to - from };
}

str str_skip(str s, size_t n)
{
	return str_slice(s, n, s.n);
}

str str_trim(str s)
{
	size_t from = 0, to = s.n;

	while (from < to && char_is(s.p[from], CHAR_WSP | CHAR_CRLF))
		from++;
	while (to > from && char_is(s.p[to - 1], CHAR_WSP | CHAR_CRLF))
		to--;
	return str_slice(s, from, to);
}

str str_copy(struct arena *a, str s)
{
	u8 *p = arena_alloc(a, s.n);

	if (s.n)
		memcpy(p, s.p, s.n);
	return (str){ p, s.n };
}

str str_lower(struct arena *a, str s)
{
	u8 *p = arena_alloc(a, s.n);

	for (size_t i = 0; i < s.n; i++)
		p[i] = char_lower(s.p[i]);
	return (str){ p, s.n };
}

/* What is short is written once and copied; only what is long is written twice. A NUL stands behind it. */
str str_format(struct arena *a, const char *format, ...)
{
	char first[256], *p;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(first, sizeof first, format, args);
	va_end(args);
	CHECK(n >= 0);
	p = arena_alloc(a, (size_t)n + 1);
	if ((size_t)n < sizeof first) {
		memcpy(p, first, (size_t)n);
		return str_from(p, (size_t)n);
	}
	va_start(args, format);
	vsnprintf(p, (size_t)n + 1, format, args);
	va_end(args);
	return str_from(p, (size_t)n);
}

const char *cstr(struct arena *a, str s)
{
	char *p;

	if (str_has(s, 0))
		return NULL;
	p = arena_alloc(a, s.n + 1);
	if (s.n)
		memcpy(p, s.p, s.n);
	p[s.n] = 0;
	return p;
}

bool str_u64(str s, u64 *out)
{
	u64 value = 0;

	if (s.n == 0)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (!char_is(s.p[i], CHAR_DIGIT))
			return false;
		if (__builtin_mul_overflow(value, 10u, &value) ||
		    __builtin_add_overflow(value, (u64)(s.p[i] - '0'), &value))
			return false;
	}
	*out = value;
	return true;
}

bool str_is_ascii(str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] > 0x7F)
			return false;
	return true;
}

/* Length of the well-formed sequence at s.p[i] (RFC 3629 4, UTF8-octets), 0 when malformed. */
static size_t utf8_length(str s, size_t i)
{
	u8 lead = s.p[i], low = 0x80, high = 0xBF;
	size_t n;

	if (lead < 0x80)
		return 1;
	if (lead >= 0xC2 && lead <= 0xDF)
		n = 2;
	else if (lead >= 0xE0 && lead <= 0xEF)
		n = 3;
	else if (lead >= 0xF0 && lead <= 0xF4)
		n = 4;
	else
		return 0;
	if (lead == 0xE0)
		low = 0xA0;
	if (lead == 0xED)
		high = 0x9F;
	if (lead == 0xF0)
		low = 0x90;
	if (lead == 0xF4)
		high = 0x8F;
	if (s.n - i < n || s.p[i + 1] < low || s.p[i + 1] > high)
		return 0;
	for (size_t k = 2; k < n; k++)
		if (s.p[i + k] < 0x80 || s.p[i + k] > 0xBF)
			return 0;
	return n;
}

/* Eight ASCII bytes at a time: most mail is nothing else. */
static size_t skip_ascii(str s, size_t i)
{
	for (u64 eight; s.n - i >= sizeof eight; i += sizeof eight) {
		memcpy(&eight, s.p + i, sizeof eight);
		if (eight & 0x8080808080808080u)
			break;
	}
	return i;
}

bool str_is_utf8(str s)
{
	size_t i = skip_ascii(s, 0);

	while (i < s.n) {
		size_t n = utf8_length(s, i);
		if (n == 0)
			return false;
		i += n;
		if (n > 1)
			i = skip_ascii(s, i);
	}
	return true;
}
