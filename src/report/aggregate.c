/* Names of what aggregate reports say. */
#include "report/aggregate.h"

#include "base/check.h"

#define MESSAGE_ENCODERS
#include "base/message.h"
#include "report/report.tbl"
#include "base/message_end.h"
#define MESSAGE_DECODERS
#include "base/message.h"
#include "report/report.tbl"
#include "base/message_end.h"

static const char *const dispositions[] = {
	[AGGREGATE_NONE] = "none",
	[AGGREGATE_PASS] = "pass",
	[AGGREGATE_QUARANTINE] = "quarantine",
	[AGGREGATE_REJECT] = "reject",
};
static const char *const policies[] = {
	[AGGREGATE_POLICY_UNSAID] = "",
	[AGGREGATE_POLICY_NONE] = "none",
	[AGGREGATE_POLICY_QUARANTINE] = "quarantine",
	[AGGREGATE_POLICY_REJECT] = "reject",
};
static const char *const discoveries[] = {
	[AGGREGATE_UNSAID] = "",
	[AGGREGATE_PSL] = "psl",
	[AGGREGATE_TREEWALK] = "treewalk",
};
static const char *const overrides[] = {
	[AGGREGATE_OTHER] = "other",
	[AGGREGATE_LOCAL_POLICY] = "local_policy",
	[AGGREGATE_MAILING_LIST] = "mailing_list",
	[AGGREGATE_POLICY_TEST_MODE] = "policy_test_mode",
	[AGGREGATE_TRUSTED_FORWARDER] = "trusted_forwarder",
	[AGGREGATE_FORWARDED] = "forwarded",
	[AGGREGATE_SAMPLED_OUT] = "sampled_out",
};
static const char *const results[] = {
	[AGGREGATE_RESULT_NONE] = "none",           [AGGREGATE_RESULT_PASS] = "pass",
	[AGGREGATE_RESULT_FAIL] = "fail",           [AGGREGATE_RESULT_SOFTFAIL] = "softfail",
	[AGGREGATE_RESULT_POLICY] = "policy",       [AGGREGATE_RESULT_NEUTRAL] = "neutral",
	[AGGREGATE_RESULT_TEMPERROR] = "temperror", [AGGREGATE_RESULT_PERMERROR] = "permerror",
};

static const char *name_of(const char *const *names, size_t n, unsigned value)
{
	return value < n ? names[value] : "";
}

const char *aggregate_disposition_name(enum aggregate_disposition d)
{
	return name_of(dispositions, ARRAY_LEN(dispositions), d);
}

const char *aggregate_policy_name(enum aggregate_policy_action p)
{
	return name_of(policies, ARRAY_LEN(policies), p);
}

const char *aggregate_discovery_name(enum aggregate_discovery d)
{
	return name_of(discoveries, ARRAY_LEN(discoveries), d);
}

const char *aggregate_override_name(enum aggregate_override o)
{
	return name_of(overrides, ARRAY_LEN(overrides), o);
}

const char *aggregate_result_name(enum aggregate_result r)
{
	return name_of(results, ARRAY_LEN(results), r);
}
