#include "edge/event.h"

#include "base/arena.h"
#include "base/env.h"
#include "base/log.h"
#include "text/charset.h"
#include "text/json.h"

static str cut(str text)
{
	return str_is_utf8(text) ? utf8_cut(text, EVENT_TEXT) : str_slice(text, 0, EVENT_TEXT);
}

static str print_arguments(struct arena *a, const struct event_argument *arguments, size_t n)
{
	struct buf *out = buf_new(a, EVENT_BYTES);
	struct json j = json_to(out);

	json_object(&j);
	for (size_t i = 0; i < n; i++) {
		json_key(&j, arguments[i].name);
		if (arguments[i].is_number)
			json_u64(&j, arguments[i].number);
		else
			json_str(&j, cut(arguments[i].text));
	}
	json_object_end(&j);
	return out->full ? S("{}") : buf_str(out);
}

static void batch_open(struct event_batch *b)
{
	if (b->arena)
		return;
	b->arena = arena_new(EVENT_ARENA);
	b->records = arena_array_of(b->arena, EVENT_BATCH, struct event_record);
	b->facts = arena_array_of(b->arena, EVENT_FACTS, struct dmarc_fact);
}

struct dmarc_fact *event_batch_fact(struct event_batch *b)
{
	if (b->facts_n == EVENT_FACTS)
		return NULL;
	batch_open(b);
	return &b->facts[b->facts_n];
}

void event_batch_note(struct event_batch *b, u64 message, const char *stage, const char *code,
		      const struct event_argument *arguments, size_t n)
{
	if (b->n == EVENT_BATCH) {
		b->dropped++;
		return;
	}
	batch_open(b);
	b->records[b->n++] = (struct event_record){
		.time = env_now(env_system()),
		.message = message,
		.stage = str_cstr(stage),
		.code = str_cstr(code),
		.arguments = print_arguments(b->arena, arguments, n),
	};
}

void event_batch_flush(struct event_batch *b, struct bus *office, const struct client_info *client)
{
	struct office_event_add_request q = { .client = *client,
					      .events = b->records,
					      .events_n = b->n,
					      .facts = b->facts,
					      .facts_n = b->facts_n };
	struct office_event_add_answer r;
	const struct fail *f;

	if (b->n + b->facts_n > 0 && office) {
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
