/* IDLE, RFC 2177. The session parks; a notice wakes it, it tells the news and parks again. */
#include "edge/imap/imap_int.h"

struct imap_reply imap_idle(struct imap *i, struct scan *s)
{
	if (!scan_end(s))
		return BAD_REPLY("IDLE takes no arguments");
	i->stage = STAGE_IDLE;
	buf_add(imap_out(i), S("+ idling\r\n"));
	i->news_checked = false;
	i->dirty = i->view != NULL;
	if (i->view && (!imap_tell_news(i, true) || i->dirty)) /* there is more to do */
		session_continue(i->session);
	return LATER;
}
