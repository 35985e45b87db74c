/* The two signers: keys/sign over the bus, and keys in this process. */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/env.h"
#include "serve/tls_key.h"

enum { LOCAL_KEYS = 8 };

static const struct fail *bus_sign(const struct tls_signer *signer, struct arena *a, u64 key,
				   enum sign_scheme scheme, str digest, str *signature)
{
	const struct sign_tls_sign_request q = { .key = key,
						 .scheme = (u8)scheme,
						 .digest = digest };
	struct sign_tls_sign_answer r = { 0 };
	u64 until = env_monotonic(env_system()) + BUS_RESTART_MS;
	const struct fail *f;

	/* New certificates start a new sign process: its moment of absence costs a handshake time, not its life (THREATS T11). */
	do
		f = sign_tls_sign(a, signer->context, &q, &r);
	while (f && f->what == FAIL_UNAVAILABLE && bus_wait(signer->context, until));
	TRY(f);
	*signature = r.signature;
	return NULL;
}

const struct tls_signer *tls_signer_bus(struct arena *a, struct bus *sign)
{
	struct tls_signer *signer = arena_new_of(a, struct tls_signer);

	*signer = (struct tls_signer){ .sign = bus_sign, .context = sign };
	return signer;
}

struct local {
	EVP_PKEY *keys[LOCAL_KEYS];
	size_t n;
};

static const EVP_MD *scheme_digest(enum sign_scheme scheme)
{
	return scheme == SIGN_ECDSA_SHA256   ? EVP_sha256()
	       : scheme == SIGN_ECDSA_SHA384 ? EVP_sha384()
					     : EVP_sha512();
}

static bool local_prepare(EVP_PKEY_CTX *c, enum sign_scheme scheme)
{
	if (EVP_PKEY_sign_init(c) != 1)
		return false;
	if (scheme == SIGN_RSA_RAW_PADDED)
		return EVP_PKEY_CTX_set_rsa_padding(c, RSA_NO_PADDING) == 1;
	return EVP_PKEY_CTX_set_signature_md(c, scheme_digest(scheme)) == 1;
}

static const struct fail *local_sign(const struct tls_signer *signer, struct arena *a, u64 key,
				     enum sign_scheme scheme, str digest, str *signature)
{
	const struct local *l = signer->context;
	EVP_PKEY_CTX *c;
	size_t n = 0;
	u8 *out = NULL;
	bool made = false;

	if (key == 0 || key > l->n)
		return fail_new(a, FAIL_NOT_FOUND, "no such key");
	c = EVP_PKEY_CTX_new(l->keys[key - 1], NULL);
	if (c && local_prepare(c, scheme) && EVP_PKEY_sign(c, NULL, &n, digest.p, digest.n) == 1) {
		out = arena_alloc(a, n);
		made = EVP_PKEY_sign(c, out, &n, digest.p, digest.n) == 1;
	}
	EVP_PKEY_CTX_free(c);
	if (!made)
		return fail_new(a, FAIL_INTERNAL, "cannot sign");
	*signature = str_from(out, n);
	return NULL;
}

static void local_release(void *object)
{
	struct local *l = object;

	while (l->n)
		EVP_PKEY_free(l->keys[--l->n]);
}

struct tls_signer *tls_signer_local(struct arena *a)
{
	struct tls_signer *signer = arena_new_of(a, struct tls_signer);
	struct local *l = arena_new_of(a, struct local);

	arena_own(a, local_release, l);
	*signer = (struct tls_signer){ .sign = local_sign, .context = l };
	return signer;
}

const struct fail *tls_signer_local_add(struct arena *a, struct tls_signer *signer, str key_pem,
					u64 *key)
{
	struct local *l = signer->context;
	BIO *bio = BIO_new_mem_buf(key_pem.p, (int)key_pem.n);
	EVP_PKEY *made = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;

	BIO_free(bio);
	if (made == NULL || l->n == LOCAL_KEYS) {
		EVP_PKEY_free(made);
		ERR_clear_error();
		return fail_new(a, FAIL_INVALID, "not a private key in PEM");
	}
	l->keys[l->n++] = made;
	*key = l->n;
	return NULL;
}
