/*
 * Feedback about one message (struct feedback_report of report.tbl): complaints (ARF, RFC 5965) and DMARC failure reports (RFC 6591,
 * RFC 9991). A message/feedback-report part is a block of header fields; a header or message that came with it says what it is about.
 */
#ifndef REPORT_FEEDBACK_H
#define REPORT_FEEDBACK_H

#include "base/arena.h"
#include "base/fail.h"
#include "report/report.h"

enum feedback_limit {
	FEEDBACK_BYTES = 256 * 1024,     /* of the fields */
	FEEDBACK_LIST = 20,              /* recipients, domains, results that are kept */
	FEEDBACK_INCIDENTS = 1000000000, /* of one report; who says more is not believed */
};

/* RFC 5965 7.3, RFC 6591 5.1, RFC 6430. */
enum feedback_kind {
	FEEDBACK_OTHER,
	FEEDBACK_ABUSE,
	FEEDBACK_FRAUD,
	FEEDBACK_VIRUS,
	FEEDBACK_NOT_SPAM,
	FEEDBACK_AUTH_FAILURE,
};

const char *feedback_kind_name(enum feedback_kind k);

/* fields: content of the message/feedback-report part. original: the message, or its header, or empty. Everything is copied. SYNTAX
 * without a Feedback-Type. */
const struct fail *feedback_read(struct arena *a, str fields, str original,
				 struct feedback_report *out);

#endif
