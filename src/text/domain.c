/* Domains: labels, A-labels and U-labels (RFC 5890, UTS 46 non-transitional), address literals. */
#include "text/address.h"

#include <arpa/inet.h>
#include <idn2.h>

#include "base/arena.h"

static const struct fail bad_domain = { .what = FAIL_SYNTAX,
					.kind = FAIL_PERM,
					.code = { (const u8 *)"5.1.2", 5 },
					.text = { (const u8 *)"not a domain name", 17 } };

static bool label_is_valid(str label, unsigned classes, bool underscore)
{
	if (label.n == 0 || label.n > ADDRESS_LABEL || label.p[0] == '-' ||
	    label.p[label.n - 1] == '-')
		return false;
	for (size_t i = 0; i < label.n; i++)
		if (!char_is(label.p[i], classes) && !(underscore && label.p[i] == '_'))
			return false;
	return true;
}

static str without_dot(str domain)
{
	if (domain.n > 1 && domain.p[domain.n - 1] == '.')
		return str_slice(domain, 0, domain.n - 1);
	return domain;
}

bool domain_is_valid(str domain, bool utf8, bool underscore)
{
	unsigned classes = utf8 ? CHAR_LDH | CHAR_8BIT : CHAR_LDH;

	domain = without_dot(domain);
	if (domain.n == 0 || domain.n > ADDRESS_DOMAIN || !str_is_utf8(domain))
		return false;
	for (;;) {
		size_t dot = str_find(domain, '.');
		if (!label_is_valid(str_slice(domain, 0, dot), classes, underscore))
			return false;
		if (dot == SIZE_MAX)
			return true;
		domain = str_skip(domain, dot + 1);
		if (domain.n == 0)
			return false;
	}
}

/* Takes text from libidn2: a copy in the arena. */
static str take_idn(struct arena *a, char *text)
{
	str s = str_copy(a, str_cstr(text));

	idn2_free(text);
	return s;
}

const struct fail *domain_to_ascii(struct arena *a, str domain, str *out)
{
	const int flags = IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL | IDN2_USE_STD3_ASCII_RULES;
	char *ascii = NULL;
	const char *text;

	domain = without_dot(domain);
	if (!domain_is_valid(domain, true, false))
		return &bad_domain;
	*out = str_lower(a, domain);
	if (str_is_ascii(domain))
		return NULL;
	text = cstr(a, domain);
	if (text == NULL || idn2_to_ascii_8z(text, &ascii, flags) != IDN2_OK)
		return &bad_domain;
	*out = without_dot(take_idn(a, ascii));
	return str_is_ascii(*out) && domain_is_valid(*out, false, false) ? NULL : &bad_domain;
}

const struct fail *domain_to_unicode(struct arena *a, str domain, str *out)
{
	char *unicode = NULL;
	const char *text;
	str ascii, people, again;

	TRY(domain_to_ascii(a, domain, &ascii));
	*out = ascii;
	if (str_find_str(ascii, S("xn--")) == SIZE_MAX)
		return NULL;
	text = cstr(a, ascii);
	if (text == NULL || idn2_to_unicode_8z8z(text, &unicode, IDN2_NONTRANSITIONAL) != IDN2_OK)
		return NULL;
	people = take_idn(a, unicode);
	if (domain_to_ascii(a, people, &again) == NULL && str_eq(again, ascii))
		*out = people;
	return NULL;
}

bool address_literal(str s, enum address_family *family, u8 bytes[16])
{
	char text[INET6_ADDRSTRLEN];
	bool six;

	if (s.n < 3 || s.p[0] != '[' || s.p[s.n - 1] != ']')
		return false;
	s = str_slice(s, 1, s.n - 1);
	six = str_starts_nocase(s, S("IPv6:"));
	if (six)
		s = str_skip(s, 5);
	if (s.n == 0 || s.n >= sizeof text || str_has(s, 0))
		return false;
	for (size_t i = 0; i <= s.n; i++)
		text[i] = i < s.n ? (char)s.p[i] : 0;
	*family = six ? ADDRESS_IPV6 : ADDRESS_IPV4;
	return inet_pton(six ? AF_INET6 : AF_INET, text, bytes) == 1;
}
