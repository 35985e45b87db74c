/* The view against a naive model: random changes, in random pieces, told with and without expunges. */
#include "base/unit.h"

#include <string.h>

#include "base/fd.h"
#include "edge/imap/view.h"

enum { ROUNDS = 400, STEPS = 60, MODEL_MAX = 4096 };

static u64 seed;

static u32 chance(u32 bound)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(seed >> 33) % bound;
}

/* What the mailbox is, and what the client believes. */
struct model {
	struct view_row rows[MODEL_MAX]; /* size 0: gone */
	u32 n;
	u32 client[MODEL_MAX]; /* UIDs by sequence number */
	u32 client_n;
	u64 modseq;
};

static struct view *open_view(struct arena *a, const struct view_row *rows, u32 n)
{
	struct view *v;
	int fd[2] = { -1, -1 };
	u32 first = n < VIEW_CHUNK_ROWS ? n : VIEW_CHUNK_ROWS;

	if (n > 0)
		assert_ok(fd_from_str(a, str_from(rows, first * sizeof(*rows)), &fd[0]));
	if (n > first)
		assert_ok(
		    fd_from_str(a, str_from(rows + first, (n - first) * sizeof(*rows)), &fd[1]));
	assert_ok(view_open(fd, (n + VIEW_CHUNK_ROWS - 1) / VIEW_CHUNK_ROWS, n, &v));
	view_check(v);
	return v;
}

static void arrive(struct model *m)
{
	m->rows[m->n] = (struct view_row){ ++m->modseq, chance(32), 10 + m->n * 3, 100 };
	m->n++;
}

/* One change to the mailbox, noted in changes. */
static void change(struct model *m, struct message_change *changes, size_t *n)
{
	u32 kind = chance(3), row = m->n ? chance(m->n) : 0;

	if (kind == 0 && m->n < MODEL_MAX) {
		arrive(m);
		row = m->n - 1;
	} else if (m->n == 0 || m->rows[row].size == 0) {
		return;
	} else {
		m->rows[row].modseq = ++m->modseq;
		m->rows[row].flags = kind == 1 ? chance(32) : m->rows[row].flags;
		m->rows[row].size = kind == 2 ? 0 : m->rows[row].size;
	}
	changes[(*n)++] = (struct message_change){ m->rows[row].uid,       m->rows[row].size,
						   m->rows[row].flags,     m->rows[row].modseq,
						   m->rows[row].size == 0, 0 };
}

/* Tells the client everything, as news.c does. */
static void tell(struct model *m, struct view *v, bool expunge)
{
	if (expunge) {
		for (u32 row = v->gone.high; v->gone.n && row > v->gone.low; row--)
			if (row <= v->told && v->rows[row - 1].flags & VIEW_GONE) {
				memmove(m->client + row - 1, m->client + row,
					(m->client_n - row) * sizeof(*m->client));
				m->client_n--;
			}
		view_compact(v);
	}
	for (; v->told < v->n; v->told++)
		m->client[m->client_n++] = v->rows[v->told].uid;
	for (u32 row = v->changed.low; v->changed.n; row++)
		view_unmark(v, row);
	view_check(v);
	assert_int_equal(m->client_n, v->told);
	for (u32 i = 0; i < v->told; i++)
		assert_int_equal(m->client[i], v->rows[i].uid);
}

static void compare(const struct model *m, const struct view *v)
{
	u32 row = 0;

	for (u32 i = 0; i < m->n; i++) {
		if (m->rows[i].size == 0)
			continue;
		assert_true(row < v->n);
		assert_int_equal(v->rows[row].uid, m->rows[i].uid);
		assert_int_equal(v->rows[row].flags, m->rows[i].flags);
		assert_int_equal(v->rows[row].modseq, m->rows[i].modseq);
		row++;
	}
	assert_int_equal(row, v->n);
}

/* The same by opening anew. */
static void check_replace(struct arena *a, struct model *m, struct view *v)
{
	struct message_change changes[20];
	struct view_row *live = arena_array_of(a, MODEL_MAX, struct view_row);
	struct view *fresh;
	u32 live_n = 0;
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(changes); i++)
		change(m, changes, &n);
	for (u32 i = 0; i < m->n; i++)
		if (m->rows[i].size)
			live[live_n++] = m->rows[i];
	fresh = open_view(a, live, live_n);
	assert_ok(view_replace(v, fresh));
	view_close(&fresh);
	tell(m, v, true);
	compare(m, v);
}

static void against_model(void **state)
{
	(void)state;
	for (u32 round = 0; round < ROUNDS; round++) {
		struct arena *a = arena_new(64 << 20);
		struct model *m = arena_new_of(a, struct model);
		struct message_change changes[STEPS];
		struct view *v;
		size_t n;

		seed = round;
		for (u32 i = chance(100); i > 0; i--)
			arrive(m);
		for (u32 i = 0; i < m->n; i++)
			m->client[m->client_n++] = m->rows[i].uid;
		v = open_view(a, m->rows, m->client_n);
		for (u32 step = 0; step < STEPS; step++) {
			n = 0;
			for (u32 i = 0; i <= chance(STEPS - 1); i++)
				change(m, changes, &n);
			assert_ok(view_apply(v, a, changes, n));
			tell(m, v, chance(2));
		}
		tell(m, v, true);
		compare(m, v);
		check_replace(a, m, v);
		view_close(&v);
		arena_free(&a);
	}
}

static str spans_of(struct arena *a, const struct view *v, const char *text, bool uid)
{
	struct scan s = scan_of(str_cstr(text));
	struct buf *b = buf_new(a, 1024);
	struct imap_set set;
	struct view_spans spans;

	assert_true(imap_scan_set(a, &s, &set));
	if (!view_spans(v, a, &set, uid, &spans))
		return S("bad");
	for (size_t i = 0; i < spans.n; i++)
		buf_printf(b, "[%u %u)", spans.spans[i].from, spans.spans[i].to);
	return buf_str(b);
}

static void spans(void **state)
{
	struct arena *a = arena_new(1 << 20);
	const struct view_row rows[] = { { 1, 0, 10, 1 }, { 1, 0, 20, 1 }, { 1, 0, 30, 1 } };
	struct view *v = open_view(a, rows, 3), *none = open_view(a, rows, 0);

	(void)state;
	assert_str(spans_of(a, v, "1:*", false), S("[0 3)"));
	assert_str(spans_of(a, v, "1,3", false), S("[0 1)[2 3)"));
	assert_str(spans_of(a, v, "4", false), S("bad"));
	assert_str(spans_of(a, v, "4294967295:1", false), S("bad"));
	assert_str(spans_of(a, v, "1:*", true), S("[0 3)"));
	assert_str(spans_of(a, v, "11:19,30:4294967295", true), S("[2 3)"));
	assert_str(spans_of(a, v, "99:*", true), S("[2 3)"));
	assert_str(spans_of(a, none, "1:*", false), S(""));
	assert_str(spans_of(a, none, "1", false), S("bad"));
	assert_str(spans_of(a, none, "1:*", true), S(""));
	view_close(&v);
	view_close(&none);
	arena_free(&a);
}

/* Two chunks lie side by side, and room grows behind them. */
static void chunks(void **state)
{
	struct arena *a = arena_new(64 << 20);
	u32 n = VIEW_CHUNK_ROWS + 5, row;
	struct view_row *rows = arena_array_of(a, n, struct view_row);
	struct message_change *more = arena_array_of(a, 2 * VIEW_SLACK, struct message_change);
	struct view *v;
	int fd;

	(void)state;
	for (u32 i = 0; i < n; i++)
		rows[i] = (struct view_row){ 1, 0, i + 1, 1 };
	v = open_view(a, rows, n);
	for (u32 i = 0; i < 2 * VIEW_SLACK; i++)
		more[i] = (struct message_change){ n + 1 + i, 1, 0, 2, false, 0 };
	assert_ok(view_apply(v, a, more, 2 * VIEW_SLACK));
	view_check(v);
	assert_int_equal(v->n, n + 2 * VIEW_SLACK);
	assert_true(view_find(v, n + 17, &row) && row == n + 16);
	view_close(&v);
	/* Not sealed, or too short: not mapped. */
	fd = arena_own_fd(a, fd_memory("test"));
	assert_true(fd_write_all(fd, str_from(rows, 48)));
	assert_fail(view_open(&fd, 1, 2, &v), FAIL_CORRUPT);
	assert_true(fd_seal(fd));
	assert_fail(view_open(&fd, 1, 3, &v), FAIL_CORRUPT);
	assert_fail(view_open(&fd, 0, 1, &v), FAIL_CORRUPT);
	assert_ok(view_open(&fd, 1, 2, &v));
	view_close(&v);
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(against_model),
					    cmocka_unit_test(spans), cmocka_unit_test(chunks) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
