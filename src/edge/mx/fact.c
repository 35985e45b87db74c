#include "edge/mx/fact.h"

#include "base/arena.h"
#include "base/chars.h"
#include "base/env.h"
#include "report/aggregate.h"
#include "text/address.h"
#include "text/header.h"

/* Printable ASCII of at most max bytes: what strangers chose ends in XML and in a header. */
static str plain(struct arena *a, str text, size_t max)
{
	size_t n = text.n < max ? text.n : max;
	u8 *out = arena_alloc(a, n);

	for (size_t i = 0; i < n; i++)
		out[i] = text.p[i] > ' ' && text.p[i] < 0x7F ? text.p[i] : '?';
	return str_from(out, n);
}

static str sentence(struct arena *a, str text)
{
	size_t n = text.n < FACT_TEXT ? text.n : FACT_TEXT;
	u8 *out = arena_alloc(a, n);

	for (size_t i = 0; i < n; i++)
		out[i] = text.p[i] >= ' ' && text.p[i] < 0x7F ? text.p[i] : '?';
	return str_from(out, n);
}

static str domain_of(struct arena *a, str address)
{
	size_t at = str_find_last(address, '@');
	str domain = at == SIZE_MAX ? address : str_skip(address, at + 1), ascii;

	if (domain_to_ascii(a, domain, &ascii) == NULL)
		domain = ascii;
	return plain(a, str_lower(a, domain), FACT_DOMAIN);
}

/* --- What was published ------------------------------------------------------------------------------------------ */

static void take_uris(struct arena *a, const str *uris, size_t n, const str **out, size_t *out_n)
{
	str *list = arena_array_of(a, FACT_URIS, str);

	*out = list;
	*out_n = 0;
	for (size_t i = 0; i < n && *out_n < FACT_URIS; i++)
		if (uris[i].n <= FACT_URI)
			list[(*out_n)++] = plain(a, uris[i], FACT_URI);
}

static void take_published(struct arena *a, const struct dmarc_verdict *v,
			   struct dmarc_published *out)
{
	const struct dmarc_record *r = &v->record;

	*out = (struct dmarc_published){ .domain = plain(a, v->policy_domain, FACT_DOMAIN),
					 .p = (u8)r->p,
					 .sp = (u8)r->sp,
					 .np = (u8)r->np,
					 .strict_dkim = r->strict_dkim,
					 .strict_spf = r->strict_spf,
					 .testing = r->testing,
					 .fo = (u8)r->fo };
	take_uris(a, r->rua, r->rua_n, &out->rua, &out->rua_n);
}

/* --- What was done ------------------------------------------------------------------------------------------------ */

static enum aggregate_disposition action_of(enum dmarc_policy p)
{
	return p == DMARC_POLICY_REJECT       ? AGGREGATE_REJECT
	       : p == DMARC_POLICY_QUARANTINE ? AGGREGATE_QUARANTINE
					      : AGGREGATE_NONE;
}

static enum aggregate_disposition disposition_of(const struct config *c,
						 const struct dmarc_verdict *v)
{
	if (v->result == DMARC_PASS)
		return v->policy == DMARC_POLICY_NONE ? AGGREGATE_NONE : AGGREGATE_PASS;
	if (v->disposition == DMARC_REFUSE)
		return c->auth_dmarc_reject ? AGGREGATE_REJECT : AGGREGATE_QUARANTINE;
	return v->disposition == DMARC_JUNK ? AGGREGATE_QUARANTINE : AGGREGATE_NONE;
}

/* The policy before t=y took a step off it (RFC 9989 4.7). */
static bool testing_mattered(const struct dmarc_verdict *v)
{
	enum dmarc_policy published = v->policy_tag[0] == 's'   ? v->record.sp
				      : v->policy_tag[0] == 'n' ? v->record.np
								: v->record.p;

	return v->testing && published != DMARC_POLICY_NONE;
}

/* RFC 9990 3.1.1.9: when what was done is not what was asked for, the reason must be said. AGGREGATE_OTHER: there is none to give. */
static enum aggregate_override reason_of(const struct dmarc_verdict *v,
					 enum aggregate_disposition done)
{
	if (v->result == DMARC_PASS)
		return AGGREGATE_OTHER;
	if (v->override_kind == DMARC_OVERRIDE_MAILING_LIST)
		return AGGREGATE_MAILING_LIST;
	if (v->override_kind == DMARC_OVERRIDE_TRUSTED_FORWARDER)
		return AGGREGATE_TRUSTED_FORWARDER;
	if (action_of(v->policy) != done)
		return AGGREGATE_LOCAL_POLICY;
	return testing_mattered(v) ? AGGREGATE_POLICY_TEST_MODE : AGGREGATE_OTHER;
}

/* --- What was found ------------------------------------------------------------------------------------------------ */

/* RFC 9990 3.2: those that pass for the author's own domain first, those that do not pass last. */
static unsigned rank(const struct dkim_verdict *v, str author)
{
	if (v->result != DKIM_PASS)
		return 3;
	if (str_eq(v->domain, author))
		return 0;
	return dmarc_domain_is_under(v->domain, author) || dmarc_domain_is_under(author, v->domain)
		   ? 1
		   : 2;
}

static void take_signatures(struct arena *a, const struct auth_verdict *v, struct dmarc_row *row)
{
	struct dmarc_signature *list = arena_array_of(a, FACT_SIGNATURES, struct dmarc_signature);

	row->signatures = list;
	for (unsigned r = 0; r < 4; r++) {
		for (size_t i = 0; i < v->dkim.n && row->signatures_n < FACT_SIGNATURES; i++) {
			const struct dkim_verdict *d = &v->dkim.list[i];
			if (d->domain.n == 0 || d->selector.n == 0 || rank(d, v->dmarc.author) != r)
				continue;
			list[row->signatures_n++] = (struct dmarc_signature){
				.domain = domain_of(a, d->domain),
				.selector = plain(a, d->selector, FACT_SELECTOR),
				.result = (u8)d->result,
			};
		}
	}
}

static void take_row(struct arena *a, const struct fact_view *x, struct dmarc_row *out)
{
	const struct auth_verdict *v = x->verdict;
	enum aggregate_disposition done = disposition_of(x->config, &v->dmarc);
	enum aggregate_override reason = reason_of(&v->dmarc, done);

	*out = (struct dmarc_row){
		.source = str_copy(a, x->client.address),
		.header_from = domain_of(a, v->dmarc.author),
		.envelope_from = domain_of(a, x->transaction->sender),
		.disposition = (u8)done,
		.dkim_aligned = v->dmarc.dkim_aligned,
		.spf_aligned = v->dmarc.spf_aligned,
		.reason = (u8)reason,
		.comment = reason == AGGREGATE_OTHER ? STR_NONE : sentence(a, v->dmarc.override),
		.has_spf = v->has_spf,
		.spf_domain = v->has_spf ? domain_of(a, v->spf.domain) : STR_NONE,
		.spf_result = (u8)(v->has_spf ? v->spf.result : SPF_NONE),
		.count = 1,
	};
	if (v->has_dkim)
		take_signatures(a, v, out);
}

/* --- Failure reports, RFC 9991 -------------------------------------------------------------------------------------- */

static bool any_dkim_failed(const struct auth_verdict *v)
{
	for (size_t i = 0; v->has_dkim && i < v->dkim.n; i++)
		if (v->dkim.list[i].result == DKIM_FAIL)
			return true;
	return false;
}

/* fo=, RFC 9989 4.7. */
static bool is_asked_for(const struct auth_verdict *v)
{
	const struct dmarc_verdict *d = &v->dmarc;
	unsigned fo = d->record.fo;

	return ((fo & DMARC_FO_ALL) && d->result == DMARC_FAIL) ||
	       ((fo & DMARC_FO_ANY) && (!d->dkim_aligned || !d->spf_aligned)) ||
	       ((fo & DMARC_FO_DKIM) && any_dkim_failed(v)) ||
	       ((fo & DMARC_FO_SPF) && v->has_spf && v->spf.result == SPF_FAIL);
}

/* Nothing is reported about a report, a bounce or an answering machine, or two of them would talk for ever. */
static bool is_automatic(const struct fact_view *x)
{
	struct header_field f;

	if (x->transaction->sender.n == 0)
		return true;
	if (header_find(x->header, S("Content-Type"), 0, &f) &&
	    str_starts_nocase(str_trim(f.value), S("multipart/report")))
		return true;
	return header_find(x->header, S("Auto-Submitted"), 0, &f) &&
	       !str_eq_nocase(str_trim(f.value), S("no"));
}

/* Whole fields, as many as fit. */
static str take_header(struct arena *a, str header)
{
	struct header_field f;
	str rest = header;
	size_t n = 0;

	while (header_next(&rest, &f) && n + f.raw.n <= FACT_HEADER)
		n += f.raw.n;
	return str_copy(a, str_slice(header, 0, n));
}

/* The signature to blame: the first of the author's own that failed (RFC 9991 4). */
static void take_signature(struct arena *a, const struct auth_verdict *v, struct dmarc_failure *out)
{
	for (size_t i = 0; v->has_dkim && i < v->dkim.n; i++) {
		const struct dkim_verdict *d = &v->dkim.list[i];
		if (d->result == DKIM_PASS || !dmarc_domain_is_under(v->dmarc.author, d->domain))
			continue;
		out->dkim_domain = domain_of(a, d->domain);
		out->dkim_selector = plain(a, d->selector, FACT_SELECTOR);
		out->dkim_identity = plain(a, d->auid, FACT_TEXT);
		return;
	}
}

static void take_failure(struct arena *a, const struct fact_view *x, struct dmarc_fact *out)
{
	const struct dmarc_record *r = &x->verdict->dmarc.record;
	struct dmarc_failure *failure;
	struct header_field f = { .value = STR_NONE };

	if (!x->config->dmarc_failure_reports || r->ruf_n == 0 || r->psd == DMARC_PSD_YES ||
	    !is_asked_for(x->verdict) || is_automatic(x))
		return;
	take_uris(a, r->ruf, r->ruf_n, &out->published.ruf, &out->published.ruf_n);
	if (out->published.ruf_n == 0)
		return;
	failure = arena_new_of(a, struct dmarc_failure);
	header_find(x->results, S("Authentication-Results"), 0, &f);
	*failure = (struct dmarc_failure){
		.time = env_now(env_system()),
		.message = x->message,
		.port = x->client.port,
		.mail_from = plain(a, x->transaction->sender, FACT_TEXT),
		.results = header_unfold(a, f.value),
		.spf_record = x->verdict->has_spf ? sentence(a, x->verdict->spf.record) : STR_NONE,
		.header = take_header(a, x->header),
	};
	take_signature(a, x->verdict, failure);
	out->failures = failure;
	out->failures_n = 1;
}

/* --- The whole ------------------------------------------------------------------------------------------------------ */

static bool is_ours_alone(const struct fact_view *x)
{
	const struct transaction *t = x->transaction;

	for (size_t i = 0; i < t->recipients_n; i++)
		if (!str_eq_nocase(t->recipients[i].address, x->config->dmarc_report_from))
			return false;
	return true;
}

/* RFC 9990 3.6.2.1: a genuine report, by the subject that it must have. */
static bool is_report(const struct fact_view *x)
{
	struct header_field f;

	return x->verdict->dmarc.result == DMARC_PASS &&
	       header_find(x->header, S("Subject"), 0, &f) &&
	       str_starts_nocase(str_trim(f.value), S("Report Domain:"));
}

bool fact_make(struct arena *a, const struct fact_view *x, struct dmarc_fact *out)
{
	const struct auth_verdict *v = x->verdict;

	*out = (struct dmarc_fact){ 0 };
	if (x->config->dmarc_report_from.n == 0 || !v->has_dmarc || v->dmarc.policy_domain.n == 0 ||
	    v->dmarc.disposition == DMARC_DEFER || x->put_off || is_ours_alone(x) || is_report(x))
		return false;
	take_published(a, &v->dmarc, &out->published);
	take_row(a, x, &out->row);
	take_failure(a, x, out);
	return out->published.rua_n > 0 || out->failures_n > 0;
}
