/* The mechanisms, RFC 7208 5: what each asks and when it matches. Only A, AAAA, MX, PTR (and TXT, in spf.c) are ever asked for. */
#include <arpa/inet.h>

#include "base/arena.h"
#include "verdict/spf_int.h"

/* --- Questions -------------------------------------------------------------------------------------------- */

static enum spf_match give_up(struct spf_run *r, enum spf_match how, const char *why, str name)
{
	r->verdict->reason =
	    str_format(r->arena, "%s: %.*s", why, STR_ARG(spf_printable(r->arena, name, 253)));
	return how;
}

struct dns_answer spf_ask(struct spf_run *r, str name, u32 type, bool *over)
{
	struct dns_answer answer = { .status = DNS_TEMPFAIL };

	*over = r->verdict->lookups_n == SPF_QUESTIONS;
	if (*over)
		return answer;
	r->source->query(r->source->context, r->arena, name, type, &answer);
	r->lookups[r->verdict->lookups_n++] = (struct spf_lookup){
		.name = spf_printable(r->arena, name, RDATA_NAME_TEXT),
		.type = type,
		.status = answer.status,
	};
	if (answer.status != DNS_OK)
		answer.records_n = 0;
	return answer;
}

/* A question of a mechanism: YES when it was answered, even with nothing. */
static enum spf_match ask(struct spf_run *r, str name, u32 type, struct dns_answer *answer)
{
	bool over;

	*answer = spf_ask(r, name, type, &over);
	if (over)
		return give_up(r, SPF_MATCH_PERMERROR, "it takes too many DNS questions", name);
	if (answer->status == DNS_TEMPFAIL)
		return give_up(r, SPF_MATCH_TEMPERROR, "DNS does not answer", name);
	if (answer->status == DNS_BOGUS)
		return give_up(r, SPF_MATCH_TEMPERROR, "DNSSEC refuses the answer", name);
	if (answer->status == DNS_OVER_RATE)
		return give_up(r, SPF_MATCH_TEMPERROR,
			       "not asked, its mail takes too many DNS questions a minute", name);
	return SPF_MATCH_YES;
}

static enum spf_match count_void(struct spf_run *r, enum dns_status status, str name)
{
	if (status != DNS_NODATA && status != DNS_NXDOMAIN)
		return SPF_MATCH_YES;
	if (++r->verdict->voids > SPF_VOID)
		return give_up(r, SPF_MATCH_PERMERROR, "too many names without an answer", name);
	return SPF_MATCH_YES;
}

/* The first question of a term: the one that may be void. */
static enum spf_match ask_first(struct spf_run *r, str name, u32 type, struct dns_answer *answer)
{
	enum spf_match m = ask(r, name, type, answer);

	return m == SPF_MATCH_YES ? count_void(r, answer->status, name) : m;
}

bool spf_count_term(struct spf_run *r)
{
	return ++r->verdict->terms <= SPF_TERMS;
}

/* --- Addresses -------------------------------------------------------------------------------------------- */

static bool address_in(const struct dns_address *c, const struct dns_address *network, u8 prefix)
{
	size_t whole = prefix / 8;
	u8 rest = prefix % 8;

	if (c->family != network->family)
		return false;
	for (size_t i = 0; i < whole; i++)
		if (c->bytes[i] != network->bytes[i])
			return false;
	return rest == 0 || ((c->bytes[whole] ^ network->bytes[whole]) >> (8 - rest)) == 0;
}

static u8 prefix_of(const struct spf_run *r, const struct spf_term *t)
{
	return r->client.family == ADDRESS_IPV4 ? t->prefix4 : t->prefix6;
}

/* Addresses are asked for in the client's family, RFC 7208 5. */
static u32 address_type(const struct spf_run *r)
{
	return r->client.family == ADDRESS_IPV4 ? DNS_TYPE_A : DNS_TYPE_AAAA;
}

static bool answer_has(const struct spf_run *r, const struct dns_answer *answer, u8 prefix)
{
	struct dns_address address;

	for (size_t i = 0; i < answer->records_n; i++)
		if (rdata_address(answer->records[i], r->client.family, &address) &&
		    address_in(&r->client, &address, prefix))
			return true;
	return false;
}

str spf_address_text(struct arena *a, const struct dns_address *address)
{
	char text[INET6_ADDRSTRLEN];
	int family = address->family == ADDRESS_IPV4 ? AF_INET : AF_INET6;

	return str_copy(a, str_cstr(inet_ntop(family, address->bytes, text, sizeof text)));
}

/* --- a, mx, exists ---------------------------------------------------------------------------------------- */

static enum spf_match match_a(struct spf_run *r, str name, const struct spf_term *t)
{
	struct dns_answer answer;
	enum spf_match m = ask_first(r, name, address_type(r), &answer);

	if (m != SPF_MATCH_YES)
		return m;
	return answer_has(r, &answer, prefix_of(r, t)) ? SPF_MATCH_YES : SPF_MATCH_NO;
}

static enum spf_match match_mx_host(struct spf_run *r, str host, const struct spf_term *t)
{
	struct dns_answer answer;
	enum spf_match m = ask(r, host, address_type(r), &answer);

	if (m != SPF_MATCH_YES)
		return m;
	if (answer.records_n > SPF_MX_ADDRESSES)
		return give_up(r, SPF_MATCH_PERMERROR, "an MX host with too many addresses", host);
	return answer_has(r, &answer, prefix_of(r, t)) ? SPF_MATCH_YES : SPF_MATCH_NO;
}

static enum spf_match match_mx(struct spf_run *r, str name, const struct spf_term *t)
{
	struct dns_answer answer;
	enum spf_match m = ask_first(r, name, DNS_TYPE_MX, &answer);
	struct dns_mx mx;

	if (m != SPF_MATCH_YES)
		return m;
	if (answer.records_n > SPF_MX)
		return give_up(r, SPF_MATCH_PERMERROR, "too many MX records", name);
	m = SPF_MATCH_NO;
	for (size_t i = 0; i < answer.records_n && m == SPF_MATCH_NO; i++)
		if (rdata_mx(r->arena, answer.records[i], &mx) && mx.host.n)
			m = match_mx_host(r, mx.host, t);
	return m;
}

/* RFC 7208 5.7: A, whatever the client's family. */
static enum spf_match match_exists(struct spf_run *r, str name)
{
	struct dns_answer answer;
	enum spf_match m = ask_first(r, name, DNS_TYPE_A, &answer);

	if (m != SPF_MATCH_YES)
		return m;
	return answer.records_n ? SPF_MATCH_YES : SPF_MATCH_NO;
}

/* --- ptr -------------------------------------------------------------------------------------------------- */

static bool is_below(str name, str domain)
{
	return name.n > domain.n && str_ends_nocase(name, domain) &&
	       name.p[name.n - domain.n - 1] == '.';
}

/* The validated names of the client (RFC 7208 5.5), asked for once in a check. Trouble with one name only leaves it out. */
static void find_ptr_names(struct spf_run *r)
{
	struct dns_answer names, addresses;
	bool over;
	str reverse;

	r->ptr_done = true;
	r->ptr_status = DNS_TEMPFAIL;
	if (!spf_macro_expand(r, STR_NONE, S("%{ir}.%{v}.arpa"), &reverse))
		return;
	names = spf_ask(r, reverse, DNS_TYPE_PTR, &over);
	r->ptr_status = names.status;
	for (size_t i = 0; i < names.records_n && i < SPF_PTR; i++) {
		str name;
		if (!rdata_name(r->arena, names.records[i], &name) || !name.n)
			continue;
		addresses = spf_ask(r, name, address_type(r), &over);
		if (answer_has(r, &addresses, r->client.family == ADDRESS_IPV4 ? 32 : 128))
			r->ptr_names[r->ptr_n++] = name;
	}
}

static enum spf_match match_ptr(struct spf_run *r, str name)
{
	enum spf_match m;

	if (!r->ptr_done)
		find_ptr_names(r);
	m = count_void(r, r->ptr_status, name);
	if (m != SPF_MATCH_YES)
		return m;
	for (size_t i = 0; i < r->ptr_n; i++)
		if (str_eq_nocase(r->ptr_names[i], name) || is_below(r->ptr_names[i], name))
			return SPF_MATCH_YES;
	return SPF_MATCH_NO;
}

str spf_ptr_name(struct spf_run *r, str domain)
{
	if (!r->ptr_done)
		find_ptr_names(r);
	for (size_t i = 0; i < r->ptr_n; i++)
		if (str_eq_nocase(r->ptr_names[i], domain))
			return r->ptr_names[i];
	for (size_t i = 0; i < r->ptr_n; i++)
		if (is_below(r->ptr_names[i], domain))
			return r->ptr_names[i];
	return r->ptr_n ? r->ptr_names[0] : S("unknown");
}

/* --- All of them ------------------------------------------------------------------------------------------ */

static enum spf_match match_network(const struct spf_run *r, const struct spf_term *t)
{
	return address_in(&r->client, &t->network, prefix_of(r, t)) ? SPF_MATCH_YES : SPF_MATCH_NO;
}

enum spf_match spf_match(struct spf_run *r, str domain, const struct spf_term *t)
{
	str name;

	if (t->kind == SPF_TERM_IP4 || t->kind == SPF_TERM_IP6)
		return match_network(r, t);
	if (!spf_count_term(r))
		return give_up(r, SPF_MATCH_PERMERROR, "too many terms that ask DNS", t->text);
	if (!spf_macro_target(r, domain, t->spec, &name))
		return SPF_MATCH_NO;
	if (t->kind == SPF_TERM_A)
		return match_a(r, name, t);
	if (t->kind == SPF_TERM_MX)
		return match_mx(r, name, t);
	if (t->kind == SPF_TERM_EXISTS)
		return match_exists(r, name);
	return match_ptr(r, name);
}
