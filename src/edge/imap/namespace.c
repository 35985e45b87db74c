/* NAMESPACE, RFC 2342: one personal namespace, no others. */
#include "edge/imap/imap_int.h"

struct imap_reply imap_namespace(struct imap *i, struct scan *s)
{
	if (!scan_end(s))
		return BAD_REPLY("NAMESPACE takes no arguments");
	buf_add(imap_out(i), S("* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n"));
	return OK_REPLY("that is all");
}
