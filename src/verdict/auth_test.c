/*
 * The parts together, where one could be taken for another: which identity SPF spoke for (THREATS D13), and a signature that covers only
 * the start of the body (D03), which proves nothing about the author. And who pays for the questions (D09).
 */
#include "base/unit.h"

#include <openssl/evp.h>

#include "text/encoding.h"
#include "verdict/auth.h"
#include "verdict/sign_test.h"
#include "verdict/zone_test.h"

enum { NOW = 1790000000 };

static struct arena *a;
static EVP_PKEY *key;
static struct zone_record records[] = {
	{ "_dmarc.good.example", "v=DMARC1; p=reject" },
	{ "good.example", "v=spf1 ip4:192.0.2.1 -all" },
	{ "evil.example", "v=spf1 ip4:192.0.2.1 -all" },
	{ "closed.example", "v=spf1 -all" },
	{ "s._domainkey.good.example", NULL }, /* made at the start */
};

static int start(void **state)
{
	u8 raw[32];
	size_t n = sizeof raw;
	struct buf *text;

	(void)state;
	a = arena_new(1 << 26);
	key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	assert_int_equal(EVP_PKEY_get_raw_public_key(key, raw, &n), 1);
	text = buf_new(a, 256);
	buf_add(text, S("v=DKIM1; k=ed25519; p="));
	base64_encode(text, str_from(raw, n));
	records[ARRAY_LEN(records) - 1].text = cstr(a, buf_str(text));
	return 0;
}

static int stop(void **state)
{
	(void)state;
	EVP_PKEY_free(key);
	arena_free(&a);
	return 0;
}

static str payers[16];
static size_t payers_n;

static void note_payer(void *context, str payer)
{
	(void)context;
	assert_true(payers_n < ARRAY_LEN(payers));
	payers[payers_n++] = payer;
}

static void judge_in(struct zone *zone, str message, const char *helo, const char *mail_from,
		     struct auth_verdict *out)
{
	const struct dns_source dns = { zone, zone_query };
	const struct auth_rules rules = {
		.spf = true, .dkim = true, .dmarc = true, .dns = &dns, .part = note_payer
	};
	const struct spf_query q = { .client = { .bytes = { 192, 0, 2, 1 } },
				     .helo = str_cstr(helo),
				     .mail_from = str_cstr(mail_from),
				     .now = NOW };
	size_t header = header_length(message);
	struct auth_check *c = auth_check_new(a, &rules, str_slice(message, 0, header));

	auth_check_body(c, str_skip(message, header));
	payers_n = 0;
	auth_check_finish(c, &q, out);
}

static void judge(str message, const char *helo, const char *mail_from, struct auth_verdict *out)
{
	struct zone zone = { records, ARRAY_LEN(records), DNS_NODATA, 0 };

	judge_in(&zone, message, helo, mail_from, out);
}

static void test_identity(void **state)
{
	(void)state;
	static const struct {
		const char *helo, *mail_from, *spoke_for;
		enum spf_result spf;
		enum dmarc_result dmarc;
	} rows[] = {
		/* The null sender: HELO is what was checked, and what DMARC aligns. */
		{ "good.example", "", "good.example", SPF_PASS, DMARC_PASS },
		{ "evil.example", "", "evil.example", SPF_PASS, DMARC_FAIL },
		{ "closed.example", "", "closed.example", SPF_FAIL, DMARC_FAIL },
		/* A sender: a good name in HELO is worth nothing to it. */
		{ "good.example", "x@evil.example", "evil.example", SPF_PASS, DMARC_FAIL },
		{ "good.example", "x@closed.example", "closed.example", SPF_FAIL, DMARC_FAIL },
		{ "good.example", "x@nowhere.example", "nowhere.example", SPF_NONE, DMARC_FAIL },
		{ "evil.example", "x@good.example", "good.example", SPF_PASS, DMARC_PASS },
		{ "closed.example", "x@good.example", "good.example", SPF_PASS, DMARC_PASS },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct auth_verdict v;
		judge(S("From: ann@good.example\r\n\r\nx\r\n"), rows[i].helo, rows[i].mail_from,
		      &v);
		assert_str(v.spf.domain, str_cstr(rows[i].spoke_for));
		if (v.spf.result != rows[i].spf || v.dmarc.result != rows[i].dmarc)
			fail_msg("HELO %s, MAIL FROM %s: SPF %d, DMARC %s", rows[i].helo,
				 rows[i].mail_from, v.spf.result,
				 dmarc_result_name(v.dmarc.result));
	}
}

static str signed_mail(bool with_length, str message)
{
	struct dkim_sign_options o = dkim_sign_defaults(NOW);
	const struct dkim_identity who = { S("good.example"), S("s"), DKIM_ED25519_SHA256 };
	const struct dkim_key_holder holder = { key, sign_with };
	size_t header = header_length(message);
	struct buf *out = buf_new(a, 1 << 16);
	struct dkim_signer *s;

	o.with_length = with_length;
	s = dkim_signer_new(a, str_slice(message, 0, header), &o);
	dkim_signer_body(s, str_skip(message, header));
	assert_ok(dkim_signer_field(s, &who, &holder, out));
	return str_format(a, "%.*s%.*s", STR_ARG(buf_str(out)), STR_ARG(message));
}

/* Appended behind l=, or with another Content-Type before it (RFC 6376 8.2): neither is the author's mail. */
static void test_length(void **state)
{
	(void)state;
	static const struct {
		bool with_length;
		const char *before, *behind;
		enum dmarc_result dmarc;
	} rows[] = {
		{ false, "", "", DMARC_PASS },
		{ false, "", "added\r\n", DMARC_FAIL },
		{ true, "", "", DMARC_PASS },
		{ true, "", "added\r\n", DMARC_FAIL },
		{ true, "", "<b>\r\n\r\n", DMARC_FAIL },
		{ true, "Content-Type: multipart/mixed; boundary=b\r\n", "", DMARC_FAIL },
		{ true, "Content-Type: text/html\r\n", "added\r\n", DMARC_FAIL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		str mail = signed_mail(rows[i].with_length,
				       S("From: ann@good.example\r\nSubject: one\r\n\r\nbody\r\n"));
		struct auth_verdict v;
		mail = str_format(a, "%s%.*s%s", rows[i].before, STR_ARG(mail), rows[i].behind);
		judge(mail, "evil.example", "x@evil.example", &v);
		if (v.dmarc.result != rows[i].dmarc ||
		    v.dmarc.disposition !=
			(rows[i].dmarc == DMARC_PASS ? DMARC_ACCEPT : DMARC_REFUSE))
			fail_msg("row %zu: %s", i, dmarc_result_name(v.dmarc.result));
	}
}

/* Nothing is asked any more (THREATS D09): nothing passes, each says why, and the mail must come again. */
static void test_over_rate(void **state)
{
	struct zone refused = { NULL, 0, DNS_OVER_RATE, 0 };
	str mail = signed_mail(false, S("From: ann@good.example\r\n\r\nbody\r\n"));
	struct auth_verdict v;

	(void)state;
	judge_in(&refused, mail, "x.example", "x@good.example", &v);
	assert_int_equal(v.spf.result, SPF_TEMPERROR);
	assert_str(v.spf.reason, S("mail of good.example takes too many DNS questions a minute"));
	assert_int_equal(v.dkim.list[0].result, DKIM_TEMPERROR);
	assert_str(v.dkim.list[0].reason,
		   S("not asked, mail of its domain takes too many DNS questions a minute"));
	assert_int_equal(v.dmarc.result, DMARC_TEMPERROR);
	assert_int_equal(v.dmarc.disposition, DMARC_DEFER);
	assert_str(v.dmarc.reason, S("mail of good.example takes too many DNS questions a minute"));
}

/* Whose mail makes the questions: MAIL FROM (or HELO) for SPF, each name for DKIM, the author for DMARC. */
static void test_payers(void **state)
{
	static const char *const rows[][4] = {
		/* HELO, MAIL FROM, From, who pays for SPF */
		{ "h.example", "x@y@evil.example", "ann@good.example", "evil.example" },
		{ "h.example", "", "ann@good.example", "h.example" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct auth_verdict v;
		judge(str_format(a, "From: %s\r\n\r\nx\r\n", rows[i][2]), rows[i][0], rows[i][1],
		      &v);
		assert_int_equal(payers_n, 3);
		assert_str(payers[0], str_cstr(rows[i][3]));
		assert_str(payers[1], STR_NONE);
		assert_str(payers[2], S("good.example"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_identity),
					    cmocka_unit_test(test_length),
					    cmocka_unit_test(test_over_rate),
					    cmocka_unit_test(test_payers) };

	return cmocka_run_group_tests(tests, start, stop);
}
