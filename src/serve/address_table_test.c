/* Sessions per address: caps, /64, two edges, an edge that dies, many threads. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/fd.h"
#include "serve/address_table.h"

#define V4(last) S("\xC0\0\2" last)
#define V6(net, host) S("\x20\1\x0D\xB8\0\0\0" net "\0\0\0\0\0\0\0" host)

static struct arena *arena;
static struct address_table *edges[2];

static int setup(void **state)
{
	int fd;

	(void)state;
	arena = arena_new(1 << 16);
	assert_null(address_table_new(arena, 2, &fd));
	for (u32 i = 0; i < 2; i++)
		assert_null(address_table_open(arena, fd, i, &edges[i]));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_free(&arena);
	return 0;
}

static void test_cap_over_two_edges(void **state)
{
	(void)state;
	assert_true(address_table_take(edges[0], V4("\1"), 2));
	assert_true(address_table_take(edges[1], V4("\1"), 2));
	assert_false(address_table_take(edges[0], V4("\1"), 2));
	assert_false(address_table_take(edges[1], V4("\1"), 2));
	assert_true(address_table_take(edges[1], V4("\2"), 2));
	address_table_give(edges[1], V4("\1"));
	assert_true(address_table_take(edges[0], V4("\1"), 2));
}

static void test_networks(void **state)
{
	(void)state;
	assert_true(address_table_take(edges[0], V6("\1", "\1"), 1));
	assert_false(address_table_take(edges[0], V6("\1", "\2"), 1));
	assert_true(address_table_take(edges[0], V6("\2", "\1"), 1));
	assert_true(address_table_take(edges[0], V4("\1"), 1));
	assert_false(address_table_take(edges[0], S("\0\0\0\0\0\0\0\0\0\0\xFF\xFF\xC0\0\2\1"), 1));
}

static void test_edge_dies(void **state)
{
	(void)state;
	assert_true(address_table_take(edges[0], V4("\1"), 2));
	assert_true(address_table_take(edges[1], V4("\1"), 2));
	address_table_clear(edges[0], 1);
	assert_true(address_table_take(edges[0], V4("\1"), 2));
	assert_false(address_table_take(edges[0], V4("\1"), 2));
}

static atomic_int inside, over;

static void *taker(void *edge)
{
	for (int i = 0; i < 20000; i++) {
		if (!address_table_take(edge, V4("\7"), 3))
			continue;
		if (++inside > 3)
			over++;
		inside--;
		address_table_give(edge, V4("\7"));
	}
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t t[6];

	(void)state;
	for (int i = 0; i < 6; i++)
		pthread_create(&t[i], NULL, taker, edges[i % 2]);
	for (int i = 0; i < 6; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(over, 0);
	for (int i = 0; i < 3; i++) /* nothing was left behind */
		assert_true(address_table_take(edges[0], V4("\7"), 3));
	assert_false(address_table_take(edges[0], V4("\7"), 3));
}

/* Neighbours must not share counters: of 200 addresses side by side, each once, hardly any may find its counters taken. */
static void test_neighbours(void **state)
{
	u8 four[4] = { 192, 0, 2 }, six[16] = { 0x20, 1, 0x0D, 0xB8 };
	int refused = 0;

	(void)state;
	for (int i = 0; i < 100; i++) {
		four[3] = six[7] = (u8)i;
		refused += !address_table_take(edges[0], str_from(four, 4), 1);
		refused += !address_table_take(edges[0], str_from(six, 16), 1);
	}
	assert_true(refused <= 2);
}

static void test_nonsense(void **state)
{
	struct address_table *t;
	int fd;

	(void)state;
	assert_null(fd_from_str(arena, S("no table"), &fd));
	assert_non_null(address_table_open(arena, fd, 0, &t));
	assert_null(address_table_new(arena, 2, &fd));
	assert_non_null(address_table_open(arena, fd, 2, &t));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(test_cap_over_two_edges), TEST(test_networks),
					    TEST(test_edge_dies),          TEST(test_threads),
					    TEST(test_neighbours),         TEST(test_nonsense) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
