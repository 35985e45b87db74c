/* Texts of reports as they may be kept: one line of UTF-8, bounded. */
#ifndef REPORT_CLEAN_H
#define REPORT_CLEAN_H

#include "base/arena.h"

enum clean_limit {
	CLEAN_TEXT = 512,   /* bytes of a text; the rest is cut, not inside a character */
	CLEAN_DOMAIN = 255, /* bytes of a name */
};

/* Trimmed; what text/shown.h hides becomes blanks, and so do bytes that are no UTF-8. */
str clean_text(struct arena *a, str s);
/* In lower case, without trailing dot; empty when it is longer than a name may be or has a blank in it, or what text/shown.h hides. */
str clean_domain(struct arena *a, str s);
/* "192.0.2.1", "2001:db8::1", perhaps in brackets, as 4 or 16 bytes; IPv4 in IPv6 as 4. Empty when it is no address. */
str clean_ip(struct arena *a, str s);

#endif
