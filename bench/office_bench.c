/*
 * What store and queue cost the office: accepting and delivering 5 KB messages in group commits, opening a mailbox, fetching
 * all its skeletons. Figures are CPU of this process, and wall time, per message or call.
 *
 *	tools/build.sh build-bench "-Dbuildtype=release -Dtests=false" office_bench
 *	build-bench/office_bench FOLDER [messages]      FOLDER must be empty and lies on the disk to measure
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/env.h"
#include "office/queue/queue.h"
#include "office/store/store_directory.h"

enum { SIZE = 5 * 1024, ACCOUNT = 1, BATCH = 50 };

static double seconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct span {
	double cpu, wall;
};

static struct span begin(void)
{
	return (struct span){ seconds(CLOCK_PROCESS_CPUTIME_ID), seconds(CLOCK_MONOTONIC) };
}

static void end(struct span from, const char *what, double n, const char *unit)
{
	double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - from.cpu;
	double wall = seconds(CLOCK_MONOTONIC) - from.wall;

	printf("%-44s cpu %8.1f us  wall %8.1f us  %9.0f/s  a %s\n", what, cpu / n * 1e6,
	       wall / n * 1e6, n / wall, unit);
}

static void must(const struct fail *f)
{
	if (f == NULL)
		return;
	fprintf(stderr, "%.*s\n", STR_ARG(f->text));
	exit(1);
}

/* --- The message, as an edge hands it over --- */

static struct message_body message_new(struct arena *a)
{
	struct buf *b = buf_new(a, 1 << 20);
	struct skeleton_parser *p = skeleton_parser_new(a);
	const struct skeleton *s;
	size_t size;
	str encoded;

	buf_add(
	    b,
	    S("Received: from mail.example.net (mail.example.net [192.0.2.7])\r\n"
	      "\tby mx.example.test with ESMTPS id 0abcdefghijkl; Sat, 21 Nov 2026 19:00:00 +0000\r\n"
	      "From: \"Anna de Vries\" <anna@example.net>\r\nTo: Bob <bob@example.test>\r\n"
	      "Cc: Carla <carla@example.test>, Dirk <dirk@example.org>\r\n"
	      "Subject: Minutes of the meeting of last Tuesday\r\n"
	      "Message-ID: <20261121190000.1234@example.net>\r\n"
	      "Date: Sat, 21 Nov 2026 19:00:00 +0000\r\nMIME-Version: 1.0\r\n"
	      "Content-Type: text/plain; charset=utf-8\r\n\r\n"));
	while (b->n < SIZE)
		buf_add(b, S("A line of text such as people write to each other every day.\r\n"));
	size = b->n;
	must(skeleton_feed(p, buf_str(b)));
	must(skeleton_finish(p, &s));
	encoded = skeleton_encode(a, s);
	buf_add(b, encoded);
	return (struct message_body){
		.bytes = buf_str(b), .file = -1, .size = size, .skeleton = encoded.n
	};
}

/* --- A message's way: committed, handed out, delivered --- */

struct office {
	struct store *store;
	struct directory *directory;
	struct queue *queue;
	struct message_body body;
};

struct mail {
	struct write_job job;
	struct office *office;
	struct queue_arrival arrival;
	struct body_draft draft;
	struct delivery delivery;
	struct queue_changes changes;
};

static const struct fail *setup(struct tx *t, struct write_job *job)
{
	(void)job;
	TRY(store_domain_add(t, S("example.test")));
	return store_account_add(t, &(struct store_account){ .id = ACCOUNT,
							     .generation = 1,
							     .address = S("bob@example.test"),
							     .domain = S("example.test") });
}

static const struct fail *commit(struct tx *t, struct write_job *job)
{
	struct mail *m = (struct mail *)job;

	queue_changes_init(&m->changes, t->arena);
	return queue_commit(t, m->office->queue, &m->arrival, &m->changes);
}

static const struct fail *deliver(struct tx *t, struct write_job *job)
{
	struct mail *m = (struct mail *)job;

	queue_changes_init(&m->changes, t->arena);
	return queue_deliver(t, m->office->queue, &m->delivery, false, &m->changes);
}

static void done(struct write_job *job, const struct fail *f)
{
	(void)job;
	must(f);
}

static void applied(struct write_job *job, const struct fail *f)
{
	struct mail *m = (struct mail *)job;

	must(f);
	queue_apply(m->office->queue, &m->changes);
}

static void mail_begin(struct office *o, struct arena *a, struct mail *m)
{
	static const struct recipient to = { .address = { (const u8 *)"bob@example.test", 16 } };
	static const struct envelope envelope = { .sender = { (const u8 *)"anna@example.net", 16 },
						  .recipients = &to,
						  .recipients_n = 1 };
	static const struct client_info client = { .address = { (const u8 *)"\xC0\0\2\7", 4 } };
	u64 id = store_id_now(o->store);
	struct buf *subject = buf_new(a, 100);

	buf_printf(subject, "Minutes number%llu of the meeting", (unsigned long long)id);
	*m = (struct mail){ .office = o,
			    .job = { .run = commit, .done = applied, .arena = a },
			    .arrival = { .id = id,
					 .client = &client,
					 .envelope = &envelope,
					 .body = &m->draft,
					 .subject = buf_str(subject) } };
	must(store_body_check(a, o->store, &o->body, &m->draft));
	must(queue_check(o->queue, a, &m->arrival));
	writer_submit(o->store, &m->job);
}

struct taking {
	struct queue_waiter waiter;
	struct schedule_job jobs[BATCH];
	size_t n;
};

static void take(struct queue_waiter *w, const struct schedule_job *jobs, size_t n)
{
	struct taking *t = (struct taking *)(void *)w;

	t->n = n;
	for (size_t i = 0; i < n; i++)
		t->jobs[i] = jobs[i];
}

static void mails_deliver(struct office *o, struct arena *a, struct mail *mails, size_t n)
{
	struct taking taking = { .waiter = {
				     .lane = LANE_MDA, .peer = 1, .max = n, .give = take } };

	queue_wait(o->queue, &taking.waiter);
	CHECK(taking.n == n);
	for (size_t i = 0; i < n; i++) {
		struct tx t;
		struct job job;

		must(store_read_begin(o->store, a, &t));
		must(queue_job_read(&t, o->queue, &taking.jobs[i], &job));
		store_read_end(&t);
		mails[i].delivery = (struct delivery){ .job = job.id };
		must(queue_settle(o->queue, a, job.id, 1));
		mails[i].job.run = deliver;
		writer_submit(o->store, &mails[i].job);
	}
}

/* Batches of `batch`: accepted in one commit, delivered in the next, as edges and mda do. */
static void run(struct office *o, u32 messages, u32 batch)
{
	for (u32 i = 0; i < messages; i += batch) {
		struct arena *a = arena_new(64 << 20);
		struct mail *mails = arena_array_of(a, batch, struct mail);

		for (u32 k = 0; k < batch; k++)
			mail_begin(o, a, &mails[k]);
		while (writer_run_once(o->store))
			;
		mails_deliver(o, a, mails, batch);
		while (writer_run_once(o->store))
			;
		arena_free(&a);
	}
}

static struct office office_open(struct arena *a, const char *folder)
{
	const struct store_options options = { .folder = folder };
	struct write_job job = { .run = setup, .done = done, .arena = a };
	struct office o = { .body = message_new(a) };
	struct queue_options q = { .deliveries = 1000,
				   .per_site = 1000,
				   .hops = 50,
				   .recipients = 1000,
				   .size = 1 << 20 };

	sql_before_jail();
	must(store_open(a, &options, &o.store));
	must(writer_do(o.store, &job));
	o.directory = q.directory = directory_new(env_system(), S("+"));
	directory_add_domain(o.directory, S("example.test"));
	directory_add_account(
	    o.directory, &(struct directory_account){
			     .id = ACCOUNT, .generation = 1, .address = S("bob@example.test") });
	q.store = o.store;
	o.queue = queue_new(&q);
	must(queue_load(o.queue, a));
	return o;
}

static void open_inbox(struct store *s, u64 *mailbox)
{
	struct arena *a = arena_new(64 << 20);
	struct office_mailbox_open_answer r = { .rows = 0 };
	struct tx t;

	must(store_read_begin(s, a, &t));
	must(store_mailbox_open(&t, ACCOUNT, S("INBOX"), false, &r));
	store_read_end(&t);
	*mailbox = r.info.id;
	arena_free(&a);
}

static u32 fetch_all(struct store *s, u64 mailbox, u32 want)
{
	struct uid_range range = { .low = 1, .high = UINT32_MAX };
	u32 n = 0;

	do {
		struct arena *a = arena_new(64 << 20);
		struct office_message_fetch_request q = {
			.mailbox = mailbox, .uids = &range, .uids_n = 1, .want = want
		};
		struct office_message_fetch_answer r = { .count = 0 };
		struct tx t;

		must(store_read_begin(s, a, &t));
		must(store_message_fetch(&t, ACCOUNT, &q, &r));
		store_read_end(&t);
		n += r.count;
		range.low = r.next;
		arena_free(&a);
	} while (range.low);
	return n;
}

int main(int argc, char **argv)
{
	u32 messages = argc > 2 ? (u32)strtoul(argv[2], NULL, 10) : 20000;
	struct arena *a = arena_new(64 << 20);
	struct office o = office_open(a, argc > 1 ? argv[1] : ".");
	struct span from;
	u64 mailbox;

	printf("message %zu bytes, skeleton %zu bytes\n", (size_t)o.body.size,
	       (size_t)o.body.skeleton);
	from = begin();
	run(&o, 200, 1);
	end(from, "accept and deliver, batches of 1", 200, "message");
	from = begin();
	run(&o, 4000, 10);
	end(from, "accept and deliver, batches of 10", 4000, "message");
	from = begin();
	run(&o, messages - 4200, BATCH);
	end(from, "accept and deliver, batches of 50", messages - 4200, "message");
	from = begin();
	open_inbox(o.store, &mailbox);
	end(from, "mailbox_open, nothing cached", 1, "call");
	from = begin();
	for (int i = 0; i < 100; i++)
		open_inbox(o.store, &mailbox);
	end(from, "mailbox_open, cached", 100, "call");
	run(&o, 1, 1);
	from = begin();
	open_inbox(o.store, &mailbox);
	end(from, "mailbox_open after one arrival", 1, "call");
	from = begin();
	CHECK(fetch_all(o.store, mailbox, 0) >= messages);
	end(from, "fetch of all, dates and sizes", 1, "mailbox");
	from = begin();
	CHECK(fetch_all(o.store, mailbox, FETCH_SKELETON) >= messages);
	end(from, "fetch of all skeletons", 1, "mailbox");
	from = begin();
	CHECK(fetch_all(o.store, mailbox, FETCH_BYTES) >= messages);
	end(from, "fetch of all messages", 1, "mailbox");
	queue_free(&o.queue);
	directory_free(&o.directory);
	store_close(&o.store);
	arena_free(&a);
	return 0;
}
