#include "base/unit.h"

#include <sys/socket.h>
#include <unistd.h>

#include "bus/office.h"
#include "office/notice/notice.h"

static int pair_add(struct notice *n, u32 instance)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	notice_edge(n, instance, fds[0]);
	return fds[1];
}

static i64 heard(int fd)
{
	u64 number = 0;

	return recv(fd, &number, sizeof number, MSG_DONTWAIT) == sizeof number ? (i64)number : -1;
}

static void test_who_hears_what(void **state)
{
	struct notice *n = notice_new(env_system());
	struct arena *a = arena_new(1 << 16);
	struct bus_peer one = { .instance = 0, .number = 10 },
			two = { .instance = 1, .number = 11 };
	int first = pair_add(n, 0), second = pair_add(n, 1);

	(void)state;
	assert_ok(notice_watch(n, a, &one, 7, 70, 1));
	assert_ok(notice_watch(n, a, &two, 7, 0, 2));
	notice_changed(n, 7, 70);
	assert_int_equal(heard(first), 1);
	assert_int_equal(heard(second), 2);
	notice_changed(n, 7, 71);
	assert_int_equal(heard(first), -1);
	assert_int_equal(heard(second), 2);
	notice_changed(n, 8, 70);
	assert_int_equal(heard(second), -1);

	notice_unwatch(n, &two, 1); /* another's number */
	notice_changed(n, 7, 70);
	assert_int_equal(heard(first), 1);
	notice_unwatch(n, &one, 1);
	notice_peer_gone(n, 11);
	(void)heard(second);
	notice_changed(n, 7, 70);
	assert_int_equal(heard(first), -1);
	assert_int_equal(heard(second), -1);
	assert_fail(notice_watch(n, a, &one, 7, 70, NOTICE_OVERFLOW), FAIL_INVALID);
	close(first);
	close(second);
	arena_free(&a);
	notice_free(&n);
}

/* Watches of one account are few: each of its changes goes through all of them. */
static void test_watches_of_one_account(void **state)
{
	struct notice *n = notice_new(env_system());
	struct arena *a = arena_new(1 << 16);
	const struct bus_peer peer = { .role = CALLER_CLIENT, .instance = 1, .number = 5 };

	(void)state;
	for (u64 i = 1; i <= NOTICE_ACCOUNT; i++)
		assert_null(notice_watch(n, a, &peer, 1, 0, i));
	assert_non_null(notice_watch(n, a, &peer, 1, 0, NOTICE_ACCOUNT + 1));
	assert_null(notice_watch(n, a, &peer, 2, 0, NOTICE_ACCOUNT + 1));
	notice_peer_gone(n, peer.number);
	assert_null(notice_watch(n, a, &peer, 1, 0, 1));
	arena_free(&a);
	notice_free(&n);
}

static void test_overflow(void **state)
{
	struct notice *n = notice_new(env_system());
	struct arena *a = arena_new(1 << 16);
	struct bus_peer peer = { .instance = 3, .number = 10 };
	int fd = pair_add(n, 3);
	size_t got = 0;

	(void)state;
	assert_ok(notice_watch(n, a, &peer, 7, 70, 5));
	for (size_t i = 0; i < 5000; i++)
		notice_changed(n, 7, 70);
	while (heard(fd) == 5)
		got++;
	assert_in_range(got, 1, 4999);
	notice_retry(n);
	assert_int_equal(heard(fd), NOTICE_OVERFLOW);
	assert_int_equal(heard(fd), -1);
	notice_changed(n, 7, 70);
	assert_int_equal(heard(fd), 5);
	close(fd);
	notice_changed(n, 7, 70); /* nobody there: no harm */
	arena_free(&a);
	notice_free(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_who_hears_what),
					    cmocka_unit_test(test_watches_of_one_account),
					    cmocka_unit_test(test_overflow) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
