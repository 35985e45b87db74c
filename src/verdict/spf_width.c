#include "verdict/spf_width.h"

#include "base/arena.h"
#include "text/language.h"
#include "verdict/spf_int.h"

enum { IPV4_BITS = 32, NETWORK_BITS = 64, SHOWN = 100, SHOWN_ALL = 1000 };

static const u64 ipv4_most = (u64)1 << IPV4_BITS, ipv6_most = (u64)1 << (NETWORK_BITS - 1);

/* A record to be read. */
struct pending {
	str domain, term;
	size_t part; /* that it counts for */
	bool
	    decides; /* its `all` is what happens to everybody else: the domain's own record, and where redirect= leads */
	bool lets_in;  /* what passes there, passes here */
	bool included; /* so it must be there */
};

struct walk {
	struct arena *a;
	const struct dns_source *source;
	struct spf_width *out;
	struct pending queue[SPF_WIDTH_RECORDS];
	size_t n;
	unsigned asked;
};

static void find(struct walk *w, enum spf_warning warning, str what, str domain, u64 n)
{
	struct spf_width *out = w->out;

	what = spf_printable(w->a, what, SHOWN);
	for (size_t i = 0; i < out->findings_n; i++)
		if (out->findings[i].warning == warning && str_eq(out->findings[i].what, what))
			return;
	if (out->findings_n < SPF_WIDTH_FINDINGS)
		out->findings[out->findings_n++] = (struct spf_finding){
			.warning = warning,
			.what = what,
			.domain = spf_printable(w->a, domain, SHOWN),
			.n = n,
		};
}

/* --- Questions --------------------------------------------------------------------------------------------------- */

/* False: no answer, which is said, or too many questions already. */
static bool ask(struct walk *w, str name, u32 type, struct dns_answer *answer)
{
	*answer = (struct dns_answer){ .status = DNS_TEMPFAIL };
	if (w->asked == SPF_QUESTIONS)
		return false;
	w->asked++;
	w->source->query(w->source->context, w->a, name, type, answer);
	if (dns_is_trouble(answer->status))
		find(w, SPF_WARN_TROUBLE, name, STR_NONE, 0);
	return !dns_is_trouble(answer->status);
}

static bool is_void(const struct dns_answer *answer)
{
	return answer->status != DNS_OK || answer->records_n == 0;
}

/* The name a term is about; false when only a client gives it one. */
static bool name_of(struct walk *w, const struct pending *at, const struct spf_term *t, str *out)
{
	*out = t->spec.n ? str_lower(w->a, t->spec) : at->domain;
	return !str_has(*out, '%') && spf_name_is_possible(*out);
}

/* --- Widths -------------------------------------------------------------------------------------------------------- */

static u64 sum(u64 one, u64 other, u64 most)
{
	return other > most - one ? most : one + other;
}

static void let_in(struct walk *w, const struct pending *at, u64 ipv4, u64 ipv6)
{
	struct spf_width_part *p = &w->out->parts[at->part];

	if (!at->lets_in)
		return;
	p->ipv4 = sum(p->ipv4, ipv4, ipv4_most);
	p->ipv6 = sum(p->ipv6, ipv6, ipv6_most);
}

static u64 ipv4_of(u8 prefix)
{
	return (u64)1 << (IPV4_BITS - prefix);
}

static u64 ipv6_of(u8 prefix)
{
	if (prefix >= NETWORK_BITS)
		return 1;
	return prefix == 0 ? ipv6_most : (u64)1 << (NETWORK_BITS - prefix);
}

/* Each of n hosts, with all that stands around it. */
static void let_hosts_in(struct walk *w, const struct pending *at, const struct spf_term *t,
			 size_t n, size_t n6)
{
	for (size_t i = 0; i < n; i++)
		let_in(w, at, ipv4_of(t->prefix4), 0);
	for (size_t i = 0; i < n6; i++)
		let_in(w, at, 0, ipv6_of(t->prefix6));
}

static void read_a(struct walk *w, const struct pending *at, const struct spf_term *t, str name)
{
	struct dns_answer four, six;

	if (!ask(w, name, DNS_TYPE_A, &four) || !ask(w, name, DNS_TYPE_AAAA, &six))
		return;
	w->out->voids += is_void(&four) && is_void(&six);
	let_hosts_in(w, at, t, is_void(&four) ? 0 : four.records_n,
		     is_void(&six) ? 0 : six.records_n);
}

/* The hosts' addresses are not asked for: each counts as one of either kind. */
static void read_mx(struct walk *w, const struct pending *at, const struct spf_term *t, str name)
{
	struct dns_answer answer;

	if (!ask(w, name, DNS_TYPE_MX, &answer))
		return;
	w->out->voids += is_void(&answer);
	if (is_void(&answer))
		return;
	if (answer.records_n > SPF_MX)
		find(w, SPF_WARN_MANY_MX, name, STR_NONE, answer.records_n);
	let_hosts_in(w, at, t, answer.records_n, answer.records_n);
}

/* --- Terms --------------------------------------------------------------------------------------------------------- */

/* An include or redirect of the domain's own record begins a part; one further down counts for the part it stands in. */
static void go_to(struct walk *w, const struct pending *at, const struct spf_term *t, bool redirect)
{
	struct spf_width *out = w->out;
	bool new_part = at->part == 0;
	struct pending next = { .term = spf_printable(w->a, t->text, SHOWN),
				.part = new_part ? out->parts_n : at->part,
				.decides = redirect && at->decides,
				.lets_in = at->lets_in && (redirect || t->match == SPF_PASS),
				.included = true };

	if (!name_of(w, at, t, &next.domain)) {
		out->uncounted = true;
		return;
	}
	if (w->n == SPF_WIDTH_RECORDS)
		return;
	if (new_part)
		out->parts[out->parts_n++] = (struct spf_width_part){ .term = next.term };
	w->queue[w->n++] = next;
}

static void read_all(struct walk *w, const struct pending *at, const struct spf_term *t)
{
	if (t->match == SPF_PASS && at->lets_in)
		find(w, SPF_WARN_EVERYBODY, t->text, at->domain, 0);
	if (t->match == SPF_NEUTRAL && at->decides)
		find(w, SPF_WARN_NO_END, STR_NONE, STR_NONE, 0);
}

/* A term that asks about the client or its words. */
static void read_other(struct walk *w, const struct spf_term *t)
{
	w->out->uncounted = true;
	if (t->kind == SPF_TERM_PTR)
		find(w, SPF_WARN_PTR, t->text, STR_NONE, 0);
}

static void read_asking(struct walk *w, const struct pending *at, const struct spf_term *t)
{
	struct pending here = *at;
	str name;

	w->out->lookups++;
	here.lets_in = at->lets_in && t->match == SPF_PASS;
	if (t->kind == SPF_TERM_INCLUDE)
		go_to(w, at, t, false);
	else if (t->kind == SPF_TERM_EXISTS || t->kind == SPF_TERM_PTR)
		read_other(w, t);
	else if (!name_of(w, at, t, &name))
		w->out->uncounted = true;
	else if (t->kind == SPF_TERM_A)
		read_a(w, &here, t, name);
	else
		read_mx(w, &here, t, name);
}

static void read_term(struct walk *w, const struct pending *at, const struct spf_term *t)
{
	struct pending here = *at;

	here.lets_in = at->lets_in && t->match == SPF_PASS;
	switch (t->kind) {
	case SPF_TERM_ALL:
		read_all(w, at, t);
		break;
	case SPF_TERM_IP4:
		let_in(w, &here, ipv4_of(t->prefix4), 0);
		break;
	case SPF_TERM_IP6:
		let_in(w, &here, 0, ipv6_of(t->prefix6));
		break;
	case SPF_TERM_INCLUDE:
	case SPF_TERM_A:
	case SPF_TERM_MX:
	case SPF_TERM_PTR:
	case SPF_TERM_EXISTS:
		read_asking(w, at, t);
		break;
	case SPF_TERM_REDIRECT: /* counts at the end, and only without `all` */
	case SPF_TERM_EXP:
	case SPF_TERM_OTHER:
		break;
	}
}

/* --- Records ------------------------------------------------------------------------------------------------------- */

static void read_terms(struct walk *w, const struct pending *at, struct spf_record *r)
{
	struct spf_term t, redirect = { .text = r->redirect_term, .spec = r->redirect };
	bool good;

	while (spf_term_next(&r->terms, &t, &good)) {
		read_term(w, at, &t);
		if (t.kind == SPF_TERM_ALL)
			return; /* nothing behind it is looked at */
	}
	if (r->redirect.n) {
		w->out->lookups++;
		go_to(w, at, &redirect, true);
	} else if (at->decides) {
		find(w, SPF_WARN_NO_END, STR_NONE, STR_NONE, 0);
	}
}

static void read_record(struct walk *w, const struct pending *at)
{
	struct dns_answer answer;
	struct spf_record r;
	str text = STR_NONE;
	size_t n;

	if (!ask(w, at->domain, DNS_TYPE_TXT, &answer))
		return;
	n = spf_record_select(w->a, &answer, &text);
	if (n == 0)
		find(w, at->included ? SPF_WARN_NO_INCLUDE : SPF_WARN_NONE, at->domain, STR_NONE,
		     0);
	if (n > 1)
		find(w, SPF_WARN_SEVERAL, at->domain, STR_NONE, n);
	if (n != 1)
		return;
	if (!at->included) {
		w->out->record = spf_printable(w->a, text, SHOWN_ALL);
		w->out->parts_n = 1;
	}
	r = spf_record_read(text);
	if (r.broken)
		find(w, SPF_WARN_BROKEN, r.bad, at->domain, 0);
	else
		read_terms(w, at, &r);
}

/* --- What it comes to ---------------------------------------------------------------------------------------------- */

static bool is_wide(u64 ipv4, u64 ipv6)
{
	return ipv4 > SPF_WIDE || ipv6 > SPF_WIDE;
}

static str width_text(struct arena *a, u64 ipv4, u64 ipv6)
{
	return str_format(a, "IPv4: %llu, IPv6: %llu of /64", (unsigned long long)ipv4,
			  (unsigned long long)ipv6);
}

static void weigh(struct walk *w)
{
	struct spf_width *out = w->out;
	bool shared = false;

	for (size_t i = 0; i < out->parts_n; i++) {
		const struct spf_width_part *p = &out->parts[i];
		out->ipv4 = sum(out->ipv4, p->ipv4, ipv4_most);
		out->ipv6 = sum(out->ipv6, p->ipv6, ipv6_most);
		if (i == 0 || !is_wide(p->ipv4, p->ipv6))
			continue;
		shared = true;
		find(w, SPF_WARN_SHARED, p->term, width_text(w->a, p->ipv4, p->ipv6), 0);
	}
	if (is_wide(out->parts[0].ipv4, out->parts[0].ipv6) ||
	    (!shared && is_wide(out->ipv4, out->ipv6)))
		find(w, SPF_WARN_WIDE, width_text(w->a, out->ipv4, out->ipv6), STR_NONE, 0);
	if (out->lookups > SPF_TERMS)
		find(w, SPF_WARN_LOOKUPS, STR_NONE, STR_NONE, out->lookups);
	if (out->voids > SPF_VOID)
		find(w, SPF_WARN_VOIDS, STR_NONE, STR_NONE, out->voids);
}

void spf_width_of(struct arena *a, const struct dns_source *source, str domain,
		  struct spf_width *out)
{
	struct walk *w = arena_new_of(a, struct walk);

	*out = (struct spf_width){ .record = STR_NONE };
	*w = (struct walk){ .a = a, .source = source, .out = out, .n = 1 };
	w->queue[0] =
	    (struct pending){ .domain = str_lower(a, domain), .decides = true, .lets_in = true };
	for (size_t i = 0; i < w->n; i++)
		read_record(w, &w->queue[i]);
	weigh(w);
}

/* --- Words --------------------------------------------------------------------------------------------------------- */

static const struct {
	const char *code;
	str text;
} warnings[] = {
#define SPF_WARNING(NAME, code, text) { code, S(text) },
#include "verdict/spf_warning.tbl"
#undef SPF_WARNING
};

const char *spf_warning_code(enum spf_warning w)
{
	return warnings[w].code;
}

struct places {
	struct arena *a;
	const struct spf_finding *f;
};

static bool get(void *context, str name, str *value)
{
	const struct places *p = context;

	if (str_eq(name, S("what")))
		*value = p->f->what;
	else if (str_eq(name, S("domain")))
		*value = p->f->domain;
	else
		*value = str_format(p->a, "%llu", (unsigned long long)p->f->n);
	return value->n > 0;
}

str spf_warning_text(struct arena *a, const struct spf_finding *f)
{
	struct places p = { a, f };
	const struct sentence_values values = { get, &p };

	return sentence_fill(a, warnings[f->warning].text, &values);
}
