/*
 * The reader of DMARC aggregate reports: XML of RFC 9990 and of RFC 7489 C, and what is in use beside them (no namespace, one of several,
 * qualified root with plain children). expat reads the XML; a document type is refused before anything in it counts, so there are no
 * entities to expand and nothing to fetch (THREATS R02).
 *
 * Forgiving where nothing is lost: order does not matter, unknown elements and words are passed over, a word for a result that nobody
 * knows is the nearest that is safe. Not forgiving: no report id, no domain, no period, no record, a count that is no number.
 */
#ifndef REPORT_AGGREGATE_READ_H
#define REPORT_AGGREGATE_READ_H

#include "base/arena.h"
#include "base/fail.h"
#include "report/aggregate.h"

enum aggregate_read_limit {
	AGGREGATE_DEPTH = 32,         /* elements inside each other */
	AGGREGATE_TOKEN = 128 * 1024, /* bytes in which nothing ends: one tag, one comment */
	AGGREGATE_STRANGE = 100000,   /* elements and attributes that are passed over */
	AGGREGATE_COUNT = 1000000000, /* messages of one row */
	AGGREGATE_PERIOD_DAYS = 370,  /* longest period of one report */
};
/* Messages of one report: sums over all reports that are kept still fit an i64. */
static const u64 aggregate_messages_most = 1000000000000;

/* SYNTAX or TOO_LARGE with the reason. Everything is copied. */
const struct fail *aggregate_read(struct arena *a, str xml, struct aggregate_report *out);

/* Is it worth a try: XML whose first element is called feedback? */
bool aggregate_looks_like(str bytes);

/* At most max records: those with most messages stay, the others become sums without a source, at most AGGREGATE_SUMS of them. And at
 * most AGGREGATE_DETAIL bytes of reasons and results. */
enum { AGGREGATE_SUMS = 16, AGGREGATE_DETAIL = 1024 * 1024 };
void aggregate_fold(struct arena *a, struct aggregate_report *r, size_t max);

#endif
