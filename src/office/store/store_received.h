/*
 * Reports that others sent us (bus/office_types.tbl, report/report.tbl), kept to be listed, and what we sent ourselves, to hold beside
 * them. Everything is bounded: rows of a report, reports of a day by domain and sender, days, bytes in all. So a flood of reports
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

	STORE_RECEIVED_BYTES = 2 * 1024 * 1024, /* of a report; a larger one is not kept */

	/* In 24 hours: */
	STORE_RECEIVED_DAY =
	    5000, /* DMARC reports in all; TLS reports and complaints each likewise */
	STORE_RECEIVED_DAY_ROWS = 200000,
	STORE_RECEIVED_DAY_BYTES =
	    64 * 1024 * 1024,            /* of each kind; half for those that are proven */
	STORE_RECEIVED_DAY_DOMAIN = 500, /* about one domain of ours */
	STORE_RECEIVED_DAY_SENDER = 200, /* of one sender about it */
	STORE_RECEIVED_DAY_FORGED = 50,  /* forged ones about it */
	STORE_RECEIVED_DAY_STRANGE = 20, /* about a domain that is not ours */

	STORE_RECEIVED_DAYS = 400,
	STORE_RECEIVED_ALL_BYTES = 512 * 1024 * 1024, /* of each kind; the oldest go first */
	STORE_FEEDBACK_DAYS = 200,
	STORE_SENT_DAYS = 60,
	STORE_RECEIVED_SLICE =
	    50, /* reports of a kind that go in one expiry, and their bytes, about */
	STORE_RECEIVED_SLICE_BYTES = 4 * 1024 * 1024,
	STORE_RECEIVED_PAGE = 500,                   /* most of one list */
	STORE_RECEIVED_PAGE_BYTES = 8 * 1024 * 1024, /* of TLS reports, which have lists in lists */
	STORE_RECEIVED_SOURCES = 10000,
};

struct received_outcome {
	enum { RECEIVED_TAKEN_NOW, RECEIVED_HERE_ALREADY, RECEIVED_NOT_KEPT } what;
	str why;   /* of NOT_KEPT */
	u64 bytes; /* of the report, about */
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

/* One slice of what is old or too much, of every table. */
const struct fail *store_received_expire(struct tx *t);

/* --- What we sent -------------------------------------------------------------------------------------------- */

/* One message more went from an address of ours to one elsewhere. mta: the host that took it. */
const struct fail *store_sent_add(struct tx *t, str from_domain, str to_domain, str mta);
/* From a domain in [begin, end), milliseconds: to hosts and domains below `there`, and to all. */
const struct fail *store_sent_count(struct tx *t, str from_domain, str there, u64 begin, u64 end,
				    u64 *sent, u64 *sent_all);
const struct fail *store_sent_expire(struct tx *t);

/* --- Shared -------------------------------------------------------------------------------------------------- */

static const u64 received_day_ms = 24 * 60 * 60 * 1000;

/* SQL: is the domain of a column that of a parameter, or below it? An empty parameter is above all. */
#define RECEIVED_BELOW(column, parameter)                                     \
	"(" parameter " = '' OR " column " = " parameter " OR substr(" column \
	", -length(" parameter ") - 1) = '.' || " parameter ")"
/* SQL and its values: the rows of a page, by the columns of id, time, domain. Parameters ?1 to ?3. */
#define RECEIVED_PAGE(id, received, domain) \
	id " < ?1 AND " received " >= ?2 AND " RECEIVED_BELOW(domain, "?3")
#define RECEIVED_PAGE_VALUES(page)                                                    \
	SQL_U64((page)->before ? (page)->before : INT64_MAX), SQL_U64((page)->since), \
	    SQL_STR((page)->domain)
size_t received_page_max(const struct received_page *page);

/* Of reports without limits by domain: what came in 24 hours, and how many of this sender, true ones and forged ones apart. */
#define RECEIVED_DAY(table)                         \
	"SELECT count(*), coalesce(sum(bytes), 0)," \
	" coalesce(sum(sender = ?1 AND (proof = 2) = ?2), 0) FROM " table " WHERE id >= ?3"
#define RECEIVED_DAY_VALUES(t, in)                                      \
	SQL_STR((in)->sender), SQL_U64((in)->proof == INCOMING_FORGED), \
	    SQL_U64(id_first((t)->now - received_day_ms))
/* day: RECEIVED_DAY. most: of one sender. */
const struct fail *received_look_for_room(struct tx *t, const struct incoming_report *in,
					  struct query *day, u64 most, const char *kind,
					  struct received_outcome *out);
/* Is there no room in a day that has these bytes already? */
bool received_is_full(const struct incoming_report *in, u64 bytes,
		      const struct received_outcome *out);

str received_text(str s);                 /* as long as may be kept */
bool received_source_is_good(str source); /* 0, 4 or 16 bytes */
str received_lines(struct arena *a, const str *items, size_t n, size_t max); /* one a line */
size_t received_lines_split(struct arena *a, str text, const str **out);
/* A domain of ours, one below or above one. */
const struct fail *received_domain_is_ours(struct tx *t, str domain, bool *ours);

#endif
