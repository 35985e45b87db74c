/*
 * Lists of addresses in DNS (RFC 5782): each a zone with a weight, negative for a list of good ones. The sum is what policy looks at.
 *
 * An answer counts only when it is in 127.0.0.0/8; 127.255.255.0/24 is how a list says that it did not like to be asked (an open
 * resolver, too many questions): never a hit (2.1, and the practice of the large lists). No answer is no hit: failure is open.
 */
#ifndef VERDICT_DNSBL_H
#define VERDICT_DNSBL_H

#include "text/dns_rdata.h"
#include "text/dns.h"

enum dnsbl_limit { DNSBL_LISTS = 20, DNSBL_WEIGHT = 1000, DNSBL_TEXT = 200 };

struct dnsbl_list {
	str zone;
	bool has_code;
	u8 code[4];
	int weight;
};

/* "zen.example:5", "zen.example=127.0.0.4:7", "white.example:-3". False: none of these. */
bool dnsbl_list_parse(struct arena *a, str text, struct dnsbl_list *out);

enum dnsbl_result { DNSBL_CLEAR, DNSBL_LISTED, DNSBL_OTHER_CODE, DNSBL_REFUSED, DNSBL_NO_ANSWER };

struct dnsbl_hit {
	const struct dnsbl_list *list;
	enum dnsbl_result result;
	u8 code[4]; /* of LISTED, OTHER_CODE, REFUSED */
	str text;   /* of LISTED: what the list says, printable ASCII, cut; may be empty */
};

struct dnsbl_verdict {
	int score;
	const struct dnsbl_hit *hits; /* one for each list, in order */
	size_t n;
};

/* One question a list, one more for each that lists it. At most DNSBL_LISTS are asked. */
void dnsbl_check(struct arena *a, const struct dns_source *dns, const struct dns_address *client,
		 const struct dnsbl_list *lists, size_t n, struct dnsbl_verdict *out);
str dnsbl_result_name(enum dnsbl_result r);

#endif
