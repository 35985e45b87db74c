/* The times of a session, on a clock of the test's own: one thread, no waiting. */
#include "base/unit.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/env.h"
#include "serve/session_int.h"
#include "serve/toy_test.h"

static u64 clock_ms;

static u64 read_clock(void *context)
{
	(void)context;
	return clock_ms;
}

static const struct env test_env = { .now = read_clock, .monotonic = read_clock };

struct fixture {
	struct session *session;
	int peer;
};

static void start(struct fixture *f)
{
	int pair[2], small = 4096;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
			 0);
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
	clock_ms = 1000;
	f->peer = pair[1];
	f->session = session_new(NULL, &toy_protocol, SERVICE_IMAP, pair[0], 1);
	f->session->env = &test_env;
}

static enum session_stop run_after(struct fixture *f, u64 ms)
{
	enum session_stop stop;

	clock_ms += ms;
	stop = session_run(f->session, NULL);
	if (stop == SESSION_PARK)
		session_compact(f->session);
	return stop;
}

static void say(struct fixture *f, const char *text)
{
	assert_int_equal(write(f->peer, text, strlen(text)), (ssize_t)strlen(text));
}

static str hear(struct fixture *f)
{
	static u8 got[1 << 20];
	ssize_t n = read(f->peer, got, sizeof got);

	return str_from(got, n < 0 ? 0 : (size_t)n);
}

static void finish(struct fixture *f)
{
	assert_int_equal(f->session->phase, PHASE_DEAD);
	session_free(f->session);
	close(f->peer);
}

static void test_idle(void **state)
{
	struct fixture f;

	(void)state;
	start(&f);
	say(&f, "DEADLINE 1000\r\n");
	assert_int_equal(run_after(&f, 0), SESSION_PARK);
	assert_int_equal(f.session->want, EPOLLIN);
	assert_int_equal(session_due(f.session), 2000);
	say(&f, "ECHO x");
	run_after(&f, 900);
	assert_int_equal(session_due(f.session), 2000); /* half a line buys no time */
	say(&f, "\r\n");
	run_after(&f, 50);
	assert_int_equal(session_due(f.session), 2950);
	hear(&f);
	assert_int_equal(run_after(&f, 999), SESSION_PARK);
	assert_int_equal(run_after(&f, 1), SESSION_END);
	assert_str(hear(&f), S("idle\r\n"));
	finish(&f);
}

/* A notice or a timer is our affair, and gives the peer no time. */
static void test_notice_is_not_input(void **state)
{
	struct fixture f;

	(void)state;
	start(&f);
	say(&f, "DEADLINE 1000\r\nTIMER 300\r\n");
	run_after(&f, 0);
	assert_int_equal(session_due(f.session), 1300);
	run_after(&f, 300);
	atomic_fetch_or(&f.session->wakes, WAKE_BIT_NOTICE);
	run_after(&f, 100);
	assert_str(hear(&f), S("hello\r\ntimer\r\nnotice\r\n"));
	assert_int_equal(session_due(f.session), 2000);
	assert_int_equal(run_after(&f, 600), SESSION_END);
	finish(&f);
}

/* Drip-feeding a stretch ends at the deadline; a steady flow does not. */
static void test_drip(void **state)
{
	struct fixture f;
	static char block[32 * 1024];

	(void)state;
	start(&f);
	say(&f, "DEADLINE 1000\r\nCOUNT 9000000\r\n");
	run_after(&f, 0);
	memset(block, 'x', sizeof block);
	for (int i = 0; i < 40; i++) {
		assert_int_equal(write(f.peer, block, sizeof block), sizeof block);
		assert_int_equal(run_after(&f, 300), SESSION_PARK);
	}
	for (int i = 0; i < 5; i++) {
		say(&f, "x");
		if (run_after(&f, 300) != SESSION_PARK)
			break;
	}
	assert_int_equal(f.session->phase,
			 PHASE_LINGER); /* in the middle of a stretch: what comes is dropped */
	assert_int_equal(run_after(&f, SESSION_LINGER_MS), SESSION_END);
	finish(&f);
}

/* A peer that takes nothing is dropped; one that takes a little now and then is not, nor is it idle. */
static void test_progress(void **state)
{
	struct fixture f;

	(void)state;
	start(&f);
	say(&f, "DEADLINE 1000\r\nBIG 300000\r\n");
	assert_int_equal(run_after(&f, 0), SESSION_PARK);
	assert_int_equal(f.session->want, EPOLLOUT); /* over the high water: no input */
	assert_int_equal(session_due(f.session), 1000 + SESSION_PROGRESS_MS);
	hear(&f);
	assert_int_equal(run_after(&f, SESSION_PROGRESS_MS - 1), SESSION_PARK);
	assert_int_equal(run_after(&f, SESSION_PROGRESS_MS - 1), SESSION_PARK);
	assert_int_equal(run_after(&f, 1), SESSION_END);
	finish(&f);
}

static void test_handshake(void **state)
{
	struct fixture f;

	(void)state;
	start(&f);
	session_begin_tls(f.session);
	assert_int_equal(run_after(&f, 0), SESSION_PARK); /* no byte yet: no TLS state either */
	assert_null(f.session->stream.tls);
	assert_int_equal(session_due(f.session), 1000 + SESSION_HANDSHAKE_MS);
	assert_int_equal(run_after(&f, SESSION_HANDSHAKE_MS), SESSION_END);
	assert_false(f.session->opened);
	finish(&f);
}

/* Its last words are taken in time, or not at all. */
static void test_closing(void **state)
{
	struct fixture f;

	(void)state;
	start(&f);
	say(&f, "BIG 100000\r\nQUIT\r\n");
	assert_int_equal(run_after(&f, 0), SESSION_PARK);
	assert_int_equal(f.session->phase, PHASE_CLOSING);
	assert_int_equal(run_after(&f, SESSION_CLOSING_MS), SESSION_END);
	finish(&f);
}

static void test_pause(void **state)
{
	struct fixture f;

	(void)state;
	start(&f);
	say(&f, "DEADLINE 100\r\nPAUSE 5000\r\nECHO x\r\n");
	assert_int_equal(run_after(&f, 0), SESSION_PARK);
	assert_int_equal(f.session->want, 0);
	assert_int_equal(session_due(f.session),
			 6000); /* the peer is not idle while we make it wait */
	atomic_fetch_or(&f.session->wakes, WAKE_BIT_NOTICE);
	run_after(&f, 4999);
	assert_str(hear(&f), S("hello\r\n"));
	run_after(&f, 1);
	assert_str(hear(&f), S("resumed\r\nnotice\r\nx\r\n"));
	close(f.peer);
	f.peer = dup(0);
	assert_int_equal(run_after(&f, 1), SESSION_END);
	finish(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_idle),      cmocka_unit_test(test_notice_is_not_input),
		cmocka_unit_test(test_drip),      cmocka_unit_test(test_progress),
		cmocka_unit_test(test_handshake), cmocka_unit_test(test_closing),
		cmocka_unit_test(test_pause),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
