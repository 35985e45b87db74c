/* The examples of the RFCs, every way to feed them; each rule of a signature and a key record; what our own signer makes. */
#include "base/unit.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "text/encoding.h"
#include "text/header.h"
#include "verdict/dkim.h"
#include "verdict/dkim_key.h"
#include "verdict/dkim_signature.h"
#include "verdict/dkim_tag.h"
#include "verdict/sign_test.h"
#include "verdict/zone_test.h"

enum { NOW = 1528637909 };

static struct arena *arena;

static int setup(void **state)
{
	(void)state;
	arena = arena_new(64 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_free(&arena);
	return 0;
}

#define RSA_8463                                                                                \
	"MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2j" \
	"LQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9" \
	"PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"
#define ED_8463 "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

static const struct zone_record examples[] = {
	{ "brisbane._domainkey.football.example.com", "v=DKIM1; k=ed25519; p=" ED_8463 },
	{ "test._domainkey.football.example.com", "v=DKIM1; k=rsa; p=" RSA_8463 },
	{ "brisbane._domainkey.example.com",
	  "v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/"
	  "zYtIxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/"
	  "NMqJ0fzfVjH4OuKhitdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB" },
};

#define BODY_8463 "Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n"
#define FIELDS_8463                                        \
	"From: Joe SixPack <joe@football.example.com>\r\n" \
	"To: Suzie Q <suzie@shopping.example.net>\r\n"     \
	"Subject: Is dinner ready?\r\n"                    \
	"Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"  \
	"Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n"

/* RFC 8463 A.3 */
static const char message_8463[] =
    "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n"
    " d=football.example.com; i=@football.example.com;\r\n"
    " q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n"
    " subject : date : message-id : from : subject : date;\r\n"
    " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
    " b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\r\n"
    " Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\r\n"
    "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n"
    " d=football.example.com; i=@football.example.com;\r\n"
    " q=dns/txt; s=test; t=1528637909; h=from : to : subject :\r\n"
    " date : message-id : from : subject : date;\r\n"
    " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
    " b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3\r\n"
    " DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz\r\n"
    " dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=\r\n" FIELDS_8463 "\r\n" BODY_8463;

/* RFC 6376 A.2 */
static const char message_6376[] =
    "DKIM-Signature: v=1; a=rsa-sha256; s=brisbane; d=example.com;\r\n"
    "      c=simple/simple; q=dns/txt; i=joe@football.example.com;\r\n"
    "      h=Received : From : To : Subject : Date : Message-ID;\r\n"
    "      bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
    "      b=AuUoFEfDxTDkHlLXSZEpZj79LICEps6eda7W3deTVFOk4yAUoqOB\r\n"
    "      4nujc7YopdG5dWLSdNg6xNAZpOPr+kHxt1IrE+NahM6L/LbvaHut\r\n"
    "      KVdkLLkpVaVVQPzeRDI009SO2Il5Lu7rDNH6mZckBdrIx0orEtZV\r\n"
    "      4bmp/YzhwvcubU4=;\r\n"
    "Received: from client1.football.example.com  [192.0.2.1]\r\n"
    "      by submitserver.example.com with SUBMISSION;\r\n"
    "      Fri, 11 Jul 2003 21:01:54 -0700 (PDT)\r\n" FIELDS_8463 "\r\n"
    "Hi.\r\n\r\nWe lost the game. Are you hungry yet?\r\n\r\nJoe.\r\n";

static struct dkim_verdicts verify_in(struct zone *z, str message, size_t piece, u64 now)
{
	struct dns_source dns = { z, zone_query };
	size_t head = header_length(message);
	struct dkim_verifier *v = dkim_verifier_new(arena, str_slice(message, 0, head));
	struct dkim_verdicts out;

	for (str rest = str_skip(message, head); rest.n; rest = str_skip(rest, piece))
		dkim_verifier_body(v, str_slice(rest, 0, piece));
	dkim_verifier_finish(v, &dns, now, &out);
	return out;
}

static struct dkim_verdicts verify(str message, size_t piece)
{
	struct zone z = { examples, ARRAY_LEN(examples), DNS_NXDOMAIN, 0 };

	return verify_in(&z, message, piece, NOW);
}

static void test_rfc_examples(void **state)
{
	static const size_t pieces[] = { 1, 2, 3, 5, 16, 17, 33, 1 << 20 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		struct dkim_verdicts v = verify(str_cstr(message_8463), pieces[i]);
		assert_int_equal(v.n, 2);
		assert_int_equal(v.list[0].result, DKIM_PASS);
		assert_int_equal(v.list[0].algorithm, DKIM_ED25519_SHA256);
		assert_str(v.list[0].looked_up, S("brisbane._domainkey.football.example.com"));
		assert_int_equal(v.list[1].result, DKIM_PASS);
		assert_int_equal(v.list[1].key_bits, 1024);
		v = verify(str_cstr(message_6376), pieces[i]);
		assert_int_equal(v.n, 1);
		assert_int_equal(v.list[0].result, DKIM_PASS);
		assert_str(v.list[0].auid, S("joe@football.example.com"));
		assert_int_equal(dkim_verdicts_best(&v), DKIM_PASS);
	}
}

/* Cut anywhere, nothing that was signed can pass but what is whole but for its last CRLF. */
static void test_truncated(void **state)
{
	str whole = str_cstr(message_6376);

	(void)state;
	for (size_t n = 0; n < whole.n; n++) {
		struct dkim_verdicts v = verify(str_slice(whole, 0, n), 7);
		bool can_pass = n + 2 >= whole.n; /* a CR alone is a byte of the last line */
		assert_true(n + 2 == whole.n || dkim_verdicts_best(&v) != DKIM_PASS || !can_pass);
		if (!can_pass)
			assert_int_not_equal(dkim_verdicts_best(&v), DKIM_PASS);
	}
}

/* One bit anywhere, but for the two bits at the end of b= that are no part of its value. */
static void test_every_byte_counts(void **state)
{
	str whole = str_cstr(message_6376);
	u8 *copy = arena_alloc(arena, whole.n);
	size_t unused = str_find_str(whole, S("4=;"));

	(void)state;
	for (size_t i = 0; i < whole.n; i++) {
		struct dkim_verdicts v;
		memcpy(copy, whole.p, whole.n);
		copy[i] ^= 1;
		v = verify(str_from(copy, whole.n), 1 << 20);
		if (dkim_verdicts_best(&v) == DKIM_PASS && i != unused)
			fail_msg("changed at %zu, and it passes", i);
	}
}

/* --- canonical forms --- */

struct gathered {
	struct buf *out;
};

static void gather(void *context, const u8 *p, size_t n)
{
	buf_add(((struct gathered *)context)->out, str_from(p, n));
}

static void test_canonical_fields(void **state)
{
	static const struct {
		enum dkim_canon canon;
		const char *raw, *expected;
	} rows[] = {
		{ DKIM_RELAXED, "A: X\r\n", "a:X\r\n" }, /* RFC 6376 3.4.5 */
		{ DKIM_RELAXED, "B : Y\t\r\n\tZ  \r\n", "b:Y Z\r\n" },
		{ DKIM_SIMPLE, "B : Y\t\r\n\tZ  \r\n", "B : Y\t\r\n\tZ  \r\n" },
		{ DKIM_RELAXED, "Empty:\r\n", "empty:\r\n" },
		{ DKIM_RELAXED, "Empty: \t \r\n \r\n", "empty:\r\n" },
		{ DKIM_RELAXED, "C:x", "c:x\r\n" },
		{ DKIM_SIMPLE, "C:x", "C:x\r\n" },
		{ DKIM_RELAXED, "D: a\rb\nc\r\n", "d:a\rb\nc\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct gathered g = { buf_new(arena, 4096) };
		dkim_canon_field(rows[i].canon, str_cstr(rows[i].raw), false,
				 (struct dkim_sink){ &g, gather });
		assert_str(buf_str(g.out), str_cstr(rows[i].expected));
	}
}

static void test_canonical_signature(void **state)
{
	static const struct {
		const char *raw, *expected;
	} rows[] = {
		{ "DKIM-Signature: v=1; b= ab\r\n cd ; bh=xx=\r\n",
		  "dkim-signature:v=1; b=; bh=xx=" },
		{ "DKIM-Signature: bh=b=;\r\n\tb =a=b\r\n", "dkim-signature:bh=b=; b =" },
		{ "DKIM-Signature:b=zz\r\n", "dkim-signature:b=" },
		{ "DKIM-Signature: v=1\r\n", "dkim-signature:v=1" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct gathered g = { buf_new(arena, 4096) };
		dkim_canon_signature(DKIM_RELAXED, str_cstr(rows[i].raw),
				     (struct dkim_sink){ &g, gather });
		assert_str(buf_str(g.out), str_cstr(rows[i].expected));
	}
}

static void assert_body(enum dkim_canon canon, str body, str canonical, size_t piece)
{
	struct dkim_body *b = dkim_body_new(arena);
	size_t want = dkim_body_want(b, canon, DKIM_WHOLE);
	u8 digest[DKIM_DIGEST], expected[DKIM_DIGEST];
	bool longer;

	for (str rest = body; rest.n; rest = str_skip(rest, piece))
		dkim_body_feed(b, str_slice(rest, 0, piece));
	dkim_body_finish(b);
	assert_true(dkim_body_hash(b, want, digest, &longer));
	assert_false(longer);
	EVP_Digest(canonical.p, canonical.n, expected, NULL, EVP_sha256(), NULL);
	if (dkim_body_length(b, canon) != canonical.n || memcmp(digest, expected, sizeof digest))
		fail_msg("\"%.*s\" in pieces of %zu", STR_ARG(body), piece);
}

/* THREATS D06 */
static void test_canonical_bodies(void **state)
{
	static const struct {
		const char *body, *simple, *relaxed;
	} rows[] = {
		{ "", "\r\n", "" },
		{ "\r\n", "\r\n", "" },
		{ "\r\n\r\n\r\n", "\r\n", "" },
		{ " \r\n", " \r\n", "" },
		{ " C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n",
		  " C\r\nD E\r\n" }, /* RFC 6376 3.4.5 */
		{ "a", "a\r\n", "a\r\n" },
		{ "a\r\n \t\r\n\r\n", "a\r\n \t\r\n", "a\r\n" },
		{ "\r\n\r\na\r\n", "\r\n\r\na\r\n", "\r\n\r\na\r\n" },
		{ "a\r\n\r\n\r\n\r\nb\r\n", "a\r\n\r\n\r\n\r\nb\r\n", "a\r\n\r\n\r\n\r\nb\r\n" },
		{ "a\rb\nc\r\n", "a\rb\nc\r\n", "a\rb\nc\r\n" },
		{ "a\r", "a\r\r\n", "a\r\r\n" },
		{ "a\r\r\n", "a\r\r\n", "a\r\r\n" },
		{ "\r\r\n\n\r\n", "\r\r\n\n\r\n", "\r\r\n\n\r\n" },
		{ "a \rb\r\n", "a \rb\r\n", "a \rb\r\n" },
		{ "a\n\r\n\r\n", "a\n\r\n", "a\n\r\n" },
		{ "x\ty  z \r\n  w", "x\ty  z \r\n  w\r\n", "x y z\r\n w\r\n" },
		{ "0123456789abcdef0123456789abcdef0123456789abcde f\r\n\r\n",
		  "0123456789abcdef0123456789abcdef0123456789abcde f\r\n",
		  "0123456789abcdef0123456789abcdef0123456789abcde f\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (size_t piece = 1; piece < 40; piece++) {
			str body = str_cstr(rows[i].body);
			assert_body(DKIM_SIMPLE, body, str_cstr(rows[i].simple), piece);
			assert_body(DKIM_RELAXED, body, str_cstr(rows[i].relaxed), piece);
		}
	}
}

/* Lines from 998 bytes to beyond any buffer (THREATS S13), in pieces of any size. */
static void test_long_lines(void **state)
{
	static const size_t lengths[] = { 998, 1000, 1024, 1025, 2048, 65536, 3000000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		struct buf *b = buf_new(arena, lengths[i] + 2);
		memset(buf_room(b, lengths[i]), 'x', lengths[i]);
		buf_added(b, lengths[i]);
		buf_add(b, S("\r\n"));
		assert_body(DKIM_SIMPLE, buf_str(b), buf_str(b), 4093);
		assert_body(DKIM_RELAXED, buf_str(b), buf_str(b), 4093);
	}
}

/* --- what is refused, and as what --- */

#define TAGS_REST                                                                     \
	"s=test; h=from : to : subject : date : message-id : from : subject : date; " \
	"bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=; b=AAAA"
#define TAGS "v=1; a=rsa-sha256; c=relaxed/relaxed; d=football.example.com; " TAGS_REST

static void test_signature_rules(void **state)
{
	static const struct {
		const char *value;
		enum dkim_result result;
	} rows[] = {
		{ TAGS, DKIM_FAIL },
		{ TAGS ";", DKIM_FAIL },
		{ TAGS "; ; ", DKIM_NEUTRAL },
		{ TAGS "; unknown=x", DKIM_FAIL },
		{ TAGS "; s=test", DKIM_NEUTRAL },
		{ TAGS "; 1x=y", DKIM_NEUTRAL },
		{ TAGS "; x", DKIM_NEUTRAL },
		{ "", DKIM_NEUTRAL },
		{ "v=2; a=rsa-sha256; d=football.example.com; " TAGS_REST, DKIM_NEUTRAL },
		{ "a=rsa-sha256; d=football.example.com; " TAGS_REST, DKIM_NEUTRAL },
		{ "v=1; a=rsa-sha512; d=football.example.com; " TAGS_REST, DKIM_NEUTRAL },
		{ "v=1; a=rsa-sha1; d=football.example.com; " TAGS_REST, DKIM_POLICY },
		{ "v=1; a=rsa-sha256; d=com; " TAGS_REST, DKIM_NEUTRAL },
		{ "v=1; a=rsa-sha256; d=a b.example; " TAGS_REST, DKIM_NEUTRAL },
		{ "v=1; a=rsa-sha256; c=nofws; d=football.example.com; " TAGS_REST, DKIM_NEUTRAL },
		{ TAGS "; q=http", DKIM_NEUTRAL },
		{ TAGS "; q=http : dns/txt", DKIM_FAIL },
		{ TAGS "; i=@sub.football.example.com", DKIM_FAIL },
		{ TAGS "; i=@evilfootball.example.com", DKIM_PERMERROR },
		{ TAGS "; i=joe@example.com", DKIM_PERMERROR },
		{ TAGS "; i=joe", DKIM_NEUTRAL },
		{ TAGS "; l=12x", DKIM_NEUTRAL },
		{ TAGS "; l=99999999999999999999999", DKIM_NEUTRAL },
		{ TAGS "; l=1000", DKIM_FAIL },
		{ TAGS "; t=5; x=5", DKIM_NEUTRAL },
		{ TAGS "; t=-1", DKIM_NEUTRAL },
		{ "v=1; a=rsa-sha256; d=football.example.com; s=test; h=To; bh=2jUSOH9NhtVGCQWNr9BrIAPre"
		  "KQjO6Sn7XIkfJVOzv8=; b=AAAA",
		  DKIM_PERMERROR },
		{ "v=1; a=rsa-sha256; d=football.example.com; s=test; h=From:; bh=2jUSOH9NhtVGCQWNr9BrIA"
		  "PreKQjO6Sn7XIkfJVOzv8=; b=AAAA",
		  DKIM_NEUTRAL },
		{ "v=1; a=rsa-sha256; d=football.example.com; s=test; h=From; bh=AAAA; b=AAAA",
		  DKIM_NEUTRAL },
		{ "v=1; a=rsa-sha256; d=football.example.com; s=test; h=From; bh=2jUSOH9NhtVGCQWNr9BrIAP"
		  "reKQjO6Sn7XIkfJVOzv8=; b=A*A",
		  DKIM_NEUTRAL },
		{ "v=1; a=rsa-sha256; d=football.example.com; s=test; h=From; bh=2jUSOH9NhtVGCQWNr9BrIAP"
		  "reKQjO6Sn7XIkfJVOzv8=; b=",
		  DKIM_NEUTRAL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		str message = str_format(
		    arena, "DKIM-Signature: %s\r\n" FIELDS_8463 "\r\n" BODY_8463, rows[i].value);
		struct dkim_verdicts v = verify(message, 99);
		assert_int_equal(v.n, 1);
		if (v.list[0].result != rows[i].result)
			fail_msg("%s: %.*s, %.*s", rows[i].value,
				 STR_ARG(dkim_result_name(v.list[0].result)),
				 STR_ARG(v.list[0].reason));
		assert_true(v.list[0].reason.n > 0);
	}
}

static void test_key_records(void **state)
{
	static const struct {
		const char *record;
		enum dkim_result result;
	} rows[] = {
		{ "v=DKIM1; k=rsa; p=" RSA_8463, DKIM_NONE },
		{ "p=" RSA_8463, DKIM_NONE },
		{ "v=DKIM1; h=sha1:sha256; s=*; t=y:s; n=note; p=" RSA_8463 ";", DKIM_NONE },
		{ "v=DKIM1; k=ed25519; p=" ED_8463, DKIM_NONE },
		{ "v=DKIM1; p=", DKIM_PERMERROR },
		{ "v=DKIM1; k=rsa", DKIM_PERMERROR },
		{ "v=DKIM2; p=" RSA_8463, DKIM_PERMERROR },
		{ "k=rsa; v=DKIM1; p=" RSA_8463, DKIM_PERMERROR },
		{ "v=DKIM1; h=sha1; p=" RSA_8463, DKIM_PERMERROR },
		{ "v=DKIM1; s=tlsrpt; p=" RSA_8463, DKIM_PERMERROR },
		{ "v=DKIM1; k=dsa; p=" RSA_8463, DKIM_PERMERROR },
		{ "v=DKIM1; k=ed25519; p=" RSA_8463, DKIM_PERMERROR },
		{ "v=DKIM1; p=" ED_8463, DKIM_PERMERROR },
		{ "v=DKIM1; p=!!!!", DKIM_PERMERROR },
		{ "v=DKIM1; p=MIGf", DKIM_PERMERROR },
		{ "v=DKIM1; p=a; p=b", DKIM_PERMERROR },
		{ "", DKIM_PERMERROR },
		{ "v=spf1 -all", DKIM_PERMERROR },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct dkim_key k;
		str record = str_cstr(rows[i].record), reason = STR_NONE;
		enum dkim_result r = dkim_key_parse(arena, record, &k, &reason);
		if (r != rows[i].result)
			fail_msg("%s: %.*s, %.*s", rows[i].record, STR_ARG(dkim_result_name(r)),
				 STR_ARG(reason));
		for (size_t n = 0; n < record.n; n++)
			(void)dkim_key_parse(arena, str_slice(record, 0, n), &k, &reason);
	}
}

/* --- keys of our own --- */

struct pair {
	EVP_PKEY *key;
	struct zone_record record;
};

static str public_text(EVP_PKEY *key, bool is_rsa)
{
	struct buf *b = buf_new(arena, 4096);
	unsigned char *der = NULL;
	u8 raw[32];
	size_t n = sizeof raw;

	if (is_rsa) {
		n = (size_t)i2d_PUBKEY(key, &der);
		base64_encode(b, str_from(der, n));
		OPENSSL_free(der);
	} else {
		EVP_PKEY_get_raw_public_key(key, raw, &n);
		base64_encode(b, str_from(raw, n));
	}
	return buf_str(b);
}

static struct pair make_pair(const char *selector, const char *extra, size_t bits)
{
	struct pair p = { .key =
			      bits ? EVP_RSA_gen(bits) : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519") };
	str name = str_format(arena, "%s._domainkey.example.org", selector);
	str text = str_format(arena, "v=DKIM1; k=%s; %sp=%.*s", bits ? "rsa" : "ed25519", extra,
			      STR_ARG(public_text(p.key, bits != 0)));

	p.record = (struct zone_record){ cstr(arena, name), cstr(arena, text) };
	return p;
}

static str sign(const struct pair *p, const char *selector, const struct dkim_sign_options *o,
		str message)
{
	struct dkim_identity who = { S("example.org"), str_cstr(selector),
				     EVP_PKEY_is_a(p->key, "RSA") ? DKIM_RSA_SHA256
								  : DKIM_ED25519_SHA256 };
	struct dkim_key_holder keys = { p->key, sign_with };
	struct buf *out = buf_new(arena, 1 << 16);
	size_t head = header_length(message);
	struct dkim_signer *s = dkim_signer_new(arena, str_slice(message, 0, head), o);

	dkim_signer_body(s, str_skip(message, head));
	assert_ok(dkim_signer_field(s, &who, &keys, out));
	return str_format(arena, "%.*s%.*s", STR_ARG(buf_str(out)), STR_ARG(message));
}

static struct dkim_verdict verify_one(const struct pair *p, str message, u64 now)
{
	struct zone z = { &p->record, 1, DNS_NXDOMAIN, 0 };
	struct dkim_verdicts v = verify_in(&z, message, 11, now);

	assert_true(v.n >= 1);
	return v.list[0];
}

#define PLAIN \
	"From: ann@example.org\r\nTo: b@example.net\r\nSubject: one\r\n\r\nHello  you \r\n\r\n"

/* With lists_may_add a list's fields do no harm, unless one stands there: then it is signed, and no second one can be added. */
static void test_lists_may_add(void **state)
{
	struct dkim_sign_options o = dkim_sign_defaults(NOW);
	struct pair p = make_pair("s", "", 0);
	str good, added;

	(void)state;
	o.lists_may_add = true;
	good = sign(&p, "s", &o, S(PLAIN));
	added = str_format(arena, "List-Id: <l>\r\nList-Post: <x:>\r\n%.*s", STR_ARG(good));
	assert_int_equal(verify_one(&p, added, NOW).result, DKIM_PASS);
	added = str_format(arena, "Reply-To: eve@x\r\n%.*s", STR_ARG(good));
	assert_int_equal(verify_one(&p, added, NOW).result, DKIM_FAIL);
	good = sign(&p, "s", &o, S("List-Id: <a>\r\n" PLAIN));
	assert_int_equal(verify_one(&p, good, NOW).result, DKIM_PASS);
	added = str_format(arena, "List-Id: <b>\r\n%.*s", STR_ARG(good));
	assert_int_equal(verify_one(&p, added, NOW).result, DKIM_FAIL);
	EVP_PKEY_free(p.key);
}

/* The keys that stay ready: more senders than there is room for, each twice, never one's key for another's record. */
static void test_kept_keys(void **state)
{
	enum { SENDERS = 2 * DKIM_KEYS_KEPT };
	u8 digest[DKIM_DIGEST] = { 1 }, raw[32], signatures[SENDERS][64];
	str records[SENDERS], reason;
	struct dkim_key k;

	(void)state;
	for (size_t i = 0; i < SENDERS; i++) {
		EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
		EVP_MD_CTX *c = EVP_MD_CTX_new();
		struct buf *text = buf_new(arena, 100);
		size_t n = sizeof raw, s = 64;
		assert_int_equal(EVP_PKEY_get_raw_public_key(key, raw, &n), 1);
		assert_true(EVP_DigestSignInit(c, NULL, NULL, NULL, key) == 1 &&
			    EVP_DigestSign(c, signatures[i], &s, digest, sizeof digest) == 1);
		buf_add(text, S("k=ed25519; p="));
		base64_encode(text, str_from(raw, n));
		records[i] = buf_str(text);
		EVP_MD_CTX_free(c);
		EVP_PKEY_free(key);
	}
	for (size_t round = 0; round < 3; round++) {
		for (size_t i = 0; i < SENDERS; i++) {
			assert_int_equal(dkim_key_parse(arena, records[i], &k, &reason), DKIM_NONE);
			assert_true(dkim_key_verify(&k, digest, str_from(signatures[i], 64)));
			assert_false(dkim_key_verify(&k, digest,
						     str_from(signatures[(i + 1) % SENDERS], 64)));
		}
	}
}

/* THREATS D04: what is signed once more cannot be added; what stands there cannot be changed. */
static void test_oversigned(void **state)
{
	static const char *const late[] = { "From: eve@example.com\r\n",
					    "To: x@example.net\r\n",
					    "Cc: x@example.net\r\n",
					    "Subject: two\r\n",
					    "Date: now\r\n",
					    "Message-ID: <x@y>\r\n",
					    "Reply-To: eve@x\r\n",
					    "Content-Type: text/html\r\n",
					    "MIME-Version: 1.0\r\n",
					    "In-Reply-To: <a@b>\r\n",
					    "References: <a@b>\r\n",
					    "List-Unsubscribe: <x:>\r\n",
					    "List-Id: <l>\r\n" };
	struct dkim_sign_options o = dkim_sign_defaults(NOW);

	(void)state;
	for (size_t kind = 0; kind < 2; kind++) {
		struct pair p = make_pair("s", "", kind ? 2048 : 0);
		str good = sign(&p, "s", &o, S(PLAIN));
		assert_int_equal(verify_one(&p, good, NOW).result, DKIM_PASS);
		for (size_t i = 0; i < ARRAY_LEN(late); i++) {
			str added = str_format(arena, "%s%.*s", late[i], STR_ARG(good));
			assert_int_equal(verify_one(&p, added, NOW).result, DKIM_FAIL);
		}
		good = str_format(arena, "Received: by x\r\n%.*s", STR_ARG(good));
		assert_int_equal(verify_one(&p, good, NOW).result, DKIM_PASS);
		for (size_t at = 0, line = 0; at < good.n;
		     at++, line++) { /* folded as it should be */
			assert_true(line < 79);
			if (good.p[at] == '\n')
				line = 0;
		}
		EVP_PKEY_free(p.key);
	}
}

static void test_length_limit(void **state)
{
	struct pair p = make_pair("s", "", 0);
	struct dkim_sign_options o = { .with_length = true };
	str good = sign(&p, "s", &o, S("From: a@example.org\r\n\r\nsigned\r\n"));
	str more = str_format(arena, "%.*sadded\r\n", STR_ARG(good));
	struct dkim_verdict v;

	(void)state;
	v = verify_one(&p, good, NOW);
	assert_true(v.result == DKIM_PASS && v.has_length && !v.length_limited);
	v = verify_one(&p, more, NOW); /* THREATS D03 */
	assert_true(v.result == DKIM_PASS && v.has_length && v.length_limited);
	EVP_PKEY_free(p.key);
}

/* THREATS D14 */
static void test_times(void **state)
{
	struct pair p = make_pair("s", "", 0);
	struct dkim_sign_options o = dkim_sign_defaults(NOW);
	struct dkim_verdict v;
	str m;

	(void)state;
	o.expires_at = NOW + 10;
	m = sign(&p, "s", &o, S(PLAIN));
	assert_int_equal(verify_one(&p, m, NOW + 10).result, DKIM_PASS);
	v = verify_one(&p, m, NOW + 11);
	assert_true(v.result == DKIM_FAIL && v.expired);
	assert_int_equal(verify_one(&p, m, NOW - DKIM_AHEAD).result, DKIM_PASS);
	v = verify_one(&p, m, NOW - DKIM_AHEAD - 1);
	assert_true(v.result == DKIM_FAIL && !v.expired);
	EVP_PKEY_free(p.key);
}

/* THREATS D05 */
static void test_key_sizes_and_flags(void **state)
{
	static const struct {
		size_t bits;
		enum dkim_result result;
	} rows[] = { { 512, DKIM_POLICY }, { 768, DKIM_POLICY }, { 1024, DKIM_PASS },
		     { 2048, DKIM_PASS },  { 4096, DKIM_PASS },  { 4104, DKIM_POLICY } };
	struct dkim_sign_options o = dkim_sign_defaults(NOW);
	struct dkim_verdict v;
	struct pair p;
	str m;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		p = make_pair("s", "", rows[i].bits);
		v = verify_one(&p, sign(&p, "s", &o, S(PLAIN)), NOW);
		assert_int_equal(v.result, rows[i].result);
		assert_int_equal(v.key_bits, rows[i].bits);
		EVP_PKEY_free(p.key);
	}
	p = make_pair("s", "t=y; ", 0);
	v = verify_one(&p, sign(&p, "s", &o, S(PLAIN)), NOW);
	assert_true(v.result == DKIM_PASS && v.testing);
	EVP_PKEY_free(p.key);
	p = make_pair("s", "t=s; ", 0);
	m = str_format(arena,
		       "DKIM-Signature: v=1; a=ed25519-sha256; d=example.org; s=s; "
		       "i=@sub.example.org; h=From; bh=%s; b=AAAA\r\nFrom: a@b\r\n\r\n",
		       "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=");
	assert_int_equal(verify_one(&p, m, NOW).result, DKIM_PERMERROR);
	EVP_PKEY_free(p.key);
}

static void test_dns(void **state)
{
	static const struct {
		enum dns_status status;
		enum dkim_result result;
	} rows[] = { { DNS_NXDOMAIN, DKIM_PERMERROR },
		     { DNS_NODATA, DKIM_PERMERROR },
		     { DNS_TEMPFAIL, DKIM_TEMPERROR },
		     { DNS_BOGUS, DKIM_TEMPERROR } };
	struct pair p = make_pair("s", "", 0), other = make_pair("s", "", 0);
	struct dkim_sign_options o = dkim_sign_defaults(NOW);
	struct zone_record two[] = { other.record, p.record };
	struct zone z = { two, 2, DNS_NXDOMAIN, 0 };
	str m = sign(&p, "s", &o, S(PLAIN));
	struct dkim_verdicts v;

	(void)state;
	v = verify_in(&z, m, 9, NOW); /* several records: each is tried */
	assert_int_equal(v.list[0].result, DKIM_PASS);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct zone none = { NULL, 0, rows[i].status, 0 };
		v = verify_in(&none, m, 9, NOW);
		assert_int_equal(v.list[0].result, rows[i].result);
		assert_int_equal(v.list[0].dns, rows[i].status);
	}
	EVP_PKEY_free(p.key);
	EVP_PKEY_free(other.key);
}

/* THREATS D05: a thousand signatures cost eight. */
static void test_many_signatures(void **state)
{
	struct pair p = make_pair("s", "", 0);
	struct dkim_sign_options o = dkim_sign_defaults(NOW);
	struct zone z = { &p.record, 1, DNS_NXDOMAIN, 0 };
	str m = S(PLAIN), field = sign(&p, "s", &o, m);
	struct buf *many = buf_new(arena, 4 << 20);
	struct dkim_verdicts v;

	(void)state;
	for (size_t i = 0; i < 1000; i++)
		buf_add(many, str_slice(field, 0, field.n - m.n));
	buf_add(many, m);
	v = verify_in(&z, buf_str(many), 1 << 20, NOW);
	assert_true(v.cut);
	assert_int_equal(v.n, DKIM_REPORTED);
	assert_int_equal(z.asked, DKIM_SIGNATURES);
	for (size_t i = 0; i < v.n; i++)
		assert_int_equal(v.list[i].result, i < DKIM_SIGNATURES ? DKIM_PASS : DKIM_POLICY);
	EVP_PKEY_free(p.key);
}

/* THREATS H05, H06: selection from the bottom, by the one splitter. */
static void test_selection(void **state)
{
	static const str names[] = { { (const u8 *)"From", 4 },
				     { (const u8 *)"X", 1 },
				     { (const u8 *)"X", 1 } };
	struct pair p = make_pair("s", "", 0);
	struct dkim_sign_options o = { .names = names, .names_n = 3 };
	str good = sign(&p, "s", &o, S("X: 1\r\nX: 2\r\nX: 3\r\nFrom: a@b\r\n\r\nb\r\n"));
	size_t field = good.n - strlen("X: 1\r\nX: 2\r\nX: 3\r\nFrom: a@b\r\n\r\nb\r\n");
	str signature = str_slice(good, 0, field);
	static const struct {
		const char *rest;
		enum dkim_result result;
	} rows[] = {
		{ "X: 9\r\nX: 2\r\nX: 3\r\nFrom: a@b\r\n\r\nb\r\n", DKIM_PASS },
		{ "X: 1\r\nX: 3\r\nX: 2\r\nFrom: a@b\r\n\r\nb\r\n", DKIM_FAIL },
		{ "From: evil\r\nX: 2\r\nX: 3\r\nFrom: a@b\r\n\r\nb\r\n", DKIM_PASS },
		{ "X: 2\r\nX: 3\r\n From: a@b\r\n\r\nb\r\n", DKIM_FAIL },
		{ "X: 2\r\nno colon here\r\nX: 3\r\nFrom: a@b\r\n\r\nb\r\n", DKIM_PASS },
		{ "X: 2\r\nX: 3\r\nFrom: a@b\r\n \r\n\r\nb\r\n", DKIM_FAIL },
	};

	(void)state;
	assert_int_equal(verify_one(&p, good, NOW).result, DKIM_PASS);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		str m = str_format(arena, "%.*s%s", STR_ARG(signature), rows[i].rest);
		if (verify_one(&p, m, NOW).result != rows[i].result)
			fail_msg("row %zu", i);
	}
	EVP_PKEY_free(p.key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc_examples),        cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_every_byte_counts),   cmocka_unit_test(test_canonical_fields),
		cmocka_unit_test(test_canonical_signature), cmocka_unit_test(test_canonical_bodies),
		cmocka_unit_test(test_long_lines),          cmocka_unit_test(test_signature_rules),
		cmocka_unit_test(test_key_records),         cmocka_unit_test(test_oversigned),
		cmocka_unit_test(test_length_limit),        cmocka_unit_test(test_times),
		cmocka_unit_test(test_key_sizes_and_flags), cmocka_unit_test(test_dns),
		cmocka_unit_test(test_many_signatures),     cmocka_unit_test(test_selection),
		cmocka_unit_test(test_lists_may_add),       cmocka_unit_test(test_kept_keys),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
