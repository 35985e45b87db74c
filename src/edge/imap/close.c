/* CLOSE, RFC 3501 6.4.2, and UNSELECT, RFC 3691 2. */
#include "edge/imap/imap_int.h"

struct imap_reply imap_close(struct imap *i, struct scan *s)
{
	const struct uid_range all = { 1, UINT32_MAX, 0 };
	struct office_message_expunge_request q = { .ticket = *imap_ticket(i),
						    .mailbox = i->mailbox,
						    .uids = &all,
						    .uids_n = 1,
						    .only_deleted = true };
	struct office_message_expunge_answer r;
	const struct fail *f = NULL;

	if (!scan_end(s))
		return BAD_REPLY("CLOSE takes no arguments");
	if (!i->read_only)
		f = office_message_expunge(imap_arena(i), imap_office(i), &q, &r);
	if (f)
		return imap_fail(f);
	imap_unselect(i);
	return OK_REPLY("closed");
}

struct imap_reply imap_unselect_command(struct imap *i, struct scan *s)
{
	if (!scan_end(s))
		return BAD_REPLY("UNSELECT takes no arguments");
	imap_unselect(i);
	return OK_REPLY("closed, nothing expunged");
}
