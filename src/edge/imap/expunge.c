/* EXPUNGE, RFC 3501 6.4.3, and UID EXPUNGE, RFC 4315 2.1. What went is told as news. */
#include "edge/imap/imap_int.h"

const struct fail *imap_expunge_deleted(struct imap *i, const struct uid_range *uids, size_t n)
{
	struct office_message_expunge_request q = { .ticket = *imap_ticket(i),
						    .mailbox = i->mailbox,
						    .uids = uids,
						    .uids_n = n,
						    .only_deleted = true };
	struct office_message_expunge_answer r;

	return n ? office_message_expunge(imap_arena(i), imap_office(i), &q, &r) : NULL;
}

static bool take_uids(struct imap *i, struct scan *s, const struct uid_range **uids, size_t *n)
{
	struct view_spans spans;
	struct imap_set set;

	if (!scan_sp(s) || !imap_scan_set(imap_arena(i), s, &set) || !scan_end(s))
		return false;
	if (!view_spans(i->view, imap_arena(i), &set, true, &spans))
		return false;
	*uids = view_uids(i->view, imap_arena(i), &spans);
	*n = spans.n;
	return true;
}

struct imap_reply imap_expunge(struct imap *i, struct scan *s)
{
	const struct uid_range all = { 1, UINT32_MAX, 0 }, *uids = &all;
	size_t n = 1;
	const struct fail *f;

	if (i->command->uid ? !take_uids(i, s, &uids, &n) : !scan_end(s))
		return BAD_REPLY("expected UIDs for UID EXPUNGE, nothing for EXPUNGE");
	if (i->read_only)
		return REPLY(IMAP_NO, "READ-ONLY", "the mailbox is open for reading");
	f = imap_expunge_deleted(i, uids, n);
	i->dirty = true; /* a part may be done, whatever came of the rest */
	if (f)
		return imap_fail(f);
	return OK_REPLY("expunged");
}
