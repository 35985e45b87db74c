/* Calls to the office (office.tbl): structs, enums, stubs. */
#ifndef BUS_OFFICE_H
#define BUS_OFFICE_H

#include "bus/bus.h"
#include "report/report.h"

#define BUS_TYPES "bus/office_types.tbl"
#define BUS_TABLE "bus/office.tbl"
#include "bus/declare.h"

/* The one call that is made ahead: see bus_call_start. */
struct bus_pending *office_message_fetch_start(struct arena *a, struct bus *b,
					       const struct office_message_fetch_request *q);
const struct fail *office_message_fetch_take(struct bus_pending *p,
					     struct office_message_fetch_answer *r);

extern const struct bus_method office_methods[];
extern const size_t office_methods_n;

/* As whom an edge makes ids (base/id.h). The office is node 0. */
static inline u8 office_edge_node(u32 instance, bool is_client)
{
	return (u8)(1 + 2 * instance + is_client);
}

enum office_limit {
	OFFICE_LARGE = 1 << 20, /* a message from here on is spooled in a file of the office's */
	/* What an edge may add to a message: not counted for mail.size, nor its Received for mail.hops. */
	OFFICE_OWN_FIELDS = 32 * 1024,
	OFFICE_JOBS_MAX = 64,         /* of one next_job */
	OFFICE_JOBS_BYTES = 4 << 20,  /* about: then the other jobs come with the next one */
	OFFICE_JOB_ENTRIES = 1000,    /* recipients of one job */
	OFFICE_RESULTS_MAX = 10000,   /* of one attempt_done; events likewise */
	OFFICE_FETCH_BYTES = 1 << 20, /* of one message_fetch, about */
	OFFICE_CHANGES_MAX = 65536,
	OFFICE_MAILBOX_NAME = 1000, /* bytes */
	OFFICE_MAILBOX_DEPTH = 64,
	OFFICE_KEYWORDS = 48, /* of one mailbox */
	OFFICE_KEYWORD_NAME = 128,
};

enum recipient_result {
	RECIPIENT_LOCAL,
	RECIPIENT_REMOTE, /* not a domain of ours */
	RECIPIENT_UNKNOWN,
	RECIPIENT_FULL,
	RECIPIENT_SUSPENDED,
};

/* RFC 3501 2.3.2 as bits of a row's flags; \Recent belongs to sessions and is not stored. */
enum flag_bit {
	FLAG_SEEN = 1 << 0,
	FLAG_ANSWERED = 1 << 1,
	FLAG_FLAGGED = 1 << 2,
	FLAG_DELETED = 1 << 3,
	FLAG_DRAFT = 1 << 4,
	FLAG_SYSTEM = 0x1F,
	FLAG_KEYWORD_FIRST = 8, /* the bit number of the mailbox's first keyword */
};
enum flags_mode { FLAGS_REPLACE, FLAGS_ADD, FLAGS_REMOVE };

/* RFC 6154; SPECIAL_INBOX is ours. */
enum special_use {
	SPECIAL_NONE,
	SPECIAL_INBOX,
	SPECIAL_SENT,
	SPECIAL_DRAFTS,
	SPECIAL_JUNK,
	SPECIAL_TRASH,
	SPECIAL_ARCHIVE,
};

/* FETCH_ENVELOPE with FETCH_SKELETON: `skeleton` is an encoded skeleton_envelope, the message's own, and no more. */
enum fetch_want {
	FETCH_SKELETON = 1 << 0,
	FETCH_BYTES = 1 << 1,
	FETCH_HEADER_ONLY = 1 << 2,
	FETCH_ENVELOPE = 1 << 3,
};

enum job_kind { JOB_DELIVER, JOB_RELAY, JOB_DSN_FAILURE, JOB_DSN_DELAY };
enum attempt_outcome {
	ATTEMPT_DELIVERED,
	ATTEMPT_TEMP,
	ATTEMPT_PERM,
	ATTEMPT_BUSY, /* the site is at its limit: again soon, does not count as an attempt */
};
enum queue_status { QUEUE_WAITING, QUEUE_ACTIVE, QUEUE_HELD, QUEUE_DSN_DUE };
enum account_state_change { ACCOUNT_KEEP, ACCOUNT_SUSPEND, ACCOUNT_RESUME };
enum queue_action { QUEUE_RETRY, QUEUE_HOLD, QUEUE_RELEASE, QUEUE_DROP };

enum report_outcome {
	REPORT_OUTCOME_SEND,
	REPORT_OUTCOME_NONE,  /* nobody is to get it */
	REPORT_OUTCOME_LATER, /* somebody did not answer */
};
enum report_state {
	REPORT_GATHERING,
	REPORT_CLOSED, /* before its day was over */
	REPORT_SENT,
	REPORT_UNSENT, /* and never will be */
};

/* A notice on the one-way pair from office to an edge: 8 bytes, little-endian, the `watch` of office.watch. */
enum { NOTICE_OVERFLOW = 0 }; /* some were lost: everybody looks for changes */

#endif
