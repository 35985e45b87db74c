/*
 * What a DMARC aggregate report says (struct aggregate_report of report.tbl): the enums of its fields, and their names as the XML has
 * them. One struct for reports that come (aggregate_read.h) and those that go (aggregate_write.h).
 */
#ifndef REPORT_AGGREGATE_H
#define REPORT_AGGREGATE_H

#include "report/report.h"

enum aggregate_limit {
	AGGREGATE_RECORDS = 100000, /* of one report; more: it is refused (THREATS R01) */
	AGGREGATE_SIGNATURES = 100, /* DKIM results of one record, RFC 9990 3.2 */
	AGGREGATE_SPF_RESULTS = 10, /* of one record */
	AGGREGATE_REASONS = 10,     /* of one record */
	AGGREGATE_ERRORS = 10,      /* of one report */
	AGGREGATE_TEXT = 512,       /* bytes of any text; the rest is cut */
};

/* Of a row. AGGREGATE_PASS is RFC 9990's "pass"; RFC 7489 has "none" for it. */
enum aggregate_disposition {
	AGGREGATE_NONE,
	AGGREGATE_PASS,
	AGGREGATE_QUARANTINE,
	AGGREGATE_REJECT,
};
enum aggregate_policy_action {
	AGGREGATE_POLICY_UNSAID,
	AGGREGATE_POLICY_NONE,
	AGGREGATE_POLICY_QUARANTINE,
	AGGREGATE_POLICY_REJECT,
};
enum aggregate_discovery { AGGREGATE_UNSAID, AGGREGATE_PSL, AGGREGATE_TREEWALK };
enum aggregate_override {
	AGGREGATE_OTHER,
	AGGREGATE_LOCAL_POLICY,
	AGGREGATE_MAILING_LIST,
	AGGREGATE_POLICY_TEST_MODE,
	AGGREGATE_TRUSTED_FORWARDER,
	AGGREGATE_FORWARDED,   /* RFC 7489 only */
	AGGREGATE_SAMPLED_OUT, /* RFC 7489 only */
};
/* RFC 8601 2.7.1 (DKIM: none pass fail policy neutral temperror permerror) and 2.7.2 (SPF: softfail too). */
enum aggregate_result {
	AGGREGATE_RESULT_NONE,
	AGGREGATE_RESULT_PASS,
	AGGREGATE_RESULT_FAIL,
	AGGREGATE_RESULT_SOFTFAIL,
	AGGREGATE_RESULT_POLICY,
	AGGREGATE_RESULT_NEUTRAL,
	AGGREGATE_RESULT_TEMPERROR,
	AGGREGATE_RESULT_PERMERROR,
};

/* As the XML has them; "" for what was not said. */
const char *aggregate_disposition_name(enum aggregate_disposition d);
const char *aggregate_policy_name(enum aggregate_policy_action p);
const char *aggregate_discovery_name(enum aggregate_discovery d);
const char *aggregate_override_name(enum aggregate_override o);
const char *aggregate_result_name(enum aggregate_result r);

#endif
