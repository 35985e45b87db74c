/*
 * The whole mta: a fake office on a real bus hands out jobs for domains of a real nsd; scripted servers stand on 127.0.0.2 and
 * 127.0.0.3, on one port. What attempt_done brings back is what the office would keep.
 */
#include <errno.h>
#include <signal.h>

#include "relay/dns/nsd_test.h"
#include "relay/mta/fake_test.h"

#include "base/env.h"
#include "base/fd.h"
#include "bus/office.h"
#include "text/dns_rdata.h"
#include "relay/dns/service.h"
#include "relay/mta/mta.h"

#define HELLO "> 220 fake\n< EHLO me.test\n> 250 fake\n"
#define MAIL \
	"< MAIL FROM:<s@me.test>\n> 250 ok\n< RCPT TO:<\n> 250 ok\n< DATA\n> 354 go\n.\n> 250 2.0.0 got it\n"

static struct nsd nsd;

static const struct nsd_zone zones[] = {
	{ "example.test",
	  "two IN MX 10 a\ntwo IN MX 20 b\na IN A 127.0.0.2\nb IN A 127.0.0.3\nnull IN MX 0 .\nbare IN A 127.0.0.2\n"
	  "none IN TXT x\nloop IN MX 5 me\ntwice IN MX 5 me\ntwice IN MX 10 a\ntwice IN MX 20 me\nbackup IN MX 10 me\nbackup IN MX 10 a\nbackup IN MX 5 b\nme IN A 127.0.0.2\n"
	  "lost IN MX 10 nowhere\ndead IN MX 10 closed\nclosed IN A 127.0.0.9\nhidden IN MX 10 closed\nhidden IN MX 20 c\nbeside IN MX 10 closed\nbeside IN MX 10 c\nc IN A 127.0.0.6\nsix IN AAAA ::1\n"
	  "hole IN MX 10 both\nboth IN AAAA ::1\nboth IN A 127.0.0.4\nonce IN A 127.0.0.5\n",
	  false },
};

enum { MAILS = 32 }; /* of all tests together */

struct world {
	struct arena *arena;
	struct config *config;
	struct resolver *resolver;
	struct bus_server *office;
	pthread_t office_thread;
	struct mta *mta;
	pthread_mutex_t lock; /* protects what follows */
	pthread_cond_t changed;
	struct bus_call *waiting; /* next_job calls without a job */
	struct job *jobs;
	size_t jobs_n, given;
	size_t
	    forgets; /* results that are answered as by a new office, which gives out the job again */
	bool repeats; /* a result is taken, and the job given out again before the answer */
	struct bus_call *told;                /* that answer: waits for somebody to give it to */
	struct job *again;                    /* that one */
	struct attempt_result results[MAILS]; /* by job, first entry */
	str hosts[MAILS];
	size_t done_n;
};

static _Atomic bool office_broken;
static struct world the_world, *world = &the_world;

static const struct mta_times times = {
	.connect = 4000,
	.greeting = 4000,
	.handshake = 4000,
	.command = 4000,
	.mail = 4000,
	.rcpt = 4000,
	.data = 4000,
	.block = 4000,
	.final = 4000,
	.quit = 50,
	.dns = 3000,
	.idle = 2000,
	.family = 60 * 1000,
};

/* Answers those who wait while there are jobs. */
static void office_give(struct world *w)
{
	while (w->waiting && (w->again || w->given < w->jobs_n)) {
		struct bus_call *call = w->waiting;
		struct office_next_job_answer *answer = call->answer;
		w->waiting = call->next;
		answer->jobs = w->again ? w->again : &w->jobs[w->given++];
		answer->jobs_n = 1;
		w->again = NULL;
		bus_answer(&call, NULL);
	}
}

static void office_done(struct world *w, const struct office_attempt_done_request *q)
{
	size_t i = (size_t)q->job;

	w->results[i] = q->results[0];
	w->results[i].code = str_copy(w->arena, q->results[0].code);
	w->results[i].text = str_copy(w->arena, q->results[0].text);
	w->hosts[i] = str_copy(w->arena, q->remote_mta);
	w->done_n++;
	pthread_cond_signal(&w->changed);
}

/* Whoever gets it looks at it before the other hears that its result was taken; if not, the test sees less. */
static void office_repeat(struct world *w)
{
	const struct office_attempt_done_request *q;

	if (w->told == NULL || w->waiting == NULL)
		return;
	q = w->told->request;
	w->again = &w->jobs[q->job];
	office_give(w);
	poll(NULL, 0, 100);
	bus_answer(&w->told, NULL);
}

static void office_dispatch(void *context, struct bus_call *call)
{
	struct world *w = context;

	pthread_mutex_lock(&w->lock);
	if (str_eq(str_cstr(call->method->name), S("office.next_job"))) {
		call->next = w->waiting;
		w->waiting = call;
		office_give(w);
		office_repeat(w);
	} else if (str_eq(str_cstr(call->method->name), S("office.job_message"))) {
		static const struct fail gone = FAIL_STATIC(NOT_FOUND, "no such job");
		struct office_job_message_answer *answer = call->answer;
		assert_null(
		    fd_from_str(call->arena, S("Subject: x\r\n\r\nbody\r\nSKEL"), &answer->body));
		answer->size = 20;
		answer->skeleton = 4;
		bus_answer(&call, office_broken ? &gone : NULL);
	} else if (str_eq(str_cstr(call->method->name), S("office.leave"))) {
		bus_answer(&call, NULL);
	} else if (w->forgets) {
		static const struct fail denied = FAIL_STATIC(DENIED, "not in your hands");
		const struct office_attempt_done_request *q = call->request;
		w->forgets--;
		w->again = &w->jobs[q->job];
		bus_answer(&call, &denied);
		office_give(w);
	} else {
		office_done(w, call->request);
		if (w->repeats)
			w->told = call;
		else
			bus_answer(&call, NULL);
		w->repeats = false;
		office_repeat(w);
	}
	pthread_mutex_unlock(&w->lock);
}

static void office_gone(void *context, const struct bus_peer *peer)
{
	(void)context;
	(void)peer;
}

static void *office_run(void *context)
{
	bus_server_run(context);
	return NULL;
}

static struct config *world_config(struct arena *a)
{
	struct config *c = config_default(a);
	str *server = arena_new_of(a, str);

	*server = str_format(a, "127.0.0.1:%u", nsd.port);
	c->dns_servers = (struct str_list){ server, 1 };
	c->dns_trust_anchors = (struct str_list){ NULL, 0 };
	c->server_hostname = S("me.example.test");
	c->relay_helo = S("me.test");
	c->relay_local_networks = true;
	return c;
}

static void world_start(struct world *w, u32 port)
{
	int pair[2];

	memset(w, 0, sizeof *w);
	w->arena = arena_new(4 << 20);
	w->config = world_config(w->arena);
	w->config->relay_port = port;
	w->jobs = arena_array_of(w->arena, MAILS, struct job);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->changed, NULL);
	assert_ok(resolver_new(w->arena, w->config, &w->resolver));
	assert_ok(resolver_start(w->resolver));
	assert_ok(mta_new(w->arena, w->config, w->resolver, &times, &w->mta));
	w->office =
	    bus_server_new(office_methods, office_methods_n, office_dispatch, office_gone, w);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	bus_server_add(w->office, pair[0], CALLER_RELAY, 0);
	assert_int_equal(pthread_create(&w->office_thread, NULL, office_run, w->office), 0);
	assert_ok(mta_start(w->mta, bus_new(pair[1])));
}

/* All jobs so far are done. */
static void world_wait(struct world *w)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += 10;
	pthread_mutex_lock(&w->lock);
	while (w->done_n < w->jobs_n)
		assert_int_equal(pthread_cond_timedwait(&w->changed, &w->lock, &t), 0);
	pthread_mutex_unlock(&w->lock);
}

static size_t world_send(struct world *w, const char *domain)
{
	struct job_entry *e = arena_new_of(w->arena, struct job_entry);
	size_t i;

	pthread_mutex_lock(&w->lock);
	assert_true(w->jobs_n < MAILS);
	i = w->jobs_n++;
	e->address = str_format(w->arena, "r@%s", domain);
	w->jobs[i] = (struct job){ .id = i,
				   .kind = JOB_RELAY,
				   .sender = S("s@me.test"),
				   .domain = str_cstr(domain),
				   .entries = e,
				   .entries_n = 1 };
	office_give(w);
	pthread_mutex_unlock(&w->lock);
	return i;
}

static void expect(struct world *w, const char *domain, enum attempt_outcome outcome,
		   const char *code)
{
	size_t i = world_send(w, domain);

	world_wait(w);
	if (w->results[i].outcome != outcome || !str_eq(w->results[i].code, str_cstr(code)))
		fail_msg("%s: %u %.*s %.*s", domain, w->results[i].outcome,
			 STR_ARG(w->results[i].code), STR_ARG(w->results[i].text));
}

static int start(void **state)
{
	(void)state;
	(void)nsd_start(&nsd, zones, ARRAY_LEN(zones)); /* not installed: the tests skip */
	if (nsd.pid > 0)
		world_start(world, nsd_free_port());
	return 0;
}

static int stop(void **state)
{
	(void)state;
	nsd_stop(&nsd);
	return 0; /* the workers wait for ever, as in life: the process ends them */
}

#define NEED_NSD          \
	if (nsd.pid <= 0) \
	skip()

/* What DNS settles alone (THREATS N03, N05, Q14). */
static void test_domains(void **state)
{
	(void)state;
	NEED_NSD;
	expect(world, "null.example.test", ATTEMPT_PERM, "5.1.10");
	expect(world, "gone.example.test", ATTEMPT_PERM, "5.1.2");
	expect(world, "none.example.test", ATTEMPT_PERM, "5.4.4");
	expect(world, "lost.example.test", ATTEMPT_PERM, "5.4.4");
	expect(world, "loop.example.test", ATTEMPT_PERM, "5.4.6");
	expect(world, "me.example.test", ATTEMPT_PERM, "5.4.6");
	expect(world, "twice.example.test", ATTEMPT_PERM, "5.4.6");
	expect(world, "refused.elsewhere", ATTEMPT_TEMP, "4.4.3");
	expect(world, "dead.example.test", ATTEMPT_TEMP, "4.4.1");
	expect(world, "six.example.test", ATTEMPT_TEMP, "4.4.1");
	expect(world, "not a domain", ATTEMPT_PERM, "5.1.2");
	expect(world, "b\303\274cher.example.test", ATTEMPT_PERM, "5.1.2");
}

/* A new office gives out again what the one before was not told of: it is told then, not sent twice. */
static void test_new_office(void **state)
{
	(void)state;
	NEED_NSD;
	struct fake a;

	fake_start_at(&a, "127.0.0.5", (u32)world->config->relay_port,
		      HELLO MAIL "close\n--\n" HELLO MAIL "close\n");
	world->forgets = 2;
	expect(world, "once.example.test", ATTEMPT_DELIVERED, "2.0.0");
	assert_int_equal(world->forgets, 0);
	assert_int_equal(a.connections, 1);
	fake_stop(&a);
}

/* Given out again (the administrator asks for it) before we know that our word of it was taken: somebody answers for it. */
static void test_given_again(void **state)
{
	(void)state;
	NEED_NSD;
	size_t job;

	pthread_mutex_lock(&world->lock);
	world->repeats = true;
	world->done_n--; /* two results of one job */
	pthread_mutex_unlock(&world->lock);
	job = world_send(world, "dead.example.test");
	world_wait(world);
	assert_int_not_equal(world->results[job].outcome, ATTEMPT_DELIVERED);
}

/* The smarthost's name is the administrator's affair: no sender's mail goes back for a slip in it, or in its zone. */
static void test_lost_smarthost(void **state)
{
	(void)state;
	NEED_NSD;
	world->config->relay_smarthost = S("nowhere.example.test:25");
	expect(world, "two.example.test", ATTEMPT_TEMP, "4.4.4");
	world->config->relay_smarthost = S("null.example.test:25"); /* without an address */
	expect(world, "two.example.test", ATTEMPT_TEMP, "4.4.4");
	world->config->relay_smarthost = STR_NONE;
}

/* The second host is asked when the first is of no use, not when it says no. */
static void test_second_host(void **state)
{
	(void)state;
	NEED_NSD;
	struct fake a, b;
	u32 port = (u32)world->config->relay_port;

	fake_start_at(&a, "127.0.0.2", port,
		      "> 450 4.3.2 busy\n--\n" HELLO
		      "< MAIL\n> 250 ok\n< RCPT\n> 550 5.1.1 no\n< RSET\n> 250 ok\nclose\n");
	fake_start_at(&b, "127.0.0.3", port, HELLO MAIL "close\n--\n" HELLO MAIL);
	office_broken = true; /* its own faults bounce nothing, whatever it calls them */
	expect(world, "two.example.test", ATTEMPT_TEMP, "4.3.0");
	office_broken = false;
	expect(world, "two.example.test", ATTEMPT_DELIVERED, "2.0.0");
	assert_str(world->hosts[world->jobs_n - 1], S("b.example.test"));
	poll(NULL, 0, 100);
	expect(world, "two.example.test", ATTEMPT_PERM, "5.1.1");
	assert_str(world->hosts[world->jobs_n - 1], S("a.example.test"));
	assert_int_equal(b.connections, 1);
	/* We are a backup: only those before us count. */
	expect(world, "backup.example.test", ATTEMPT_DELIVERED, "2.0.0");
	assert_str(world->hosts[world->jobs_n - 1], S("b.example.test"));
	mta_stop(world->mta, 2000);
	fake_stop(&a);
	fake_stop(&b);
}

/* We stand in the MX under a name that is not ours: with a better host that is only down the mail waits for it; with none it loops. */
static void test_ourselves_behind_one_that_is_down(void **state)
{
	(void)state;
	NEED_NSD;
	struct fake us;

	fake_start_at(&us, "127.0.0.6", (u32)world->config->relay_port,
		      "> 220 me.test ESMTP\n--\n> 220 me.test ESMTP\n");
	expect(world, "hidden.example.test", ATTEMPT_TEMP, "4.4.1");
	expect(world, "beside.example.test", ATTEMPT_PERM, "5.4.6");
	assert_int_equal(us.connections, 2);
	fake_stop(&us);
}

/* A socket at ::1; fills: whoever comes later hears nothing, as when a network eats IPv6. */
static int listen_at_six(u32 port, int backlog)
{
	struct sockaddr_in6 at = { .sin6_family = AF_INET6,
				   .sin6_port = htons((u16)port),
				   .sin6_addr = in6addr_loopback };
	int one = 1, fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

static int knock_at_six(u32 port)
{
	struct sockaddr_in6 at = { .sin6_family = AF_INET6,
				   .sin6_port = htons((u16)port),
				   .sin6_addr = in6addr_loopback };
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(connect(fd, (struct sockaddr *)&at, sizeof at) == 0 || errno == EINPROGRESS);
	return fd;
}

/* IPv6 goes nowhere (THREATS F20): the mail goes by IPv4, and the next one to that site does not wait for IPv6 again. */
static void test_black_hole(void **state)
{
	(void)state;
	NEED_NSD;
	struct fake b;
	u32 port = (u32)world->config->relay_port;
	int knocks[3], hole = listen_at_six(port, 0);
	struct pollfd well;
	u64 from = env_monotonic(env_system());

	for (size_t i = 0; i < ARRAY_LEN(knocks); i++)
		knocks[i] = knock_at_six(port);
	fake_start_at(&b, "127.0.0.4", port, HELLO MAIL "close\n--\n" HELLO MAIL);
	expect(world, "hole.example.test", ATTEMPT_DELIVERED, "2.0.0");
	assert_true(env_monotonic(env_system()) - from >= times.connect); /* it was tried */
	for (size_t i = 0; i < ARRAY_LEN(knocks); i++)
		fd_close(&knocks[i]);
	fd_close(&hole);
	well = (struct pollfd){ listen_at_six(port, 8), POLLIN, 0 };
	expect(world, "hole.example.test", ATTEMPT_DELIVERED, "2.0.0");
	assert_int_equal(poll(&well, 1, 0), 0);
	fake_stop(&b);
	fd_close(&well.fd);
}

/* relay.dns_query over the bus, many at once. */
static void test_questions(void **state)
{
	(void)state;
	NEED_NSD;
	struct bus_server *s = dns_service_new(world->resolver);
	struct relay_dns_query_request q = { .name = S("two.example.test"), .type = DNS_TYPE_MX };
	struct relay_dns_query_answer r;
	pthread_t thread;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	bus_server_add(s, pair[0], CALLER_MX, 0);
	assert_int_equal(pthread_create(&thread, NULL, office_run, s), 0);
	struct bus *bus = bus_new(pair[1]);
	for (int i = 0; i < 100; i++)
		assert_ok(relay_dns_query(world->arena, bus, &q, &r));
	assert_int_equal(r.status, DNS_OK);
	assert_int_equal(r.records_n, 2);
	q.name = S("gone.example.test");
	assert_ok(relay_dns_query(world->arena, bus, &q, &r));
	assert_int_equal(r.status, DNS_NXDOMAIN);
	q.name = S("\0");
	assert_ok(relay_dns_query(world->arena, bus, &q, &r));
	assert_int_equal(r.status, DNS_TEMPFAIL);
	bus_server_stop(s);
	pthread_join(thread, NULL);
	bus_server_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_domains),
		cmocka_unit_test(test_questions),
		cmocka_unit_test(test_black_hole),
		cmocka_unit_test(test_new_office),
		cmocka_unit_test(test_lost_smarthost),
		cmocka_unit_test(test_given_again),
		cmocka_unit_test(test_ourselves_behind_one_that_is_down),
		cmocka_unit_test(test_second_host),
	};

	signal(SIGPIPE, SIG_IGN);
	int failed = cmocka_run_group_tests(tests, start, stop);
	fflush(stdout);
	_exit(failed);
}
