/* The bus from both ends: a real server thread, many callers, and peers that speak nonsense. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/env.h"
#include "base/fd.h"
#include "bus/frame.h"
#include "bus/office.h"
#include "bus/relay.h"
#include "bus/server.h"

enum { THREADS = 32, CALLS = 300, LATE = 8 };

/* A server of a few calls; the others answer NOT_FOUND. */
struct fixture {
	struct bus_server *server;
	struct bus *bus;
	pthread_t thread;
	atomic_int gone, served;
	pthread_mutex_t lock;
	struct bus_call *late[LATE]; /* answered newest first once full: out of order */
	unsigned late_n;
	int held_max; /* calls kept by "hold" before all are answered */
};

static const struct fail *serve_queue_list(struct bus_call *call)
{
	const struct office_queue_list_request *q = call->request;
	struct office_queue_list_answer *r = call->answer;
	struct queue_info *entries;

	if (q->max == 0)
		return fail_code(call->arena, FAIL_DENIED, "5.7.13", "no %d", 7);
	entries = arena_array_of(call->arena, q->max, struct queue_info);
	for (u32 i = 0; i < q->max; i++)
		entries[i] =
		    (struct queue_info){ .message = q->after + i, .sender = S("a@b.example") };
	r->entries = entries;
	r->entries_n = q->max;
	return NULL;
}

static const struct fail *serve_mailbox_open(struct bus_call *call)
{
	const struct office_mailbox_open_request *q = call->request;
	struct office_mailbox_open_answer *r = call->answer;
	size_t n = q->ticket.session;
	int *chunks = arena_array_of(call->arena, n, int);

	for (size_t i = 0; i < n; i++)
		assert_null(
		    fd_from_str(call->arena, str_format(call->arena, "chunk %zu", i), &chunks[i]));
	r->chunks = chunks;
	r->chunks_n = n;
	return NULL;
}

static const struct fail *serve_message_commit(struct bus_call *call)
{
	const struct office_message_commit_request *q = call->request;
	str body;

	TRY(fd_map(call->arena, q->body.file, q->body.size, &body));
	return fail_new(call->arena, FAIL_STORAGE, "%.*s", STR_ARG(body));
}

static void answer_late(struct fixture *x, struct bus_call *call)
{
	x->late[x->late_n++] = call;
	while (x->late_n == LATE)
		for (; x->late_n; x->late_n--)
			bus_answer(&x->late[x->late_n - 1], NULL);
}

static const struct fail *serve_status(struct bus_call *call)
{
	struct fixture *x = call->context;
	struct office_status_answer *r = call->answer;

	r->queued = call->sequence;
	answer_late(x, call);
	return BUS_LATER;
}

static const struct fail *serve_nothing(struct bus_call *call)
{
	(void)call;
	return BUS_LATER; /* leaks nothing: the tests that use it answer from the list below */
}

static struct bus_call *forgotten[BUS_UNDER_WAY * 2];
static atomic_uint forgotten_n;

static void dispatch(void *context, struct bus_call *call)
{
	static const bus_serve_function table[] = {
		[25] = serve_mailbox_open, [4] = serve_message_commit, [90] = serve_queue_list,
		[95] = serve_status,       [41] = serve_nothing,       [60] = serve_nothing
	};
	struct fixture *x = context;

	call->context = x;
	x->served++;
	if (call->method->number == 60 || call->method->number == 41) {
		forgotten[forgotten_n] = call; /* then the count: others read up to it */
		forgotten_n++;
		return; /* it is whose turn it is to answer: not ours to look at any more */
	}
	if (call->method->number < ARRAY_LEN(table) && table[call->method->number])
		bus_serve(table, ARRAY_LEN(table), call);
	else
		bus_answer(&call, fail_new(call->arena, FAIL_NOT_FOUND, "%s", call->method->name));
}

static void gone(void *context, const struct bus_peer *peer)
{
	struct fixture *x = context;

	assert_int_not_equal(peer->number, 0);
	x->gone++;
}

static void *run(void *server)
{
	bus_server_run(server);
	return NULL;
}

static int pair_add(struct fixture *x, u32 role)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	bus_server_add(x->server, pair[0], role, 7);
	return pair[1];
}

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof *x);

	x->server = bus_server_new(office_methods, office_methods_n, dispatch, gone, x);
	x->bus = bus_new(-1);
	forgotten_n = 0;
	pthread_create(&x->thread, NULL, run, x->server);
	bus_replace(x->bus, pair_add(x, CALLER_CTL | CALLER_CLIENT | CALLER_MDA));
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;

	bus_free(&x->bus);
	if (x->thread) {
		bus_server_stop(x->server);
		pthread_join(x->thread, NULL);
	}
	bus_server_free(&x->server);
	for (unsigned i = 0; i < forgotten_n; i++)
		if (forgotten[i])
			bus_answer(&forgotten[i], NULL); /* after the server's end: allowed */
	free(x);
	return 0;
}

static void wait_until(atomic_int *value, int at_least)
{
	for (int i = 0; i < 5000 && *value < at_least; i++)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	assert_true(*value >= at_least);
}

/* --- Good calls ---------------------------------------------------------------------------------------------- */

static void test_answer(void **state)
{
	struct fixture *x = *state;
	struct arena *a = arena_new(1 << 16);
	struct office_queue_list_request q = { .after = 40, .max = 3 };
	struct office_queue_list_answer r;

	assert_null(office_queue_list(a, x->bus, &q, &r));
	assert_int_equal(r.entries_n, 3);
	assert_int_equal(r.entries[2].message, 42);
	assert_true(str_eq(r.entries[2].sender, S("a@b.example")));
	arena_free(&a);
}

static void test_fail(void **state)
{
	struct fixture *x = *state;
	struct arena *a = arena_new(1 << 16);
	struct office_queue_list_request q = { .max = 0 };
	struct office_queue_list_answer r;
	const struct fail *f = office_queue_list(a, x->bus, &q, &r);

	assert_non_null(f);
	assert_int_equal(f->what, FAIL_DENIED);
	assert_int_equal(f->kind, FAIL_PERM);
	assert_true(str_eq(f->code, S("5.7.13")));
	assert_true(str_eq(f->text, S("no 7")));
	arena_free(&a);
}

/* Over BUS_FRAME in both directions: a memory file that nobody sees. */
static void test_large(void **state)
{
	struct fixture *x = *state;
	struct arena *a = arena_new(1 << 24);
	struct office_queue_list_request q = { .after = 1, .max = 20000 };
	struct office_queue_list_answer r;
	struct office_alias_add_request big = { 0 };
	struct office_alias_add_answer none;
	const struct fail *f;

	assert_null(office_queue_list(a, x->bus, &q, &r));
	assert_int_equal(r.entries_n, 20000);
	assert_int_equal(r.entries[19999].message, 20000);
	big.address = str_from(arena_alloc(a, 1 << 20), 1 << 20);
	f = office_alias_add(a, x->bus, &big, &none);
	assert_int_equal(f->what, FAIL_NOT_FOUND);
	assert_true(str_eq(f->text, S("office.alias_add")));
	big.address = str_from(arena_alloc(a, BUS_BODY_MAX), BUS_BODY_MAX);
	f = office_alias_add(a, x->bus, &big, &none);
	assert_int_equal(f->what, FAIL_LIMIT);
	assert_null(office_queue_list(a, x->bus, &q, &r)); /* the connection lives on */
	arena_free(&a);
}

static void test_descriptors(void **state)
{
	struct fixture *x = *state;
	struct office_mailbox_open_request q = { .ticket.session = CODEC_FDS_MAX };
	struct office_mailbox_open_answer r;
	struct arena *a = arena_new(1 << 16);
	str text;
	int first;

	assert_null(office_mailbox_open(a, x->bus, &q, &r));
	assert_int_equal(r.chunks_n, CODEC_FDS_MAX);
	assert_null(fd_map(a, r.chunks[CODEC_FDS_MAX - 1], 8, &text));
	assert_true(str_eq(text, S("chunk 63")));
	assert_int_equal(fcntl(r.chunks[0], F_GETFD), FD_CLOEXEC);
	first = r.chunks[0];
	arena_free(&a);
	assert_int_equal(fcntl(first, F_GETFD), -1); /* the arena owned them */
	a = arena_new(1 << 16);
	q.ticket.session = CODEC_FDS_MAX + 1; /* the answer cannot be sent; a fail can */
	assert_int_equal(office_mailbox_open(a, x->bus, &q, &r)->what, FAIL_LIMIT);
	arena_free(&a);
}

static void test_descriptor_in(void **state)
{
	struct fixture *x = *state;
	struct arena *a = arena_new(1 << 16);
	struct office_message_commit_request q = { .body = { .size = 5 } };
	struct office_message_commit_answer r;
	const struct fail *f;

	assert_null(fd_from_str(a, S("hello"), &q.body.file));
	f = office_message_commit(a, x->bus, &q, &r);
	assert_true(str_eq(f->text, S("hello")));
	arena_free(&a);
}

/* --- Many threads -------------------------------------------------------------------------------------------- */

static void *caller(void *at)
{
	struct fixture *x = at;
	struct arena *a = arena_new(1 << 16);

	for (u32 i = 0; i < CALLS; i++) {
		struct office_queue_list_request q = { .after = i, .max = 1 + i % 5 };
		struct office_queue_list_answer r;

		assert_null(office_queue_list(a, x->bus, &q, &r));
		assert_int_equal(r.entries_n, 1 + i % 5);
		assert_int_equal(r.entries[0].message, i);
		arena_reset(a);
	}
	arena_free(&a);
	return NULL;
}

static void *late_caller(void *at)
{
	struct fixture *x = at;
	struct arena *a = arena_new(1 << 16);

	for (u32 i = 0; i < CALLS; i++) {
		struct office_status_request q = { 0 };
		struct office_status_answer r;

		assert_null(office_status(a, x->bus, &q, &r));
		assert_int_not_equal(r.queued, 0);
		arena_reset(a);
	}
	arena_free(&a);
	return NULL;
}

static void run_callers(struct fixture *x, void *(*function)(void *), int n)
{
	pthread_t threads[THREADS];

	for (int i = 0; i < n; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, function, x), 0);
	for (int i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
}

static void test_many_threads(void **state)
{
	struct fixture *x = *state;
	struct timespec from, to;
	double seconds;

	clock_gettime(CLOCK_MONOTONIC, &from);
	run_callers(x, caller, THREADS);
	clock_gettime(CLOCK_MONOTONIC, &to);
	seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
	print_message("%d threads: %.0f calls/s\n", THREADS, THREADS * CALLS / seconds);
	assert_int_equal(x->served, THREADS * CALLS);
}

static void test_out_of_order(void **state)
{
	run_callers(*state, late_caller, LATE);
}

/* --- Death and replacement ----------------------------------------------------------------------------------- */

static void *parked_caller(void *at)
{
	struct fixture *x = at;
	struct arena *a = arena_new(1 << 16);
	struct office_next_job_request q = { .max = 1 };
	struct office_next_job_answer r;
	const struct fail *f = office_next_job(a, x->bus, &q, &r);

	assert_non_null(f);
	assert_int_equal(f->what, FAIL_UNAVAILABLE);
	arena_free(&a);
	return NULL;
}

static void test_server_dies(void **state)
{
	struct fixture *x = *state;
	pthread_t threads[8];

	for (int i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, parked_caller, x);
	wait_until(&x->served, 8);
	bus_server_stop(x->server);
	pthread_join(x->thread, NULL);
	x->thread = 0;
	bus_server_free(&x->server);
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	parked_caller(x); /* at once, too */
	nanosleep(&(struct timespec){ .tv_nsec = 3000000 }, NULL);
	assert_true(bus_lost_ms(x->bus) > 0);
}

static void test_replace(void **state)
{
	struct fixture *x = *state;
	pthread_t threads[8];

	for (int i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, parked_caller, x);
	wait_until(&x->served, 8);
	bus_replace(x->bus, pair_add(x, CALLER_CTL));
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	wait_until(&x->gone, 1);
	caller(x);
	assert_int_equal(bus_lost_ms(x->bus), 0);
	assert_int_equal(bus_servers(x->bus), 2);
}

static void *bring_server(void *context)
{
	struct fixture *x = context;

	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	bus_replace(x->bus, pair_add(x, CALLER_CTL));
	return NULL;
}

static void test_wait(void **state)
{
	struct fixture *x = *state;
	u64 now = env_monotonic(env_system());
	pthread_t thread;

	bus_replace(x->bus, -1);
	nanosleep(&(struct timespec){ .tv_nsec = 3000000 }, NULL);
	assert_false(bus_wait(x->bus, now + 50));
	pthread_create(&thread, NULL, bring_server, x);
	assert_true(bus_wait(x->bus, now + 60 * 1000));
	caller(x);
	pthread_join(thread, NULL);
}

/* Too many calls under way: we are not read from until some are answered, and nothing is lost. */
static void test_backpressure(void **state)
{
	struct fixture *x = *state;
	int fd = pair_add(x, CALLER_MDA), sent = 0;
	unsigned before;

	while (sent < 100000) {
		struct frame_out o;
		enum frame_result got;

		frame_begin(&o, (u64)sent + 1, 60, FRAME_INLINE);
		encode_u32(&o.encoder, 1);
		assert_true(frame_end(&o));
		got = frame_send(&o, fd);
		frame_free(&o);
		if (got == FRAME_AGAIN && x->served >= BUS_UNDER_WAY)
			break;
		if (got == FRAME_AGAIN)
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
		else
			sent++;
	}
	assert_true(sent < 100000);
	wait_until(&x->served, BUS_UNDER_WAY);
	before = forgotten_n;
	assert_int_equal(before, BUS_UNDER_WAY);
	for (unsigned i = 0; i < before; i++)
		bus_answer(&forgotten[i], fail_new(forgotten[i]->arena, FAIL_BUSY, "later"));
	forgotten_n = 0;
	wait_until(&x->served, sent < 2 * BUS_UNDER_WAY ? sent : 2 * BUS_UNDER_WAY);
	close(fd);
	wait_until(&x->gone, 1);
}

/* --- Nonsense to the server ---------------------------------------------------------------------------------- */

static void send_raw(int fd, str bytes, int fds, int what)
{
	union {
		struct cmsghdr align;
		u8 bytes[CMSG_SPACE(253 * sizeof(int))];
	} c;
	struct iovec v = { (void *)(uintptr_t)bytes.p, bytes.n };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };

	if (fds) {
		struct cmsghdr *h;

		m.msg_control = &c;
		m.msg_controllen = CMSG_SPACE((size_t)fds * sizeof(int));
		h = CMSG_FIRSTHDR(&m);
		*h = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
				       .cmsg_type = SCM_RIGHTS,
				       .cmsg_len = CMSG_LEN((size_t)fds * sizeof(int)) };
		for (int i = 0; i < fds; i++)
			memcpy(CMSG_DATA(h) + (size_t)i * sizeof(int), &what, sizeof what);
	}
	assert_int_equal(sendmsg(fd, &m, MSG_NOSIGNAL), bytes.n);
}

static int open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* What a peer may send is data: number, form, descriptors, body. All but the last rows end the connection. */
static void test_nonsense_to_server(void **state)
{
	static const struct {
		const char *why;
		str bytes;
		int fds;
	} rows[] = {
		{ "no head", S("x"), 0 },
		{ "short head", S("\1\0\0\0\0\0\0\0\132\0\0\0"), 0 },
		{ "unknown number", S("\1\0\0\0\0\0\0\0\377\0\0\0\0"), 0 },
		{ "huge number", S("\1\0\0\0\0\0\0\0\377\377\377\377\0"), 0 },
		{ "not for this caller", S("\1\0\0\0\0\0\0\0\137\0\0\0\0"), 0 },
		{ "unknown form", S("\1\0\0\0\0\0\0\0\074\0\0\0\7\1\0\0\0"), 0 },
		{ "a fail as request", S("\1\0\0\0\0\0\0\0\074\0\0\0\2\1\0\0\0"), 0 },
		{ "short body", S("\1\0\0\0\0\0\0\0\074\0\0\0\0\1\0\0"), 0 },
		{ "long body", S("\1\0\0\0\0\0\0\0\074\0\0\0\0\1\0\0\0x"), 0 },
		{ "a descriptor too many", S("\1\0\0\0\0\0\0\0\074\0\0\0\0\1\0\0\0"), 1 },
		{ "fd flood", S("\1\0\0\0\0\0\0\0\074\0\0\0\0\1\0\0\0"), 253 },
		{ "file form without one", S("\1\0\0\0\0\0\0\0\074\0\0\0\1\4\0\0\0\0\0\0\0"), 0 },
		{ "file that is none", S("\1\0\0\0\0\0\0\0\074\0\0\0\1\4\0\0\0\0\0\0\0"), 1 },
		{ "file of no size", S("\1\0\0\0\0\0\0\0\074\0\0\0\1\0\0\0\0\0\0\0\0"), 1 },
		{ "file too large", S("\1\0\0\0\0\0\0\0\074\0\0\0\1\0\0\0\0\0\1\0\0"), 1 },
		{ "list longer than bytes", S("\1\0\0\0\0\0\0\0\076\0\0\0\0\377\377\377\377"), 0 },
	};
	struct fixture *x = *state;
	int before = open_fds();

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int fd = pair_add(x, CALLER_MDA), served = x->served;

		send_raw(fd, rows[i].bytes, rows[i].fds, fd);
		wait_until(&x->gone, (int)i + 1);
		if (x->served != served)
			fail_msg("%s: was served", rows[i].why);
		close(fd);
	}
	assert_int_equal(open_fds(), before);
	caller(x); /* nobody else felt it */
}

static void test_unsealed_body(void **state)
{
	struct fixture *x = *state;
	int fd = pair_add(x, CALLER_MDA), file = fd_memory("test");

	assert_true(fd_write_all(file, S("\1\0\0\0")));
	send_raw(fd, S("\1\0\0\0\0\0\0\0\074\0\0\0\1\4\0\0\0\0\0\0\0"), 1, file);
	wait_until(&x->gone, 1);
	assert_int_equal(x->served, 0);
	close(file);
	close(fd);
}

/* A peer that asks and never reads is dropped once its answers are over the bound. */
static void test_peer_never_reads(void **state)
{
	struct fixture *x = *state;
	int fd = pair_add(x, CALLER_CTL);

	for (int i = 0; i < 3000 && x->gone == 0; i++) {
		struct frame_out o;
		enum frame_result sent;

		frame_begin(&o, (u64)i + 1, 90, FRAME_INLINE);
		encode_u64(&o.encoder, 1);
		encode_u32(&o.encoder, 600); /* about 60 KB each */
		assert_true(frame_end(&o));
		while ((sent = frame_send(&o, fd)) == FRAME_AGAIN)
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
		frame_free(&o);
		if (sent == FRAME_END)
			break;
	}
	wait_until(&x->gone, 1);
	close(fd);
	caller(x);
}

/* Small answers cost more than their bytes: thousands of them are too many as well. */
static void test_peer_never_reads_small(void **state)
{
	struct fixture *x = *state;
	int fd = pair_add(x, CALLER_CTL), asked = 0;

	for (; asked < 50000 && x->gone == 0; asked++) {
		struct frame_out o;
		enum frame_result sent;

		frame_begin(&o, (u64)asked + 1, 90, FRAME_INLINE);
		encode_u64(&o.encoder, 1);
		encode_u32(&o.encoder, 1);
		assert_true(frame_end(&o));
		while ((sent = frame_send(&o, fd)) == FRAME_AGAIN)
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
		frame_free(&o);
		if (sent == FRAME_END)
			break;
	}
	wait_until(&x->gone, 1);
	assert_in_range(asked, 1000, 10000);
	close(fd);
	caller(x);
}

static bool send_large(int fd, u64 sequence, size_t n)
{
	struct frame_out o;
	enum frame_result sent;

	/* message_expunge: a ticket, a mailbox, ranges of 8 bytes. */
	frame_begin(&o, sequence, 41, FRAME_INLINE);
	encode_ticket(&o.encoder, &(struct ticket){ 0 });
	encode_u64(&o.encoder, 1);
	encode_u32(&o.encoder, (u32)(n / 8));
	for (size_t i = 0; i < n / 8; i++)
		encode_u64(&o.encoder, 1);
	encode_u8(&o.encoder, 1);
	assert_true(frame_end(&o));
	sent = frame_send(&o, fd);
	frame_free(&o);
	assert_true(sent == FRAME_OK || sent == FRAME_AGAIN);
	return sent == FRAME_OK;
}

/* Large calls that are not answered yet: a few of them are enough, and nobody else waits for it. */
static void test_large_under_way(void **state)
{
	enum { LARGE = 4 << 20, MOST = BUS_UNDER_WAY_BYTES / LARGE };
	struct fixture *x = *state;
	int fd = pair_add(x, CALLER_CLIENT);
	unsigned before;
	u64 sent = 0;

	for (int i = 0; i < 300 && sent < 2 * MOST; i++) {
		if (send_large(fd, sent + 1, LARGE))
			sent++;
		else
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	wait_until(&x->served, MOST / 4);
	nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
	assert_in_range(x->served, MOST / 4, MOST - 1);
	before = forgotten_n;
	for (unsigned i = 0; i < before; i++)
		bus_answer(&forgotten[i], fail_new(forgotten[i]->arena, FAIL_BUSY, "later"));
	wait_until(&x->served, (int)before + 1);
	close(fd);
	wait_until(&x->gone, 1);
	for (unsigned i = 0; i < forgotten_n; i++)
		if (forgotten[i])
			assert_true(bus_peer_is_gone(forgotten[i]));
}

/* --- Nonsense from the server -------------------------------------------------------------------------------- */

static void test_nonsense_from_server(void **state)
{
	/* office.status is 95 = \137; its answer six u64 */
	static const struct {
		const char *why;
		str bytes;
		int fds;
	} rows[] = {
		{ "no head", S("x"), 0 },
		{ "an answer never asked for", S("\11\0\0\0\0\0\0\0\137\0\0\0\0"), 0 },
		{ "sequence nought", S("\0\0\0\0\0\0\0\0\137\0\0\0\0"), 0 },
		{ "another call's answer", S("\1\0\0\0\0\0\0\0\132\0\0\0\0\0\0\0\0"), 0 },
		{ "short answer", S("\1\0\0\0\0\0\0\0\137\0\0\0\0\0\0\0\0"), 0 },
		{ "fd flood", S("\1\0\0\0\0\0\0\0\137\0\0\0\0"), 253 },
		{ "fail of no class",
		  S("\1\0\0\0\0\0\0\0\137\0\0\0\2\377\0\5\0\0\0004.3.0\0\0\0\0"), 0 },
		{ "fail with no code", S("\1\0\0\0\0\0\0\0\137\0\0\0\2\0\0\0\0\0\0\0\0\0\0"), 0 },
		{ "fail of the wrong kind",
		  S("\1\0\0\0\0\0\0\0\137\0\0\0\2\0\1\5\0\0\0004.3.0\0\0\0\0"), 0 },
		{ "CR LF in the text",
		  S("\1\0\0\0\0\0\0\0\137\0\0\0\2\0\0\5\0\0\0004.3.0\5\0\0\0x\r\n25"), 0 },
	};
	int before;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena *a = arena_new(1 << 16);
		struct office_status_request q = { 0 };
		struct office_status_answer r;
		struct bus *b;
		const struct fail *f;
		int pair[2];

		before = open_fds();
		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
		b = bus_new(pair[0]);
		send_raw(pair[1], rows[i].bytes, rows[i].fds, pair[1]);
		f = office_status(a, b, &q, &r);
		if (f == NULL || f->what != FAIL_UNAVAILABLE)
			fail_msg("%s: believed", rows[i].why);
		arena_free(&a);
		bus_free(&b);
		close(pair[1]);
		assert_int_equal(open_fds(), before);
	}
}

/* --- The socket for ctl -------------------------------------------------------------------------------------- */

static void test_listen(void **state)
{
	struct fixture *x = *state;
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	socklen_t n = sizeof at;
	int listener = socket(AF_UNIX, SOCK_SEQPACKET, 0), fds[3];
	struct bus *b;
	struct arena *a = arena_new(1 << 16);
	struct office_queue_list_request q = { .max = 1 };
	struct office_queue_list_answer r;

	assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof(sa_family_t)), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &n), 0);
	assert_int_equal(listen(listener, 8), 0);
	bus_server_listen(x->server, listener, CALLER_CTL);
	for (int i = 0; i < 3; i++) {
		fds[i] = socket(AF_UNIX, SOCK_SEQPACKET, 0);
		assert_int_equal(connect(fds[i], (struct sockaddr *)&at, n), 0);
	}
	b = bus_new(fds[0]);
	assert_null(office_queue_list(a, b, &q, &r));
	bus_free(&b);
	close(fds[1]);
	close(fds[2]);
	wait_until(&x->gone, 3);
	arena_free(&a);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_answer),
		TEST(test_fail),
		TEST(test_large),
		TEST(test_descriptors),
		TEST(test_descriptor_in),
		TEST(test_many_threads),
		TEST(test_out_of_order),
		TEST(test_server_dies),
		TEST(test_replace),
		TEST(test_wait),
		TEST(test_backpressure),
		TEST(test_nonsense_to_server),
		TEST(test_unsealed_body),
		TEST(test_peer_never_reads),
		TEST(test_peer_never_reads_small),
		TEST(test_large_under_way),
		TEST(test_nonsense_from_server),
		TEST(test_listen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
