/* SMTP paths and mailboxes: RFC 5321 4.1.2, RFC 6531 3.3. */
#include "text/address.h"

#include <arpa/inet.h>

#include "base/arena.h"
#include "base/buf.h"

static const struct fail bad_form = { .what = FAIL_SYNTAX,
				      .kind = FAIL_PERM,
				      .code = { (const u8 *)"5.1.3", 5 },
				      .text = { (const u8 *)"bad address syntax", 18 } };
static const struct fail too_long = { .what = FAIL_SYNTAX,
				      .kind = FAIL_PERM,
				      .code = { (const u8 *)"5.1.3", 5 },
				      .text = { (const u8 *)"address too long", 16 } };
static const struct fail needs_utf8 = { .what = FAIL_INVALID,
					.kind = FAIL_PERM,
					.code = { (const u8 *)"5.6.7", 5 },
					.text = { (const u8 *)"non-ASCII address needs SMTPUTF8",
						  32 } };

/* Atom *("." Atom) */
static bool is_dot_string(str s)
{
	bool dot = true; /* one stood before: another may not follow */

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '.' ? dot : !char_is(s.p[i], CHAR_ATEXT | CHAR_8BIT))
			return false;
		dot = s.p[i] == '.';
	}
	return !dot;
}

/* qtextSMTP and quoted-pairSMTP hold %d32-126, RFC 6531 3.3 adds UTF-8. */
static bool scan_quoted_local(struct arena *a, struct scan *s, str *out)
{
	u8 *p = arena_alloc(a, s->rest.n);
	size_t i = 1, n = 0;

	for (; i < s->rest.n && s->rest.p[i] != '"'; i++) {
		if (s->rest.p[i] == '\\' && ++i == s->rest.n)
			return false;
		if (char_is(s->rest.p[i], CHAR_CTL))
			return false;
		p[n++] = s->rest.p[i];
	}
	if (i >= s->rest.n)
		return false;
	s->rest = str_skip(s->rest, i + 1);
	*out = str_from(p, n);
	return true;
}

static bool scan_dot_local(struct scan *s, str *out)
{
	struct scan saved = *s;
	size_t n = 0;

	while (n < s->rest.n &&
	       (s->rest.p[n] == '.' || char_is(s->rest.p[n], CHAR_ATEXT | CHAR_8BIT)))
		n++;
	if (scan_take(s, n, out) && is_dot_string(*out))
		return true;
	*s = saved;
	return false;
}

static bool scan_domain(struct scan *s, str *out)
{
	struct scan saved = *s;
	size_t n = 0;

	while (n < s->rest.n &&
	       (s->rest.p[n] == '.' || char_is(s->rest.p[n], CHAR_LDH | CHAR_8BIT)))
		n++;
	if (scan_take(s, n, out) && domain_is_valid(*out, true, false))
		return true;
	*s = saved;
	return false;
}

static bool scan_literal(struct scan *s, str *out)
{
	struct scan saved = *s;
	enum address_family family;
	u8 bytes[16];
	size_t end = str_find(s->rest, ']');

	if (scan_peek(s) == '[' && end != SIZE_MAX && scan_take(s, end + 1, out) &&
	    address_literal(*out, &family, bytes))
		return true;
	*s = saved;
	return false;
}

static const struct fail *check_mailbox(unsigned options, size_t local_n, size_t whole_n,
					struct address *out)
{
	bool good = str_is_utf8(out->local) && str_is_utf8(out->domain);

	out->utf8 = !str_is_ascii(out->local) || !str_is_ascii(out->domain);
	if (out->utf8 && !(options & ADDRESS_UTF8))
		return &needs_utf8;
	if (local_n > ADDRESS_LOCAL || out->domain.n > ADDRESS_DOMAIN || whole_n > ADDRESS_MAILBOX)
		return &too_long;
	return good ? NULL : &bad_form;
}

/* Mailbox, RFC 5321 4.1.2. */
static const struct fail *scan_mailbox(struct arena *a, struct scan *s, unsigned options,
				       struct address *out)
{
	size_t before = s->rest.n, local_n;
	bool local = scan_peek(s) == '"' ? scan_quoted_local(a, s, &out->local)
					 : scan_dot_local(s, &out->local);

	local_n = before - s->rest.n;
	if (!local)
		return &bad_form;
	if (!scan_byte(s, '@')) {
		if (!(options & ADDRESS_POSTMASTER) || !str_eq_nocase(out->local, S("postmaster")))
			return &bad_form;
		return NULL;
	}
	out->literal = scan_literal(s, &out->domain);
	if (!out->literal && !scan_domain(s, &out->domain))
		return &bad_form;
	TRY(check_mailbox(options, local_n, before - s->rest.n, out));
	if (!out->literal && out->domain.p[out->domain.n - 1] == '.')
		out->domain = str_slice(out->domain, 0, out->domain.n - 1);
	return NULL;
}

/* A-d-l ":", RFC 5321 4.1.2: checked and thrown away. */
static bool skip_route(struct scan *s)
{
	str domain;

	if (scan_peek(s) != '@')
		return true;
	do {
		if (!scan_byte(s, '@') || !(scan_literal(s, &domain) || scan_domain(s, &domain)))
			return false;
	} while (scan_byte(s, ','));
	return scan_byte(s, ':');
}

/* Copies, so that an address outlives the line it stood in. */
static void keep(struct arena *a, struct address *m)
{
	m->local = str_copy(a, m->local);
	m->domain = str_copy(a, m->domain);
}

const struct fail *address_scan_path(struct arena *a, struct scan *s, unsigned options,
				     struct address *out)
{
	*out = (struct address){ 0 };
	if ((options & ADDRESS_NULL) && scan_lit(s, S("<>"))) {
		out->null = true;
		return NULL;
	}
	if (!scan_byte(s, '<') || !skip_route(s))
		return &bad_form;
	TRY(scan_mailbox(a, s, options, out));
	if (!scan_byte(s, '>'))
		return &bad_form;
	keep(a, out);
	return NULL;
}

const struct fail *address_parse(struct arena *a, str text, unsigned options, struct address *out)
{
	struct scan s = scan_of(text);

	*out = (struct address){ 0 };
	TRY(scan_mailbox(a, &s, options, out));
	if (!scan_end(&s))
		return &bad_form;
	keep(a, out);
	return NULL;
}

static str join(struct arena *a, str local, str domain)
{
	bool plain = is_dot_string(local);
	u8 *p = arena_alloc(a, local.n * 2 + domain.n + 3);
	size_t n = 0;

	if (!plain)
		p[n++] = '"';
	for (size_t i = 0; i < local.n; i++) {
		if (!plain && (local.p[i] == '"' || local.p[i] == '\\'))
			p[n++] = '\\';
		p[n++] = local.p[i];
	}
	if (!plain)
		p[n++] = '"';
	if (domain.n)
		p[n++] = '@';
	for (size_t i = 0; i < domain.n; i++)
		p[n++] = domain.p[i];
	return str_from(p, n);
}

str address_print(struct arena *a, const struct address *m)
{
	return m->null ? STR_NONE : join(a, m->local, m->domain);
}

static str print_literal(struct arena *a, str literal)
{
	char text[INET6_ADDRSTRLEN];
	enum address_family family;
	u8 bytes[16];

	if (!address_literal(literal, &family, bytes) ||
	    !inet_ntop(family == ADDRESS_IPV6 ? AF_INET6 : AF_INET, bytes, text, sizeof text))
		return literal;
	return str_format(a, family == ADDRESS_IPV6 ? "[IPv6:%s]" : "[%s]", text);
}

static const struct fail *canonical(struct arena *a, const struct address *m,
				    const struct fail *(*form)(struct arena *, str, str *),
				    str *out)
{
	str domain = m->domain;

	*out = STR_NONE;
	if (m->null)
		return NULL;
	if (m->literal)
		domain = print_literal(a, domain);
	else if (domain.n)
		TRY(form(a, domain, &domain));
	*out = join(a, m->local, domain);
	return NULL;
}

const struct fail *address_canonical(struct arena *a, const struct address *m, str *out)
{
	return canonical(a, m, domain_to_ascii, out);
}

const struct fail *address_for_people(struct arena *a, const struct address *m, str *out)
{
	return canonical(a, m, domain_to_unicode, out);
}

bool address_split_tag(str local, u8 separator, str *user, str *tag)
{
	size_t at = str_find(local, separator);

	*user = local;
	*tag = STR_NONE;
	if (at == SIZE_MAX || at == 0)
		return false;
	*user = str_slice(local, 0, at);
	*tag = str_skip(local, at + 1);
	return true;
}
