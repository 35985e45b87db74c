/* The whole of login over a real bus: mechanisms, tickets, penalties, and that nothing tells an unknown name from a wrong password. */
#include "base/unit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bus/ticket.h"
#include "keys/login/login_int.h"
#include "sql/sql.h"

enum { EDGE_INSTANCE = 3, SESSION = 99 };

struct fixture {
	struct arena *a;
	struct process process;
	pthread_t thread;
	struct bus *edge, *ctl;
	int edge_end;
	char folder[32];
};

static void *run(void *context)
{
	struct process *p = context;
	struct login *l = p->state;

	bus_server_run(l->server);
	return NULL;
}

static struct bus *connect_as(struct fixture *x, u32 role)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	x->process.peer(&x->process, role, EDGE_INSTANCE, ends[0], -1);
	x->edge_end = ends[1];
	return bus_new(ends[1]);
}

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof *x);

	memcpy(x->folder, "/tmp/postern-login-XXXXXX", sizeof "/tmp/postern-login-XXXXXX");
	assert_non_null(mkdtemp(x->folder));
	x->a = arena_new(64 << 20);
	x->process = (struct process){ .arena = x->a, .folder = x->folder, .ctl = -1 };
	memset(x->process.ticket_secret, 7, sizeof x->process.ticket_secret);
	assert_ok(login_before_jail(&x->process));
	assert_ok(login_open(&x->process));
	pthread_create(&x->thread, NULL, run, &x->process);
	x->ctl = connect_as(x, CALLER_CTL);
	x->edge = connect_as(x, CALLER_CLIENT);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;
	struct login *l = x->process.state;
	static const char *const files[] = { "login.db", "login.db-wal", "login.db-shm" };

	bus_free(&x->edge);
	bus_free(&x->ctl);
	x->process.stop(&x->process);
	pthread_join(x->thread, NULL);
	hashing_stop(l->hashing);
	bus_server_free(&l->server);
	login_db_close(&l->db);
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		unlink(cstr(x->a, str_format(x->a, "%s/%s", x->folder, files[i])));
	rmdir(x->folder);
	arena_free(&x->a);
	free(x);
	return 0;
}

static const struct fail *set_password(struct fixture *x, str address, u64 generation, str password)
{
	struct login_password_set_request q = {
		.address = address, .account = 5, .generation = generation, .password = password
	};
	struct login_password_set_answer r;

	return login_password_set(x->a, x->ctl, &q, &r);
}

static const struct fail *start(struct fixture *x, str mechanism, str response,
				struct login_sasl_start_answer *r)
{
	struct login_sasl_start_request q = { .client.address = S("\x7f\0\0\1"),
					      .instance = EDGE_INSTANCE,
					      .session = SESSION,
					      .mechanism = mechanism,
					      .has_response = response.p != NULL,
					      .response = response };

	return login_sasl_start(x->a, x->edge, &q, r);
}

static const struct fail *step(struct fixture *x, u64 exchange, str response,
			       struct login_sasl_step_answer *r)
{
	struct login_sasl_step_request q = { .exchange = exchange, .response = response };

	return login_sasl_step(x->a, x->edge, &q, r);
}

static void assert_ticket(struct fixture *x, const struct ticket *t, u64 generation)
{
	struct bus_peer edge = { .role = CALLER_CLIENT, .instance = EDGE_INSTANCE };
	struct bus_peer other = { .role = CALLER_CLIENT, .instance = EDGE_INSTANCE + 1 };

	assert_int_equal(t->account, 5);
	assert_int_equal(t->generation, generation);
	assert_int_equal(t->session, SESSION);
	assert_ok(ticket_check(x->process.ticket_secret, t, &edge, env_system()));
	assert_non_null(ticket_check(x->process.ticket_secret, t, &other, env_system()));
}

static void test_plain(void **state)
{
	struct fixture *x = *state;
	struct login_sasl_start_answer r;
	struct login_sasl_step_answer s;

	assert_ok(set_password(x, S("Alice@Example.test"), 1, S("secret")));
	assert_ok(start(x, S("plain"), S("\0alice@example.test\0secret"), &r));
	assert_int_equal(r.status, SASL_DONE);
	assert_str(r.address, S("alice@example.test"));
	assert_ticket(x, &r.ticket, 1);
	/* Again, now from memory; authzid of one's own; other case. */
	assert_ok(start(x, S("PLAIN"), S("alice@example.test\0ALICE@example.test\0secret"), &r));
	assert_int_equal(r.status, SASL_DONE);
	/* Without an initial response. */
	assert_ok(start(x, S("PLAIN"), STR_NONE, &r));
	assert_int_equal(r.status, SASL_CONTINUE);
	assert_ok(step(x, r.exchange, S("\0alice@example.test\0secret"), &s));
	assert_int_equal(s.status, SASL_DONE);
	assert_fail(step(x, r.exchange, S("x"), &s), FAIL_TIMEOUT); /* it is over */
}

static void test_new_password_ends_the_old(void **state)
{
	struct fixture *x = *state;
	struct login_sasl_start_answer r;

	assert_ok(set_password(x, S("a@b"), 1, S("old")));
	assert_ok(start(x, S("PLAIN"), S("\0a@b\0old"), &r));
	assert_int_equal(r.status, SASL_DONE);
	assert_ok(set_password(x, S("a@b"), 2, S("new")));
	assert_ok(start(x, S("PLAIN"), S("\0a@b\0old"), &r));
	assert_int_equal(r.status, SASL_FAILED);
	assert_ok(start(x, S("PLAIN"), S("\0a@b\0new"), &r));
	assert_ticket(x, &r.ticket, 2);
}

static void test_login_mechanism(void **state)
{
	struct fixture *x = *state;
	struct login_sasl_start_answer r;
	struct login_sasl_step_answer s;

	assert_ok(set_password(x, S("a@b"), 1, S("p")));
	assert_ok(start(x, S("LOGIN"), STR_NONE, &r));
	assert_str(r.challenge, S("Username:"));
	assert_ok(step(x, r.exchange, S("a@b"), &s));
	assert_str(s.challenge, S("Password:"));
	assert_ok(step(x, r.exchange, S("p"), &s));
	assert_int_equal(s.status, SASL_DONE);
	assert_ok(start(x, S("LOGIN"), S("a@b"), &r)); /* the name at once */
	assert_str(r.challenge, S("Password:"));
	assert_ok(step(x, r.exchange, S("wrong"), &s));
	assert_int_equal(s.status, SASL_FAILED);
}

/* Unknown name, wrong password, suspended, no password at all: the same answer. */
static void test_failures_look_alike(void **state)
{
	static const str tries[] = {
		{ (const u8 *)"\0nobody@b\0x", 11 }, { (const u8 *)"\0a@b\0wrong", 10 },
		{ (const u8 *)"\0held@b\0p", 9 },    { (const u8 *)"\0a@b\0", 5 },
		{ (const u8 *)"\0a@b\0\xff", 6 },    { (const u8 *)"root\0a@b\0p", 10 },
	};
	struct fixture *x = *state;
	struct login_account_change_request q = {
		.address = S("held@b"), .account = 5, .generation = 1, .suspended = true
	};
	struct login_account_change_answer done;

	assert_ok(set_password(x, S("a@b"), 1, S("p")));
	assert_ok(set_password(x, S("held@b"), 1, S("p")));
	assert_ok(login_account_change(x->a, x->ctl, &q, &done));
	for (size_t i = 0; i < ARRAY_LEN(tries); i++) {
		struct login_sasl_start_answer r;
		assert_ok(start(x, S("PLAIN"), tries[i], &r));
		assert_int_equal(r.status, SASL_FAILED);
		assert_false(r.has_challenge);
		assert_int_equal(r.ticket.account, 0);
		assert_true(r.address.n <= tries[i].n); /* as it was tried */
		assert_int_equal(r.delay_ms > 0, i + 1 >= PENALTY_FREE);
	}
}

static enum sasl_status plain(struct fixture *x, str response)
{
	struct login_sasl_start_answer r;

	assert_ok(start(x, S("PLAIN"), response, &r));
	return (enum sasl_status)r.status;
}

static u64 set_again(struct fixture *x, u64 account, u64 generation, bool suspended, str password)
{
	struct login_password_set_request q = { .address = S("a@b"),
						.account = account,
						.generation = generation,
						.suspended = suspended,
						.password = password };
	struct login_password_set_answer r;

	assert_ok(login_password_set(x->a, x->ctl, &q, &r));
	return r.generation;
}

static u64 change_again(struct fixture *x, u64 generation, bool suspended)
{
	struct login_account_change_request q = {
		.address = S("a@b"), .account = 5, .generation = generation, .suspended = suspended
	};
	struct login_account_change_answer r;

	assert_ok(login_account_change(x->a, x->ctl, &q, &r));
	return r.generation;
}

/* Of two changes at once the office says which is the later one; here they may come in any order. Else its tickets would be of a
 * generation that the office knows no more, and nobody could log in. */
static void test_who_comes_late_changes_nothing(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(set_again(x, 5, 3, false, S("later")), 3);
	assert_int_equal(set_again(x, 5, 2, false, S("sooner")), 3);
	assert_int_equal(plain(x, S("\0a@b\0later")), SASL_DONE);
	assert_int_equal(plain(x, S("\0a@b\0sooner")), SASL_FAILED);
	assert_int_equal(change_again(x, 2, true), 3);
	assert_int_equal(plain(x, S("\0a@b\0later")), SASL_DONE);
	assert_int_equal(change_again(x, 5, true), 5);
	assert_int_equal(set_again(x, 5, 4, false, S("p")), 5);
	assert_int_equal(plain(x, S("\0a@b\0later")), SASL_FAILED); /* suspended yet */
	assert_int_equal(set_again(x, 5, 6, true, S("p")), 6);
	assert_int_equal(plain(x, S("\0a@b\0p")), SASL_FAILED);
	assert_int_equal(set_again(x, 9, 1, false, S("p")),
			 1); /* another account has the name now */
	assert_int_equal(plain(x, S("\0a@b\0p")), SASL_DONE);
}

static void test_malformed(void **state)
{
	struct fixture *x = *state;
	struct login_sasl_start_answer r;
	struct login_sasl_step_answer s;
	struct login *l = x->process.state;

	assert_fail(start(x, S("PLAIN"), S(""), &r), FAIL_SYNTAX);
	assert_fail(start(x, S("PLAIN"), S("a@b"), &r), FAIL_SYNTAX);
	assert_fail(start(x, S("PLAIN"), S("\0\0p"), &r), FAIL_SYNTAX);
	assert_fail(start(x, S("PLAIN"), S("\0a\0b\0c"), &r), FAIL_SYNTAX);
	assert_fail(start(x, S("SCRAM-SHA-256"), S("n,,n=x"), &r), FAIL_SYNTAX);
	assert_fail(start(x, S("CRAM-MD5"), S(""), &r), FAIL_INVALID);
	assert_fail(step(x, 12345, S(""), &s), FAIL_TIMEOUT);
	assert_int_equal(l->exchanges.n, 0);
}

/* SCRAM of a name that does not exist goes as far as one that does, and has the same salt each time (THREATS A06). */
static void test_scram_of_nobody(void **state)
{
	struct fixture *x = *state;
	struct login_sasl_start_answer one, two;
	struct login_sasl_step_answer s;
	str salt_one, salt_two, final;

	assert_ok(start(x, S("SCRAM-SHA-256"), S("n,,n=nobody@b,r=abcdefghij"), &one));
	assert_ok(start(x, S("SCRAM-SHA-256"), S("n,,n=nobody@b,r=abcdefghij"), &two));
	assert_int_equal(one.status, SASL_CONTINUE);
	salt_one = str_skip(one.challenge, str_find_str(one.challenge, S(",s=")));
	salt_two = str_skip(two.challenge, str_find_str(two.challenge, S(",s=")));
	assert_str(salt_one, salt_two);
	final = str_format(x->a, "c=biws,%.*s,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
			   STR_ARG(str_slice(one.challenge, 0, str_find(one.challenge, ','))));
	assert_ok(step(x, one.exchange, final, &s));
	assert_int_equal(s.status, SASL_FAILED);
}

static void test_exchange_is_not_the_next_logins(void **state)
{
	struct exchanges before, after;

	(void)state;
	exchanges_init(&before);
	exchanges_init(&after);
	assert_true(before.next_number != after.next_number);
}

/* Another edge that names the number of an exchange finds nothing; a peer's end ends its exchanges. */
static void test_exchange_belongs_to_its_peer(void **state)
{
	struct fixture *x = *state;
	struct login_sasl_start_answer r;
	struct login_sasl_step_answer s;
	struct bus *first = x->edge;

	assert_ok(start(x, S("PLAIN"), STR_NONE, &r));
	x->edge = connect_as(x, CALLER_CLIENT);
	assert_fail(step(x, r.exchange, S("\0a@b\0p"), &s), FAIL_TIMEOUT);
	bus_free(&x->edge);
	x->edge = first;
	assert_ok(step(x, r.exchange, S("\0a@b\0p"), &s));
	assert_int_equal(s.status, SASL_FAILED);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_plain),
		TEST(test_new_password_ends_the_old),
		TEST(test_login_mechanism),
		TEST(test_failures_look_alike),
		TEST(test_who_comes_late_changes_nothing),
		TEST(test_malformed),
		TEST(test_scram_of_nobody),
		TEST(test_exchange_belongs_to_its_peer),
		cmocka_unit_test(test_exchange_is_not_the_next_logins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
