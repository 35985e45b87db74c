/*
 * Jobs over a real bus (office_queue.c): an answer holds no more of them than it can carry, and what became of one in a call is no matter to the others. The
 * test is the mda, and runs the store's writer.
 */
#include "office/queue/queue_test_support.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "office/office_int.h"

enum { REPORTS = 40, REPORT_BYTES = 1 << 20 }; /* together more than BUS_BODY_MAX */

struct scene {
	struct desk d;
	struct office office;
	struct bus *mda;
	pthread_t server, pool, writer;
	atomic_bool stopping;
};

static void serve(struct bus_call *call)
{
	const struct fail *f = call->method->number == 60
				   ? office_serve_next_job(call, call->request, call->answer)
				   : office_serve_deliver(call, call->request, call->answer);

	if (f != BUS_LATER)
		bus_answer(&call, f);
}

static void dispatch(void *context, struct bus_call *call)
{
	struct office_call *mine = arena_new_of(call->arena, struct office_call);

	mine->office = context;
	call->context = mine;
	serve(call);
}

static void gone(void *context, const struct bus_peer *peer)
{
	queue_peer_gone(((struct office *)context)->queue, peer->number);
}

static void *run_server(void *server)
{
	bus_server_run(server);
	return NULL;
}

static void *run_pool(void *pool)
{
	struct pool_lane *lane;
	struct bus_call *call;

	while ((call = pool_take(pool, &lane)) != NULL) {
		serve(call);
		pool_done(pool, lane);
	}
	return NULL;
}

static void *run_writer(void *context)
{
	struct scene *s = context;

	while (!s->stopping)
		if (!writer_run_once(s->d.w.store))
			usleep(1000);
	return NULL;
}

/* What is in the queue by now is to be had over the bus. */
static void scene_open(struct scene *s)
{
	struct arena *a = s->d.w.arena;
	int pair[2];

	s->office.env = &s->d.w.env;
	s->office.store = s->d.w.store;
	s->office.directory = s->d.directory;
	s->office.queue = s->d.queue;
	atomic_store(&s->office.config, config_default(a));
	s->office.pool = pool_new(a, &s->d.w.env, 1);
	s->office.server =
	    bus_server_new(office_methods, office_methods_n, dispatch, gone, &s->office);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	bus_server_add(s->office.server, pair[0], CALLER_MDA, 1);
	s->mda = bus_new(pair[1]);
	assert_int_equal(pthread_create(&s->server, NULL, run_server, s->office.server), 0);
	assert_int_equal(pthread_create(&s->pool, NULL, run_pool, s->office.pool), 0);
	assert_int_equal(pthread_create(&s->writer, NULL, run_writer, s), 0);
}

static void scene_close(struct scene *s)
{
	bus_server_stop(s->office.server);
	pthread_join(s->server, NULL);
	pool_stop(s->office.pool);
	pthread_join(s->pool, NULL);
	s->stopping = true;
	pthread_join(s->writer, NULL);
	bus_free(&s->mda);
	bus_server_free(&s->office.server);
	desk_free(&s->d);
}

static const struct fail *long_replies(struct tx *t, void *context)
{
	(void)context;
	return SQL_RUN(t->arena, t->db, "UPDATE queue_entry SET text = hex(zeroblob(?))",
		       SQL_U64(REPORT_BYTES / 2));
}

/* Each of many reports is large: they come in several answers, none is lost, and nobody waits for a lease to end. */
static void test_large_reports(void **state)
{
	struct office_next_job_request q = { .max = OFFICE_JOBS_MAX };
	struct office_next_job_answer r;
	size_t reports = 0, answers = 0;
	struct scene s = { 0 };

	(void)state;
	desk_new(&s.d);
	for (size_t i = 0; i < REPORTS; i++) {
		struct job job;
		mail_send(&s.d, "far@remote.example", 0);
		job = desk_job(&s.d, LANE_RELAY, 1);
		must(desk_attempt(&s.d, &job, 1, ATTEMPT_PERM, "5.1.1"));
	}
	must(world_write(&s.d.w, false, long_replies, NULL));
	scene_open(&s);
	while (reports < REPORTS) {
		struct arena *a = arena_new(64 << 20);
		must(office_next_job(a, s.mda, &q, &r));
		assert_in_range(r.jobs_n, 1, 2 * OFFICE_JOBS_BYTES / REPORT_BYTES);
		for (size_t i = 0; i < r.jobs_n; i++)
			assert_int_equal(r.jobs[i].kind, JOB_DSN_FAILURE);
		reports += r.jobs_n;
		answers++;
		arena_free(&a);
	}
	assert_int_equal(reports, REPORTS);
	assert_true(answers > 1);
	scene_close(&s);
}

/* The administrator drops one of several mails that the mda has in its hands. */
static void test_one_is_dropped(void **state)
{
	struct office_next_job_request q = { .max = OFFICE_JOBS_MAX };
	struct delivery deliveries[2] = { 0 };
	struct office_deliver_request done = { .deliveries = deliveries, .deliveries_n = 2 };
	struct office_next_job_answer r;
	struct office_deliver_answer answer;
	struct scene s = { 0 };
	u64 dropped, kept;

	(void)state;
	desk_new(&s.d);
	dropped = mail_send(&s.d, "alice@example.test", 0);
	kept = mail_send(&s.d, "bob@example.test", 0);
	scene_open(&s);
	must(office_next_job(s.d.w.arena, s.mda, &q, &r));
	assert_int_equal(r.jobs_n, 2);
	for (size_t i = 0; i < 2; i++)
		deliveries[i] = (struct delivery){ .job = r.jobs[i].id, .special = SPECIAL_INBOX };
	s.stopping = true; /* until the drop is done, here */
	pthread_join(s.writer, NULL);
	assert_int_equal(desk_change(&s.d, dropped, QUEUE_DROP), 1);
	s.stopping = false;
	assert_int_equal(pthread_create(&s.writer, NULL, run_writer, &s), 0);
	must(office_deliver(s.d.w.arena, s.mda, &done, &answer));
	assert_int_equal(desk_number(&s.d, ask_placed, 2, kept), 1);
	assert_int_equal(desk_number(&s.d, ask_placed, 1, dropped), 0);
	scene_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_large_reports),
					    cmocka_unit_test(test_one_is_dropped) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
