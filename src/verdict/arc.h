/*
 * ARC (RFC 8617), verifying only: who handled a message on its way, and what they saw. Whether a chain is whole is a fact; whether
 * its sealers are believed is the administrator's word (auth.trusted_sealers), and only then does ARC change anything (THREATS D12).
 *
 * not: RFC 8617 5.2 step 4 (older message signatures) is optional and left out: a later hop that changed the body breaks them anyway.
 * Pure; the body's hash is ordered at the DKIM verifier, so a body is read once.
 */
#ifndef VERDICT_ARC_H
#define VERDICT_ARC_H

#include "verdict/dkim.h"

enum arc_limit { ARC_SETS = 50 }; /* RFC 8617 4.2.1 */

enum arc_result { ARC_NONE, ARC_PASS, ARC_FAIL, ARC_TEMPERROR };

struct arc_set {
	str domain, selector; /* of its seal */
	str results;          /* of its ARC-Authentication-Results, behind "i=1;" */
};

struct arc_verdict {
	enum arc_result result;
	str reason;                 /* one English sentence */
	const struct arc_set *sets; /* set 1 first; empty unless the sets are complete */
	size_t sets_n;
};

struct arc_verifier;

/* header: borrowed until finish. body: before its first piece. */
struct arc_verifier *arc_verifier_new(struct arena *a, str header, struct dkim_body *body);
/* Once, after the body's end. At most one question for each set and one more. */
void arc_verifier_finish(struct arc_verifier *v, const struct dns_source *dns, u64 now,
			 struct arc_verdict *out);

str arc_result_name(enum arc_result r);
/* A whole chain of which every sealer is one of these domains, or below one. */
bool arc_is_trusted(const struct arc_verdict *v, const str *domains, size_t n);
/* Did the first sealer see DMARC pass for this author's domain? */
bool arc_saw_dmarc_pass(struct arena *a, const struct arc_verdict *v, str author);

#endif
