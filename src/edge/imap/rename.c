/* RENAME, RFC 3501 6.3.5. */
#include "edge/imap/imap_int.h"

/* INBOX itself stays: what is in it moves to a new mailbox, and what is beneath it stays too. */
static const struct fail *rename_inbox(struct imap *i, str to)
{
	const struct uid_range all = { 1, UINT32_MAX, 0 };
	struct office_mailbox_list_answer l;
	struct office_mailbox_create_request create = { .ticket = *imap_ticket(i), .name = to };
	struct office_mailbox_create_answer created;
	struct office_message_copy_request move = {
		.ticket = *imap_ticket(i), .uids = &all, .uids_n = 1, .target = to, .move = true
	};
	struct office_message_copy_answer moved;
	const struct mailbox_info *inbox;

	TRY(imap_mailboxes(i, &l));
	TRY(office_mailbox_create(imap_arena(i), imap_office(i), &create, &created));
	inbox = imap_mailbox_find(&l, S("INBOX"));
	if (!inbox || inbox->messages == 0)
		return NULL;
	move.mailbox = inbox->id;
	return office_message_copy(imap_arena(i), imap_office(i), &move, &moved);
}

struct imap_reply imap_rename(struct imap *i, struct scan *s)
{
	struct office_mailbox_rename_request q = { .ticket = *imap_ticket(i) };
	struct office_mailbox_rename_answer r;
	const struct fail *f = imap_take_mailbox(i, s, &q.from);

	if (!f)
		f = imap_take_mailbox(i, s, &q.to);
	if (!f && !scan_end(s))
		return BAD_REPLY("expected two mailbox names");
	if (!f && str_eq(q.from, S("INBOX")))
		f = rename_inbox(i, q.to);
	else if (!f)
		f = office_mailbox_rename(imap_arena(i), imap_office(i), &q, &r);
	if (f)
		return imap_fail(f);
	i->dirty = i->view != NULL;
	return OK_REPLY("renamed");
}
