/* Facts as an edge sends them: are they what they should be? */
#include "base/chars.h"
#include "office/report/outgoing.h"
#include "report/aggregate.h"
#include "verdict/dkim.h"
#include "verdict/dmarc.h"
#include "verdict/spf.h"

static bool is_text(str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < ' ' || s.p[i] > '~')
			return false;
	return s.n <= OUTGOING_TEXT;
}

static bool is_word(str s)
{
	return is_text(s) && !str_has(s, ' ');
}

/* It becomes part of a file name and of names that are looked up. */
static bool is_domain(str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!char_is(s.p[i], CHAR_LDH) && s.p[i] != '.' && s.p[i] != '_')
			return false;
	return s.n > 0 && s.n <= 253;
}

static bool are_words(const str *list, size_t n)
{
	if (n > OUTGOING_URIS)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!is_word(list[i]) || list[i].n == 0)
			return false;
	return true;
}

static bool is_published(const struct dmarc_published *p)
{
	unsigned fo = DMARC_FO_ALL | DMARC_FO_ANY | DMARC_FO_DKIM | DMARC_FO_SPF;

	return is_domain(p->domain) && p->p <= DMARC_POLICY_REJECT &&
	       p->sp <= DMARC_POLICY_REJECT && p->np <= DMARC_POLICY_REJECT && p->fo <= fo &&
	       are_words(p->rua, p->rua_n) && are_words(p->ruf, p->ruf_n);
}

static bool is_row(const struct dmarc_row *r)
{
	if (r->signatures_n > OUTGOING_SIGNATURES)
		return false;
	for (size_t i = 0; i < r->signatures_n; i++) {
		const struct dmarc_signature *s = &r->signatures[i];
		if (!is_word(s->domain) || !is_word(s->selector) || s->domain.n == 0 ||
		    s->selector.n == 0 || s->result > DKIM_PERMERROR)
			return false;
	}
	return r->signatures_n <= OUTGOING_SIGNATURES && (r->source.n == 4 || r->source.n == 16) &&
	       is_domain(r->header_from) && is_word(r->envelope_from) &&
	       r->disposition <= AGGREGATE_REJECT && r->reason <= AGGREGATE_TRUSTED_FORWARDER &&
	       is_text(r->comment) && is_word(r->spf_domain) && r->spf_result <= SPF_PERMERROR &&
	       r->count == 1;
}

static bool is_failure(const struct dmarc_failure *f)
{
	return is_word(f->mail_from) && is_text(f->spf_record) && is_word(f->dkim_domain) &&
	       is_word(f->dkim_selector) && is_word(f->dkim_identity) && f->port <= UINT16_MAX &&
	       f->results.n <= OUTGOING_HEADER && f->header.n <= OUTGOING_HEADER;
}

const struct fail *outgoing_check(struct arena *a, const struct dmarc_fact *facts, size_t n)
{
	static const struct fail bad = FAIL_STATIC(INVALID, "not what DMARC finds out");

	if (n > OUTGOING_FACTS)
		return &bad;
	for (size_t i = 0; i < n; i++) {
		const struct dmarc_fact *f = &facts[i];
		if (!is_published(&f->published) || !is_row(&f->row) || f->failures_n > 1 ||
		    (f->failures_n && !is_failure(f->failures)))
			return &bad;
	}
	return arena_check(a);
}
