/* LOGOUT, RFC 3501 6.1.3. */
#include "edge/imap/imap_int.h"

struct imap_reply imap_logout(struct imap *i, struct scan *s)
{
	if (!scan_end(s)) {
		i->command = NULL; /* not a LOGOUT: the session goes on */
		return BAD_REPLY("LOGOUT takes no arguments");
	}
	imap_unselect(i);
	imap_untagged(i, "BYE", STR_NONE, S("goodbye"));
	return OK_REPLY("logged out");
}
