/*
 * Who gets a DMARC report: the addresses of rua= or ruf= that are in the record's own organization, and those elsewhere that said in DNS
 * that they want it (RFC 9990 4). Asks DNS only.
 */
#ifndef MDA_DESTINATION_H
#define MDA_DESTINATION_H

#include "base/buf.h"
#include "report/uri.h"
#include "text/dns.h"

enum { DESTINATIONS = 5 }; /* that one report goes to; RFC 9990 3.5 leaves the number to us */

struct destinations {
	struct report_uri list[DESTINATIONS]; /* each address once */
	size_t n;
	bool undecided;  /* DNS did not answer for one of them: the others are in the list */
	struct buf *why; /* what became of those that are not in it, for people; "" when all are */
};

/* policy_domain: where the record stands. failures: ruf= is meant, also in what the destination publishes. */
void destinations_find(struct arena *a, const struct dns_source *dns, str policy_domain,
		       const str *uris, size_t n, bool failures, struct destinations *out);

#endif
