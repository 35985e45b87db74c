/*
 * policy: the queue's pure decisions. When to try again, when to give up, who is told what (RFC 3461 5.2, RFC 5321 4.5.4.1, 6.1).
 * No state, no disk: each is a table or a formula, tested as such.
 */
#ifndef OFFICE_QUEUE_POLICY_H
#define OFFICE_QUEUE_POLICY_H

#include "base/env.h"
#include "bus/office.h"

struct policy {
	u64 retry_first, retry_most, expire, delay_notice; /* ms */
};

/* How an attempt ended for one recipient. */
enum policy_outcome {
	POLICY_DELIVERED, /* into a mailbox of ours */
	POLICY_RELAYED,   /* the next server took it, and knows nothing of DSN */
	POLICY_PASSED, /* the next server took it, and the duty to report with it (RFC 3461 5.2.1) */
	POLICY_TEMP,
	POLICY_PERM,
	POLICY_EXPIRED, /* TEMP, and its time is over */
};

/* What the sender is told of it. */
enum policy_report { REPORT_NONE, REPORT_SUCCESS, REPORT_FAILURE, REPORT_DELAY };

/* When to try again after `attempts` finished ones: doubling from retry_first to retry_most, jitter of a quarter up or down, so that
 * what failed together does not come back together (THREATS Q07). Not after the end: the last attempt is made at it. */
u64 policy_next_attempt(const struct policy *p, const struct env *e, u32 attempts, u64 arrived);
bool policy_expired(const struct policy *p, u64 arrived, u64 now);
/* delay_told: one delay report a recipient is enough. */
enum policy_report policy_report(const struct policy *p, enum policy_outcome outcome, u32 notify,
				 bool null_sender, bool delay_told, u64 arrived, u64 now);

#endif
