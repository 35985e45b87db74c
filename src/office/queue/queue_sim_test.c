/*
 * The simulator (ARCHITECTURE 7): store, queue and scheduler in one thread under a seeded clock, chance and disk, with peers
 * that die, servers that refuse and disks that fail, against a ledger of what was promised. At the end, for every message that was
 * acknowledged and every one of its recipients:
 *
 *	a person here	has it in the mailbox exactly once
 *	one elsewhere	was relayed at least once, or the sender was sent a report (or is the null sender)
 *
 * No argument: a few seeds, for the test suite. A number: so many seeds from 1 on. Two: a count and the first seed.
 */
#include "office/queue/queue_test_support.h"

enum { SEEDS = 12, STEPS = 250, MESSAGES = 60, REMOTES = 3 };

static const char *const remotes[REMOTES] = { "x@one.example", "y@two.example", "z@one.example" };

struct promise {
	u64 message;
	bool null_sender;
	bool here[2]; /* alice, bob */
	bool there[REMOTES];
	u32 relayed[REMOTES];
	bool reported[REMOTES];
};

struct sim {
	struct desk d;
	u64 chance; /* of the driver; the world has its own */
	struct promise promises[MESSAGES];
	size_t promises_n;
	u64 peer, began;
	u64 last_try[REMOTES]; /* per destination, of the message below */
	u64 tried_message[REMOTES];
	u32 crashes, faults, delivered, relays, reports;
	bool faulty;
};

static u64 below(struct sim *s, u64 n)
{
	s->chance = s->chance * 6364136223846793005u + 1442695040888963407u;
	return (s->chance >> 33) % n;
}

static struct promise *promise_of(struct sim *s, u64 message)
{
	for (size_t i = 0; i < s->promises_n; i++) {
		if (s->promises[i].message == message)
			return &s->promises[i];
	}
	return NULL;
}

/* One of the next few writes, syncs or commits fails; what follows is a start from disk. */
static void plan_fault(struct sim *s)
{
	static const enum env_fault places[] = { ENV_FAULT_WRITE, ENV_FAULT_SYNC,
						 ENV_FAULT_COMMIT };

	if (!s->faulty || below(s, 12) != 0)
		return;
	s->d.w.fault_at = places[below(s, ARRAY_LEN(places))];
	s->d.w.fault_error = below(s, 2) ? EIO : ENOSPC;
	s->d.w.fault_in = 1 + below(s, 2);
	s->faults++;
}

static void crash(struct sim *s)
{
	s->d.w.fault_in = 0;
	desk_restart(&s->d);
	s->crashes++;
}

static void after_write(struct sim *s)
{
	s->d.w.fault_in = 0;
	if (store_is_broken(s->d.w.store))
		crash(s);
}

/* --- Mail comes in --- */

static void arrive(struct sim *s)
{
	struct promise *p = &s->promises[s->promises_n];
	struct desk_mail m;

	if (s->promises_n == MESSAGES)
		return;
	*p = (struct promise){ .null_sender = below(s, 5) == 0 };
	mail_new(&s->d, &m, p->null_sender ? "" : "alice@example.test");
	if ((p->here[0] = below(s, 2)))
		mail_to(&m, "alice+x@example.test", 0);
	if ((p->here[1] = below(s, 2)))
		mail_to(&m, "bob@example.test", 0);
	for (size_t i = 0; i < REMOTES; i++) {
		if ((p->there[i] = below(s, 3) == 0))
			mail_to(&m, remotes[i], 0);
	}
	if (m.envelope.recipients_n == 0)
		return;
	p->message = m.arrival.id;
	plan_fault(s);
	if (mail_commit(&s->d, &m) == NULL) /* acknowledged: now it counts */
		s->promises_n++;
	after_write(s);
}

/* --- Peers --- */

static size_t remote_number(str address)
{
	for (size_t i = 0; i < REMOTES; i++) {
		if (str_eq(address, str_cstr(remotes[i])))
			return i;
	}
	fail_msg("unknown recipient %.*s", STR_ARG(address));
	return 0;
}

static void mda_report(struct sim *s, const struct job *job)
{
	struct promise *p = promise_of(s, job->message);

	if (desk_dsn(&s->d, job->id, s->peer, true) || job->kind == JOB_DSN_DELAY)
		return;
	s->reports++;
	for (size_t i = 0; p && i < job->entries_n; i++)
		p->reported[remote_number(job->entries[i].address)] = true;
}

static void mda_turn(struct sim *s)
{
	size_t n = desk_take(&s->d, LANE_MDA, s->peer, 1 + below(&*s, 4));
	struct schedule_job taken[OFFICE_JOBS_MAX];

	memcpy(taken, s->d.taken, sizeof taken);
	for (size_t i = 0; i < n; i++) {
		u64 generation = s->crashes;
		struct job job;
		if (desk_read(&s->d, &taken[i], &job))
			continue;
		if (below(s, 20) == 0) { /* dies with all it holds */
			queue_peer_gone(s->d.queue, s->peer++);
			return;
		}
		plan_fault(s);
		if (job.kind != JOB_DELIVER)
			mda_report(s, &job);
		else if (desk_deliver(&s->d, job.id, s->peer) == NULL)
			s->delivered++;
		after_write(s);
		if (generation != s->crashes)
			return;
	}
}

/* The ledger of the other side: what it said yes to, it has. */
static enum attempt_outcome remote_answer(struct sim *s, const struct job *job)
{
	struct promise *p = promise_of(s, job->message);
	u64 dice = below(s, 10);

	if (dice < 5) {
		for (size_t i = 0; p && i < job->entries_n; i++)
			p->relayed[remote_number(job->entries[i].address)]++;
		return ATTEMPT_DELIVERED;
	}
	return dice < 8 ? ATTEMPT_TEMP : dice < 9 ? ATTEMPT_BUSY : ATTEMPT_PERM;
}

/* No second attempt before the first wait is over, but for busy sites and restarts. */
static void check_pace(struct sim *s, const struct job *job, enum attempt_outcome outcome)
{
	size_t i = remote_number(job->entries[0].address);
	u64 now = s->d.w.clock;

	if (s->tried_message[i] == job->message && job->attempts)
		assert_true(now + 1000 >= s->last_try[i] + s->d.policy.retry_first * 3 / 4);
	assert_true(job->attempts < 200);
	s->tried_message[i] = outcome == ATTEMPT_TEMP ? job->message : 0;
	s->last_try[i] = now;
}

static void relay_turn(struct sim *s)
{
	enum attempt_outcome outcome;
	struct job job;

	if (desk_take(&s->d, LANE_RELAY, s->peer, 1) == 0 || desk_read(&s->d, &s->d.taken[0], &job))
		return;
	outcome = remote_answer(s, &job);
	check_pace(s, &job, outcome);
	if (below(s, 20) == 0) { /* dies between the other's 250 and our commit */
		s->tried_message[remote_number(job.entries[0].address)] = 0;
		queue_peer_gone(s->d.queue, s->peer++);
		return;
	}
	plan_fault(s);
	if (desk_attempt(&s->d, &job, s->peer, outcome,
			 outcome == ATTEMPT_PERM ? "5.1.1" : "4.4.1"))
		s->tried_message[remote_number(job.entries[0].address)] = 0;
	else
		s->relays++;
	after_write(s);
}

static void step(struct sim *s)
{
	switch (below(s, 12)) {
	case 0:
	case 1:
		arrive(s);
		return;
	case 2:
		crash(s);
		return;
	case 3:
		s->d.w.clock += below(s, 600000);
		return;
	case 4:
	case 5:
	case 6:
		relay_turn(s);
		return;
	default:
		mda_turn(s);
	}
}

/* --- The end --- */

/* Poison that was none: the administrator lets it go. (A disk that was full a moment ago may still say no.) */
static void release_all(struct sim *s)
{
	struct desk_call c = { .action = QUEUE_RELEASE };

	(void)desk_write(&s->d, 0, 0, change_call, &c);
}

static void drain(struct sim *s)
{
	s->faulty = false;
	for (size_t i = 0; i < 5000; i++) {
		if (desk_number(&s->d, ask_queued, 0, 0) == 0)
			return;
		release_all(s);
		mda_turn(s);
		relay_turn(s);
		s->d.w.clock += 60000;
	}
	fail_msg("the queue did not become empty");
}

static void check_promise(struct sim *s, const struct promise *p)
{
	for (u64 i = 0; i < 2; i++)
		assert_int_equal(desk_number(&s->d, ask_placed, i + 1, p->message), p->here[i]);
	for (size_t i = 0; i < REMOTES; i++) {
		bool told = p->reported[i] ||
			    (p->null_sender && desk_has_event(&s->d, p->message, EVENT_DSN_NONE));
		if (p->there[i])
			assert_true(p->relayed[i] || told);
		else
			assert_false(p->relayed[i] || p->reported[i]);
	}
}

static void run_seed(u64 seed)
{
	struct sim *s = test_calloc(1, sizeof *s);

	desk_new(&s->d);
	s->chance = s->d.w.seed = seed * 7919;
	s->peer = 1000;
	s->faulty = true;
	for (size_t i = 0; i < STEPS; i++) {
		step(s);
		schedule_check(s->d.queue->schedule);
	}
	drain(s);
	for (size_t i = 0; i < s->promises_n; i++)
		check_promise(s, &s->promises[i]);
	print_message("seed %llu: %zu messages, %u crashes, %u faults, %u delivered, %u relayed,"
		      " %u reports\n",
		      (unsigned long long)seed, s->promises_n, s->crashes, s->faults, s->delivered,
		      s->relays, s->reports);
	desk_free(&s->d);
	test_free(s);
}

static u64 seeds_n = SEEDS, seed_first = 1;

static void test_seeds(void **state)
{
	(void)state;
	for (u64 seed = seed_first; seed < seed_first + seeds_n; seed++)
		run_seed(seed);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_seeds) };

	if (argc > 1 && !str_u64(str_cstr(argv[1]), &seeds_n))
		return 2;
	if (argc > 2 && !str_u64(str_cstr(argv[2]), &seed_first))
		return 2;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
