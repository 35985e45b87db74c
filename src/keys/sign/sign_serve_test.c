/*
 * keys sign as its peers see it: it signs mail for a domain that the office vouches for, and only for the process that the office said it
 * to. The peers here are what a broken edge is: they speak the bus and say what they like (THREATS P04).
 */
#include "base/unit.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/env.h"
#include "bus/permit.h"
#include "bus/sign.h"
#include "keys/sign/folder_test.h"
#include "keys/sign/key_pair.h"
#include "keys/sign/sign_int.h"

enum { EDGE = 3, OTHER_EDGE = 4 };

static const u8 office_secret[MAC_SECRET] = "known to office and sign alone.";
static const char digest[] = "0123456789abcdef0123456789abcdef";

struct fixture {
	struct arena *a;
	struct process process;
	struct config config;
	pthread_t thread;
	struct bus *ctl, *edge, *other_edge, *mda, *mx;
	str selector[2]; /* example.org's, active */
	char folder[32];
};

static void *run(void *context)
{
	sign_run(context);
	return NULL;
}

static struct bus *connect_as(struct fixture *x, u32 role, u32 instance)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	x->process.peer(&x->process, role, instance, ends[0], -1);
	return bus_new(ends[1]);
}

static void make_keys(struct fixture *x, str domain, bool active)
{
	struct sign_dkim_keys_make_request make = { .domain = domain };
	struct sign_dkim_keys_make_answer keys;
	struct sign_dkim_key_state_answer done;

	assert_ok(sign_dkim_keys_make(x->a, x->ctl, &make, &keys));
	assert_int_equal(keys.keys_n, 2);
	for (size_t i = 0; i < keys.keys_n && active; i++) {
		struct sign_dkim_key_state_request q = { .domain = domain,
							 .selector = keys.keys[i].selector,
							 .state = DKIM_KEY_ACTIVE };
		assert_ok(sign_dkim_key_state(x->a, x->ctl, &q, &done));
		x->selector[i] = q.selector;
	}
}

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof *x);

	memcpy(x->folder, "/tmp/postern-sign-XXXXXX", sizeof "/tmp/postern-sign-XXXXXX");
	assert_non_null(mkdtemp(x->folder));
	x->a = arena_new(64 << 20);
	x->config = (struct config){ .server_data = str_cstr(x->folder),
				     .server_hostname = S("mail.example.org") };
	x->process = (struct process){ .arena = x->a, .ctl = -1, .config = &x->config };
	x->process.folder = cstr(x->a, str_format(x->a, "%s/keys", x->folder));
	memcpy(x->process.permit_secret, office_secret, sizeof office_secret);
	assert_int_equal(mkdir(x->process.folder, 0700), 0);
	assert_ok(sign_before_jail(&x->process));
	assert_ok(sign_open(&x->process));
	pthread_create(&x->thread, NULL, run, &x->process);
	x->ctl = connect_as(x, CALLER_CTL, 0);
	x->edge = connect_as(x, CALLER_CLIENT, EDGE);
	x->other_edge = connect_as(x, CALLER_CLIENT, OTHER_EDGE);
	x->mda = connect_as(x, CALLER_MDA, EDGE);
	x->mx = connect_as(x, CALLER_MX, EDGE);
	make_keys(x, S("example.net"), false);
	make_keys(x, S("example.org"), true);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;
	struct bus **all[] = { &x->ctl, &x->edge, &x->other_edge, &x->mda, &x->mx };

	x->process.stop(&x->process);
	pthread_join(x->thread, NULL);
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		bus_free(all[i]);
	sign_close(&x->process);
	folder_remove(x->folder);
	arena_free(&x->a);
	free(x);
	return 0;
}

/* As the office answers the peer of this role and number. */
static struct permit permit_for(struct fixture *x, str domain, u32 role, u32 instance)
{
	const struct bus_peer peer = { .role = role, .instance = instance };
	struct permit p;

	permit_make(x->a, office_secret, domain, &peer, env_system(), &p);
	return p;
}

static const struct fail *ask(struct fixture *x, struct bus *as, const struct permit *permit,
			      str selector, str *signature)
{
	struct sign_dkim_sign_request q = { .permit = *permit,
					    .selector = selector,
					    .digest = str_from((const u8 *)digest, 32) };
	struct sign_dkim_sign_answer r = { 0 };
	const struct fail *f = sign_dkim_sign(x->a, as, &q, &r);

	*signature = r.signature;
	return f;
}

static void test_whom_the_office_vouches_for(void **state)
{
	struct fixture *x = *state;
	struct permit edge = permit_for(x, S("example.org"), CALLER_CLIENT, EDGE);
	struct permit mda = permit_for(x, S("example.org"), CALLER_MDA, EDGE);
	str signature;

	for (size_t i = 0; i < ARRAY_LEN(x->selector); i++) {
		assert_ok(ask(x, x->edge, &edge, x->selector[i], &signature));
		assert_true(signature.n == 256 || signature.n == 64); /* RSA-2048, Ed25519 */
		assert_ok(ask(x, x->mda, &mda, x->selector[i], &signature));
	}
	assert_fail(ask(x, x->edge, &edge, S("other"), &signature), FAIL_DENIED);
}

/* No permit, one made up, one of another domain, one that another process was given. */
static void test_everything_else_is_refused(void **state)
{
	struct fixture *x = *state;
	struct permit none = { 0 }, bare = { .domain = S("example.org"), .expires = UINT64_MAX };
	struct permit good = permit_for(x, S("example.org"), CALLER_CLIENT, EDGE);
	struct permit foreign = permit_for(x, S("example.net"), CALLER_CLIENT, EDGE);
	struct permit renamed = foreign, longer = good;
	str signature;

	bare.role = CALLER_CLIENT;
	bare.instance = EDGE;
	bare.mac = S("0123456789abcdef0123456789abcdef");
	renamed.domain = S("example.org");
	longer.expires += 1000;
	assert_fail(ask(x, x->edge, &none, x->selector[0], &signature), FAIL_DENIED);
	assert_fail(ask(x, x->edge, &bare, x->selector[0], &signature), FAIL_DENIED);
	assert_fail(ask(x, x->edge, &renamed, x->selector[0], &signature), FAIL_DENIED);
	assert_fail(ask(x, x->edge, &longer, x->selector[0], &signature), FAIL_DENIED);
	assert_fail(ask(x, x->other_edge, &good, x->selector[0], &signature), FAIL_DENIED);
	assert_fail(ask(x, x->mda, &good, x->selector[0], &signature), FAIL_DENIED);
	assert_ok(ask(x, x->edge, &good, x->selector[0], &signature));
}

/* A key that is published only is not for signing, whoever vouches. */
static void test_only_active_keys(void **state)
{
	struct fixture *x = *state;
	struct permit permit = permit_for(x, S("example.net"), CALLER_CLIENT, EDGE);
	struct sign_dkim_keys_list_request q = { .domain = S("example.net") };
	struct sign_dkim_keys_list_answer keys;
	str signature;

	assert_ok(sign_dkim_keys_list(x->a, x->edge, &q, &keys));
	assert_int_equal(keys.keys_n, 2);
	for (size_t i = 0; i < keys.keys_n; i++)
		assert_fail(ask(x, x->edge, &permit, keys.keys[i].selector, &signature),
			    FAIL_DENIED);
}

/* Mail from strangers is never signed: mx may not even ask, and does not live to ask again. */
static void test_mx_may_not_ask(void **state)
{
	struct fixture *x = *state;
	struct permit permit = permit_for(x, S("example.org"), CALLER_MX, EDGE);
	str signature;

	assert_non_null(ask(x, x->mx, &permit, x->selector[0], &signature));
	assert_int_equal(signature.n, 0);
	permit = permit_for(x, S("example.org"), CALLER_CLIENT, EDGE);
	assert_ok(ask(x, x->edge, &permit, x->selector[0], &signature));
}

static const char *file(struct fixture *x, const char *name)
{
	return cstr(x->a, str_format(x->a, "%s/%s", x->process.folder, name));
}

static str bytes_of(struct fixture *x, const char *name)
{
	str bytes;

	assert_ok(key_pair_read(x->a, x->a, str_cstr(file(x, name)), &bytes));
	return bytes;
}

/* What cannot be read: a folder (EISDIR), and memory where nothing is (EIO); and what can, but is no PEM. */
static const struct {
	const char *link;
	bool made_anew;
} unreadable[] = { { "/", false }, { "/proc/self/mem", false }, { "/dev/null", true } };

/* One that cannot be read now is not one that is not there: it is not written over. */
static void test_self_signed_is_kept(void **state)
{
	struct fixture *x = *state;
	const char *certificate = file(x, "selfsigned.crt"), *away = file(x, "away");
	str key = bytes_of(x, "selfsigned.key");
	struct process again = x->process;

	for (size_t i = 0; i < ARRAY_LEN(unreadable); i++) {
		assert_int_equal(rename(certificate, away), 0);
		assert_int_equal(symlink(unreadable[i].link, certificate), 0);
		assert_non_null(sign_before_jail(&again));
		assert_int_equal(str_eq(bytes_of(x, "selfsigned.key"), key),
				 !unreadable[i].made_anew);
		assert_int_equal(rename(away, certificate), 0);
	}
	assert_ok(sign_before_jail(
	    &again)); /* the key is another one now: no pair, so there is a new one */
	assert_ok(sign_before_jail(&again));
	unlink(file(x, "selfsigned.key"));
	assert_ok(sign_before_jail(&again));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_whom_the_office_vouches_for, setup, teardown),
		cmocka_unit_test_setup_teardown(test_everything_else_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_only_active_keys, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mx_may_not_ask, setup, teardown),
		cmocka_unit_test_setup_teardown(test_self_signed_is_kept, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
