/*
 * Keys whose private operations are calls: RSA_METHOD and EC_KEY_METHOD, which OpenSSL 3 has and 4 takes away; a provider will then
 * stand here, and nowhere else. There is no decryption: RSA key exchange is not offered and answers nothing.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "serve/tls_key.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"

enum { SIGN_BUDGET = 256 * 1024, RSA_BYTES_MAX = 1024 };

/* What hangs on an OpenSSL key. */
struct tls_key {
	const struct tls_signer *signer;
	u64 number;
};

static RSA_METHOD *rsa_method;
static EC_KEY_METHOD *ec_method;
static int rsa_index, ec_index;

/* Length of the signature, written to out; 0 when there is none. */
static size_t ask(const struct tls_key *key, enum sign_scheme scheme, str digest, u8 *out,
		  size_t most)
{
	struct arena *a = arena_new(SIGN_BUDGET);
	str signature = STR_NONE;
	const struct fail *f =
	    key->signer->sign(key->signer, a, key->number, scheme, digest, &signature);

	if (f)
		LOG(WARN, "tls.sign", LOG_U64("key", key->number), LOG_FAIL("why", f));
	if (f || signature.n > most)
		signature.n = 0;
	if (signature.n)
		memcpy(out, signature.p, signature.n);
	arena_free(&a);
	return signature.n;
}

/* What OpenSSL calls to sign: pads as PKCS#1 type 1 (RFC 8017 8.2), or comes padded (PSS). */
static int rsa_private(int n, const u8 *from, u8 *to, RSA *rsa, int padding)
{
	const struct tls_key *key = RSA_get_ex_data(rsa, rsa_index);
	u8 block[RSA_BYTES_MAX];
	int size = RSA_size(rsa);

	if (key == NULL || size > RSA_BYTES_MAX || n < 0)
		return -1;
	if (padding == RSA_PKCS1_PADDING) {
		if (RSA_padding_add_PKCS1_type_1(block, size, from, n) != 1)
			return -1;
	} else if (padding == RSA_NO_PADDING && n == size) {
		memcpy(block, from, (size_t)n);
	} else {
		return -1;
	}
	if (ask(key, SIGN_RSA_RAW_PADDED, str_from(block, (size_t)size), to, (size_t)size) !=
	    (size_t)size)
		return -1;
	return size;
}

static int rsa_no_decryption(int n, const u8 *from, u8 *to, RSA *rsa, int padding)
{
	(void)n, (void)from, (void)to, (void)rsa, (void)padding;
	return -1;
}

static int ec_sign(int type, const u8 *digest, int n, u8 *out, unsigned *out_n, const BIGNUM *kinv,
		   const BIGNUM *r, EC_KEY *ec)
{
	const struct tls_key *key = EC_KEY_get_ex_data(ec, ec_index);
	enum sign_scheme scheme = n == 32   ? SIGN_ECDSA_SHA256
				  : n == 48 ? SIGN_ECDSA_SHA384
					    : SIGN_ECDSA_SHA512;

	(void)type, (void)kinv, (void)r;
	if (key == NULL || (n != 32 && n != 48 && n != 64))
		return 0;
	*out_n =
	    (unsigned)ask(key, scheme, str_from(digest, (size_t)n), out, (size_t)ECDSA_size(ec));
	return *out_n != 0;
}

void tls_key_init(void)
{
	if (rsa_method)
		return;
	rsa_method = RSA_meth_dup(RSA_PKCS1_OpenSSL());
	ec_method = EC_KEY_METHOD_new(EC_KEY_OpenSSL());
	CHECK(rsa_method != NULL && ec_method != NULL);
	RSA_meth_set_priv_enc(rsa_method, rsa_private);
	RSA_meth_set_priv_dec(rsa_method, rsa_no_decryption);
	EC_KEY_METHOD_set_sign(ec_method, ec_sign, NULL, NULL);
	rsa_index = RSA_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	ec_index = EC_KEY_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

static bool rsa_key(EVP_PKEY *out, EVP_PKEY *public, struct tls_key *key)
{
	RSA *rsa = EVP_PKEY_get1_RSA(public), *own = rsa ? RSAPublicKey_dup(rsa) : NULL;

	RSA_free(rsa);
	if (own && RSA_set_method(own, rsa_method) == 1 &&
	    RSA_set_ex_data(own, rsa_index, key) == 1 && EVP_PKEY_assign_RSA(out, own) == 1)
		return true;
	RSA_free(own);
	return false;
}

static bool ec_key(EVP_PKEY *out, EVP_PKEY *public, struct tls_key *key)
{
	EC_KEY *ec = EVP_PKEY_get1_EC_KEY(public), *own = ec ? EC_KEY_dup(ec) : NULL;

	EC_KEY_free(ec);
	if (own && EC_KEY_set_method(own, ec_method) == 1 &&
	    EC_KEY_set_ex_data(own, ec_index, key) == 1 && EVP_PKEY_assign_EC_KEY(out, own) == 1)
		return true;
	EC_KEY_free(own);
	return false;
}

EVP_PKEY *tls_key_new(struct arena *a, const struct tls_signer *signer, u64 number,
		      EVP_PKEY *public)
{
	struct tls_key *key = arena_new_of(a, struct tls_key);
	EVP_PKEY *out = EVP_PKEY_new();
	bool made = false;

	*key = (struct tls_key){ .signer = signer, .number = number };
	if (out && EVP_PKEY_get_base_id(public) == EVP_PKEY_RSA)
		made = rsa_key(out, public, key);
	else if (out && EVP_PKEY_get_base_id(public) == EVP_PKEY_EC)
		made = ec_key(out, public, key);
	if (made)
		return out;
	EVP_PKEY_free(out);
	return NULL;
}
