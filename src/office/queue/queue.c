/* The queue's state in memory: schedule, waiters, leases; see queue.h. */
#include "office/queue/queue_int.h"

#include <time.h>

#include "base/check.h"
#include "base/log.h"

static void lock(struct queue *q)
{
	CHECK_MAGIC(q, QUEUE_MAGIC);
	CHECK(pthread_mutex_lock(&q->lock) == 0);
}

static void unlock_queue(struct queue *q)
{
	CHECK(pthread_mutex_unlock(&q->lock) == 0);
}

struct queue *queue_new(const struct queue_options *o)
{
	struct arena *a = arena_new(1 << 26);
	struct queue *q = arena_new_of(a, struct queue);

	q->magic = QUEUE_MAGIC;
	q->arena = a;
	q->store = o->store;
	q->directory = o->directory;
	q->env = store_env(o->store);
	q->options = *o;
	q->schedule = schedule_new(q->env, o->per_site, o->deliveries);
	table_init(&q->leases, a, q->env);
	CHECK(pthread_mutex_init(&q->lock, NULL) == 0);
	env_condition_init(&q->wake);
	return q;
}

static void leases_free(struct queue *q)
{
	for (size_t i = 0; i < q->leases.slots_n; i++) {
		for (struct table_node *node = q->leases.slots[i], *next; node; node = next) {
			struct arena *a = table_object(node, struct lease, by_job)->arena;
			next = node->next;
			arena_free(&a);
		}
	}
}

void queue_free(struct queue **q)
{
	struct arena *a;

	if (*q == NULL)
		return;
	CHECK_MAGIC(*q, QUEUE_MAGIC);
	leases_free(*q);
	schedule_free(&(*q)->schedule);
	pthread_cond_destroy(&(*q)->wake);
	pthread_mutex_destroy(&(*q)->lock);
	(*q)->magic = 0;
	a = (*q)->arena;
	arena_free(&a);
	*q = NULL;
}

void queue_configure(struct queue *q, const struct queue_options *o)
{
	lock(q);
	q->options = *o;
	schedule_limits(q->schedule, o->per_site, o->deliveries);
	unlock_queue(q);
}

struct queue_options queue_options_get(struct queue *q)
{
	struct queue_options o;

	lock(q);
	o = q->options;
	unlock_queue(q);
	return o;
}

bool queue_find(struct queue *q, u64 job, struct schedule_job *out)
{
	bool found;

	lock(q);
	found = schedule_find(q->schedule, job, out);
	unlock_queue(q);
	return found;
}

/* --- Start ------------------------------------------------------------------------------------------------- */

struct loading {
	struct queue *queue;
	u64 job; /* the last one added: its entries stand together */
};

static void load_entry(void *context, const struct queue_entry *e)
{
	struct loading *l = context;
	struct schedule *s = l->queue->schedule;
	struct store *store = l->queue->store;
	u64 now = env_now(l->queue->env), most = now + l->queue->options.policy.retry_most * 2;
	struct schedule_job same;
	u8 account[8];

	if (e->status == QUEUE_DSN_DUE)
		schedule_add_dsn(s, store_id_now(store), e->message, JOB_DSN_FAILURE, now);
	if (e->report == REPORT_DELAY)
		schedule_add_dsn(s, store_id_now(store), e->message, JOB_DSN_DELAY, now);
	if (e->status == QUEUE_DSN_DUE || e->job == l->job)
		return;
	l->job = e->job;
	if (schedule_find(s, e->job, &same)) { /* of another message: not a row of ours */
		LOG(ERROR, "queue.damaged", LOG_ID("message", e->message), LOG_ID("job", e->job));
		return;
	}
	for (size_t i = 0; i < sizeof account; i++)
		account[i] = (u8)(e->account >> 8 * i);
	schedule_add(s,
		     &(struct schedule_job){
			 .id = e->job,
			 .message = e->message,
			 /* Later than any wait: written before the clock was set back. */
			 .due = e->next_attempt < most ? e->next_attempt : now,
			 .kind = e->kind,
			 .state = e->status == QUEUE_HELD ? JOB_HELD : JOB_WAITING,
			 .attempts = e->attempts },
		     e->kind == JOB_DELIVER ? str_from(account, sizeof account) : e->domain);
}

const struct fail *queue_load(struct queue *q, struct arena *a)
{
	struct loading loading = { .queue = q };
	const struct fail *f;
	struct tx t;

	TRY(store_read_begin(q->store, a, &t));
	f = store_queue_load(&t, &loading, load_entry);
	store_read_end(&t);
	return f;
}

/* --- Changes ----------------------------------------------------------------------------------------------- */

void queue_changes_init(struct queue_changes *c, struct arena *a)
{
	c->arena = a;
	c->first = NULL;
	c->last = &c->first;
}

void queue_change_add(struct queue_changes *c, enum queue_change_kind kind,
		      const struct schedule_job *job, str site)
{
	struct queue_change *change = arena_new_of(c->arena, struct queue_change);

	*change = (struct queue_change){ .kind = kind, .job = *job, .site = site };
	*c->last = change;
	c->last = &change->next;
}

static void add_dsn(struct queue *q, const struct schedule_job *job)
{
	u64 now = env_now(q->env);
	bool more = schedule_unsettled(q->schedule, job->message) > 0;

	schedule_add_dsn(q->schedule, store_id_now(q->store), job->message, job->kind,
			 more ? now + QUEUE_GATHER_MS : now);
}

static void apply(struct queue *q, const struct queue_change *change)
{
	const struct schedule_job *job = &change->job;
	struct schedule *s = q->schedule;

	switch (change->kind) {
	case CHANGE_ADD:
		schedule_add(s, job, change->site);
		return;
	case CHANGE_ADD_DSN:
		add_dsn(q, job);
		return;
	case CHANGE_FINISH:
		queue_lease_end(q, job->id);
		schedule_finish(s, job->id);
		return;
	case CHANGE_AGAIN:
		schedule_again(s, job->id, job->due, job->attempts);
		schedule_move(s, job->id, change->site);
		return;
	case CHANGE_BUSY:
		schedule_busy(s, job->id, change->site);
		return;
	case CHANGE_RETRY:
		schedule_retry(s, job->id, job->due);
		return;
	case CHANGE_HOLD:
		schedule_hold(s, job->id);
		return;
	case CHANGE_RELEASE:
		schedule_release(s, job->id, job->due);
		return;
	case CHANGE_DROP:
		schedule_drop(s, job->id);
		return;
	}
}

/* The clock sleeps too long for what is due next. What is due already waits for a peer, not for the clock. The lock is held. */
static void wake_clock(struct queue *q)
{
	u64 due = schedule_next_due(q->schedule);

	if (due < q->sleeps_until && due > env_now(q->env))
		CHECK(pthread_cond_signal(&q->wake) == 0);
}

/* --- Handing out ------------------------------------------------------------------------------------------- */

static bool serve_waiter(struct queue *q, struct queue_waiter *w)
{
	struct schedule_job jobs[OFFICE_JOBS_MAX];
	size_t max = w->max < OFFICE_JOBS_MAX ? w->max : OFFICE_JOBS_MAX;
	size_t n = schedule_take(q->schedule, w->lane, w->peer, max ? max : 1, jobs);

	if (n)
		w->give(w, jobs, n);
	return n > 0;
}

/* First come, first served; a waiter that gets nothing stays. The lock is held. */
static void pump(struct queue *q)
{
	for (size_t lane = 0; lane < LANES; lane++) {
		struct queue_waiter **at = &q->waiters[lane];
		while (*at) {
			struct queue_waiter *w = *at, *next = w->next;
			if (serve_waiter(q, w))
				*at = next;
			else
				at = &w->next;
		}
	}
}

void queue_apply(struct queue *q, const struct queue_changes *c)
{
	lock(q);
	for (const struct queue_change *change = c->first; change; change = change->next)
		apply(q, change);
	pump(q);
	wake_clock(q);
	unlock_queue(q);
}

void queue_wait(struct queue *q, struct queue_waiter *w)
{
	struct queue_waiter **at;

	lock(q);
	for (at = &q->waiters[w->lane]; *at; at = &(*at)->next)
		;
	w->next = NULL;
	*at = w;
	if (q->stopping) {
		*at = NULL;
		w->give(w, NULL, 0);
	}
	pump(q);
	unlock_queue(q);
}

const struct fail *queue_job_message(struct queue *q, struct arena *a, u64 job, u64 peer,
				     u64 *message)
{
	struct schedule_job held;
	bool holds;

	lock(q);
	holds = schedule_holds(q->schedule, job, peer, &held);
	unlock_queue(q);
	if (!holds)
		return fail_new(a, FAIL_DENIED, "this job is not in your hands");
	*message = held.message;
	return NULL;
}

const struct fail *queue_settle(struct queue *q, struct arena *a, u64 job, u64 peer)
{
	bool holds;

	lock(q);
	holds = schedule_settle(q->schedule, job, peer);
	unlock_queue(q);
	return holds ? NULL : fail_new(a, FAIL_DENIED, "this job is not in your hands");
}

void queue_set_aside(struct queue *q, u64 id, u64 peer)
{
	struct schedule_job job;

	lock(q);
	if (schedule_holds(q->schedule, id, peer, &job) && schedule_settle(q->schedule, id, peer)) {
		schedule_unread(q->schedule, id);
		wake_clock(q);
		LOG(ERROR, "queue.damaged", LOG_ID("message", job.message), LOG_ID("job", id));
	}
	unlock_queue(q);
}

void queue_put_back(struct queue *q, u64 id, u64 peer)
{
	struct schedule_job job;

	lock(q);
	if (schedule_holds(q->schedule, id, peer, &job) && schedule_settle(q->schedule, id, peer)) {
		schedule_again(q->schedule, id, env_now(q->env), job.attempts);
		pump(q);
	}
	unlock_queue(q);
}

void queue_give_back(struct queue *q, u64 id)
{
	struct schedule_job job;
	u64 wait;

	lock(q);
	if (schedule_find(q->schedule, id, &job)) {
		u32 more =
		    job.kind == JOB_RELAY ? 0 : 1; /* a relay's attempts are those of its rows */
		u32 doubled = job.attempts < QUEUE_BUSY_DOUBLED ? job.attempts : QUEUE_BUSY_DOUBLED;
		wait = (u64)QUEUE_BUSY_MS << (more ? doubled : 0);
		wait += env_random_below(q->env, wait);
		schedule_again(q->schedule, id, env_now(q->env) + wait, job.attempts + more);
	}
	wake_clock(q);
	unlock_queue(q);
}

/* --- Leases of DSN jobs ------------------------------------------------------------------------------------- */

static struct lease *lease_find(struct queue *q, u64 job)
{
	struct table_node *node = table_first(&q->leases, table_hash_u64(&q->leases, job));

	for (; node; node = table_next(node)) {
		struct lease *lease = table_object(node, struct lease, by_job);
		if (lease->job == job)
			return lease;
	}
	return NULL;
}

void queue_lease_end(struct queue *q, u64 job)
{
	struct lease *lease = lease_find(q, job);
	struct arena *a;

	if (lease == NULL)
		return;
	table_remove(&q->leases, &lease->by_job);
	a = lease->arena;
	arena_free(&a);
}

bool queue_lease(struct queue *q, u64 job, u64 peer, const struct queue_entry *entries, size_t n)
{
	struct arena *a = arena_new(1 << 20);
	struct lease *lease = arena_new_of(a, struct lease);
	bool holds;

	lease->arena = a;
	lease->job = job;
	lease->entries = arena_array_of(a, n, u64);
	lease->n = n;
	for (size_t i = 0; i < n; i++)
		lease->entries[i] = entries[i].id;
	lock(q);
	holds = schedule_holds(q->schedule, job, peer, NULL);
	if (holds) {
		queue_lease_end(q, job);
		table_add(&q->leases, &lease->by_job, table_hash_u64(&q->leases, job));
	}
	unlock_queue(q);
	if (!holds)
		arena_free(&a);
	return holds;
}

void queue_forget(struct queue *q, u64 job, u64 peer)
{
	lock(q);
	if (schedule_holds(q->schedule, job, peer, NULL)) {
		queue_lease_end(q, job);
		schedule_finish(q->schedule, job);
		pump(q);
		wake_clock(q);
	}
	unlock_queue(q);
}

bool queue_lease_has(struct queue *q, u64 job, u64 entry)
{
	const struct lease *lease;
	bool has = false;

	lock(q);
	lease = lease_find(q, job);
	for (size_t i = 0; lease && i < lease->n && !has; i++)
		has = lease->entries[i] == entry;
	unlock_queue(q);
	return has;
}

/* --- A peer dies ------------------------------------------------------------------------------------------- */

struct poison_job {
	struct write_job job;
	struct queue *queue;
	struct schedule_job held;
};

static const struct fail *poison_run(struct tx *t, struct write_job *job)
{
	struct poison_job *p = (struct poison_job *)(void *)job;
	struct queue_job_key key = { .message = p->held.message, .job = p->held.id };
	struct event_args args = event_args_new(t->arena);

	event_args_u64(&args, "deaths", SCHEDULE_DEATHS);
	TRY(store_queue_set_status(t, &key, QUEUE_HELD, t->now));
	return store_event_add(t, key.message, S("queue"), EVENT_POISON, event_args_end(&args));
}

static void poison_done(struct write_job *job, const struct fail *f)
{
	struct arena *a = job->arena;
	struct poison_job *p = (struct poison_job *)(void *)job;
	struct queue *q = p->queue;

	LOG(WARN, "queue.poison", LOG_ID("message", p->held.message), LOG_FAIL("why", f));
	/* Its rows do not say so (those of a report never do), and nobody could release it: due again, much later. */
	if (f || p->held.kind == JOB_DSN_FAILURE || p->held.kind == JOB_DSN_DELAY) {
		lock(q);
		schedule_release(q->schedule, p->held.id,
				 env_now(q->env) + q->options.policy.retry_first);
		unlock_queue(q);
	}
	arena_free(&a);
}

/* Its rows follow the schedule, which holds it already. */
static void poison_note(struct queue *q, u64 id)
{
	struct arena *a = arena_new(1 << 20);
	struct poison_job *p = arena_new_of(a, struct poison_job);

	p->job = (struct write_job){ .run = poison_run, .done = poison_done, .arena = a };
	p->queue = q;
	if (queue_find(q, id, &p->held))
		writer_submit(q->store, &p->job);
	else
		arena_free(&a);
}

static void waiters_give_up(struct queue *q, u64 peer, bool all)
{
	for (size_t lane = 0; lane < LANES; lane++) {
		struct queue_waiter **at = &q->waiters[lane];
		while (*at) {
			struct queue_waiter *w = *at, *next = w->next;
			if (all || w->peer == peer) {
				*at = next;
				w->give(w, NULL, 0);
			} else {
				at = &w->next;
			}
		}
	}
}

void queue_peer_gone(struct queue *q, u64 peer)
{
	u64 poisoned[OFFICE_JOBS_MAX];
	size_t n;

	do {
		lock(q);
		waiters_give_up(q, peer, false);
		n = schedule_peer_gone(q->schedule, peer, poisoned, OFFICE_JOBS_MAX);
		pump(q);
		CHECK(pthread_cond_signal(&q->wake) == 0);
		unlock_queue(q);
		for (size_t i = 0; i < n; i++)
			poison_note(q, poisoned[i]);
	} while (n);
}

void queue_peer_leaves(struct queue *q, u64 peer)
{
	lock(q);
	waiters_give_up(q, peer, false);
	schedule_peer_leaves(q->schedule, peer);
	pump(q);
	CHECK(pthread_cond_signal(&q->wake) == 0);
	unlock_queue(q);
}

/* --- The clock --------------------------------------------------------------------------------------------- */

u64 queue_pump(struct queue *q)
{
	u64 due;

	lock(q);
	pump(q);
	due = schedule_next_due(q->schedule);
	unlock_queue(q);
	return due;
}

static void sleep_until(struct queue *q, u64 ms)
{
	struct timespec t;

	CHECK(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
	t.tv_sec += (time_t)(ms / 1000);
	t.tv_nsec += (long)(ms % 1000) * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	(void)pthread_cond_timedwait(&q->wake, &q->lock,
				     &t); /* early or late: the loop looks again */
}

/* Set forward, everything is due sooner, which does no harm. Set back, it would wait for as long again. Only the clock's own thread looks: what
 * is scheduled after the setting and before its look (QUEUE_CLOCK_MS) is tried once too soon; were each scheduling to look, what was reckoned
 * before the setting and said after it would be late by all of it. */
static void mind_clock(struct queue *q, u64 now)
{
	u64 monotonic = env_monotonic(q->env);
	u64 should = q->clock_now + (monotonic - q->clock_monotonic);

	if (q->clock_now && now + QUEUE_CLOCK_MS < should) {
		LOG(WARN, "queue.clock_set_back", LOG_U64("ms", should - now));
		schedule_set_back(q->schedule, should - now);
	}
	q->clock_now = now;
	q->clock_monotonic = monotonic;
}

/* An mda that stands still has had its time: as if it had died. What it says later is not about a job that it holds. */
static void end_leases(struct queue *q)
{
	u64 peer;

	while (schedule_overdue(q->schedule, LANE_MDA, QUEUE_LEASE_MS, &peer)) {
		LOG(ERROR, "queue.lease_over", LOG_U64("peer", peer));
		unlock_queue(q);
		queue_peer_gone(q, peer);
		lock(q);
	}
}

void queue_run(struct queue *q)
{
	lock(q);
	while (!q->stopping) {
		u64 due, now, wait = QUEUE_CLOCK_MS;
		end_leases(q);
		now = env_now(q->env);
		mind_clock(q, now);
		pump(q);
		due = schedule_next_due(q->schedule);
		if (due != UINT64_MAX && due > now && due - now < wait)
			wait = due - now;
		q->sleeps_until = now + wait;
		sleep_until(q, wait);
		q->sleeps_until = 0;
	}
	unlock_queue(q);
}

void queue_stop(struct queue *q)
{
	lock(q);
	q->stopping = true;
	waiters_give_up(q, 0, true);
	CHECK(pthread_cond_signal(&q->wake) == 0);
	unlock_queue(q);
}
