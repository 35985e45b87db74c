/*
 * TLS-RPT reports (RFC 8460 4, struct tlsrpt_report of report.tbl) from JSON. jansson reads it; before that one pass counts what it
 * would have to build, and how deep, so that a small file cannot become a large tree (THREATS R03).
 */
#ifndef REPORT_TLSRPT_H
#define REPORT_TLSRPT_H

#include "base/arena.h"
#include "base/fail.h"
#include "report/report.h"

enum tlsrpt_limit {
	TLSRPT_BYTES = 8 * 1024 * 1024,
	TLSRPT_VALUES = 200000, /* values of the whole file */
	TLSRPT_DEPTH = 16,
	TLSRPT_POLICIES = 100,
	TLSRPT_FAILURES = 1000, /* of one policy; the first ones are kept */
	TLSRPT_STRINGS = 32,    /* of a policy's text, of its MX patterns */
	TLSRPT_PERIOD_DAYS = 370,
};

/* RFC 8460 4.4 */
enum tlsrpt_policy_type {
	TLSRPT_POLICY_UNKNOWN,
	TLSRPT_POLICY_TLSA,
	TLSRPT_POLICY_STS,
	TLSRPT_POLICY_NONE, /* "no-policy-found" */
};

/* Once, before the jail: jansson seeds its hash tables from a file. */
void tlsrpt_before_jail(void);

const char *tlsrpt_policy_type_name(enum tlsrpt_policy_type t);

/* SYNTAX or TOO_LARGE with the reason. Unknown members are passed over. Everything is copied. */
const struct fail *tlsrpt_read(struct arena *a, str json, struct tlsrpt_report *out);

/* Is it worth a try: does it begin like a JSON object? */
bool tlsrpt_looks_like(str bytes);

#endif
