/* ENABLE, RFC 5161 3.1. Only CONDSTORE can be (RFC 7162 3.1.8); what we do not know is passed over. */
#include "edge/imap/imap_int.h"

struct imap_reply imap_enable(struct imap *i, struct scan *s)
{
	bool condstore = false;
	str name;

	if (scan_end(s))
		return BAD_REPLY("expected names of capabilities");
	while (!scan_end(s)) {
		if (!scan_sp(s) || !imap_scan_atom(s, &name))
			return BAD_REPLY("expected names of capabilities");
		condstore = condstore || str_eq_nocase(name, S("CONDSTORE"));
	}
	buf_add(imap_out(i), condstore ? S("* ENABLED CONDSTORE\r\n") : S("* ENABLED\r\n"));
	if (condstore)
		imap_condstore_on(i);
	return OK_REPLY("enabled");
}
