/* The life of DKIM keys in their folder: what a crash, a restart and a stranger's file leave of it. */
#include "base/unit.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keys/sign/dkim_keys.h"
#include "keys/sign/folder_test.h"
#include "text/encoding.h"

static const u64 DAY = 1795000000000; /* 2026-11-18 */
static const char digest[] = "0123456789abcdef0123456789abcdef";

struct fixture {
	struct arena *a;
	struct dkim_keys *keys;
	char folder[32];
};

static void reopen(struct fixture *x)
{
	assert_ok(dkim_keys_open(x->a, str_format(x->a, "%s/dkim", x->folder), &x->keys));
}

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof *x);

	memcpy(x->folder, "/tmp/postern-dkim-XXXXXX", sizeof "/tmp/postern-dkim-XXXXXX");
	assert_non_null(mkdtemp(x->folder));
	x->a = arena_new(64 << 20);
	reopen(x);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;

	folder_remove(x->folder);
	arena_free(&x->a);
	free(x);
	return 0;
}

static const char *path_of(struct fixture *x, const char *name)
{
	return cstr(x->a, str_format(x->a, "%s/dkim/%s", x->folder, name));
}

static const struct dkim_key_info *list(struct fixture *x, const char *domain, size_t n)
{
	const struct dkim_key_info *keys;

	assert_int_equal(dkim_keys_list(x->keys, x->a, str_cstr(domain), &keys), n);
	return keys;
}

static const struct fail *sign(struct fixture *x, const char *domain, str selector, str *out)
{
	return dkim_keys_sign(x->keys, x->a, str_cstr(domain), selector,
			      str_from((const u8 *)digest, 32), out);
}

static const struct fail *step(struct fixture *x, str selector, enum dkim_key_state state)
{
	return dkim_keys_state(x->keys, x->a, S("example.org"), selector, state);
}

/* The key that the record in DNS would give a verifier. */
static EVP_PKEY *public_key(struct fixture *x, const struct dkim_key_info *info)
{
	str text = str_skip(info->record, str_find_str(info->record, S("p=")) + 2);
	struct buf *bytes = buf_new(x->a, 4096);
	const unsigned char *at;
	str der;

	assert_true(base64_decode(bytes, text));
	der = buf_str(bytes);
	at = der.p;
	if (str_eq(info->algorithm, S("ed25519-sha256")))
		return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, der.p, der.n);
	return d2i_PUBKEY(NULL, &at, (long)der.n);
}

static bool verifies(EVP_PKEY *key, str signature)
{
	const u8 *d = (const u8 *)digest;
	EVP_PKEY_CTX *c;
	EVP_MD_CTX *m;
	bool good;

	if (EVP_PKEY_is_a(key, "ED25519")) {
		m = EVP_MD_CTX_new();
		good = EVP_DigestVerifyInit(m, NULL, NULL, NULL, key) == 1 &&
		       EVP_DigestVerify(m, signature.p, signature.n, d, 32) == 1;
		EVP_MD_CTX_free(m);
		return good;
	}
	c = EVP_PKEY_CTX_new(key, NULL);
	good = EVP_PKEY_verify_init(c) == 1 &&
	       EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PADDING) == 1 &&
	       EVP_PKEY_CTX_set_signature_md(c, EVP_sha256()) == 1 &&
	       EVP_PKEY_verify(c, signature.p, signature.n, d, 32) == 1;
	EVP_PKEY_CTX_free(c);
	return good;
}

static void test_made_published(void **state)
{
	struct fixture *x = *state;
	const struct dkim_key_info *keys;
	struct stat st;

	umask(0);
	assert_ok(dkim_keys_make(x->keys, x->a, S("example.org"), DAY));
	keys = list(x, "example.org", 2);
	assert_str(keys[0].selector, S("p20261118r"));
	assert_str(keys[0].algorithm, S("rsa-sha256"));
	assert_true(str_starts(keys[0].record, S("v=DKIM1; k=rsa; p=MII")));
	assert_str(keys[1].selector, S("p20261118e"));
	assert_str(keys[1].algorithm, S("ed25519-sha256"));
	assert_int_equal(keys[1].record.n, sizeof "v=DKIM1; k=ed25519; p=" - 1 + 44);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(keys[i].state, DKIM_KEY_PUBLISHED);
	assert_int_equal(stat(path_of(x, "example.org:p20261118r:published"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(path_of(x, ""), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_not_equal(access(path_of(x, ".new"), F_OK), 0);
}

/* Signs only while active; after each step a restart finds what was there. */
static void test_life(void **state)
{
	static const enum dkim_key_state life[] = { DKIM_KEY_PUBLISHED, DKIM_KEY_ACTIVE,
						    DKIM_KEY_RETIRING, DKIM_KEY_REMOVED };
	struct fixture *x = *state;
	str selectors[2], signature;

	assert_ok(dkim_keys_make(x->keys, x->a, S("example.org"), DAY));
	for (size_t i = 0; i < 2; i++)
		selectors[i] = list(x, "example.org", 2)[i].selector;
	for (size_t at = 0; at < ARRAY_LEN(life); at++) {
		for (size_t i = 0; i < 2; i++) {
			if (at > 0)
				assert_ok(step(x, selectors[i], life[at]));
			assert_int_equal(sign(x, "example.org", selectors[i], &signature) == NULL,
					 life[at] == DKIM_KEY_ACTIVE);
		}
		reopen(x);
		for (size_t i = 0; i < 2; i++)
			assert_int_equal(sign(x, "example.org", selectors[i], &signature) == NULL,
					 life[at] == DKIM_KEY_ACTIVE);
		list(x, "example.org", life[at] == DKIM_KEY_REMOVED ? 0 : 2);
	}
}

static void test_no_step_but_the_next(void **state)
{
	struct fixture *x = *state;
	str s;

	assert_ok(dkim_keys_make(x->keys, x->a, S("example.org"), DAY));
	s = list(x, "example.org", 2)[0].selector;
	assert_fail(step(x, s, DKIM_KEY_PUBLISHED), FAIL_INVALID);
	assert_fail(step(x, s, DKIM_KEY_RETIRING), FAIL_INVALID);
	assert_fail(step(x, s, (enum dkim_key_state)4), FAIL_INVALID);
	assert_fail(step(x, s, (enum dkim_key_state)255), FAIL_INVALID);
	assert_fail(step(x, S("other"), DKIM_KEY_ACTIVE), FAIL_NOT_FOUND);
	assert_ok(step(x, s, DKIM_KEY_ACTIVE));
	assert_fail(step(x, s, DKIM_KEY_PUBLISHED), FAIL_INVALID);
	assert_fail(step(x, s, DKIM_KEY_ACTIVE), FAIL_INVALID);
	assert_ok(step(x, s, DKIM_KEY_REMOVED));
	assert_fail(step(x, s, DKIM_KEY_REMOVED), FAIL_NOT_FOUND);
	list(x, "example.org", 1);
}

static void test_both_algorithms_sign(void **state)
{
	struct fixture *x = *state;
	const struct dkim_key_info *keys;
	str signature;

	assert_ok(dkim_keys_make(x->keys, x->a, S("example.org"), DAY));
	keys = list(x, "example.org", 2);
	for (size_t i = 0; i < 2; i++) {
		EVP_PKEY *key = public_key(x, &keys[i]);
		assert_non_null(key);
		assert_ok(step(x, keys[i].selector, DKIM_KEY_ACTIVE));
		assert_ok(sign(x, "example.org", keys[i].selector, &signature));
		assert_int_equal(signature.n, i == 0 ? 256 : 64);
		assert_true(verifies(key, signature));
		((u8 *)(uintptr_t)signature.p)[7] ^= 1;
		assert_false(verifies(key, signature));
		assert_fail(sign(x, "example.net", keys[i].selector, &signature), FAIL_DENIED);
		assert_fail(dkim_keys_sign(x->keys, x->a, S("example.org"), keys[i].selector,
					   S("short"), &signature),
			    FAIL_INVALID);
		EVP_PKEY_free(key);
	}
}

static void test_names_and_numbers(void **state)
{
	static const char *const bad[] = { "",    "Example.org", "example.org.", "a/b",      "..",
					   "a:b", "-a.org",      "a b",          "[1.2.3.4]" };
	struct fixture *x = *state;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_fail(dkim_keys_make(x->keys, x->a, str_cstr(bad[i]), DAY), FAIL_INVALID);
	list(x, "", 0);
	for (size_t n = 2; n <= DKIM_KEYS_DOMAIN; n += 2)
		assert_ok(dkim_keys_make(x->keys, x->a, S("example.org"), DAY));
	assert_str(list(x, "example.org", DKIM_KEYS_DOMAIN)[2].selector, S("p20261118r2"));
	assert_fail(dkim_keys_make(x->keys, x->a, S("example.org"), DAY), FAIL_LIMIT);
	assert_ok(dkim_keys_make(x->keys, x->a, S("example.net"), DAY));
	list(x, "", DKIM_KEYS_DOMAIN + 2);
	list(x, "example.net", 2);
}

static void write_file(struct fixture *x, const char *name, const char *text)
{
	int fd = open(path_of(x, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

/* A crash while a key was being written, or between its two renames' worth of steps: a draft is nobody's key and stops nothing. */
static void test_crash_between_steps(void **state)
{
	struct fixture *x = *state;
	str s;

	write_file(x, ".new", "-----BEGIN PRIVATE KEY-----\nMC4CAQ");
	reopen(x);
	list(x, "", 0);
	assert_ok(dkim_keys_make(x->keys, x->a, S("example.org"), DAY));
	s = list(x, "example.org", 2)[1].selector;
	/* The rename went through, the answer did not: who asks again is told where the key is. */
	assert_int_equal(rename(path_of(x, "example.org:p20261118e:published"),
				path_of(x, "example.org:p20261118e:active")),
			 0);
	reopen(x);
	assert_int_equal(list(x, "example.org", 2)[0].state + list(x, "example.org", 2)[1].state,
			 DKIM_KEY_ACTIVE);
	assert_fail(step(x, s, DKIM_KEY_ACTIVE), FAIL_INVALID);
	assert_ok(step(x, s, DKIM_KEY_RETIRING));
	/* Its file is gone underneath: said, and the state stays what it was. */
	assert_int_equal(unlink(path_of(x, "example.org:p20261118e:retiring")), 0);
	assert_non_null(step(x, s, DKIM_KEY_REMOVED));
	list(x, "example.org", 2);
	/* The folder cannot be written: nothing is half made. */
	folder_remove(path_of(x, ""));
	assert_non_null(dkim_keys_make(x->keys, x->a, S("example.net"), DAY));
	list(x, "example.net", 0);
}

static void write_pem(struct fixture *x, const char *name, EVP_PKEY *key, const char *passphrase)
{
	FILE *f = fopen(path_of(x, name), "we");
	const EVP_CIPHER *cipher = passphrase ? EVP_aes_128_cbc() : NULL;

	assert_non_null(f);
	assert_int_equal(
	    PEM_write_PrivateKey(f, key, cipher, NULL, 0, NULL, (void *)(uintptr_t)passphrase), 1);
	fclose(f);
	EVP_PKEY_free(key);
}

/* What an administrator, or an accident, may put there: none of it is a key, none of it stops the others. */
static void test_bad_files(void **state)
{
	struct fixture *x = *state;
	str signature;

	write_pem(x, "good.org:s:active", EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), NULL);
	write_pem(x, "good.org:long:active", EVP_RSA_gen(3072), NULL);
	write_pem(x, "bad.org:ec:active", EVP_EC_gen("P-256"), NULL);
	write_pem(x, "bad.org:x25519:active", EVP_PKEY_Q_keygen(NULL, NULL, "X25519"), NULL);
	write_pem(x, "bad.org:short:active", EVP_RSA_gen(1024), NULL);
	write_pem(x, "bad.org:secret:active", EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), "word");
	write_pem(x, "bad.org:state:resting", EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), NULL);
	write_pem(x, "bad.org:a b:active", EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), NULL);
	write_pem(x, "bad_org", EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), NULL);
	write_file(x, "bad.org:text:active", "this is no key\n");
	write_file(x, "bad.org:empty:active", "");
	assert_int_equal(symlink("good.org:s:active", path_of(x, "bad.org:link:active")), 0);
	assert_int_equal(mkfifo(path_of(x, "bad.org:pipe:active"), 0600), 0);
	assert_int_equal(mkdir(path_of(x, "bad.org:folder:active"), 0700), 0);
	reopen(x);
	list(x, "bad.org", 0);
	list(x, "", 2);
	assert_fail(sign(x, "bad.org", S("ec"), &signature), FAIL_DENIED);
	assert_ok(sign(x, "good.org", S("s"), &signature));
	assert_ok(sign(x, "good.org", S("long"), &signature));
	assert_int_equal(signature.n, 384);
}

/* A file that is no key keeps its name: a new key is not written over it. */
static void test_bad_file_is_not_written_over(void **state)
{
	struct fixture *x = *state;

	write_file(x, "example.org:p20261118r:published", "a cut off key");
	reopen(x);
	assert_ok(dkim_keys_make(x->keys, x->a, S("example.org"), DAY));
	assert_str(list(x, "example.org", 2)[0].selector, S("p20261118r2"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_made_published),
		TEST(test_life),
		TEST(test_no_step_but_the_next),
		TEST(test_both_algorithms_sign),
		TEST(test_names_and_numbers),
		TEST(test_crash_between_steps),
		TEST(test_bad_files),
		TEST(test_bad_file_is_not_written_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
