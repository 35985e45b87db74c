/* RENAME, RFC 3501 6.3.5. Of INBOX the office moves the messages and leaves it in place, in one transaction. */
#include "edge/imap/imap_int.h"

struct imap_reply imap_rename(struct imap *i, struct scan *s)
{
	struct office_mailbox_rename_request q = { .ticket = *imap_ticket(i) };
	struct office_mailbox_rename_answer r;
	const struct fail *f = imap_take_mailbox(i, s, &q.from);

	if (!f)
		f = imap_take_mailbox(i, s, &q.to);
	if (!f && !scan_end(s))
		return BAD_REPLY("expected two mailbox names");
	if (!f)
		f = office_mailbox_rename(imap_arena(i), imap_office(i), &q, &r);
	if (f)
		return imap_fail(f);
	i->dirty = i->view != NULL;
	return OK_REPLY("renamed");
}
