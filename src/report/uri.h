/*
 * Where DMARC reports are to go: one URI of rua= or ruf= (RFC 9989 4.6, RFC 6068), with the size limit that RFC 7489 6.2 lets stand behind
 * it ("!10m"). Only mailto with one address, whose domain has a name; header fields behind '?' mean nothing to us.
 */
#ifndef REPORT_URI_H
#define REPORT_URI_H

#include "base/str.h"

struct report_uri {
	str address; /* canonical, as the queue wants it */
	str host;    /* its domain: A-labels, lower case */
	u64 limit;   /* bytes; 0: none */
};

/* False: nothing we send to. Strings live as long as the arena. */
bool report_uri_parse(struct arena *a, str uri, struct report_uri *out) NODISCARD;

#endif
