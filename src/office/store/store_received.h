/*
 * Reports that others sent us (bus/office_types.tbl, report/report.tbl), kept to be listed, and what we sent ourselves, to hold beside
 * them. Everything is bounded: rows of a report, reports of a day by domain and sender, days, rows in all. So a flood of reports
 * costs its sender's place and nobody else's (THREATS R01).
 */
#ifndef OFFICE_STORE_STORE_RECEIVED_H
#define OFFICE_STORE_STORE_RECEIVED_H

#include "office/store/store.h"

enum store_report_limit {
	STORE_RECEIVED_ROWS =
	    2000, /* of a DMARC report; mda makes sums of the rest (aggregate_fold) */
	STORE_RECEIVED_TEXT = 1024,    /* bytes of any text */
	STORE_RECEIVED_LINES = 10,     /* of a row's results and reasons */
	STORE_RECEIVED_SPLIT = 32,     /* lines of a list that are shown */
	STORE_RECEIVED_FAILURES = 500, /* of a TLS report's policy */

	/* In 24 hours: */
	STORE_RECEIVED_DAY =
	    5000, /* DMARC reports in all; TLS reports and complaints each likewise */
	STORE_RECEIVED_DAY_ROWS = 200000,
	STORE_RECEIVED_DAY_DOMAIN = 500, /* about one domain of ours */
	STORE_RECEIVED_DAY_SENDER = 200, /* of one sender about it */
	STORE_RECEIVED_DAY_FORGED = 50,  /* forged ones about it */
	STORE_RECEIVED_DAY_STRANGE = 20, /* about a domain that is not ours */

	STORE_RECEIVED_DAYS = 400,
	STORE_RECEIVED_ROWS_ALL = 2000000, /* the oldest reports go first */
	STORE_FEEDBACK_DAYS = 200,
	STORE_SENT_DAYS = 60,
	STORE_RECEIVED_SLICE = 20, /* reports of one expiry */
	STORE_RECEIVED_PAGE = 500, /* most of one list */
	STORE_RECEIVED_SOURCES = 10000,
};

struct received_outcome {
	enum { RECEIVED_TAKEN_NOW, RECEIVED_HERE_ALREADY, RECEIVED_NOT_KEPT } what;
	str why; /* of NOT_KEPT */
};

/* message: the mail that brought it. INVALID when it is none that a reader makes. */
const struct fail *store_received_add(struct tx *t, u64 message, const struct incoming_report *in,
				      struct received_outcome *out);
/* Each kind's part of it. */
const struct fail *store_aggregate_add(struct tx *t, const struct incoming_report *in,
				       struct received_outcome *out);
const struct fail *store_tlsrpt_add(struct tx *t, const struct incoming_report *in,
				    struct received_outcome *out);
const struct fail *store_feedback_add(struct tx *t, u64 message, const struct incoming_report *in,
				      struct received_outcome *out);

const struct fail *store_received_list(struct tx *t, const struct office_received_list_request *q,
				       struct office_received_list_answer *r);
const struct fail *store_received_show(struct tx *t, u64 id, struct office_received_show_answer *r);
const struct fail *store_received_sources(struct tx *t,
					  const struct office_received_sources_request *q,
					  struct office_received_sources_answer *r);
const struct fail *store_tlsrpt_list(struct tx *t, const struct office_tlsrpt_list_request *q,
				     struct office_tlsrpt_list_answer *r);
const struct fail *store_feedback_list(struct tx *t, const struct office_feedback_list_request *q,
				       struct office_feedback_list_answer *r);

/* One slice of what is old, of every table. */
const struct fail *store_received_expire(struct tx *t);
const struct fail *store_feedback_expire(struct tx *t);

/* --- What we sent -------------------------------------------------------------------------------------------- */

/* One message more went from an address of ours to one elsewhere. mta: the host that took it. */
const struct fail *store_sent_add(struct tx *t, str from_domain, str to_domain, str mta);
/* From a domain in [begin, end), milliseconds: to hosts and domains below `there`, and to all. */
const struct fail *store_sent_count(struct tx *t, str from_domain, str there, u64 begin, u64 end,
				    u64 *sent, u64 *sent_all);
const struct fail *store_sent_expire(struct tx *t);

/* --- Shared -------------------------------------------------------------------------------------------------- */

str received_text(str s);                 /* as long as may be kept */
bool received_source_is_good(str source); /* 0, 4 or 16 bytes */
str received_lines(struct arena *a, const str *items, size_t n, size_t max); /* one a line */
size_t received_lines_split(struct arena *a, str text, const str **out);
/* A domain of ours, one below or above one. */
const struct fail *received_domain_is_ours(struct tx *t, str domain, bool *ours);

#endif
