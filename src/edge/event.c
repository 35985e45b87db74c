#include "edge/event.h"

#include "base/arena.h"
#include "base/env.h"
#include "base/log.h"
#include "text/charset.h"

/* One JSON string, RFC 8259 7. Bytes that are no UTF-8 would make the whole object unreadable: then all non-ASCII is '?'. */
static void json_string(struct buf *out, str text)
{
	bool utf8 = str_is_utf8(text);
	str s = utf8 ? utf8_cut(text, EVENT_TEXT) : str_slice(text, 0, EVENT_TEXT);

	buf_add_byte(out, '"');
	for (size_t i = 0; i < s.n; i++) {
		u8 c = s.p[i];
		if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", c);
		else if (c < 0x20 || c == 0x7F)
			buf_printf(out, "\\u%04x", c);
		else
			buf_add_byte(out, c >= 0x80 && !utf8 ? '?' : c);
	}
	buf_add_byte(out, '"');
}

static str json_object(struct arena *a, const struct event_argument *arguments, size_t n)
{
	struct buf *out = buf_new(a, 16 * 1024);

	buf_add_byte(out, '{');
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_add_byte(out, ',');
		buf_printf(out, "\"%s\":", arguments[i].name);
		if (arguments[i].is_number)
			buf_add_u64(out, arguments[i].number);
		else
			json_string(out, arguments[i].text);
	}
	buf_add_byte(out, '}');
	return out->full ? S("{}") : buf_str(out);
}

void event_batch_note(struct event_batch *b, u64 message, const char *stage, const char *code,
		      const struct event_argument *arguments, size_t n)
{
	if (b->n == EVENT_BATCH) {
		b->dropped++;
		return;
	}
	if (!b->arena) {
		b->arena = arena_new(EVENT_ARENA);
		b->records = arena_array_of(b->arena, EVENT_BATCH, struct event_record);
	}
	b->records[b->n++] = (struct event_record){
		.time = env_now(env_system()),
		.message = message,
		.stage = str_cstr(stage),
		.code = str_cstr(code),
		.arguments = json_object(b->arena, arguments, n),
	};
}

void event_batch_flush(struct event_batch *b, struct bus *office, const struct client_info *client)
{
	struct office_event_add_request q = { .client = *client,
					      .events = b->records,
					      .events_n = b->n };
	struct office_event_add_answer r;
	const struct fail *f;

	if (b->n > 0 && office) {
		f = office_event_add(b->arena, office, &q, &r);
		if (f)
			LOG(WARN, "edge.events_lost", LOG_U64("count", b->n), LOG_FAIL("why", f));
	}
	if (b->dropped > 0)
		LOG(WARN, "edge.events_beyond_batch", LOG_U64("count", b->dropped));
	event_batch_drop(b);
}

void event_batch_drop(struct event_batch *b)
{
	if (b->arena)
		arena_free(&b->arena);
	*b = (struct event_batch){ 0 };
}
