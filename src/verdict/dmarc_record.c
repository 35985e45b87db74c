/* The DMARC record: tags between semicolons (RFC 9989 4.7, 4.8). What is wrong in it counts as absent, but for p, sp and np. */
#include "base/scan.h"
#include "verdict/dmarc.h"

/* A policy tag as it stood: which, and whether it was good. */
struct policy_tag {
	bool present, bad;
	enum dmarc_policy value;
};

struct reader {
	struct dmarc_record *out;
	struct policy_tag p, sp, np;
};

static bool is_word(str s, const char *word)
{
	return str_eq_nocase(s, str_cstr(word));
}

static void read_policy(struct policy_tag *to, str value)
{
	if (to->present) /* the first counts */
		return;
	to->present = true;
	if (is_word(value, "none"))
		to->value = DMARC_POLICY_NONE;
	else if (is_word(value, "quarantine"))
		to->value = DMARC_POLICY_QUARANTINE;
	else if (is_word(value, "reject"))
		to->value = DMARC_POLICY_REJECT;
	else
		to->bad = true;
}

/* RFC 3986 3: a scheme, ':' and printable bytes without a blank. */
static bool is_uri(str s)
{
	size_t colon = str_find(s, ':');

	if (colon == SIZE_MAX || colon == 0 || colon + 1 == s.n || !char_is(s.p[0], CHAR_ALPHA))
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (!char_is(s.p[i], CHAR_VCHAR))
			return false;
		if (i < colon && !char_is(s.p[i], CHAR_LDH) && s.p[i] != '+' && s.p[i] != '.')
			return false;
	}
	return true;
}

static void read_uris(str value, str *list, size_t *n)
{
	for (bool more = true; more && *n < DMARC_URIS;) {
		size_t comma = str_find(value, ',');
		str uri = str_trim(str_slice(value, 0, comma));
		if (is_uri(uri))
			list[(*n)++] = uri;
		more = comma != SIZE_MAX;
		value = str_skip(value, comma + (more ? 1 : 0));
	}
}

static void read_fo(struct dmarc_record *r, str value)
{
	unsigned fo = 0;

	for (bool more = true; more;) {
		size_t colon = str_find(value, ':');
		str word = str_trim(str_slice(value, 0, colon));
		fo |= is_word(word, "0") ? DMARC_FO_ALL : 0;
		fo |= is_word(word, "1") ? DMARC_FO_ANY : 0;
		fo |= is_word(word, "d") ? DMARC_FO_DKIM : 0;
		fo |= is_word(word, "s") ? DMARC_FO_SPF : 0;
		more = colon != SIZE_MAX;
		value = str_skip(value, colon + (more ? 1 : 0));
	}
	if (fo)
		r->fo = fo;
}

static void read_tag(struct reader *k, str name, str value)
{
	struct dmarc_record *r = k->out;

	if (is_word(name, "p"))
		read_policy(&k->p, value);
	else if (is_word(name, "sp"))
		read_policy(&k->sp, value);
	else if (is_word(name, "np"))
		read_policy(&k->np, value);
	else if (is_word(name, "adkim"))
		r->strict_dkim = is_word(value, "s");
	else if (is_word(name, "aspf"))
		r->strict_spf = is_word(value, "s");
	else if (is_word(name, "psd"))
		r->psd = is_word(value, "y")   ? DMARC_PSD_YES
			 : is_word(value, "n") ? DMARC_PSD_NO
					       : DMARC_PSD_UNKNOWN;
	else if (is_word(name, "t"))
		r->testing = is_word(value, "y");
	else if (is_word(name, "fo"))
		read_fo(r, value);
	else if (is_word(name, "rua"))
		read_uris(value, r->rua, &r->rua_n);
	else if (is_word(name, "ruf"))
		read_uris(value, r->ruf, &r->ruf_n);
}

/* "v" equals %s"DMARC1", then ";" or the end. */
static bool take_version(struct scan *s)
{
	str value;

	scan_wsp0(s);
	if (!scan_lit(s, S("v")) || !scan_wsp0(s) || !scan_byte(s, '=') || !scan_wsp0(s) ||
	    !scan_span(s, CHAR_ALPHA | CHAR_DIGIT, &value))
		return false;
	scan_wsp0(s);
	return str_eq(value, S("DMARC1")) && (scan_end(s) || scan_byte(s, ';'));
}

/* RFC 9989 4.10.1: with a bad policy only the wish for reports is left of a record. */
static void settle_policy(struct reader *k)
{
	struct dmarc_record *r = k->out;

	if (!k->p.present || k->p.bad || k->sp.bad || k->np.bad) {
		r->inapplicable = r->rua_n == 0;
		return;
	}
	r->p = k->p.value;
	r->has_sp = k->sp.present;
	r->sp = k->sp.present ? k->sp.value : r->p;
	r->has_np = k->np.present;
	r->np = k->np.present ? k->np.value : r->sp;
}

bool dmarc_record_parse(str text, struct dmarc_record *out)
{
	struct reader k = { .out = out };
	struct scan s = scan_of(text);

	*out = (struct dmarc_record){ .fo = DMARC_FO_ALL };
	if (!take_version(&s))
		return false;
	for (size_t i = 0; i < DMARC_TAGS && !scan_end(&s); i++) {
		size_t end = str_find(s.rest, ';');
		str tag = str_slice(s.rest, 0, end);
		size_t equals = str_find(tag, '=');
		s.rest = end == SIZE_MAX ? STR_NONE : str_skip(s.rest, end + 1);
		if (equals != SIZE_MAX)
			read_tag(&k, str_trim(str_slice(tag, 0, equals)),
				 str_trim(str_skip(tag, equals + 1)));
	}
	settle_policy(&k);
	return true;
}
