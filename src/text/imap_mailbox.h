/*
 * Mailbox names as clients write them: modified UTF-7 (RFC 3501 5.1.3), '/' between levels, INBOX in any case;
 * and the patterns of LIST. Inside, a name is UTF-8 and INBOX is upper case.
 */
#ifndef TEXT_IMAP_MAILBOX_H
#define TEXT_IMAP_MAILBOX_H

#include "base/arena.h"
#include "base/fail.h"

enum imap_mailbox_limit {
	IMAP_MAILBOX_NAME = 1000, /* bytes of UTF-8 */
	IMAP_MAILBOX_DEPTH = 64,  /* levels, THREATS I09 */
};

/* INVALID when it is not strict modified UTF-7, too long or deep, has an empty level, a control, or % or *. */
const struct fail *imap_mailbox_decode(struct arena *a, str wire, str *utf8);
/* The same for a pattern: % and * stay. An empty one is good. */
const struct fail *imap_pattern_decode(struct arena *a, str wire, str *utf8);

/* '*' matches anything, '%' anything but '/'. Both in UTF-8. Time pattern times name at worst, whatever it holds
 * (THREATS I09). INBOX in the first level matches in any case. */
bool imap_pattern_matches(str pattern, str name);

#endif
