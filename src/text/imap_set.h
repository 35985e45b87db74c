/*
 * Sequence sets (RFC 3501 9 sequence-set): numbers or UIDs as ranges. A set is read, then resolved against the
 * largest number there is; after that its ranges are ascending, apart and not empty, however it was written
 * (THREATS I05: `1:*,1:*,...` costs n log n once).
 */
#ifndef TEXT_IMAP_SET_H
#define TEXT_IMAP_SET_H

#include "base/arena.h"
#include "base/scan.h"

struct imap_range {
	u32 low, high; /* before imap_set_resolve 0 stands for '*' */
};

struct imap_set {
	struct imap_range *ranges;
	size_t n;
};

bool imap_scan_set(struct arena *a, struct scan *s, struct imap_set *out);
/* '*' becomes largest, which may be 0 in an empty mailbox. */
void imap_set_resolve(struct imap_set *set, u32 largest);
/* Of a resolved set. */
bool imap_set_has(const struct imap_set *set, u32 number);
u32 imap_set_last(const struct imap_set *set); /* its highest number, 0 when it has none */

#endif
