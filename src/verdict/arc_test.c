/*
 * ARC chains of our own making, signed here with OpenSSL over canonical forms written out by hand: whole ones of every length, and each
 * way in which RFC 8617 5.2 lets one fail (THREATS D12).
 */
#include "base/unit.h"

#include <openssl/evp.h>
#include <string.h>

#include "base/buf.h"
#include "text/dns_rdata.h"
#include "text/encoding.h"
#include "verdict/arc.h"
#include "verdict/dkim_canon.h"
#include "verdict/zone_test.h"

enum { SETS_MAX = 52, NOW = 1700000000 };
enum kind { AAR, AMS, AS, KINDS };

#define BODY "Hello,\r\nthe minutes.\r\n"

static struct arena *arena;
static EVP_PKEY *key, *other_key;
static str key_record, other_record;

struct edit {
	enum {
		NO_EDIT,
		BEFORE,
		AFTER,
		DROP,
		TWICE
	} op; /* BEFORE and AFTER it is signed: from becomes to */
	size_t set;
	enum kind kind;
	const char *from, *to;
};

struct row {
	const char *name;
	size_t sets;
	struct edit edits[3];
	enum arc_result result;
	const char *reason; /* how it begins */
	const char *body;   /* as it arrives; NULL: as it was signed */
	const char *broken; /* of whose key DNS says nothing just now */
};

/* --- making chains ------------------------------------------------------------------------------------------------- */

static str replace(str s, const char *from, const char *to)
{
	size_t at = str_find_str(s, str_cstr(from));

	if (at == SIZE_MAX)
		fail_msg("nothing to edit: %s in %.*s", from, STR_ARG(s));
	return str_format(arena, "%.*s%s%.*s", STR_ARG(str_slice(s, 0, at)), to,
			  STR_ARG(str_skip(s, at + strlen(from))));
}

static str edited(const struct row *r, int op, size_t set, enum kind kind, str text)
{
	for (size_t i = 0; i < ARRAY_LEN(r->edits); i++) {
		const struct edit *e = &r->edits[i];
		if ((int)e->op == op && e->set == set && e->kind == kind)
			text = replace(text, e->from, e->to);
	}
	return text;
}

static bool has(const struct row *r, int op, size_t set, enum kind kind)
{
	for (size_t i = 0; i < ARRAY_LEN(r->edits); i++)
		if ((int)r->edits[i].op == op && r->edits[i].set == set && r->edits[i].kind == kind)
			return true;
	return false;
}

static str base64(str bytes)
{
	struct buf *out = buf_new(arena, 2 * bytes.n + 8);

	base64_encode(out, bytes);
	return buf_str(out);
}

static str sha256(str bytes)
{
	u8 *digest = arena_alloc(arena, 32);

	assert_int_equal(EVP_Digest(bytes.p, bytes.n, digest, NULL, EVP_sha256(), NULL), 1);
	return str_from(digest, 32);
}

/* RFC 8463 3: over the digest. */
static str signature(str bytes)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	str digest = sha256(bytes);
	u8 *out = arena_alloc(arena, 64);
	size_t n = 64;

	assert_true(EVP_DigestSignInit(c, NULL, NULL, NULL, key) == 1 &&
		    EVP_DigestSign(c, out, &n, digest.p, digest.n) == 1);
	EVP_MD_CTX_free(c);
	return base64(str_from(out, n));
}

/* Our fields are "Name: value" on one line with single spaces. */
static str relaxed(str field)
{
	size_t colon = str_find(field, ':');

	return str_format(arena, "%.*s:%.*s", STR_ARG(str_lower(arena, str_slice(field, 0, colon))),
			  STR_ARG(str_skip(field, colon + 2)));
}

static str signed_field(const struct row *r, size_t set, enum kind kind, str before, str text)
{
	text = edited(r, BEFORE, set, kind, text);
	return str_format(arena, "%.*s%.*s", STR_ARG(text),
			  STR_ARG(signature(str_format(arena, "%.*s%.*s", STR_ARG(before),
						       STR_ARG(relaxed(text))))));
}

/* All sets as their sealers wrote them; sealed: what the seals so far cover. */
static void make_sets(const struct row *r, str fields[][KINDS])
{
	str sealed = STR_NONE;

	for (size_t i = 0; i < r->sets; i++) {
		unsigned n = (unsigned)i + 1;
		str *f = fields[i];
		f[AAR] = edited(r, BEFORE, n, AAR,
				str_format(arena,
					   "ARC-Authentication-Results: i=%u; mx.s%u.example; "
					   "dmarc=pass header.from=author.example",
					   n, n));
		f[AMS] = signed_field(
		    r, n, AMS, S("from:Ann <ann@author.example>\r\nsubject:minutes\r\n"),
		    str_format(arena,
			       "ARC-Message-Signature: i=%u; a=ed25519-sha256; c=relaxed/relaxed; "
			       "d=s%u.example; s=k; h=from:subject; bh=%.*s; b=",
			       n, n, STR_ARG(base64(sha256(S(BODY))))));
		sealed = str_format(arena, "%.*s%.*s\r\n%.*s\r\n", STR_ARG(sealed),
				    STR_ARG(relaxed(f[AAR])), STR_ARG(relaxed(f[AMS])));
		f[AS] = signed_field(r, n, AS, sealed,
				     str_format(arena,
						"ARC-Seal: i=%u; a=ed25519-sha256; cv=%s; "
						"d=s%u.example; s=k; b=",
						n, i ? "pass" : "none", n));
		sealed =
		    str_format(arena, "%.*s%.*s\r\n", STR_ARG(sealed), STR_ARG(relaxed(f[AS])));
	}
}

/* Newest on top, then what the author wrote. */
static str make_header(const struct row *r)
{
	static const enum kind order[] = { AS, AMS, AAR };
	str fields[SETS_MAX][KINDS];
	struct buf *out = buf_new(arena, 1 << 20);

	make_sets(r, fields);
	for (size_t i = r->sets; i > 0; i--) {
		for (size_t k = 0; k < KINDS; k++) {
			str text = edited(r, AFTER, i, order[k], fields[i - 1][order[k]]);
			int times = has(r, DROP, i, order[k])    ? 0
				    : has(r, TWICE, i, order[k]) ? 2
								 : 1;
			for (; times; times--) {
				buf_add(out, text);
				buf_add(out, S("\r\n"));
			}
		}
	}
	buf_add(out, S("From: Ann <ann@author.example>\r\nSubject: minutes\r\n\r\n"));
	return buf_str(out);
}

/* --- asking -------------------------------------------------------------------------------------------------------- */

static void key_query(void *context, struct arena *a, str name, u32 type, struct dns_answer *out)
{
	const struct row *r = context;
	str record = str_ends_nocase(name, S(".forger.example")) ? other_record : key_record;
	str *list = arena_new_of(a, str);

	assert_int_equal(type, DNS_TYPE_TXT);
	*out = (struct dns_answer){ .status = DNS_TEMPFAIL };
	if (r->broken && str_find_str(name, str_cstr(r->broken)) != SIZE_MAX)
		return;
	*list = zone_txt(a, record);
	*out = (struct dns_answer){ .status = DNS_OK, .records = list, .records_n = 1 };
}

static void ask(const struct row *r, str header, struct arc_verdict *out)
{
	const struct dns_source dns = { (void *)(uintptr_t)r, key_query };
	struct dkim_body *body = dkim_body_new(arena);
	struct arc_verifier *v = arc_verifier_new(arena, header, body);

	dkim_body_feed(body, str_cstr(r->body ? r->body : BODY));
	arc_verifier_finish(v, &dns, NOW, out);
}

static void expect(const struct row *r)
{
	struct arc_verdict v;

	ask(r, make_header(r), &v);
	if (v.result != r->result || !str_starts(v.reason, str_cstr(r->reason)))
		fail_msg("%s: %.*s, %.*s", r->name, STR_ARG(arc_result_name(v.result)),
			 STR_ARG(v.reason));
	assert_int_equal(v.sets_n, r->result == ARC_PASS ? r->sets : 0);
}

#define GOOD ARC_PASS, "all seals are good"

static const struct row whole_rows[] = {
	{ "no set", 0, { { 0 } }, ARC_NONE, "nobody sealed", NULL, NULL },
	{ "one", 1, { { 0 } }, GOOD, NULL, NULL },
	{ "two", 2, { { 0 } }, GOOD, NULL, NULL },
	{ "five", 5, { { 0 } }, GOOD, NULL, NULL },
	{ "fifty", 50, { { 0 } }, GOOD, NULL, NULL },
	{ "cv in capitals", 2, { { BEFORE, 2, AS, "cv=pass", "cv=PASS" } }, GOOD, NULL, NULL },
	{ "seal with a time",
	  1,
	  { { BEFORE, 1, AS, "cv=none", "cv=none; t=1" } },
	  GOOD,
	  NULL,
	  NULL },
	{ "i= not first in a seal",
	  1,
	  { { BEFORE, 1, AS, "i=1; a=ed25519-sha256", "a=ed25519-sha256; i=1" } },
	  GOOD,
	  NULL,
	  NULL },
	{ "empty lines added at the end", 2, { { 0 } }, GOOD, BODY "\r\n\r\n", NULL },
	{ "newest signature runs on",
	  1,
	  { { BEFORE, 1, AMS, "s=k;", "s=k; x=1700000001;" } },
	  GOOD,
	  NULL,
	  NULL },
	{ "an older message signature is broken: step 4 is optional",
	  2,
	  { { BEFORE, 1, AMS, "h=from:subject", "h=from:to" } },
	  GOOD,
	  NULL,
	  NULL },
};

static void test_whole_chains(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(whole_rows); i++)
		expect(&whole_rows[i]);
}

#define TOO_MANY ARC_FAIL, "too many sets"
#define INCOMPLETE ARC_FAIL, "a set is not complete"
#define NO_NUMBER ARC_FAIL, "a field of a set has no instance number"
#define UNREADABLE ARC_FAIL, "a seal cannot be read"
#define NOT_GOOD ARC_FAIL, "a seal does not say"

/* RFC 8617 5.2 steps 1 to 3: the form. */
static const struct row form_rows[] = {
	{ "51 sets", 51, { { 0 } }, TOO_MANY, NULL, NULL },
	{ "52 sets", 52, { { 0 } }, TOO_MANY, NULL, NULL },
	{ "instance 51", 1, { { AFTER, 1, AS, "i=1", "i=51" } }, TOO_MANY, NULL, NULL },
	{ "instance 0", 1, { { AFTER, 1, AS, "i=1", "i=0" } }, NO_NUMBER, NULL, NULL },
	{ "instance -1", 1, { { AFTER, 1, AAR, "i=1", "i=-1" } }, NO_NUMBER, NULL, NULL },
	{ "instance of 2^64+1",
	  1,
	  { { AFTER, 1, AMS, "i=1", "i=18446744073709551617" } },
	  NO_NUMBER,
	  NULL,
	  NULL },
	{ "no instance", 1, { { AFTER, 1, AMS, "i=1; ", "" } }, NO_NUMBER, NULL, NULL },
	{ "results without an instance",
	  1,
	  { { AFTER, 1, AAR, "i=1; ", "" } },
	  NO_NUMBER,
	  NULL,
	  NULL },
	{ "gap: no set 1",
	  2,
	  { { DROP, 1, AS, 0, 0 }, { DROP, 1, AMS, 0, 0 }, { DROP, 1, AAR, 0, 0 } },
	  INCOMPLETE,
	  NULL,
	  NULL },
	{ "gap: no set 2",
	  3,
	  { { DROP, 2, AS, 0, 0 }, { DROP, 2, AMS, 0, 0 }, { DROP, 2, AAR, 0, 0 } },
	  INCOMPLETE,
	  NULL,
	  NULL },
	{ "no results", 2, { { DROP, 2, AAR, 0, 0 } }, INCOMPLETE, NULL, NULL },
	{ "no message signature", 2, { { DROP, 2, AMS, 0, 0 } }, INCOMPLETE, NULL, NULL },
	{ "unsealed", 2, { { DROP, 2, AS, 0, 0 } }, INCOMPLETE, NULL, NULL },
	{ "older set unsealed", 2, { { DROP, 1, AS, 0, 0 } }, INCOMPLETE, NULL, NULL },
	{ "only results",
	  1,
	  { { DROP, 1, AS, 0, 0 }, { DROP, 1, AMS, 0, 0 } },
	  INCOMPLETE,
	  NULL,
	  NULL },
	{ "seal twice",
	  2,
	  { { TWICE, 2, AS, 0, 0 } },
	  ARC_FAIL,
	  "a set has a field twice",
	  NULL,
	  NULL },
	{ "message signature twice",
	  2,
	  { { TWICE, 1, AMS, 0, 0 } },
	  ARC_FAIL,
	  "a set has a field twice",
	  NULL,
	  NULL },
	{ "results twice",
	  1,
	  { { TWICE, 1, AAR, 0, 0 } },
	  ARC_FAIL,
	  "a set has a field twice",
	  NULL,
	  NULL },
	{ "wrong order: seals change numbers",
	  2,
	  { { AFTER, 1, AS, "i=1", "i=2" }, { AFTER, 2, AS, "i=2", "i=1" } },
	  NOT_GOOD,
	  NULL,
	  NULL },
	{ "cv=fail",
	  2,
	  { { BEFORE, 2, AS, "cv=pass", "cv=fail" } },
	  ARC_FAIL,
	  "a sealer found the chain broken",
	  NULL,
	  NULL },
	{ "cv=fail in the middle",
	  3,
	  { { BEFORE, 2, AS, "cv=pass", "cv=fail" } },
	  ARC_FAIL,
	  "a sealer found the chain broken",
	  NULL,
	  NULL },
	{ "cv=fail first",
	  1,
	  { { BEFORE, 1, AS, "cv=none", "cv=fail" } },
	  ARC_FAIL,
	  "a sealer found the chain broken",
	  NULL,
	  NULL },
	{ "cv=pass first", 1, { { BEFORE, 1, AS, "cv=none", "cv=pass" } }, NOT_GOOD, NULL, NULL },
	{ "cv=none second", 2, { { BEFORE, 2, AS, "cv=pass", "cv=none" } }, NOT_GOOD, NULL, NULL },
	{ "cv of another word",
	  2,
	  { { BEFORE, 2, AS, "cv=pass", "cv=passed" } },
	  NOT_GOOD,
	  NULL,
	  NULL },
	{ "no cv", 2, { { BEFORE, 2, AS, "cv=pass; ", "" } }, UNREADABLE, NULL, NULL },
	{ "a seal with h=",
	  1,
	  { { BEFORE, 1, AS, "s=k;", "s=k; h=from;" } },
	  UNREADABLE,
	  NULL,
	  NULL },
	{ "a seal with rsa-sha1",
	  1,
	  { { BEFORE, 1, AS, "ed25519-sha256", "rsa-sha1" } },
	  UNREADABLE,
	  NULL,
	  NULL },
	{ "a seal without d=",
	  1,
	  { { BEFORE, 1, AS, "d=s1.example; ", "" } },
	  UNREADABLE,
	  NULL,
	  NULL },
	{ "a tag twice", 1, { { AFTER, 1, AS, "s=k;", "s=k; s=k;" } }, NO_NUMBER, NULL, NULL },
	{ "a message signature over a seal",
	  1,
	  { { BEFORE, 1, AMS, "h=from:", "h=arc-seal:from:" } },
	  ARC_FAIL,
	  "a message signature covers a seal",
	  NULL,
	  NULL },
	{ "a message signature not over From",
	  1,
	  { { BEFORE, 1, AMS, "h=from:", "h=to:" } },
	  ARC_FAIL,
	  "the newest message signature cannot be read",
	  NULL,
	  NULL },
	{ "a message signature with rsa-sha1",
	  1,
	  { { BEFORE, 1, AMS, "ed25519-sha256", "rsa-sha1" } },
	  ARC_FAIL,
	  "the newest message signature uses rsa-sha1",
	  NULL,
	  NULL },
};

static void test_form(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(form_rows); i++)
		expect(&form_rows[i]);
}

#define BODY_CHANGED ARC_FAIL, "the body was changed after the last seal"
#define MESSAGE_BAD ARC_FAIL, "the newest message signature is not good"
#define SEAL_BAD ARC_FAIL, "a seal is not good"

/* RFC 8617 5.2 steps 4 and 6: signatures. */
static const struct row signature_rows[] = {
	{ "body changed", 2, { { 0 } }, BODY_CHANGED, "Hello,\r\nother minutes.\r\n", NULL },
	{ "body cut", 2, { { 0 } }, BODY_CHANGED, "Hello,\r\n", NULL },
	{ "body longer than l=",
	  1,
	  { { BEFORE, 1, AMS, "h=from", "l=23; h=from" } },
	  BODY_CHANGED,
	  BODY "more\r\n",
	  NULL },
	{ "newest signature expired",
	  1,
	  { { BEFORE, 1, AMS, "s=k;", "s=k; x=1699999999;" } },
	  ARC_FAIL,
	  "the newest message signature has expired",
	  NULL,
	  NULL },
	{ "newest message signature forged",
	  2,
	  { { AFTER, 2, AMS, "c=relaxed/relaxed", "c=simple/relaxed" } },
	  MESSAGE_BAD,
	  NULL,
	  NULL },
	{ "newest seal changed",
	  2,
	  { { AFTER, 2, AS, "cv=pass", "cv=pass; t=1" } },
	  SEAL_BAD,
	  NULL,
	  NULL },
	{ "older seal changed",
	  3,
	  { { AFTER, 1, AS, "cv=none", "cv=none; t=1" } },
	  SEAL_BAD,
	  NULL,
	  NULL },
	{ "older results changed",
	  2,
	  { { AFTER, 1, AAR, "dmarc=pass", "dmarc=fail" } },
	  SEAL_BAD,
	  NULL,
	  NULL },
	{ "older message signature changed",
	  2,
	  { { AFTER, 1, AMS, "c=relaxed/relaxed", "c=relaxed/simple" } },
	  SEAL_BAD,
	  NULL,
	  NULL },
	{ "newest results changed",
	  2,
	  { { AFTER, 2, AAR, "mx.s2", "mx.s9" } },
	  SEAL_BAD,
	  NULL,
	  NULL },
	{ "a sealer that is not whom it names",
	  2,
	  { { BEFORE, 2, AS, "d=s2.example", "d=s2.forger.example" } },
	  SEAL_BAD,
	  NULL,
	  NULL },
	{ "first sealer is not whom it names",
	  3,
	  { { BEFORE, 1, AS, "d=s1.example", "d=s1.forger.example" } },
	  SEAL_BAD,
	  NULL,
	  NULL },
	{ "message signer is not whom it names",
	  1,
	  { { BEFORE, 1, AMS, "d=s1.example", "d=s1.forger.example" } },
	  MESSAGE_BAD,
	  NULL,
	  NULL },
	{ "DNS says nothing of the newest",
	  2,
	  { { 0 } },
	  ARC_TEMPERROR,
	  "the key of a sealer",
	  NULL,
	  "s2.example" },
	{ "DNS says nothing of the first",
	  2,
	  { { 0 } },
	  ARC_TEMPERROR,
	  "the key of a sealer",
	  NULL,
	  "s1.example" },
};

static void test_signatures(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(signature_rows); i++)
		expect(&signature_rows[i]);
}

/* Every byte of every field of a chain of two counts, but for case where it has none and for blanks. */
static void test_any_byte_changed(void **state)
{
	const struct row r = { .name = "two", .sets = 2 };
	str header = make_header(&r);
	struct arena *all = arena;
	struct arc_verdict v;

	(void)state;
	for (size_t i = 0; i + 4 < header.n; i++) {
		u8 *copy;
		arena = arena_new(1 << 22);
		copy = arena_alloc(arena, header.n);
		memcpy(copy, header.p, header.n);
		copy[i] ^= 1;
		ask(&r, str_from(copy, header.n), &v);
		if (v.result == ARC_PASS)
			fail_msg("byte %zu (%c) changed and it still passes", i, header.p[i]);
		arena_free(&arena);
		arena = all;
	}
}

/* A field over DKIM_FIELD is not read at all. */
static void test_too_long(void **state)
{
	char *pad = arena_alloc(arena, DKIM_FIELD + 32);
	struct row r = { "", 1, { { BEFORE, 1, AS, "s=k;", pad } }, UNREADABLE, NULL, NULL };

	(void)state;
	memset(pad, 'x', DKIM_FIELD + 16);
	memcpy(pad, "s=k; z=", 7);
	memcpy(pad + DKIM_FIELD + 16, ";", 2);
	r.name = "a seal too long";
	expect(&r);
	r.name = "a message signature too long";
	r.edits[0].kind = AMS;
	r.reason = "the newest message signature cannot be read";
	expect(&r);
}

/* RFC 8617 4.1: the sealers and what the first saw; trust is whose list each of them is on. */
static void test_what_it_means(void **state)
{
	static const str both[] = { S("s1.example"), S("s2.example") }, one[] = { S("s2.example") },
			 above[] = { S("example") };
	const struct row good = { .name = "two", .sets = 2 };
	const struct row bad = { .name = "cut", .sets = 2, .body = "" };
	struct arc_verdict v;

	(void)state;
	ask(&good, make_header(&good), &v);
	assert_str(v.sets[0].domain, S("s1.example"));
	assert_str(v.sets[1].domain, S("s2.example"));
	assert_str(v.sets[1].selector, S("k"));
	assert_str(str_trim(v.sets[0].results),
		   S("mx.s1.example; dmarc=pass header.from=author.example"));
	assert_true(arc_is_trusted(&v, both, 2));
	assert_true(arc_is_trusted(&v, above, 1));
	assert_false(arc_is_trusted(&v, one, 1));
	assert_false(arc_is_trusted(&v, NULL, 0));
	assert_true(arc_saw_dmarc_pass(arena, &v, S("author.example")));
	assert_false(arc_saw_dmarc_pass(arena, &v, S("other.example")));
	ask(&bad, make_header(&bad), &v);
	assert_int_equal(v.result, ARC_FAIL);
	assert_false(arc_is_trusted(&v, both, 2));
	assert_false(arc_saw_dmarc_pass(arena, &v, S("author.example")));
}

/* --- keys ---------------------------------------------------------------------------------------------------------- */

static str record_of(EVP_PKEY *k)
{
	u8 raw[32];
	size_t n = sizeof raw;

	assert_int_equal(EVP_PKEY_get_raw_public_key(k, raw, &n), 1);
	return str_format(arena, "v=DKIM1; k=ed25519; p=%.*s", STR_ARG(base64(str_from(raw, n))));
}

static int make_keys(void **state)
{
	(void)state;
	arena = arena_new(256 << 20);
	key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	other_key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	key_record = record_of(key);
	other_record = record_of(other_key);
	return 0;
}

static int free_keys(void **state)
{
	(void)state;
	EVP_PKEY_free(key);
	EVP_PKEY_free(other_key);
	arena_free(&arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_chains), cmocka_unit_test(test_form),
		cmocka_unit_test(test_signatures),   cmocka_unit_test(test_any_byte_changed),
		cmocka_unit_test(test_too_long),     cmocka_unit_test(test_what_it_means),
	};

	return cmocka_run_group_tests(tests, make_keys, free_keys);
}
