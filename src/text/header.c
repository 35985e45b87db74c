#include "text/header.h"

#include "base/chars.h"
#include "base/scan.h"
#include "text/encoding.h"
#include "text/token.h"

/* Length of the first line with its CRLF; of everything when there is none. */
static size_t line_length(str bytes)
{
	size_t at = 0, n;

	while ((n = str_find(str_skip(bytes, at), '\n')) != SIZE_MAX) {
		at += n + 1;
		if (at >= 2 && bytes.p[at - 2] == '\r')
			return at;
	}
	return bytes.n;
}

static bool is_continued(str bytes, size_t at)
{
	return at < bytes.n && char_is(bytes.p[at], CHAR_WSP);
}

static size_t field_length(str bytes)
{
	size_t n = line_length(bytes);

	while (is_continued(bytes, n))
		n += line_length(str_skip(bytes, n));
	return n;
}

/* RFC 5322 3.6.8, with the blanks before the colon of 4.5.8. */
static void split_name(struct header_field *f)
{
	struct scan s = scan_of(f->raw);
	str name;

	f->name = STR_NONE;
	f->value = f->raw;
	if (scan_span(&s, CHAR_FTEXT, &name) && scan_wsp0(&s) && scan_byte(&s, ':')) {
		f->name = name;
		f->value = s.rest;
	}
	if (f->value.n >= 2 && str_eq(str_skip(f->value, f->value.n - 2), S("\r\n")))
		f->value = str_slice(f->value, 0, f->value.n - 2);
}

bool header_next(str *rest, struct header_field *out)
{
	size_t n;

	if (str_starts(*rest, S("\r\n"))) {
		*rest = str_skip(*rest, 2);
		return false;
	}
	if (rest->n == 0)
		return false;
	n = field_length(*rest);
	out->raw = str_slice(*rest, 0, n);
	split_name(out);
	*rest = str_skip(*rest, n);
	return true;
}

size_t header_length(str message)
{
	size_t n;

	if (str_starts(message, S("\r\n")))
		return 2;
	n = str_find_str(message, S("\r\n\r\n"));
	return n == SIZE_MAX ? message.n : n + 4;
}

bool header_find(str header, str name, size_t n, struct header_field *out)
{
	while (header_next(&header, out))
		if (out->name.n && str_eq_nocase(out->name, name) && n-- == 0)
			return true;
	return false;
}

size_t header_count(str header, str name)
{
	struct header_field field;
	size_t n = 0;

	while (header_next(&header, &field))
		if (field.name.n && str_eq_nocase(field.name, name))
			n++;
	return n;
}

str header_unfold(struct arena *a, str value)
{
	str clean = token_clean(a, str_trim(value));

	return str_trim(clean);
}

str header_text(struct arena *a, str value)
{
	return words_decode(a, header_unfold(a, value));
}
