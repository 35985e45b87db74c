/*
 * What a DKIM verdict costs beside the bare primitives on the same bytes: SHA-256 of header and body, one verification with an RSA-2048
 * key. CPU of this thread, microseconds a message, medians of TURNS turns. bench/dkim_verify.py runs it, and others on the messages it writes.
 *
 *	dkim_bench FOLDER	prints: bytes canonicalization bare bare-with-key-made verdict
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
#include "text/dns_rdata.h"
#include "text/encoding.h"
#include "text/header.h"
#include "verdict/dkim.h"
#include "verdict/dkim_key.h"

enum { ARENA = 64 << 20, NOW = 1700000000, PIECE = 64 * 1024, TURNS = 15 };

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

/* Nothing but OpenSSL: one hash over the body, one over the header, one check of a signature. The key stands ready, or (with_key) is made
 * for each message by d2i_PUBKEY, as a program does that has just got it from DNS. */
static double time_bare(EVP_PKEY *key, str message, size_t rounds, bool with_key)
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
		EVP_PKEY *public = with_key ? d2i_PUBKEY(NULL, &p, der_n) : key;
		EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(public, NULL);
		CHECK(EVP_DigestInit_ex2(m, md, NULL));
		for (str rest = str_skip(message, head); rest.n; rest = str_skip(rest, PIECE))
			EVP_DigestUpdate(m, rest.p, rest.n < PIECE ? rest.n : PIECE);
		CHECK(EVP_DigestFinal_ex(m, digest, NULL) && EVP_DigestInit_ex2(m, md, NULL) &&
		      EVP_DigestUpdate(m, message.p, head) && EVP_DigestFinal_ex(m, digest, NULL));
		CHECK(EVP_PKEY_verify_init(c) == 1 && EVP_PKEY_CTX_set_signature_md(c, md) == 1 &&
		      EVP_PKEY_verify(c, signature.p, signature.n, digest, 32) == 1);
		EVP_PKEY_CTX_free(c);
		if (with_key)
			EVP_PKEY_free(public);
	}
	began = cpu() - began;
	EVP_MD_CTX_free(m);
	EVP_MD_free(md);
	OPENSSL_free(der);
	arena_free(&a);
	return began / (double)rounds;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *list)
{
	qsort(list, TURNS, sizeof *list, by_size);
	return list[TURNS / 2];
}

/* In turns, so that what else the machine does hits all alike. */
static void compare(EVP_PKEY *key, str message, enum dkim_canon c, size_t rounds)
{
	double bare[TURNS], with_key[TURNS], ours[TURNS];

	for (size_t i = 0; i < TURNS; i++) {
		bare[i] = time_bare(key, message, rounds, false);
		ours[i] = time_verdict(message, rounds);
		with_key[i] = time_bare(key, message, rounds / 4 + 1, true);
	}
	printf("%zu %.*s %.2f %.2f %.2f\n", message.n, STR_ARG(dkim_canon_name(c)),
	       median(bare) * 1e6, median(with_key) * 1e6, median(ours) * 1e6);
}

/* The signed message and its key record, for other programs to verify. */
static void keep(struct arena *a, const char *folder, const char *name, str bytes)
{
	FILE *f = fopen(cstr(a, str_format(a, "%s/%s", folder, name)), "we");

	CHECK(f && fwrite(bytes.p, 1, bytes.n, f) == bytes.n && fclose(f) == 0);
}

int main(int argc, char **argv)
{
	static const size_t sizes[] = { 5 * 1024, 1024 * 1024 };
	struct arena *a = arena_new(ARENA);
	EVP_PKEY *key = EVP_RSA_gen(2048);
	str record;

	make_zone(a, key);
	dkim_prepare();
	CHECK(argc > 1 && rdata_txt(a, zone_record, &record));
	keep(a, argv[1], "record", record);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		for (enum dkim_canon c = DKIM_SIMPLE; c <= DKIM_RELAXED; c++) {
			str message = sign(a, key, make_message(a, sizes[i]), c);
			const char *name = cstr(
			    a, str_format(a, "%zu.%.*s", sizes[i], STR_ARG(dkim_canon_name(c))));
			keep(a, argv[1], name, message);
			compare(key, message, c, i ? 60 : 3000);
		}
	}
	EVP_PKEY_free(key);
	arena_free(&a);
	return 0;
}
