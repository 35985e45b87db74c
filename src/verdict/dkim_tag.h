/*
 * Tag lists, "v=1; a=rsa-sha256; ...": RFC 6376 3.2. Shared by signature fields, key records and ARC. Tag names are case-sensitive.
 */
#ifndef VERDICT_DKIM_TAG_H
#define VERDICT_DKIM_TAG_H

#include "base/arena.h"

struct dkim_tag {
	str name;
	str value; /* borrows; without FWS at its ends, FWS inside still there */
};

struct dkim_tags {
	const struct dkim_tag *list;
	size_t n;
};

/* NULL, or why it is no tag list (English, static): a bad name or value, the same tag twice, too many. */
const char *dkim_tags_parse(struct arena *a, str text, struct dkim_tags *out);
bool dkim_tags_find(const struct dkim_tags *t, str name, str *value);
/* A copy without SP, HTAB, CR and LF. */
str dkim_tag_squeeze(struct arena *a, str value);
/* The next of a list "a : b : c" without the FWS around it; false at the end. *rest may start as the whole value. An empty item is given too. */
bool dkim_tag_item(str *rest, str *item);

#endif
