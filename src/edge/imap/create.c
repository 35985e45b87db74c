/* CREATE, RFC 3501 6.3.3; with (USE (\Sent)), RFC 6154 3. */
#include "edge/imap/imap_int.h"
#include "text/imap_mailbox.h"

/* At most one use: a mailbox of ours has one. */
static bool take_use(struct imap *i, struct scan *s, u32 *special, bool *known)
{
	str name;

	(void)i;
	*special = SPECIAL_NONE;
	*known = true;
	if (scan_end(s))
		return true;
	if (!scan_lit(s, S(" (USE (\\")) || !imap_scan_atom(s, &name) || !scan_lit(s, S("))")))
		return false;
	*known = imap_special_parse(str_format(imap_arena(i), "\\%.*s", STR_ARG(name)), special);
	return scan_end(s);
}

struct imap_reply imap_create(struct imap *i, struct scan *s)
{
	struct office_mailbox_create_request q = { .ticket = *imap_ticket(i) };
	struct office_mailbox_create_answer r;
	const struct fail *f;
	bool known;
	str wire;

	if (!scan_sp(s) || !imap_scan_astring(imap_arena(i), s, &wire) ||
	    !take_use(i, s, &q.special, &known))
		return BAD_REPLY("expected a mailbox name, perhaps (USE (\\Name))");
	if (!known)
		return REPLY(IMAP_NO, "USEATTR", "not a use we know");
	/* RFC 3501 6.3.3: a delimiter at the end only tells that there will be names beneath. */
	if (wire.n > 1 && wire.p[wire.n - 1] == '/')
		wire.n--;
	f = imap_mailbox_decode(imap_arena(i), wire, &q.name);
	if (!f)
		f = office_mailbox_create(imap_arena(i), imap_office(i), &q, &r);
	return f ? imap_fail(f) : OK_REPLY("created");
}
