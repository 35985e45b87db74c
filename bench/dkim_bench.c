/*
 * What a DKIM verdict costs beside the bare primitives on the same bytes: SHA-256 of header and body, the RSA-2048 key made from its
 * numbers, one verification. CPU of this thread, per message.
 *
 *	dkim_bench [rounds]
 */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/check.h"
#include "text/encoding.h"
#include "text/header.h"
#include "verdict/dkim.h"
#include "verdict/dkim_key.h"

enum { ARENA = 64 << 20, NOW = 1700000000, PIECE = 64 * 1024 };

static double cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static str zone_record; /* RDATA */

static void zone_query(void *context, struct arena *a, str name, u32 type, struct dns_answer *out)
{
	(void)context;
	(void)a;
	(void)name;
	(void)type;
	*out = (struct dns_answer){ .status = DNS_OK, .records = &zone_record, .records_n = 1 };
}

static const struct fail *sign_here(void *context, struct arena *a, const struct dkim_identity *who,
				    str digest, str *signature)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(context, NULL);
	size_t n = 512;
	u8 *out = arena_alloc(a, n);

	(void)who;
	CHECK(EVP_PKEY_sign_init(c) == 1 && EVP_PKEY_CTX_set_signature_md(c, EVP_sha256()) == 1 &&
	      EVP_PKEY_sign(c, out, &n, digest.p, digest.n) == 1);
	EVP_PKEY_CTX_free(c);
	*signature = str_from(out, n);
	return NULL;
}

static void make_zone(struct arena *a, EVP_PKEY *key)
{
	struct buf *text = buf_new(a, 4096), *rdata = buf_new(a, 4096);
	unsigned char *der = NULL;
	int n = i2d_PUBKEY(key, &der);

	buf_add(text, S("v=DKIM1; k=rsa; p="));
	base64_encode(text, str_from(der, (size_t)n));
	OPENSSL_free(der);
	for (str rest = buf_str(text); rest.n; rest = str_skip(rest, 255)) {
		str part = str_slice(rest, 0, 255);
		buf_add_byte(rdata, (u8)part.n);
		buf_add(rdata, part);
	}
	zone_record = buf_str(rdata);
}

/* Plain text as people write it: words, lines of 72, paragraphs, now and then a quotation. */
static str make_message(struct arena *a, size_t size)
{
	struct buf *m = buf_new(a, size + 4096);

	buf_add(
	    m, S("Received: from a.example.net by b.example.org with ESMTPS; Tue, 14 Nov 2023 "
		 "22:13:20 +0000\r\nFrom: Ann Example <ann@example.org>\r\nTo: Bob "
		 "<bob@example.net>\r\nSubject: The minutes of last week\r\nDate: Tue, 14 Nov 2023 "
		 "22:13:20 +0000\r\nMessage-ID: <1@example.org>\r\nMIME-Version: 1.0\r\n"
		 "Content-Type: text/plain; charset=utf-8\r\n\r\n"));
	for (size_t line = 0; m->n < size; line++) {
		if (line % 7 == 6)
			buf_add(m, S("\r\n"));
		else if (line % 11 == 10)
			buf_add(m, S("> as you  wrote: the quick brown fox jumps over it\r\n"));
		else
			buf_add(
			    m,
			    S("the quick brown fox jumps over the lazy dog and goes home to sleep\r\n"));
	}
	return buf_str(m);
}

static str sign(struct arena *a, EVP_PKEY *key, str message, enum dkim_canon body)
{
	struct dkim_sign_options o = dkim_sign_defaults(NOW);
	struct dkim_identity who = { S("example.org"), S("s"), DKIM_RSA_SHA256 };
	struct dkim_key_holder holder = { key, sign_here };
	struct buf *out = buf_new(a, message.n + 8192);
	size_t head = header_length(message);
	struct dkim_signer *s;

	o.body_canon = body;
	s = dkim_signer_new(a, str_slice(message, 0, head), &o);
	dkim_signer_body(s, str_skip(message, head));
	CHECK(dkim_signer_field(s, &who, &holder, out) == NULL);
	buf_add(out, message);
	return buf_str(out);
}

static double time_verdict(str message, size_t rounds)
{
	size_t head = header_length(message);
	struct dns_source dns = { NULL, zone_query };
	struct arena *a = arena_new(ARENA);
	double began = cpu();

	for (size_t i = 0; i < rounds; i++) {
		struct dkim_verifier *v = dkim_verifier_new(a, str_slice(message, 0, head));
		struct dkim_verdicts out;
		for (str rest = str_skip(message, head); rest.n; rest = str_skip(rest, PIECE))
			dkim_verifier_body(v, str_slice(rest, 0, PIECE));
		dkim_verifier_finish(v, &dns, NOW, &out);
		CHECK(dkim_verdicts_best(&out) == DKIM_PASS);
		arena_reset(a);
	}
	began = cpu() - began;
	arena_free(&a);
	return began / (double)rounds;
}

/* Nothing but OpenSSL: one hash over the body, one over the header, the key from DER, one check of a signature. */
static double time_bare(EVP_PKEY *key, str message, size_t rounds)
{
	size_t head = header_length(message);
	EVP_MD *md = EVP_MD_fetch(NULL, "SHA256", NULL);
	EVP_MD_CTX *m = EVP_MD_CTX_new();
	struct arena *a = arena_new(1 << 20);
	unsigned char *der = NULL;
	int der_n = i2d_PUBKEY(key, &der);
	u8 digest[32];
	str signature;
	double began;

	CHECK(EVP_Digest(message.p, head, digest, NULL, md, NULL));
	CHECK(sign_here(key, a, NULL, str_from(digest, 32), &signature) == NULL);
	began = cpu();
	for (size_t i = 0; i < rounds; i++) {
		const unsigned char *p = der;
		EVP_PKEY *public = d2i_PUBKEY(NULL, &p, der_n);
		EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(public, NULL);
		CHECK(EVP_DigestInit_ex2(m, md, NULL));
		for (str rest = str_skip(message, head); rest.n; rest = str_skip(rest, PIECE))
			EVP_DigestUpdate(m, rest.p, rest.n < PIECE ? rest.n : PIECE);
		CHECK(EVP_DigestFinal_ex(m, digest, NULL) && EVP_DigestInit_ex2(m, md, NULL) &&
		      EVP_DigestUpdate(m, message.p, head) && EVP_DigestFinal_ex(m, digest, NULL));
		CHECK(EVP_PKEY_verify_init(c) == 1 && EVP_PKEY_CTX_set_signature_md(c, md) == 1 &&
		      EVP_PKEY_verify(c, signature.p, signature.n, digest, 32) == 1);
		EVP_PKEY_CTX_free(c);
		EVP_PKEY_free(public);
	}
	began = cpu() - began;
	EVP_MD_CTX_free(m);
	EVP_MD_free(md);
	OPENSSL_free(der);
	arena_free(&a);
	return began / (double)rounds;
}

int main(int argc, char **argv)
{
	static const size_t sizes[] = { 5 * 1024, 1024 * 1024 };
	struct arena *a = arena_new(ARENA);
	EVP_PKEY *key = EVP_RSA_gen(2048);

	make_zone(a, key);
	dkim_prepare();
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : i ? 500 : 20000;
		for (enum dkim_canon c = DKIM_SIMPLE; c <= DKIM_RELAXED; c++) {
			str message = sign(a, key, make_message(a, sizes[i]), c);
			double bare = time_bare(key, message, rounds),
			       ours = time_verdict(message, rounds);
			printf("%7zu bytes, body %.*s: bare %.1f us, verdict %.1f us, ratio %.2f\n",
			       message.n, STR_ARG(dkim_canon_name(c)), bare * 1e6, ours * 1e6,
			       ours / bare);
		}
	}
	EVP_PKEY_free(key);
	arena_free(&a);
	return 0;
}
