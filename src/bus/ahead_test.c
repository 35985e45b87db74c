/* Calls whose answer is fetched later, against a server in a thread that answers when it is told to. */
#include "base/unit.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "bus/office.h"

enum { HELD = 8 };

/* mailbox_open is held until release(), quota_get answered at once. */
struct fixture {
	struct bus_server *server;
	struct bus *bus;
	pthread_t thread;
	struct bus_call *held[HELD];
	atomic_uint held_n;
	struct arena *arena;
};

static void dispatch(void *context, struct bus_call *call)
{
	struct fixture *x = context;

	if (call->method->number == 25) {
		assert_true(x->held_n < HELD);
		x->held[x->held_n] = call;
		x->held_n++;
		return;
	}
	((struct office_quota_get_answer *)call->answer)->used_bytes = 42;
	bus_answer(&call, NULL);
}

static void gone(void *context, const struct bus_peer *peer)
{
	(void)context;
	(void)peer;
}

static void *run(void *server)
{
	bus_server_run(server);
	return NULL;
}

static int setup(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct fixture *x = arena_new_of(a, struct fixture);
	int pair[2];

	x->arena = a;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	x->server = bus_server_new(office_methods, office_methods_n, dispatch, gone, x);
	x->bus = bus_new(pair[1]);
	bus_server_add(x->server, pair[0], CALLER_CLIENT, 7);
	assert_int_equal(pthread_create(&x->thread, NULL, run, x->server), 0);
	*state = x;
	return 0;
}

static void server_end(struct fixture *x)
{
	if (x->server == NULL)
		return;
	bus_server_stop(x->server);
	pthread_join(x->thread, NULL);
	bus_server_free(&x->server);
}

static int teardown(void **state)
{
	struct fixture *x = *state;
	struct arena *a = x->arena;

	bus_free(&x->bus);
	server_end(x);
	for (unsigned i = 0; i < x->held_n; i++)
		if (x->held[i])
			bus_answer(&x->held[i], NULL);
	arena_free(&a);
	return 0;
}

static const struct bus_method *method(const char *name)
{
	for (size_t i = 0; i < office_methods_n; i++)
		if (str_eq(str_cstr(office_methods[i].name), str_cstr(name)))
			return &office_methods[i];
	fail_msg("no %s", name);
	return NULL;
}

static struct bus_pending *ask(struct fixture *x, struct arena *a, const char *mailbox)
{
	struct office_mailbox_open_request q = { .name = str_cstr(mailbox) };

	return bus_call_start(a, x->bus, method("office.mailbox_open"), &q);
}

static void wait_for(struct fixture *x, unsigned held)
{
	for (int i = 0; i < 10000 && x->held_n < held; i++)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	assert_int_equal(x->held_n, held);
}

/* With the name that was asked for, and a descriptor. */
static void release(struct fixture *x, unsigned i)
{
	struct bus_call *call = x->held[i];
	const struct office_mailbox_open_request *q = call->request;
	struct office_mailbox_open_answer *r = call->answer;
	int *chunks = arena_array_of(call->arena, 1, int);

	assert_ok(fd_from_str(call->arena, q->name, &chunks[0]));
	r->info.name = q->name;
	r->chunks = chunks;
	r->chunks_n = 1;
	x->held[i] = NULL;
	bus_answer(&call, NULL);
}

static void other_call(struct fixture *x)
{
	struct arena *a = arena_new(1 << 16);
	struct office_quota_get_request q = { 0 };
	struct office_quota_get_answer r;

	assert_ok(office_quota_get(a, x->bus, &q, &r));
	assert_int_equal(r.used_bytes, 42);
	arena_free(&a);
}

static void assert_opened(struct bus_pending *p, const char *name)
{
	struct office_mailbox_open_answer r;

	assert_ok(bus_call_take(p, &r));
	assert_str(r.info.name, str_cstr(name));
	assert_int_equal(r.chunks_n, 1);
	assert_true(r.chunks[0] >= 0);
}

static int open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void answered_before_it_is_taken(void **state)
{
	struct fixture *x = *state;
	struct arena *a = arena_new(1 << 16);
	struct bus_pending *p = ask(x, a, "one");

	wait_for(x, 1);
	release(x, 0);
	other_call(x); /* which reads that answer too */
	assert_opened(p, "one");
	arena_free(&a);
}

static void *release_later(void *context)
{
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	release(context, 0);
	return NULL;
}

static void taken_before_it_is_answered(void **state)
{
	struct fixture *x = *state;
	struct arena *a = arena_new(1 << 16);
	struct bus_pending *p = ask(x, a, "one");
	pthread_t thread;

	other_call(x);
	wait_for(x, 1);
	assert_int_equal(pthread_create(&thread, NULL, release_later, x), 0);
	assert_opened(p, "one");
	pthread_join(thread, NULL);
	arena_free(&a);
}

static void several_in_any_order(void **state)
{
	struct fixture *x = *state;
	struct arena *a = arena_new(1 << 16);
	struct bus_pending *first = ask(x, a, "one"), *second = ask(x, a, "two");

	wait_for(x, 2);
	release(x, 1);
	release(x, 0);
	assert_opened(first, "one");
	assert_opened(second, "two");
	arena_free(&a);
}

/* Before its answer, with its answer in the socket, and with its answer already read: nothing stays open. */
static void never_taken(void **state)
{
	struct fixture *x = *state;
	int before;

	other_call(x);
	before = open_fds();
	for (unsigned when = 0; when < 3; when++) {
		struct arena *a = arena_new(1 << 16);

		ask(x, a, "one");
		wait_for(x, when + 1);
		if (when > 0)
			release(x, when);
		if (when > 1)
			other_call(x);
		arena_free(&a);
		if (when == 0)
			release(x, when);
		other_call(x);
	}
	assert_int_equal(open_fds(), before);
}

static void the_server_dies(void **state)
{
	struct fixture *x = *state;
	struct arena *a = arena_new(1 << 16);
	struct office_mailbox_open_answer r;
	struct bus_pending *p = ask(x, a, "one"), *q;

	wait_for(x, 1);
	server_end(x);
	assert_fail(bus_call_take(p, &r), FAIL_UNAVAILABLE);
	q = ask(x, a, "two");
	assert_fail(bus_call_take(q, &r), FAIL_UNAVAILABLE);
	arena_free(&a);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(answered_before_it_is_taken),
		TEST(taken_before_it_is_answered),
		TEST(several_in_any_order),
		TEST(never_taken),
		TEST(the_server_dies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
