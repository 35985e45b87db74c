/* From a verdict to what reports count: dispositions, reasons, what is left out (RFC 9990 3.1). */
#include "base/unit_arena.h"

#include "edge/mx/fact.h"
#include "report/aggregate.h"

struct scene {
	struct config *config;
	struct auth_verdict verdict;
	struct transaction transaction;
	struct recipient recipient;
	struct fact_view view;
};

static void scene_new(struct scene *s, const char *record)
{
	struct dmarc_verdict *d = &s->verdict.dmarc;

	*s = (struct scene){ .config = config_default(a) };
	s->config->dmarc_report_from = S("dmarc@ours.example");
	s->recipient.address = S("alice@ours.example");
	s->transaction = (struct transaction){ .sender = S("x@Bounce.Example"),
					       .recipients = &s->recipient,
					       .recipients_n = 1 };
	s->verdict.has_dmarc = s->verdict.has_spf = s->verdict.has_dkim = true;
	s->verdict.spf = (struct spf_verdict){ .result = SPF_FAIL, .domain = S("bounce.example") };
	*d = (struct dmarc_verdict){ .result = DMARC_FAIL,
				     .author = S("author.example"),
				     .policy_domain = S("author.example"),
				     .policy_tag = "p" };
	assert_true(dmarc_record_parse(str_cstr(record), &d->record));
	d->policy = d->record.p;
	d->testing = d->record.testing;
	if (d->testing && d->policy != DMARC_POLICY_NONE)
		d->policy--;
	d->disposition = d->policy == DMARC_POLICY_REJECT       ? DMARC_REFUSE
			 : d->policy == DMARC_POLICY_QUARANTINE ? DMARC_JUNK
								: DMARC_ACCEPT;
	s->view = (struct fact_view){ .config = s->config,
				      .verdict = &s->verdict,
				      .transaction = &s->transaction,
				      .client = { .address = S("\x7F\x00\x00\x01"), .port = 25 },
				      .header = S("From: a@author.example\r\n\r\n"),
				      .results = S("Authentication-Results: mx; dmarc=fail\r\n"),
				      .message = 5 };
}

static struct dmarc_fact make(struct scene *s, bool wanted)
{
	struct dmarc_fact f;

	assert_int_equal(fact_make(a, &s->view, &f), wanted);
	return f;
}

static void test_outcomes(void **state)
{
	struct scene s;
	struct dmarc_fact f;

	(void)state;
	scene_new(&s, "v=DMARC1; p=reject; rua=mailto:r@author.example");
	f = make(&s, true);
	assert_int_equal(f.row.disposition, AGGREGATE_REJECT);
	assert_int_equal(f.row.reason, AGGREGATE_OTHER);
	assert_str(f.row.envelope_from, S("bounce.example"));
	s.config->auth_dmarc_reject = false; /* the administrator's word: Junk */
	f = make(&s, true);
	assert_int_equal(f.row.disposition, AGGREGATE_QUARANTINE);
	assert_int_equal(f.row.reason, AGGREGATE_LOCAL_POLICY);
	s.config->auth_dmarc_reject = true;
	dmarc_override(&s.verdict.dmarc, DMARC_OVERRIDE_MAILING_LIST, S("it came by a list"));
	f = make(&s, true);
	assert_int_equal(f.row.disposition, AGGREGATE_NONE);
	assert_int_equal(f.row.reason, AGGREGATE_MAILING_LIST);
	assert_str(f.row.comment, S("it came by a list"));
	dmarc_override(&s.verdict.dmarc, DMARC_OVERRIDE_TRUSTED_FORWARDER, S("sealed"));
	assert_int_equal(make(&s, true).row.reason, AGGREGATE_TRUSTED_FORWARDER);

	scene_new(&s, "v=DMARC1; p=quarantine; t=y; rua=mailto:r@author.example");
	f = make(&s, true);
	assert_int_equal(f.row.disposition, AGGREGATE_NONE);
	assert_int_equal(f.row.reason, AGGREGATE_POLICY_TEST_MODE);
	scene_new(&s, "v=DMARC1; p=none; t=y; rua=mailto:r@author.example");
	assert_int_equal(make(&s, true).row.reason, AGGREGATE_OTHER);

	scene_new(&s, "v=DMARC1; p=reject; rua=mailto:r@author.example");
	s.verdict.dmarc.result = DMARC_PASS;
	s.verdict.dmarc.disposition = DMARC_ACCEPT;
	s.verdict.dmarc.spf_aligned = true;
	f = make(&s, true);
	assert_int_equal(f.row.disposition, AGGREGATE_PASS);
	assert_true(f.row.spf_aligned && !f.row.dkim_aligned);
	s.verdict.dmarc.policy = DMARC_POLICY_NONE;
	assert_int_equal(make(&s, true).row.disposition, AGGREGATE_NONE);
}

static void test_left_out(void **state)
{
	struct scene s;

	(void)state;
	scene_new(&s, "v=DMARC1; p=reject");
	make(&s, false); /* nobody asks */
	scene_new(&s, "v=DMARC1; p=reject; rua=mailto:r@author.example");
	s.verdict.dmarc.disposition = DMARC_DEFER;
	make(&s, false); /* comes again */
	scene_new(&s, "v=DMARC1; p=reject; rua=mailto:r@author.example");
	s.view.put_off = true;
	make(&s, false); /* comes again too: it had 452 for want of room */
	scene_new(&s, "v=DMARC1; p=reject; rua=mailto:r@author.example");
	s.config->dmarc_report_from = STR_NONE;
	make(&s, false);
	scene_new(&s, "v=DMARC1; p=reject; rua=mailto:r@author.example");
	s.recipient.address = S("DMARC@ours.example");
	make(&s, false); /* what comes back for our own reports */
	scene_new(&s, "v=DMARC1; p=reject; rua=mailto:r@author.example");
	s.view.header = S("Subject: Report Domain: ours.example Submitter: x\r\n\r\n");
	make(&s, true); /* forged */
	s.verdict.dmarc.result = DMARC_PASS;
	make(&s, false); /* genuine */
}

/* RFC 9990 3.2: the author's own that pass first; what cannot be named is not told; strangers' bytes are printable. */
static void test_signatures(void **state)
{
	struct dkim_verdict list[] = {
		{ .result = DKIM_FAIL, .domain = S("author.example"), .selector = S("bad") },
		{ .result = DKIM_PASS, .domain = S("list.example"), .selector = S("l") },
		{ .result = DKIM_NEUTRAL },
		{ .result = DKIM_PASS, .domain = S("sub.author.example"), .selector = S("s") },
		{ .result = DKIM_PASS, .domain = S("author.example"), .selector = S("own <&\n>") },
	};
	struct scene s;
	struct dmarc_fact f;

	(void)state;
	scene_new(&s, "v=DMARC1; p=reject; rua=mailto:r@author.example");
	s.verdict.dkim = (struct dkim_verdicts){ .list = list, .n = ARRAY_LEN(list) };
	f = make(&s, true);
	assert_int_equal(f.row.signatures_n, 4);
	assert_str(f.row.signatures[0].selector, S("own?<&?>"));
	assert_str(f.row.signatures[1].selector, S("s"));
	assert_str(f.row.signatures[2].selector, S("l"));
	assert_str(f.row.signatures[3].selector, S("bad"));
	assert_int_equal(f.row.signatures[3].result, DKIM_FAIL);
}

static void test_failures(void **state)
{
	static const struct {
		const char *record;
		bool dkim, spf; /* aligned */
		enum dkim_result signature;
		bool wanted;
	} rows[] = {
		{ "v=DMARC1; p=reject; ruf=mailto:f@author.example", false, false, DKIM_PASS,
		  true },
		{ "v=DMARC1; p=reject; ruf=mailto:f@author.example", true, false, DKIM_PASS,
		  false },
		{ "v=DMARC1; p=reject; fo=1; ruf=mailto:f@author.example", true, false, DKIM_PASS,
		  true },
		{ "v=DMARC1; p=reject; fo=1; ruf=mailto:f@author.example", true, true, DKIM_PASS,
		  false },
		{ "v=DMARC1; p=reject; fo=d; ruf=mailto:f@author.example", true, true, DKIM_FAIL,
		  true },
		{ "v=DMARC1; p=reject; fo=d; ruf=mailto:f@author.example", false, false, DKIM_PASS,
		  false },
		{ "v=DMARC1; p=reject; fo=s; ruf=mailto:f@author.example", true, true, DKIM_PASS,
		  true },
		{ "v=DMARC1; p=reject; psd=y; ruf=mailto:f@author.example", false, false, DKIM_PASS,
		  false },
	};
	struct scene s;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct dkim_verdict d = { .result = rows[i].signature,
					  .domain = S("author.example"),
					  .selector = S("s") };
		scene_new(&s, rows[i].record);
		s.config->dmarc_failure_reports = true;
		s.verdict.dkim = (struct dkim_verdicts){ .list = &d, .n = 1 };
		s.verdict.dmarc.dkim_aligned = rows[i].dkim;
		s.verdict.dmarc.spf_aligned = rows[i].spf;
		if (rows[i].dkim || rows[i].spf)
			s.verdict.dmarc.result = DMARC_PASS;
		assert_int_equal(make(&s, rows[i].wanted).failures_n, rows[i].wanted);
		s.config->dmarc_failure_reports = false; /* the default */
		make(&s, false);
	}
}

/* Nothing is said about reports, bounces and answering machines. */
static void test_no_failure_loops(void **state)
{
	static const char *const headers[] = {
		"Content-Type: multipart/report; report-type=feedback-report\r\n\r\n",
		"Content-Type:\r\n Multipart/Report; x=y\r\n\r\n",
		"Auto-Submitted: auto-replied\r\n\r\n",
	};
	struct scene s;

	(void)state;
	for (size_t i = 0; i <= ARRAY_LEN(headers); i++) {
		scene_new(&s, "v=DMARC1; p=reject; ruf=mailto:f@author.example");
		s.config->dmarc_failure_reports = true;
		if (i < ARRAY_LEN(headers))
			s.view.header = str_cstr(headers[i]);
		else
			s.transaction.sender = STR_NONE;
		make(&s, false);
	}
	scene_new(&s, "v=DMARC1; p=reject; ruf=mailto:f@author.example");
	s.config->dmarc_failure_reports = true;
	s.view.header = S("Auto-Submitted: no\r\nSubject: x\r\n\r\n");
	assert_str(make(&s, true).failures[0].header, S("Auto-Submitted: no\r\nSubject: x\r\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = { UNIT_TEST(test_outcomes), UNIT_TEST(test_left_out),
					    UNIT_TEST(test_signatures), UNIT_TEST(test_failures),
					    UNIT_TEST(test_no_failure_loops) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
