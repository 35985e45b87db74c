/* Each transition of the queue, once as it should go, once with a restart in between. */
#include "office/queue/queue_test_support.h"

#include "base/id.h"
#include "office/queue/prefix.h"

enum { MDA = 100, RELAY = 200 };

static void test_local_delivery(void **state)
{
	struct desk d;
	u64 message;
	struct job job;

	(void)state;
	desk_new(&d);
	message = mail_send(&d, "bob+list@example.test", 0);
	assert_int_equal(desk_take(&d, LANE_RELAY, RELAY, 10), 0);
	job = desk_job(&d, LANE_MDA, MDA);
	assert_int_equal(job.kind, JOB_DELIVER);
	assert_int_equal(job.message, message);
	assert_int_equal(job.account, 2);
	assert_true(str_eq(job.entries[0].address, S("bob+list@example.test")));
	must_fail(desk_deliver(&d, job.id, MDA + 1), FAIL_DENIED); /* another's job */
	must(desk_deliver(&d, job.id, MDA));
	assert_int_equal(desk_number(&d, ask_placed, 2, message), 1);
	assert_int_equal(desk_number(&d, ask_queued, 0, 0), 0);
	assert_true(desk_has_event(&d, message, EVENT_DELIVERED));
	must_fail(desk_deliver(&d, job.id, MDA), FAIL_DENIED);
	desk_restart(&d);
	assert_int_equal(desk_take(&d, LANE_MDA, MDA, 10), 0);
	desk_free(&d);
}

static const struct fail *damage_call(struct tx *t, void *context)
{
	return sql_run(t->arena, t->db, context, NULL, 0);
}

/* THREATS Q09: a row that somebody spoiled stops itself, not the office and not the other mail. */
static void test_damaged_rows(void **state)
{
	static const char *const at_start[] = {
		"UPDATE queue_entry SET kind = 9 WHERE account_id = 1",
		"UPDATE queue_entry SET status = 'x' WHERE account_id = 1",
		"UPDATE queue_entry SET next_attempt = NULL WHERE account_id = 1",
		"UPDATE queue_entry SET attempts = -1 WHERE account_id = 1",
	};
	static const char *const when_read[] = {
		"UPDATE queue_entry SET notify = 1 << 40 WHERE account_id = 1",
		"UPDATE queue_entry SET address = x'00' WHERE account_id = 1",
		"DELETE FROM queue_message WHERE id IN"
		" (SELECT message_id FROM queue_entry WHERE account_id = 1)",
		"UPDATE queue_message SET arrived = 'y' WHERE id IN"
		" (SELECT message_id FROM queue_entry WHERE account_id = 1)",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(at_start) + ARRAY_LEN(when_read); i++) {
		bool start = i < ARRAY_LEN(at_start);
		const char *damage = start ? at_start[i] : when_read[i - ARRAY_LEN(at_start)];
		struct desk d;
		struct job job;

		desk_new(&d);
		mail_send(&d, "alice@example.test", 0);
		mail_send(&d, "bob@example.test", 0);
		if (world_write(&d.w, false, damage_call, (void *)(uintptr_t)damage)) {
			desk_free(&d); /* the schema itself forbids it */
			continue;
		}
		desk_restart(&d);
		assert_int_equal(desk_take(&d, LANE_MDA, MDA, 10), start ? 1 : 2);
		if (!start) {
			must_fail(desk_read(&d, &d.taken[0], MDA, &job), FAIL_CORRUPT);
			queue_set_aside(d.queue, d.taken[0].id, MDA);
			d.taken[0] = d.taken[1];
		}
		must(desk_deliver(&d, d.taken[0].id, MDA));
		queue_peer_gone(d.queue, MDA);
		assert_int_equal(desk_take(&d, LANE_MDA, MDA, 10), 0);
		desk_free(&d);
	}
}

/* A disk that fails once makes SQLite say "malformed" too: the job must not wait for somebody who looks. */
static void test_unreadable_once(void **state)
{
	const char *damage = "UPDATE queue_entry SET notify = 1 << 40",
		   *mend = "UPDATE queue_entry SET notify = 0";
	struct desk d;
	struct job job;
	u64 expected = SCHEDULE_UNREAD_MS;

	(void)state;
	desk_new(&d);
	mail_send(&d, "alice@example.test", 0);
	must(world_write(&d.w, false, damage_call, (void *)(uintptr_t)damage));
	for (size_t i = 0; i < 20; i++) {
		u64 next;
		assert_int_equal(desk_take(&d, LANE_MDA, MDA, 10), 1);
		must_fail(desk_read(&d, &d.taken[0], MDA, &job), FAIL_CORRUPT);
		queue_set_aside(d.queue, d.taken[0].id, MDA);
		assert_int_equal(desk_take(&d, LANE_MDA, MDA, 10), 0);
		next = queue_pump(d.queue);
		assert_in_range(next - d.w.clock, expected - 100,
				expected); /* it goes on by itself */
		d.w.clock = next;
		expected =
		    expected < SCHEDULE_UNREAD_MOST_MS / 2 ? 2 * expected : SCHEDULE_UNREAD_MOST_MS;
	}
	assert_int_equal(expected, SCHEDULE_UNREAD_MOST_MS);
	must(world_write(&d.w, false, damage_call, (void *)(uintptr_t)mend));
	assert_int_equal(desk_take(&d, LANE_MDA, MDA, 10), 1);
	must(desk_read(&d, &d.taken[0], MDA, &job));
	must(desk_deliver(&d, job.id, MDA));
	assert_int_equal(queue_pump(d.queue), UINT64_MAX);
	desk_free(&d);
}

/* Ids are never given again, although the clock went back between two starts and what they named is gone (a message delivered
 * and expunged, or still in the queue with jobs whose ids are above its own). */
static void test_clock_back_over_restart(void **state)
{
	struct schedule_job first;
	struct desk d;
	u64 before;

	(void)state;
	desk_new(&d);
	mail_send(&d, "near@remote.example", 0);
	assert_int_equal(desk_take(&d, LANE_RELAY, RELAY, 1), 1);
	first = d.taken[0];
	assert_true(first.id > first.message);
	before = store_id_now(d.w.store);
	d.w.clock -= 3600000;
	desk_restart(&d);
	assert_true(store_id_now(d.w.store) > before);
	for (int i = 0; i < 3; i++)
		mail_send(&d, "near@remote.example", 0);
	assert_int_equal(desk_take(&d, LANE_RELAY, RELAY, 10), 3);
	d.w.clock += 3600000;
	assert_int_equal(desk_take(&d, LANE_RELAY, RELAY, 10), 1);
	assert_int_equal(d.taken[0].id, first.id);
	desk_free(&d);
}

/* A site's name as the database has it, not as addresses may be. */
static void test_long_domain(void **state)
{
	struct desk d;

	(void)state;
	desk_new(&d);
	mail_send(&d, "near@remote.example", 0);
	must(
	    world_write(&d.w, false, damage_call,
			(void *)(uintptr_t) "UPDATE queue_entry SET domain = hex(zeroblob(5000))"));
	desk_restart(&d);
	assert_int_equal(desk_take(&d, LANE_RELAY, RELAY, 10), 1);
	desk_free(&d);
}

static void test_alias_to_people_and_beyond(void **state)
{
	struct desk d;
	struct desk_mail m;
	struct job job;
	u64 id;

	(void)state;
	desk_new(&d);
	mail_new(&d, &m, "alice@example.test");
	mail_to(&m, "team@example.test", 0);
	mail_to(&m, "bob@example.test", 0); /* is in the team already */
	mail_to(&m, "near@Remote.example", 0);
	must(mail_commit(&d, &m));
	id = m.arrival.id;
	desk_restart(&d);
	assert_int_equal(desk_take(&d, LANE_MDA, MDA, 10), 2);
	must(desk_deliver(&d, d.taken[0].id, MDA));
	must(desk_deliver(&d, d.taken[1].id, MDA));
	assert_int_equal(desk_number(&d, ask_placed, 1, id), 1);
	assert_int_equal(desk_number(&d, ask_placed, 2, id), 1);
	job = desk_job(&d, LANE_RELAY, RELAY);
	assert_int_equal(job.entries_n, 2); /* one domain, one job */
	must(desk_attempt(&d, &job, RELAY, ATTEMPT_DELIVERED, "2.0.0"));
	assert_int_equal(desk_number(&d, ask_queued, 0, 0), 0);
	assert_int_equal(desk_number(&d, ask_bodies, id, 0), 1); /* the mailboxes hold it */
	desk_free(&d);
}

static void test_retries_back_off(void **state)
{
	u64 last = 0, waits[8];
	struct desk d;
	struct job job;

	(void)state;
	desk_new(&d);
	mail_send(&d, "far@remote.example", DSN_NOTIFY_FAILURE);
	for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
		u64 due = queue_pump(d.queue);
		waits[i] = due - last;
		d.w.clock = due;
		job = desk_job(&d, LANE_RELAY, RELAY);
		assert_int_equal(job.attempts, i);
		last = d.w.clock;
		must(desk_attempt(&d, &job, RELAY, ATTEMPT_TEMP, "4.4.1"));
		if (i % 2)
			desk_restart(&d);
	}
	for (size_t i = 1; i < ARRAY_LEN(waits); i++) {
		u64 plain = d.policy.retry_first << (i - 1);
		plain = plain < d.policy.retry_most ? plain : d.policy.retry_most;
		assert_in_range(waits[i], plain * 3 / 4 - 1000, plain * 5 / 4 + 1000);
	}
	d.w.clock += d.policy.expire; /* its time is over: the next failure is the last */
	job = desk_job(&d, LANE_RELAY, RELAY);
	must(desk_attempt(&d, &job, RELAY, ATTEMPT_TEMP, "4.4.1"));
	assert_true(desk_has_event(&d, job.message, EVENT_EXPIRED));
	job = desk_job(&d, LANE_MDA, MDA);
	assert_int_equal(job.kind, JOB_DSN_FAILURE);
	desk_free(&d);
}

static void test_busy_does_not_count(void **state)
{
	struct desk d;
	struct job job;
	u64 before;

	(void)state;
	desk_new(&d);
	mail_send(&d, "far@remote.example", 0);
	job = desk_job(&d, LANE_RELAY, RELAY);
	before = d.w.clock;
	must(desk_attempt(&d, &job, RELAY, ATTEMPT_BUSY, ""));
	assert_in_range(queue_pump(d.queue), before, before + 4 * QUEUE_BUSY_MS);
	d.w.clock = queue_pump(d.queue);
	job = desk_job(&d, LANE_RELAY, RELAY);
	assert_int_equal(job.attempts, 0);
	desk_free(&d);
}

/* A failure becomes one report; the commit that queues it clears the row; it goes to the sender, from nobody. */
static void test_failure_report(void **state)
{
	struct desk d;
	struct job job;
	u64 message;

	(void)state;
	desk_new(&d);
	message = mail_send(&d, "far@remote.example", 0);
	job = desk_job(&d, LANE_RELAY, RELAY);
	must(desk_attempt(&d, &job, RELAY, ATTEMPT_PERM, "5.1.1"));
	assert_int_equal(desk_number(&d, ask_entries, message, QUEUE_DSN_DUE), 1);
	desk_restart(&d);
	job = desk_job(&d, LANE_MDA, MDA);
	assert_int_equal(job.kind, JOB_DSN_FAILURE);
	assert_true(str_eq(job.entries[0].code, S("5.1.1")));
	assert_true(str_eq(job.entries[0].remote_mta, S("mx.remote.example")));
	must(desk_dsn(&d, job.id, MDA, true));
	assert_int_equal(desk_number(&d, ask_bodies, message, 0), 0); /* nothing refers to it */
	job = desk_job(&d, LANE_MDA, MDA);
	assert_int_equal(job.kind, JOB_DELIVER);
	assert_int_equal(job.account, 1);
	assert_int_equal(job.sender.n, 0);
	must(desk_deliver(&d, job.id, MDA));
	assert_int_equal(desk_number(&d, ask_queued, 0, 0), 0);
	desk_free(&d);
}

static void test_null_sender_is_never_answered(void **state)
{
	struct desk d;
	struct desk_mail m;
	struct job job;

	(void)state;
	desk_new(&d);
	mail_new(&d, &m, "");
	mail_to(&m, "far@remote.example", DSN_NOTIFY_SUCCESS | DSN_NOTIFY_FAILURE);
	must(mail_commit(&d, &m));
	job = desk_job(&d, LANE_RELAY, RELAY);
	must(desk_attempt(&d, &job, RELAY, ATTEMPT_PERM, "5.1.1"));
	assert_int_equal(desk_take(&d, LANE_MDA, MDA, 10), 0);
	assert_int_equal(desk_number(&d, ask_queued, 0, 0), 0);
	assert_true(desk_has_event(&d, m.arrival.id, EVENT_DSN_NONE));
	desk_free(&d);
}

static void test_delay_is_told_once(void **state)
{
	struct desk d;
	struct job job;
	u64 message;

	(void)state;
	desk_new(&d);
	message = mail_send(&d, "far@remote.example", 0);
	d.w.clock += d.policy.delay_notice;
	job = desk_job(&d, LANE_RELAY, RELAY);
	must(desk_attempt(&d, &job, RELAY, ATTEMPT_TEMP, "4.4.1"));
	desk_restart(&d);
	job = desk_job(&d, LANE_MDA, MDA);
	assert_int_equal(job.kind, JOB_DSN_DELAY);
	must(desk_dsn(&d, job.id, MDA, true));
	assert_int_equal(desk_number(&d, ask_entries, message, QUEUE_WAITING), 1);
	job = desk_job(&d, LANE_MDA, MDA);
	assert_int_equal(job.kind, JOB_DELIVER);
	must(desk_deliver(&d, job.id, MDA));
	d.w.clock += d.policy.retry_most;
	job = desk_job(&d, LANE_RELAY, RELAY);
	must(desk_attempt(&d, &job, RELAY, ATTEMPT_TEMP, "4.4.1"));
	assert_int_equal(desk_take(&d, LANE_MDA, MDA, 10), 0);
	desk_free(&d);
}

/* RFC 3461 5.2.2: the next server knows no DSN, so the success it cannot report is reported as "relayed". */
static void test_success_report(void **state)
{
	struct desk d;
	struct job job;

	(void)state;
	desk_new(&d);
	mail_send(&d, "far@remote.example", DSN_NOTIFY_SUCCESS);
	job = desk_job(&d, LANE_RELAY, RELAY);
	must(desk_attempt(&d, &job, RELAY, ATTEMPT_DELIVERED, "2.0.0"));
	job = desk_job(&d, LANE_MDA, MDA);
	assert_int_equal(job.kind, JOB_DSN_FAILURE);
	assert_true(str_eq(job.entries[0].code, S("2.0.0")));
	must(desk_dsn(&d, job.id, MDA, false)); /* none could be made: forgotten, with an event */
	assert_true(desk_has_event(&d, job.message, EVENT_DSN_LOST));
	assert_int_equal(desk_number(&d, ask_queued, 0, 0), 0);
	desk_free(&d);
}

/* THREATS Q04: many failures at about the same time are one report. */
static void test_failures_are_gathered(void **state)
{
	struct desk d;
	struct desk_mail m;
	struct job jobs[3], report;

	(void)state;
	desk_new(&d);
	mail_new(&d, &m, "alice@example.test");
	mail_to(&m, "a@one.example", 0);
	mail_to(&m, "b@two.example", 0);
	mail_to(&m, "c@three.example", 0);
	must(mail_commit(&d, &m));
	for (size_t i = 0; i < 3; i++)
		jobs[i] = desk_job(&d, LANE_RELAY, RELAY);
	must(desk_attempt(&d, &jobs[0], RELAY, ATTEMPT_PERM, "5.1.1"));
	assert_int_equal(desk_take(&d, LANE_MDA, MDA, 10), 0);
	must(desk_attempt(&d, &jobs[1], RELAY, ATTEMPT_PERM, "5.1.1"));
	d.w.clock += QUEUE_GATHER_MS;
	report = desk_job(&d, LANE_MDA, MDA);
	assert_int_equal(report.entries_n, 2);
	must(desk_attempt(&d, &jobs[2], RELAY, ATTEMPT_PERM,
			  "5.1.1")); /* while the report is written */
	must(desk_dsn(&d, report.id, MDA, false));
	report = desk_job(&d, LANE_MDA, MDA);
	assert_int_equal(report.kind, JOB_DSN_FAILURE);
	assert_int_equal(report.entries_n, 1);
	assert_true(str_eq(report.entries[0].address, S("c@three.example")));
	desk_free(&d);
}

/* An mda's read that ends after it has died and the next one has read: the report in the next one's hands tells of what that one read. */
static void test_late_read(void **state)
{
	struct desk d;
	struct desk_mail m;
	struct job jobs[2], report, late;
	struct schedule_job given;

	(void)state;
	desk_new(&d);
	mail_new(&d, &m, "alice@example.test");
	mail_to(&m, "a@one.example", 0);
	mail_to(&m, "b@two.example", 0);
	must(mail_commit(&d, &m));
	for (size_t i = 0; i < 2; i++)
		jobs[i] = desk_job(&d, LANE_RELAY, RELAY);
	must(desk_attempt(&d, &jobs[0], RELAY, ATTEMPT_PERM, "5.1.1"));
	d.w.clock += QUEUE_GATHER_MS;
	assert_int_equal(desk_take(&d, LANE_MDA, MDA, 10), 1);
	given = d.taken[0];
	queue_peer_gone(d.queue, MDA);
	report = desk_job(&d, LANE_MDA, MDA + 1);
	assert_int_equal(report.entries_n, 1);
	must(desk_attempt(&d, &jobs[1], RELAY, ATTEMPT_PERM, "5.1.1"));
	must_fail(desk_read(&d, &given, MDA, &late), FAIL_NOT_FOUND);
	must(desk_dsn(&d, report.id, MDA + 1, false));
	report = desk_job(&d, LANE_MDA, MDA + 1);
	assert_int_equal(report.entries_n, 1);
	assert_true(str_eq(report.entries[0].address, S("b@two.example")));
	desk_free(&d);
}

static void test_a_peer_dies(void **state)
{
	struct desk d;
	u64 message;
	size_t deaths;

	(void)state;
	desk_new(&d);
	message = mail_send(&d, "bob@example.test", 0);
	for (deaths = 0; deaths < 10; deaths++) {
		d.w.clock += 60000;
		if (desk_take(&d, LANE_MDA, MDA + deaths, 10) == 0)
			break;
		queue_peer_gone(d.queue, MDA + deaths);
		while (writer_run_once(d.w.store))
			;
	}
	assert_int_equal(deaths, SCHEDULE_DEATHS);
	assert_int_equal(desk_number(&d, ask_entries, message, QUEUE_HELD), 1);
	assert_true(desk_has_event(&d, message, EVENT_POISON));
	desk_restart(&d);
	assert_int_equal(desk_take(&d, LANE_MDA, MDA, 10), 0);
	assert_int_equal(desk_change(&d, message, QUEUE_RELEASE), 1);
	assert_int_equal(desk_take(&d, LANE_MDA, MDA, 10), 1);
	must(desk_deliver(&d, d.taken[0].id, MDA));
	assert_int_equal(desk_number(&d, ask_placed, 2, message), 1);
	desk_free(&d);
}

/* The peer answered and died before the commit: the job is not handed out twice. */
/* Poison on a full disk: the rows cannot say "held", so it is not, and comes again. */
static void test_poison_that_cannot_be_noted(void **state)
{
	struct desk d;
	u64 message;

	(void)state;
	desk_new(&d);
	message = mail_send(&d, "bob@example.test", 0);
	d.w.fault_at = ENV_FAULT_COMMIT;
	d.w.fault_error = ENOSPC;
	d.w.fault_in = 1;
	d.w.fault_stays = true;
	for (u64 deaths = 0; deaths < SCHEDULE_DEATHS; deaths++) {
		d.w.clock += 60000;
		assert_int_equal(desk_take(&d, LANE_MDA, MDA + deaths, 10), 1);
		queue_peer_gone(d.queue, MDA + deaths);
		while (writer_run_once(d.w.store))
			;
	}
	d.w.fault_in = 0;
	assert_int_equal(desk_number(&d, ask_entries, message, QUEUE_WAITING), 1);
	assert_int_equal(desk_take(&d, LANE_MDA, MDA, 10), 0);
	d.w.clock += d.policy.retry_first;
	assert_int_equal(desk_take(&d, LANE_MDA, MDA, 10), 1);
	must(desk_deliver(&d, d.taken[0].id, MDA));
	desk_free(&d);
}

/* A report has no rows of its own to be held in, so it must come back by itself (queue_sim_test, seed 239226). */
static void test_poison_report(void **state)
{
	struct desk d;
	struct job job;

	(void)state;
	desk_new(&d);
	mail_send(&d, "far@remote.example", 0);
	job = desk_job(&d, LANE_RELAY, RELAY);
	must(desk_attempt(&d, &job, RELAY, ATTEMPT_PERM, "5.1.1"));
	for (u64 deaths = 0; deaths < SCHEDULE_DEATHS; deaths++) {
		d.w.clock += 60000;
		assert_int_equal(desk_take(&d, LANE_MDA, MDA + deaths, 10), 1);
		queue_peer_gone(d.queue, MDA + deaths);
		while (writer_run_once(d.w.store))
			;
	}
	assert_int_equal(desk_take(&d, LANE_MDA, MDA, 10), 0);
	d.w.clock += d.policy.retry_first;
	job = desk_job(&d, LANE_MDA, MDA);
	assert_int_equal(job.kind, JOB_DSN_FAILURE);
	must(desk_dsn(&d, job.id, MDA, true));
	desk_free(&d);
}

static void test_death_while_settling(void **state)
{
	struct desk d;
	struct job job;

	(void)state;
	desk_new(&d);
	mail_send(&d, "bob@example.test", 0);
	job = desk_job(&d, LANE_MDA, MDA);
	must(queue_settle(d.queue, d.w.arena, job.id, MDA));
	queue_peer_gone(d.queue, MDA);
	d.w.clock += 60000;
	assert_int_equal(desk_take(&d, LANE_MDA, MDA + 1, 10), 0);
	queue_give_back(d.queue, job.id); /* the commit failed */
	d.w.clock += 60000;
	assert_int_equal(desk_take(&d, LANE_MDA, MDA + 1, 10), 1);
	desk_free(&d);
}

/* Many domains with the same servers, which are busy: no more of them go out than those servers take, or they would go out and come back all day. */
static void test_busy_together(void **state)
{
	enum { ALL = 30 };
	struct job jobs[ALL];
	struct desk d;

	(void)state;
	desk_new(&d);
	for (size_t i = 0; i < ALL; i++)
		mail_send(&d, cstr(d.w.arena, str_format(d.w.arena, "x@%zu.example", i)), 0);
	for (size_t i = 0; i < ALL; i++)
		jobs[i] = desk_job(&d, LANE_RELAY, RELAY);
	for (size_t i = 0; i < ALL; i++)
		must(desk_attempt(&d, &jobs[i], RELAY, ATTEMPT_BUSY, ""));
	d.w.clock += 2 * QUEUE_BUSY_MS;
	assert_int_equal(desk_take(&d, LANE_RELAY, RELAY, ALL), d.per_site);
	desk_free(&d);
}

static size_t traced(struct desk *d, const char *word)
{
	struct office_trace_answer r = { 0 };
	struct tx t;

	must(store_read_begin(d->w.store, d->w.arena, &t));
	must(store_trace_find(&t, str_cstr(word), 10, &r));
	store_read_end(&t);
	return r.messages_n;
}

/* Whoever gets a mail finds it under his own address, whatever address it was sent to. */
static void test_trace_behind_an_alias(void **state)
{
	struct desk d;

	(void)state;
	desk_new(&d);
	mail_send(&d, "team@example.test", 0);
	mail_send(&d, "bob+list@example.test", 0);
	assert_int_equal(traced(&d, "team@example.test"), 1);
	assert_int_equal(traced(&d, "bob@example.test"), 2);
	assert_int_equal(traced(&d, "far@remote.example"), 1);
	assert_int_equal(traced(&d, "bob+list@example.test"), 1);
	desk_free(&d);
}

/* To relay, and in a report, are no more at once than a job has; the rest follow. */
static void test_many_recipients(void **state)
{
	enum { MORE = 500, ALL = OFFICE_JOB_ENTRIES + MORE };
	static const size_t expected[] = { OFFICE_JOB_ENTRIES, MORE };
	struct recipient recipients[ALL];
	struct desk_mail m;
	struct job jobs[2], report;
	struct desk d;

	(void)state;
	desk_new(&d);
	d.queue->options.recipients = ALL;
	mail_new(&d, &m, "alice@example.test");
	for (size_t i = 0; i < ALL; i++)
		recipients[i] =
		    (struct recipient){ .address = str_format(d.w.arena, "%zu@remote.example", i) };
	m.envelope.recipients = recipients;
	m.envelope.recipients_n = ALL;
	must(mail_commit(&d, &m));
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
		jobs[i] = desk_job(&d, LANE_RELAY, RELAY);
		assert_int_equal(jobs[i].entries_n, expected[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
		must(desk_attempt(&d, &jobs[i], RELAY, ATTEMPT_PERM, "5.1.1"));
	for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
		d.w.clock += QUEUE_GATHER_MS;
		report = desk_job(&d, LANE_MDA, MDA);
		assert_int_equal(report.entries_n, expected[i]);
		must(desk_dsn(&d, report.id, MDA, false));
	}
	assert_int_equal(desk_number(&d, ask_queued, 0, 0), 0);
	assert_int_equal(desk_number(&d, ask_bodies, m.arrival.id, 0), 0);
	desk_free(&d);
}

/* A commit that fails again and again: later each time, to the end, and never again each second. */
static void test_given_back_later_each_time(void **state)
{
	struct desk d;
	u64 least = QUEUE_BUSY_MS;

	(void)state;
	desk_new(&d);
	mail_send(&d, "bob@example.test", 0);
	for (size_t i = 0; i < 30; i++) {
		u64 next;
		assert_int_equal(desk_take(&d, LANE_MDA, MDA, 1), 1);
		must(queue_settle(d.queue, d.w.arena, d.taken[0].id, MDA));
		queue_give_back(d.queue, d.taken[0].id);
		next = queue_pump(d.queue);
		assert_in_range(next - d.w.clock, least, 2 * least);
		d.w.clock = next;
		least = i < QUEUE_BUSY_DOUBLED ? 2 * least : least;
	}
	desk_free(&d);
}

/* A mailbox that can never be written: its mail is not kept for ever, and who sent it hears of it. */
static void test_local_delivery_is_given_up(void **state)
{
	struct desk d;
	struct job job;
	u64 end;

	(void)state;
	desk_new(&d);
	mail_send(&d, "bob@example.test", 0);
	end = d.w.clock + d.policy.expire;
	for (size_t i = 0; d.w.clock < end; i++) {
		job = desk_job(&d, LANE_MDA, MDA);
		assert_int_equal(job.kind, JOB_DELIVER);
		must(queue_settle(d.queue, d.w.arena, job.id, MDA));
		queue_give_back(d.queue, job.id);
		d.w.clock = i < 20 ? queue_pump(d.queue) : end;
	}
	job = desk_job(&d, LANE_MDA, MDA);
	must(desk_deliver(&d, job.id, MDA));
	assert_true(desk_has_event(&d, job.message, EVENT_EXPIRED));
	d.w.clock += QUEUE_GATHER_MS;
	job = desk_job(&d, LANE_MDA, MDA);
	assert_int_equal(job.kind, JOB_DSN_FAILURE);
	assert_str(job.entries[0].code, S("4.2.0"));
	desk_free(&d);
}

/* --- Behind an alias: who has no room, and who is suspended --- */

enum { ROOM = 200 }; /* of bob: less than a message has */

static const struct fail *bob_call(struct tx *t, void *context)
{
	return store_account_change(t, context);
}

static void bob_change(struct desk *d, u64 quota, bool suspended)
{
	struct store_account row = { .id = 2,
				     .generation = 1,
				     .quota = quota,
				     .address = S("bob@example.test"),
				     .domain = S("example.test"),
				     .suspended = suspended };
	struct directory_account known;

	must(world_write(&d->w, false, bob_call, &row));
	assert_true(directory_account_by_id(d->directory, d->w.arena, 2, &known));
	known.quota = quota;
	known.suspended = suspended;
	directory_add_account(d->directory, &known);
}

/* A mail for the team, of which only bob is left to get it. */
static u64 team_but_bob(struct desk *d)
{
	u64 message = mail_send(d, "team@example.test", 0);
	struct job job = desk_job(d, LANE_RELAY, RELAY);

	must(desk_attempt(d, &job, RELAY, ATTEMPT_DELIVERED, "2.0.0"));
	assert_int_equal(desk_take(d, LANE_MDA, MDA, 10), 2);
	must(desk_deliver(d, d->taken[0].id, MDA));
	must(desk_deliver(d, d->taken[1].id, MDA));
	assert_int_equal(desk_number(d, ask_placed, 1, message), 1);
	assert_int_equal(desk_number(d, ask_placed, 2, message), 0);
	assert_true(desk_has_event(d, message, EVENT_DEFERRED));
	assert_int_equal(desk_take(d, LANE_MDA, MDA, 10), 0);
	return message;
}

/* The next attempt, as late as that of any other; a restart does not change it. */
static struct job bob_again(struct desk *d, u32 attempts)
{
	u64 due = queue_pump(d->queue);
	struct job job;

	assert_in_range(due - d->w.clock, d->policy.retry_first * 3 / 4,
			d->policy.retry_most * 5 / 4);
	desk_restart(d);
	assert_int_equal(queue_pump(d->queue), due);
	d->w.clock = due;
	job = desk_job(d, LANE_MDA, MDA);
	assert_int_equal(job.attempts, attempts);
	assert_int_equal(job.account, 2);
	return job;
}

static void closed_then_open(bool suspended)
{
	struct desk d;
	struct job job;
	u64 message;

	desk_new(&d);
	bob_change(&d, suspended ? 0 : ROOM, suspended);
	message = team_but_bob(&d);
	job = bob_again(&d, 1);
	bob_change(&d, suspended ? 0 : ROOM, suspended);
	must(desk_deliver(&d, job.id, MDA));
	job = bob_again(&d, 2);
	assert_str(job.entries[0].code, suspended ? S("4.2.1") : S("4.2.2"));
	bob_change(&d, 0, false);
	must(desk_deliver(&d, job.id, MDA));
	assert_int_equal(desk_number(&d, ask_placed, 1, message), 1);
	assert_int_equal(desk_number(&d, ask_placed, 2, message), 1);
	assert_int_equal(desk_number(&d, ask_queued, 0, 0), 0);
	desk_free(&d);
}

static void test_full_behind_an_alias(void **state)
{
	(void)state;
	closed_then_open(false);
}

static void test_suspended_behind_an_alias(void **state)
{
	(void)state;
	closed_then_open(true);
}

/* Until it expires; then its sender is told, as of any recipient. Commits that failed before a put-off do not count against it. */
static void test_full_until_the_end(void **state)
{
	struct desk d;
	struct job job;
	u64 end;

	(void)state;
	desk_new(&d);
	bob_change(&d, ROOM, false);
	end = d.w.clock + d.policy.expire;
	team_but_bob(&d);
	for (u32 i = 1; d.w.clock < end; i++) {
		d.w.clock = i < 15 ? queue_pump(d.queue) : end;
		job = desk_job(&d, LANE_MDA, MDA);
		if (job.kind == JOB_DELIVER)
			must(desk_deliver(&d, job.id, MDA));
		else
			must(desk_dsn(&d, job.id, MDA, false));
	}
	assert_true(desk_has_event(&d, job.message, EVENT_EXPIRED));
	d.w.clock += QUEUE_GATHER_MS;
	job = desk_job(&d, LANE_MDA, MDA);
	assert_int_equal(job.kind, JOB_DSN_FAILURE);
	assert_int_equal(job.entries_n, 1);
	assert_str(job.entries[0].address, S("bob@example.test"));
	assert_str(job.entries[0].code, S("4.2.2"));
	desk_free(&d);
}

/* There is room at the last attempt, after more than ten: it is taken. */
static void test_room_at_the_end(void **state)
{
	struct desk d;
	struct job job;
	u64 message;

	(void)state;
	desk_new(&d);
	bob_change(&d, ROOM, false);
	message = team_but_bob(&d);
	for (u32 i = 0; i <= QUEUE_BUSY_DOUBLED + 1;) {
		d.w.clock = queue_pump(d.queue);
		job = desk_job(&d, LANE_MDA, MDA);
		i += job.kind == JOB_DELIVER;
		must(job.kind == JOB_DELIVER ? desk_deliver(&d, job.id, MDA)
					     : desk_dsn(&d, job.id, MDA, false));
	}
	d.w.clock += d.policy.expire;
	bob_change(&d, 0, false);
	job = desk_job(&d, LANE_MDA, MDA);
	must(desk_deliver(&d, job.id, MDA));
	assert_int_equal(desk_number(&d, ask_placed, 2, message), 1);
	desk_free(&d);
}

/* Who was named himself was asked at RCPT, and what was taken is kept. */
static void test_full_when_named(void **state)
{
	struct desk d;
	u64 message;

	(void)state;
	desk_new(&d);
	message = mail_send(&d, "Bob+list@example.test", 0);
	bob_change(&d, ROOM, false);
	assert_int_equal(desk_take(&d, LANE_MDA, MDA, 10), 1);
	must(desk_deliver(&d, d.taken[0].id, MDA));
	assert_int_equal(desk_number(&d, ask_placed, 2, message), 1);
	desk_free(&d);
}

static void test_administration(void **state)
{
	struct desk d;
	struct job job;
	u64 message;

	(void)state;
	desk_new(&d);
	message = mail_send(&d, "far@remote.example", 0);
	assert_int_equal(desk_change(&d, message, QUEUE_HOLD), 1);
	desk_restart(&d);
	assert_int_equal(desk_take(&d, LANE_RELAY, RELAY, 10), 0);
	assert_int_equal(desk_change(&d, 0, QUEUE_RELEASE), 1);
	job = desk_job(&d, LANE_RELAY, RELAY);
	assert_int_equal(desk_change(&d, message, QUEUE_HOLD), 1); /* during an attempt */
	must(desk_attempt(&d, &job, RELAY, ATTEMPT_TEMP, "4.4.1"));
	d.w.clock += d.policy.retry_most;
	assert_int_equal(desk_take(&d, LANE_RELAY, RELAY, 10), 0);
	assert_int_equal(desk_change(&d, message, QUEUE_RELEASE), 1);
	job = desk_job(&d, LANE_RELAY, RELAY);
	must(desk_attempt(&d, &job, RELAY, ATTEMPT_TEMP, "4.4.1"));
	assert_int_equal(desk_take(&d, LANE_RELAY, RELAY, 10), 0);
	assert_int_equal(desk_change(&d, message, QUEUE_RETRY), 1);
	job = desk_job(&d, LANE_RELAY, RELAY);
	assert_int_equal(desk_change(&d, message, QUEUE_DROP), 1);
	assert_int_equal(desk_number(&d, ask_queued, 0, 0), 0);
	assert_int_equal(desk_number(&d, ask_bodies, message, 0), 0);
	(void)desk_attempt(&d, &job, RELAY, ATTEMPT_TEMP, "4.4.1"); /* of what is gone: no harm */
	d.w.clock += d.policy.retry_most;
	assert_int_equal(desk_take(&d, LANE_RELAY, RELAY, 10), 0);
	desk_free(&d);
}

/* A kill between the commit of a retry and its "done": the rows say it, whoever asked for it heard nothing (queue_sim_test, seed 26594). */
static void test_retry_is_in_the_rows(void **state)
{
	struct desk d;
	struct desk_call c = { .action = QUEUE_RETRY, .desk = &d };
	struct job job;

	(void)state;
	desk_new(&d);
	mail_send(&d, "far@remote.example", 0);
	job = desk_job(&d, LANE_RELAY, RELAY);
	must(desk_attempt(&d, &job, RELAY, ATTEMPT_TEMP, "4.4.1"));
	desk_restart(&d);
	assert_int_equal(desk_take(&d, LANE_RELAY, RELAY, 10), 0);
	must(world_write(&d.w, false, change_call, &c));
	assert_int_equal(desk_take(&d, LANE_RELAY, RELAY, 10), 0);
	desk_restart(&d);
	job = desk_job(&d, LANE_RELAY, RELAY);
	assert_int_equal(job.attempts, 1);
	desk_free(&d);
}

/* F16: a wait that reaches further than any can was begun before the clock was set back; a start does not sit it out (queue_sim_test,
 * seed 124395). */
static void test_clock_back_over_a_wait(void **state)
{
	struct desk d;
	struct job job;

	(void)state;
	desk_new(&d);
	mail_send(&d, "far@remote.example", 0);
	job = desk_job(&d, LANE_RELAY, RELAY);
	must(desk_attempt(&d, &job, RELAY, ATTEMPT_TEMP, "4.4.1"));
	d.w.clock -= d.policy.retry_most;
	desk_restart(&d);
	assert_int_equal(desk_take(&d, LANE_RELAY, RELAY, 10), 0);
	d.w.clock -= 2 * d.policy.retry_most;
	desk_restart(&d);
	assert_int_equal(desk_take(&d, LANE_RELAY, RELAY, 10), 1);
	desk_free(&d);
}

static void test_envelopes_that_cannot_be(void **state)
{
	struct desk d;
	struct desk_mail m;

	(void)state;
	desk_new(&d);
	mail_new(&d, &m, "alice@example.test");
	must_fail(mail_commit(&d, &m), FAIL_LIMIT); /* no recipient */
	mail_to(&m, "x@remote.example\r\nRCPT TO:<y@z>", 0);
	must_fail(mail_commit(&d, &m), FAIL_INVALID);
	m.recipients[0].address = S("x@remote.example");
	m.recipients[0].notify = DSN_NOTIFY_NEVER | DSN_NOTIFY_SUCCESS;
	must_fail(mail_commit(&d, &m), FAIL_INVALID);
	m.recipients[0].notify = 0;
	m.arrival.account = 0; /* from outside: never a relay (THREATS S17) */
	must_fail(mail_commit(&d, &m), FAIL_DENIED);
	m.arrival.account = 2; /* bob as alice */
	must_fail(mail_commit(&d, &m), FAIL_DENIED);
	m.arrival.account = 1;
	must(mail_commit(&d, &m));
	desk_free(&d);
}

static size_t trace(struct desk *d, str word, size_t *events)
{
	struct office_trace_answer r = { 0 };
	struct tx t;

	must(store_read_begin(d->w.store, d->w.arena, &t));
	must(store_trace_find(&t, word, 10, &r));
	store_read_end(&t);
	*events = r.events_n;
	return r.messages_n;
}

static const u64 day_ms = 24 * 3600 * 1000;

static const struct fail *expire_call(struct tx *t, void *context)
{
	struct store_event_keep keep = { .messages_ms = 30 * day_ms,
					 .attempts_ms = 7 * day_ms,
					 .attempts_most = 3 };

	return store_event_expire(t, &keep, context);
}

static const struct fail *attempt_event(struct tx *t, void *context)
{
	const struct event_record r = { .time = t->now,
					.message = *(const u64 *)context,
					.stage = S("mx"),
					.code = S("refused"),
					.arguments = S("{\"client\":\"192.0.2.7\"}") };

	return store_event_add_record(t, &r);
}

static u64 attempt_add(struct desk *d, u32 sequence)
{
	u64 id = id_first_attempt(d->w.clock) + sequence;

	must(world_write(&d->w, false, attempt_event, &id));
	return id;
}

static u64 event_count(struct desk *d)
{
	struct tx t;
	u64 n;

	must(store_read_begin(d->w.store, d->w.arena, &t));
	must(store_event_count(&t, &n));
	store_read_end(&t);
	return n;
}

static void test_trace_and_expiry(void **state)
{
	struct desk d;
	size_t events;
	bool more;
	u64 id, attempt;

	(void)state;
	desk_new(&d);
	id = mail_send(&d, "bob@example.test", 0);
	attempt = attempt_add(&d, 0);
	assert_int_equal(trace(&d, S("BOB@example.test"), &events), 1);
	assert_int_equal(events, 1);                           /* accepted */
	assert_int_equal(trace(&d, S("message"), &events), 1); /* a word of the subject */
	assert_int_equal(trace(&d, id_text(d.w.arena, id), &events), 1);
	assert_int_equal(trace(&d, S("192.0.2.7"), &events), 0);
	assert_int_equal(events, 1); /* an attempt that became no message */
	assert_int_equal(trace(&d, id_text(d.w.arena, attempt), &events), 0);
	assert_int_equal(events, 1);
	assert_int_equal(trace(&d, S("nobody"), &events), 0);
	d.w.clock += 8 * day_ms;
	must(world_write(&d.w, false, expire_call, &more));
	assert_int_equal(trace(&d, S("192.0.2.7"), &events), 0);
	assert_int_equal(events, 0);
	assert_int_equal(trace(&d, S("bob@example.test"), &events), 1);
	d.w.clock += (u64)31 * 24 * 3600 * 1000;
	must(world_write(&d.w, false, expire_call, &more));
	assert_int_equal(trace(&d, S("bob@example.test"), &events), 0);
	assert_int_equal(trace(&d, S("192.0.2.7"), &events), 0);
	assert_int_equal(events, 0);
	desk_free(&d);
}

/* Nothing stays for ever: neither what a message without a trace left, nor too many refusals, nor what belongs to nothing. */
static void test_expiry_goes_by_ids(void **state)
{
	struct desk d;
	size_t events;
	bool more;
	u64 id, none = 0;

	(void)state;
	desk_new(&d);
	id = store_id_now(d.w.store);
	must(world_write(&d.w, false, attempt_event, &id));
	must(world_write(&d.w, false, attempt_event, &none));
	for (u32 i = 0; i < 5; i++)
		attempt_add(&d, i);
	assert_int_equal(event_count(&d), 7);
	must(world_write(&d.w, false, expire_call, &more));
	assert_int_equal(event_count(&d), 5); /* three attempts are the most */
	trace(&d, id_text(d.w.arena, id_first_attempt(d.w.clock)), &events);
	assert_int_equal(events, 0); /* the oldest went */
	d.w.clock += 31 * day_ms;
	must(world_write(&d.w, false, expire_call, &more));
	assert_int_equal(event_count(&d), 0);
	desk_free(&d);
}

static void test_prefix(void **state)
{
	struct arena *a = arena_new(1 << 16);

	(void)state;
	assert_true(str_eq(queue_prefix(a, S("a@b"), S("c@d")),
			   S("Return-Path: <a@b>\r\nDelivered-To: c@d\r\n")));
	assert_true(str_eq(queue_prefix(a, S(""), S("c@d")),
			   S("Return-Path: <>\r\nDelivered-To: c@d\r\n")));
	assert_true(str_eq(queue_prefix(a, S("a\r\nX: y"), S("c\n@d")),
			   S("Return-Path: <a??X: y>\r\nDelivered-To: c?@d\r\n")));
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_local_delivery),
		cmocka_unit_test(test_damaged_rows),
		cmocka_unit_test(test_unreadable_once),
		cmocka_unit_test(test_long_domain),
		cmocka_unit_test(test_clock_back_over_restart),
		cmocka_unit_test(test_alias_to_people_and_beyond),
		cmocka_unit_test(test_retries_back_off),
		cmocka_unit_test(test_busy_does_not_count),
		cmocka_unit_test(test_failure_report),
		cmocka_unit_test(test_null_sender_is_never_answered),
		cmocka_unit_test(test_delay_is_told_once),
		cmocka_unit_test(test_success_report),
		cmocka_unit_test(test_failures_are_gathered),
		cmocka_unit_test(test_late_read),
		cmocka_unit_test(test_a_peer_dies),
		cmocka_unit_test(test_poison_that_cannot_be_noted),
		cmocka_unit_test(test_poison_report),
		cmocka_unit_test(test_death_while_settling),
		cmocka_unit_test(test_given_back_later_each_time),
		cmocka_unit_test(test_local_delivery_is_given_up),
		cmocka_unit_test(test_full_behind_an_alias),
		cmocka_unit_test(test_suspended_behind_an_alias),
		cmocka_unit_test(test_full_until_the_end),
		cmocka_unit_test(test_room_at_the_end),
		cmocka_unit_test(test_full_when_named),
		cmocka_unit_test(test_many_recipients),
		cmocka_unit_test(test_trace_behind_an_alias),
		cmocka_unit_test(test_busy_together),
		cmocka_unit_test(test_administration),
		cmocka_unit_test(test_retry_is_in_the_rows),
		cmocka_unit_test(test_clock_back_over_a_wait),
		cmocka_unit_test(test_envelopes_that_cannot_be),
		cmocka_unit_test(test_trace_and_expiry),
		cmocka_unit_test(test_expiry_goes_by_ids),
		cmocka_unit_test(test_prefix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
