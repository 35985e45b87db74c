/* ID, RFC 2971. We say our name, no version: that helps nobody but an attacker. What the client says is checked and forgotten. */
#include "edge/imap/imap_int.h"

enum { ID_PAIRS = 30 }; /* RFC 2971 3.3 */

static bool take_pair(struct imap *i, struct scan *s)
{
	bool nil;
	str text;

	return imap_scan_string(imap_arena(i), s, &text) && scan_sp(s) &&
	       imap_scan_nstring(imap_arena(i), s, &text, &nil);
}

static bool take_pairs(struct imap *i, struct scan *s)
{
	int n = 0;

	if (imap_scan_word(s, S("NIL")))
		return true;
	if (!scan_byte(s, '('))
		return false;
	if (scan_byte(s, ')'))
		return true;
	do {
		if (++n > ID_PAIRS || !take_pair(i, s))
			return false;
	} while (scan_sp(s));
	return scan_byte(s, ')');
}

struct imap_reply imap_id(struct imap *i, struct scan *s)
{
	if (!scan_sp(s) || !take_pairs(i, s) || !scan_end(s))
		return BAD_REPLY("expected NIL or a list of names and values");
	buf_add(imap_out(i), S("* ID (\"name\" \"Postern\")\r\n"));
	return OK_REPLY("pleased to meet you");
}
