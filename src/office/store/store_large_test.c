/* What only shows at size or over time: several chunks, long change logs, many segments, delivery and salvage of a queue. */
#include "office/store/store_test_support.h"

#include "bus/view.h"

enum { MANY = 150000, INBOX = 1 };

/* Rows without messages: enough for views and changes. */
static void fill_inbox(struct world *w)
{
	must(sql_script(
	    w->arena, w->store->db,
	    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150000)"
	    " INSERT INTO message_state SELECT 7, 1, i * 2, 0, 5, 100 FROM n;"
	    "UPDATE mailbox SET messages = 150000, unseen = 150000, uidnext = 300001,"
	    " size = 15000000, modseq = 1000, forgotten = 1000 WHERE id = 1;"
	    "UPDATE account SET modseq = 1000 WHERE id = 7"));
}

/* The view, and a digest of the rows as the table has them. */
static void check_view(struct world *w, u32 rows)
{
	struct office_mailbox_open_answer r = { .rows = 0 };
	struct arena *a = arena_new(64 << 20);
	struct query *q;
	struct tx t;
	u32 n = 0;

	must(store_read_begin(w->store, a, &t));
	must(store_mailbox_open(&t, w->account, S("INBOX"), false, &r));
	assert_int_equal(r.rows, rows);
	assert_int_equal(r.chunks_n, (rows + VIEW_CHUNK_ROWS - 1) / VIEW_CHUNK_ROWS);
	q = SQL_QUERY0(t.db, "SELECT uid, flags, modseq FROM message_state"
			     " WHERE account_id = 7 AND mailbox_id = 1 ORDER BY uid");
	for (size_t i = 0; i < r.chunks_n; i++) {
		size_t left = rows - i * VIEW_CHUNK_ROWS;
		size_t in = left < VIEW_CHUNK_ROWS ? left : VIEW_CHUNK_ROWS;
		str bytes;

		must(fd_map(a, r.chunks[i], in * sizeof(struct view_row), &bytes));
		for (size_t k = 0; k < in; k++, n++) {
			struct view_row row;

			memcpy(&row, bytes.p + k * sizeof row, sizeof row);
			assert_true(sql_row(q));
			assert_int_equal(row.uid, sql_u64(q));
			assert_int_equal(row.flags, sql_u64(q));
			assert_int_equal(row.modseq, sql_u64(q));
		}
	}
	assert_false(sql_row(q));
	must(sql_end(a, q));
	store_read_end(&t);
	arena_free(&a);
}

static u32 warm(struct world *w)
{
	struct arena *a = arena_new(64 << 20);
	struct tx t;
	u32 packed;

	must(store_read_begin(w->store, a, &t));
	must(store_mailboxes_warm(&t, &packed));
	store_read_end(&t);
	arena_free(&a);
	return packed;
}

static void flag(struct world *w, u32 low, u32 high)
{
	world_flags(w, INBOX, (struct uid_range){ low, high, 0 }, FLAGS_ADD, FLAG_SEEN);
}

static size_t expunge(struct world *w, u32 low, u32 high)
{
	return world_expunge(w, INBOX, (struct uid_range){ low, high, 0 }, false)
	    .expunged.expunged_n;
}

static void test_chunks(void **state)
{
	struct world w;
	u32 uid;

	(void)state;
	world_new(&w);
	assert_int_equal(warm(&w), 0); /* nothing in it is worth it */
	fill_inbox(&w);
	assert_int_equal(warm(&w), 1);
	assert_int_equal(warm(&w), 0);
	check_view(&w, MANY);
	must(world_append(&w, S("INBOX"), 1000, 1, 0, &uid));
	assert_int_equal(uid, 300001);
	check_view(&w, MANY + 1);
	flag(&w, 2, 2); /* the first row */
	check_view(&w, MANY + 1);
	flag(&w, 131072, 131076); /* around the first border */
	check_view(&w, MANY + 1);
	assert_int_equal(expunge(&w, 131070, 131080), 6);
	check_view(&w, MANY - 5);
	expunge(&w, 262144, 400000);
	must(world_append(&w, S("INBOX"), 1000, 1, 0, &uid));
	check_view(&w, 131071 - 6 + 1);
	expunge(&w, 1, UINT32_MAX);
	check_view(&w, 0);
	world_free(&w);
}

/* A change in pieces is the same change: each piece looks at a bounded number of rows, and readers see it between two. */
static void test_pieces(void **state)
{
	static const struct uid_range most[] = { { .low = 300, .high = 500 },
						 { .low = 1000, .high = 290000 },
						 { .low = 299000, .high = UINT32_MAX } };
	struct change_call o = { .account = 7 };
	u32 from = 1, before, pieces = 0, rows = MANY;
	struct world w;

	(void)state;
	world_new(&w);
	fill_inbox(&w);
	o.from = &from;
	o.flags = (struct office_message_flags_request){
		.mailbox = INBOX, .uids = most, .uids_n = 3, .mode = FLAGS_ADD, .flags = FLAG_SEEN
	};
	o.expunge =
	    (struct office_message_expunge_request){ .mailbox = INBOX, .uids = most, .uids_n = 3 };
	for (before = 0; *o.from; pieces++) {
		assert_true(from > before);
		before = from;
		must(world_write(&w, false, flags_call, &o));
		if (pieces % 10 == 5)
			check_view(&w, MANY);
	}
	check_view(&w, MANY);
	assert_int_equal(pieces, (101 + 144501 + 501 + STORE_PIECE_ROWS - 1) / STORE_PIECE_ROWS);
	for (from = 1, pieces = 0; *o.from; pieces++) {
		must(world_write(&w, true, expunge_call, &o));
		for (size_t i = 0; i < o.expunged.expunged_n; i++)
			rows -= o.expunged.expunged[i].high - o.expunged.expunged[i].low + 1;
		if (pieces % 10 == 5)
			check_view(&w, rows);
	}
	assert_int_equal(rows, MANY - (101 + 144501 + 501));
	check_view(&w, rows);
	world_free(&w);
}

/* More changes than one answer may have come in several, none twice, none left out. */
static void test_long_changes(void **state)
{
	struct office_mailbox_changes_answer r;
	struct world w;
	u64 since = 1000;
	size_t all = 0;
	u32 rounds = 0;

	(void)state;
	world_new(&w);
	fill_inbox(&w);
	flag(&w, 1, UINT32_MAX);
	do {
		struct tx t;

		memset(&r, 0, sizeof r);
		must(store_read_begin(w.store, w.arena, &t));
		must(store_mailbox_changes(&t, w.account, INBOX, since, &r));
		store_read_end(&t);
		assert_false(r.forgotten);
		assert_true(r.changes_n <= OFFICE_CHANGES_MAX);
		for (size_t i = 0; i < r.changes_n; i++) {
			assert_int_equal(r.changes[i].uid, 2 * ++all);
			assert_int_equal(r.changes[i].flags, FLAG_SEEN);
		}
		since = r.modseq;
		rounds++;
	} while (r.modseq < r.info.modseq);
	assert_int_equal(all, MANY);
	assert_int_equal(rounds, 3);
	assert_int_equal(r.info.unseen, 0);
	world_free(&w);
}

static void test_many_segments(void **state)
{
	struct world w;
	struct office_verify_answer v;
	struct salvage_report report;
	u32 uid;

	(void)state;
	world_new(&w);
	for (u32 i = 0; i < 30; i++) {
		segments_roll_at(w.store->segments, 50000);
		must(world_append(&w, S("INBOX"), 20000, i, 0, &uid));
		if (i % 7 == 0)
			world_reopen(&w);
	}
	assert_true(segments_end(w.store->segments).segment >= 10);
	store_close(&w.store);
	must(store_verify_folder(w.arena, w.folder, &v));
	assert_int_equal(v.problem_count, 0);
	assert_int_equal(v.messages, 30);
	must(store_salvage(w.arena, w.folder, &report));
	assert_int_equal(report.messages, 30);
	must(store_verify_folder(w.arena, w.folder, &v));
	assert_int_equal(v.problem_count, 0);
	world_open(&w);
	world_free(&w);
}

/* --- What the queue does --- */

struct accepted {
	struct body_draft draft;
	u64 id, account;
	str to;
	struct placed placed;
	u32 special;
};

static const struct fail *accept(struct tx *t, void *context)
{
	struct accepted *c = context;
	const struct body_summary s = { .sender = S("a@example.net"),
					.recipients = &c->to,
					.recipients_n = 1 };

	return store_body_append(t, c->id, &c->draft, &s);
}

static const struct fail *deliver(struct tx *t, void *context)
{
	struct accepted *c = context;
	const struct placement p = { .body = c->id,
				     .prefix = S("Return-Path: <a@example.net>\r\n"),
				     .takes_reference = true };

	return store_deliver(t, c->account, c->special, &p, &c->placed);
}

static const struct fail *release(struct tx *t, void *context)
{
	return store_body_release(t, ((struct accepted *)context)->id);
}

static void test_queue(void **state)
{
	struct accepted c = { .account = 7,
			      .to = S("user7@example.test"),
			      .special = SPECIAL_JUNK };
	struct office_verify_answer v;
	struct salvage_report report;
	struct world w;
	struct tx t;
	u64 size, skeleton;
	int fd;

	(void)state;
	world_new(&w);
	for (u32 i = 0; i < 4; i++) { /* delivered, sent on, never delivered, for elsewhere */
		make_draft(&w, i == 0 ? 900000 : 3000, i, &c.draft);
		c.id = store_id_now(w.store);
		if (i == 3)
			c.to = S("someone@example.org");
		must(world_write(&w, false, accept, &c));
		must(store_read_begin(w.store, w.arena, &t));
		must(store_body_get(&t, c.id, &fd, &size, &skeleton));
		store_read_end(&t);
		assert_int_equal(size, c.draft.size);
		assert_true(fd_is_sealed(fd, size + skeleton));
		if (i == 0)
			must(world_write(&w, false, deliver, &c));
		if (i == 1)
			must(world_write(&w, false, release, &c));
	}
	must(store_read_begin(w.store, w.arena, &t));
	must(store_verify(&t, &v));
	store_read_end(&t);
	assert_int_equal(v.problem_count, 0);
	store_close(&w.store);
	must(store_salvage(w.arena, w.folder, &report));
	assert_int_equal(report.damaged, 0);
	assert_int_equal(report.messages,
			 3); /* one delivered, two waiting: who was sent on is not noted */
	assert_int_equal(report.undelivered, 2);
	assert_int_equal(report.unplaced, 1);
	world_open(&w);
	world_free(&w);
}

static void test_quota(void **state)
{
	struct world w;
	u32 uid;

	(void)state;
	world_new(&w);
	must(sql_script(w.arena, w.store->db, "UPDATE account SET quota_bytes = 5000"));
	must(world_append(&w, S("INBOX"), 3000, 1, 0, &uid));
	must_fail(world_append(&w, S("INBOX"), 3000, 2, 0, &uid), FAIL_QUOTA);
	world_free(&w);
}

/* Nothing that an edge says of a body is believed. */
static void test_bodies_refused(void **state)
{
	static const struct {
		const char *bytes;
		u64 at, size, skeleton;
		enum fail_what what;
	} cases[] = {
		{ "not a skeleton", 0, 14, 0, FAIL_CORRUPT },
		{ "not a skeleton", 0, 4, 11, FAIL_INVALID },
		{ "not a skeleton", 0, 4, 9, FAIL_INVALID },
		{ "not a skeleton", 4, 10, 0, FAIL_INVALID },
		{ "not a skeleton", 1, UINT64_MAX, 14, FAIL_TOO_LARGE },
		{ "not a skeleton", UINT64_MAX, 15, 0, FAIL_INVALID },
		{ "not a skeleton", 0, 15, UINT64_MAX, FAIL_INVALID },
		{ "", 0, 0, 0, FAIL_CORRUPT },
	};
	struct body_draft d;
	struct world w;
	int sealed;

	(void)state;
	world_new(&w);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct message_body b = { .bytes = str_cstr(cases[i].bytes),
					  .file = -1,
					  .at = cases[i].at,
					  .size = cases[i].size,
					  .skeleton = cases[i].skeleton };
		must_fail(store_body_check(w.arena, w.store, &b, &d), cases[i].what);
	}
	must(fd_from_str(w.arena, S("not a file of the office's"), &sealed));
	must_fail(store_body_check(w.arena, w.store,
				   &(struct message_body){ .file = sealed, .size = 26 }, &d),
		  FAIL_INVALID);
	must(store_spool_file(w.arena, w.store, &sealed));
	assert_int_equal(write(sealed, "not a skeleton", 14), 14);
	must_fail(store_body_check(w.arena, w.store,
				   &(struct message_body){ .file = sealed, .size = 14 }, &d),
		  FAIL_CORRUPT);
	must_fail(store_body_check(w.arena, w.store,
				   &(struct message_body){ .file = sealed, .size = 15 }, &d),
		  FAIL_INVALID);
	must_fail(store_body_check(
		      w.arena, w.store,
		      &(struct message_body){ .bytes = S("x"), .file = sealed, .size = 14 }, &d),
		  FAIL_INVALID);
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chunks),         cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_long_changes),   cmocka_unit_test(test_many_segments),
		cmocka_unit_test(test_queue),          cmocka_unit_test(test_quota),
		cmocka_unit_test(test_bodies_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
