/*
 * str: pointer and length, read-only, passed by value. Borrows its bytes; lives as long as they do.
 *
 * Network data is never a C string. Bytes are unsigned and may be anything, NUL included.
 * An empty str may have p == NULL. A NUL-terminated string is made by cstr(), at the OS border only.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include "base/types.h"

typedef struct {
	const u8 *p;
	size_t n;
} str;

struct arena;

/* A str from a string literal. */
#define S(literal) ((str){ (const u8 *)("" literal), sizeof(literal) - 1 })
#define STR_NONE ((str){ NULL, 0 })
/* For printf's "%.*s", in texts for people and logs only. */
#define STR_ARG(s) (int)(s).n, (const char *)(s).p

static inline str str_from(const void *p, size_t n)
{
	return (str){ p, n };
}
str str_cstr(const char *text); /* borrows; text may be NULL */

bool str_eq(str a, str b);
bool str_eq_nocase(str a, str b); /* ASCII only */
int str_cmp(str a, str b);        /* bytewise, shorter first when a prefix */
int str_cmp_nocase(str a, str b);
bool str_starts(str s, str prefix);
bool str_starts_nocase(str s, str prefix);
bool str_ends_nocase(str s, str suffix);
bool str_has(str s, u8 byte);
/* Index of the first byte or of the first occurrence; SIZE_MAX when absent. */
size_t str_find(str s, u8 byte);
size_t str_find_last(str s, u8 byte);
size_t str_find_str(str s, str needle);

str str_slice(str s, size_t from, size_t to); /* clamped to s: never reads past it */
str str_skip(str s, size_t n);                /* all but the first n bytes */
str str_trim(str s);                          /* without SP, HTAB, CR, LF at both ends */

/* Copies that live as long as the arena. */
str str_copy(struct arena *a, str s);
str str_lower(struct arena *a, str s); /* ASCII only */
str str_format(struct arena *a, const char *format, ...) PRINTF(2, 3);
/* NULL when s holds a NUL byte. */
const char *cstr(struct arena *a, str s) NODISCARD;

/* Whole of s as a decimal number; false on anything else or overflow. */
bool str_u64(str s, u64 *out) NODISCARD;
/* Valid UTF-8 as RFC 3629 3 has it: no overlong forms, no surrogates, at most U+10FFFF. */
bool str_is_utf8(str s);
bool str_is_ascii(str s); /* no byte over 0x7F */

#endif
