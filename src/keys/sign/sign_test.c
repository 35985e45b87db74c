/* A pair that is made can be loaded and signs; what no handshake would sign is refused. */
#include "base/unit.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keys/sign/key_pair.h"
#include "keys/sign/padding.h"

static const char digest[] = "0123456789abcdef0123456789abcdef";

static void test_made_pair_signs(void **state)
{
	struct arena *a = arena_new(1 << 20);
	char folder[] = "/tmp/postern-sign-XXXXXX";
	str certificate, key, signature;
	struct key_pair k;
	EVP_PKEY_CTX *ctx;

	(void)state;
	assert_non_null(mkdtemp(folder));
	certificate = str_format(a, "%s/c", folder);
	key = str_format(a, "%s/k", folder);
	assert_ok(key_pair_make(a, certificate, key, S("mail.example.org")));
	assert_ok(key_pair_load(a, certificate, key, &k));
	assert_int_equal(k.certificate.chain_n, 1);
	assert_int_equal(k.certificate.names_n, 2);
	assert_str(k.certificate.names[0], S("mail.example.org"));
	assert_ok(key_pair_sign(a, &k, SIGN_ECDSA_SHA256, str_cstr(digest), &signature));
	ctx = EVP_PKEY_CTX_new(k.private_key, NULL);
	assert_int_equal(EVP_PKEY_verify_init(ctx), 1);
	assert_int_equal(EVP_PKEY_verify(ctx, signature.p, signature.n, (const u8 *)digest, 32), 1);
	EVP_PKEY_CTX_free(ctx);
	assert_fail(key_pair_sign(a, &k, SIGN_ECDSA_SHA384, str_cstr(digest), &signature),
		    FAIL_INVALID);
	assert_fail(key_pair_sign(a, &k, SIGN_RSA_RAW_PADDED, str_cstr(digest), &signature),
		    FAIL_INVALID);
	assert_fail(key_pair_sign(a, &k, (enum sign_scheme)99, str_cstr(digest), &signature),
		    FAIL_INVALID);
	assert_fail(key_pair_load(a, certificate, certificate, &k), FAIL_INVALID);
	assert_fail(key_pair_load(a, S("/nowhere"), key, &k), FAIL_INVALID);
	unlink(cstr(a, certificate));
	unlink(cstr(a, key));
	rmdir(folder);
	arena_free(&a);
}

/* Blocks padded by OpenSSL itself: sign with no private operation is not possible, so that a real signature is opened again. */
static str padded_block(struct arena *a, EVP_PKEY *key, int padding, const EVP_MD *md)
{
	u8 *signature = arena_alloc(a, 256), *block = arena_alloc(a, 256);
	u8 hash[64] = { 1, 2, 3 };
	size_t n = 256;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);

	assert_int_equal(EVP_PKEY_sign_init(ctx), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, padding), 1);
	assert_int_equal(EVP_PKEY_CTX_set_signature_md(ctx, md), 1);
	if (padding == RSA_PKCS1_PSS_PADDING)
		assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST), 1);
	assert_int_equal(EVP_PKEY_sign(ctx, signature, &n, hash, (size_t)EVP_MD_get_size(md)), 1);
	EVP_PKEY_CTX_free(ctx);
	ctx = EVP_PKEY_CTX_new(key, NULL);
	assert_int_equal(EVP_PKEY_encrypt_init(ctx), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING), 1);
	n = 256;
	assert_int_equal(EVP_PKEY_encrypt(ctx, block, &n, signature, 256), 1);
	EVP_PKEY_CTX_free(ctx);
	return str_from(block, n);
}

static void test_padding(void **state)
{
	struct arena *a = arena_new(1 << 20);
	EVP_PKEY *key = EVP_RSA_gen(2048);
	const EVP_MD *const mds[] = { EVP_sha256(), EVP_sha384(), EVP_sha512() };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(mds); i++) {
		str pkcs1 = padded_block(a, key, RSA_PKCS1_PADDING, mds[i]);
		str pss = padded_block(a, key, RSA_PKCS1_PSS_PADDING, mds[i]);
		assert_true(padding_is_pkcs1(pkcs1));
		assert_false(padding_is_pss(pkcs1));
		assert_true(padding_is_pss(pss));
		assert_false(padding_is_pkcs1(pss));
		/* Any changed byte before the digest breaks the form. */
		for (size_t at = 0; at < pkcs1.n - (size_t)EVP_MD_get_size(mds[i]); at++) {
			((u8 *)(uintptr_t)pkcs1.p)[at] ^= 1;
			assert_false(padding_is_pkcs1(pkcs1));
			((u8 *)(uintptr_t)pkcs1.p)[at] ^= 1;
		}
		((u8 *)(uintptr_t)pss.p)[3] ^= 1;
		assert_false(padding_is_pss(pss));
		for (size_t n = 0; n < pss.n; n++) {
			assert_false(padding_is_pss(str_slice(pss, 0, n)));
			assert_false(padding_is_pkcs1(str_slice(pkcs1, 0, n)));
		}
	}
	EVP_PKEY_free(key);
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_made_pair_signs),
		cmocka_unit_test(test_padding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
