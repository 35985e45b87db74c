/*
 * The mda process. Two threads pull mail, a third DMARC reports; a pull brings up to MDA_BATCH jobs, and all plain deliveries of a batch go back in one
 * call, which the office commits at once.
 */
#include "mda/mda.h"

#include <pthread.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/log.h"
#include "mda/dmarc.h"
#include "report/tlsrpt.h"
#include "serve/process.h"

struct mda {
	struct process *process;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool stopping;
	_Atomic(const struct config *) config;
};

/* Said already, with its reasons; the office has the job and gives it out again. */
static const struct fail not_taken = FAIL_STATIC(UNAVAILABLE, "the report could not be taken");

struct delivery mda_decide(const struct job *job)
{
	return (struct delivery){ .job = job->id,
				  .special = job->junk ? SPECIAL_JUNK : SPECIAL_INBOX };
}

/* In an arena of its own: a report may be large once it is unpacked. */
static const struct fail *incoming_one(struct mda *m, const struct job *job, bool *taken)
{
	const struct config *c = atomic_load(&m->config);
	const struct fail *f;
	struct arena *a;

	*taken = false;
	if (!mda_may_be_report(c, job))
		return NULL;
	a = arena_new(MDA_REPORT_ARENA);
	f = mda_incoming(a, m->process->office, c, job, taken);
	if (f)
		LOG(WARN, "mda.report_not_taken", LOG_ID("message", job->message),
		    LOG_FAIL("why", f));
	if (f)
		f = &not_taken;
	arena_free(&a);
	return f;
}

static const struct fail *deliver_all(struct mda *m, struct arena *a, const struct job *jobs,
				      size_t n)
{
	struct delivery *deliveries = arena_array_of(a, n, struct delivery);
	struct office_deliver_request q = { .deliveries = deliveries };
	struct office_deliver_answer r;

	for (size_t i = 0; i < n; i++) {
		bool taken;
		if (jobs[i].kind != JOB_DELIVER || incoming_one(m, &jobs[i], &taken) || taken)
			continue;
		deliveries[q.deliveries_n++] = mda_decide(&jobs[i]);
	}
	return q.deliveries_n ? office_deliver(a, m->process->office, &q, &r) : NULL;
}

/* What fails is said; the job comes again when this process or its connection ends. */
static void reports_all(struct mda *m, const struct job *jobs, size_t n)
{
	const struct mda_servers to = { .office = m->process->office, .sign = m->process->sign };
	const struct fail *f = NULL;

	for (size_t i = 0; i < n && !mda_office_is_away(f); i++) {
		struct arena *a;
		if (jobs[i].kind != JOB_DSN_FAILURE && jobs[i].kind != JOB_DSN_DELAY)
			continue;
		a = arena_new(MDA_ARENA);
		f = mda_report(a, &to, atomic_load(&m->config), &jobs[i]);
		if (f)
			LOG(WARN, "mda.report_failed", LOG_ID("message", jobs[i].message),
			    LOG_FAIL("why", f));
		arena_free(&a);
	}
}

static const struct fail *batch(struct mda *m, struct arena *a)
{
	struct office_next_job_request q = { .max = MDA_BATCH };
	struct office_next_job_answer r;
	const struct fail *f;

	TRY(office_next_job(a, m->process->office, &q, &r));
	f = deliver_all(m, a, r.jobs, r.jobs_n);
	reports_all(m, r.jobs, r.jobs_n); /* whatever became of the others: they are in our hands */
	return f;
}

/* Holds a job only while the call for it is under way, so it may end at any point. */
static void *pull(void *context)
{
	struct mda *m = context;
	struct arena *a = arena_new(MDA_ARENA);

	while (!m->process->stopping) {
		const struct fail *f = batch(m, a);
		if (f) {
			LOG(INFO, "mda.office_away", LOG_FAIL("why", f));
			usleep(MDA_PAUSE_MS * 1000);
		}
		arena_reset(a);
	}
	arena_free(&a);
	return NULL;
}

static const struct config *config_now(void *context)
{
	return atomic_load(&((struct mda *)context)->config);
}

static bool is_stopping(void *context)
{
	return ((struct mda *)context)->process->stopping;
}

static void *pull_dmarc(void *context)
{
	struct mda *m = context;
	const struct dmarc_puller p = { .office = m->process->office,
					.sign = m->process->sign,
					.relay = m->process->relay,
					.config = config_now,
					.stopping = is_stopping,
					.context = m };

	dmarc_pull(&p);
	return NULL;
}

static void reload(struct process *p, const struct config *config)
{
	atomic_store(&((struct mda *)p->state)->config, config);
}

static void stop(struct process *p)
{
	struct mda *m = p->state;

	pthread_mutex_lock(&m->lock);
	m->stopping = true;
	pthread_cond_signal(&m->changed);
	pthread_mutex_unlock(&m->lock);
}

const struct fail *mda_before_jail(struct process *p)
{
	struct mda *m = arena_new_of(p->arena, struct mda);

	tlsrpt_before_jail();
	m->process = p;
	atomic_store(&m->config, p->config);
	CHECK(pthread_mutex_init(&m->lock, NULL) == 0 && pthread_cond_init(&m->changed, NULL) == 0);
	p->state = m;
	return NULL;
}

const struct fail *mda_after_jail(struct process *p)
{
	struct mda *m = p->state;

	p->reload = reload;
	p->stop = stop;
	for (size_t i = 0; i <= MDA_THREADS; i++) {
		pthread_t thread;
		if (pthread_create(&thread, NULL, i < MDA_THREADS ? pull : pull_dmarc, m) != 0)
			return fail_new(p->arena, FAIL_LIMIT, "mda: no thread could be started");
		pthread_detach(thread);
	}
	process_ready(p);
	pthread_mutex_lock(&m->lock);
	while (!m->stopping)
		pthread_cond_wait(&m->changed, &m->lock);
	pthread_mutex_unlock(&m->lock);
	return NULL; /* the threads end with the process: what they hold, the office hands out again */
}
