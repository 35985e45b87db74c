/* Mailbox names in commands, and the list of an account's mailboxes. */
#include "edge/imap/imap_int.h"
#include "text/imap_mailbox.h"

static const struct fail no_name = FAIL_STATIC(SYNTAX, "expected a mailbox name");

const struct fail *imap_take_mailbox(struct imap *i, struct scan *s, str *name)
{
	str wire;

	if (!scan_sp(s) || !imap_scan_astring(imap_arena(i), s, &wire))
		return &no_name;
	return imap_mailbox_decode(imap_arena(i), wire, name);
}

const struct fail *imap_mailboxes(struct imap *i, struct office_mailbox_list_answer *out)
{
	struct office_mailbox_list_request q = { .ticket = *imap_ticket(i) };

	return office_mailbox_list(imap_arena(i), imap_office(i), &q, out);
}

const struct fail *imap_mailbox_find(struct imap *i, str name, const struct mailbox_info **out)
{
	static const struct fail none = FAIL_STATIC(NOT_FOUND, "no such mailbox");
	struct office_mailbox_list_request q = { .ticket = *imap_ticket(i), .name = name };
	struct office_mailbox_list_answer r;

	TRY(office_mailbox_list(imap_arena(i), imap_office(i), &q, &r));
	*out = r.mailboxes;
	return r.mailboxes_n == 1 ? NULL : &none;
}

static const char *const special_names[] = {
	[SPECIAL_NONE] = "",
	[SPECIAL_INBOX] = "",
	[SPECIAL_SENT] = "\\Sent",
	[SPECIAL_DRAFTS] = "\\Drafts",
	[SPECIAL_JUNK] = "\\Junk",
	[SPECIAL_TRASH] = "\\Trash",
	[SPECIAL_ARCHIVE] = "\\Archive",
};

str imap_special_name(u32 special)
{
	return special < ARRAY_LEN(special_names) ? str_cstr(special_names[special]) : STR_NONE;
}

bool imap_special_parse(str name, u32 *special)
{
	for (u32 k = SPECIAL_SENT; k < ARRAY_LEN(special_names); k++)
		if (str_eq_nocase(name, str_cstr(special_names[k]))) {
			*special = k;
			return true;
		}
	return false;
}
