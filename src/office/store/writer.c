#include "office/store/writer.h"

#include <time.h>

#include "base/check.h"
#include "base/env.h"
#include "base/log.h"
#include "office/store/schema.h"
#include "office/store/store_int.h"

enum { SCRATCH = 1 << 20 };

static const struct fail no_space = FAIL_STATIC(STORAGE, "no storage available, try again later");
static const struct fail is_busy = FAIL_STATIC(UNAVAILABLE, "the mail store is busy, try again");
static const struct fail is_broken = FAIL_STATIC(UNAVAILABLE, "the mail store is restarting");

void writer_make(struct store *s)
{
	struct writer *w = &s->writer;

	CHECK(pthread_mutex_init(&w->lock, NULL) == 0);
	env_condition_init(&w->wake);
	w->last = &w->first;
	w->scratch = arena_new(SCRATCH);
	buf_init(&w->changed, STORE_CHANGED_BYTES);
}

void writer_free(struct store *s)
{
	struct writer *w = &s->writer;

	CHECK(!w->running && w->first == NULL);
	arena_free(&w->scratch);
	buf_free(&w->changed);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
}

/* --- What a job tells --- */

void store_tx_changed(struct tx *t, u64 account, u64 mailbox, u64 modseq)
{
	struct changed c = { account, mailbox, modseq };

	CHECK(t->writes);
	buf_add(&t->store->writer.changed, str_from(&c, sizeof c));
}

static bool same_again(const struct changed *c, const struct changed *end)
{
	for (const struct changed *later = c + 1; later < end; later++)
		if (later->account == c->account && later->mailbox == c->mailbox)
			return true;
	return false;
}

static void tell_changed(struct store *s)
{
	/* buf's memory comes from malloc: aligned for any type. */
	const struct changed *c = (const void *)s->writer.changed.p;
	const struct changed *end = c + s->writer.changed.n / sizeof *c;

	for (; c < end && s->options.changed; c++)
		if (!same_again(c, end))
			s->options.changed(s->options.context, c->account, c->mailbox, c->modseq);
	buf_reset(&s->writer.changed);
}

static void tell_done(struct write_job *job)
{
	while (job) {
		struct write_job *next = job->next;
		job->done(job, job->failed);
		job = next;
	}
}

/* --- One batch --- */

/* Undone alone. False: SQLite undid the whole transaction, or cannot undo. */
static bool undo_job(struct store *s, struct place mark, size_t changed)
{
	if (!sql_in_transaction(s->db))
		return false;
	segments_rewind(s->segments, mark);
	s->writer.changed.n = changed;
	s->writer.changed.full = false;
	return SQL_RUN0(s->writer.scratch, s->db, "ROLLBACK TO job") == NULL &&
	       SQL_RUN0(s->writer.scratch, s->db, "RELEASE job") == NULL;
}

static const struct fail *run_job(struct store *s, struct write_job *job, u64 now)
{
	struct tx t = { .store = s, .db = s->db, .arena = job->arena, .now = now, .writes = true };

	return job->run(&t, job);
}

/* A fail of the batch; what only the job did wrong goes to job->failed. */
static const struct fail *run_apart(struct store *s, struct write_job *job, u64 now)
{
	struct place mark = segments_end(s->segments);
	size_t changed = s->writer.changed.n;
	const struct fail *f;

	TRY(SQL_RUN0(s->writer.scratch, s->db, "SAVEPOINT job"));
	f = run_job(s, job, now);
	if (f == NULL)
		return SQL_RUN0(s->writer.scratch, s->db, "RELEASE job");
	if (!undo_job(s, mark, changed) || f->what == FAIL_STORAGE)
		return f;
	job->failed = f;
	return NULL;
}

/* The jobs behind this one wait for the next batch, as the first of it. */
static void end_batch(struct writer *w, struct write_job *last)
{
	struct write_job *rest = last->next, *end = rest;
	u32 n = 1;

	if (rest == NULL)
		return;
	last->next = NULL;
	for (; end->next; end = end->next)
		n++;
	CHECK(pthread_mutex_lock(&w->lock) == 0);
	end->next = w->first;
	if (w->first == NULL)
		w->last = &end->next;
	w->first = rest;
	w->waiting += n;
	w->taken -= n;
	CHECK(pthread_mutex_unlock(&w->lock) == 0);
}

static const struct fail *run_jobs(struct store *s, struct write_job *jobs, u64 now, bool apart)
{
	const struct fail *f = SQL_RUN0(s->writer.scratch, s->db, "BEGIN IMMEDIATE");
	u64 before = segments_pending(s->segments); /* notes that wait for somebody's sync */

	for (struct write_job *job = jobs; job && !f; job = job->next) {
		if (!job->failed)
			f = apart ? run_apart(s, job, now) : run_job(s, job, now);
		if (!f && segments_pending(s->segments) - before >= WRITER_BATCH_BYTES)
			end_batch(&s->writer, job);
	}
	return f;
}

/* The ids in this commit are never given again. In steps of some time, so that not every commit writes the row. */
static const struct fail *keep_ids(struct store *s, u64 *kept)
{
	u64 last;

	CHECK(pthread_mutex_lock(&s->ids_lock) == 0);
	last = s->ids.last;
	CHECK(pthread_mutex_unlock(&s->ids_lock) == 0);
	*kept = s->ids_kept;
	if (last <= *kept)
		return NULL;
	*kept = id_later(last, WRITER_IDS_MS);
	return meta_set(s->writer.scratch, s->db, "ids", *kept);
}

static const struct fail *commit(struct store *s, bool lazy_too)
{
	struct arena *a = s->writer.scratch;
	struct place end;
	u64 kept;
	bool synced;
	int error;

	TRY(segments_sync(a, s->segments, lazy_too, &synced));
	end = segments_end(s->segments);
	if (synced)
		TRY(meta_set(a, s->db, "tail", (u64)end.segment << 32 | end.offset));
	TRY(keep_ids(s, &kept));
	error = env_fault(s->env, ENV_FAULT_COMMIT);
	if (error)
		return fail_errno(a, error, "committing");
	TRY(SQL_RUN0(a, s->db, "COMMIT"));
	s->ids_kept = kept;
	return NULL;
}

/* A full disk, or somebody else's lock on the database file: nothing is lost, the next batch may fare better. */
static bool is_passing(const struct fail *f)
{
	return f->what == FAIL_STORAGE || f->what == FAIL_BUSY;
}

/* The whole batch undone, in memory and in the database. */
static const struct fail *undo_jobs(struct store *s, struct place mark)
{
	buf_reset(&s->writer.changed);
	segments_rewind(s->segments, mark);
	return SQL_RUN0(s->writer.scratch, s->db, "ROLLBACK");
}

/* First all together: a savepoint costs SQLite a copy of each page that the job is the first to touch. When one of them fails, all are
 * undone and run again, each in a savepoint of its own. NULL: what did not fail alone is durable. Else nothing of the batch was kept. */
static const struct fail *attempt(struct store *s, struct write_job *jobs, bool lazy_too)
{
	struct arena *a = s->writer.scratch;
	struct place mark = segments_end(s->segments);
	u64 now = env_now(s->env);
	const struct fail *f = run_jobs(s, jobs, now, false);

	if (f && f->what != FAIL_STORAGE && sql_in_transaction(s->db)) {
		TRY(undo_jobs(s, mark));
		f = run_jobs(s, jobs, now, true);
	}
	if (f == NULL)
		f = commit(s, lazy_too);
	if (f == NULL)
		return NULL;
	buf_reset(&s->writer.changed);
	if (sql_in_transaction(s->db) && SQL_RUN0(a, s->db, "ROLLBACK"))
		return fail_new(a, FAIL_INTERNAL, "a transaction could not be undone");
	if (segments_end(s->segments).segment != mark.segment)
		return fail_new(a, FAIL_INTERNAL, "a commit failed after a new segment was begun");
	if (is_passing(f))
		segments_rewind(s->segments, mark);
	return f;
}

static void fail_all(struct write_job *jobs, const struct fail *f)
{
	for (; jobs; jobs = jobs->next)
		if (!jobs->failed)
			jobs->failed = f;
}

static void fail_all_but_frees(struct write_job *jobs)
{
	for (; jobs; jobs = jobs->next)
		if (!jobs->frees)
			jobs->failed = &no_space;
}

static void broke(struct store *s, struct write_job *jobs, const struct fail *why)
{
	LOG(ERROR, "store.broken", LOG_FAIL("why", why));
	atomic_store(&s->broken, true);
	fail_all(jobs, &is_broken);
	if (s->options.broken)
		s->options.broken(s->options.context, why);
}

static void check_reserve(struct store *s)
{
	struct writer *w = &s->writer;
	u64 now = env_monotonic(s->env);

	if (!w->full || now < w->reserve_retry)
		return;
	w->full = !store_reserve_make(s);
	w->reserve_retry = now + WRITER_RESERVE_RETRY_MS;
	if (!w->full)
		LOG(INFO, "store.space", LOG_U64("reserve", WRITER_RESERVE_BYTES));
}

static void run_batch(struct store *s, struct write_job *jobs)
{
	struct writer *w = &s->writer;
	const struct fail *f;

	if (atomic_load(&s->broken)) {
		fail_all(jobs, &is_broken);
		return;
	}
	check_reserve(s);
	if (w->full)
		fail_all_but_frees(jobs);
	f = attempt(s, jobs, false);
	if (f && f->what == FAIL_STORAGE) {
		LOG(ERROR, "store.full", LOG_FAIL("why", f));
		store_reserve_give_up(s);
		w->full = true;
		w->reserve_retry = env_monotonic(s->env) + WRITER_RESERVE_RETRY_MS;
		fail_all_but_frees(jobs);
		f = attempt(s, jobs, false);
	}
	if (f && is_passing(f))
		fail_all(jobs, f->what == FAIL_BUSY ? &is_busy : &no_space);
	else if (f)
		broke(s, jobs, f);
	else
		tell_changed(s);
}

/* After the answers, so that nobody waits for it. A failed sync in it is as bad as any other. */
static void checkpoint(struct store *s, enum sql_checkpoint mode)
{
	const struct fail *f = sql_checkpoint(s->writer.scratch, s->db, mode);

	if (f && !is_passing(f))
		broke(s, NULL, f);
}

static void keep_wal_short(struct store *s)
{
	u32 pages = sql_wal_pages(s->db);

	/* On a full disk the WAL's room is worth having back. */
	if (pages > 4 * WRITER_WAL_PAGES || (s->writer.full && pages > 0))
		checkpoint(s, SQL_CHECKPOINT_TRUNCATE);
	else if (pages > WRITER_WAL_PAGES)
		checkpoint(s, SQL_CHECKPOINT_PASSIVE);
}

/* Nothing to do for a while, or the end: notes that waited become durable, the WAL goes back to nothing. */
void writer_settle(struct store *s)
{
	const struct fail *f = NULL;

	if (s->segments == NULL || atomic_load(&s->broken))
		return;
	if (segments_pending(s->segments) > 0)
		f = attempt(s, NULL, true);
	if (f && !is_passing(f))
		broke(s, NULL, f);
	else if (sql_wal_pages(s->db) > 0)
		checkpoint(s, SQL_CHECKPOINT_TRUNCATE);
	arena_reset(s->writer.scratch);
}

static struct write_job *take(struct writer *w)
{
	struct write_job *jobs = w->first, *job = jobs;
	u32 n;

	if (job == NULL)
		return NULL;
	for (n = 1; job->next && n < WRITER_BATCH; n++)
		job = job->next;
	w->waiting -= n;
	w->taken = n;
	w->first = job->next;
	if (w->first == NULL)
		w->last = &w->first;
	job->next = NULL;
	return jobs;
}

bool writer_run_once(struct store *s)
{
	struct writer *w = &s->writer;
	struct write_job *jobs;

	CHECK(pthread_mutex_lock(&w->lock) == 0);
	jobs = take(w);
	CHECK(pthread_mutex_unlock(&w->lock) == 0);
	if (jobs == NULL)
		return false;
	run_batch(s, jobs);
	tell_done(jobs);
	if (!atomic_load(&s->broken))
		keep_wal_short(s);
	arena_reset(w->scratch);
	return true;
}

/* --- The thread --- */

void writer_submit(struct store *s, struct write_job *job)
{
	struct writer *w = &s->writer;

	CHECK_MAGIC(s, STORE_MAGIC);
	job->next = NULL;
	job->failed = NULL;
	CHECK(pthread_mutex_lock(&w->lock) == 0);
	*w->last = job;
	w->last = &job->next;
	w->waiting++;
	pthread_cond_signal(&w->wake);
	CHECK(pthread_mutex_unlock(&w->lock) == 0);
}

/* With the lock held. False: nothing came for WRITER_IDLE_MS. */
static bool wait_for_jobs(struct writer *w, bool timed)
{
	struct timespec until;
	int error = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += WRITER_IDLE_MS / 1000;
	while (w->first == NULL && !w->stopping && error == 0)
		error = timed ? pthread_cond_timedwait(&w->wake, &w->lock, &until)
			      : pthread_cond_wait(&w->wake, &w->lock);
	return error == 0;
}

/* With the lock held. Under load those who were just answered write again in a moment: one commit for all of them costs much less than one
 * for the first and one for the others. So as long as more come, up to as many as the last time, it waits for them. */
static void gather(struct writer *w)
{
	const struct timespec step = { .tv_nsec = WRITER_GATHER_NS };
	u32 before = 0;

	for (int i = 0; i < WRITER_GATHER_STEPS && w->taken >= WRITER_GATHER_FROM &&
			w->waiting > before && w->waiting < w->taken && !w->stopping;
	     i++) {
		before = w->waiting;
		CHECK(pthread_mutex_unlock(&w->lock) == 0);
		clock_nanosleep(CLOCK_MONOTONIC, 0, &step, NULL);
		CHECK(pthread_mutex_lock(&w->lock) == 0);
	}
}

static void *run(void *context)
{
	struct store *s = context;
	struct writer *w = &s->writer;
	bool stop = false, idle = false;

	while (!stop) {
		bool woken;

		CHECK(pthread_mutex_lock(&w->lock) == 0);
		woken = wait_for_jobs(w, !idle);
		gather(w);
		stop = w->stopping && w->first == NULL;
		CHECK(pthread_mutex_unlock(&w->lock) == 0);
		idle = !woken;
		if (idle)
			writer_settle(s);
		writer_run_once(s);
	}
	return NULL;
}

void writer_start(struct store *s)
{
	CHECK(!s->writer.running);
	s->writer.running = true;
	s->writer.stopping = false;
	CHECK(pthread_create(&s->writer.thread, NULL, run, s) == 0);
}

void writer_stop(struct store *s)
{
	struct writer *w = &s->writer;

	CHECK(w->running);
	CHECK(pthread_mutex_lock(&w->lock) == 0);
	w->stopping = true;
	pthread_cond_signal(&w->wake);
	CHECK(pthread_mutex_unlock(&w->lock) == 0);
	CHECK(pthread_join(w->thread, NULL) == 0);
	w->running = false;
}

/* --- Waiting for one job --- */

struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool done;
	struct arena *arena;
	const struct fail *f;
};

static void wake_waiter(struct write_job *job, const struct fail *f)
{
	struct waiter *w = job->waiter;

	CHECK(pthread_mutex_lock(&w->lock) == 0);
	w->done = true;
	if (f) /* the batch's own fails do not outlive it */
		w->f =
		    fail_code(w->arena, f->what, (const char *)f->code.p, "%.*s", STR_ARG(f->text));
	pthread_cond_signal(&w->wake);
	CHECK(pthread_mutex_unlock(&w->lock) == 0);
}

const struct fail *writer_do(struct store *s, struct write_job *job)
{
	struct waiter w = { .lock = PTHREAD_MUTEX_INITIALIZER,
			    .wake = PTHREAD_COND_INITIALIZER,
			    .arena = job->arena };

	job->done = wake_waiter;
	job->waiter = &w;
	writer_submit(s, job);
	while (!s->writer.running && !w.done)
		CHECK(writer_run_once(s));
	CHECK(pthread_mutex_lock(&w.lock) == 0);
	while (!w.done)
		pthread_cond_wait(&w.wake, &w.lock);
	CHECK(pthread_mutex_unlock(&w.lock) == 0);
	pthread_mutex_destroy(&w.lock);
	pthread_cond_destroy(&w.wake);
	return w.f;
}
