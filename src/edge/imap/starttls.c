/* STARTTLS, RFC 3501 6.2.1. What was sent behind it in the clear ends the session (serve.h TURN_TLS; THREATS T01). Nothing of the
 * clear part is kept: there is no state before login but counters. */
#include "edge/imap/imap_int.h"

struct imap_reply imap_starttls(struct imap *i, struct scan *s)
{
	if (!scan_end(s))
		return BAD_REPLY("STARTTLS takes no arguments");
	if (session_is_tls(i->session))
		return BAD_REPLY("TLS is on already");
	if (!edge_offers_tls(i->session))
		return REPLY(IMAP_NO, "UNAVAILABLE", "TLS is not to be had here");
	i->tls_wanted = true;
	return OK_REPLY("begin TLS now");
}
