/* NOOP, RFC 3501 6.1.2: the news, if a mailbox is open. They are asked for even when no notice came. */
#include "edge/imap/imap_int.h"

struct imap_reply imap_noop(struct imap *i, struct scan *s)
{
	if (!scan_end(s))
		return BAD_REPLY("NOOP takes no arguments");
	i->dirty = i->view != NULL;
	return OK_REPLY("nothing done");
}
