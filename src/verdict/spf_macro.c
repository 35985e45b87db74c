/* Macros, RFC 7208 7: one reader of the grammar, used to check and to expand. Iterative; output bounded by SPF_EXPANSION. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "verdict/spf_int.h"

enum {
	PARTS_MAX = SPF_VALUE + 1
}; /* the longest value, all delimiters; RFC 7208 7.3 asks for 127 */

struct macro {
	str literal; /* text as it stands, or what %%, %_, %- mean; used when letter is 0 */
	u8 letter;   /* lower case */
	bool escape; /* was upper case: URL escaped */
	u64 keep;    /* right-hand parts; 0: all */
	bool reverse;
	str delimiters;
};

/* --- The grammar ------------------------------------------------------------------------------------------ */

static bool is_literal(u8 byte, enum spf_macro_use use)
{
	return (char_is(byte, CHAR_VCHAR) && byte != '%') ||
	       (use == SPF_MACRO_EXPLAIN && byte == ' ');
}

static bool is_delimiter(u8 byte)
{
	return str_has(S(".-+,/_="), byte);
}

/* *DIGIT: nonzero when there is one; more than any name has parts is all of them. */
static bool scan_digits(struct scan *s, u64 *keep)
{
	str digits;

	*keep = 0;
	if (!scan_span(s, CHAR_DIGIT, &digits))
		return true;
	for (size_t i = 0; i < digits.n; i++)
		if (*keep < PARTS_MAX)
			*keep = *keep * 10 + (digits.p[i] - '0');
	return *keep > 0;
}

/* macro-letter transformers *delimiter "}", behind "%{". */
static bool scan_expand(struct scan *s, enum spf_macro_use use, struct macro *m)
{
	str letter;
	size_t n = 0;

	if (!scan_take(s, 1, &letter))
		return false;
	m->letter = char_lower(letter.p[0]);
	m->escape = m->letter != letter.p[0];
	if (!str_has(use == SPF_MACRO_DOMAIN ? S("slodiphv") : S("slodiphvcrt"), m->letter) ||
	    !scan_digits(s, &m->keep))
		return false;
	m->reverse = scan_lit(s, S("r"));
	while (n < s->rest.n && is_delimiter(s->rest.p[n]))
		n++;
	return scan_take(s, n, &m->delimiters) && scan_byte(s, '}');
}

/* The next run of literals or the next macro-expand; false when neither stands there. */
static bool scan_macro(struct scan *s, enum spf_macro_use use, struct macro *m)
{
	size_t n = 0;

	*m = (struct macro){ 0 };
	while (n < s->rest.n && is_literal(s->rest.p[n], use))
		n++;
	if (n)
		return scan_take(s, n, &m->literal);
	if (scan_lit(s, S("%%")))
		m->literal = S("%");
	else if (scan_lit(s, S("%_")))
		m->literal = S(" ");
	else if (scan_lit(s, S("%-")))
		m->literal = S("%20");
	else
		return scan_lit(s, S("%{")) && scan_expand(s, use, m);
	return true;
}

/* toplabel: LDH, not all digits, no hyphen at the ends. */
static bool is_toplabel(str s)
{
	bool digits = true;

	for (size_t i = 0; i < s.n; i++) {
		if (!char_is(s.p[i], CHAR_LDH))
			return false;
		digits = digits && char_is(s.p[i], CHAR_DIGIT);
	}
	return s.n > 0 && !digits && s.p[0] != '-' && s.p[s.n - 1] != '-';
}

/* domain-end at the end of the last literals: "." toplabel [ "." ]. */
static bool is_domain_end(str s)
{
	size_t dot;

	if (s.n && s.p[s.n - 1] == '.')
		s.n--;
	dot = str_find_last(s, '.');
	return dot != SIZE_MAX && is_toplabel(str_skip(s, dot + 1));
}

bool spf_macro_valid(str text, enum spf_macro_use use)
{
	struct scan s = scan_of(text);
	str at = text;
	struct macro m;

	while (!scan_end(&s)) {
		at = s.rest;
		if (!scan_macro(&s, use, &m))
			return false;
	}
	if (use != SPF_MACRO_DOMAIN)
		return true;
	return at.n && (at.p[0] == '%' || is_domain_end(at));
}

/* --- Expansion -------------------------------------------------------------------------------------------- */

/* "192.0.2.3", or 32 nibbles with dots. */
static str dotted_address(struct arena *a, const struct dns_address *c)
{
	static const u8 hex[] = "0123456789abcdef";
	struct buf *b = buf_new(a, 64);

	if (c->family == ADDRESS_IPV4)
		return spf_address_text(a, c);
	for (size_t i = 0; i < 16; i++) {
		if (i)
			buf_add_byte(b, '.');
		buf_add_byte(b, hex[c->bytes[i] >> 4]);
		buf_add_byte(b, '.');
		buf_add_byte(b, hex[c->bytes[i] & 15]);
	}
	return buf_str(b);
}

static str letter_value(struct spf_run *r, str domain, u8 letter)
{
	struct arena *a = r->arena;

	switch (letter) {
	case 's':
		return str_format(a, "%.*s@%.*s", STR_ARG(r->local), STR_ARG(r->domain));
	case 'l':
		return r->local;
	case 'o':
		return r->domain;
	case 'd':
		return domain;
	case 'i':
		return dotted_address(a, &r->client);
	case 'p':
		return spf_ptr_name(r, domain);
	case 'v':
		return r->client.family == ADDRESS_IPV4 ? S("in-addr") : S("ip6");
	case 'h':
		return str_slice(r->query->helo, 0, RDATA_NAME);
	case 'c':
		return spf_address_text(a, &r->client);
	case 'r':
		return r->query->receiver.n ? str_slice(r->query->receiver, 0, RDATA_NAME)
					    : S("unknown");
	default: /* t */
		return str_format(a, "%llu", (unsigned long long)r->query->now);
	}
}

static size_t split(str value, str delimiters, str parts[PARTS_MAX])
{
	size_t n = 0, from = 0;

	CHECK(value.n < PARTS_MAX); /* check() and the lengths of names see to it */
	for (size_t i = 0; i < value.n; i++) {
		if (!str_has(delimiters, value.p[i]))
			continue;
		parts[n++] = str_slice(value, from, i);
		from = i + 1;
	}
	parts[n++] = str_skip(value, from);
	return n;
}

/* RFC 7208 7.3: split, reverse, keep the right-hand parts, join with dots. */
static str transform(struct arena *a, str value, const struct macro *m)
{
	struct buf *b = buf_new(a, SPF_EXPANSION);
	str parts[PARTS_MAX];
	size_t n, from;

	if (m->delimiters.n == 0 && m->keep == 0 && !m->reverse)
		return value;
	n = split(value, m->delimiters.n ? m->delimiters : S("."), parts);
	from = m->keep && m->keep < n ? n - (size_t)m->keep : 0;
	for (size_t i = from; i < n; i++) {
		if (i > from)
			buf_add_byte(b, '.');
		buf_add(b, parts[m->reverse ? n - 1 - i : i]);
	}
	return buf_str(b);
}

/* All but the unreserved characters of RFC 3986 2.3. */
static void add_escaped(struct buf *b, str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (char_is(s.p[i], CHAR_ALPHA | CHAR_DIGIT) || str_has(S("-._~"), s.p[i]))
			buf_add_byte(b, s.p[i]);
		else
			buf_printf(b, "%%%02X", s.p[i]);
	}
}

bool spf_macro_expand(struct spf_run *r, str domain, str text, str *out)
{
	struct buf *b = buf_new(r->arena, SPF_EXPANSION);
	struct scan s = scan_of(text);
	struct macro m;

	while (!scan_end(&s) && !b->full && scan_macro(&s, SPF_MACRO_EXPLAIN, &m)) {
		str piece = m.literal;
		if (m.letter)
			piece = transform(r->arena, letter_value(r, domain, m.letter), &m);
		if (m.escape)
			add_escaped(b, piece);
		else
			buf_add(b, piece);
	}
	*out = buf_str(b);
	return !b->full && scan_end(&s);
}

/* --- Names ------------------------------------------------------------------------------------------------ */

bool spf_name_is_possible(str name)
{
	size_t label = 0;

	for (size_t i = 0; i < name.n; i++) {
		if (name.p[i] == '.') {
			if (label == 0)
				return false;
			label = 0;
		} else if (!char_is(name.p[i], CHAR_VCHAR) || name.p[i] == '\\' ||
			   ++label > RDATA_LABEL) {
			return false;
		}
	}
	return label > 0 && name.n <= RDATA_NAME_TEXT;
}

bool spf_macro_target(struct spf_run *r, str domain, str spec, str *out)
{
	*out = domain;
	if (spec.n && !spf_macro_expand(r, domain, spec, out))
		return false;
	if (out->n && out->p[out->n - 1] == '.')
		out->n--;
	while (out->n > RDATA_NAME_TEXT && str_has(*out, '.'))
		*out = str_skip(*out, str_find(*out, '.') + 1);
	return spf_name_is_possible(*out);
}
