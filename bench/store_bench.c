/*
 * What the store costs the office: accepting and delivering 5 KB messages in group commits, opening a mailbox, fetching
 * all its skeletons. Figures are CPU of this process, and wall time, per message or call.
 *
 *	store_bench FOLDER [messages]      FOLDER must be empty and lies on the disk to measure
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/fd.h"
#include "office/store/store.h"
#include "office/store/writer.h"

enum { SIZE = 5 * 1024, ACCOUNT = 1 };

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

static int message_fd(struct arena *a, size_t *size, size_t *skeleton)
{
	struct buf *b = buf_new(a, 1 << 20);
	struct skeleton_parser *p = skeleton_parser_new(a);
	const struct skeleton *s;
	str encoded;
	int fd;

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
	*size = b->n;
	must(skeleton_feed(p, buf_str(b)));
	must(skeleton_finish(p, &s));
	encoded = skeleton_encode(a, s);
	*skeleton = encoded.n;
	buf_add(b, encoded);
	must(fd_from_str(a, buf_str(b), &fd));
	return fd;
}

/* --- Jobs --- */

struct deliver_job {
	struct write_job job;
	struct body_draft draft;
	u64 id;
};

static const struct fail *setup(struct tx *t, struct write_job *job)
{
	(void)job;
	TRY(SQL_RUN0(t->arena, t->db,
		     "INSERT INTO account (id, address, domain, generation, suspended, quota_bytes)"
		     " VALUES (1, 'bob@example.test', 'example.test', 1, 0, 0)"));
	return store_account_furnish(t, ACCOUNT, S("bob@example.test"));
}

static const struct fail *accept(struct tx *t, struct write_job *job)
{
	struct deliver_job *d = (struct deliver_job *)job;
	const str to = S("bob@example.test");
	const struct body_summary s = { .sender = S("anna@example.net"),
					.recipients = &to,
					.recipients_n = 1 };

	return store_body_append(t, d->id, &d->draft, &s);
}

static const struct fail *deliver(struct tx *t, struct write_job *job)
{
	struct deliver_job *d = (struct deliver_job *)job;
	const struct placement p = {
		.body = d->id,
		.prefix =
		    S("Return-Path: <anna@example.net>\r\nDelivered-To: bob@example.test\r\n"),
		.takes_reference = true
	};
	struct placed placed;

	return store_deliver(t, ACCOUNT, SPECIAL_INBOX, &p, &placed);
}

static void done(struct write_job *job, const struct fail *f)
{
	(void)job;
	must(f);
}

/* Batches of `batch`: accepted in one commit, delivered in the next, as queue and mda do. */
static void run(struct store *s, int fd, size_t size, size_t skeleton, u32 messages, u32 batch)
{
	for (u32 i = 0; i < messages; i += batch) {
		struct arena *a = arena_new(64 << 20);
		struct deliver_job *jobs = arena_array_of(a, batch, struct deliver_job);

		for (u32 k = 0; k < batch; k++) {
			jobs[k].job = (struct write_job){ .run = accept, .done = done, .arena = a };
			jobs[k].id = store_id_now(s);
			must(store_body_check(a, s, fd, size, skeleton, &jobs[k].draft));
			writer_submit(s, &jobs[k].job);
		}
		while (writer_run_once(s))
			;
		for (u32 k = 0; k < batch; k++) {
			jobs[k].job.run = deliver;
			writer_submit(s, &jobs[k].job);
		}
		while (writer_run_once(s))
			;
		arena_free(&a);
	}
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
	const struct store_options o = { .folder = argc > 1 ? argv[1] : "." };
	u32 messages = argc > 2 ? (u32)strtoul(argv[2], NULL, 10) : 20000;
	struct arena *a = arena_new(64 << 20);
	struct store *s;
	struct write_job job = { .run = setup, .done = done, .arena = a };
	size_t size, skeleton;
	struct span from;
	u64 mailbox;
	int fd = message_fd(a, &size, &skeleton);

	sql_before_jail();
	must(store_open(a, &o, &s));
	must(writer_do(s, &job));
	printf("message %zu bytes, skeleton %zu bytes\n", size, skeleton);
	from = begin();
	run(s, fd, size, skeleton, 200, 1);
	end(from, "accept and deliver, batches of 1", 200, "message");
	from = begin();
	run(s, fd, size, skeleton, 4000, 20);
	end(from, "accept and deliver, batches of 20", 4000, "message");
	from = begin();
	run(s, fd, size, skeleton, messages - 4200, 64);
	end(from, "accept and deliver, batches of 64", messages - 4200, "message");
	from = begin();
	open_inbox(s, &mailbox);
	end(from, "mailbox_open, nothing cached", 1, "call");
	from = begin();
	for (int i = 0; i < 100; i++)
		open_inbox(s, &mailbox);
	end(from, "mailbox_open, cached", 100, "call");
	run(s, fd, size, skeleton, 1, 1);
	from = begin();
	open_inbox(s, &mailbox);
	end(from, "mailbox_open after one arrival", 1, "call");
	from = begin();
	CHECK(fetch_all(s, mailbox, 0) >= messages);
	end(from, "fetch of all, dates and sizes", 1, "mailbox");
	from = begin();
	CHECK(fetch_all(s, mailbox, FETCH_SKELETON) >= messages);
	end(from, "fetch of all skeletons", 1, "mailbox");
	from = begin();
	CHECK(fetch_all(s, mailbox, FETCH_BYTES) >= messages);
	end(from, "fetch of all messages", 1, "mailbox");
	store_close(&s);
	arena_free(&a);
	return 0;
}
