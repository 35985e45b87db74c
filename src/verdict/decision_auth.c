/* What each check of a message and its client found out, as facts. */
#include "base/arena.h"
#include "verdict/decision.h"

void decision_add_iprev(struct decision *d, str client, const struct iprev_verdict *v)
{
	decision_add(d, &(struct fact){ .check = S("iprev"),
					.input = client,
					.result = iprev_result_name(v->result),
					.source = v->name });
}

void decision_add_dnsbl(struct arena *a, struct decision *d, str client,
			const struct dnsbl_verdict *v)
{
	for (size_t i = 0; i < v->n; i++) {
		const struct dnsbl_hit *h = &v->hits[i];
		struct fact f = { .check = S("dnsbl"),
				  .input = client,
				  .result = dnsbl_result_name(h->result),
				  .source = h->list->zone,
				  .weight = h->result == DNSBL_LISTED ? h->list->weight : 0 };
		if (h->result != DNSBL_CLEAR && h->result != DNSBL_NO_ANSWER)
			f.reason =
			    str_format(a, "%u.%u.%u.%u%s%.*s", h->code[0], h->code[1], h->code[2],
				       h->code[3], h->text.n ? ": " : "", STR_ARG(h->text));
		decision_add(d, &f);
	}
}

static void add_spf(struct decision *d, const struct spf_verdict *v)
{
	decision_add(d, &(struct fact){ .check = S("spf"),
					.input = v->domain,
					.result = spf_result_name(v->result),
					.source = v->mechanism,
					.reason = v->reason });
}

static void add_dkim(struct decision *d, const struct dkim_verdicts *list)
{
	if (list->n == 0)
		decision_add(d, &(struct fact){ .check = S("dkim"), .result = S("none") });
	for (size_t i = 0; i < list->n && i < AUTH_SIGNATURES_SHOWN; i++) {
		const struct dkim_verdict *v = &list->list[i];
		decision_add(d, &(struct fact){ .check = S("dkim"),
						.input = v->domain,
						.result = dkim_result_name(v->result),
						.source = v->selector,
						.reason = v->reason });
	}
}

static void add_arc(struct decision *d, const struct arc_verdict *v)
{
	if (v->result == ARC_NONE)
		return;
	decision_add(
	    d, &(struct fact){ .check = S("arc"),
			       .input = v->sets_n > 0 ? v->sets[v->sets_n - 1].domain : STR_NONE,
			       .result = arc_result_name(v->result),
			       .reason = v->reason });
}

static enum decision_action action_of(const struct dmarc_verdict *v, bool refuses)
{
	switch (v->disposition) {
	case DMARC_ACCEPT:
		break;
	case DMARC_JUNK:
		return DECISION_JUNK;
	case DMARC_DEFER:
		return DECISION_DEFER;
	case DMARC_REFUSE:
		return refuses ? DECISION_REJECT : DECISION_JUNK;
	}
	return DECISION_ACCEPT;
}

static void add_dmarc(struct arena *a, struct decision *d, const struct dmarc_verdict *v,
		      bool refuses)
{
	struct fact f = { .check = S("dmarc"),
			  .input = v->author,
			  .result = str_cstr(dmarc_result_name(v->result)),
			  .reason = v->reason };

	if (v->policy_domain.n)
		f.source = str_format(a, "%s=%s; %.*s", v->policy_tag, dmarc_policy_name(v->policy),
				      STR_ARG(v->policy_domain));
	decision_add(d, &f);
	if (v->override.n) {
		decision_add(
		    d, &(struct fact){ .check = S("override"),
				       .input = v->author,
				       .result = S("accept"),
				       .source = v->override_kind == DMARC_OVERRIDE_MAILING_LIST
						     ? S("auth.mailing_lists")
						     : S("auth.trusted_sealers"),
				       .reason = v->override });
		decision_want(d, DECISION_ACCEPT, S("override"));
	}
	if (v->disposition != DMARC_ACCEPT)
		decision_want(d, action_of(v, refuses), S("dmarc"));
}

/* It passes (RFC 9989 has nothing else), but by a record that lets nearly everybody in: no proof, and a place in Junk (THREATS D10). */
static void add_huge(struct decision *d, const struct auth_verdict *v)
{
	if (!v->has_spf || !v->spf.huge || v->dmarc.result != DMARC_PASS || v->dmarc.dkim_aligned)
		return;
	decision_add(d, &(struct fact){ .check = S("spf_huge"),
					.input = v->dmarc.author,
					.result = S("junk"),
					.source = v->spf.mechanism,
					.reason = v->spf.reason });
	decision_want(d, DECISION_JUNK, S("spf_huge"));
}

void decision_add_auth(struct arena *a, struct decision *d, const struct auth_verdict *v,
		       bool refuses)
{
	if (v->has_spf)
		add_spf(d, &v->spf);
	if (v->has_dkim)
		add_dkim(d, &v->dkim);
	if (v->has_arc)
		add_arc(d, &v->arc);
	if (v->has_dmarc)
		add_dmarc(a, d, &v->dmarc, refuses);
	if (v->has_dmarc)
		add_huge(d, v);
}
