#include "keys/login/verifier.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/env.h"

static void release_secret(void *object)
{
	str *s = object;

	OPENSSL_cleanse((void *)(uintptr_t)s->p, s->n);
}

/* A copy that is wiped when the arena goes. */
static str copy_secret(struct arena *a, str s)
{
	str *kept = arena_new_of(a, str);

	*kept = str_copy(a, s);
	arena_own(a, release_secret, kept);
	return *kept;
}

/* RFC 4013 2.1: non-ASCII spaces become SP. Runs before the composition. */
static utf8proc_int32_t map_space(utf8proc_int32_t codepoint, void *data)
{
	(void)data;
	return utf8proc_category(codepoint) == UTF8PROC_CATEGORY_ZS ? ' ' : codepoint;
}

const struct fail *verifier_prepare(struct arena *a, str password, str *out)
{
	static const struct fail bad = FAIL_STATIC(INVALID, "not a possible password");
	utf8proc_uint8_t *mapped = NULL;
	utf8proc_ssize_t n;

	if (password.n == 0 || password.n > VERIFIER_PASSWORD_MAX || !str_is_utf8(password))
		return &bad;
	for (size_t i = 0; i < password.n; i++)
		if (char_is(password.p[i], CHAR_CTL))
			return &bad;
	n = utf8proc_map_custom(password.p, (utf8proc_ssize_t)password.n, &mapped,
				UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT |
				    UTF8PROC_IGNORE,
				map_space, NULL);
	CHECK(n != UTF8PROC_ERROR_NOMEM); /* which says nothing about the password */
	if (n <= 0 || n > VERIFIER_PASSWORD_MAX * 4) {
		free(mapped); /* a library's */
		return &bad;
	}
	*out = copy_secret(a, str_from(mapped, (size_t)n));
	OPENSSL_cleanse(mapped, (size_t)n);
	free(mapped); /* a library's */
	return NULL;
}

static bool crypt_into(struct arena *a, str password, const char *setting, str *out)
{
	struct crypt_data *data = arena_new_of(a, struct crypt_data);
	const char *phrase = cstr(a, password), *hash;

	if (phrase == NULL)
		return false;
	hash = crypt_r(phrase, setting, data);
	if (hash == NULL || hash[0] == '*')
		return false;
	*out = str_copy(a, str_cstr(hash));
	OPENSSL_cleanse(data, sizeof *data);
	OPENSSL_cleanse((void *)(uintptr_t)phrase, password.n);
	return true;
}

static void random_bytes(u8 *out, size_t n)
{
	const struct env *e = env_system();

	e->random(e->context, out, n);
}

const struct fail *verifier_make(struct arena *a, str password, struct verifier *out)
{
	char setting[CRYPT_GENSALT_OUTPUT_SIZE], seed[32];
	u8 salt[VERIFIER_SALT];

	random_bytes((u8 *)seed, sizeof seed);
	random_bytes(salt, sizeof salt);
	if (!crypt_gensalt_rn("$y$", 0, seed, sizeof seed, setting, sizeof setting) ||
	    !crypt_into(a, password, setting, &out->crypt))
		return fail_new(a, FAIL_INTERNAL, "yescrypt is not available");
	out->salt = str_copy(a, str_from(salt, sizeof salt));
	out->iterations = VERIFIER_ITERATIONS;
	verifier_scram(out, password);
	return NULL;
}

const struct fail *verifier_check(struct arena *a, str crypt_text, str password, bool *right)
{
	static const struct fail unknown = FAIL_STATIC(UNAVAILABLE, "no memory for this hash");
	const char *setting = cstr(a, crypt_text);
	str hash;

	*right = false;
	if (password.n >= CRYPT_MAX_PASSPHRASE_SIZE)
		return NULL;
	/* yescrypt without its 16 MiB says EINVAL, as it does of a hash that is none: either way nobody can tell. */
	if (setting == NULL || !crypt_into(a, password, setting, &hash))
		return &unknown;
	*right = hash.n == crypt_text.n && CRYPTO_memcmp(hash.p, crypt_text.p, hash.n) == 0;
	return NULL;
}

static void hmac(const u8 *key, size_t key_n, str data, u8 out[VERIFIER_KEY])
{
	unsigned n = VERIFIER_KEY;

	CHECK(HMAC(EVP_sha256(), key, (int)key_n, data.p, data.n, out, &n) && n == VERIFIER_KEY);
}

void verifier_scram(struct verifier *v, str password)
{
	u8 salted[VERIFIER_KEY], client_key[VERIFIER_KEY];

	CHECK(PKCS5_PBKDF2_HMAC((const char *)password.p, (int)password.n, v->salt.p,
				(int)v->salt.n, (int)v->iterations, EVP_sha256(), VERIFIER_KEY,
				salted));
	hmac(salted, sizeof salted, S("Client Key"), client_key);
	CHECK(EVP_Digest(client_key, sizeof client_key, v->stored_key, NULL, EVP_sha256(), NULL));
	hmac(salted, sizeof salted, S("Server Key"), v->server_key);
	OPENSSL_cleanse(salted, sizeof salted);
	OPENSSL_cleanse(client_key, sizeof client_key);
}

void verifier_fake(struct arena *a, str secret, str name, struct verifier *out)
{
	u8 salt[VERIFIER_KEY];

	hmac(secret.p, secret.n, name, salt);
	*out = (struct verifier){ .iterations = VERIFIER_ITERATIONS };
	out->salt = str_copy(a, str_from(salt, VERIFIER_SALT));
	/* A real hash of bytes that nobody knows any more: checking against it costs what a check costs. */
	out->crypt = S("$y$j9T$OnQbpAzIUCGkCMWUJdh2n/$1rK1Gv1QiwbxjUMGA19F69TvXdQv7KP6KqGNOUP/uqC");
	random_bytes(out->stored_key, VERIFIER_KEY);
	random_bytes(out->server_key, VERIFIER_KEY);
}
