#include "verdict/auth.h"

#include "base/arena.h"
#include "text/address.h"
#include "verdict/authres.h"

enum { HEADER_B = 8 }; /* characters of b= that tell signatures apart, RFC 6008 */

struct auth_check {
	struct arena *a;
	const struct auth_rules *rules;
	str header;
	struct dkim_verifier *dkim; /* NULL: neither DKIM nor ARC */
	struct arc_verifier *arc;   /* NULL: no ARC */
};

struct auth_check *auth_check_new(struct arena *a, const struct auth_rules *rules, str header)
{
	struct auth_check *c = arena_new_of(a, struct auth_check);

	*c = (struct auth_check){ .a = a, .rules = rules, .header = header };
	if (rules->dkim || rules->arc)
		c->dkim = dkim_verifier_new(a, header);
	if (rules->arc)
		c->arc = arc_verifier_new(a, header, dkim_verifier_hashes(c->dkim));
	return c;
}

void auth_check_body(struct auth_check *c, str piece)
{
	if (c->dkim)
		dkim_verifier_body(c->dkim, piece);
}

static void next_part(const struct auth_check *c, str payer)
{
	if (c->rules->part)
		c->rules->part(c->rules->context, payer);
}

/* --- DMARC ------------------------------------------------------------------------------------------------------- */

/* d= and MAIL FROM may be U-labels; DMARC compares A-labels. What is no domain name speaks for nobody. */
static void add_identifier(struct arena *a, struct dmarc_identifier *list, size_t *n, str domain,
			   bool spf, bool undecided)
{
	str ascii;

	if (*n < DMARC_IDENTIFIERS && domain.n > 0 && !domain_to_ascii(a, domain, &ascii))
		list[(*n)++] = (struct dmarc_identifier){ .domain = ascii,
							  .spf = spf,
							  .undecided = undecided };
}

/* A signature that covers only the start of the body speaks for nobody (THREATS D03). not: RFC 6376 3.6.1 t=y, "as if unsigned":
 * keys are left so for years, and mail that is proved genuine would be refused. */
static size_t identifiers_of(struct arena *a, const struct auth_verdict *v,
			     struct dmarc_identifier list[DMARC_IDENTIFIERS])
{
	size_t n = 0;

	if (v->has_spf && (v->spf.result == SPF_PASS || v->spf.result == SPF_TEMPERROR))
		add_identifier(a, list, &n, v->spf.domain, true, v->spf.result != SPF_PASS);
	for (size_t i = 0; v->has_dkim && i < v->dkim.n; i++) {
		const struct dkim_verdict *d = &v->dkim.list[i];
		if ((d->result == DKIM_PASS && !d->length_limited) || d->result == DKIM_TEMPERROR)
			add_identifier(a, list, &n, d->domain, false, d->result != DKIM_PASS);
	}
	return n;
}

static bool is_listed(str domain, const str *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (dmarc_domain_is_under(domain, list[i]))
			return true;
	return false;
}

/* RFC 9989 7.4 asks for other knowledge before a policy is followed: lists and sealers that the administrator named. */
static void override(struct auth_check *c, const struct dmarc_identifier *list, size_t n,
		     struct auth_verdict *v)
{
	const struct auth_rules *r = c->rules;

	for (size_t i = 0; i < n; i++)
		if (!list[i].undecided &&
		    is_listed(list[i].domain, r->mailing_lists, r->mailing_lists_n)) {
			dmarc_override(&v->dmarc, DMARC_OVERRIDE_MAILING_LIST,
				       str_format(c->a, "it came through the mailing list %.*s",
						  STR_ARG(list[i].domain)));
			return;
		}
	if (v->has_arc && arc_is_trusted(&v->arc, r->trusted_sealers, r->trusted_sealers_n) &&
	    arc_saw_dmarc_pass(c->a, &v->arc, v->dmarc.author))
		dmarc_override(&v->dmarc, DMARC_OVERRIDE_TRUSTED_FORWARDER,
			       str_format(c->a, "the trusted sealer %.*s saw it pass",
					  STR_ARG(v->arc.sets[0].domain)));
}

static void check_dmarc(struct auth_check *c, struct auth_verdict *v)
{
	struct dmarc_identifier list[DMARC_IDENTIFIERS];
	size_t n = identifiers_of(c->a, v, list);

	dmarc_author_find(c->a, c->header, &v->author);
	next_part(c, v->author.domains_n ? v->author.domains[0] : STR_NONE);
	dmarc_check(c->a, c->rules->dns, &v->author, list, n, &v->dmarc);
	v->has_dmarc = true;
	if (v->author.kind == DMARC_AUTHOR_ONE)
		override(c, list, n, v);
}

void auth_check_finish(struct auth_check *c, const struct spf_query *q, struct auth_verdict *out)
{
	const struct auth_rules *r = c->rules;

	*out = (struct auth_verdict){ .has_spf = r->spf, .has_dkim = r->dkim, .has_arc = r->arc };
	if (r->spf) {
		next_part(c, spf_identity_domain(q));
		spf_check(c->a, r->dns, q, &out->spf);
	}
	if (r->dkim) {
		next_part(c, STR_NONE);
		dkim_verifier_finish(c->dkim, r->dns, q->now, &out->dkim);
	}
	if (r->arc) {
		next_part(c, STR_NONE);
		arc_verifier_finish(c->arc, r->dns, q->now, &out->arc);
	}
	if (r->dmarc)
		check_dmarc(c, out);
}

/* --- What we write about it -------------------------------------------------------------------------------------- */

static void put_spf(struct authres_printer *p, const struct spf_query *q,
		    const struct spf_verdict *v)
{
	bool helo = v->identity == SPF_HELO;

	authres_result(p, "spf", spf_result_name(v->result), STR_NONE, v->reason);
	authres_property(p, helo ? "smtp.helo" : "smtp.mailfrom", helo ? v->domain : q->mail_from);
}

static void put_dkim(struct authres_printer *p, const struct dkim_verdicts *list)
{
	if (list->n == 0)
		authres_result(p, "dkim", S("none"), STR_NONE, STR_NONE);
	for (size_t i = 0; i < list->n && i < AUTH_SIGNATURES_SHOWN; i++) {
		const struct dkim_verdict *v = &list->list[i];
		authres_result(p, "dkim", dkim_result_name(v->result), STR_NONE,
			       v->result == DKIM_PASS ? STR_NONE : v->reason);
		authres_property(p, "header.d", v->domain);
		authres_property(p, "header.s", v->selector);
		authres_property(p, "header.a", dkim_algorithm_name(v->algorithm));
		authres_property(p, "header.b", str_slice(v->signature, 0, HEADER_B));
	}
}

static void put_arc(struct authres_printer *p, const struct arc_verdict *v)
{
	authres_result(p, "arc", arc_result_name(v->result), STR_NONE,
		       v->result == ARC_PASS || v->result == ARC_NONE ? STR_NONE : v->reason);
}

static void put_dmarc(struct arena *a, struct authres_printer *p, const struct dmarc_verdict *v)
{
	str comment = STR_NONE;

	if (v->policy_domain.n > 0)
		comment =
		    str_format(a, "%s=%s dis=%s%s", v->policy_tag, dmarc_policy_name(v->policy),
			       dmarc_disposition_name(v->disposition), v->testing ? " t=y" : "");
	authres_result(p, "dmarc", str_cstr(dmarc_result_name(v->result)), comment,
		       v->override.n > 0         ? v->override
		       : v->result == DMARC_PASS ? STR_NONE
						 : v->reason);
	authres_property(p, "header.from", v->author);
	if (v->policy_domain.n > 0)
		authres_property(p, "policy.dmarc", str_cstr(dmarc_policy_name(v->policy)));
}

void auth_put_fields(struct arena *a, struct header_builder *h, str id, const struct spf_query *q,
		     str iprev_result, str client, const struct auth_verdict *v)
{
	struct authres_printer p;

	authres_start(&p, h, id);
	if (iprev_result.n > 0) {
		authres_result(&p, "iprev", iprev_result, STR_NONE, STR_NONE);
		authres_property(&p, "policy.iprev", client);
	}
	if (v->has_spf)
		put_spf(&p, q, &v->spf);
	if (v->has_dkim)
		put_dkim(&p, &v->dkim);
	if (v->has_arc)
		put_arc(&p, &v->arc);
	if (v->has_dmarc)
		put_dmarc(a, &p, &v->dmarc);
	authres_end(&p);
	if (v->has_spf)
		spf_put_received(a, h, q, &v->spf);
}
