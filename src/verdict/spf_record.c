/* The grammar of an SPF record, RFC 7208 12: strict, for one bad term spoils all of it (4.6). */
#include <arpa/inet.h>
#include <string.h>

#include "verdict/spf_int.h"

enum argument { ARG_NONE, ARG_OPTIONAL, ARG_DOMAIN, ARG_IP4, ARG_IP6 };

static const struct {
	const char *name;
	enum spf_kind kind;
	enum argument argument;
	bool prefix; /* takes dual-cidr-length */
} mechanisms[] = {
	{ "all", SPF_TERM_ALL, ARG_NONE, false },
	{ "include", SPF_TERM_INCLUDE, ARG_DOMAIN, false },
	{ "a", SPF_TERM_A, ARG_OPTIONAL, true },
	{ "mx", SPF_TERM_MX, ARG_OPTIONAL, true },
	{ "ptr", SPF_TERM_PTR, ARG_OPTIONAL, false },
	{ "ip4", SPF_TERM_IP4, ARG_IP4, false },
	{ "ip6", SPF_TERM_IP6, ARG_IP6, false },
	{ "exists", SPF_TERM_EXISTS, ARG_DOMAIN, false },
};

bool spf_record_is(str text)
{
	return str_starts_nocase(text, S("v=spf1")) && (text.n == 6 || text.p[6] == ' ');
}

/* "0" / %x31-39 *DIGIT, at most max. */
static bool parse_prefix(str digits, u64 max, u8 *out)
{
	u64 value;

	if (digits.n == 0 || digits.n > 3 || (digits.p[0] == '0' && digits.n > 1) ||
	    !str_u64(digits, &value) || value > max)
		return false;
	*out = (u8)value;
	return true;
}

static bool is_digits(str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!char_is(s.p[i], CHAR_DIGIT))
			return false;
	return s.n > 0;
}

/* Takes "/digits" off the end of *s, when that is what stands there. */
static bool cut_prefix(str *s, str *digits)
{
	size_t slash = str_find_last(*s, '/');

	if (slash == SIZE_MAX || !is_digits(str_skip(*s, slash + 1)))
		return false;
	*digits = str_skip(*s, slash + 1);
	*s = str_slice(*s, 0, slash);
	return true;
}

/*
 * dual-cidr-length off the end of *s: "/24", "//64", "/24//64". A domain-spec may hold slashes but cannot end in "/digits", so
 * there is only one way to read it; what is left over is judged as domain-spec.
 */
static bool take_prefixes(str *s, struct spf_term *t)
{
	str digits;

	if (!cut_prefix(s, &digits))
		return true;
	if (s->n == 0 || s->p[s->n - 1] != '/')
		return parse_prefix(digits, 32, &t->prefix4);
	s->n--;
	if (!parse_prefix(digits, 128, &t->prefix6))
		return false;
	return !cut_prefix(s, &digits) || parse_prefix(digits, 32, &t->prefix4);
}

static bool parse_address(str text, enum address_family family, struct dns_address *out)
{
	char c[INET6_ADDRSTRLEN] = { 0 };

	if (text.n == 0 || text.n >= sizeof c || str_has(text, 0))
		return false;
	memcpy(c, text.p, text.n);
	*out = (struct dns_address){ .family = family };
	return inet_pton(family == ADDRESS_IPV4 ? AF_INET : AF_INET6, c, out->bytes) == 1;
}

/* ip4-network [ ip4-cidr-length ], ip6-network [ ip6-cidr-length ]. */
static bool parse_network(str s, enum argument argument, struct spf_term *t)
{
	bool four = argument == ARG_IP4;
	size_t slash = str_find(s, '/');

	if (slash != SIZE_MAX && !parse_prefix(str_skip(s, slash + 1), four ? 32 : 128,
					       four ? &t->prefix4 : &t->prefix6))
		return false;
	return parse_address(str_slice(s, 0, slash), four ? ADDRESS_IPV4 : ADDRESS_IPV6,
			     &t->network);
}

/* What follows a mechanism's name: empty, or begins with ':' or '/'. */
static bool parse_argument(str s, enum argument argument, bool prefix, struct spf_term *t)
{
	if (prefix && !take_prefixes(&s, t))
		return false;
	if (s.n == 0)
		return argument == ARG_NONE || argument == ARG_OPTIONAL;
	if (s.p[0] != ':' || argument == ARG_NONE)
		return false;
	s = str_skip(s, 1);
	if (argument == ARG_IP4 || argument == ARG_IP6)
		return parse_network(s, argument, t);
	t->spec = s;
	return spf_macro_valid(s, SPF_MACRO_DOMAIN);
}

static enum spf_result take_qualifier(str *s)
{
	static const enum spf_result results[] = { SPF_PASS, SPF_FAIL, SPF_SOFTFAIL, SPF_NEUTRAL };
	size_t at = s->n ? str_find(S("+-~?"), s->p[0]) : SIZE_MAX;

	if (at == SIZE_MAX)
		return SPF_PASS;
	*s = str_skip(*s, 1);
	return results[at];
}

static bool parse_mechanism(str s, struct spf_term *t)
{
	size_t n = 0;

	t->match = take_qualifier(&s);
	while (n < s.n && s.p[n] != ':' && s.p[n] != '/')
		n++;
	for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++) {
		if (!str_eq_nocase(str_slice(s, 0, n), str_cstr(mechanisms[i].name)))
			continue;
		t->kind = mechanisms[i].kind;
		return parse_argument(str_skip(s, n), mechanisms[i].argument, mechanisms[i].prefix,
				      t);
	}
	return false;
}

/* name "=": ALPHA *( ALPHA / DIGIT / "-" / "_" / "." ). */
static bool scan_modifier_name(struct scan *s, str *name)
{
	size_t n = 0;

	if (s->rest.n == 0 || !char_is(s->rest.p[0], CHAR_ALPHA))
		return false;
	while (n < s->rest.n &&
	       (char_is(s->rest.p[n], CHAR_LDH) || s->rest.p[n] == '_' || s->rest.p[n] == '.'))
		n++;
	if (n == s->rest.n || s->rest.p[n] != '=')
		return false;
	return scan_take(s, n, name) && scan_byte(s, '=');
}

static bool parse_modifier(str name, str value, struct spf_term *t)
{
	t->spec = value;
	if (str_eq_nocase(name, S("redirect")))
		t->kind = SPF_TERM_REDIRECT;
	else if (str_eq_nocase(name, S("exp")))
		t->kind = SPF_TERM_EXP;
	else
		t->kind = SPF_TERM_OTHER;
	return spf_macro_valid(value,
			       t->kind == SPF_TERM_OTHER ? SPF_MACRO_STRING : SPF_MACRO_DOMAIN);
}

bool spf_term_next(struct scan *terms, struct spf_term *term, bool *good)
{
	struct scan s;
	size_t n = 0;
	str name;

	while (scan_byte(terms, ' '))
		;
	if (scan_end(terms))
		return false;
	while (n < terms->rest.n && terms->rest.p[n] != ' ')
		n++;
	*term = (struct spf_term){ .prefix4 = 32, .prefix6 = 128 };
	scan_take(terms, n, &term->text);
	s = scan_of(term->text);
	*good = scan_modifier_name(&s, &name) ? parse_modifier(name, s.rest, term)
					      : parse_mechanism(term->text, term);
	return true;
}

/* A modifier that may stand once, RFC 7208 6. */
static bool take_once(str *at, str spec)
{
	bool first = at->p == NULL;

	*at = spec;
	return first;
}

static const char *record_take(struct spf_record *r, const struct spf_term *t)
{
	if (t->kind == SPF_TERM_ALL)
		r->all = true;
	if (t->kind == SPF_TERM_REDIRECT) {
		r->redirect_term = t->text;
		if (!take_once(&r->redirect, t->spec))
			return "it has redirect= twice";
	}
	if (t->kind == SPF_TERM_EXP && !take_once(&r->exp, t->spec))
		return "it has exp= twice";
	return NULL;
}

struct spf_record spf_record_read(str text)
{
	struct spf_record r = { .terms = scan_of(str_skip(text, 6)) };
	struct scan walk = r.terms;
	struct spf_term t;
	bool good;

	while (r.broken == NULL && spf_term_next(&walk, &t, &good)) {
		r.broken = good ? record_take(&r, &t) : "it is not as RFC 7208 has it";
		if (r.broken)
			r.bad = t.text;
	}
	return r;
}
