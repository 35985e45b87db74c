/* EXPUNGE, RFC 3501 6.4.3, and UID EXPUNGE, RFC 4315 2.1. What went is told as news. */
#include "edge/imap/imap_int.h"

static bool take_uids(struct imap *i, struct scan *s, struct office_message_expunge_request *q)
{
	struct view_spans spans;
	struct imap_set set;

	if (!scan_sp(s) || !imap_scan_set(imap_arena(i), s, &set) || !scan_end(s))
		return false;
	if (!view_spans(i->view, imap_arena(i), &set, true, &spans))
		return false;
	q->uids = view_uids(i->view, imap_arena(i), &spans);
	q->uids_n = spans.n;
	return true;
}

struct imap_reply imap_expunge(struct imap *i, struct scan *s)
{
	const struct uid_range all = { 1, UINT32_MAX, 0 };
	struct office_message_expunge_request q = { .ticket = *imap_ticket(i),
						    .mailbox = i->mailbox,
						    .uids = &all,
						    .uids_n = 1,
						    .only_deleted = true };
	struct office_message_expunge_answer r;
	const struct fail *f = NULL;

	if (i->command->uid ? !take_uids(i, s, &q) : !scan_end(s))
		return BAD_REPLY("expected UIDs for UID EXPUNGE, nothing for EXPUNGE");
	if (i->read_only)
		return REPLY(IMAP_NO, "READ-ONLY", "the mailbox is open for reading");
	if (q.uids_n > 0)
		f = office_message_expunge(imap_arena(i), imap_office(i), &q, &r);
	i->dirty = true; /* a part may be done, whatever came of the rest */
	if (f)
		return imap_fail(f);
	return OK_REPLY("expunged");
}
