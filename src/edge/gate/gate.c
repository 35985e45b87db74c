#include "edge/gate/gate.h"

#include "base/arena.h"
#include "base/chars.h"
#include "base/check.h"
#include "base/env.h"
#include "edge/gate/gate_int.h"
#include "verdict/authres.h"

enum { GATE_MAGIC = 0x47415445 };

static const struct fail too_large = FAIL_STATIC(TOO_LARGE, "message too large");
static const struct fail header_too_large = FAIL_STATIC(TOO_LARGE, "the header is too large");

static i64 now(void)
{
	return (i64)env_now(env_system());
}

/* Everything that is stored goes through here: the skeleton sees exactly the stored bytes. */
static const struct fail *store(struct gate *g, str bytes)
{
	if (bytes.n == 0)
		return NULL;
	TRY(arena_check(g->arena));
	TRY(spool_write(&g->spool, bytes));
	return skeleton_feed(g->parser, bytes);
}

static const struct fail *store_completion(struct gate *g)
{
	struct buf *out = buf_new(g->arena, GATE_PREFIX);

	TRY(completion_print(g->arena, g, now(), out));
	return store(g, buf_str(out));
}

/* What only we may write goes out; the rest is stored. */
static const struct fail *store_cleaned(struct gate *g, str header)
{
	size_t n, at = 0;
	const struct authres_range *out =
	    authres_forbidden(g->arena, header, g->rules.names, g->rules.names_n, &n);

	for (size_t i = 0; i < n; i++) {
		TRY(store(g, str_slice(header, at, out[i].from)));
		at = out[i].to;
	}
	return store(g, str_skip(header, at));
}

/* The header is complete: it is held no more. What is missing comes before its empty line, if there is one. */
static const struct fail *release_header(struct gate *g)
{
	const struct gate_watch *watch = g->rules.watch;
	str header = buf_str(g->header);
	size_t fields = g->lines.body ? header.n - 2 : header.n;

	g->header = NULL; /* its bytes stay: the arena owns them */
	if (watch)
		TRY(watch->header(watch->context, header));
	TRY(store_cleaned(g, str_slice(header, 0, fields)));
	if (g->rules.complete)
		TRY(store_completion(g));
	return store(g, str_skip(header, fields));
}

/* The part of bytes up to `end` belongs to a header that is held. */
static const struct fail *hold(struct gate *g, str bytes, size_t end)
{
	bool ends = end != SIZE_MAX;

	buf_add(g->header, str_slice(bytes, 0, end));
	if (ends)
		buf_add(g->header, S("\r\n"));
	if (g->header->full)
		return &header_too_large;
	return ends ? release_header(g) : NULL;
}

static const struct fail *store_body(struct gate *g, str bytes)
{
	if (g->rules.watch && bytes.n > 0)
		g->rules.watch->body(g->rules.watch->context, bytes);
	return store(g, bytes);
}

/* bytes: never cut between CR and LF. */
static const struct fail *take(struct gate *g, str bytes)
{
	size_t header_end;

	TRY(lines_check(&g->lines, bytes, &header_end));
	if (!g->header)
		return store_body(g, bytes);
	TRY(hold(g, bytes, header_end));
	return header_end == SIZE_MAX ? NULL : store_body(g, str_skip(bytes, header_end + 2));
}

/* A first line that begins with a blank would become a part of our own Received field (THREATS H06). */
static const struct fail *check_first(struct gate *g, str bytes)
{
	if (g->received > 0 || !g->rules.trace || !char_is(bytes.p[0], CHAR_WSP))
		return NULL;
	return fail_code(g->arena, FAIL_DENIED, "5.6.0", "the header begins with a folded line");
}

/* The CR at the end of a piece waits for the byte behind it. What is left in *bytes has whole CRLFs only. */
static const struct fail *take_held(struct gate *g, str *bytes)
{
	if (g->lines.cr) {
		g->lines.cr = false;
		if (bytes->p[0] != '\n')
			return take(g, S("\r")); /* fails: it is bare */
		TRY(take(g, S("\r\n")));
		*bytes = str_skip(*bytes, 1);
	}
	g->lines.cr = bytes->n > 0 && bytes->p[bytes->n - 1] == '\r';
	if (g->lines.cr)
		*bytes = str_slice(*bytes, 0, bytes->n - 1);
	return NULL;
}

static const struct fail *receive(struct gate *g, str bytes)
{
	TRY(check_first(g, bytes));
	if (bytes.n > g->rules.size_max - g->received)
		return &too_large;
	g->received += bytes.n;
	TRY(take_held(g, &bytes));
	return take(g, bytes);
}

static const struct fail *gate_write(struct sink *k, struct arena *turn, str bytes)
{
	struct gate *g = (struct gate *)((u8 *)k - offsetof(struct gate, sink));

	(void)turn; /* what is kept must outlive the turn */
	CHECK_MAGIC(g, GATE_MAGIC);
	if (!g->fail && bytes.n > 0)
		g->fail = receive(g, bytes);
	return g->fail;
}

const struct fail *gate_new(struct arena *a, struct bus *office, const struct gate_rules *rules,
			    struct gate **out)
{
	struct gate *g = arena_new_of(a, struct gate);

	g->magic = GATE_MAGIC;
	g->sink.write = gate_write;
	g->rules = *rules;
	g->arena = a;
	g->parser = skeleton_parser_new(a);
	if (rules->complete || rules->names_n > 0)
		g->header = buf_new(a, SKELETON_HEADER_BYTES);
	TRY(spool_open(&g->spool, a, office, rules->size_hint, rules->trace ? GATE_PREFIX : 0));
	*out = g;
	return NULL;
}

struct sink *gate_sink(struct gate *g)
{
	CHECK_MAGIC(g, GATE_MAGIC);
	return &g->sink;
}

u64 gate_received(const struct gate *g)
{
	CHECK_MAGIC(g, GATE_MAGIC);
	return g->received;
}

u64 gate_id(const struct gate *g)
{
	CHECK_MAGIC(g, GATE_MAGIC);
	return g->rules.id;
}

/* A message that is all header: what is missing stands at its end, on lines of its own. */
static const struct fail *end_header(struct gate *g)
{
	if (!g->header)
		return NULL;
	if (g->rules.complete && g->lines.column > 0)
		TRY(take(g, S("\r\n")));
	return release_header(g);
}

static const struct fail *check_hops(const struct gate *g, const struct skeleton *s)
{
	if (g->rules.hops == 0 || s->received <= g->rules.hops)
		return NULL;
	return fail_code(g->arena, FAIL_DENIED, "5.4.6", "a mail loop: too many Received fields");
}

static const struct fail *end(struct gate *g)
{
	if (g->lines.cr)
		return take(g, S("\r")); /* fails: it is bare */
	TRY(end_header(g));
	TRY(skeleton_finish(g->parser, &g->skeleton));
	return check_hops(g, g->skeleton);
}

const struct fail *gate_end(struct gate *g, const struct skeleton **out)
{
	CHECK_MAGIC(g, GATE_MAGIC);
	if (!g->fail)
		g->fail = end(g);
	*out = g->skeleton;
	return g->fail;
}

/* One header in one piece, then the body in windows. */
static const struct fail *replay(struct gate *g, const struct gate_watch *w)
{
	u64 at = g->skeleton->parts[0].body_at, size = g->spool.size;
	u8 *window = arena_alloc(g->arena, at > GATE_WINDOW ? (size_t)at : GATE_WINDOW);
	str piece;

	TRY(arena_check(g->arena));
	TRY(spool_read(&g->spool, 0, (size_t)at, window, &piece));
	TRY(w->header(w->context, str_copy(g->arena, piece)));
	for (; at < size; at += GATE_WINDOW) {
		size_t n = size - at < GATE_WINDOW ? (size_t)(size - at) : GATE_WINDOW;
		TRY(spool_read(&g->spool, at, n, window, &piece));
		w->body(w->context, piece);
	}
	return NULL;
}

const struct fail *gate_replay(struct gate *g, const struct gate_watch *w)
{
	CHECK_MAGIC(g, GATE_MAGIC);
	CHECK(g->skeleton != NULL);
	return g->fail ? g->fail : replay(g, w);
}

/* Our fields in front, and the skeleton as if it had been parsed with them. */
static const struct fail *write_trace(struct gate *g, str above)
{
	struct buf *out = buf_new(g->arena, GATE_PREFIX);

	buf_add(out, above);
	TRY(trace_print(g->arena, g->rules.trace, g->rules.id, now(), out));
	g->skeleton = skeleton_behind(g->arena, g->skeleton, out->n, 1);
	return spool_front(&g->spool, buf_str(out));
}

static const struct fail *seal(struct gate *g, str above, struct gate_message *out)
{
	str tail;

	if (g->rules.trace)
		TRY(write_trace(g, above));
	tail = skeleton_encode(g->arena, g->skeleton);
	TRY(arena_check(g->arena));
	*out = (struct gate_message){ .id = g->rules.id, .skeleton = g->skeleton };
	return spool_close(&g->spool, tail, &out->body);
}

const struct fail *gate_seal(struct gate *g, str above, struct gate_message *out)
{
	CHECK_MAGIC(g, GATE_MAGIC);
	if (!g->fail)
		g->fail = seal(g, above, out);
	return g->fail;
}

const struct fail *gate_finish(struct gate *g, struct gate_message *out)
{
	const struct skeleton *unused;

	TRY(gate_end(g, &unused));
	return gate_seal(g, STR_NONE, out);
}
