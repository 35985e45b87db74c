/*
 * A STORE, EXPUNGE or MOVE of many messages, and the end of an account that has them, over a real bus, with a store whose batches the test makes itself: another
 * account's write is answered while it is under way, and all of it is done in the end.
 */
#include "office/store/store_test_support.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "office/office_int.h"

enum { ROWS = 3 * STORE_PIECE_ROWS, MINE = 7, OTHERS = 8 };

struct scene {
	struct world w;
	struct office office;
	struct bus *bus, *ctl;
	pthread_t thread;
	u64 inbox, others_inbox;
};

/* What office.c does, but whoever asks is believed. */
static void dispatch(void *context, struct bus_call *call)
{
	struct office_call *mine = arena_new_of(call->arena, struct office_call);
	const struct fail *f = NULL;

	mine->office = context;
	call->context = mine;
	switch (call->method->number) {
	case 40:
		f = office_serve_message_flags(call, call->request, call->answer);
		break;
	case 41:
		f = office_serve_message_expunge(call, call->request, call->answer);
		break;
	case 22:
		f = office_serve_mailbox_delete(call, call->request, call->answer);
		break;
	case 23:
		f = office_serve_mailbox_rename(call, call->request, call->answer);
		break;
	case 42:
		f = office_serve_message_copy(call, call->request, call->answer);
		break;
	case 84:
		f = office_serve_account_remove(call, call->request, call->answer);
		break;
	default:
		fail_msg("%s", call->method->name);
	}
	if (f != BUS_LATER)
		bus_answer(&call, f);
}

static void gone(void *context, const struct bus_peer *peer)
{
	(void)context;
	(void)peer;
}

static void *run_server(void *server)
{
	bus_server_run(server);
	return NULL;
}

static u64 inbox_of(struct scene *s, u64 account)
{
	struct mailbox_row inbox;
	struct tx t;

	must(store_read_begin(s->w.store, s->w.arena, &t));
	must(mailbox_by_use(&t, account, SPECIAL_INBOX, &inbox));
	store_read_end(&t);
	return inbox.id;
}

/* ROWS rows over one body. */
static void fill(struct scene *s)
{
	u32 uid;

	s->w.account = MINE;
	must(world_append(&s->w, S("INBOX"), 100, 1, FLAG_DELETED, &uid));
	assert_int_equal(uid, 1);
	must(sql_script(
	    s->w.arena, s->w.store->db,
	    "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 12288)"
	    " INSERT INTO message_state SELECT 7, s.mailbox_id, i, s.flags, s.modseq, s.size"
	    " FROM n, message_state s WHERE s.account_id = 7 AND s.uid = 1;"
	    "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 12288)"
	    " INSERT INTO message_env SELECT e.key - 1 + i, 7, e.body_id, e.internal_date, e.size,"
	    " e.prefix, e.skeleton FROM n, message_env e WHERE e.account_id = 7 AND e.key % 4294967296 = 1;"
	    "UPDATE body SET references_n = 12288;"
	    "UPDATE mailbox SET messages = 12288, unseen = 12288, uidnext = 12289 WHERE messages = 1"));
	s->w.account = OTHERS;
	must(world_append(&s->w, S("INBOX"), 100, 1, 0, &uid));
}

static int setup(void **state)
{
	struct scene *s = calloc(1, sizeof *s);
	int pair[2];

	assert_non_null(s);
	world_new(&s->w);
	s->w.account = OTHERS;
	must(world_write(&s->w, false, make_account, &s->w));
	fill(s);
	s->inbox = inbox_of(s, MINE);
	s->others_inbox = inbox_of(s, OTHERS);
	s->office.store = s->w.store;
	s->office.directory = directory_new(env_system(), S("+"));
	directory_add_domain(s->office.directory, S("example.test"));
	directory_add_account(s->office.directory,
			      &(struct directory_account){ .id = MINE,
							   .generation = 1,
							   .address = S("user7@example.test") });
	s->office.server =
	    bus_server_new(office_methods, office_methods_n, dispatch, gone, &s->office);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	bus_server_add(s->office.server, pair[0], CALLER_CLIENT, 1);
	s->bus = bus_new(pair[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	bus_server_add(s->office.server, pair[0], CALLER_CTL, 1);
	s->ctl = bus_new(pair[1]);
	assert_int_equal(pthread_create(&s->thread, NULL, run_server, s->office.server), 0);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct scene *s = *state;

	bus_server_stop(s->office.server);
	pthread_join(s->thread, NULL);
	bus_free(&s->bus);
	bus_free(&s->ctl);
	bus_server_free(&s->office.server);
	directory_free(&s->office.directory);
	world_free(&s->w);
	free(s);
	return 0;
}

/* --- Calls, each from a thread of its own ------------------------------------------------------------------------ */

struct request {
	struct scene *scene;
	u32 number;
	u64 account, mailbox;
	str name;
	const struct uid_range *uids;
	size_t uids_n;
	pthread_t thread;
	atomic_bool answered;
	struct arena *arena; /* of the answers */
	struct office_message_flags_answer flags;
	struct office_message_expunge_answer expunge;
	struct office_message_copy_answer copy;
};

static void *call(void *context)
{
	struct request *r = context;
	const struct ticket ticket = { .account = r->account };
	const struct office_message_flags_request flags = { .ticket = ticket,
							    .mailbox = r->mailbox,
							    .uids = r->uids,
							    .uids_n = r->uids_n,
							    .mode = FLAGS_ADD,
							    .flags = FLAG_FLAGGED };
	const struct office_message_expunge_request expunge = { .ticket = ticket,
								.mailbox = r->mailbox,
								.uids = r->uids,
								.uids_n = r->uids_n,
								.only_deleted = true };
	const struct office_message_copy_request copy = { .ticket = ticket,
							  .mailbox = r->mailbox,
							  .uids = r->uids,
							  .uids_n = r->uids_n,
							  .target = S("Archive"),
							  .move = true };
	const struct office_mailbox_delete_request delete = { .ticket = ticket, .name = r->name };
	const struct office_mailbox_rename_request rename = { .ticket = ticket,
							      .from = S("INBOX"),
							      .to = r->name };
	const struct office_account_remove_request remove = { .address = r->name };
	struct office_account_remove_answer removed;
	struct office_mailbox_delete_answer deleted;
	struct office_mailbox_rename_answer renamed;
	struct bus *b = r->scene->bus;

	if (r->number == 22)
		must(office_mailbox_delete(r->arena, b, &delete, &deleted));
	else if (r->number == 23)
		must(office_mailbox_rename(r->arena, b, &rename, &renamed));
	else if (r->number == 84)
		must(office_account_remove(r->arena, r->scene->ctl, &remove, &removed));
	else if (r->number == 40)
		must(office_message_flags(r->arena, b, &flags, &r->flags));
	else if (r->number == 41)
		must(office_message_expunge(r->arena, b, &expunge, &r->expunge));
	else
		must(office_message_copy(r->arena, b, &copy, &r->copy));
	r->answered = true;
	return NULL;
}

static bool writer_has_work(struct scene *s)
{
	struct writer *w = &s->w.store->writer;
	bool has;

	pthread_mutex_lock(&w->lock);
	has = w->first != NULL;
	pthread_mutex_unlock(&w->lock);
	return has;
}

/* Its job is in the writer's queue when this returns. */
static void start(struct request *r)
{
	struct writer *w = &r->scene->w.store->writer;
	struct write_job **before, **now;

	pthread_mutex_lock(&w->lock);
	before = now = w->last;
	pthread_mutex_unlock(&w->lock);
	r->arena = arena_new(64 << 20);
	assert_int_equal(pthread_create(&r->thread, NULL, call, r), 0);
	for (int i = 0; i < 10000 && now == before; i++) {
		usleep(1000);
		pthread_mutex_lock(&w->lock);
		now = w->last;
		pthread_mutex_unlock(&w->lock);
	}
	assert_ptr_not_equal(now, before);
}

static void finish(struct request *r)
{
	pthread_join(r->thread, NULL);
	assert_true(r->answered);
}

/* Two batches, the second with the other's write in it: that is answered, this one is not. Then the rest. */
static void run_beside_another(struct scene *s, struct request *mine)
{
	static const struct uid_range first = { .low = 1, .high = 1 };
	struct request others = { .scene = s,
				  .number = 40,
				  .account = OTHERS,
				  .mailbox = s->others_inbox,
				  .uids = &first,
				  .uids_n = 1 };
	unsigned batches = 2;

	start(mine);
	assert_true(writer_run_once(s->w.store));
	start(&others);
	assert_true(writer_run_once(s->w.store));
	finish(&others);
	assert_false(mine->answered);
	for (; writer_has_work(s); batches++)
		assert_true(writer_run_once(s->w.store));
	finish(mine);
	assert_true(batches > ROWS / STORE_PIECE_ROWS - 1);
	arena_free(&others.arena);
}

static u64 count(struct scene *s, const char *which)
{
	struct tx t;
	u64 n = 0;
	bool found;

	must(store_read_begin(s->w.store, s->w.arena, &t));
	if (str_eq(str_cstr(which), S("flagged")))
		must(sql_one_u64(s->w.arena,
				 SQL_QUERY0(t.db, "SELECT count(*) FROM message_state WHERE"
						  " account_id = 7 AND flags & 4"),
				 &n, &found));
	else
		must(sql_one_u64(s->w.arena,
				 SQL_QUERY(t.db,
					   "SELECT count(*) FROM message_state WHERE"
					   " account_id = 7 AND mailbox_id = ?",
					   SQL_U64(s->inbox)),
				 &n, &found));
	store_read_end(&t);
	return n;
}

static const struct uid_range all[] = { { .low = 1, .high = UINT32_MAX } };

static void storing_lets_others_in(void **state)
{
	struct scene *s = *state;
	struct request r = { .scene = s,
			     .number = 40,
			     .account = MINE,
			     .mailbox = s->inbox,
			     .uids = all,
			     .uids_n = 1 };

	run_beside_another(s, &r);
	assert_int_equal(count(s, "flagged"), ROWS);
	assert_int_equal(r.flags.modified_n, 0);
	arena_free(&r.arena);
}

/* Many single UIDs, in no order: as many pieces as they need, each row once. */
static void scattered_sets_are_cut_too(void **state)
{
	struct scene *s = *state;
	struct uid_range *odd = arena_array_of(s->w.arena, ROWS, struct uid_range);
	struct request r = { .scene = s,
			     .number = 40,
			     .account = MINE,
			     .mailbox = s->inbox,
			     .uids = odd,
			     .uids_n = ROWS };

	for (u32 i = 0; i < ROWS; i++) /* half of them beyond the end */
		odd[i].low = odd[i].high = 2 * (ROWS - i) - 1;
	run_beside_another(s, &r);
	assert_int_equal(count(s, "flagged"), ROWS / 2);
	arena_free(&r.arena);
}

static void expunging_lets_others_in(void **state)
{
	struct scene *s = *state;
	struct request r = { .scene = s,
			     .number = 41,
			     .account = MINE,
			     .mailbox = s->inbox,
			     .uids = all,
			     .uids_n = 1 };
	u64 n = 0;

	run_beside_another(s, &r);
	assert_int_equal(count(s, "inbox"), 0);
	for (size_t i = 0; i < r.expunge.expunged_n; i++)
		n += r.expunge.expunged[i].high - r.expunge.expunged[i].low + 1;
	assert_int_equal(n, ROWS);
	arena_free(&r.arena);
}

static void moving_lets_others_in(void **state)
{
	struct scene *s = *state;
	struct request r = { .scene = s,
			     .number = 42,
			     .account = MINE,
			     .mailbox = s->inbox,
			     .uids = all,
			     .uids_n = 1 };

	run_beside_another(s, &r);
	assert_int_equal(count(s, "inbox"), 0);
	assert_int_equal(r.copy.source_n, ROWS);
	assert_int_equal(r.copy.target_n, ROWS);
	for (u32 i = 0; i < ROWS; i++) {
		assert_int_equal(r.copy.source[i], i + 1);
		assert_int_equal(r.copy.target[i], i + 1);
	}
	arena_free(&r.arena);
}

static u64 messages_in(struct scene *s, str name)
{
	struct office_mailbox_list_answer r;
	struct tx t;

	must(store_read_begin(s->w.store, s->w.arena, &t));
	must(store_mailbox_list(&t, MINE, &r));
	store_read_end(&t);
	for (size_t i = 0; i < r.mailboxes_n; i++)
		if (str_eq(r.mailboxes[i].name, name))
			return r.mailboxes[i].messages;
	return UINT64_MAX;
}

static void renaming_inbox_and_deleting_let_others_in(void **state)
{
	struct scene *s = *state;
	struct request rename = { .scene = s, .number = 23, .account = MINE, .name = S("Old") };
	struct request delete = { .scene = s, .number = 22, .account = MINE, .name = S("Old") };

	run_beside_another(s, &rename);
	assert_int_equal(messages_in(s, S("INBOX")), 0);
	assert_int_equal(messages_in(s, S("Old")), ROWS);
	run_beside_another(s, &delete);
	assert_int_equal(messages_in(s, S("Old")), UINT64_MAX);
	assert_int_equal(messages_in(s, S("INBOX")), 0);
	arena_free(&rename.arena);
	arena_free(&delete.arena);
}

/* The address is of this server until the last piece is durable; then nothing of the account is left. */
static void an_account_goes_in_pieces(void **state)
{
	struct scene *s = *state;
	struct request r = { .scene = s, .number = 84, .name = S("User7@example.test") };
	struct tx t;
	u64 n;

	start(&r);
	assert_true(writer_run_once(s->w.store));
	assert_int_equal(count(s, "inbox"), ROWS - STORE_PIECE_ROWS);
	assert_true(directory_has_account(s->office.directory, S("user7@example.test")));
	while (writer_has_work(s))
		assert_true(writer_run_once(s->w.store));
	finish(&r);
	assert_false(directory_has_account(s->office.directory, S("user7@example.test")));
	must(store_read_begin(s->w.store, s->w.arena, &t));
	must(sql_one_u64(s->w.arena,
			 SQL_QUERY0(t.db,
				    "SELECT (SELECT count(*) FROM account WHERE id = 7)"
				    " + (SELECT count(*) FROM mailbox WHERE account_id = 7)"
				    " + (SELECT count(*) FROM message_state WHERE account_id = 7)"
				    " + (SELECT count(*) FROM message_env WHERE account_id = 7)"),
			 &n, &(bool){ false }));
	store_read_end(&t);
	assert_int_equal(n, 0);
	arena_free(&r.arena);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(storing_lets_others_in),
		TEST(scattered_sets_are_cut_too),
		TEST(expunging_lets_others_in),
		TEST(moving_lets_others_in),
		TEST(renaming_inbox_and_deleting_let_others_in),
		TEST(an_account_goes_in_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
