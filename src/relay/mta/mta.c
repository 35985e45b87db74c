#include "relay/mta/mta.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/env.h"
#include "base/fd.h"
#include "base/log.h"
#include "relay/mta/delivery.h"
#include "relay/mta/hand.h"

enum {
	MTA_MAGIC = 0x4D544131,
	MTA_PAUSE_MS = 500, /* before asking an office again that is not there */
};

struct mta {
	u32 magic;
	_Atomic(const struct config *) config;
	const struct mta_times *times;
	struct resolver *resolver;
	struct bus *office;
	struct sites *sites;
	struct idle *idle;
	struct hands *hands;
	struct tls_client contexts;
	str password;
	pthread_mutex_t lock; /* protects what follows */
	pthread_cond_t changed;
	u64 threads, waiting; /* all workers; those that wait for a job */
	bool stopping;
};

static void pause_ms(u64 ms)
{
	struct timespec t = { (time_t)(ms / 1000), (long)(ms % 1000) * 1000000 };

	nanosleep(&t, NULL);
}

/* --- One job -------------------------------------------------------------------------------------------------- */

static struct delivery_tools tools_of(const struct mta *m)
{
	return (struct delivery_tools){
		.config = atomic_load(&m->config),
		.times = m->times,
		.resolver = m->resolver,
		.sites = m->sites,
		.idle = m->idle,
		.contexts = &m->contexts,
		.password = m->password,
	};
}

static const struct fail *fetch(struct arena *a, struct mta *m, u64 job, str *message)
{
	struct office_job_message_request q = { .job = job };
	struct office_job_message_answer r;
	u64 n;

	TRY(office_job_message(a, m->office, &q, &r));
	if (__builtin_add_overflow(r.size, r.skeleton, &n))
		return fail_new(a, FAIL_CORRUPT, "a message of impossible size");
	TRY(fd_map(a, r.body, n, message));
	*message = str_slice(*message, 0, (size_t)r.size);
	return NULL;
}

/* Nobody looked at what was given out again: not now. An office whose question was answered already says that the job is not in our hands. */
static void put_off(struct arena *a, struct mta *m, const struct job *job)
{
	struct attempt_result *results = arena_array_of(a, job->entries_n, struct attempt_result);
	const struct office_attempt_done_request q = { .job = job->id,
						       .results = results,
						       .results_n = job->entries_n };
	struct office_attempt_done_answer r;
	const struct fail *f;

	for (size_t i = 0; i < job->entries_n; i++)
		results[i] = (struct attempt_result){ .entry = job->entries[i].entry,
						      .outcome = ATTEMPT_BUSY };
	f = office_attempt_done(a, m->office, &q, &r);
	if (f)
		LOG(INFO, "relay.given_twice", LOG_U64("job", job->id), LOG_FAIL("why", f));
}

/* An office that restarts must hear of it too, or the message would go out twice: it asks by giving out the job again. */
static void tell(struct arena *a, struct mta *m, struct hand *mine, const struct job *job,
		 const struct office_attempt_done_request *done)
{
	struct office_attempt_done_answer r;
	const struct fail *f;

	do {
		f = office_attempt_done(a, m->office, done, &r);
		if (f == NULL) {
			if (hand_give(m->hands, mine))
				put_off(a, m, job);
			return;
		}
		LOG(WARN, "relay.result_untold", LOG_U64("job", done->job), LOG_FAIL("why", f));
	} while (hand_keep(m->hands, mine, job->attempts, done));
}

static void log_attempt(const struct job *job, const struct office_attempt_done_request *done)
{
	static const char *const names[] = { [ATTEMPT_DELIVERED] = "delivered",
					     [ATTEMPT_TEMP] = "deferred",
					     [ATTEMPT_PERM] = "failed",
					     [ATTEMPT_BUSY] = "busy" };

	for (size_t i = 0; i < done->results_n; i++) {
		const struct attempt_result *r = &done->results[i];
		if (r->outcome != ATTEMPT_BUSY)
			LOG(INFO, "relay.attempt", LOG_ID("id", job->message),
			    LOG_STR("to", job->entries[i].address),
			    LOG_CSTR("outcome", names[r->outcome]),
			    LOG_STR("host", done->remote_mta), LOG_STR("tls", done->tls),
			    LOG_STR("code", r->code), LOG_STR("text", r->text));
	}
}

static void attempt(struct arena *a, struct mta *m, const struct job *job,
		    struct office_attempt_done_request *done)
{
	struct delivery_tools tools = tools_of(m);
	str message;
	const struct fail *f = fetch(a, m, job->id, &message);

	if (f) /* a fault between our own processes, whatever its kind: nothing bounces for it */
		delivery_refuse(a, job,
				fail_code(a, FAIL_UNAVAILABLE, "4.3.0",
					  "the message cannot be read here now: %.*s",
					  STR_ARG(f->text)),
				done);
	else
		delivery_run(a, &tools, job, message, done);
	log_attempt(job, done);
}

static void run_job(struct arena *a, struct mta *m, const struct job *job)
{
	struct office_attempt_done_request done;
	struct hand mine;

	if (!hand_take(m->hands, &mine, job->id))
		return;
	if (!hand_untold(m->hands, a, job, &done))
		attempt(a, m, job, &done);
	tell(a, m, &mine, job, &done);
}

/* --- Workers -------------------------------------------------------------------------------------------------- */

static void *worker_run(void *context);

/* With m->lock held: one more worker, when nobody waits and the cap allows it. */
static void worker_add(struct mta *m)
{
	/* The office hands out as many again while some are slow (office/queue/schedule.h). */
	u64 most = 2 * atomic_load(&m->config)->queue_deliveries;
	pthread_attr_t attributes;
	pthread_t thread;

	if (m->waiting > 0 || m->threads >= most || m->stopping)
		return;
	CHECK(pthread_attr_init(&attributes) == 0);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, MTA_THREAD_STACK);
	if (pthread_create(&thread, &attributes, worker_run, m) == 0) {
		m->threads++;
		m->waiting++; /* on its way to */
	}
	pthread_attr_destroy(&attributes);
}

/* False: enough others wait. */
static bool worker_waits(struct mta *m)
{
	bool stay;

	pthread_mutex_lock(&m->lock);
	stay = !m->stopping && m->waiting < MTA_SPARE;
	if (stay)
		m->waiting++;
	pthread_mutex_unlock(&m->lock);
	return stay;
}

static void worker_works(struct mta *m)
{
	pthread_mutex_lock(&m->lock);
	m->waiting--;
	worker_add(m);
	pthread_mutex_unlock(&m->lock);
}

static bool mta_stopping(struct mta *m)
{
	bool stopping;

	pthread_mutex_lock(&m->lock);
	stopping = m->stopping;
	pthread_mutex_unlock(&m->lock);
	return stopping;
}

/* False: the office is not there, or had nothing after all. */
static bool next_job(struct arena *a, struct mta *m, struct office_next_job_answer *r)
{
	const struct office_next_job_request q = { .max = 1 };
	const struct fail *f = office_next_job(a, m->office, &q, r);

	if (f && f->what != FAIL_UNAVAILABLE)
		LOG(WARN, "relay.next_job", LOG_FAIL("why", f));
	if (f == NULL && r->jobs_n > 0)
		return true;
	pause_ms(MTA_PAUSE_MS);
	return false;
}

/* Starts counted as waiting. */
static void *worker_run(void *context)
{
	struct mta *m = context;
	struct arena *a = arena_new(BUS_ARENA);
	struct office_next_job_answer r;

	do {
		do
			arena_reset(a);
		while (!next_job(a, m, &r) && !mta_stopping(m));
		worker_works(m);
		for (size_t i = 0; i < r.jobs_n && !mta_stopping(m); i++)
			run_job(a, m, &r.jobs[i]);
	} while (worker_waits(m));
	arena_free(&a);
	pthread_mutex_lock(&m->lock);
	m->threads--;
	pthread_cond_broadcast(&m->changed);
	pthread_mutex_unlock(&m->lock);
	return NULL;
}

/* --- Making and ending ---------------------------------------------------------------------------------------- */

/* The file's first line. */
static const struct fail *read_password(struct arena *a, str path, str *out)
{
	const char *name = cstr(a, path);
	int fd = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
	u8 bytes[MTA_PASSWORD];
	ssize_t n;

	*out = STR_NONE;
	if (path.n == 0)
		return NULL;
	if (fd < 0)
		return fail_new(a, FAIL_INVALID,
				"relay.smarthost_password_file %.*s: cannot be read",
				STR_ARG(path));
	n = read(fd, bytes, sizeof bytes);
	close(fd);
	if (n <= 0 || n == (ssize_t)sizeof bytes)
		return fail_new(
		    a, FAIL_INVALID,
		    "relay.smarthost_password_file %.*s: expected a line of at most %d bytes",
		    STR_ARG(path), MTA_PASSWORD - 1);
	str line = str_from(bytes, (size_t)n);
	*out = str_copy(a, str_trim(str_slice(line, 0, str_find(line, '\n'))));
	return NULL;
}

/* Without it mail to the smarthost is put off; all else that this process does goes on. */
static void keep_password(struct arena *a, struct mta *m, str path)
{
	const struct fail *f = read_password(a, path, &m->password);

	if (f)
		LOG(ERROR, "relay.no_password", LOG_FAIL("why", f));
}

const struct fail *mta_new(struct arena *a, const struct config *c, struct resolver *r,
			   const struct mta_times *times, struct mta **out)
{
	struct mta *m = arena_new_of(a, struct mta);

	m->magic = MTA_MAGIC;
	atomic_init(&m->config, c);
	m->times = times;
	m->resolver = r;
	m->sites = sites_new(a);
	m->idle = idle_new(a);
	m->hands = hands_new(a);
	CHECK(pthread_mutex_init(&m->lock, NULL) == 0);
	env_condition_init(&m->changed);
	TRY(tls_client_new(a, &m->contexts));
	keep_password(a, m, c->relay_smarthost_password_file);
	if (c->relay_smarthost_user.n && !c->relay_local_networks && !m->contexts.authorities)
		LOG(WARN, "relay.no_authorities",
		    LOG_STR("why", S("the smarthost's certificate cannot be verified: install "
				     "ca-certificates")));
	*out = m;
	return NULL;
}

const struct fail *mta_start(struct mta *m, struct bus *office)
{
	u64 threads;

	CHECK_MAGIC(m, MTA_MAGIC);
	m->office = office;
	pthread_mutex_lock(&m->lock);
	worker_add(m);
	threads = m->threads;
	pthread_mutex_unlock(&m->lock);
	static const struct fail none = FAIL_STATIC(LIMIT, "relay: no thread could be started");
	return threads ? NULL : &none;
}

void mta_reload(struct mta *m, const struct config *c)
{
	CHECK_MAGIC(m, MTA_MAGIC);
	atomic_store(&m->config, c);
}

/* What we cut short did not kill us: without this word the office would count it as if (THREATS Q05). */
static void leave(struct mta *m)
{
	struct arena *a = arena_new(BUS_ARENA);
	struct office_leave_request q = { 0 };
	struct office_leave_answer r;
	const struct fail *f = office_leave(a, m->office, &q, &r);

	if (f)
		LOG(INFO, "relay.leave", LOG_FAIL("why", f));
	arena_free(&a);
}

/* Workers that wait for a job are asleep in a bus call: they end with the process. */
void mta_stop(struct mta *m, u64 grace_ms)
{
	u64 end = env_monotonic(env_system()) + grace_ms;
	struct timespec t = { (time_t)(end / 1000), (long)(end % 1000) * 1000000 };
	int late = 0;

	CHECK_MAGIC(m, MTA_MAGIC);
	pthread_mutex_lock(&m->lock);
	m->stopping = true;
	while (m->threads > m->waiting && late == 0)
		late = pthread_cond_timedwait(&m->changed, &m->lock, &t);
	pthread_mutex_unlock(&m->lock);
	leave(m);
	idle_sweep(m->idle, true);
}

void mta_sweep(struct mta *m)
{
	CHECK_MAGIC(m, MTA_MAGIC);
	idle_sweep(m->idle, false);
}
