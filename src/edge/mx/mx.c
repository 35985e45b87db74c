/*
 * What strangers may bring (port 25) and what filters hand in (LMTP): mail for people who have a mailbox or an alias here, nothing else.
 * Never a relay (THREATS S17): the office says which addresses are ours, and local parts mean nothing to us.
 * All refusals happen here, before we have taken the message: nobody gets a report for mail he did not send (THREATS Q03).
 */
#include "edge/mx/judge.h"

/* Any sender, the null one too (RFC 5321 4.5.5); who may send as whom is for SPF, DKIM and DMARC. */
static const struct fail *mx_sender(struct smtp *s, struct transaction *t)
{
	(void)s;
	(void)t;
	return NULL;
}

static const struct fail *mx_recipient(struct smtp *s, struct transaction *t, str address, str *out)
{
	return smtp_recipient_check(s, t, address, false, out);
}

const struct smtp_policy mx_policy = {
	.stage = "mx",
	.sender = mx_sender,
	.recipient = mx_recipient,
	.open = judge_open,
	.message = judge_message,
	.settled = judge_settled,
	.decision = judge_decision,
};
