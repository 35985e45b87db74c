/* Mailboxes and messages, one operation after the other. */
#include "office/store/store_test_support.h"

#include <time.h>

#include <sys/mman.h>

#include "bus/view.h"

struct named_call {
	u64 account;
	str name, to;
	u32 special;
	u64 id;
	bool subscribed;
};

static const struct fail *create(struct tx *t, void *context)
{
	struct named_call *c = context;
	return store_mailbox_create(t, c->account, c->name, c->special, &c->id);
}

static const struct fail *remove_it(struct tx *t, void *context)
{
	struct named_call *c = context;
	return store_mailbox_delete(t, c->account, c->name, NULL);
}

static const struct fail *rename_it(struct tx *t, void *context)
{
	struct named_call *c = context;
	return store_mailbox_rename(t, c->account, c->name, c->to, NULL);
}

static const struct fail *subscribe(struct tx *t, void *context)
{
	struct named_call *c = context;
	return store_mailbox_subscribe(t, c->account, c->name, c->subscribed);
}

static const struct fail *named(struct world *w, const struct fail *(*call)(struct tx *, void *),
				str name, str to)
{
	struct named_call c = { .account = w->account, .name = name, .to = to };
	return world_write(w, false, call, &c);
}

/* All names, with commas; a '*' for each that is not subscribed. */
static str list(struct world *w)
{
	struct office_mailbox_list_answer r = { .mailboxes_n = 0 };
	struct buf *b = buf_new(w->arena, 1 << 20);
	struct tx t;

	must(store_read_begin(w->store, w->arena, &t));
	must(store_mailbox_list(&t, w->account, &r));
	for (size_t i = 0; i < r.mailboxes_n; i++) { /* alone it is what it is among all */
		struct office_mailbox_list_answer one = { .mailboxes_n = 0 };
		must(store_mailbox_find(&t, w->account, r.mailboxes[i].name, &one));
		assert_int_equal(one.mailboxes_n, 1);
		assert_int_equal(one.mailboxes[0].id, r.mailboxes[i].id);
		assert_int_equal(one.mailboxes[0].subscribed, r.mailboxes[i].subscribed);
	}
	assert_fail(store_mailbox_find(&t, w->account, S("no such box"), &r), FAIL_NOT_FOUND);
	store_read_end(&t);
	for (size_t i = 0; i < r.mailboxes_n; i++)
		buf_printf(b, "%s%.*s%s", i ? "," : "", STR_ARG(r.mailboxes[i].name),
			   r.mailboxes[i].subscribed ? "" : "*");
	for (size_t i = 0; i < r.subscribed_only_n; i++)
		buf_printf(b, ";%.*s", STR_ARG(r.subscribed_only[i]));
	return buf_str(b);
}

static void assert_list(struct world *w, const char *expected)
{
	str got = list(w);

	if (!str_eq(got, str_cstr(expected)))
		fail_msg("%.*s instead of %s", STR_ARG(got), expected);
}

static struct office_mailbox_open_answer open_box(struct world *w, str name, struct view_row **rows)
{
	struct office_mailbox_open_answer r = { .rows = 0 };
	struct tx t;
	u32 at = 0;

	must(store_read_begin(w->store, w->arena, &t));
	must(store_mailbox_open(&t, w->account, name, false, &r));
	store_read_end(&t);
	*rows = arena_array_of(w->arena, r.rows, struct view_row);
	for (size_t i = 0; i < r.chunks_n; i++) {
		u32 n = r.rows - at < VIEW_CHUNK_ROWS ? r.rows - at : VIEW_CHUNK_ROWS;
		str bytes;

		must(fd_map(w->arena, r.chunks[i], n * sizeof **rows, &bytes));
		memcpy(*rows + at, bytes.p, bytes.n);
		at += n;
	}
	assert_int_equal(at, r.rows);
	assert_int_equal(r.modseq, r.info.modseq);
	assert_int_equal(r.info.messages, r.rows);
	return r;
}

static void test_mailboxes(void **state)
{
	struct world w;

	(void)state;
	world_new(&w);
	assert_list(&w, "Archive,Drafts,INBOX,Junk,Sent,Trash");
	must(named(&w, create, S("a/b/c/"), STR_NONE));
	assert_list(&w, "Archive,Drafts,INBOX,Junk,Sent,Trash,a*,a/b*,a/b/c*");
	must_fail(named(&w, create, S("a/b"), STR_NONE), FAIL_EXISTS);
	must_fail(named(&w, create, S("inbox"), STR_NONE), FAIL_EXISTS);
	must_fail(named(&w, create, S("a//b"), STR_NONE), FAIL_INVALID);
	must_fail(named(&w, create, S("/a"), STR_NONE), FAIL_INVALID);
	must_fail(named(&w, create, S("a\nb"), STR_NONE), FAIL_INVALID);
	must_fail(named(&w, create, S("\xff"), STR_NONE), FAIL_INVALID);
	must_fail(named(&w, create, S(""), STR_NONE), FAIL_INVALID);
	must(named(&w, create, S("iNbOx/x"), STR_NONE));
	must(named(&w, rename_it, S("a"), S("z/y")));
	assert_list(&w, "Archive,Drafts,INBOX,INBOX/x*,Junk,Sent,Trash,z*,z/y*,z/y/b*,z/y/b/c*");
	must_fail(named(&w, rename_it, S("z"), S("z/y/q")), FAIL_INVALID);
	must_fail(named(&w, rename_it, S("none"), S("some")), FAIL_NOT_FOUND);
	must_fail(named(&w, rename_it, S("z"), S("Sent")), FAIL_EXISTS);
	must_fail(named(&w, remove_it, S("Inbox"), STR_NONE), FAIL_DENIED);
	must(named(&w, remove_it, S("z/y"), STR_NONE));
	must_fail(named(&w, remove_it, S("z/y"), STR_NONE), FAIL_NOT_FOUND);
	must(named(&w, remove_it, S("Trash"), STR_NONE));
	assert_list(&w, "Archive,Drafts,INBOX,INBOX/x*,Junk,Sent,z*,z/y/b*,z/y/b/c*;Trash");
	must(named(&w, subscribe, S("Trash"), STR_NONE));
	assert_list(&w, "Archive,Drafts,INBOX,INBOX/x*,Junk,Sent,z*,z/y/b*,z/y/b/c*");
	world_reopen(&w);
	assert_list(&w, "Archive,Drafts,INBOX,INBOX/x*,Junk,Sent,z*,z/y/b*,z/y/b/c*");
	world_free(&w);
}

static void test_messages(void **state)
{
	static const struct uid_range two = { .low = 2, .high = 2 };
	static const struct uid_range all = { .low = 1, .high = UINT32_MAX };
	static const str keyword = { (const u8 *)"$Junk", 5 };
	struct change_call c = { .account = 7 };
	struct office_mailbox_open_answer box;
	struct view_row *rows;
	struct world w;
	u32 uid;

	(void)state;
	world_new(&w);
	for (u32 i = 1; i <= 3; i++) {
		must(world_append(&w, S("INBOX"), 1000 * i, i, i == 1 ? FLAG_SEEN : 0, &uid));
		assert_int_equal(uid, i);
	}
	must_fail(world_append(&w, S("nowhere"), 10, 1, 0, &uid), FAIL_NOT_FOUND);
	box = open_box(&w, S("INBOX"), &rows);
	assert_int_equal(box.rows, 3);
	assert_int_equal(box.info.unseen, 2);
	assert_int_equal(box.info.recent, 3);
	c.flags = (struct office_message_flags_request){ .mailbox = box.info.id,
							 .uids = &two,
							 .uids_n = 1,
							 .mode = FLAGS_ADD,
							 .flags = FLAG_SEEN | FLAG_DELETED,
							 .keywords = &keyword,
							 .keywords_n = 1 };
	must(world_write(&w, false, flags_call, &c));
	c.flags.has_unchanged_since = true;
	c.flags.unchanged_since = box.modseq;
	must(world_write(&w, false, flags_call, &c));
	assert_int_equal(c.flagged.modified_n, 1);
	box = open_box(&w, S("inbox"), &rows);
	assert_int_equal(box.rows, 3);
	assert_int_equal(rows[1].flags, FLAG_SEEN | FLAG_DELETED | 1 << FLAG_KEYWORD_FIRST);
	assert_int_equal(box.keywords_n, 1);
	c = world_copy(&w, box.info.id, two, S("Junk"), false);
	assert_int_equal(c.copied.source_n, 1);
	assert_int_equal(c.copied.target[0], 1);
	c.copy.uids = &two;
	c.copy.rows = 2; /* one has gone since */
	assert_fail(world_write(&w, false, copy_call, &c), FAIL_CONFLICT);
	assert_int_equal(open_box(&w, S("Junk"), &rows).rows, 1);
	c = world_expunge(&w, box.info.id, all, true);
	assert_int_equal(c.expunged.expunged_n, 1);
	assert_int_equal(c.expunged.expunged[0].low, 2);
	box = open_box(&w, S("INBOX"), &rows);
	assert_int_equal(box.rows, 2);
	assert_int_equal(rows[1].uid, 3);
	box = open_box(&w, S("Junk"), &rows);
	assert_int_equal(box.rows, 1);
	assert_int_equal(rows[0].flags, FLAG_SEEN | FLAG_DELETED | 1 << FLAG_KEYWORD_FIRST);
	world_copy(&w, box.info.id, all, S("Sent"), true);
	assert_int_equal(open_box(&w, S("Junk"), &rows).rows, 0);
	assert_int_equal(open_box(&w, S("Sent"), &rows).rows, 1);
	must(named(&w, rename_it, S("INBOX"), S("old/mail")));
	assert_int_equal(open_box(&w, S("INBOX"), &rows).rows, 0);
	assert_int_equal(open_box(&w, S("old/mail"), &rows).rows, 2);
	world_free(&w);
}

static const struct fail *claim(struct tx *t, void *context)
{
	struct office_mailbox_open_answer *r = context;
	return store_mailbox_open(t, 7, S("INBOX"), true, r);
}

/* RFC 3501 2.3.2: a message is recent for one session only. */
static void test_recent(void **state)
{
	struct office_mailbox_open_answer r = { .rows = 0 };
	struct world w;
	u32 uid;

	(void)state;
	world_new(&w);
	for (u32 i = 0; i < 2; i++)
		must(world_append(&w, S("INBOX"), 100, i, 0, &uid));
	must(world_write(&w, false, claim, &r));
	assert_int_equal(r.recent_from, 1);
	assert_int_equal(r.info.recent, 2);
	must(world_append(&w, S("INBOX"), 100, 3, 0, &uid));
	must(world_write(&w, false, claim, &r));
	assert_int_equal(r.recent_from, 3);
	assert_int_equal(r.info.recent, 1);
	must(world_write(&w, false, claim, &r));
	assert_int_equal(r.recent_from, 4);
	assert_int_equal(r.info.recent, 0);
	world_free(&w);
}

static const struct fail *clear(struct tx *t, void *context)
{
	struct world *w = context;

	TRY(store_account_clear(t, w->account, NULL));
	return SQL_RUN(t->arena, t->db, "DELETE FROM account WHERE id = ?", SQL_U64(w->account));
}

/* Names of keywords that nobody has may be taken away, which makes none: not in salvage either, or a mailbox would run out of them. */
static void test_keywords_salvaged(void **state)
{
	static const struct uid_range one = { .low = 1, .high = 1 };
	str names[OFFICE_KEYWORDS], last = S("last");
	struct change_call c = { .flags = { .uids = &one,
					    .uids_n = 1,
					    .mode = FLAGS_REMOVE,
					    .flags = FLAG_SEEN,
					    .keywords = names,
					    .keywords_n = OFFICE_KEYWORDS } };
	struct office_mailbox_open_answer box;
	struct salvage_report report;
	struct view_row *rows;
	struct world w;
	u32 uid;

	(void)state;
	world_new(&w);
	for (size_t i = 0; i < OFFICE_KEYWORDS; i++)
		names[i] = str_format(w.arena, "k%zu", i);
	must(world_append(&w, S("INBOX"), 100, 1, FLAG_SEEN, &uid));
	c.account = w.account;
	c.flags.mailbox = open_box(&w, S("INBOX"), &rows).info.id;
	must(world_write(&w, false, flags_call, &c));
	c.flags.mode = FLAGS_ADD;
	c.flags.keywords = &last;
	c.flags.keywords_n = 1;
	must(world_write(&w, false, flags_call, &c));
	store_close(&w.store);
	must(store_salvage(w.arena, w.folder, &report));
	assert_int_equal(report.damaged, 0);
	world_open(&w);
	box = open_box(&w, S("INBOX"), &rows);
	assert_int_equal(box.rows, 1);
	assert_int_equal(rows[0].flags, FLAG_SEEN | 1 << FLAG_KEYWORD_FIRST);
	assert_int_equal(box.keywords_n, 1);
	assert_str(box.keywords[0], S("last"));
	world_free(&w);
}

/* Nothing of an account stays, in the rows or in what salvage makes of the segments. */
static void test_account_goes(void **state)
{
	struct office_verify_answer v;
	struct salvage_report report;
	struct store_counts counts;
	struct world w;
	struct tx t;
	u32 uid;

	(void)state;
	world_new(&w);
	for (u32 i = 0; i < 3; i++)
		must(world_append(&w, S("Sent"), 1000, i, 0, &uid));
	must(world_write(&w, true, clear, &w));
	must(store_read_begin(w.store, w.arena, &t));
	must(store_verify(&t, &v));
	must(store_counts(&t, &counts));
	store_read_end(&t);
	assert_int_equal(v.problem_count, 0);
	assert_int_equal(counts.messages + counts.segment_bytes, 0);
	assert_true(counts.dead_bytes > 3000);
	store_close(&w.store);
	must(store_salvage(w.arena, w.folder, &report));
	assert_int_equal(report.accounts + report.mailboxes + report.messages, 0);
	assert_int_equal(report.unplaced, 3);
	world_open(&w);
	world_free(&w);
}

static void test_keywords(void **state)
{
	static const struct uid_range all = { .low = 1, .high = UINT32_MAX };
	struct change_call c = { .account = 7 };
	struct world w;
	str names[OFFICE_KEYWORDS + 1];
	u32 uid;

	(void)state;
	world_new(&w);
	must(world_append(&w, S("INBOX"), 100, 1, 0, &uid));
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		names[i] = str_format(w.arena, "word%zu", i);
	c.flags = (struct office_message_flags_request){ .mailbox = 1,
							 .uids = &all,
							 .uids_n = 1,
							 .mode = FLAGS_ADD,
							 .keywords = names,
							 .keywords_n = OFFICE_KEYWORDS + 1 };
	must_fail(world_write(&w, false, flags_call, &c), FAIL_LIMIT);
	c.flags.keywords_n--;
	must(world_write(&w, false, flags_call, &c));
	names[0] = S("WORD1");
	c.flags.mode = FLAGS_REPLACE;
	c.flags.keywords_n = 1;
	must(world_write(&w, false, flags_call, &c));
	{
		struct view_row *rows;
		struct office_mailbox_open_answer box = open_box(&w, S("INBOX"), &rows);

		assert_int_equal(box.keywords_n, OFFICE_KEYWORDS);
		assert_int_equal(rows[0].flags, (u64)1 << (FLAG_KEYWORD_FIRST + 1));
	}
	names[0] = S("two words");
	must_fail(world_write(&w, false, flags_call, &c), FAIL_INVALID);
	world_free(&w);
}

/* Ranges that a peer thinks of cost what the mailbox holds, not a look each; those between are left alone. */
static void test_many_ranges(void **state)
{
	enum { MANY = 500000, STEP = 8000, ROWS = 200 };
	struct change_call c = { .account = 7 };
	struct office_mailbox_open_answer box;
	struct view_row *rows;
	struct uid_range *many;
	struct world w;
	clock_t began;
	u32 uid;

	(void)state;
	world_new(&w);
	many = arena_array_of(w.arena, MANY, struct uid_range);
	for (u32 i = 0; i < MANY; i++) /* 3, 103, 203, then far from all rows */
		many[i].low = many[i].high = i < 3 ? 3 + i * 100 : i * STEP;
	for (u32 i = 1; i <= ROWS; i++)
		must(world_append(&w, S("INBOX"), 100, i, 0, &uid));
	c.flags = (struct office_message_flags_request){
		.mailbox = 1, .uids = many, .uids_n = MANY, .mode = FLAGS_ADD, .flags = FLAG_SEEN
	};
	began = clock();
	must(world_write(&w, false, flags_call, &c));
	assert_true(clock() - began < 2 * CLOCKS_PER_SEC);
	box = open_box(&w, S("INBOX"), &rows);
	assert_int_equal(box.info.unseen, ROWS - 2);
	for (u32 i = 0; i < ROWS; i++)
		assert_int_equal(rows[i].flags, i == 2 || i == 102 ? FLAG_SEEN : 0);
	world_free(&w);
}

/* Items of one fetch, decoded. */
static u32 fetch_items(struct world *w, const struct uid_range *uids, size_t n, u32 want,
		       struct fetch_item *items, u32 most)
{
	struct office_message_fetch_request q = {
		.mailbox = 1, .uids = uids, .uids_n = n, .want = want
	};
	struct office_message_fetch_answer r = { .count = 0 };
	struct decoder d = { .arena = w->arena };
	struct tx t;

	must(store_read_begin(w->store, w->arena, &t));
	must(store_message_fetch(&t, w->account, &q, &r));
	store_read_end(&t);
	assert_true(r.count <= most);
	must(fd_map(w->arena, r.data, r.bytes, &d.rest));
	for (u32 i = 0; i < r.count; i++)
		decode_fetch_item(&d, &items[i]);
	assert_true(decoder_done(&d));
	return r.count;
}

/* Sets with holes near and far, in no order; some of the messages are gone. */
static void test_fetch_sets(void **state)
{
	enum { MESSAGES = 60 };
	static const u32 asked[] = { 59, 1, 2, 3, 5, 7, 17, 18, 40, 41, 60, 99 };
	static const u32 there[] = { 1, 2, 5, 7, 17, 18, 40, 59, 60 };
	static const struct uid_range gone[] = { { .low = 3, .high = 3 },
						 { .low = 41, .high = 50 } };
	struct uid_range uids[ARRAY_LEN(asked)] = { 0 };
	struct change_call c = { .account = 7 };
	struct fetch_item items[MESSAGES], whole;
	struct world w;
	u32 uid;

	(void)state;
	world_new(&w);
	for (u32 i = 1; i <= MESSAGES; i++)
		must(world_append(&w, S("INBOX"), 200, i, 0, &uid));
	c.expunge =
	    (struct office_message_expunge_request){ .mailbox = 1, .uids = gone, .uids_n = 2 };
	must(world_write(&w, true, expunge_call, &c));
	for (size_t i = 0; i < ARRAY_LEN(asked); i++)
		uids[i].low = uids[i].high = asked[i];
	assert_int_equal(fetch_items(&w, uids, ARRAY_LEN(asked), FETCH_BYTES, items, MESSAGES),
			 ARRAY_LEN(there));
	for (size_t i = 0; i < ARRAY_LEN(there); i++) {
		str subject = str_format(w.arena, "Subject: message %u\r\n", there[i]);

		assert_int_equal(items[i].uid, there[i]);
		assert_true(str_find_str(items[i].bytes, subject) != SIZE_MAX);
	}
	/* The envelope alone is what stands in the skeleton. */
	assert_int_equal(fetch_items(&w, uids, 1, FETCH_SKELETON, &whole, 1), 1);
	assert_int_equal(fetch_items(&w, uids, 1, FETCH_SKELETON | FETCH_ENVELOPE, items, 1), 1);
	must(skeleton_envelope_find(w.arena, whole.skeleton, &whole.skeleton));
	assert_str(items[0].skeleton, whole.skeleton);
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fetch_sets), cmocka_unit_test(test_mailboxes),
		cmocka_unit_test(test_messages),   cmocka_unit_test(test_keywords_salvaged),
		cmocka_unit_test(test_recent),     cmocka_unit_test(test_account_goes),
		cmocka_unit_test(test_keywords),   cmocka_unit_test(test_many_ranges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
