/* Who a message says it is from: the domains of its first From field (RFC 9989 5.3.1). */
#include "text/address.h"
#include "text/header.h"
#include "text/skeleton.h"
#include "verdict/dmarc.h"

static bool is_known(const struct dmarc_author *author, str domain)
{
	for (size_t i = 0; i < author->domains_n; i++)
		if (str_eq(author->domains[i], domain))
			return true;
	return false;
}

/* The first trouble decides: it is not undone by a good address behind it. */
static void note(struct dmarc_author *out, enum dmarc_author_kind kind)
{
	if (out->kind == DMARC_AUTHOR_ONE)
		out->kind = kind;
}

static void take_member(struct arena *a, const struct address_entry *e, struct dmarc_author *out)
{
	str domain;

	if (e->host.n == 0) {
		note(out, DMARC_AUTHOR_NO_DOMAIN);
	} else if (str_starts(e->host, S("["))) {
		note(out, DMARC_AUTHOR_LITERAL);
	} else if (domain_to_ascii(a, e->host, &domain)) {
		note(out, DMARC_AUTHOR_BAD_DOMAIN);
	} else if (!is_known(out, domain)) {
		if (out->domains_n == DMARC_DOMAINS)
			note(out, DMARC_AUTHOR_TOO_MANY);
		else
			out->domains[out->domains_n++] = domain;
	}
}

static void take_list(struct arena *a, const struct address_list *list, struct dmarc_author *out)
{
	size_t members = 0;

	for (size_t i = 0; i < list->n; i++) {
		const struct address_entry *e = &list->entries[i];
		if (e->kind != ADDRESS_MEMBER)
			continue;
		if (members++ == 0)
			out->address =
			    str_format(a, "%.*s@%.*s", STR_ARG(e->mailbox), STR_ARG(e->host));
		take_member(a, e, out);
	}
	if (members == 0)
		note(out, DMARC_AUTHOR_EMPTY);
	if (list->cut)
		note(out, DMARC_AUTHOR_TOO_MANY);
	if (list->broken && members > 1)
		out->kind = DMARC_AUTHOR_BROKEN;
	/* A literal beside real domains is no way around them. */
	if (members > 1 && out->kind == DMARC_AUTHOR_LITERAL)
		out->kind = DMARC_AUTHOR_BROKEN;
	if (out->kind == DMARC_AUTHOR_ONE && out->domains_n > 1)
		out->kind = DMARC_AUTHOR_SEVERAL;
}

void dmarc_author_find(struct arena *a, str header, struct dmarc_author *out)
{
	struct header_field from;
	struct address_list list;

	*out = (struct dmarc_author){ .kind = DMARC_AUTHOR_ONE };
	if (!header_find(header, S("From"), 0, &from)) {
		out->kind = DMARC_AUTHOR_ABSENT;
		return;
	}
	address_list_parse(a, from.value, SKELETON_ADDRESSES, &list);
	take_list(a, &list, out);
	if (header_count(header, S("From")) > 1)
		out->kind = DMARC_AUTHOR_FIELDS;
	if (out->kind != DMARC_AUTHOR_ONE && out->kind != DMARC_AUTHOR_SEVERAL)
		out->domains_n = 0;
}
