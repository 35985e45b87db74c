/* The example of RFC 7677 3, and everything that must be refused around it. */
#include "base/unit.h"

#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keys/login/scram.h"

#define CLIENT_FIRST S("n,,n=user,r=rOprNGfwEbeRWgbNEkqO")
#define CLIENT_FINAL                                                     \
	S("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0," \
	  "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")

static void example_verifier(struct verifier *v)
{
	static const u8 salt[] = { 0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e,
				   0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81 };

	*v = (struct verifier){ .salt = str_from(salt, sizeof salt), .iterations = 4096 };
	verifier_scram(v, S("pencil"));
}

static void test_rfc7677_example(void **state)
{
	struct arena *a = arena_new(1 << 16);
	struct verifier v;
	struct scram s;
	str first, answer;

	(void)state;
	example_verifier(&v);
	assert_null(scram_client_first(a, CLIENT_FIRST, &s));
	assert_true(str_eq(s.name, S("user")));
	first = scram_server_first(a, &s, &v, S("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"));
	assert_true(str_eq(first, S("r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
				    "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")));
	assert_null(scram_client_final(a, &s, &v, CLIENT_FINAL, &answer));
	assert_true(str_eq(answer, S("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")));
	arena_free(&a);
}

/* Each single changed byte, and each truncation, of the final message must not log in. */
static void test_final_changed(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct verifier v;
	struct scram s;
	str answer;

	(void)state;
	example_verifier(&v);
	assert_null(scram_client_first(a, CLIENT_FIRST, &s));
	scram_server_first(a, &s, &v, S("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"));
	for (size_t i = 0; i < CLIENT_FINAL.n; i++) {
		str whole = str_copy(a, CLIENT_FINAL);
		((u8 *)(uintptr_t)whole.p)[i] ^= 1;
		/* The last character before the pad also holds two bits that decode to nothing. */
		if (i != whole.n - 2)
			assert_non_null(scram_client_final(a, &s, &v, whole, &answer));
		assert_non_null(
		    scram_client_final(a, &s, &v, str_slice(CLIENT_FINAL, 0, i), &answer));
	}
	arena_free(&a);
}

static void test_first_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"n",
		"n,",
		"n,,",
		"n,,n=user",
		"n,,n=user,r=",
		"n,,n=user,r=short",
		"n,,n=,r=rOprNGfwEbeRWgbNEkqO",
		"n,,r=rOprNGfwEbeRWgbNEkqO,n=user",
		"n,,m=x,n=user,r=rOprNGfwEbeRWgbNEkqO",
		"n,a=,n=user,r=rOprNGfwEbeRWgbNEkqO",
		"p=tls-unique,,n=user,r=rOprNGfwEbeRWgbNEkqO",
		"x,,n=user,r=rOprNGfwEbeRWgbNEkqO",
		"n,,n=us=er,r=rOprNGfwEbeRWgbNEkqO",
		"n,,n=user=2,r=rOprNGfwEbeRWgbNEkqO",
		"n,,n=us\xff,r=rOprNGfwEbeRWgbNEkqO",
	};
	struct arena *a = arena_new(1 << 16);
	struct scram s;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_non_null(scram_client_first(a, str_cstr(bad[i]), &s));
	assert_null(scram_client_first(a, S("y,a=me,n=a=2Cb=3Dc,r=rOprNGfwEbeRWgbNEkqO,x=y"), &s));
	assert_true(str_eq(s.name, S("a,b=c")));
	assert_true(str_eq(s.authzid, S("me")));
	arena_free(&a);
}

static bool is_password(struct arena *a, str crypt, str password)
{
	bool right;

	assert_null(verifier_check(a, crypt, password, &right));
	return right;
}

static size_t size_now(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	unsigned long pages;

	assert_int_equal(fscanf(f, "%lu", &pages), 1);
	fclose(f);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* In a process of its own, which gets no more: what cannot be computed is not a wrong password. */
static void test_no_memory(void **state)
{
	struct arena *a = arena_new(8 << 20);
	struct verifier v;
	int status;
	pid_t pid;

	(void)state;
	assert_null(verifier_make(a, S("secret"), &v));
	assert_true(is_password(a, v.crypt, S("secret")));
	pid = fork();
	if (pid == 0) {
		bool right;
		/* A little for us, not the 16 MiB that yescrypt wants. */
		const struct rlimit most = { size_now() + (8 << 20), size_now() + (8 << 20) };
		_exit(setrlimit(RLIMIT_AS, &most) == 0 &&
			      verifier_check(a, v.crypt, S("secret"), &right) && !right
			  ? 7
			  : 8);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WIFEXITED(status) ? WEXITSTATUS(status) : 0, 7);
	arena_free(&a);
}

static void test_crypt(void **state)
{
	struct arena *a = arena_new(8 << 20);
	struct verifier v, fake;
	str password;

	(void)state;
	assert_null(verifier_prepare(a, S("caf\xc3\xa9 \xc2\xa0x"), &password));
	assert_true(str_eq(password, S("caf\xc3\xa9  x")));
	assert_null(verifier_make(a, password, &v));
	assert_true(str_starts(v.crypt, S("$y$")));
	assert_true(is_password(a, v.crypt, password));
	assert_false(is_password(a, v.crypt, S("other")));
	verifier_fake(a, S("secret"), S("nobody"), &fake);
	assert_false(is_password(a, fake.crypt, S("")));
	assert_false(is_password(a, fake.crypt, S("other")));
	assert_non_null(verifier_prepare(a, S(""), &password));
	assert_non_null(verifier_prepare(a, S("a\nb"), &password));
	assert_non_null(verifier_prepare(a, str_from("a\0b", 3), &password));
	assert_non_null(verifier_prepare(a, S("\xff"), &password));
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc7677_example), cmocka_unit_test(test_final_changed),
		cmocka_unit_test(test_first_refused),   cmocka_unit_test(test_crypt),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
