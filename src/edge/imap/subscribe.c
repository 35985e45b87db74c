/* SUBSCRIBE and UNSUBSCRIBE, RFC 3501 6.3.6, 6.3.7. */
#include "edge/imap/imap_int.h"

static struct imap_reply subscription(struct imap *i, struct scan *s, bool subscribed)
{
	struct office_mailbox_subscribe_request q = { .ticket = *imap_ticket(i),
						      .subscribed = subscribed };
	struct office_mailbox_subscribe_answer r;
	const struct fail *f = imap_take_mailbox(i, s, &q.name);

	if (!f && !scan_end(s))
		return BAD_REPLY("expected a mailbox name");
	if (!f)
		f = office_mailbox_subscribe(imap_arena(i), imap_office(i), &q, &r);
	return f ? imap_fail(f) : OK_REPLY("noted");
}

struct imap_reply imap_subscribe(struct imap *i, struct scan *s)
{
	return subscription(i, s, true);
}

struct imap_reply imap_unsubscribe(struct imap *i, struct scan *s)
{
	return subscription(i, s, false);
}
