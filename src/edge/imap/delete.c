/* DELETE, RFC 3501 6.3.4. */
#include "edge/imap/imap_int.h"

struct imap_reply imap_delete(struct imap *i, struct scan *s)
{
	struct office_mailbox_delete_request q = { .ticket = *imap_ticket(i) };
	struct office_mailbox_delete_answer r;
	const struct fail *f = imap_take_mailbox(i, s, &q.name);

	if (!f && !scan_end(s))
		return BAD_REPLY("expected a mailbox name");
	if (!f && str_eq(q.name, S("INBOX")))
		return REPLY(IMAP_NO, "CANNOT", "INBOX stays");
	if (!f)
		f = office_mailbox_delete(imap_arena(i), imap_office(i), &q, &r);
	if (f)
		return imap_fail(f);
	i->dirty = i->view != NULL; /* perhaps it was the open one */
	return OK_REPLY("deleted");
}
