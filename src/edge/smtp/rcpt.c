/*
 * RCPT: one more recipient, or a word why not; the transaction goes on either way. RFC 5321 4.1.1.3, RFC 3461 4.1-4.2.
 * <Postmaster> without a domain is ours (RFC 5321 4.5.1).
 */
#include "edge/smtp/smtp_int.h"

/* "rfc822;joe@example.org", decoded. */
static str original(struct arena *a, const struct smtp_rcpt *r)
{
	if (r->orcpt_type.n == 0)
		return STR_NONE;
	return str_format(a, "%.*s;%.*s", STR_ARG(r->orcpt_type), STR_ARG(r->orcpt));
}

static const struct fail *verdict(struct arena *a, u8 result, bool relays)
{
	switch ((enum recipient_result)result) {
	case RECIPIENT_LOCAL:
		return NULL;
	case RECIPIENT_REMOTE:
		return relays ? NULL
			      : fail_code(a, FAIL_DENIED, "5.7.1", "not our domain: no relaying");
	case RECIPIENT_UNKNOWN:
		return fail_code(a, FAIL_NOT_FOUND, "5.1.1", "no such mailbox");
	case RECIPIENT_FULL:
		return fail_code(a, FAIL_QUOTA, "4.2.2", "mailbox full");
	case RECIPIENT_SUSPENDED:
		/* RFC 3463 3.3: X.2.1 is transient "if the mailbox is only temporarily disabled", and a suspension is meant to end (what is not
		 * is removed); RFC 5321 4.2.3 has 450 for it. Mail must not be lost over a bill that is paid tomorrow. */
		return fail_code(a, FAIL_DENIED, "4.2.1", "mailbox suspended, try again later");
	}
	return fail_new(a, FAIL_INTERNAL, "unknown answer about a recipient");
}

const struct fail *smtp_recipient_check(struct smtp *s, struct transaction *t, str address,
					bool relays, str *out)
{
	struct office_recipient_check_request q = { .address = address, .size = t->mail.size };
	struct office_recipient_check_answer r;

	TRY(office_recipient_check(t->arena, smtp_office(s), &q, &r));
	*out = r.canonical.n > 0 ? r.canonical : address;
	return verdict(t->arena, r.result, relays);
}

static const struct fail *accept_recipient(struct smtp *s, struct transaction *t, str argument)
{
	struct smtp_rcpt r;
	struct recipient recipient = { 0 };
	str address;

	TRY(arena_check(
	    t->arena)); /* refused ones stay in it, and 4xx are no errors that are counted */
	TRY(smtp_rcpt_parse(t->arena, argument, smtp_extensions(s), t->mail.smtputf8, &r));
	if (r.to.domain.n == 0)
		address = S("postmaster"); /* the office knows whose that is */
	else
		TRY(address_canonical(t->arena, &r.to, &address));
	TRY(s->policy->recipient(s, t, address, &recipient.address));
	recipient.notify = r.notify;
	recipient.orcpt = original(t->arena, &r);
	return transaction_add(t, &recipient);
}

struct reply smtp_verb_rcpt(struct smtp *s, struct scan *argument)
{
	struct transaction *t = s->transaction;
	const struct fail *f;

	if (t->recipients_n >= smtp_config(s)->mail_recipients) /* RFC 5321 4.5.3.1.10 */
		return REPLY(452, "4.5.3", "enough recipients for one message");
	f = accept_recipient(s, t, argument->rest);
	return f ? reply_from_fail(smtp_turn_arena(s), f) : REPLY(250, "2.1.5", "recipient ok");
}
