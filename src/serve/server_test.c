/* A whole server on loopback sockets, without TLS. */
#include "base/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/env.h"
#include "serve/server.h"
#include "serve/toy_test.h"

static const struct protocol *const protocols[SERVICES] = { [SERVICE_IMAP] = &toy_protocol };

struct fixture {
	struct process process;
	struct config config;
	struct process_listener listener;
	struct server *server;
	struct sockaddr_in at;
	pthread_t thread;
	u64 first_id;
};

static void *serve(void *arg)
{
	server_run(arg);
	return NULL;
}

static void start(struct fixture *f, u64 workers, u64 connections)
{
	socklen_t n = sizeof f->at;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memset(f, 0, sizeof *f);
	f->at = (struct sockaddr_in){ .sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	assert_int_equal(bind(fd, (struct sockaddr *)&f->at, sizeof f->at), 0);
	assert_int_equal(listen(fd, 1024), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&f->at, &n), 0);
	f->listener = (struct process_listener){ .fd = fd, .service = SERVICE_IMAP };
	f->config.limit_workers = workers;
	f->config.limit_connections = connections;
	f->config.limit_connections_per_address = connections;
	f->process = (struct process){
		.arena = arena_new(64 << 20),
		.config = &f->config,
		.listeners = &f->listener,
		.listeners_n = 1,
		.address_table = -1,
	};
	f->server = server_new(&f->process, protocols, NULL);
	f->first_id = f->server->next_id;
	assert_int_equal(pthread_create(&f->thread, NULL, serve, f->server), 0);
}

static void stop(struct fixture *f)
{
	server_stop(f->server);
	pthread_join(f->thread, NULL);
	assert_int_equal(f->server->sessions, 0);
	close(f->listener.fd);
	arena_free(&f->process.arena);
}

static int dial(const struct fixture *f)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&f->at, sizeof f->at), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	(void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static void hear(int fd, const char *text)
{
	char got[256];
	size_t n = 0, want = strlen(text);

	while (n < want) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t r = poll(&p, 1, 8000) == 1 ? read(fd, got + n, want - n) : -1;
		if (r <= 0)
			fail_msg("waited for \"%s\", heard \"%.*s\"", text, (int)n, got);
		n += (size_t)r;
	}
	if (memcmp(got, text, want) != 0)
		fail_msg("waited for \"%s\", heard \"%.*s\"", text, (int)n, got);
}

static void hear_end(int fd)
{
	char byte;

	assert_true(read(fd, &byte, 1) <= 0);
	close(fd);
}

static void test_talk(void **state)
{
	struct fixture f;
	int fd;

	(void)state;
	start(&f, 4, 100);
	fd = dial(&f);
	hear(fd, "hello\r\n");
	say(fd, "WHO\r\nECHO a\r\n");
	hear(fd, "127.0.0.1 \r\na\r\n");
	say(fd, "PAUSE 50\r\nTIMER 20\r\n");
	hear(fd, "resumed\r\ntimer\r\n");
	say(fd, "QUIT\r\n");
	hear(fd, "bye\r\n");
	hear_end(fd);
	stop(&f);
}

static void test_deadline(void **state)
{
	struct fixture f;
	int fds[20];

	(void)state;
	start(&f, 2, 100);
	for (int i = 0; i < 20; i++) {
		fds[i] = dial(&f);
		hear(fds[i], "hello\r\n");
		say(fds[i], i % 2 ? "DEADLINE 60000\r\nECHO x\r\nDEADLINE 100\r\n"
				  : "DEADLINE 50\r\nECHO x\r\n");
		hear(fds[i], "x\r\n");
	}
	for (int i = 0; i < 20; i++) {
		hear(fds[i], "idle\r\n");
		hear_end(fds[i]);
	}
	stop(&f);
}

static void test_refused(void **state)
{
	struct fixture f;
	int fds[10], one_more;

	(void)state;
	start(&f, 2, 10);
	for (int i = 0; i < 10; i++) {
		fds[i] = dial(&f);
		hear(fds[i], "hello\r\n");
	}
	one_more = dial(&f);
	hear(one_more, "too many\r\n");
	hear_end(one_more);
	for (int i = 0; i < 10; i++)
		close(fds[i]);
	for (int tries = 0; f.server->sessions && tries < 100; tries++)
		usleep(10000);
	one_more = dial(&f);
	hear(one_more, "hello\r\n");
	close(one_more);
	stop(&f);
}

static void test_shutdown(void **state)
{
	struct fixture f;
	int fds[50];

	(void)state;
	start(&f, 4, 100);
	for (int i = 0; i < 50; i++) {
		fds[i] = dial(&f);
		hear(fds[i], "hello\r\n");
		if (i % 2)
			say(fds[i], "PAUSE 60000\r\n");
	}
	server_stop(f.server);
	for (int i = 0; i < 50; i++) {
		hear(fds[i], "shutdown\r\n");
		hear_end(fds[i]);
	}
	stop(&f);
}

/* A peer that takes nothing must not hold up a shutdown. */
static void test_shutdown_stuck(void **state)
{
	struct fixture f;
	u64 begin;
	int fd;

	(void)state;
	start(&f, 4, 100);
	fd = dial(&f);
	say(fd, "BIG 20000000\r\n");
	hear(fd, "hello\r\n");
	usleep(100000);
	begin = env_monotonic(env_system());
	stop(&f);
	assert_in_range(env_monotonic(env_system()) - begin, 2900, 4200);
	close(fd);
}

/* Workers that block are joined by others, and nobody waits for long. */
static void test_workers_grow(void **state)
{
	struct fixture f;
	int fds[12];
	u64 begin;

	(void)state;
	start(&f, 16, 100);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = dial(&f);
		hear(fds[i], "hello\r\n");
	}
	begin = env_monotonic(env_system());
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		say(fds[i], "BLOCK 300\r\n");
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		hear(fds[i], "blocked\r\n");
		close(fds[i]);
	}
	assert_in_range(env_monotonic(env_system()) - begin, 300, 590);
	stop(&f);
}

struct waking {
	struct fixture *f;
	_Atomic u64 first;
	u64 n;
	_Atomic bool stop;
};

static void *wake_often(void *arg)
{
	struct waking *w = arg;

	while (!w->stop)
		for (u64 i = 0; i < w->n; i++)
			session_wake(w->f->server, w->first + i);
	return NULL;
}

/* Notices while sessions run, linger, park and end: none is lost, none finds a freed session. */
static void test_wake_races(void **state)
{
	struct fixture f;
	struct waking w = { .f = &f, .n = 8 };
	pthread_t wakers[2];
	char text[4096];

	(void)state;
	start(&f, 4, 100);
	w.first = f.first_id;
	for (int i = 0; i < 2; i++)
		pthread_create(&wakers[i], NULL, wake_often, &w);
	for (int round = 0; round < 40; round++) {
		int fd = dial(&f);
		w.first = f.first_id + (u64)round;
		for (int i = 0; i < 20; i++) {
			say(fd, "ECHO y\r\n");
			(void)!recv(fd, text, sizeof text, i % 4 ? MSG_DONTWAIT : 0);
		}
		say(fd, "QUIT\r\n");
		while (recv(fd, text, sizeof text, 0) > 0)
			;
		close(fd);
	}
	w.stop = true;
	for (int i = 0; i < 2; i++)
		pthread_join(wakers[i], NULL);
	stop(&f);
}

/* One notice, once, to a parked session: it must come through. */
static void test_wake_once(void **state)
{
	struct fixture f;
	int fd;
	u64 id;

	(void)state;
	start(&f, 2, 100);
	id = f.first_id;
	fd = dial(&f);
	hear(fd, "hello\r\n");
	for (int i = 0; i < 300; i++) {
		if (i % 3 == 0)
			usleep((useconds_t)(i * 20));
		session_wake(f.server, id);
		hear(fd, "notice\r\n");
	}
	session_wake_all(f.server);
	hear(fd, "notice\r\n");
	session_wake(f.server, id + 7);
	close(fd);
	stop(&f);
}

static u64 cpu_ms(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return (u64)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1000 +
	       (u64)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1000;
}

/* THREATS F11: out of descriptors, accepting backs off without spinning, and comes back. */
static void test_no_descriptors(void **state)
{
	struct fixture f;
	struct rlimit old, few;
	int first, late, next;
	u64 before;

	(void)state;
	start(&f, 2, 100);
	first = dial(&f);
	hear(first, "hello\r\n");
	late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	getrlimit(RLIMIT_NOFILE, &old);
	next = dup(0);
	close(next);
	few = old;
	few.rlim_cur = (rlim_t)next;
	setrlimit(RLIMIT_NOFILE, &few);
	assert_int_equal(connect(late, (struct sockaddr *)&f.at, sizeof f.at), 0);
	before = cpu_ms();
	usleep(500000);
	assert_in_range(cpu_ms() - before, 0, 60);
	say(first, "ECHO alive\r\n");
	hear(first, "alive\r\n");
	setrlimit(RLIMIT_NOFILE, &old);
	hear(late, "hello\r\n");
	close(first);
	close(late);
	stop(&f);
}

enum { IDLE_SESSIONS = 1000 };

static void test_idle_memory(void **state)
{
	struct fixture f;
	static int fds[IDLE_SESSIONS];
	struct mallinfo2 before, after;
	struct rlimit many = { 8192, 8192 };

	(void)state;
	setrlimit(RLIMIT_NOFILE, &many);
	start(&f, 4, 2000);
	fds[0] = dial(&f);
	hear(fds[0], "hello\r\n");
	before = mallinfo2();
	for (int i = 1; i < IDLE_SESSIONS; i++) {
		fds[i] = dial(&f);
		hear(fds[i], "hello\r\n");
		say(fds[i], "ECHO x\r\nDEADLINE 1800000\r\nECHO half a li");
		hear(fds[i], "x\r\n");
	}
	usleep(100000);
	after = mallinfo2();
	print_message("one idle session: %zu bytes\n",
		      (after.uordblks - before.uordblks) / (IDLE_SESSIONS - 1));
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	assert_in_range((after.uordblks - before.uordblks) / (IDLE_SESSIONS - 1), 0, 16384);
#endif
	session_wake_all(f.server);
	for (int i = 0; i < IDLE_SESSIONS; i++)
		hear(fds[i], "notice\r\n");
	for (int i = 0; i < IDLE_SESSIONS; i++)
		close(fds[i]);
	stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_talk),           cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_refused),        cmocka_unit_test(test_shutdown),
		cmocka_unit_test(test_shutdown_stuck), cmocka_unit_test(test_workers_grow),
		cmocka_unit_test(test_wake_races),     cmocka_unit_test(test_wake_once),
		cmocka_unit_test(test_no_descriptors), cmocka_unit_test(test_idle_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
