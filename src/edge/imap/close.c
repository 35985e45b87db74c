/* CLOSE, RFC 3501 6.4.2, and UNSELECT, RFC 3691 2. */
#include "edge/imap/imap_int.h"

struct imap_reply imap_close(struct imap *i, struct scan *s)
{
	const struct uid_range all = { 1, UINT32_MAX, 0 };
	const struct fail *f = NULL;

	if (!scan_end(s))
		return BAD_REPLY("CLOSE takes no arguments");
	if (!i->read_only)
		f = imap_expunge_deleted(i, &all, 1);
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
