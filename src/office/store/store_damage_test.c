/* One row that cannot be read is one row: what stands beside it is shown, followed, deleted and listed all the same. */
#include "office/store/store_test_support.h"

#include "office/store/store_directory.h"
#include "office/store/store_event.h"
#include "office/store/store_queue.h"

static void lie(struct world *w, const char *statement)
{
	must(sql_script(w->arena, w->store->db, statement));
}

/* Of all that ever changed. */
static u64 changes_in(struct world *w)
{
	struct office_mailbox_changes_answer c;
	struct tx t;

	must(store_read_begin(w->store, w->arena, &t));
	must(store_mailbox_changes(&t, w->account, 1, 100, &c));
	store_read_end(&t);
	return c.changes_n;
}

static void test_message(void **state)
{
	static const char *const lies[] = {
		"UPDATE message_state SET flags = 'x' WHERE uid = 2",
		"UPDATE message_state SET uid = uid + (1 << 40) WHERE uid = 2",
		"UPDATE message_state SET size = 'x' WHERE uid = 2",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		struct world w;
		u32 uid;

		world_new(&w);
		lie(&w, "UPDATE account SET modseq = 100; UPDATE mailbox SET modseq = 100,"
			" forgotten = 100");
		for (u32 k = 0; k < 3; k++)
			must(world_append(&w, S("INBOX"), 500, k, 0, &uid));
		lie(&w, lies[i]);
		assert_int_equal(changes_in(&w), 2);
		assert_int_equal(world_rows(&w, "INBOX"), 2);
		world_flags(&w, 1, (struct uid_range){ .low = 1, .high = 3 }, FLAGS_ADD, FLAG_SEEN);
		world_copy(&w, 1, (struct uid_range){ .low = 1, .high = 3 }, S("Archive"), false);
		assert_int_equal(world_rows(&w, "Archive"), 2);
		world_expunge(&w, 1, (struct uid_range){ .low = 1, .high = 1 }, false);
		assert_int_equal(world_rows(&w, "INBOX"), 1);
		world_free(&w);
	}
}

static const struct fail *clear(struct tx *t, void *context)
{
	struct world *w = context;
	u32 next = 1;

	return store_account_remove(t, w->account, &next);
}

static void test_mailbox(void **state)
{
	struct office_mailbox_list_answer list;
	struct world w;
	struct tx t;
	u32 uid;

	(void)state;
	world_new(&w);
	must(world_append(&w, S("Archive"), 500, 1, 0, &uid));
	lie(&w, "UPDATE mailbox SET uidnext = 'x' WHERE name = 'Archive'");
	must(store_read_begin(w.store, w.arena, &t));
	must(store_mailbox_list(&t, w.account, &list));
	store_read_end(&t);
	assert_int_equal(list.mailboxes_n, 5);
	must(world_write(&w, true, clear, &w));
	must(store_read_begin(w.store, w.arena, &t));
	{
		struct store_counts c;

		must(store_counts(&t, &c));
		assert_int_equal(c.accounts, 0);
		assert_int_equal(c.segment_bytes, 0); /* its message was let go too */
	}
	store_read_end(&t);
	world_free(&w);
}

static void test_lists(void **state)
{
	struct office_account_list_answer accounts;
	struct office_trace_answer trace = { .events_n = 0 };
	const struct event_record *events;
	struct queue_info *entries;
	struct world w;
	struct tx t;
	u64 *jobs;
	size_t n;

	(void)state;
	world_new(&w);
	lie(&w, "UPDATE account SET quota_bytes = 'x';"
		"INSERT INTO trace VALUES (1 << 60, 1, 'a@b', 'c@d' || char(10), '', '', '', 'x'),"
		" (2 << 60, 1, 'a@b', 'c@d' || char(10), '', '', '', 1);"
		"INSERT INTO event VALUES (2 << 60, 1, 'x', 'mx', 'accepted', '{}'),"
		" (2 << 60, 2, 1, 'mx', 'accepted', '{}');"
		"INSERT INTO queue_message VALUES (9, 'a@b', '', 0, 0, 0, 0, 1, 1);"
		"INSERT INTO queue_entry VALUES"
		" (9, 9, 9, 1, 0, 0, 0, 0, 'd', 'c@d', '', '', 0, 'x', 0, 0, '', '', '', ''),"
		" (9, 9, 10, 1, 0, 0, 0, 0, 'd', 'e@d', '', '', 0, 0, 0, 0, '', '', '', '')");
	must(store_read_begin(w.store, w.arena, &t));
	must(store_account_list(&t, STR_NONE, &accounts));
	assert_int_equal(accounts.accounts_n, 1);
	assert_true(accounts.accounts[0].suspended);
	must(store_trace_find(&t, S("c@d"), 10, &trace));
	assert_int_equal(trace.messages_n, 1);
	must(store_event_list(&t, (u64)2 << 60, &events, &n));
	assert_int_equal(n, 1);
	must(store_queue_list(&t, 0, 10, false, &entries, &jobs, &n));
	assert_int_equal(n, 2);
	assert_str(entries[0].recipient, S("c@d"));
	store_read_end(&t);
	world_free(&w);
}

/* What cannot be a modseq or a UIDVALIDITY is given to nobody (RFC 7162 3.1.1, RFC 3501 9). */
static void test_ends(void **state)
{
	struct office_mailbox_open_answer box;
	struct world w;
	struct tx t;
	u32 uid;

	(void)state;
	world_new(&w);
	lie(&w, "UPDATE account SET modseq = 9223372036854775806");
	must(world_append(&w, S("INBOX"), 500, 1, 0, &uid));
	must_fail(world_append(&w, S("INBOX"), 500, 2, 0, &uid), FAIL_CORRUPT);
	world_free(&w);
	world_new(&w);
	w.clock = 1000 * ((u64)UINT32_MAX + 5); /* in 2106, or a clock that is wrong */
	w.account = 8;
	must(world_write(&w, false, make_account, &w));
	must(store_read_begin(w.store, w.arena, &t));
	must(store_mailbox_open(&t, 8, S("INBOX"), false, &box));
	store_read_end(&t);
	assert_true(box.info.uidvalidity > 1790000000);
	lie(&w, "UPDATE meta SET value = 4294967295 WHERE name = 'uidvalidity'");
	w.account = 9;
	must_fail(world_write(&w, false, make_account, &w), FAIL_LIMIT);
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_message),
		cmocka_unit_test(test_mailbox),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
