/* Tokens of IMAP commands. Contract in imap_scan.h. */
#include "text/imap_scan.h"

const str imap_flag_names[5] = {
	{ (const u8 *)"\\Seen", 5 },    { (const u8 *)"\\Answered", 9 },
	{ (const u8 *)"\\Flagged", 8 }, { (const u8 *)"\\Deleted", 8 },
	{ (const u8 *)"\\Draft", 6 },
};

bool imap_scan_tag(struct scan *s, str *out)
{
	size_t n = 0;

	/* RFC 3501 9: ASTRING-CHAR except "+". */
	while (n < s->rest.n && s->rest.p[n] != '+' &&
	       (char_is(s->rest.p[n], CHAR_IMAP_ATOM) || s->rest.p[n] == ']'))
		n++;
	if (n == 0 || n > IMAP_TAG)
		return false;
	return scan_take(s, n, out);
}

bool imap_scan_atom(struct scan *s, str *out)
{
	return scan_span(s, CHAR_IMAP_ATOM, out);
}

/* Bytes of a quoted string up to its closing quote; SIZE_MAX when it is not well formed. */
static size_t quoted_length(str s, bool *escaped)
{
	for (size_t i = 1; i < s.n; i++) {
		u8 c = s.p[i];

		if (c == '"')
			return i;
		if (c == '\r' || c == '\n' || c == 0)
			return SIZE_MAX;
		if (c != '\\')
			continue;
		if (++i >= s.n || (s.p[i] != '"' && s.p[i] != '\\'))
			return SIZE_MAX;
		*escaped = true;
	}
	return SIZE_MAX;
}

static str quoted_unescape(struct arena *a, str s)
{
	u8 *p = arena_alloc(a, s.n);
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\\')
			i++;
		p[n++] = s.p[i];
	}
	return str_from(p, n);
}

static bool scan_quoted(struct arena *a, struct scan *s, str *out)
{
	bool escaped = false;
	size_t end;

	if (scan_peek(s) != '"' || (end = quoted_length(s->rest, &escaped)) == SIZE_MAX)
		return false;
	*out = str_slice(s->rest, 1, end);
	if (escaped)
		*out = quoted_unescape(a, *out);
	s->rest = str_skip(s->rest, end + 1);
	return true;
}

static bool scan_literal(struct scan *s, str *out)
{
	struct scan saved = *s;
	u64 n;

	if (scan_byte(s, '{') && scan_u64(s, &n) && (scan_byte(s, '+') || true) &&
	    scan_byte(s, '}') && scan_byte(s, '\r') && scan_byte(s, '\n') && n <= s->rest.n &&
	    scan_take(s, (size_t)n, out) && !str_has(*out, 0))
		return true;
	*s = saved;
	return false;
}

bool imap_scan_string(struct arena *a, struct scan *s, str *out)
{
	return scan_quoted(a, s, out) || scan_literal(s, out);
}

/* The longest run of atom characters and those in `more`. */
static bool scan_atom_with(struct scan *s, str more, str *out)
{
	size_t n = 0;

	while (n < s->rest.n &&
	       (char_is(s->rest.p[n], CHAR_IMAP_ATOM) || str_has(more, s->rest.p[n])))
		n++;
	return n > 0 && scan_take(s, n, out);
}

bool imap_scan_astring(struct arena *a, struct scan *s, str *out)
{
	return scan_atom_with(s, S("]"), out) || imap_scan_string(a, s, out);
}

bool imap_scan_nstring(struct arena *a, struct scan *s, str *out, bool *nil)
{
	*nil = imap_scan_word(s, S("NIL"));
	if (*nil)
		*out = STR_NONE;
	return *nil || imap_scan_string(a, s, out);
}

bool imap_scan_pattern(struct arena *a, struct scan *s, str *out)
{
	return scan_atom_with(s, S("]%*"), out) || imap_scan_string(a, s, out);
}

bool imap_scan_nz(struct scan *s, u32 *out)
{
	struct scan saved = *s;

	/* RFC 3501 9: nz-number begins with digit-nz. */
	if (scan_peek(s) != '0' && scan_u32(s, out))
		return true;
	*s = saved;
	return false;
}

bool imap_scan_u63(struct scan *s, u64 *out)
{
	struct scan saved = *s;

	if (scan_u64(s, out) && *out <= INT64_MAX)
		return true;
	*s = saved;
	return false;
}

bool imap_scan_word(struct scan *s, str word)
{
	struct scan saved = *s;
	int next;

	if (scan_lit(s, word)) {
		next = scan_peek(s);
		if (next < 0 || !char_is((u8)next, CHAR_IMAP_ATOM))
			return true;
	}
	*s = saved;
	return false;
}

static bool flag_system(str name, u64 *bits)
{
	for (size_t i = 0; i < ARRAY_LEN(imap_flag_names); i++)
		if (str_eq_nocase(name, str_skip(imap_flag_names[i], 1))) {
			*bits |= 1ull << i;
			return true;
		}
	return false;
}

static bool scan_flag(struct scan *s, str *keywords, struct imap_flags *out)
{
	str name;

	if (scan_byte(s, '\\'))
		return imap_scan_atom(s, &name) && flag_system(name, &out->system);
	if (!imap_scan_atom(s, &name) || out->keywords_n == IMAP_KEYWORDS)
		return false;
	keywords[out->keywords_n++] = name;
	return true;
}

bool imap_scan_flags_bare(struct arena *a, struct scan *s, struct imap_flags *out)
{
	str *keywords = arena_array_of(a, IMAP_KEYWORDS, str);
	struct scan saved = *s;

	*out = (struct imap_flags){ .keywords = keywords };
	do {
		if (!scan_flag(s, keywords, out)) {
			*s = saved;
			return false;
		}
	} while (scan_sp(s));
	return true;
}

bool imap_scan_flag_list(struct arena *a, struct scan *s, struct imap_flags *out)
{
	struct scan saved = *s;

	*out = (struct imap_flags){ 0 };
	if (scan_byte(s, '(') &&
	    (scan_byte(s, ')') || (imap_scan_flags_bare(a, s, out) && scan_byte(s, ')'))))
		return true;
	*s = saved;
	return false;
}

bool imap_literal_announced(str line, struct imap_literal *out)
{
	size_t open = str_find_last(line, '{');
	struct scan s = scan_of(str_skip(line, open == SIZE_MAX ? line.n : open));

	*out = (struct imap_literal){ .at = open };
	if (!scan_byte(&s, '{') || !scan_u64(&s, &out->size))
		return false;
	out->plus = scan_byte(&s, '+');
	return scan_byte(&s, '}') && scan_end(&s);
}
