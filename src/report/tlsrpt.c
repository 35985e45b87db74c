#include "report/tlsrpt.h"

#include <jansson.h>

#include "report/clean.h"
#include "text/date.h"

static const char *const types[] = {
	[TLSRPT_POLICY_UNKNOWN] = "unknown",
	[TLSRPT_POLICY_TLSA] = "tlsa",
	[TLSRPT_POLICY_STS] = "sts",
	[TLSRPT_POLICY_NONE] = "no-policy-found",
};

void tlsrpt_before_jail(void)
{
	json_object_seed(0);
}

const char *tlsrpt_policy_type_name(enum tlsrpt_policy_type t)
{
	return (unsigned)t < ARRAY_LEN(types) ? types[t] : "unknown";
}

static u8 type_of(str name)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (str_eq_nocase(name, str_cstr(types[i])))
			return (u8)i;
	}
	return TLSRPT_POLICY_UNKNOWN;
}

/* --- Before jansson ------------------------------------------------------------------------------------------ */

/* Every value but the first of its array or object has a comma before it, every array and object a bracket. */
static bool is_bearable(str json)
{
	size_t values = 0, depth = 0;
	bool quoted = false;

	for (size_t i = 0; i < json.n; i++) {
		u8 byte = json.p[i];
		if (quoted) {
			i += byte == '\\';
			quoted = byte != '"';
		} else if (byte == '"') {
			quoted = true;
		} else if (byte == '[' || byte == '{') {
			values += 2;
			depth++;
		} else if (byte == ']' || byte == '}') {
			depth -= depth > 0;
		} else {
			values += byte == ',';
		}
		if (depth > TLSRPT_DEPTH || values > TLSRPT_VALUES)
			return false;
	}
	return true;
}

/* --- Values -------------------------------------------------------------------------------------------------- */

static str text_of(struct arena *a, const json_t *value)
{
	return clean_text(a, str_from(json_string_value(value), json_string_length(value)));
}

static str member(struct arena *a, const json_t *object, const char *name)
{
	return text_of(a, json_object_get(object, name));
}

/* Some reporters write their numbers as texts. */
static u64 number(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);
	json_int_t n = json_integer_value(value);
	u64 out;

	if (json_is_string(value) &&
	    str_u64(str_from(json_string_value(value), json_string_length(value)), &out))
		return out > INT64_MAX ? 0 : out;
	return n > 0 ? (u64)n : 0;
}

/* An array of texts; RFC 8460 has one for mx-host, its example a single text. */
static size_t texts(struct arena *a, const json_t *object, const char *name, const str **out)
{
	const json_t *value = json_object_get(object, name);
	str *list = arena_array_of(a, TLSRPT_STRINGS, str);
	size_t n = 0;

	*out = list;
	if (json_is_string(value)) {
		list[0] = text_of(a, value);
		return 1;
	}
	for (size_t i = 0; i < json_array_size(value) && n < TLSRPT_STRINGS; i++)
		list[n++] = text_of(a, json_array_get(value, i));
	return n;
}

static bool take_date(const json_t *range, const char *name, u64 *out)
{
	const json_t *value = json_object_get(range, name);
	i64 ms;

	if (!json_is_string(value) ||
	    !date_parse_iso(str_from(json_string_value(value), json_string_length(value)), &ms) ||
	    ms < 0)
		return false;
	*out = (u64)ms;
	return true;
}

/* --- The report ---------------------------------------------------------------------------------------------- */

static void read_failure(struct arena *a, const json_t *from, struct tlsrpt_failure *out)
{
	*out = (struct tlsrpt_failure){
		.type = member(a, from, "result-type"),
		.sending_mta = member(a, from, "sending-mta-ip"),
		.receiving_mx = clean_domain(a, member(a, from, "receiving-mx-hostname")),
		.receiving_helo = member(a, from, "receiving-mx-helo"),
		.receiving_ip = member(a, from, "receiving-ip"),
		.count = number(from, "failed-session-count"),
		.info = member(a, from, "additional-information"),
		.reason = member(a, from, "failure-reason-code"),
	};
}

static void read_policy(struct arena *a, const json_t *from, struct tlsrpt_policy *out)
{
	const json_t *policy = json_object_get(from, "policy");
	const json_t *summary = json_object_get(from, "summary");
	const json_t *details = json_object_get(from, "failure-details");
	size_t n = json_array_size(details);
	struct tlsrpt_failure *failures;

	n = n < TLSRPT_FAILURES ? n : TLSRPT_FAILURES;
	failures = arena_array_of(a, n, struct tlsrpt_failure);
	for (size_t i = 0; i < n; i++)
		read_failure(a, json_array_get(details, i), &failures[i]);
	out->type = type_of(member(a, policy, "policy-type"));
	out->domain = clean_domain(a, member(a, policy, "policy-domain"));
	out->strings_n = texts(a, policy, "policy-string", &out->strings);
	out->mx_hosts_n = texts(a, policy, "mx-host", &out->mx_hosts);
	out->successful = number(summary, "total-successful-session-count");
	out->failed = number(summary, "total-failure-session-count");
	out->failures = failures;
	out->failures_n = n;
}

static const struct fail *check(struct arena *a, const struct tlsrpt_report *out)
{
	if (out->report_id.n == 0)
		return fail_new(a, FAIL_SYNTAX, "a TLS report without an id");
	if (out->policies_n == 0)
		return fail_new(a, FAIL_SYNTAX, "a TLS report without a policy");
	for (size_t i = 0; i < out->policies_n; i++) {
		if (out->policies[i].domain.n == 0)
			return fail_new(a, FAIL_SYNTAX, "a TLS report that names no domain");
	}
	return arena_check(a);
}

static const struct fail *read_report(struct arena *a, const json_t *root,
				      struct tlsrpt_report *out)
{
	const json_t *range = json_object_get(root, "date-range");
	const json_t *list = json_object_get(root, "policies");
	const u64 longest = (u64)TLSRPT_PERIOD_DAYS * 24 * 60 * 60 * 1000;
	struct tlsrpt_policy *policies;
	size_t n = json_array_size(list);

	if (n > TLSRPT_POLICIES)
		return fail_new(a, FAIL_TOO_LARGE, "a TLS report with %zu policies", n);
	out->org = member(a, root, "organization-name");
	out->contact = member(a, root, "contact-info");
	out->report_id = member(a, root, "report-id");
	if (!take_date(range, "start-datetime", &out->begin) ||
	    !take_date(range, "end-datetime", &out->end) || out->end < out->begin ||
	    out->end - out->begin > longest)
		return fail_new(a, FAIL_SYNTAX, "a TLS report for no period that makes sense");
	policies = arena_array_of(a, n, struct tlsrpt_policy);
	for (size_t i = 0; i < n; i++)
		read_policy(a, json_array_get(list, i), &policies[i]);
	out->policies = policies;
	out->policies_n = n;
	return check(a, out);
}

static void release(void *root)
{
	json_decref(root); /* library's */
}

static const struct fail *parse(struct arena *a, str json, struct tlsrpt_report *out)
{
	json_error_t error;
	json_t *root;

	if (json.n > TLSRPT_BYTES || !is_bearable(json))
		return fail_new(a, FAIL_TOO_LARGE, "a TLS report too large");
	root =
	    json_loadb(json.n ? (const char *)json.p : "", json.n, JSON_REJECT_DUPLICATES, &error);
	if (root == NULL)
		return fail_new(a, FAIL_SYNTAX, "no JSON, in line %d: %s", error.line, error.text);
	arena_own(a, release, root);
	return read_report(a, root, out);
}

const struct fail *tlsrpt_read(struct arena *a, str json, struct tlsrpt_report *out)
{
	const struct fail *f;

	*out = (struct tlsrpt_report){ 0 };
	f = parse(a, json, out);
	if (f)
		*out = (struct tlsrpt_report){ 0 }; /* no halves */
	return f;
}

bool tlsrpt_looks_like(str bytes)
{
	if (str_starts(bytes, S("\xEF\xBB\xBF")))
		return false; /* RFC 8259 8.1 forbids the mark, and jansson refuses it */
	bytes = str_trim(bytes);
	return bytes.n && bytes.p[0] == '{';
}
