/*
 * check_host() of RFC 7208 4. A record is a frame: include puts a frame on top, redirect takes the place of its own. Each of them is
 * one of the ten terms, so the stack has a frame more than that and there is no recursion (THREATS D08).
 */
#include "verdict/spf.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "text/address.h"
#include "verdict/spf_int.h"

enum { SHOWN_TERM = 100, SHOWN_RECORD = 500 };

static const char *const result_names[] = {
	[SPF_NONE] = "none",           [SPF_NEUTRAL] = "neutral",   [SPF_PASS] = "pass",
	[SPF_FAIL] = "fail",           [SPF_SOFTFAIL] = "softfail", [SPF_TEMPERROR] = "temperror",
	[SPF_PERMERROR] = "permerror",
};

str spf_result_name(enum spf_result result)
{
	return str_cstr(result_names[result]);
}

str spf_identity_name(enum spf_identity identity)
{
	return identity == SPF_HELO ? S("helo") : S("mailfrom");
}

str spf_printable(struct arena *a, str text, size_t max)
{
	struct buf *b = buf_new(a, max);

	text = str_slice(text, 0, max);
	for (size_t i = 0; i < text.n; i++)
		buf_add_byte(b,
			     char_is(text.p[i], CHAR_VCHAR) || text.p[i] == ' ' ? text.p[i] : '?');
	return buf_str(b);
}

/* What an evaluation step says: go on, or a result of the frame on top. */
struct step {
	bool done;
	enum spf_result result;
};

static const struct step go_on = { false, SPF_NEUTRAL };

static struct step end(enum spf_result result)
{
	return (struct step){ true, result };
}

static struct step end_because(struct spf_run *r, enum spf_result result, str reason)
{
	r->verdict->reason = reason;
	return end(result);
}

static struct spf_frame *top(struct spf_run *r)
{
	return &r->frames[r->depth - 1];
}

/* --- The record of a domain ------------------------------------------------------------------------------- */

size_t spf_record_select(struct arena *a, const struct dns_answer *answer, str *out)
{
	size_t n = 0;
	str text;

	for (size_t i = 0; i < answer->records_n; i++) {
		if (!rdata_txt(a, answer->records[i], &text) || !spf_record_is(text))
			continue;
		*out = text;
		n++;
	}
	return n;
}

static struct step read_record(struct spf_run *r, struct spf_frame *f, str text)
{
	f->record = spf_record_read(text);
	if (f->record.broken == NULL)
		return go_on;
	return end_because(r, SPF_PERMERROR,
			   str_format(r->arena,
				      "the SPF record of %.*s cannot be used: %s, at \"%.*s\"",
				      STR_ARG(f->domain), f->record.broken,
				      STR_ARG(spf_printable(r->arena, f->record.bad, SHOWN_TERM))));
}

/* RFC 7208 4.4. f->domain is a possible name. */
static struct step fetch_record(struct spf_run *r, struct spf_frame *f)
{
	str domain = f->domain, text = STR_NONE;
	struct dns_answer answer;
	size_t n;
	bool over;

	answer = spf_ask(r, domain, DNS_TYPE_TXT, &over);
	if (over)
		return end_because(r, SPF_PERMERROR, S("it takes too many DNS questions"));
	if (answer.status == DNS_OVER_RATE)
		return end_because(r, SPF_TEMPERROR,
				   str_format(r->arena,
					      "mail of %.*s takes too many DNS questions a minute",
					      STR_ARG(r->domain)));
	if (dns_is_trouble(answer.status))
		return end_because(
		    r, SPF_TEMPERROR,
		    str_format(r->arena, "DNS does not answer for %.*s", STR_ARG(domain)));
	n = spf_record_select(r->arena, &answer, &text);
	if (n == 1 && f == &r->frames[0] && r->verdict->record.n == 0)
		r->verdict->record = spf_printable(r->arena, text, SHOWN_RECORD);
	if (n == 0)
		return end_because(r, SPF_NONE,
				   str_format(r->arena, "%.*s has no SPF record", STR_ARG(domain)));
	if (n > 1)
		return end_because(
		    r, SPF_PERMERROR,
		    str_format(r->arena, "%.*s has more than one SPF record", STR_ARG(domain)));
	return read_record(r, f, text);
}

/* --- Evaluation ------------------------------------------------------------------------------------------- */

/* No sender has a network of this size to itself: the largest that share one have a /14 and a /32. */
static bool names_huge_set(const struct spf_run *r, const struct spf_term *t)
{
	bool network = t->kind == SPF_TERM_A || t->kind == SPF_TERM_MX || t->kind == SPF_TERM_IP4 ||
		       t->kind == SPF_TERM_IP6;
	bool wide =
	    r->client.family == ADDRESS_IPV4 ? t->prefix4 < SPF_HUGE4 : t->prefix6 < SPF_HUGE6;

	return t->kind == SPF_TERM_ALL || (network && wide);
}

static struct step frame_match(struct spf_run *r, const struct spf_frame *f,
			       const struct spf_term *t)
{
	if (r->depth == 1)
		r->verdict->mechanism = spf_printable(r->arena, t->text, SHOWN_TERM);
	/* The innermost record that matched is the best reason; what includes it adds nothing. */
	if (t->kind != SPF_TERM_INCLUDE) {
		r->verdict->huge = names_huge_set(r, t);
		r->verdict->reason =
		    str_format(r->arena, "\"%.*s\" in the SPF record of %.*s matches %.*s",
			       STR_ARG(spf_printable(r->arena, t->text, SHOWN_TERM)),
			       STR_ARG(f->domain), STR_ARG(spf_address_text(r->arena, &r->client)));
	}
	return end(t->match);
}

/* A name to go to, by include or redirect: needs two labels (RFC 7208 4.3). */
static struct step target_of(struct spf_run *r, const struct spf_frame *f, str spec, str term,
			     str *out)
{
	if (!spf_count_term(r))
		return end_because(r, SPF_PERMERROR,
				   str_format(r->arena, "too many terms that ask DNS: %.*s",
					      STR_ARG(spf_printable(r->arena, term, SHOWN_TERM))));
	if (spf_macro_target(r, f->domain, spec, out) && str_has(*out, '.')) {
		*out = str_lower(r->arena, *out);
		return go_on;
	}
	return end_because(r, SPF_PERMERROR,
			   str_format(r->arena, "\"%.*s\" does not lead to a domain",
				      STR_ARG(spf_printable(r->arena, term, SHOWN_TERM))));
}

static struct step go_down(struct spf_run *r, struct spf_frame *f)
{
	struct spf_frame next = { 0 };
	struct step s = target_of(r, f, f->term.spec, f->term.text, &next.domain);

	if (s.done)
		return s;
	CHECK(r->depth < ARRAY_LEN(r->frames)); /* the count of terms has seen to it */
	r->frames[r->depth++] = next;
	return fetch_record(r, top(r));
}

static struct step evaluate_term(struct spf_run *r, struct spf_frame *f)
{
	const struct spf_term *t = &f->term;

	if (t->kind >= SPF_TERM_REDIRECT)
		return go_on;
	if (t->kind == SPF_TERM_ALL)
		return frame_match(r, f, t);
	if (t->kind == SPF_TERM_INCLUDE)
		return go_down(r, f);
	switch (spf_match(r, f->domain, t)) {
	case SPF_MATCH_YES:
		return frame_match(r, f, t);
	case SPF_MATCH_TEMPERROR:
		return end(SPF_TEMPERROR);
	case SPF_MATCH_PERMERROR:
		return end(SPF_PERMERROR);
	case SPF_MATCH_NO:
		break;
	}
	return go_on;
}

/* RFC 7208 6.1, 4.7: nothing matched. */
static struct step end_of_record(struct spf_run *r, struct spf_frame *f)
{
	struct spf_frame next = { .redirected = true };
	struct step s;

	if (f->record.redirect.n && !f->record.all) {
		s = target_of(r, f, f->record.redirect, f->record.redirect_term, &next.domain);
		if (s.done)
			return s;
		*f = next;
		return fetch_record(r, f);
	}
	if (r->depth == 1)
		r->verdict->mechanism = S("default");
	return end_because(r, SPF_NEUTRAL,
			   str_format(r->arena, "nothing in the SPF record of %.*s matches %.*s",
				      STR_ARG(f->domain),
				      STR_ARG(spf_address_text(r->arena, &r->client))));
}

static struct step evaluate(struct spf_run *r)
{
	struct spf_frame *f = top(r);
	bool good;

	if (arena_check(r->arena))
		return end_because(r, SPF_TEMPERROR, S("not enough memory for its DNS answers"));
	if (!spf_term_next(&f->record.terms, &f->term, &good))
		return end_of_record(r, f);
	return evaluate_term(r, f);
}

/* RFC 7208 5.2: what the result of an included record means for the record below. r->depth is the one below. */
static struct step come_up(struct spf_run *r, enum spf_result result)
{
	struct spf_frame *f = top(r);

	switch (result) {
	case SPF_PASS:
		return frame_match(r, f, &f->term);
	case SPF_FAIL:
	case SPF_SOFTFAIL:
	case SPF_NEUTRAL:
		return go_on;
	case SPF_NONE:
	case SPF_TEMPERROR:
	case SPF_PERMERROR:
		break;
	}
	return end(result == SPF_TEMPERROR ? SPF_TEMPERROR : SPF_PERMERROR);
}

/* From the first record, just fetched, to the result of the lowest frame. */
static enum spf_result run(struct spf_run *r, struct step s)
{
	for (;;) {
		while (!s.done)
			s = evaluate(r);
		if (s.result == SPF_NONE && top(r)->redirected)
			s.result = SPF_PERMERROR;
		if (r->depth == 1)
			return s.result;
		r->depth--;
		s = come_up(r, s.result);
	}
}

/* --- Explanation ------------------------------------------------------------------------------------------ */

/* RFC 7208 6.2: exp= of the record that gave the result, never of an included one. Any trouble: there is none. */
static void explain(struct spf_run *r)
{
	const struct spf_frame *f = &r->frames[0];
	struct dns_answer answer;
	str name, text;
	bool over;

	if (f->record.exp.n == 0 || !spf_macro_target(r, f->domain, f->record.exp, &name))
		return;
	answer = spf_ask(r, name, DNS_TYPE_TXT, &over);
	if (answer.records_n != 1 || !rdata_txt(r->arena, answer.records[0], &text) ||
	    !spf_macro_valid(text, SPF_MACRO_EXPLAIN) ||
	    !spf_macro_expand(r, f->domain, text, &text))
		return;
	r->verdict->explanation = spf_printable(r->arena, text, SPF_EXPLANATION);
}

/* --- The two identities ----------------------------------------------------------------------------------- */

/* ::ffff:192.0.2.1 is 192.0.2.1 (RFC 7208 5). */
static struct dns_address unmap(const struct dns_address *c)
{
	struct dns_address four = { .family = ADDRESS_IPV4 };

	for (size_t i = 0; i < 12; i++)
		if (c->family != ADDRESS_IPV6 || c->bytes[i] != (i < 10 ? 0 : 0xFF))
			return *c;
	for (size_t i = 0; i < 4; i++)
		four.bytes[i] = c->bytes[12 + i];
	return four;
}

/* RFC 7208 4.3: letters, digits, '-', '_' in labels, at least two of them; U-labels become A-labels. */
static bool domain_to_check(struct arena *a, str domain, str *out)
{
	bool last_dot = domain.n > 1 && domain.p[domain.n - 1] == '.';

	if (!str_is_ascii(domain) && domain_to_ascii(a, domain, &domain) != NULL)
		return false;
	*out = str_lower(a, last_dot ? str_slice(domain, 0, domain.n - 1) : domain);
	if (!spf_name_is_possible(*out) || !str_has(*out, '.'))
		return false;
	for (size_t i = 0; i < out->n; i++)
		if (!char_is(out->p[i], CHAR_LDH) && out->p[i] != '_' && out->p[i] != '.')
			return false;
	return true;
}

static void check(struct arena *a, const struct dns_source *source, const struct spf_query *q,
		  struct spf_verdict *out, str local, str domain)
{
	struct spf_run *r = arena_new_of(a, struct spf_run);

	*r = (struct spf_run){ .arena = a, .source = source, .query = q, .verdict = out };
	r->client = unmap(&q->client);
	r->local = local.n ? str_slice(local, 0, SPF_LOCAL) : S("postmaster"); /* RFC 7208 4.3 */
	out->domain = spf_printable(a, domain, RDATA_NAME_TEXT);
	if (!domain_to_check(a, domain, &r->domain)) {
		out->reason =
		    str_format(a, "\"%.*s\" is no domain name that could have an SPF record",
			       STR_ARG(out->domain));
		return;
	}
	out->domain = r->domain;
	out->lookups = r->lookups;
	r->frames[0].domain = r->domain;
	r->depth = 1;
	out->result = run(r, fetch_record(r, &r->frames[0]));
	if (out->result == SPF_FAIL)
		explain(r);
}

void spf_check_helo(struct arena *a, const struct dns_source *source, const struct spf_query *q,
		    struct spf_verdict *out)
{
	*out = (struct spf_verdict){ .result = SPF_NONE, .identity = SPF_HELO };
	check(a, source, q, out, S("postmaster"), q->helo);
}

str spf_identity_domain(const struct spf_query *q)
{
	size_t at = str_find_last(q->mail_from, '@');

	if (q->mail_from.n == 0)
		return q->helo;
	return at == SIZE_MAX ? q->mail_from : str_skip(q->mail_from, at + 1);
}

void spf_check(struct arena *a, const struct dns_source *source, const struct spf_query *q,
	       struct spf_verdict *out)
{
	size_t at = str_find_last(q->mail_from, '@');

	if (q->mail_from.n == 0) {
		spf_check_helo(a, source, q, out);
		return;
	}
	*out = (struct spf_verdict){ .result = SPF_NONE, .identity = SPF_MAILFROM };
	check(a, source, q, out, at == SIZE_MAX ? STR_NONE : str_slice(q->mail_from, 0, at),
	      spf_identity_domain(q));
}
