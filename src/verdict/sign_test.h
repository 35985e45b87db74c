/* Signing by a key of this process, where the program asks keys: for the tests of this folder and the tools of tests/differential. */
#ifndef VERDICT_SIGN_TEST_H
#define VERDICT_SIGN_TEST_H

#include <openssl/evp.h>

#include "base/arena.h"
#include "base/check.h"
#include "verdict/dkim.h"

/* For dkim_sign; its context is the EVP_PKEY. */
static inline const struct fail *sign_with(void *context, struct arena *arena,
					   const struct dkim_identity *who, str digest,
					   str *signature)
{
	EVP_MD_CTX *m = EVP_MD_CTX_new();
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(context, NULL);
	size_t n = 1024;
	u8 *out = arena_alloc(arena, n);

	if (who->algorithm == DKIM_ED25519_SHA256)
		CHECK(EVP_DigestSignInit(m, NULL, NULL, NULL, context) == 1 &&
		      EVP_DigestSign(m, out, &n, digest.p, digest.n) == 1);
	else
		CHECK(EVP_PKEY_sign_init(c) == 1 &&
		      EVP_PKEY_CTX_set_signature_md(c, EVP_sha256()) == 1 &&
		      EVP_PKEY_sign(c, out, &n, digest.p, digest.n) == 1);
	EVP_PKEY_CTX_free(c);
	EVP_MD_CTX_free(m);
	*signature = str_from(out, n);
	return NULL;
}

#endif
