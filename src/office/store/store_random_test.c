/*
 * Seeded chains of random operations against a model of plain arrays, with a reopening, a fault or a salvage now and then.
 * After each step, what the store shows is what the model holds; at the end verify finds nothing, and a store
 * salvaged from the segments shows the same. A failing seed is printed and replays.
 */
#include "office/store/store_test_support.h"

#include "bus/view.h"

enum { BOXES = 3, ROWS_MAX = 400, SEEDS = 12, STEPS = 120 };

static const char *const names[BOXES] = { "INBOX", "Junk", "Archive" };

struct model_row {
	u32 uid, mark;
	u64 flags;
};

struct model_box {
	u64 id, seen; /* seen: modseq of the last changes read */
	u32 uidnext;
	size_t n;
	struct model_row rows[ROWS_MAX];
	size_t copy_n; /* what a client knows by changes alone */
	struct model_row copy[ROWS_MAX];
};

struct run {
	struct world w;
	struct model_box boxes[BOXES];
};

static u32 roll(struct run *r, u32 bound)
{
	return (u32)env_random_below(&r->w.env, bound);
}

/* --- Comparing --- */

static void check_box(struct run *r, int i)
{
	struct model_box *b = &r->boxes[i];
	struct office_mailbox_open_answer box = { .rows = 0 };
	struct arena *a = arena_new(64 << 20);
	u32 unseen = 0;
	struct tx t;
	str bytes = STR_NONE;

	must(store_read_begin(r->w.store, a, &t));
	must(store_mailbox_open(&t, r->w.account, str_cstr(names[i]), false, &box));
	store_read_end(&t);
	assert_int_equal(box.rows, b->n);
	assert_int_equal(box.info.messages, b->n);
	assert_int_equal(box.info.uidnext, b->uidnext);
	b->id = box.info.id;
	if (box.rows)
		must(fd_map(a, box.chunks[0], box.rows * sizeof(struct view_row), &bytes));
	for (size_t k = 0; k < b->n; k++) {
		struct view_row row;

		memcpy(&row, bytes.p + k * sizeof row, sizeof row);
		assert_int_equal(row.uid, b->rows[k].uid);
		assert_int_equal(row.flags, b->rows[k].flags);
		unseen += !(row.flags & FLAG_SEEN);
	}
	assert_int_equal(box.info.unseen, unseen);
	arena_free(&a);
}

/* Reads every message and finds its own mark in the subject. */
static void check_bodies(struct run *r, int i)
{
	struct model_box *b = &r->boxes[i];
	struct uid_range all = { .low = 1, .high = UINT32_MAX };
	size_t k = 0;

	do {
		struct office_message_fetch_request q = { .mailbox = b->id,
							  .uids = &all,
							  .uids_n = 1,
							  .want = FETCH_SKELETON | FETCH_BYTES };
		struct office_message_fetch_answer answer = { .count = 0 };
		struct arena *a = arena_new(64 << 20);
		struct decoder d = { .arena = a };
		struct tx t;

		must(store_read_begin(r->w.store, a, &t));
		must(store_message_fetch(&t, r->w.account, &q, &answer));
		store_read_end(&t);
		must(fd_map(a, answer.data, answer.bytes, &d.rest));
		for (u32 n = 0; n < answer.count; n++, k++) {
			struct fetch_item item;
			struct skeleton s;

			decode_fetch_item(&d, &item);
			assert_false(d.bad);
			assert_int_equal(item.uid, b->rows[k].uid);
			must(skeleton_decode(a, item.skeleton, &s));
			assert_true(str_eq(s.envelope.subject,
					   str_format(a, "message %u", b->rows[k].mark)));
			assert_int_equal(item.bytes.n, item.size);
		}
		all.low = answer.next;
		arena_free(&a);
	} while (all.low);
	assert_int_equal(k, b->n);
}

/* Lays the changes since last time over the copy, as an edge does. */
static void follow(struct run *r, int i)
{
	struct model_box *b = &r->boxes[i];
	struct office_mailbox_changes_answer c = { .changes_n = 0 };
	struct tx t;

	must(store_read_begin(r->w.store, r->w.arena, &t));
	must(store_mailbox_changes(&t, r->w.account, b->id, b->seen, &c));
	store_read_end(&t);
	if (c.forgotten || b->seen == 0) {
		memcpy(b->copy, b->rows, sizeof b->rows);
		b->copy_n = b->n;
		b->seen = c.info.modseq;
		return;
	}
	for (size_t k = 0; k < c.changes_n; k++) {
		size_t at = 0;

		while (at < b->copy_n && b->copy[at].uid < c.changes[k].uid)
			at++;
		if (c.changes[k].gone) {
			if (at < b->copy_n && b->copy[at].uid == c.changes[k].uid)
				memmove(&b->copy[at], &b->copy[at + 1],
					(--b->copy_n - at) * sizeof b->copy[0]);
			continue;
		}
		if (at == b->copy_n || b->copy[at].uid != c.changes[k].uid)
			memmove(&b->copy[at + 1], &b->copy[at],
				(b->copy_n++ - at) * sizeof b->copy[0]);
		b->copy[at].uid = c.changes[k].uid;
		b->copy[at].flags = c.changes[k].flags;
	}
	b->seen = c.modseq;
	assert_int_equal(b->copy_n, b->n);
	for (size_t k = 0; k < b->n; k++) {
		assert_int_equal(b->copy[k].uid, b->rows[k].uid);
		assert_int_equal(b->copy[k].flags, b->rows[k].flags);
	}
}

static void check_all(struct run *r)
{
	for (int i = 0; i < BOXES; i++) {
		check_box(r, i);
		follow(r, i);
	}
}

static void check_whole(struct run *r)
{
	struct office_verify_answer v;
	struct tx t;

	for (int i = 0; i < BOXES; i++)
		check_bodies(r, i);
	must(store_read_begin(r->w.store, r->w.arena, &t));
	must(store_verify(&t, &v));
	store_read_end(&t);
	if (v.problem_count)
		fail_msg("%.*s", STR_ARG(v.problems[0]));
}

/* --- Steps --- */

static void step_append(struct run *r)
{
	static u32 mark;
	int i = (int)roll(r, BOXES);
	struct model_box *b = &r->boxes[i];
	u64 flags = roll(r, 2) ? FLAG_SEEN : 0;
	size_t size = roll(r, 20) ? roll(r, 3000) : 300000 + roll(r, 300000);
	u32 uid;

	if (b->n == ROWS_MAX / 2)
		return;
	must(world_append(&r->w, str_cstr(names[i]), size, ++mark, flags, &uid));
	assert_int_equal(uid, b->uidnext);
	b->rows[b->n++] = (struct model_row){ uid, mark, flags };
	b->uidnext++;
}

static void step_flags(struct run *r)
{
	struct model_box *b = &r->boxes[roll(r, BOXES)];
	struct uid_range range = { .low = 1 + roll(r, b->uidnext) };
	u64 bits = 1u << roll(r, 5);
	u8 mode;

	range.high = range.low + roll(r, 10);
	mode = (u8)roll(r, 3);
	world_flags(&r->w, b->id, range, mode, bits);
	for (size_t k = 0; k < b->n; k++) {
		struct model_row *m = &b->rows[k];

		if (m->uid < range.low || m->uid > range.high)
			continue;
		m->flags = mode == FLAGS_ADD      ? m->flags | bits
			   : mode == FLAGS_REMOVE ? m->flags & ~bits
						  : bits;
	}
}

static void drop_rows(struct model_box *b, const struct uid_range *range, bool deleted)
{
	size_t kept = 0;

	for (size_t k = 0; k < b->n; k++)
		if (b->rows[k].uid < range->low || b->rows[k].uid > range->high ||
		    (deleted && !(b->rows[k].flags & FLAG_DELETED)))
			b->rows[kept++] = b->rows[k];
	b->n = kept;
}

static void step_expunge(struct run *r)
{
	struct model_box *b = &r->boxes[roll(r, BOXES)];
	struct uid_range range = { .low = 1 + roll(r, b->uidnext) };
	bool only_deleted;

	range.high = range.low + roll(r, 8);
	only_deleted = roll(r, 2);
	world_expunge(&r->w, b->id, range, only_deleted);
	drop_rows(b, &range, only_deleted);
}

static void step_copy(struct run *r)
{
	struct model_box *from = &r->boxes[roll(r, BOXES)];
	int to = (int)roll(r, BOXES);
	struct model_box *target = &r->boxes[to], before = *from;
	struct uid_range range = { .low = 1 + roll(r, from->uidnext) };
	bool move;

	range.high = range.low + roll(r, 6);
	if (target->n > ROWS_MAX / 2)
		return;
	move = roll(r, 2);
	world_copy(&r->w, from->id, range, str_cstr(names[to]), move);
	if (move)
		drop_rows(from, &range, false);
	for (size_t k = 0; k < before.n; k++)
		if (before.rows[k].uid >= range.low && before.rows[k].uid <= range.high) {
			target->rows[target->n] = before.rows[k];
			target->rows[target->n++].uid = target->uidnext++;
		}
}

/* A full disk: nothing may change, and nothing is lost. */
static void step_full(struct run *r)
{
	u32 uid;

	r->w.fault_at = roll(r, 2) ? ENV_FAULT_WRITE : ENV_FAULT_COMMIT;
	r->w.fault_error = ENOSPC;
	r->w.fault_in = 1;
	r->w.fault_stays = true;
	must_fail(world_append(&r->w, S("INBOX"), 1000, 1, 0, &uid), FAIL_STORAGE);
	must_fail(world_append(&r->w, S("INBOX"), 1000, 1, 0, &uid), FAIL_STORAGE);
	r->w.fault_in = 0;
	step_expunge(r); /* goes on while new mail is still refused */
	r->w.clock += WRITER_RESERVE_RETRY_MS * 2;
}

static void run_seed(u64 seed)
{
	static struct run r;

	memset(&r, 0, sizeof r);
	world_new(&r.w);
	r.w.seed = seed;
	for (int i = 0; i < BOXES; i++)
		r.boxes[i].uidnext = 1;
	check_all(&r);
	for (int n = 0; n < STEPS; n++) {
		switch (roll(&r, 16)) {
		case 0:
			world_reopen(&r.w);
			break;
		case 1:
			step_full(&r);
			break;
		case 2:
		case 3:
		case 4:
			step_copy(&r);
			break;
		case 5:
		case 6:
			step_expunge(&r);
			break;
		case 7:
		case 8:
		case 9:
			step_flags(&r);
			break;
		default:
			step_append(&r);
		}
		check_all(&r);
	}
	check_whole(&r);
	store_close(&r.w.store);
	{
		struct salvage_report report;

		must(store_salvage(r.w.arena, r.w.folder, &report));
		assert_int_equal(report.damaged, 0);
		assert_int_equal(report.accounts, 1);
	}
	world_open(&r.w);
	for (int i = 0; i < BOXES; i++) {
		r.boxes[i].uidnext += STORE_UIDS_AHEAD;
		check_box(&r, i);
	}
	check_whole(&r);
	step_append(&r);
	world_reopen(&r.w);
	check_whole(&r);
	world_free(&r.w);
}

static void test_random(void **state)
{
	(void)state;
	for (u64 seed = 1; seed <= SEEDS; seed++) {
		printf("seed %llu\n", (unsigned long long)seed);
		run_seed(seed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_random) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
