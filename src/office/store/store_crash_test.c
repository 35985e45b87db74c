/*
 * What must survive: every acknowledged message, through each failing write, sync and commit; torn tails; flipped bits;
 * a second process. A crash is a child that ends without closing anything.
 */
#include "office/store/record.h"
#include "office/store/store_test_support.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { MESSAGES = 12 };

static u32 count_inbox(struct world *w, u32 *marks)
{
	struct uid_range all = { .low = 1, .high = UINT32_MAX };
	struct office_mailbox_open_answer box = { .rows = 0 };
	struct office_message_fetch_answer r = { .count = 0 };
	struct office_message_fetch_request q = { .uids = &all,
						  .uids_n = 1,
						  .want = FETCH_SKELETON };
	struct decoder d = { .arena = w->arena };
	struct tx t;

	must(store_read_begin(w->store, w->arena, &t));
	must(store_mailbox_open(&t, w->account, S("INBOX"), false, &box));
	q.mailbox = box.info.id;
	must(store_message_fetch(&t, w->account, &q, &r));
	store_read_end(&t);
	must(fd_map(w->arena, r.data, r.bytes, &d.rest));
	*marks = 0;
	for (u32 i = 0; i < r.count; i++) {
		struct fetch_item item;
		struct skeleton s;
		u64 mark;

		decode_fetch_item(&d, &item);
		must(skeleton_decode(w->arena, item.skeleton, &s));
		assert_true(str_u64(str_skip(s.envelope.subject, 8), &mark));
		*marks |= 1u << mark;
	}
	return r.count;
}

static u64 problems(struct world *w)
{
	struct office_verify_answer v;
	struct tx t;

	must(store_read_begin(w->store, w->arena, &t));
	must(store_verify(&t, &v));
	store_read_end(&t);
	return v.problem_count;
}

/* In a child: appends until a fault, telling each acknowledged mark; then dies as it stands. */
static void child(struct world *w, int out)
{
	for (u32 mark = 0; mark < MESSAGES; mark++) {
		u8 byte = (u8)mark;
		u32 uid;

		if (world_append(w, S("INBOX"), mark % 4 == 3 ? 400000 : 2000, mark, 0, &uid) ==
			NULL &&
		    write(out, &byte, 1) != 1)
			break;
	}
	_exit(0);
}

static u32 crash_with(struct world *w, enum env_fault where, u64 in, int error)
{
	u32 acknowledged = 0;
	int pair[2], status;
	pid_t pid;
	u8 byte;

	store_close(&w->store);
	assert_int_equal(pipe(pair), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		world_open(w);
		w->fault_at = where;
		w->fault_in = in;
		w->fault_error = error;
		child(w, pair[1]);
	}
	close(pair[1]);
	while (read(pair[0], &byte, 1) == 1)
		acknowledged |= 1u << byte;
	close(pair[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	world_open(w);
	return acknowledged;
}

static void test_faults(void **state)
{
	static const enum env_fault where[] = { ENV_FAULT_WRITE, ENV_FAULT_SYNC, ENV_FAULT_COMMIT };
	static const int errors[] = { EIO, ENOSPC };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(where); i++) {
		for (u64 in = 1; in < 24; in += i == 0 ? 1 : 3) {
			struct world w;
			u32 acknowledged, found, n;

			world_new(&w);
			acknowledged = crash_with(&w, where[i], in, errors[in % 2]);
			n = count_inbox(&w, &found);
			assert_int_equal(acknowledged & ~found, 0); /* none lost */
			assert_int_equal(found & ~acknowledged, 0); /* none that was refused */
			assert_int_equal(n, __builtin_popcount(found));
			assert_int_equal(problems(&w), 0);
			world_free(&w);
		}
	}
}

static void test_failed_sync_is_final(void **state)
{
	struct world w;
	u32 uid, marks;

	(void)state;
	world_new(&w);
	must(world_append(&w, S("INBOX"), 1000, 1, 0, &uid));
	w.fault_at = ENV_FAULT_SYNC;
	w.fault_error = EIO;
	w.fault_in = 1;
	must_fail(world_append(&w, S("INBOX"), 1000, 2, 0, &uid), FAIL_UNAVAILABLE);
	assert_true(store_is_broken(w.store));
	must_fail(world_append(&w, S("INBOX"), 1000, 3, 0, &uid), FAIL_UNAVAILABLE);
	world_reopen(&w);
	must(world_append(&w, S("INBOX"), 1000, 4, 0, &uid));
	assert_int_equal(count_inbox(&w, &marks), 2);
	assert_int_equal(marks, 1u << 1 | 1u << 4);
	world_free(&w);
}

/* Jobs of one commit: each appends a message, one of them fails afterwards. */
struct batch_job {
	struct write_job job;
	struct append_call append;
	bool fails;
	u32 index, runs, told; /* told: 1 good, 2 failed */
	u32 *order;
};

static const struct fail *batch_run(struct tx *t, struct write_job *job)
{
	struct batch_job *b = (struct batch_job *)job;

	b->runs++;
	TRY(append_call(t, &b->append));
	return b->fails ? fail_new(t->arena, FAIL_LIMIT, "one too many") : NULL;
}

static void batch_done(struct write_job *job, const struct fail *f)
{
	struct batch_job *b = (struct batch_job *)job;

	if (f)
		must_fail(f, FAIL_LIMIT);
	b->told = f ? 2 : 1;
	assert_int_equal(b->index, (*b->order)++); /* told in the order they came */
}

/* One mail of size bytes a job; the one at bad fails. */
static void submit_batch(struct world *w, struct batch_job *jobs, u32 n, u32 bad, size_t size,
			 u32 *order)
{
	for (u32 i = 0; i < n; i++) {
		jobs[i] = (struct batch_job){
			.job = { .run = batch_run, .done = batch_done, .arena = w->arena },
			.append = { .account = w->account, .name = S("INBOX") },
			.fails = i == bad,
			.index = i,
			.order = order
		};
		make_draft(w, size, i, &jobs[i].append.draft);
		writer_submit(w->store, &jobs[i].job);
	}
}

/* It is undone alone: the others stand, with UIDs that follow each other, and nothing of it is left. */
static void test_one_job_fails(void **state)
{
	enum { JOBS = 5, BAD = 2 };
	struct batch_job jobs[JOBS];
	u32 order = 0, marks;
	struct world w;

	(void)state;
	world_new(&w);
	submit_batch(&w, jobs, JOBS, BAD, 1500, &order);
	assert_true(writer_run_once(w.store));
	for (u32 i = 0; i < JOBS; i++) {
		assert_int_equal(jobs[i].told, i == BAD ? 2 : 1);
		assert_int_equal(jobs[i].runs, i <= BAD ? 2 : 1);
		if (i != BAD)
			assert_int_equal(jobs[i].append.answer.uid, i < BAD ? i + 1 : i);
	}
	for (int again = 0; again < 2; again++) {
		assert_int_equal(count_inbox(&w, &marks), JOBS - 1);
		assert_int_equal(marks, 0x1F & ~(1u << BAD));
		assert_int_equal(problems(&w), 0);
		world_reopen(&w);
	}
	world_free(&w);
}

/* Large ones: who came first is not kept waiting until all the others are written. */
static void test_batch_has_a_size(void **state)
{
	enum { JOBS = 5, SIZE = 6 * 1024 * 1024, FIRST = WRITER_BATCH_BYTES / SIZE + 1 };
	struct batch_job jobs[JOBS];
	u32 order = 0, marks;
	struct world w;

	(void)state;
	world_new(&w);
	submit_batch(&w, jobs, JOBS, 1, SIZE, &order);
	assert_true(writer_run_once(w.store));
	assert_int_equal(order, FIRST + 1); /* one of them failed, and left nothing */
	assert_true(writer_run_once(w.store));
	assert_int_equal(order, JOBS);
	assert_false(writer_run_once(w.store));
	assert_int_equal(count_inbox(&w, &marks), JOBS - 1);
	assert_int_equal(problems(&w), 0);
	world_free(&w);
}

static const struct fail *lazy_call(struct tx *t, void *context)
{
	enum { RUNS = 1 << 17 };
	const struct world *w = context;
	struct uid_run *runs = arena_array_of(t->arena, RUNS, struct uid_run);
	const struct flags_note n = {
		.account = w->account, .mailbox = 1, .uidvalidity = 1, .uids = runs, .uids_n = RUNS
	};

	return note_flags(t, &n);
}

/* What waits for somebody's sync is not of this batch: thousands who change flags, and no mail, are still one commit. */
static void test_batch_counts_its_own(void **state)
{
	enum { JOBS = 3 };
	struct batch_job jobs[JOBS];
	u32 order = 0;
	struct world w;

	(void)state;
	world_new(&w);
	while (segments_pending(w.store->segments) < WRITER_BATCH_BYTES)
		must(world_write(&w, false, lazy_call, &w));
	for (u32 i = 0; i < JOBS; i++) {
		jobs[i] = (struct batch_job){
			.job = { .run = batch_run, .done = batch_done, .arena = w.arena },
			.append = { .account = w.account, .name = S("INBOX") },
			.index = i,
			.order = &order
		};
		make_draft(&w, 1500, i, &jobs[i].append.draft);
		writer_submit(w.store, &jobs[i].job);
	}
	assert_true(writer_run_once(w.store));
	assert_int_equal(order, JOBS);
	world_free(&w);
}

static void test_torn_tail(void **state)
{
	struct world w;
	char path[128];
	u32 uid, marks;
	struct stat before, after;
	int fd;

	(void)state;
	world_new(&w);
	must(world_append(&w, S("INBOX"), 1000, 1, 0, &uid));
	store_close(&w.store);
	snprintf(path, sizeof path, "%s/mail/00000001.seg", w.folder);
	fd = open(path, O_WRONLY | O_APPEND);
	assert_int_equal(fstat(fd, &before), 0);
	assert_int_equal(write(fd, "PSTR\1\1 half a record", 21), 21);
	close(fd);
	world_open(&w);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_size, after.st_size);
	must(world_append(&w, S("INBOX"), 1000, 2, 0, &uid));
	assert_int_equal(count_inbox(&w, &marks), 2);
	assert_int_equal(problems(&w), 0);
	store_close(&w.store);
	assert_int_equal(truncate(path, before.st_size / 2),
			 0); /* what was acknowledged is missing */
	{
		const struct store_options o = { .folder = w.folder, .env = &w.env };
		must_fail(store_open(w.arena, &o, &w.store), FAIL_CORRUPT);
	}
	world_free(&w);
}

static u64 segment_bytes(const struct world *w, const char *name)
{
	char path[128];
	struct stat st;

	snprintf(path, sizeof path, "%s/mail/%s", w->folder, name);
	assert_int_equal(stat(path, &st), 0);
	return (u64)st.st_size;
}

/* Zeros lie behind the records of the segment that is written to, and nobody takes them for damage; they go when it is left. */
static void test_room_ahead(void **state)
{
	struct world w;
	struct place end;
	u32 uid, marks;

	(void)state;
	world_new(&w);
	for (u32 i = 0; i < 5; i++)
		must(world_append(&w, S("INBOX"), 5000, i, 0, &uid));
	end = segments_end(w.store->segments);
	assert_true(segment_bytes(&w, "00000001.seg") > end.offset);
	assert_int_equal(problems(&w), 0);
	store_close(&w.store);
	assert_int_equal(segment_bytes(&w, "00000001.seg"), end.offset);
	world_open(&w);
	segments_roll_at(w.store->segments, end.offset + 1);
	must(world_append(&w, S("INBOX"), 5000, 5, 0, &uid));
	must(world_append(&w, S("INBOX"), 5000, 6, 0, &uid));
	assert_int_equal(segments_end(w.store->segments).segment, 2);
	assert_true(segment_bytes(&w, "00000001.seg") < end.offset + 7000);
	assert_true(segment_bytes(&w, "00000002.seg") > segments_end(w.store->segments).offset);
	assert_int_equal(problems(&w), 0);
	assert_int_equal(count_inbox(&w, &marks), 7);
	world_free(&w);
}

static str read_whole(const struct world *w, const char *name)
{
	char path[128];
	struct stat st;
	str bytes;
	int fd;

	snprintf(path, sizeof path, "%s/%s", w->folder, name);
	fd = open(path, O_RDONLY);
	assert_int_equal(fstat(fd, &st), 0);
	must(fd_read(w->arena, fd, 0, (size_t)st.st_size, &bytes));
	close(fd);
	return bytes;
}

static void write_whole(const struct world *w, const char *name, str bytes)
{
	char path[128];
	int fd;

	snprintf(path, sizeof path, "%s/%s", w->folder, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd_write_all(fd, bytes));
	close(fd);
}

/* A copy of the database from before, or one that lost its WAL: what it does not know of was acknowledged, and is not cut off. What a
 * crash leaves behind the tail is of one commit, and is. */
static void test_old_database(void **state)
{
	const char *const segment = "mail/00000001.seg";
	struct world w;
	str database, after_one, after_two;
	u32 uid, marks;

	(void)state;
	world_new(&w);
	must(world_append(&w, S("INBOX"), 1000, 0, 0, &uid));
	store_close(&w.store);
	database = read_whole(&w, "postern.db");
	world_open(&w);
	must(world_append(&w, S("INBOX"), 1000, 1, 0, &uid));
	world_flags(&w, 1, (struct uid_range){ .low = 1, .high = 1 }, FLAGS_ADD, FLAG_SEEN);
	store_close(&w.store);
	after_one = read_whole(&w, segment);
	world_open(&w);
	must(world_append(&w, S("INBOX"), 1000, 2, 0, &uid));
	store_close(&w.store);
	after_two = read_whole(&w, segment);
	write_whole(&w, "postern.db", database);
	{
		const struct store_options o = { .folder = w.folder, .env = &w.env };
		struct salvage_report r;

		must_fail(store_open(w.arena, &o, &w.store), FAIL_CONFLICT);
		assert_true(str_eq(read_whole(&w, segment), after_two));
		must(store_salvage(w.arena, w.folder, &r));
		assert_int_equal(r.messages, 3);
	}
	write_whole(&w, "postern.db", database);
	write_whole(&w, segment, after_one);
	world_open(&w);
	assert_int_equal(count_inbox(&w, &marks), 1);
	world_free(&w);
}

/* A power cut leaves the zeros there. */
static void test_room_after_crash(void **state)
{
	struct world w;
	char path[128];
	u64 end;
	u32 uid;

	(void)state;
	world_new(&w);
	must(world_append(&w, S("INBOX"), 1000, 1, 0, &uid));
	store_close(&w.store);
	end = segment_bytes(&w, "00000001.seg");
	snprintf(path, sizeof path, "%s/mail/00000001.seg", w.folder);
	assert_int_equal(truncate(path, (off_t)end + 100000), 0);
	world_open(&w);
	assert_int_equal(problems(&w), 0);
	assert_int_equal(segment_bytes(&w, "00000001.seg"), end);
	world_free(&w);
}

static void test_second_process(void **state)
{
	struct world w;
	struct store *other;

	(void)state;
	world_new(&w);
	{
		const struct store_options o = { .folder = w.folder };
		struct office_verify_answer v;
		struct salvage_report r;

		must_fail(store_open(w.arena, &o, &other), FAIL_CONFLICT);
		must_fail(store_verify_folder(w.arena, w.folder, &v), FAIL_CONFLICT);
		must_fail(store_salvage(w.arena, w.folder, &r), FAIL_CONFLICT);
	}
	world_free(&w);
}

static void flip(const char *folder, const char *name, u64 at)
{
	char path[128];
	u8 byte;
	int fd;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	fd = open(path, O_RDWR);
	assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
	close(fd);
}

/* Any bit of a record flipped: verify tells, reading does not crash, the others are served. */
static void test_flipped_segment(void **state)
{
	struct world w;
	u32 told = 0, tried = 0;
	u64 end;

	(void)state;
	world_new(&w);
	for (u32 i = 0, uid; i < 5; i++)
		must(world_append(&w, S("INBOX"), 500, i, 0, &uid));
	end = segments_end(w.store->segments).offset;
	for (u64 at = 0; at + 8 < end; at += 37) {
		u32 marks;

		flip(w.folder, "mail/00000001.seg", at);
		told += problems(&w) > 0;
		tried++;
		assert_int_equal(count_inbox(&w, &marks), 5);
		flip(w.folder, "mail/00000001.seg", at);
	}
	assert_true(told * 100 >=
		    tried * 98); /* the few bytes of padding between records say nothing */
	flip(w.folder, "mail/00000001.seg", end / 2);
	assert_true(problems(&w) > 0);
	store_close(&w.store);
	{
		struct salvage_report r;
		must(store_salvage(w.arena, w.folder, &r));
		assert_true(r.damaged + r.unplaced + r.messages >= 4);
	}
	world_open(&w);
	assert_true(count_inbox(&w, &(u32){ 0 }) >= 4);
	world_free(&w);
}

/* The database as attacker (THREATS P06, F25): whatever a page says, no crash. */
static void test_flipped_database(void **state)
{
	struct world w;

	(void)state;
	for (u32 round = 0; round < 24; round++) {
		const struct store_options o = { .folder = w.folder, .env = &w.env };
		struct stat st;
		char path[128];

		world_new(&w);
		for (u32 i = 0, uid; i < 3; i++)
			must(world_append(&w, S("INBOX"), 500, i, 0, &uid));
		store_close(&w.store);
		w.seed = round;
		snprintf(path, sizeof path, "%s/postern.db", w.folder);
		assert_int_equal(stat(path, &st), 0);
		for (int k = 0; k < 8; k++)
			flip(w.folder, "postern.db",
			     100 + env_random_below(&w.env, (u64)st.st_size - 100));
		if (store_open(w.arena, &o, &w.store) == NULL) {
			struct uid_range all = { .low = 1, .high = UINT32_MAX };
			struct office_mailbox_open_answer box = { .rows = 0 };
			struct office_message_fetch_answer r = { .count = 0 };
			struct office_message_fetch_request q = { .uids = &all,
								  .uids_n = 1,
								  .want = FETCH_BYTES };
			struct tx t;

			(void)problems(&w);
			if (store_read_begin(w.store, w.arena, &t) == NULL) {
				if (store_mailbox_open(&t, w.account, S("INBOX"), false, &box) ==
				    NULL) {
					q.mailbox = box.info.id;
					(void)!store_message_fetch(&t, w.account, &q, &r);
				}
				store_read_end(&t);
			}
			{
				u32 uid;
				(void)!world_append(&w, S("INBOX"), 500, 9, 0, &uid);
			}
		}
		world_free(&w);
	}
}

/* What is lost, or cannot be read, is told: a whole mailbox too, and all that the office would not start with. */
static void test_verify_tells(void **state)
{
	static const char *const lies[] = {
		"DELETE FROM mailbox WHERE id = 1",
		"DELETE FROM account",
		"UPDATE mailbox SET special = 0 WHERE id = 1",
		"UPDATE mailbox SET uidnext = 'x' WHERE id = 2",
		"UPDATE mailbox SET uidvalidity = 0 WHERE id = 2",
		"UPDATE mailbox SET name = x'ff' WHERE id = 2",
		"UPDATE mailbox SET modseq = 2",
		"UPDATE meta SET value = 'x' WHERE name = 'mailbox'",
		"UPDATE meta SET value = 1 WHERE name = 'mailbox'",
		"UPDATE meta SET value = value - 99 WHERE name = 'uidvalidity'",
		"UPDATE meta SET value = value + 8 WHERE name = 'tail'",
		"UPDATE meta SET value = value - 8 WHERE name = 'tail'",
		"UPDATE meta SET value = value + (1 << 32) + 8 WHERE name = 'tail'",
		"DELETE FROM meta WHERE name = 'tail'",
		"UPDATE account SET used_bytes = used_bytes + 1",
		"UPDATE account SET used_messages = 'x'",
		"UPDATE account SET modseq = 1",
		"UPDATE message_state SET flags = 'x'",
		"UPDATE message_state SET modseq = modseq + 100",
		"UPDATE message_env SET prefix = 'text'",
		"UPDATE message_env SET internal_date = 'x'",
		"UPDATE change SET high = low + 2000000000",
		"UPDATE change SET gone = 5",
		"UPDATE body SET length = length + 8",
		"UPDATE body SET header_size = size + 1",
		"INSERT INTO keyword VALUES (7, 1, 63, 'x')",
		"INSERT INTO queue_message VALUES (5, 'a@b', '', 0, 0, 0, 0, 0, 0)",
		"INSERT INTO queue_entry SELECT 6, 6, 6, 0, 0, 0, 0, 7, '', '', '', '', 0, 0, 0, 0, '', '', '', ''",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		struct office_verify_answer v;
		struct world w;
		u32 uid;

		world_new(&w);
		for (u32 k = 0; k < 3; k++)
			must(world_append(&w, S("INBOX"), 500, k, 0, &uid));
		assert_int_equal(problems(&w), 0);
		must(sql_script(w.arena, w.store->db, lies[i]));
		atomic_store(&w.store->broken, true); /* nothing is settled at the end */
		store_close(&w.store);
		must(store_verify_folder(w.arena, w.folder, &v));
		if (v.problem_count == 0)
			fail_msg("%s: not told", lies[i]);
		world_free(&w);
	}
}

/* Rows of the right shape that lie. */
static void test_lying_rows(void **state)
{
	enum { LIES_UNSEEN = 4 };
	static const char *const lies[] = {
		"UPDATE body SET offset = 8",
		"UPDATE body SET segment = 99",
		"UPDATE body SET offset = -5",
		"UPDATE body SET size = size + 1",
		"UPDATE body SET size = -1",
		"UPDATE body SET header_size = 1 << 40",
		"UPDATE message_env SET body_id = 3",
		"UPDATE message_env SET size = 1 << 50",
		"UPDATE message_env SET prefix = zeroblob(9000)",
		"UPDATE message_env SET prefix = 'text'",
		"UPDATE message_env SET skeleton = 7",
		"UPDATE message_state SET uid = uid + (1 << 40)",
		"UPDATE message_state SET size = 'x'",
		"UPDATE message_state SET flags = -1",
		"UPDATE mailbox SET uidnext = 0",
		"UPDATE mailbox SET messages = -1",
		"UPDATE mailbox SET modseq = -1",
		"UPDATE change SET high = low + 2000000000",
		"UPDATE change SET gone = 5",
		"DELETE FROM body",
		"DELETE FROM message_env",
		"DELETE FROM message_state",
		"UPDATE account SET used_bytes = 'x'",
		"INSERT INTO keyword VALUES (7, 1, 63, 'x')",
		"UPDATE body SET references_n = 0",
		"UPDATE account SET used_bytes = used_bytes + 1",
		"UPDATE account SET used_messages = 0",
		"UPDATE account SET modseq = 1",
		"UPDATE mailbox SET modseq = 1",
		"UPDATE mailbox SET account_id = 99",
		"UPDATE mailbox SET uidvalidity = 0",
		"DELETE FROM mailbox",
		"DELETE FROM account",
		"INSERT INTO queue_message VALUES (5, 'a@b', '', 0, 0, 0, 0, 1, 1)",
		"INSERT INTO queue_entry VALUES (6, 6, 6, 0, 0, 0, 0, 7, '', 'a@b', '', '', 0, 0, 0, 0, '', '', '', '')",
		"UPDATE meta SET value = 1 WHERE name = 'mailbox'",
		"UPDATE mailbox SET special = 77",
		"UPDATE mailbox SET name = x'ff' || name",
		/* These verify has no eye for. */
		"UPDATE mailbox SET uidnext = 4294967295",
		"UPDATE account SET modseq = 9223372036854775807",
		"UPDATE body SET references_n = references_n + 1",
		"UPDATE message_state SET flags = flags | 1 << 40",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		struct uid_range all = { .low = 1, .high = UINT32_MAX };
		struct office_mailbox_changes_answer c;
		struct office_mailbox_open_answer box = { .rows = 0 };
		struct office_message_fetch_answer r = { .count = 0 };
		struct office_message_fetch_request q = { .mailbox = 1,
							  .uids = &all,
							  .uids_n = 1,
							  .want = FETCH_BYTES | FETCH_SKELETON };
		struct world w;
		struct tx t;
		u32 uid;

		world_new(&w);
		for (u32 k = 0; k < 3; k++)
			must(world_append(&w, S("INBOX"), 500, k, 0, &uid));
		must(sql_script(w.arena, w.store->db, lies[i]));
		if ((problems(&w) > 0) != (i < ARRAY_LEN(lies) - LIES_UNSEEN))
			fail_msg("verify and: %s", lies[i]);
		must(store_read_begin(w.store, w.arena, &t));
		(void)!store_mailbox_open(&t, w.account, S("INBOX"), false, &box);
		(void)!store_mailbox_changes(&t, w.account, 1, 2, &c);
		(void)!store_message_fetch(&t, w.account, &q, &r);
		store_read_end(&t);
		(void)!world_append(&w, S("INBOX"), 500, 9, 0, &uid);
		world_free(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_failed_sync_is_final),
		cmocka_unit_test(test_one_job_fails),
		cmocka_unit_test(test_batch_has_a_size),
		cmocka_unit_test(test_batch_counts_its_own),
		cmocka_unit_test(test_torn_tail),
		cmocka_unit_test(test_room_ahead),
		cmocka_unit_test(test_old_database),
		cmocka_unit_test(test_room_after_crash),
		cmocka_unit_test(test_second_process),
		cmocka_unit_test(test_flipped_segment),
		cmocka_unit_test(test_flipped_database),
		cmocka_unit_test(test_verify_tells),
		cmocka_unit_test(test_lying_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
