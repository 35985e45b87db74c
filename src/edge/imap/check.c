/* CHECK, RFC 3501 6.4.1: everything is always on disk, so there is nothing to do but NOOP. */
#include "edge/imap/imap_int.h"

struct imap_reply imap_check(struct imap *i, struct scan *s)
{
	if (!scan_end(s))
		return BAD_REPLY("CHECK takes no arguments");
	i->dirty = true;
	return OK_REPLY("all is stored");
}
