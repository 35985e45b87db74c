/* CREATE, RFC 3501 6.3.3; with (USE (\Sent)), RFC 6154 3. */
#include "edge/imap/imap_int.h"
#include "text/imap_mailbox.h"

/* *possible: no more than one use, for a mailbox of ours has one, and one that we know. */
static bool take_use(struct imap *i, struct scan *s, u32 *special, bool *possible)
{
	str name;

	*special = SPECIAL_NONE;
	*possible = true;
	if (scan_end(s))
		return true;
	if (!scan_lit(s, S(" (USE (")))
		return false;
	if (scan_lit(s, S("))")))
		return scan_end(s);
	do {
		if (!scan_byte(s, '\\') || !imap_scan_atom(s, &name))
			return false;
		*possible =
		    *possible && *special == SPECIAL_NONE &&
		    imap_special_parse(str_format(imap_arena(i), "\\%.*s", STR_ARG(name)), special);
	} while (scan_sp(s));
	return scan_lit(s, S("))")) && scan_end(s);
}

/* RFC 6154 3: a mailbox that cannot have the use is not made, and that is told apart from other reasons. */
static struct imap_reply create_fail(const struct fail *f, u32 special)
{
	struct imap_reply r = imap_fail(f);

	if (special && f->what == FAIL_CONFLICT)
		r.code = S("USEATTR");
	return r;
}

struct imap_reply imap_create(struct imap *i, struct scan *s)
{
	struct office_mailbox_create_request q = { .ticket = *imap_ticket(i) };
	struct office_mailbox_create_answer r;
	const struct fail *f;
	bool possible;
	str wire;

	if (!scan_sp(s) || !imap_scan_astring(imap_arena(i), s, &wire) ||
	    !take_use(i, s, &q.special, &possible))
		return BAD_REPLY("expected a mailbox name, perhaps (USE (\\Name))");
	if (!possible)
		return REPLY(IMAP_NO, "USEATTR", "not a use we know, or more than one");
	/* RFC 3501 6.3.3: a delimiter at the end only tells that there will be names beneath. */
	if (wire.n > 1 && wire.p[wire.n - 1] == '/')
		wire.n--;
	f = imap_mailbox_decode(imap_arena(i), wire, &q.name);
	if (!f)
		f = office_mailbox_create(imap_arena(i), imap_office(i), &q, &r);
	return f ? create_fail(f, q.special) : OK_REPLY("created");
}
