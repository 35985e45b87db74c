#include "text/json_flat.h"

#include "base/arena.h"
#include "base/scan.h"
#include "text/shown.h"
#include "text/utf8.h"

/* The bytes of an escape (RFC 8259 7) that begins with the backslash at n; 0: it is none. */
static size_t escape_length(str s, size_t n)
{
	str behind = str_skip(s, n + 1);

	if (behind.n && str_has(S("\"\\/bfnrt"), behind.p[0]))
		return 2;
	if (behind.n < 5 || behind.p[0] != 'u')
		return 0;
	for (size_t i = 1; i < 5; i++)
		if (!char_is(behind.p[i], CHAR_HEXDIG))
			return 0;
	return 6;
}

/* A JSON string at the cursor; *out is what stands between the quotes, still escaped. */
static bool scan_string(struct scan *s, str *out)
{
	str rest;
	size_t n = 0, step;

	if (!scan_byte(s, '"'))
		return false;
	rest = s->rest;
	for (; n < rest.n && rest.p[n] != '"'; n += step) {
		step = rest.p[n] == '\\' ? escape_length(rest, n) : 1;
		if (step == 0 || char_is(rest.p[n], CHAR_CTL))
			return false;
	}
	return n < rest.n && scan_take(s, n, out) && scan_byte(s, '"');
}

static bool scan_number(struct scan *s, str *out)
{
	str from = s->rest, digits;

	scan_byte(s, '-');
	if (!scan_span(s, CHAR_DIGIT, &digits))
		return false;
	*out = str_slice(from, 0, from.n - s->rest.n);
	return true;
}

static bool scan_plain(struct scan *s, str *out)
{
	return scan_peek(s) == '"' ? scan_string(s, out) : scan_number(s, out);
}

/* What may follow a member or an item: a comma and another one, or the end. */
static bool scan_more(struct scan *s, u8 begin, u8 end)
{
	return scan_byte(s, ',') ? scan_peek(s) == begin : scan_peek(s) == end;
}

static bool scan_object(struct scan *s, str *out)
{
	str from = s->rest, name, value;

	if (!scan_byte(s, '{'))
		return false;
	while (scan_peek(s) == '"')
		if (!(scan_string(s, &name) && scan_byte(s, ':') && scan_plain(s, &value) &&
		      scan_more(s, '"', '}')))
			return false;
	if (!scan_byte(s, '}'))
		return false;
	*out = str_slice(from, 0, from.n - s->rest.n);
	return true;
}

/* *out: what stands between the brackets. */
static bool scan_list(struct scan *s, str *out)
{
	str from, object;

	if (!scan_byte(s, '['))
		return false;
	from = s->rest;
	while (scan_peek(s) == '{')
		if (!(scan_object(s, &object) && scan_more(s, '{', ']')))
			return false;
	*out = str_slice(from, 0, from.n - s->rest.n);
	return scan_byte(s, ']');
}

struct member {
	str name, value;
	bool is_list;
};

static bool scan_member(struct scan *s, struct member *m)
{
	if (!(scan_string(s, &m->name) && scan_byte(s, ':')))
		return false;
	m->is_list = scan_peek(s) == '[';
	return (m->is_list ? scan_list(s, &m->value) : scan_plain(s, &m->value)) &&
	       scan_more(s, '"', '}');
}

bool json_flat_valid(str json)
{
	struct scan s = scan_of(json);
	struct member m;

	if (!str_is_utf8(json) || !scan_byte(&s, '{'))
		return false;
	while (scan_peek(&s) == '"')
		if (!scan_member(&s, &m))
			return false;
	return scan_byte(&s, '}') && scan_end(&s);
}

static bool find(str json, str name, bool list, str *value)
{
	struct scan s = scan_of(json);
	struct member m;

	if (!scan_byte(&s, '{'))
		return false;
	while (scan_peek(&s) == '"' && scan_member(&s, &m))
		if (m.is_list == list && str_eq(m.name, name)) {
			*value = m.value;
			return true;
		}
	return false;
}

/* The bytes of a character at i that our own writers would have escaped, as a terminal would obey it; 0: it is none. */
static size_t hidden(str s, size_t i)
{
	u32 code;
	size_t n = 1;

	return !char_is(s.p[i], CHAR_PLAIN) && utf8_next(s, i, &code, &n) && shown_is_hidden(code)
		   ? n
		   : 0;
}

static str unescape(struct arena *a, str s)
{
	u8 *out = arena_alloc(a, s.n);
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		u8 byte = s.p[i];
		size_t skip = hidden(s, i);
		if (skip) {
			byte = '?', i += skip - 1;
		} else if (byte == '\\' && i + 1 < s.n) {
			byte = s.p[++i];
			if (byte == 'u')
				byte = '?', i += 4;
			else if (char_is(byte, CHAR_ALPHA)) /* \n and its like */
				byte = ' ';
		}
		out[n++] = byte;
	}
	return str_from(out, n);
}

bool json_flat_get(struct arena *a, str json, str name, str *out)
{
	str value;

	if (!find(json, name, false, &value))
		return false;
	*out = unescape(a, value);
	return true;
}

bool json_flat_i64(str json, str name, i64 *out)
{
	str text;
	u64 n;
	bool negative;

	if (!find(json, name, false, &text))
		return false;
	negative = str_starts(text, S("-"));
	if (!str_u64(str_skip(text, negative), &n) || n > INT64_MAX)
		return false;
	*out = negative ? -(i64)n : (i64)n;
	return true;
}

bool json_flat_list(str json, str name, str *list)
{
	return find(json, name, true, list);
}

bool json_flat_next(str *list, str *object)
{
	struct scan s = scan_of(*list);

	scan_byte(&s, ',');
	if (!scan_object(&s, object))
		return false;
	*list = s.rest;
	return true;
}
