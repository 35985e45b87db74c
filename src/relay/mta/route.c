#include "relay/mta/route.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/arena.h"
#include "base/scan.h"
#include "relay/mta/site.h"

str route_own_name(const struct config *c)
{
	return c->relay_helo.n ? c->relay_helo : c->server_hostname;
}

str address_text(struct arena *a, const struct dns_address *address)
{
	char text[INET6_ADDRSTRLEN];
	int family = address->family == ADDRESS_IPV4 ? AF_INET : AF_INET6;

	inet_ntop(family, address->bytes, text, sizeof text);
	return str_copy(a, str_cstr(text));
}

/* --- Hosts ---------------------------------------------------------------------------------------------------- */

static void route_one(struct arena *a, struct route_host host, struct route *out)
{
	struct route_host *hosts = arena_new_of(a, struct route_host);

	*hosts = host;
	out->hosts = hosts;
	out->hosts_n = 1;
}

/* An address as people write it, without brackets. */
static bool address_parse_plain(struct arena *a, str text, struct dns_address *out)
{
	const char *c = cstr(a, text);

	*out = (struct dns_address){ .family = ADDRESS_IPV4 };
	if (c && inet_pton(AF_INET, c, out->bytes) == 1)
		return true;
	out->family = ADDRESS_IPV6;
	return c && inet_pton(AF_INET6, c, out->bytes) == 1;
}

/* "HOST:PORT", "192.0.2.1:PORT", "[2001:db8::1]:PORT" */
static const struct fail *route_smarthost(struct arena *a, const struct config *c,
					  struct route *out)
{
	str setting = c->relay_smarthost;
	size_t colon = str_find_last(setting, ':');
	struct route_host host = { .name = str_slice(setting, 0, colon) };
	u64 port;

	if (colon == SIZE_MAX || !str_u64(str_skip(setting, colon + 1), &port) || port == 0 ||
	    port > UINT16_MAX || host.name.n == 0)
		return fail_code(a, FAIL_INVALID, "4.3.5", "relay.smarthost is not HOST:PORT");
	out->port = (u32)port;
	out->smarthost = true;
	if (str_eq(c->relay_smarthost_tls, S("implicit")))
		out->tls = ROUTE_TLS_IMPLICIT;
	else if (c->relay_smarthost_user.n)
		out->tls = ROUTE_TLS_REQUIRED; /* no setting sends a password in clear */
	if (host.name.p[0] == '[' && host.name.p[host.name.n - 1] == ']')
		host.name = str_slice(host.name, 1, host.name.n - 1);
	host.literal = address_parse_plain(a, host.name, &host.address);
	route_one(a, host, out);
	return NULL;
}

static const struct fail *dns_doubt(struct arena *a, str domain, enum dns_status status, str why)
{
	if (status == DNS_BOGUS)
		return fail_code(a, FAIL_UNAVAILABLE, "4.7.5", "DNSSEC says %.*s is bogus: %.*s",
				 STR_ARG(domain), STR_ARG(str_slice(why, 0, 200)));
	return fail_code(a, FAIL_UNAVAILABLE, "4.4.3", "DNS does not answer for %.*s",
			 STR_ARG(domain));
}

static const struct fail *loops(struct arena *a, str domain)
{
	return fail_code(a, FAIL_CONFLICT, "5.4.6", "mail for %.*s loops back to me",
			 STR_ARG(domain));
}

/* Those before ourselves (RFC 5321 5.1: an MX never sends to one of its own preference or worse). */
static const struct fail *route_mx(struct arena *a, const struct router *r, str domain,
				   const struct dns_mx_list *mx, struct route *out)
{
	struct route_host *hosts = arena_array_of(a, mx->hosts_n, struct route_host);
	size_t n = mx->hosts_n;

	for (size_t i = 0; i < n; i++) /* the best one, when we stand there more than once */
		if (str_eq_nocase(mx->hosts[i].host, route_own_name(r->config)) ||
		    str_eq_nocase(mx->hosts[i].host, r->config->server_hostname))
			for (n = i;
			     n > 0 && mx->hosts[n - 1].preference >= mx->hosts[i].preference;)
				n--;
	if (n == 0)
		return loops(a, domain);
	if (n > MTA_HOSTS)
		n = MTA_HOSTS;
	for (size_t i = 0; i < n; i++)
		hosts[i] = (struct route_host){ .name = mx->hosts[i].host,
						.preference = mx->hosts[i].preference };
	out->hosts = hosts;
	out->hosts_n = n;
	return NULL;
}

static const struct fail *route_domain(struct arena *a, const struct router *r, str domain,
				       struct route *out)
{
	struct dns_mx_list mx;

	TRY(domain_to_ascii(a, domain, &domain));
	mx = dns_lookup_mx(a, r->resolver, domain, r->dns_ms);
	switch (mx.status) {
	case DNS_OK:
		if (mx.null_mx)
			return fail_code(a, FAIL_NOT_FOUND, "5.1.10",
					 "556 5.1.10 %.*s takes no mail (null MX)",
					 STR_ARG(domain));
		return route_mx(a, r, domain, &mx, out);
	case DNS_NODATA: /* RFC 5321 5.1: the domain is its own only MX */
		if (str_eq_nocase(domain, r->config->server_hostname))
			return loops(a, domain);
		route_one(a, (struct route_host){ .name = domain }, out);
		return NULL;
	case DNS_NXDOMAIN:
		return fail_code(a, FAIL_NOT_FOUND, "5.1.2", "the domain %.*s does not exist",
				 STR_ARG(domain));
	case DNS_TEMPFAIL:
	case DNS_BOGUS:
	case DNS_OVER_RATE:
		break;
	}
	return dns_doubt(a, domain, mx.status, mx.why_bogus);
}

static void route_set_site(struct arena *a, struct route *out)
{
	str *names = arena_array_of(a, out->hosts_n, str);

	for (size_t i = 0; i < out->hosts_n; i++)
		names[i] = out->hosts[i].name;
	out->site = site_key(a, names, out->hosts_n, out->port);
}

const struct fail *route_find(struct arena *a, const struct router *r, str domain,
			      struct route *out)
{
	struct route_host literal = { .name = domain, .literal = true };

	*out = (struct route){ .port = (u32)r->config->relay_port, .tls = ROUTE_TLS_MAY };
	if (r->config->relay_smarthost.n)
		TRY(route_smarthost(a, r->config, out));
	else if (address_literal(domain, &literal.address.family, literal.address.bytes))
		route_one(a, literal, out);
	else if (domain.n && domain.p[0] == '[')
		return fail_code(a, FAIL_INVALID, "5.1.2", "%.*s is no address", STR_ARG(domain));
	else
		TRY(route_domain(a, r, domain, out));
	route_set_site(a, out);
	return NULL;
}

/* --- Addresses ------------------------------------------------------------------------------------------------ */

struct address_choice {
	const struct router *router;
	const struct route *route;
	struct dns_address *out;
	size_t n;
	bool refused; /* at least one was not public */
};

static void choose(struct address_choice *c, const struct dns_address *address)
{
	bool good = c->route->smarthost || c->router->config->relay_local_networks ||
		    address_is_public(address);

	if (good && c->n < MTA_ADDRESSES)
		c->out[c->n++] = *address;
	if (!good)
		c->refused = true;
}

static void choose_all(struct address_choice *c, const struct dns_address *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		choose(c, &list[i]);
}

static void choose_in_turn(struct address_choice *c, const struct dns_address_list *list)
{
	for (size_t i = 0; i < list->ipv6_n || i < list->ipv4_n; i++) {
		if (i < list->ipv6_n)
			choose(c, &list->ipv6[i]);
		if (i < list->ipv4_n)
			choose(c, &list->ipv4[i]);
	}
}

static void choose_in_order(struct address_choice *c, const struct dns_address_list *list,
			    struct route_order order)
{
	if (order.ipv6_last && !order.ipv4_last) {
		choose_all(c, list->ipv4, list->ipv4_n);
		choose_all(c, list->ipv6, list->ipv6_n);
	} else if (order.ipv4_last && !order.ipv6_last) {
		choose_all(c, list->ipv6, list->ipv6_n);
		choose_all(c, list->ipv4, list->ipv4_n);
	} else {
		choose_in_turn(c, list);
	}
}

const struct fail *route_addresses(struct arena *a, const struct router *r,
				   const struct route *route, const struct route_host *host,
				   struct route_order order, struct dns_address *out, size_t *n)
{
	struct address_choice choice = { r, route, out, 0, false };
	struct dns_address_list list;

	*n = 0;
	if (host->literal) {
		choose(&choice, &host->address);
	} else {
		list = dns_lookup_addresses(a, r->resolver, host->name, r->dns_ms);
		if (dns_is_trouble(list.status))
			return dns_doubt(a, host->name, list.status, list.why_bogus);
		choose_in_order(&choice, &list, order);
	}
	*n = choice.n;
	if (choice.n)
		return NULL;
	/* Who named the smarthost was not the sender: nothing bounces for it. */
	return fail_code(a, FAIL_NOT_FOUND, route->smarthost ? "4.4.4" : "5.4.4",
			 choice.refused ? "the server %.*s has only addresses of private networks"
					: "the server %.*s has no address",
			 STR_ARG(host->name));
}
