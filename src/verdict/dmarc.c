/* The verdict: tree walk, policy, alignment (RFC 9989 4.10, 5.3). Every name is asked once. */
#include "verdict/dmarc.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "text/dns_rdata.h"

struct lookup {
	struct lookup *next;
	str domain; /* without "_dmarc." */
	enum dns_status status;
	bool found; /* exactly one DMARC record */
	bool several;
	struct dmarc_record record; /* when found */
};

struct judge {
	struct arena *a;
	const struct dns_source *dns;
	struct lookup *lookups; /* each name once */
	size_t n;
};

/* The steps of one walk, from the longest name to the shortest. */
struct walk {
	str start;
	const struct lookup *steps[DMARC_WALK];
	size_t n;
	const struct lookup *failed; /* the walk cannot tell: this lookup went wrong */
};

const char *dmarc_result_name(enum dmarc_result r)
{
	static const char *const names[] = { [DMARC_PASS] = "pass",
					     [DMARC_NONE] = "none",
					     [DMARC_TEMPERROR] = "temperror",
					     [DMARC_PERMERROR] = "permerror",
					     [DMARC_FAIL] = "fail" };

	return names[r];
}

const char *dmarc_policy_name(enum dmarc_policy p)
{
	static const char *const names[] = { [DMARC_POLICY_NONE] = "none",
					     [DMARC_POLICY_QUARANTINE] = "quarantine",
					     [DMARC_POLICY_REJECT] = "reject" };

	return names[p];
}

const char *dmarc_disposition_name(enum dmarc_disposition d)
{
	static const char *const names[] = { [DMARC_ACCEPT] = "accept",
					     [DMARC_JUNK] = "junk",
					     [DMARC_DEFER] = "defer",
					     [DMARC_REFUSE] = "refuse" };

	return names[d];
}

bool dmarc_domain_is_under(str name, str domain)
{
	if (str_eq(name, domain))
		return true;
	return name.n > domain.n + 1 && name.p[name.n - domain.n - 1] == '.' &&
	       str_ends_nocase(name, domain);
}

/* --- Lookups --------------------------------------------------------------------------------------------------- */

static void read_answer(struct judge *j, const struct dns_answer *answer, struct lookup *out)
{
	for (size_t i = 0; i < answer->records_n && i < DMARC_TEXTS; i++) {
		struct dmarc_record record;
		str text;
		if (!rdata_txt(j->a, answer->records[i], &text) ||
		    !dmarc_record_parse(text, &record))
			continue;
		out->several = out->found;
		if (out->several)
			break;
		out->found = true;
		out->record = record;
	}
	if (out->several)
		out->found = false; /* RFC 9989 4.10: all are discarded */
}

static const struct lookup *look_up(struct judge *j, str domain)
{
	struct dns_answer answer = { .status = DNS_NXDOMAIN };
	struct lookup *l;
	str name;

	for (l = j->lookups; l; l = l->next)
		if (str_eq(l->domain, domain))
			return l;
	CHECK(j->n++ < DMARC_LOOKUPS); /* by the limits on walks */
	l = arena_new_of(j->a, struct lookup);
	*l = (struct lookup){ .next = j->lookups, .domain = domain };
	j->lookups = l;
	name = str_format(j->a, "_dmarc.%.*s", STR_ARG(domain));
	if (name.n <= RDATA_NAME_TEXT) /* a longer name is in no zone */
		j->dns->query(j->dns->context, j->a, name, DNS_TYPE_TXT, &answer);
	l->status = answer.status;
	if (answer.status == DNS_OK)
		read_answer(j, &answer, l);
	return l;
}

static bool lookup_failed(const struct lookup *l)
{
	return dns_is_trouble(l->status);
}

/* --- The tree walk, RFC 9989 4.10 ------------------------------------------------------------------------------- */

static size_t labels(str domain)
{
	size_t n = domain.n > 0;

	for (size_t i = 0; i < domain.n; i++)
		n += domain.p[i] == '.';
	return n;
}

/* Without its leftmost label; empty when that was the only one. */
static str parent_of(str domain)
{
	size_t dot = str_find(domain, '.');

	return dot == SIZE_MAX ? STR_NONE : str_skip(domain, dot + 1);
}

static str cut_to(str domain, size_t most)
{
	while (labels(domain) > most)
		domain = parent_of(domain);
	return domain;
}

static void walk_tree(struct judge *j, str start, struct walk *w)
{
	str target = start;

	*w = (struct walk){ .start = start };
	while (target.n > 0 && w->n < DMARC_WALK) {
		const struct lookup *l = look_up(j, target);
		w->steps[w->n++] = l;
		if (lookup_failed(l)) {
			w->failed = l;
			return;
		}
		if (l->found && l->record.psd != DMARC_PSD_UNKNOWN)
			return;
		target = w->n == 1 ? cut_to(parent_of(start), DMARC_LABELS) : parent_of(target);
	}
}

/* RFC 9989 4.10.2 */
static str organizational(const struct walk *w)
{
	str shortest = w->start;

	for (size_t i = 0; i < w->n; i++) {
		const struct lookup *l = w->steps[i];
		if (!l->found)
			continue;
		if (l->record.psd == DMARC_PSD_NO)
			return l->domain;
		if (l->record.psd == DMARC_PSD_YES && i > 0)
			return cut_to(w->start, labels(l->domain) + 1);
		shortest = l->domain;
	}
	return shortest;
}

/* RFC 9989 4.10.1: the author's own, its organization's, its public suffix's. */
static const struct lookup *policy_of(const struct walk *w, str organization)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->steps[i]->found && str_eq(w->steps[i]->domain, organization))
			return w->steps[i];
	for (size_t i = 0; i < w->n; i++)
		if (w->steps[i]->found && w->steps[i]->record.psd == DMARC_PSD_YES)
			return w->steps[i];
	return NULL;
}

/* --- Policy ------------------------------------------------------------------------------------------------------ */

/* RFC 8020: NXDOMAIN for any type says that the name does not exist. When nobody knows, it exists. */
static bool exists(struct judge *j, str domain)
{
	struct dns_answer answer = { .status = DNS_NXDOMAIN };

	j->dns->query(j->dns->context, j->a, domain, DNS_TYPE_A, &answer);
	return answer.status != DNS_NXDOMAIN;
}

static void choose_policy(struct judge *j, const struct lookup *l, struct dmarc_verdict *v)
{
	const struct dmarc_record *r = &l->record;

	v->record = *r;
	v->policy_domain = l->domain;
	v->policy_tag = "p";
	v->policy = r->p;
	if (!str_eq(l->domain, v->author)) {
		bool absent = r->np != r->sp && !exists(j, v->author);
		v->policy = absent ? r->np : r->sp;
		v->policy_tag = absent && r->has_np ? "np" : r->has_sp ? "sp" : "p";
	}
	v->testing = r->testing;
	if (r->testing && v->policy != DMARC_POLICY_NONE) /* RFC 9989 4.7: one level below */
		v->policy--;
}

/* --- Alignment, RFC 9989 4.4, 4.10.2 --------------------------------------------------------------------------- */

enum alignment { ALIGNED_NOT, ALIGNED, ALIGNED_UNKNOWN };

/* Is the identifier's organizational domain the author's? It lies above the identifier, so most need no walk. */
static enum alignment in_organization(struct judge *j, str domain, str organization)
{
	struct walk w;

	if (!dmarc_domain_is_under(domain, organization))
		return ALIGNED_NOT;
	walk_tree(j, domain, &w);
	if (w.failed)
		return ALIGNED_UNKNOWN;
	return str_eq(organizational(&w), organization) ? ALIGNED : ALIGNED_NOT;
}

static void pass(struct judge *j, struct dmarc_verdict *v, const struct dmarc_identifier *i)
{
	bool same = str_eq(i->domain, v->author);

	if (v->result != DMARC_PASS)
		v->aligned = i->domain;
	v->result = DMARC_PASS;
	v->disposition = DMARC_ACCEPT;
	if (i->spf)
		v->spf_aligned = true;
	else
		v->dkim_aligned = true;
	v->reason =
	    str_format(j->a, "%s passed for %.*s, which %s the author's domain %.*s",
		       v->dkim_aligned && v->spf_aligned ? "SPF and DKIM"
		       : i->spf                          ? "SPF"
							 : "a DKIM signature",
		       STR_ARG(i->domain), same ? "is" : "belongs to the same organization as",
		       STR_ARG(v->author));
}

static bool was_over_rate(const struct judge *j)
{
	for (const struct lookup *l = j->lookups; l; l = l->next)
		if (l->status == DNS_OVER_RATE)
			return true;
	return false;
}

static void temperror(struct judge *j, struct dmarc_verdict *v, str domain)
{
	v->result = DMARC_TEMPERROR;
	if (v->policy_domain.n > 0 && v->policy != DMARC_POLICY_NONE)
		v->disposition = DMARC_DEFER;
	v->reason = str_format(j->a, "the DMARC record of %.*s could not be looked up just now",
			       STR_ARG(domain));
	if (!was_over_rate(j))
		return;
	/* A forger could bring that about: what it lets in must wait, whatever the policy. */
	v->disposition = DMARC_DEFER;
	v->reason = str_format(j->a, "mail of %.*s takes too many DNS questions a minute",
			       STR_ARG(v->author));
}

/* Could one organization hold both? With the last label in common it could be that. */
static bool may_share(str one, str other)
{
	return str_eq(cut_to(one, 1), cut_to(other, 1));
}

/* Would this identifier tell more, once the organization is known: that the message passes, or that SPF (DKIM) passes too? Reports say
 * for each of them whether it was aligned (RFC 9990 3.1), failure reports are asked for by it (fo=1). */
static bool is_open(const struct dmarc_identifier *i, const struct dmarc_verdict *v)
{
	if (i->undecided && v->result == DMARC_PASS)
		return false;
	if (str_eq(i->domain, v->author))
		return i->undecided;
	if (i->spf ? v->record.strict_spf : v->record.strict_dkim)
		return false;
	return !(i->spf ? v->spf_aligned : v->dkim_aligned) && may_share(i->domain, v->author);
}

/* The identifiers that are the author's domain itself need no walk; false when no other could add to what they say. */
static bool align_same(struct judge *j, const struct dmarc_identifier *list, size_t n,
		       struct dmarc_verdict *v)
{
	bool walk = false;

	for (size_t i = 0; i < n; i++)
		if (!list[i].undecided && str_eq(list[i].domain, v->author))
			pass(j, v, &list[i]);
	for (size_t i = 0; i < n; i++)
		walk |= is_open(&list[i], v);
	return walk;
}

static enum alignment align_one(struct judge *j, const struct dmarc_identifier *i,
				const struct dmarc_verdict *v)
{
	bool strict = i->spf ? v->record.strict_spf : v->record.strict_dkim;

	if (str_eq(i->domain, v->author))
		return ALIGNED;
	return strict ? ALIGNED_NOT : in_organization(j, i->domain, v->organizational);
}

/* What failed only because somebody's DNS did not answer is not known to have failed (RFC 9989 5.3.6). */
static void undecided(struct judge *j, const struct dmarc_identifier *i, struct dmarc_verdict *v)
{
	if (v->result != DMARC_NONE)
		return;
	v->result = DMARC_TEMPERROR;
	v->disposition = v->policy == DMARC_POLICY_NONE ? DMARC_ACCEPT : DMARC_DEFER;
	v->reason =
	    str_format(j->a,
		       "%s for %.*s could not be checked just now, and nothing else speaks for "
		       "the author's domain %.*s",
		       i->spf ? "SPF" : "a DKIM signature", STR_ARG(i->domain), STR_ARG(v->author));
}

static void align_all(struct judge *j, const struct dmarc_identifier *list, size_t n,
		      struct dmarc_verdict *v)
{
	for (size_t i = 0; i < n; i++) {
		enum alignment in = align_one(j, &list[i], v);
		if (in == ALIGNED && !list[i].undecided)
			pass(j, v, &list[i]);
	}
	for (size_t i = 0; i < n && v->result == DMARC_NONE; i++) {
		enum alignment in = align_one(j, &list[i], v);
		if (in == ALIGNED_UNKNOWN || (in == ALIGNED && list[i].undecided))
			undecided(j, &list[i], v);
	}
}

static str passed_domains(struct judge *j, const struct dmarc_identifier *list, size_t n)
{
	struct buf *out = buf_new(j->a, 4096);

	for (size_t i = 0; i < n; i++)
		if (!list[i].undecided)
			buf_printf(out, "%s%s for %.*s", out->n ? ", " : "",
				   list[i].spf ? "SPF" : "DKIM", STR_ARG(list[i].domain));
	return out->n ? buf_str(out) : S("nothing");
}

static void fail_by_policy(struct judge *j, const struct dmarc_identifier *list, size_t n,
			   struct dmarc_verdict *v)
{
	v->result = DMARC_FAIL;
	v->disposition = v->policy == DMARC_POLICY_REJECT       ? DMARC_REFUSE
			 : v->policy == DMARC_POLICY_QUARANTINE ? DMARC_JUNK
								: DMARC_ACCEPT;
	v->reason = str_format(
	    j->a,
	    "neither SPF nor DKIM vouches for the author's domain %.*s (passed: %.*s); %.*s asks for \"%s\"%s",
	    STR_ARG(v->author), STR_ARG(passed_domains(j, list, n)), STR_ARG(v->policy_domain),
	    dmarc_policy_name(v->policy), v->testing ? ", while it tests its policy" : "");
}

/* --- The whole --------------------------------------------------------------------------------------------------- */

static void check_domain(struct judge *j, const struct dmarc_identifier *list, size_t n,
			 struct dmarc_verdict *v)
{
	const struct lookup *own = look_up(j, v->author), *policy;
	struct walk w;

	v->result = DMARC_NONE;
	if (own->found && !own->record.inapplicable) {
		choose_policy(j, own, v);
		if (!align_same(j, list, n, v)) {
			if (v->result != DMARC_PASS)
				fail_by_policy(j, list, n, v);
			return;
		}
	}
	walk_tree(j, v->author, &w);
	if (w.failed) {
		if (v->result != DMARC_PASS)
			temperror(j, v, w.failed->domain);
		return;
	}
	v->organizational = organizational(&w);
	policy = own->found ? own : policy_of(&w, v->organizational);
	if (!policy || policy->record.inapplicable) {
		v->reason = str_format(j->a,
				       policy ? "the DMARC record for %.*s has no policy"
					      : "%.*s publishes no DMARC policy",
				       STR_ARG(v->author));
		return;
	}
	choose_policy(j, policy, v);
	align_all(j, list, n, v);
	if (v->result == DMARC_NONE)
		fail_by_policy(j, list, n, v);
}

static void judge_author(const struct dmarc_author *author, struct dmarc_verdict *v)
{
	static const struct {
		enum dmarc_result result;
		enum dmarc_disposition disposition;
		const char *reason;
	} rows[] = {
		[DMARC_AUTHOR_ABSENT] = { DMARC_PERMERROR, DMARC_REFUSE,
					  "the message has no From field" },
		[DMARC_AUTHOR_FIELDS] = { DMARC_PERMERROR, DMARC_REFUSE,
					  "the message has more than one From field" },
		[DMARC_AUTHOR_EMPTY] = { DMARC_PERMERROR, DMARC_JUNK,
					 "there is no address in the From field" },
		[DMARC_AUTHOR_NO_DOMAIN] = { DMARC_PERMERROR, DMARC_JUNK,
					     "an address in the From field has no domain" },
		[DMARC_AUTHOR_LITERAL] = { DMARC_NONE, DMARC_ACCEPT,
					   "the author's address is in nobody's domain" },
		[DMARC_AUTHOR_BAD_DOMAIN] = { DMARC_PERMERROR, DMARC_REFUSE,
					      "the author's domain is not a domain name" },
		[DMARC_AUTHOR_BROKEN] = { DMARC_PERMERROR, DMARC_REFUSE,
					  "the From field is not a list of addresses" },
		[DMARC_AUTHOR_TOO_MANY] = { DMARC_PERMERROR, DMARC_REFUSE,
					    "the From field names too many domains" },
	};

	v->result = rows[author->kind].result;
	v->disposition = rows[author->kind].disposition;
	v->reason = str_cstr(rows[author->kind].reason);
}

static void check_several(struct judge *j, const struct dmarc_author *author,
			  const struct dmarc_identifier *list, size_t n, struct dmarc_verdict *out)
{
	for (size_t i = 0; i < author->domains_n; i++) {
		struct dmarc_verdict v = { .author = author->domains[i] };
		enum dmarc_disposition worst = out->disposition;
		check_domain(j, list, n, &v);
		if (i == 0 || v.result > out->result)
			*out = v;
		if (i > 0 && worst > out->disposition)
			out->disposition = worst;
		if (v.disposition > out->disposition)
			out->disposition = v.disposition;
	}
	if (author->kind == DMARC_AUTHOR_SEVERAL && out->result != DMARC_PASS &&
	    out->disposition < DMARC_JUNK)
		out->disposition = DMARC_JUNK;
}

void dmarc_check(struct arena *a, const struct dns_source *dns, const struct dmarc_author *author,
		 const struct dmarc_identifier *identifiers, size_t n, struct dmarc_verdict *out)
{
	struct judge j = { .a = a, .dns = dns };

	*out = (struct dmarc_verdict){ .policy_tag = "" };
	if (author->kind != DMARC_AUTHOR_ONE && author->kind != DMARC_AUTHOR_SEVERAL) {
		judge_author(author, out);
		return;
	}
	if (n > DMARC_IDENTIFIERS)
		n = DMARC_IDENTIFIERS;
	check_several(&j, author, identifiers, n, out);
}

void dmarc_override(struct dmarc_verdict *v, enum dmarc_override_kind kind, str reason)
{
	if (v->result != DMARC_FAIL)
		return;
	v->disposition = DMARC_ACCEPT;
	v->override = reason;
	v->override_kind = kind;
}

bool dmarc_organization(struct arena *a, const struct dns_source *dns, str domain, str *out)
{
	struct judge j = { .a = a, .dns = dns };
	struct walk w;

	walk_tree(&j, domain, &w);
	if (w.failed)
		return false;
	*out = organizational(&w);
	return true;
}
