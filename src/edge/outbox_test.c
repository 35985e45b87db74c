/* Events on their way: all that fit arrive, in order, in calls of bounded size; an office that does not answer costs memory up to a limit. */
#include <poll.h>

#include "edge/fake_test.h"
#include "edge/outbox.h"

#include "base/unit_arena.h"

enum { CALLS = 4096 };

struct desk {
	struct fake_peers peers;
	pthread_mutex_t gate; /* held by the test: the office does not answer */
	size_t calls, sizes[CALLS];
	u64 records, facts, last, refused;
	bool disorder, full; /* full: of the disk */
};

static const struct fail *take_events(struct bus_call *call)
{
	const struct office_event_add_request *q = call->request;
	struct desk *d = call->context;

	pthread_mutex_lock(&d->gate);
	if (d->full) {
		d->refused++;
		pthread_mutex_unlock(&d->gate);
		return fail_new(call->arena, FAIL_STORAGE, "no room");
	}
	d->sizes[d->calls++ % CALLS] = q->events_n + q->facts_n;
	for (size_t i = 0; i < q->events_n; i++) {
		d->disorder |= q->events[i].message <= d->last;
		d->last = q->events[i].message;
	}
	d->records += q->events_n;
	d->facts += q->facts_n;
	pthread_mutex_unlock(&d->gate);
	return NULL;
}

static void office(void *context, struct bus_call *call)
{
	static const bus_serve_function table[] = { [5] = take_events };

	call->context = context;
	bus_serve(table, ARRAY_LEN(table), call);
}

static struct desk *desk_new(struct outbox **out)
{
	struct desk *d = arena_new_of(a, struct desk);

	assert_int_equal(pthread_mutex_init(&d->gate, NULL), 0);
	fake_peers_start(&d->peers, a, S("mx.example.test"), office);
	*out = outbox_start(a, d->peers.process.office);
	return d;
}

/* All that was put has arrived, or was dropped. */
static void desk_end(struct desk *d, struct outbox *o)
{
	outbox_stop(o);
	fake_peers_stop(&d->peers);
	pthread_mutex_destroy(&d->gate);
	assert_false(d->disorder);
}

static void put(struct outbox *o, u64 first, size_t records, size_t facts)
{
	struct arena *own = arena_new(1 << 20);
	struct outbox_parcel *p = arena_new_of(own, struct outbox_parcel);
	struct event_record *list = arena_array_of(own, records, struct event_record);

	for (size_t i = 0; i < records; i++)
		list[i] = (struct event_record){ .message = first + i,
						 .stage = S("mx"),
						 .code = S("lost"),
						 .arguments = S("{}") };
	*p = (struct outbox_parcel){ .arena = own,
				     .records = list,
				     .n = records,
				     .facts = arena_array_of(own, facts, struct dmarc_fact),
				     .facts_n = facts };
	outbox_put(o, p);
}

static void test_in_order(void **state)
{
	struct outbox *o;
	struct desk *d = desk_new(&o);

	(void)state;
	for (u64 i = 0; i < 900; i++)
		put(o, 1 + 3 * i, i % 4, i % 3 == 0);
	desk_end(d, o);
	assert_int_equal(d->records, 225 * (0 + 1 + 2 + 3));
	assert_int_equal(d->facts, 300);
	for (size_t i = 0; i < d->calls; i++)
		assert_in_range(d->sizes[i], 1, OUTBOX_CALL);
	assert_in_range(d->calls, (d->records + d->facts) / OUTBOX_CALL, 900);
}

/* One that is larger than a call goes by itself. */
static void test_large_parcel(void **state)
{
	struct outbox *o;
	struct desk *d = desk_new(&o);

	(void)state;
	put(o, 1, 3, 0);
	put(o, 10, OUTBOX_CALL + 44, 0);
	put(o, 1000, 3, 0);
	desk_end(d, o);
	assert_int_equal(d->records, OUTBOX_CALL + 44 + 6);
	for (size_t i = 0; i < d->calls; i++)
		assert_true(d->sizes[i] <= 6 || d->sizes[i] == OUTBOX_CALL + 44);
}

static void test_bounded(void **state)
{
	struct outbox *o;
	struct desk *d = desk_new(&o);

	(void)state;
	pthread_mutex_lock(&d->gate);
	for (u64 i = 0; i < 3 * (u64)OUTBOX_WAITING; i++)
		put(o, 1 + i, 1, 0);
	pthread_mutex_unlock(&d->gate);
	desk_end(d, o);
	/* What waited, and the one call that was under way. */
	assert_in_range(d->records, OUTBOX_WAITING, OUTBOX_WAITING + OUTBOX_CALL);
}

static u64 ask(struct desk *d, const u64 *number)
{
	u64 value;

	pthread_mutex_lock(&d->gate);
	value = *number;
	pthread_mutex_unlock(&d->gate);
	return value;
}

static void await(struct desk *d, const u64 *number, u64 least)
{
	for (int i = 0; i < 60000 && ask(d, number) < least; i++)
		poll(NULL, 0, 1);
	assert_true(ask(d, number) >= least);
}

static void set_full(struct desk *d, bool full)
{
	pthread_mutex_lock(&d->gate);
	d->full = full;
	pthread_mutex_unlock(&d->gate);
}

/* While the disk is full what comes waits, in order, as much of it as there is room for; with room again it arrives. */
static void test_full_disk(void **state)
{
	struct outbox *o;
	struct desk *d = desk_new(&o);

	(void)state;
	set_full(d, true);
	put(o, 1, 3, 2);
	await(d, &d->refused, 1);
	for (u64 i = 0; i < 3 * (u64)OUTBOX_WAITING; i++)
		put(o, 10 + i, 1, 0);
	await(d, &d->refused, 2);
	assert_int_equal(ask(d, &d->records), 0);
	set_full(d, false);
	await(d, &d->records, OUTBOX_WAITING - 2);
	assert_int_equal(ask(d, &d->facts), 2);
	desk_end(d, o);
	assert_in_range(d->records, OUTBOX_WAITING - 2, OUTBOX_WAITING + OUTBOX_CALL);
}

/* It ends all the same. */
static void test_stopped_on_a_full_disk(void **state)
{
	struct outbox *o;
	struct desk *d = desk_new(&o);

	(void)state;
	set_full(d, true);
	for (u64 i = 0; i < 1000; i++)
		put(o, 1 + i, 1, 0);
	await(d, &d->refused, 1);
	desk_end(d, o);
	assert_int_equal(d->records, 0);
}

/* What is put while the office begins anew reaches the next one. */
static void test_new_office(void **state)
{
	struct outbox *o;
	struct desk *d = desk_new(&o);
	struct bus *bus = d->peers.process.office;
	u64 records = 0;
	int pair[2];

	(void)state;
	bus_replace(bus, -1);
	put(o, 1, 3, 0);
	poll(NULL, 0, 3 * OUTBOX_GATHER_MS);
	put(o, 10, 3, 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	bus_server_add(d->peers.office, pair[0], CALLER_CLIENT, 0);
	bus_replace(bus, pair[1]);
	for (int i = 0; i < 10000 && records < 6; i++) {
		poll(NULL, 0, 1);
		pthread_mutex_lock(&d->gate);
		records = d->records;
		pthread_mutex_unlock(&d->gate);
	}
	assert_int_equal(records, 6);
	desk_end(d, o);
}

int main(void)
{
	const struct CMUnitTest tests[] = { UNIT_TEST(test_in_order),
					    UNIT_TEST(test_large_parcel),
					    UNIT_TEST(test_bounded),
					    UNIT_TEST(test_full_disk),
					    UNIT_TEST(test_stopped_on_a_full_disk),
					    UNIT_TEST(test_new_office) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
