#include "office/queue/policy.h"

#include "base/env.h"

u64 policy_next_attempt(const struct policy *p, const struct env *e, u32 attempts, u64 arrived)
{
	u64 wait = p->retry_first, now = env_now(e), end = arrived + p->expire, next;

	for (u32 i = 1; i < attempts && wait < p->retry_most; i++)
		wait *= 2;
	if (wait > p->retry_most)
		wait = p->retry_most;
	wait -= wait / 4;
	next = now + wait + env_random_below(e, wait * 2 / 3 + 1); /* 3/4 .. 5/4 */
	return next > end && end > now ? end : next;
}

bool policy_expired(const struct policy *p, u64 arrived, u64 now)
{
	return now >= arrived + p->expire;
}

/* RFC 3461 5.2: an absent NOTIFY means FAILURE, and DELAY as the server sees fit. We do. */
static bool wants(u32 notify, enum dsn_notify what)
{
	u32 unsaid = DSN_NOTIFY_FAILURE | DSN_NOTIFY_DELAY;

	return ((notify ? notify : unsaid) & (u32)what) != 0;
}

enum policy_report policy_report(const struct policy *p, enum policy_outcome outcome, u32 notify,
				 bool null_sender, bool delay_told, u64 arrived, u64 now)
{
	if (null_sender) /* RFC 5321 4.5.5: nothing is ever sent to it */
		return REPORT_NONE;
	switch (outcome) {
	case POLICY_DELIVERED:
	case POLICY_RELAYED:
		return wants(notify, DSN_NOTIFY_SUCCESS) ? REPORT_SUCCESS : REPORT_NONE;
	case POLICY_PASSED:
		return REPORT_NONE;
	case POLICY_PERM:
	case POLICY_EXPIRED:
		return wants(notify, DSN_NOTIFY_FAILURE) ? REPORT_FAILURE : REPORT_NONE;
	case POLICY_TEMP:
		break;
	}
	if (delay_told || now < arrived + p->delay_notice || !wants(notify, DSN_NOTIFY_DELAY))
		return REPORT_NONE;
	return REPORT_DELAY;
}
