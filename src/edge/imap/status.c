/* STATUS, RFC 3501 6.3.10; HIGHESTMODSEQ of RFC 7162 3.1.7. Of the open mailbox too: what it says is the office's state, which the
 * news of the same command bring the client to. */
#include "edge/imap/imap_int.h"
#include "text/imap_print.h"

enum item { MESSAGES, RECENT, UIDNEXT, UIDVALIDITY, UNSEEN, HIGHESTMODSEQ, ITEMS };

static const char *const names[ITEMS] = { "MESSAGES",    "RECENT", "UIDNEXT",
					  "UIDVALIDITY", "UNSEEN", "HIGHESTMODSEQ" };

static bool take_item(struct scan *s, unsigned *items)
{
	for (unsigned k = 0; k < ITEMS; k++)
		if (imap_scan_word(s, str_cstr(names[k]))) {
			*items |= 1u << k;
			return true;
		}
	return false;
}

static bool take_items(struct scan *s, unsigned *items)
{
	*items = 0;
	if (!scan_sp(s) || !scan_byte(s, '('))
		return false;
	do {
		if (!take_item(s, items))
			return false;
	} while (scan_sp(s));
	return scan_byte(s, ')') && scan_end(s);
}

static void put_status(struct buf *out, const struct mailbox_info *m, unsigned items)
{
	const u64 values[ITEMS] = { m->messages,    m->recent, m->uidnext,
				    m->uidvalidity, m->unseen, m->modseq };
	const char *space = "";

	buf_add(out, S("* STATUS "));
	imap_put_mailbox(out, m->name);
	buf_add(out, S(" ("));
	for (unsigned k = 0; k < ITEMS; k++)
		if (items >> k & 1) {
			buf_printf(out, "%s%s %llu", space, names[k],
				   (unsigned long long)values[k]);
			space = " ";
		}
	buf_add(out, S(")\r\n"));
}

struct imap_reply imap_status(struct imap *i, struct scan *s)
{
	const struct mailbox_info *m;
	const struct fail *f;
	unsigned items;
	str name;

	f = imap_take_mailbox(i, s, &name);
	if (!f && !take_items(s, &items))
		return BAD_REPLY("expected a mailbox name and (items)");
	if (!f)
		f = imap_mailbox_find(i, name, &m);
	if (f)
		return imap_fail(f);
	if (items >> HIGHESTMODSEQ & 1)
		imap_condstore_on(i);
	put_status(imap_out(i), m, items);
	return OK_REPLY("that is its status");
}
