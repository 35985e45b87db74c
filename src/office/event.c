/* Codes, sentences, and the flat JSON objects that go with them. */
#include "office/event.h"

#include "base/scan.h"

static const struct row {
	str code, sentence;
} rows[] = {
#define EVENT(NAME, code, sentence) [EVENT_##NAME] = { S(code), S(sentence) },
#include "office/event.tbl"
#undef EVENT
};

str event_code_name(enum event_code code)
{
	return rows[code].code;
}

/* --- Writing ----------------------------------------------------------------------------------------------- */

struct event_args event_args_new(struct arena *a)
{
	struct event_args args = { .out = buf_new(a, EVENT_ARGUMENTS) };

	args.json = json_to(args.out);
	json_object(&args.json);
	return args;
}

/* At most EVENT_ARGUMENT bytes, not cut inside a character. */
static str shorten(str s)
{
	size_t n = s.n < EVENT_ARGUMENT ? s.n : EVENT_ARGUMENT;

	while (n < s.n && n && (s.p[n] & 0xC0) == 0x80)
		n--;
	return str_slice(s, 0, n);
}

/* Room for the longest member there can be, or it is left out whole. */
static bool begin_member(struct event_args *args, const char *name, size_t value_n)
{
	if (args->out->n + 6 * value_n + 64 > EVENT_ARGUMENTS)
		return false;
	json_key(&args->json, name);
	return true;
}

void event_args_str(struct event_args *args, const char *name, str value)
{
	value = shorten(value);
	if (begin_member(args, name, value.n))
		json_str(&args->json, value);
}

void event_args_u64(struct event_args *args, const char *name, u64 value)
{
	if (begin_member(args, name, 20))
		json_u64(&args->json, value);
}

str event_args_end(struct event_args *args)
{
	json_object_end(&args->json);
	return buf_str(args->out);
}

/* --- Reading ----------------------------------------------------------------------------------------------- */

/* A JSON string at the cursor; *out is what stands between the quotes, still escaped. */
static bool scan_json_string(struct scan *s, str *out)
{
	str rest;
	size_t n = 0;

	if (!scan_byte(s, '"'))
		return false;
	rest = s->rest;
	while (n < rest.n && rest.p[n] != '"') {
		if (char_is(rest.p[n], CHAR_CTL))
			return false;
		n += rest.p[n] == '\\' ? 2 : 1;
	}
	return n < rest.n && scan_take(s, n, out) && scan_byte(s, '"');
}

/* "name":"text" or "name":123, and what follows it. */
static bool scan_member(struct scan *s, str *name, str *value)
{
	bool ok =
	    scan_json_string(s, name) && scan_byte(s, ':') &&
	    (scan_peek(s) == '"' ? scan_json_string(s, value) : scan_span(s, CHAR_DIGIT, value));

	return ok && (scan_byte(s, ',') ? scan_peek(s) == '"' : scan_peek(s) == '}');
}

bool event_args_valid(str json)
{
	struct scan s = scan_of(json);
	str name, value;

	if (!str_is_utf8(json) || !scan_byte(&s, '{'))
		return false;
	while (scan_peek(&s) == '"') {
		if (!scan_member(&s, &name, &value))
			return false;
	}
	return scan_byte(&s, '}') && scan_end(&s);
}

static str unescape(struct arena *a, str s)
{
	u8 *out = arena_alloc(a, s.n);
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		u8 byte = s.p[i];
		if (byte == '\\' && i + 1 < s.n) {
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

bool event_args_get(struct arena *a, str json, str wanted, str *out)
{
	struct scan s = scan_of(json);
	str name, value;

	if (!scan_byte(&s, '{'))
		return false;
	while (scan_peek(&s) == '"' && scan_member(&s, &name, &value)) {
		if (str_eq(name, wanted)) {
			*out = unescape(a, value);
			return true;
		}
	}
	return false;
}

str event_args_with(struct arena *a, str json, const char *name, str value)
{
	struct event_args args = event_args_new(a);
	str there;

	if (json.n > EVENT_ARGUMENTS || !event_args_valid(json) ||
	    event_args_get(a, json, str_cstr(name), &there))
		return json;
	if (json.n > 2) { /* the members that are there, without the braces */
		buf_add(args.out, str_slice(json, 1, json.n - 1));
		args.json.comma = true;
	}
	event_args_str(&args, name, value);
	return event_args_end(&args);
}

static str template_of(str code)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (str_eq(rows[i].code, code))
			return rows[i].sentence;
	}
	return STR_NONE;
}

str event_sentence(struct arena *a, str code, str arguments)
{
	struct buf *out = buf_new(a, 8 * EVENT_ARGUMENTS);
	struct scan s = scan_of(template_of(code));
	str text, name, value;

	if (scan_end(&s))
		buf_printf(out, "%.*s %.*s", STR_ARG(code), STR_ARG(arguments));
	while (!scan_end(&s)) {
		struct scan before = s;
		if (!scan_until(&s, '{', &text)) {
			buf_add(out, before.rest);
			break;
		}
		buf_add(out, text);
		if (scan_byte(&s, '{') && scan_until(&s, '}', &name) && scan_byte(&s, '}'))
			buf_add(out, event_args_get(a, arguments, name, &value) ? value : S("-"));
	}
	return buf_str(out);
}
