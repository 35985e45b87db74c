/*
 * All of it together, for one message: SPF, DKIM, ARC, DMARC, from the bytes as they come to what is to be done. Shared by port 25
 * and `postern auth`, so that what the tool says is what the server does. Pure but for DNS, which the caller brings.
 */
#ifndef VERDICT_AUTH_H
#define VERDICT_AUTH_H

#include "verdict/arc.h"
#include "verdict/dkim.h"
#include "verdict/dmarc.h"
#include "verdict/spf.h"

enum auth_limit { AUTH_SIGNATURES_SHOWN = 10 }; /* in Authentication-Results */

struct auth_rules {
	bool spf, dkim, arc, dmarc;                 /* what is asked at all */
	const str *mailing_lists, *trusted_sealers; /* A-labels, lower case */
	size_t mailing_lists_n, trusted_sealers_n;
	const struct dns_source *dns;
	/* Before each part (SPF, DKIM, ARC, DMARC): a budget of its own begins, so that none can eat what the next one needs.
	 * payer: the domain whose mail makes the questions; empty: the one each is about. NULL: none. */
	void (*part)(void *context, str payer);
	void *context;
};

struct auth_verdict {
	bool has_spf, has_dkim, has_arc, has_dmarc;
	struct spf_verdict spf;
	struct dkim_verdicts dkim;
	struct arc_verdict arc;
	struct dmarc_author author;
	struct dmarc_verdict dmarc;
};

struct auth_check;

/* header: as it came; borrowed until finish, as are the rules. */
struct auth_check *auth_check_new(struct arena *a, const struct auth_rules *rules, str header);
void auth_check_body(struct auth_check *c, str piece);
void auth_check_finish(struct auth_check *c, const struct spf_query *q, struct auth_verdict *out);

/* Authentication-Results in the name of id, and Received-SPF. iprev_result: of RFC 8601 3, or empty; client: "192.0.2.1". */
void auth_put_fields(struct arena *a, struct header_builder *h, str id, const struct spf_query *q,
		     str iprev_result, str client, const struct auth_verdict *v);

#endif
