/*
 * The rows of DMARC reports to other domains. What they mean, and when they change, is office/report's affair.
 */
#ifndef OFFICE_STORE_STORE_OUTGOING_H
#define OFFICE_STORE_STORE_OUTGOING_H

#include "office/store/store.h"

enum store_outgoing_limit {
	STORE_OUTGOING_LIST = 20000, /* reports of one day in a listing */
	STORE_OUTGOING_SLICE = 10,   /* reports of one expiry, with their rows */
	STORE_OUTGOING_DAYS = 35,    /* how long it is known that a report was sent */
};

struct outgoing_report {
	u64 id, day, first, last, due;
	enum report_state state;
	u32 attempts;
	u64 rows, messages, dropped, sent, message;
	struct dmarc_published published; /* without ruf */
	str why;
};

const struct fail *store_outgoing_add(struct tx *t, const struct outgoing_report *r);
const struct fail *store_outgoing_update(struct tx *t, const struct outgoing_report *r);
/* NOT_FOUND when there is none. */
const struct fail *store_outgoing_get(struct tx *t, u64 id, struct outgoing_report *out);
/* The domain's newest of this day, in whatever state. */
const struct fail *store_outgoing_newest(struct tx *t, u64 day, str domain,
					 struct outgoing_report *out);
/* The one that is due for the longest time. */
const struct fail *store_outgoing_due(struct tx *t, struct outgoing_report *out);
const struct fail *store_outgoing_count(struct tx *t, u64 day, u64 *out);
const struct fail *store_outgoing_list(struct tx *t, u64 day, struct report_info **out, size_t *n);
/* Those of the day that were not sent are due now; what is still gathered ends here. */
const struct fail *store_outgoing_hurry(struct tx *t, u64 day, u64 *count);

/* One message more in the row that says the same; *counted false: there is no such row. */
const struct fail *store_outgoing_row_count(struct tx *t, u64 report, const struct dmarc_row *row,
					    bool *counted);
const struct fail *store_outgoing_row_add(struct tx *t, u64 report, const struct dmarc_row *row);
const struct fail *store_outgoing_rows(struct tx *t, u64 report, struct dmarc_row **out, size_t *n);
const struct fail *store_outgoing_rows_remove(struct tx *t, u64 report);

struct outgoing_failure {
	u64 id, due;
	u32 attempts;
	struct dmarc_fact fact;
};
const struct fail *store_failure_add(struct tx *t, const struct outgoing_failure *f);
/* NOT_FOUND when there is none. One that cannot be read has no failures in its fact. */
const struct fail *store_failure_get(struct tx *t, u64 id, struct outgoing_failure *out);
const struct fail *store_failure_due(struct tx *t, struct outgoing_failure *out);
const struct fail *store_failure_update(struct tx *t, const struct outgoing_failure *f);
const struct fail *store_failure_remove(struct tx *t, u64 id);
const struct fail *store_failure_count(struct tx *t, u64 *out);

/* How many this address ("": all) got in the hour that is. */
const struct fail *store_rate_get(struct tx *t, str address, u64 *out);
const struct fail *store_rate_add(struct tx *t, str address);

/* When the next one of either kind is due; UINT64_MAX: none waits. */
const struct fail *store_outgoing_next(struct tx *t, u64 *due);
/* What is old goes, a slice at a time. */
const struct fail *store_outgoing_expire(struct tx *t,
					 bool *more); /* *more: there is more that is old */

#endif
