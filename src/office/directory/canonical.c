#include "office/directory/canonical.h"

#include "base/arena.h"
#include "base/chars.h"

bool directory_split(str address, str *local, str *domain)
{
	size_t at = str_find_last(address, '@');

	if (at == SIZE_MAX)
		return false;
	*local = str_slice(address, 0, at);
	*domain = str_skip(address, at + 1);
	return true;
}

const struct fail *directory_canonical_domain(struct arena *a, str name, str *out)
{
	size_t label = 0;

	for (size_t i = 0; i < name.n; i++) {
		bool dot = name.p[i] == '.';
		if (!dot && !char_is(name.p[i], CHAR_LDH))
			return fail_new(a, FAIL_SYNTAX, "a domain is letters, digits and hyphens");
		if (dot && label == 0)
			return fail_new(a, FAIL_SYNTAX, "a domain has no empty label");
		label = dot ? 0 : label + 1;
		if (label > 63)
			return fail_new(a, FAIL_SYNTAX, "a label has at most 63 characters");
	}
	if (label == 0 || name.n > 253)
		return fail_new(a, FAIL_SYNTAX, "a domain has from 1 to 253 characters");
	*out = str_lower(a, name);
	return NULL;
}

const struct fail *directory_canonical(struct arena *a, str address, bool catch_all, str *out)
{
	str local, domain;

	if (!directory_split(address, &local, &domain))
		return fail_new(a, FAIL_SYNTAX, "an address has an @");
	if (local.n == 0 && !catch_all)
		return fail_new(a, FAIL_SYNTAX, "an address has something before its @");
	if (local.n > 64)
		return fail_new(a, FAIL_SYNTAX, "at most 64 bytes stand before the @");
	for (size_t i = 0; i < local.n; i++) {
		bool quoted = local.p[0] == '"' && local.n > 1 && local.p[local.n - 1] == '"';
		if (char_is(local.p[i], CHAR_CTL) || (!quoted && char_is(local.p[i], CHAR_WSP)) ||
		    (!quoted && str_has(S("<>()[]\\,;:@\""), local.p[i])))
			return fail_new(a, FAIL_SYNTAX, "a character that an address cannot have");
	}
	TRY(directory_canonical_domain(a, domain, &domain));
	*out = str_format(a, "%.*s@%.*s", STR_ARG(local), STR_ARG(domain));
	return NULL;
}
