#include "mda/destination.h"

#include "base/arena.h"
#include "text/dns_rdata.h"
#include "verdict/dmarc.h"

enum { WHY_MAX = 1024 };

enum relation { RELATION_OURS, RELATION_OTHER, RELATION_UNKNOWN };

struct finding {
	struct arena *a;
	const struct dns_source *dns;
	str policy_domain;
	bool failures;
	struct destinations *out;
};

static void say(struct finding *x, str what, const char *why)
{
	buf_printf(x->out->why, "%s%.*s: %s", x->out->why->n ? "; " : "", STR_ARG(what), why);
}

static void add(struct finding *x, const struct report_uri *uri)
{
	for (size_t i = 0; i < x->out->n; i++)
		if (str_eq(x->out->list[i].address, uri->address))
			return;
	if (x->out->n == DESTINATIONS)
		say(x, uri->address, "one address too many");
	else
		x->out->list[x->out->n++] = *uri;
}

/* One name needs no question. */
static enum relation relation_to(struct finding *x, str host)
{
	str ours, theirs;

	if (str_eq(host, x->policy_domain))
		return RELATION_OURS;
	if (!dmarc_organization(x->a, x->dns, x->policy_domain, &ours) ||
	    !dmarc_organization(x->a, x->dns, host, &theirs))
		return RELATION_UNKNOWN;
	return str_eq(ours, theirs) ? RELATION_OURS : RELATION_OTHER;
}

/* --- Elsewhere: RFC 9990 4 ------------------------------------------------------------------------------------- */

/* Step 9: the destination may name another address, at the same host; one at a different host voids all. */
static void add_named(struct finding *x, const struct report_uri *asked,
		      const struct dmarc_record *record)
{
	const str *uris = x->failures ? record->ruf : record->rua;
	size_t n = x->failures ? record->ruf_n : record->rua_n;
	struct report_uri named;

	for (size_t i = 0; i < n; i++) {
		if (!report_uri_parse(x->a, uris[i], &named) || str_eq(named.host, asked->host))
			continue;
		say(x, asked->address, "it names an address at another host");
		return;
	}
	if (n == 0)
		add(x, asked);
	for (size_t i = 0; i < n; i++)
		if (report_uri_parse(x->a, uris[i], &named))
			add(x, &named);
}

static void add_external(struct finding *x, const struct report_uri *uri)
{
	str name = str_format(x->a, "%.*s._report._dmarc.%.*s", STR_ARG(x->policy_domain),
			      STR_ARG(uri->host));
	struct dns_answer answer = { .status = DNS_NXDOMAIN };
	struct dmarc_record record;
	str text;

	if (name.n <= RDATA_NAME_TEXT)
		x->dns->query(x->dns->context, x->a, name, DNS_TYPE_TXT, &answer);
	if (dns_is_trouble(answer.status)) {
		x->out->undecided = true;
		say(x, uri->address, "DNS does not answer");
		return;
	}
	for (size_t i = 0; i < answer.records_n && i < DMARC_TEXTS; i++) {
		if (rdata_txt(x->a, answer.records[i], &text) &&
		    dmarc_record_parse(text, &record)) {
			add_named(x, uri, &record);
			return;
		}
	}
	say(x, uri->address, "its domain did not say that it wants these reports");
}

static void add_uri(struct finding *x, str text)
{
	struct report_uri uri;

	if (!report_uri_parse(x->a, text, &uri)) {
		say(x, text, "nothing that reports can be sent to");
		return;
	}
	switch (relation_to(x, uri.host)) {
	case RELATION_OURS:
		add(x, &uri);
		break;
	case RELATION_OTHER:
		add_external(x, &uri);
		break;
	case RELATION_UNKNOWN:
		x->out->undecided = true;
		say(x, uri.address, "DNS does not answer");
		break;
	}
}

void destinations_find(struct arena *a, const struct dns_source *dns, str policy_domain,
		       const str *uris, size_t n, bool failures, struct destinations *out)
{
	struct finding x = {
		.a = a, .dns = dns, .policy_domain = policy_domain, .failures = failures, .out = out
	};

	*out = (struct destinations){ .why = buf_new(a, WHY_MAX) };
	for (size_t i = 0; i < n; i++)
		add_uri(&x, uris[i]);
}
