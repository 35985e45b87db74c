/* Codes, sentences, and the JSON objects that go with them. */
#include "office/event.h"

#include "text/json_flat.h"
#include "text/shown.h"

static const struct row {
	str code, sentence[LANGUAGES];
} rows[] = {
#define EVENT(NAME, code, en, nl) [EVENT_##NAME] = { S(code), { S(en), S(nl) } },
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

bool event_args_valid(str json)
{
	return json_flat_valid(json);
}

bool event_args_get(struct arena *a, str json, str wanted, str *out)
{
	return json_flat_get(a, json, wanted, out);
}

static void add_members(struct event_args *args, str json)
{
	if (json.n <= 2)
		return;
	if (args->json.comma)
		buf_add_byte(args->out, ',');
	buf_add(args->out, str_slice(json, 1, json.n - 1));
	args->json.comma = true;
}

bool event_args_add(struct event_args *args, str json)
{
	if (args->out->n + json.n + 64 > EVENT_ARGUMENTS || !json_flat_valid(json))
		return false;
	add_members(args, json);
	return true;
}

str event_args_with(struct arena *a, str json, const char *name, str value)
{
	struct event_args args = event_args_new(a);
	str there;

	if (event_args_get(a, json, str_cstr(name), &there) || !event_args_add(&args, json))
		return json;
	event_args_str(&args, name, value);
	return event_args_end(&args);
}

const str *event_sentence_of(str code)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (str_eq(rows[i].code, code))
			return rows[i].sentence;
	}
	return NULL;
}

struct place {
	struct arena *arena;
	str arguments;
};

static bool place_get(void *context, str name, str *value)
{
	const struct place *p = context;

	return event_args_get(p->arena, p->arguments, name, value);
}

str event_sentence(struct arena *a, str code, str arguments, enum language l)
{
	struct place p = { a, arguments };
	const struct sentence_values values = { place_get, &p };
	const str *sentence = event_sentence_of(code);

	if (!sentence)
		return shown_line(a, str_format(a, "%.*s %.*s", STR_ARG(code), STR_ARG(arguments)),
				  '?');
	return sentence_fill(a, sentence[l], &values);
}
