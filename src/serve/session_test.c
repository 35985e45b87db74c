/* One session in its own thread over a socketpair; the test is the peer. */
#include "base/unit.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/env.h"
#include "serve/session_int.h"
#include "serve/toy_test.h"

struct peer {
	int fd, other;
	enum service service;
	pthread_t thread;
	struct buf got;
};

static void *serve(void *arg)
{
	struct peer *p = arg;

	serve_one(NULL, &toy_protocol, p->service, p->other);
	return NULL;
}

static void peer_start_as(struct peer *p, enum service service)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	*p = (struct peer){ .fd = pair[0], .other = pair[1], .service = service };
	buf_init(&p->got, 64 << 20);
	assert_int_equal(pthread_create(&p->thread, NULL, serve, p), 0);
}

static void peer_start(struct peer *p)
{
	peer_start_as(p, SERVICE_IMAP);
}

static void say(struct peer *p, const char *text)
{
	(void)!write(p->fd, text, strlen(text));
}

/* Until the session closes. */
static str hear_all(struct peer *p)
{
	ssize_t n;

	for (;;) {
		u8 *room = buf_room(&p->got, 65536);
		assert_non_null(room);
		n = read(p->fd, room, 65536);
		if (n <= 0)
			return buf_str(&p->got);
		buf_added(&p->got, (size_t)n);
	}
}

/* Until what was heard ends with text; 5 s. */
static void hear(struct peer *p, const char *text)
{
	str want = str_cstr(text);

	while (!(p->got.n >= want.n && memcmp(p->got.p + p->got.n - want.n, want.p, want.n) == 0)) {
		struct pollfd wait = { .fd = p->fd, .events = POLLIN };
		ssize_t n;
		u8 *room = buf_room(&p->got, 65536);
		if (poll(&wait, 1, 5000) != 1)
			fail_msg("waited for \"%s\", heard \"%.*s\"", text,
				 STR_ARG(buf_str(&p->got)));
		n = read(p->fd, room, 65536);
		if (n <= 0)
			fail_msg("waited for \"%s\", heard \"%.*s\" and the end", text,
				 STR_ARG(buf_str(&p->got)));
		buf_added(&p->got, (size_t)n);
	}
	buf_reset(&p->got);
}

static void peer_end(struct peer *p)
{
	close(p->fd);
	pthread_join(p->thread, NULL);
	buf_free(&p->got);
}

static void test_pipelined(void **state)
{
	struct peer p;

	(void)state;
	peer_start(&p);
	say(&p,
	    "ECHO one\r\nECHO two\r\nCOUNT 5\r\nabcdeECHO three\r\nDATA\r\n..x\r\ny\r\n.\r\nQUIT\r\n");
	assert_str(
	    hear_all(&p),
	    S("hello\r\none\r\ntwo\r\ntook 5 c450d697\r\nthree\r\ntook 7 a209cfb8\r\nbye\r\n"));
	peer_end(&p);
}

/* Half-closed: all that was asked is answered. */
static void test_half_closed(void **state)
{
	struct peer p;
	u32 gone_before = toy_gone, closed_before = toy_closed;

	(void)state;
	peer_start(&p);
	say(&p, "FILE 3000000\r\nECHO x\r\nECHO unfinis");
	shutdown(p.fd, SHUT_WR);
	str all = hear_all(&p);
	assert_int_equal(all.n, 7 + 3000000 + 15 + 3);
	assert_str(str_skip(all, all.n - 18), S("\r\nend of file\r\nx\r\n"));
	peer_end(&p);
	assert_int_equal(toy_gone, gone_before + 1);
	assert_int_equal(toy_closed, closed_before + 1);
}

static void test_vanished(void **state)
{
	struct peer p;
	u32 closed_before = toy_closed;

	(void)state;
	peer_start(&p);
	say(&p, "FLOOD 1000000\r\n");
	peer_end(&p);
	assert_int_equal(toy_closed, closed_before + 1);
}

static void test_bad_lines(void **state)
{
	struct peer p;
	char line[4000];

	(void)state;
	peer_start(&p);
	say(&p, "ECHO a\nECHO b\r\nECHO \r x\r\n");
	assert_int_equal(write(p.fd, "ECHO \0\r\n", 8), 8);
	memset(line, 'x', sizeof line);
	memcpy(line + sizeof line - 2, "\r\n", 2);
	assert_int_equal(write(p.fd, line, sizeof line), sizeof line);
	say(&p, "ECHO c\r\nQUIT\r\n");
	assert_str(hear_all(&p),
		   S("hello\r\nbad 1\r\nb\r\nbad 1\r\nbad 2\r\nbad 0\r\nc\r\nbye\r\n"));
	peer_end(&p);
}

static void test_endless_line(void **state)
{
	struct peer p;
	char line[4096];
	size_t sent = 0;
	ssize_t n;

	(void)state;
	peer_start(&p);
	memset(line, 'x', sizeof line);
	while ((n = send(p.fd, line, sizeof line, MSG_NOSIGNAL)) > 0)
		sent += (size_t)n;
	assert_true(sent < 4 * SESSION_DISCARD);
	peer_end(&p);
}

/* A smuggled end of data: refused, and what follows is not taken for commands. */
static void test_smuggled(void **state)
{
	struct peer p;

	(void)state;
	peer_start(&p);
	say(&p, "DATA\r\nx\r\n.\nECHO smuggled\r\n.\r\nECHO smuggled\r\n");
	assert_str(hear_all(&p), S("hello\r\nbad 1\r\n"));
	peer_end(&p);
}

static void test_sink_fails(void **state)
{
	struct peer p;

	(void)state;
	peer_start(&p);
	say(&p, "COUNT 10\r\n12345%7890COUNT 2\r\nokQUIT\r\n");
	assert_str(hear_all(&p),
		   S("hello\r\nrefused: no percent signs\r\ntook 2 6ecb6070\r\nbye\r\n"));
	peer_end(&p);
}

static bool heard_within(struct peer *p, int ms)
{
	return poll(&(struct pollfd){ .fd = p->fd, .events = POLLIN }, 1, ms) > 0;
}

static u64 now(void)
{
	return env_monotonic(env_system());
}

static void test_times(void **state)
{
	struct peer p;
	u64 begin = now();

	(void)state;
	peer_start(&p);
	say(&p, "PAUSE 120\r\nECHO after\r\n");
	hear(&p, "resumed\r\nafter\r\n");
	assert_true(now() - begin >= 115);
	say(&p, "TIMER 50\r\n");
	hear(&p, "timer\r\n");
	say(&p, "DEADLINE 150\r\nECHO");
	for (int drips = 0; !heard_within(&p, 20); drips++) {
		assert_true(drips < 500); /* a drip does not count: else there would be no end */
		say(&p, " ");
	}
	hear(&p, "idle\r\n");
	assert_int_equal(hear_all(&p).n, 0);
	peer_end(&p);
}

static void test_slow_reader(void **state)
{
	struct peer p;
	str all;

	(void)state;
	peer_start(&p);
	say(&p, "FLOOD 400000\r\nBIG 1000000\r\nFILE 100000\r\nFILE 100\r\nECHO end\r\nQUIT\r\n");
	usleep(200000);
	all = hear_all(&p);
	assert_int_equal(all.n, 7 + 4000000 + 9 + 1000002 + 100000 + 15 + 100 + 15 + 5 + 5);
	assert_str(str_skip(all, all.n - 25), S("\r\nend of file\r\nend\r\nbye\r\n"));
	peer_end(&p);
}

/* Law 11: who does not log in may not say much. */
static void test_stranger(void **state)
{
	struct peer p;
	size_t sent = 0;
	u32 gone = toy_gone;

	(void)state;
	peer_start_as(&p, SERVICE_POP3);
	while (send(p.fd, "ECHO 0123456789012345678901234\r\n", 32, MSG_NOSIGNAL) == 32) {
		sent += 32;
		hear(&p, "\n");
		if (sent > SESSION_BEFORE_LOGIN - 32)
			break;
	}
	send(p.fd, "ECHO 0123456789012345678901234\r\n", 32, MSG_NOSIGNAL);
	hear_all(&p);
	assert_in_range(sent, SESSION_BEFORE_LOGIN - 64, SESSION_BEFORE_LOGIN);
	peer_end(&p);
	assert_int_equal(toy_gone, gone + 1); /* its protocol has heard of it */
}

static void test_has_input(void **state)
{
	struct peer p;

	(void)state;
	peer_start(&p);
	say(&p, "PEEK\r\nPEEK\r\n");
	hear(&p, "hello\r\nmore\r\nnone\r\n");
	peer_end(&p);
}

/* THREATS T01: bytes that wait behind STARTTLS end the session; so does STARTTLS where there is no TLS. */
static void test_starttls_injected(void **state)
{
	struct peer p;

	(void)state;
	peer_start(&p);
	say(&p, "TLS\r\nECHO injected\r\n");
	assert_int_equal(str_find_str(hear_all(&p), S("injected")), SIZE_MAX);
	peer_end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pipelined),         cmocka_unit_test(test_half_closed),
		cmocka_unit_test(test_vanished),          cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_endless_line),      cmocka_unit_test(test_smuggled),
		cmocka_unit_test(test_sink_fails),        cmocka_unit_test(test_times),
		cmocka_unit_test(test_slow_reader),       cmocka_unit_test(test_has_input),
		cmocka_unit_test(test_starttls_injected), cmocka_unit_test(test_stranger),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
