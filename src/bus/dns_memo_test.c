/* What is kept of DNS, for how long, and that relay is not asked meanwhile. */
#include "base/unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/env.h"
#include "bus/dns_memo.h"
#include "bus/relay_dns.h"
#include "bus/server.h"

enum { TXT = 16, MX = 15, NOW = 1000000 };

struct fixture {
	struct arena *a;
	struct dns_memo memo;
};

static int start(void **state)
{
	struct fixture *f = test_calloc(1, sizeof *f);

	f->a = arena_new(16 << 20);
	dns_memo_init(&f->memo);
	*state = f;
	return 0;
}

static int stop(void **state)
{
	struct fixture *f = *state;

	dns_memo_free(&f->memo);
	arena_free(&f->a);
	test_free(f);
	return 0;
}

static struct dns_answer answer_with(const str *records, size_t n, u32 ttl)
{
	return (struct dns_answer){ .status = n ? DNS_OK : DNS_NODATA,
				    .secure = true,
				    .canonical = S("a.example"),
				    .records = records,
				    .records_n = n,
				    .ttl = ttl };
}

static bool is_kept(struct fixture *f, str name, u32 type, u64 now)
{
	struct dns_answer out;

	return dns_memo_find(&f->memo, f->a, name, type, now, &out);
}

static void test_found(void **state)
{
	struct fixture *f = *state;
	u8 changing[] = "one";
	str records[] = { str_from(changing, 3), S("\0two"), STR_NONE };
	struct dns_answer in = answer_with(records, 3, 30), out;

	dns_memo_put(&f->memo, f->a, S("A.example"), TXT, NOW, &in);
	changing[0] = 'x'; /* a copy is kept */
	assert_true(dns_memo_find(&f->memo, f->a, S("a.EXAMPLE"), TXT, NOW + 10000, &out));
	assert_int_equal(out.status, DNS_OK);
	assert_true(out.secure);
	assert_int_equal(out.records_n, 3);
	assert_str(out.records[0], S("one"));
	assert_str(out.records[1], S("\0two"));
	assert_str(out.records[2], S(""));
	assert_str(out.canonical, S("a.example"));
	assert_int_equal(out.ttl, 20);
	assert_false(is_kept(f, S("a.example"), MX, NOW));
	assert_false(is_kept(f, S("b.example"), TXT, NOW));
	/* and what was found is the asker's own, whatever comes after */
	in = answer_with(records, 0, 30);
	dns_memo_put(&f->memo, f->a, S("a.example"), TXT, NOW, &in);
	assert_str(out.records[0], S("one"));
	assert_true(dns_memo_find(&f->memo, f->a, S("a.example"), TXT, NOW, &out));
	assert_int_equal(out.status, DNS_NODATA);
	assert_int_equal(out.records_n, 0);
}

static void test_lifetimes(void **state)
{
	struct fixture *f = *state;
	static const struct {
		enum dns_status status;
		str canonical;
		u32 ttl;
		u64 life;
	} rows[] = {
		{ DNS_OK, S("a.example"), 30, 30000 },
		{ DNS_OK, S("a.example"), 86400, DNS_MEMO_MS },
		{ DNS_OK, S("a.example"), UINT32_MAX, DNS_MEMO_MS },
		{ DNS_OK, S("b.example"), 30, DNS_MEMO_ALIAS_MS },
		{ DNS_OK, S("b.example"), 2, 2000 },
		{ DNS_OK, S("a.example"), 0, 0 },
		{ DNS_NODATA, S("a.example"), 30, 30000 },
		{ DNS_NXDOMAIN, S("a.example"), 900, DNS_MEMO_MS },
		{ DNS_TEMPFAIL, S("a.example"), 30, 0 },
		{ DNS_BOGUS, S("a.example"), 30, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct dns_answer in = { .status = rows[i].status,
					 .canonical = rows[i].canonical,
					 .ttl = rows[i].ttl };
		u64 now = NOW * (i + 1); /* the row before is over */
		dns_memo_put(&f->memo, f->a, S("a.example"), TXT, now, &in);
		assert_int_equal(is_kept(f, S("a.example"), TXT, now), rows[i].life > 0);
		if (rows[i].life > 0)
			assert_true(is_kept(f, S("a.example"), TXT, now + rows[i].life - 1));
		assert_false(is_kept(f, S("a.example"), TXT, now + rows[i].life));
	}
}

/* Too large: not kept, and what was there before is not given for it. */
static void test_large(void **state)
{
	struct fixture *f = *state;
	str record = str_from(arena_alloc(f->a, DNS_MEMO_BYTES), DNS_MEMO_BYTES);
	struct dns_answer small = answer_with(&record, 0, 30), large = answer_with(&record, 1, 30);

	dns_memo_put(&f->memo, f->a, S("a.example"), TXT, NOW, &small);
	dns_memo_put(&f->memo, f->a, S("a.example"), TXT, NOW, &large);
	assert_false(is_kept(f, S("a.example"), TXT, NOW));
	dns_memo_put(&f->memo, f->a, S("a.example"), TXT, NOW, &small);
	assert_true(is_kept(f, S("a.example"), TXT, NOW));
}

/* More names than slots: each one found gives its own answer, never another's. */
static void test_many(void **state)
{
	struct fixture *f = *state;
	size_t found = 0;

	for (int put = 1; put >= 0; put--)
		for (u32 i = 0; i < 3 * DNS_MEMO_SLOTS; i++) {
			str name = str_format(f->a, "n%u.example", i);
			struct dns_answer in = answer_with(&name, 1, 30), out;
			if (put) {
				dns_memo_put(&f->memo, f->a, name, TXT, NOW, &in);
			} else if (dns_memo_find(&f->memo, f->a, name, TXT, NOW, &out)) {
				assert_str(out.records[0], name);
				found++;
			}
		}
	assert_true(found > DNS_MEMO_SLOTS / 2 && found <= DNS_MEMO_SLOTS);
}

/* A sender who writes all the time stays known, whatever else comes by; with a quarter of the room in use next to nothing is asked twice. */
static void test_room(void **state)
{
	struct fixture *f = *state;
	struct dns_answer in = answer_with(NULL, 0, 30);
	size_t found = 0;

	dns_memo_put(&f->memo, f->a, S("a.example"), TXT, NOW, &in);
	for (u32 i = 0; i < 5 * DNS_MEMO_SLOTS; i++) {
		str name = str_format(f->a, "o%u.example", i);
		dns_memo_put(&f->memo, f->a, name, TXT, NOW, &in);
		if (i % 16 == 0)
			arena_reset(f->a);
		assert_true(is_kept(f, S("a.example"), TXT, NOW));
	}
	for (int put = 1; put >= 0; put--)
		for (u32 i = 0; i < DNS_MEMO_SLOTS / 4; i++) {
			str name = str_format(f->a, "_dmarc.d%u.example", i);
			if (put)
				dns_memo_put(&f->memo, f->a, name, TXT, NOW, &in);
			else
				found += is_kept(f, name, TXT, NOW);
		}
	assert_true(found > DNS_MEMO_SLOTS / 4 * 95 / 100);
}

/* --- Over the bus ------------------------------------------------------------------------------------------------ */

struct relay {
	struct bus_server *server;
	_Atomic(struct bus_call *) kept; /* answered too late */
	atomic_int asked;
};

static void dispatch(void *context, struct bus_call *call)
{
	struct relay *r = context;
	const struct relay_dns_query_request *q = call->request;
	struct relay_dns_query_answer *answer = call->answer;

	if (str_eq(q->name, S("kept.example"))) {
		atomic_store(&r->kept, call);
		return;
	}
	answer->status = q->type == TXT ? DNS_OK : DNS_TEMPFAIL;
	answer->canonical = q->name;
	answer->ttl = 3600;
	atomic_fetch_add(&r->asked, 1);
	bus_answer(&call, NULL);
}

static void gone(void *context, const struct bus_peer *peer)
{
	(void)context;
	(void)peer;
}

static void *run(void *context)
{
	bus_server_run(context);
	return NULL;
}

struct coming {
	struct relay *relay;
	struct bus *bus;
};

static void *bring_relay(void *context)
{
	struct coming *c = context;
	int fds[2];

	usleep(30 * 1000);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	bus_server_add(c->relay->server, fds[0], CALLER_MX, 0);
	bus_replace(c->bus, fds[1]);
	return NULL;
}

/* A question waits for a relay that begins anew, within its budget. */
static void test_new_relay(void **state)
{
	struct fixture *f = *state;
	struct relay r = { .asked = 0 };
	struct coming coming = { &r, bus_new(-1) };
	struct relay_dns dns;
	struct dns_source source;
	struct dns_answer out;
	pthread_t thread, bringer;

	r.server = bus_server_new(relay_methods, relay_methods_n, dispatch, gone, &r);
	assert_int_equal(pthread_create(&thread, NULL, run, r.server), 0);
	source = relay_dns_source(&dns, coming.bus, 20);
	source.query(source.context, f->a, S("b.example"), TXT, &out);
	assert_int_equal(out.status, DNS_TEMPFAIL);
	assert_int_equal(pthread_create(&bringer, NULL, bring_relay, &coming), 0);
	source = relay_dns_source(&dns, coming.bus, 60000);
	source.query(source.context, f->a, S("b.example"), TXT, &out);
	assert_int_equal(out.status, DNS_OK);
	pthread_join(bringer, NULL);
	bus_free(&coming.bus);
	bus_server_stop(r.server);
	pthread_join(thread, NULL);
	bus_server_free(&r.server);
}

static void test_relay(void **state)
{
	struct fixture *f = *state;
	struct relay r = { .asked = 0 };
	struct relay_dns dns;
	struct dns_source source;
	struct dns_answer out;
	struct bus *bus;
	struct bus_call *kept;
	pthread_t thread;
	u64 before;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	r.server = bus_server_new(relay_methods, relay_methods_n, dispatch, gone, &r);
	bus_server_add(r.server, fds[0], CALLER_MX, 0);
	assert_int_equal(pthread_create(&thread, NULL, run, r.server), 0);
	bus = bus_new(fds[1]);
	for (int i = 0; i < 3; i++) {
		source = relay_dns_source(&dns, bus, 20000);
		source.query(source.context, f->a, S("a.example"), TXT, &out);
		assert_int_equal(out.status, DNS_OK);
		source.query(source.context, f->a, S("a.example"), MX, &out);
		assert_int_equal(out.status, DNS_TEMPFAIL);
	}
	assert_int_equal(r.asked, 1 + 3); /* trouble is asked about each time */
	/* The budget is kept though the relay stands still: a bus call has 60 s. */
	source = relay_dns_source(&dns, bus, 100);
	before = env_monotonic(env_system());
	source.query(source.context, f->a, S("kept.example"), TXT, &out);
	assert_int_equal(out.status, DNS_TEMPFAIL);
	assert_true(env_monotonic(env_system()) - before < BUS_CALL_MS / 2);
	while ((kept = atomic_load(&r.kept)) == NULL)
		usleep(1000);
	bus_answer(&kept, NULL);
	source = relay_dns_source(&dns, bus, 0);
	source.query(source.context, f->a, S("a.example"), TXT, &out);
	assert_int_equal(out.status, DNS_TEMPFAIL); /* the budget is over, whatever is known */
	bus_free(&bus);
	bus_server_stop(r.server);
	pthread_join(thread, NULL);
	bus_server_free(&r.server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_found, start, stop),
		cmocka_unit_test_setup_teardown(test_lifetimes, start, stop),
		cmocka_unit_test_setup_teardown(test_large, start, stop),
		cmocka_unit_test_setup_teardown(test_many, start, stop),
		cmocka_unit_test_setup_teardown(test_room, start, stop),
		cmocka_unit_test_setup_teardown(test_relay, start, stop),
		cmocka_unit_test_setup_teardown(test_new_relay, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
