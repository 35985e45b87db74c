/* Salvage of folders that lost something: what is gone must not make what is left wrong, and the store that comes out goes on as if it were the
 * old one. */
#include "office/store/store_test_support.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/crc32c.h"
#include "office/store/record.h"

static const char segment[] = "mail/00000001.seg";

static struct salvage_report salvage(struct world *w)
{
	struct salvage_report r;

	if (w->store)
		store_close(&w->store);
	must(store_salvage(w->arena, w->folder, &r));
	return r;
}

static char *path_of(struct world *w, const char *name)
{
	return (char *)(uintptr_t)cstr(w->arena, str_format(w->arena, "%s/%s", w->folder, name));
}

static u64 size_of(struct world *w)
{
	struct stat st;

	assert_int_equal(stat(path_of(w, segment), &st), 0);
	return (u64)st.st_size;
}

static void spoil(struct world *w, u64 at)
{
	int fd = open(path_of(w, segment), O_WRONLY);

	assert_int_equal(pwrite(fd, "spoilt", 6, (off_t)at), 6);
	close(fd);
}

/* Clients know messages by UIDVALIDITY and UID: what was lost must not lend its UID to another (RFC 3501 2.3.1.1). */
static void test_uids_are_not_given_again(void **state)
{
	enum { RECORD, BODY, END, WAYS };

	(void)state;
	for (int way = 0; way < WAYS; way++) {
		struct world w;
		u32 uid, last;
		u64 before;

		world_new(&w);
		must(world_append(&w, S("INBOX"), 500, 1, 0, &uid));
		before = segments_end(w.store->segments).offset;
		must(world_append(&w, S("INBOX"), 500, 2, 0, &last));
		store_close(&w.store);
		if (way == BODY) /* the header of the message */
			spoil(&w, before + 8);
		else if (way == RECORD) /* the note that comes last */
			spoil(&w, size_of(&w) - 40);
		else
			assert_int_equal(truncate(path_of(&w, segment), (off_t)before), 0);
		assert_int_equal(salvage(&w).messages, 1);
		world_open(&w);
		must(world_append(&w, S("INBOX"), 500, 3, 0, &uid));
		if (uid <= last)
			fail_msg("way %d: UID %u is given again", way, uid);
		world_free(&w);
	}
}

/* --- Numbers ----------------------------------------------------------------------------------------------- */

struct named_call {
	u64 account, mailbox;
	str name;
};

static const struct fail *create(struct tx *t, void *context)
{
	struct named_call *c = context;

	return store_mailbox_create(t, c->account, c->name, SPECIAL_NONE, &c->mailbox);
}

static const struct fail *delete (struct tx *t, void *context)
{
	struct named_call *c = context;

	return store_mailbox_delete(t, c->account, c->name, NULL);
}

static u32 uidvalidity_of(struct world *w, const char *name)
{
	struct office_mailbox_open_answer box;
	struct tx t;

	must(store_read_begin(w->store, w->arena, &t));
	must(store_mailbox_open(&t, w->account, str_cstr(name), false, &box));
	store_read_end(&t);
	return box.info.uidvalidity;
}

/* Of what was deleted before neither number, nor UIDVALIDITY, nor id comes again, also when the clock went back meanwhile. */
static void test_numbers_are_not_given_again(void **state)
{
	struct named_call c = { .account = 7, .name = S("box") };
	struct world w;
	u64 first, id;
	u32 uidvalidity, uid;

	(void)state;
	world_new(&w);
	must(world_write(&w, false, create, &c));
	first = c.mailbox;
	uidvalidity = uidvalidity_of(&w, "box");
	id = store_id_now(w.store);
	must(world_append(&w, S("box"), 500, 1, 0, &uid));
	must(world_write(&w, true, delete, &c));
	(void)salvage(&w);
	w.clock -= 86400000;
	world_open(&w);
	assert_true(store_id_now(w.store) > id);
	must(world_write(&w, false, create, &c));
	assert_true(c.mailbox > first);
	assert_true(uidvalidity_of(&w, "box") > uidvalidity);
	world_free(&w);
}

/* --- An address that is given to another ------------------------------------------------------------------- */

struct address_call {
	u64 account;
	str address;
	struct body_draft draft;
	u64 id;
};

static const struct fail *add_account(struct tx *t, void *context)
{
	struct address_call *c = context;

	TRY(SQL_RUN(t->arena, t->db,
		    "INSERT INTO account (id, address, domain, generation, suspended, quota_bytes)"
		    " VALUES (?, ?, 'example.test', 1, 0, 0)",
		    SQL_U64(c->account), SQL_STR(c->address)));
	return store_account_furnish(t, c->account, c->address);
}

static const struct fail *remove_account(struct tx *t, void *context)
{
	struct address_call *c = context;

	TRY(store_account_clear(t, c->account, NULL));
	return SQL_RUN(t->arena, t->db, "DELETE FROM account WHERE id = ?", SQL_U64(c->account));
}

static const struct fail *accept(struct tx *t, void *context)
{
	struct address_call *c = context;
	const struct body_summary s = { .sender = S("a@example.net"),
					.recipients = &c->address,
					.recipients_n = 1 };

	return store_body_append(t, c->id, &c->draft, &s);
}

/* What waited for one who is gone is not for the next who has the address. */
static void test_mail_of_one_before(void **state)
{
	struct address_call c = { .account = 20, .address = S("ann@example.test") };
	struct world w;
	u32 uid;

	(void)state;
	world_new(&w);
	must(world_write(&w, false, add_account, &c));
	make_draft(&w, 800, 1, &c.draft);
	c.id = store_id_now(w.store);
	must(world_write(&w, false, accept, &c));
	must(world_write(&w, true, remove_account, &c));
	c.account = 21;
	must(world_write(&w, false, add_account, &c));
	w.account = 21;
	must(world_append(&w, S("INBOX"), 500, 2, 0, &uid));
	assert_int_equal(salvage(&w).undelivered, 0);
	world_open(&w);
	assert_int_equal(world_rows(&w, "INBOX"), 1);
	world_free(&w);
}

/* The note that the first one went is lost: the address is the second one's all the same, with all mail. */
static void test_lost_removal(void **state)
{
	struct address_call c = { .account = 20, .address = S("ann@example.test") };
	struct world w;
	u64 end;
	u32 uid;

	(void)state;
	world_new(&w);
	must(world_write(&w, false, add_account, &c));
	must(world_write(&w, true, remove_account, &c));
	end = segments_end(w.store->segments).offset;
	c.account = 21;
	must(world_write(&w, false, add_account, &c));
	w.account = 21;
	must(world_append(&w, S("INBOX"), 500, 2, 0, &uid));
	store_close(&w.store);
	spoil(&w, end - 40); /* the account's note is the last of its removal */
	assert_true(salvage(&w).damaged > 0);
	world_open(&w);
	assert_int_equal(world_rows(&w, "INBOX"), 1);
	world_free(&w);
}

/* --- What a message holds ------------------------------------------------------------------------------------ */

/* A record that says the account is gone, at each of eight places one byte apart. */
static str forged(struct world *w)
{
	struct buf *out = buf_new(w->arena, 64 * 1024), *note = buf_new(w->arena, 4096);
	struct encoder e = { .bytes = note };
	const struct account_note n = { .account = w->account,
					.address = S("user7@example.test"),
					.gone = true };
	u8 header[RECORD_HEADER];
	struct record r = { .kind = RECORD_ACCOUNT, .id = w->account };

	encode_account_note(&e, &n);
	r.summary = (u32)note->n;
	r.small_crc = crc32c(0, buf_str(note));
	record_encode(&r, header);
	for (int i = 0; i < 8; i++) {
		buf_add(out, str_from(header, sizeof header));
		buf_add(out, buf_str(note));
		do
			buf_add_byte(out, ' ');
		while (out->n % 8 != (size_t)(i + 1) % 8);
	}
	return buf_str(out);
}

/* A segment that ends within a message: what is left of it is still the message, and no row of records that its sender wrote. */
static void test_forged_records(void **state)
{
	struct append_call c = { .account = 7, .name = S("INBOX") };
	struct buf *body;
	struct world w;
	size_t n;
	u32 uid;

	(void)state;
	world_new(&w);
	must(world_append(&w, S("INBOX"), 500, 1, 0, &uid));
	make_draft(&w, 20000, 2, &c.draft);
	body = buf_new(w.arena, 64 * 1024);
	n = c.draft.message.bytes.n;
	buf_add(body, str_slice(c.draft.message.bytes, 0, 1000));
	buf_add(body, forged(&w));
	assert_true(body->n < n);
	buf_add(body, str_skip(c.draft.message.bytes, body->n));
	c.draft.message.bytes = buf_str(body);
	must(world_write(&w, false, append_call, &c));
	store_close(&w.store);
	assert_int_equal(truncate(path_of(&w, segment), (off_t)size_of(&w) - 1000), 0);
	assert_int_equal(salvage(&w).accounts, 1);
	world_open(&w);
	assert_int_equal(world_rows(&w, "INBOX"), 1);
	world_free(&w);
}

/* The second of two does not throw away what the first kept. */
static void test_twice(void **state)
{
	struct world w;
	u32 uid;

	(void)state;
	world_new(&w);
	must(world_append(&w, S("INBOX"), 500, 1, 0, &uid));
	must(sql_script(w.arena, w.store->db, "INSERT INTO alias VALUES ('a@b', 'c@d')"));
	(void)salvage(&w);
	world_open(&w);
	must(world_append(&w, S("INBOX"), 500, 2, 0, &uid));
	assert_int_equal(salvage(&w).messages, 2);
	assert_int_equal(access(path_of(&w, "postern.db.before-salvage-2"), F_OK), 0);
	assert_int_equal(
	    rename(path_of(&w, "postern.db.before-salvage"), path_of(&w, "postern.db")), 0);
	{
		struct sql *db;
		u64 n;
		bool found;

		must(sql_open(w.arena, path_of(&w, "postern.db"), SQL_WRITER, &db));
		must(
		    sql_one_u64(w.arena, SQL_QUERY0(db, "SELECT count(*) FROM alias"), &n, &found));
		assert_int_equal(n, 1);
		sql_close(&db);
	}
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_uids_are_not_given_again),
		cmocka_unit_test(test_numbers_are_not_given_again),
		cmocka_unit_test(test_mail_of_one_before),
		cmocka_unit_test(test_lost_removal),
		cmocka_unit_test(test_forged_records),
		cmocka_unit_test(test_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
