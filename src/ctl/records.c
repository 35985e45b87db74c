/*
 * Every DNS record that a domain needs, from what this host does: MX, SPF (RFC 7208), the keys (RFC 6376), DMARC (RFC 9989), TLS-RPT
 * (RFC 8460), where mail programs find us (RFC 6186, RFC 8314 5.1), and with --tlsa the certificates (RFC 7672). What is left out is said.
 */
#include "ctl/records.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "config/endpoint.h"
#include "text/address.h"

enum { DNS_TTL = 3600, DNS_STRING = 255, DIGEST = 32 };

/* --- output --- */

/* A TXT value in a zone file: strings of at most 255 bytes, in quotes. What we write holds no quote and no backslash. */
static str zone_text(struct ctl *c, str text)
{
	struct buf *out = buf_new(c->arena, text.n * 2 + 16);

	for (str rest = text; rest.n; rest = str_skip(rest, DNS_STRING)) {
		if (out->n)
			buf_add_byte(out, ' ');
		buf_add_byte(out, '"');
		buf_add(out, str_slice(rest, 0, DNS_STRING));
		buf_add_byte(out, '"');
	}
	return buf_str(out);
}

void records_add(struct records *r, str name, const char *type, str value)
{
	bool is_text = str_eq(str_cstr(type), S("TXT"));

	if (!r->c->json) {
		str shown = is_text ? zone_text(r->c, value) : value;
		ctl_print(str_format(r->c->arena, "%.*s. %d IN %s %.*s\n", STR_ARG(name), DNS_TTL,
				     type, STR_ARG(shown)));
		return;
	}
	listing_str(r->rows, name);
	listing_str(r->rows, str_cstr(type));
	listing_str(r->rows, value);
}

void records_say(struct records *r, str text)
{
	if (!r->c->json)
		ctl_print(str_format(r->c->arena, "; %.*s\n", STR_ARG(text)));
}

struct records records_begin(struct ctl *c)
{
	static const char *const columns[] = { "name", "type", "value" };

	return (struct records){ c, listing_new(c, columns, ARRAY_LEN(columns)) };
}

void records_end(struct records *r)
{
	if (r->c->json)
		listing_print(r->rows, "");
}

void records_keys(struct records *r, const struct dkim_key_info *keys, size_t n)
{
	for (size_t i = 0; i < n; i++)
		records_add(r,
			    str_format(r->c->arena, "%.*s._domainkey.%.*s",
				       STR_ARG(keys[i].selector), STR_ARG(keys[i].domain)),
			    "TXT", keys[i].record);
}

/* --- what a domain needs --- */

static void add_mail(struct records *r, str domain)
{
	struct arena *a = r->c->arena;
	str host = r->c->config->server_hostname;
	/* A smarthost sends from addresses that only its owner knows: until they stand here, "-all" would have our own mail refused. */
	const char *rest = r->c->config->relay_smarthost.n ? "~all" : "-all";

	records_add(r, domain, "MX", str_format(a, "10 %.*s.", STR_ARG(host)));
	records_add(r, domain, "TXT", str_format(a, "v=spf1 mx %s", rest));
	/* RFC 7208 10.1.2: delivery reports have no sender, then the name in HELO is what is checked. */
	if (str_ends_nocase(host, str_format(a, ".%.*s", STR_ARG(domain))))
		records_add(r, host, "TXT", str_format(a, "v=spf1 a %s", rest));
}

/* Where reports of this kind are read without a person: `name` when reports.addresses has it, for every domain or for this one; else
 * postmaster, who is there in any case (RFC 5321 4.5.1). */
static str report_address(const struct records *r, const char *name, str domain)
{
	const struct str_list *read = &r->c->config->reports_addresses;
	str address = str_format(r->c->arena, "%s@%.*s", name, STR_ARG(domain));

	for (size_t i = 0; i < read->n; i++)
		if (str_eq_nocase(read->items[i], str_cstr(name)) ||
		    str_eq_nocase(read->items[i], address))
			return address;
	return str_format(r->c->arena, "postmaster@%.*s", STR_ARG(domain));
}

static void add_reports(struct records *r, str domain)
{
	struct arena *a = r->c->arena;

	records_add(r, str_format(a, "_dmarc.%.*s", STR_ARG(domain)), "TXT",
		    str_format(a, "v=DMARC1; p=none; rua=mailto:%.*s",
			       STR_ARG(report_address(r, "dmarc", domain))));
	records_add(r, str_format(a, "_smtp._tls.%.*s", STR_ARG(domain)), "TXT",
		    str_format(a, "v=TLSRPTv1; rua=mailto:%.*s",
			       STR_ARG(report_address(r, "tlsrpt", domain))));
}

/* The port of the first place where we listen; 0: nowhere. */
static unsigned port_of(const struct str_list *listen)
{
	struct endpoint e;

	return listen->n && endpoint_parse(listen->items[0], &e) ? e.port : 0;
}

/* RFC 6186 3.4: the target "." says that there is none of that here. */
static void add_service(struct records *r, str domain, const char *name, int priority,
			const struct str_list *listen)
{
	struct arena *a = r->c->arena;
	unsigned port = port_of(listen);
	str value = S("0 0 0 .");

	if (port)
		value = str_format(a, "%d 1 %u %.*s.", priority, port,
				   STR_ARG(r->c->config->server_hostname));
	records_add(r, str_format(a, "_%s._tcp.%.*s", name, STR_ARG(domain)), "SRV", value);
}

/* Lower numbers go first: TLS from the first byte (RFC 8314 3), IMAP before POP3. */
static void add_services(struct records *r, str domain)
{
	const struct config *c = r->c->config;

	add_service(r, domain, "submissions", 0, &c->listen_submissions);
	add_service(r, domain, "submission", 10, &c->listen_submission);
	add_service(r, domain, "imaps", 0, &c->listen_imaps);
	add_service(r, domain, "imap", 10, &c->listen_imap);
	add_service(r, domain, "pop3s", 20, &c->listen_pop3s);
	add_service(r, domain, "pop3", 30, &c->listen_pop3);
}

/* RFC 7672 3.1.1: 3 1 1, the SHA-256 of the public key, which stays when the certificate is renewed with the same key. */
static bool tlsa_value(struct arena *a, str der, str *out)
{
	const unsigned char *at = der.p;
	X509 *x = d2i_X509(NULL, &at, (long)der.n);
	unsigned char *spki = NULL;
	int n = x ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &spki) : 0;
	struct buf *text = buf_new(a, 8 + 2 * DIGEST);
	u8 digest[DIGEST];
	bool good = n > 0 && EVP_Digest(spki, (size_t)n, digest, NULL, EVP_sha256(), NULL) == 1;

	buf_add(text, S("3 1 1 "));
	for (size_t i = 0; good && i < sizeof digest; i++)
		buf_printf(text, "%02x", digest[i]);
	OPENSSL_free(spki);
	X509_free(x);
	*out = buf_str(text);
	return good;
}

static const struct fail *add_certificates(struct records *r)
{
	struct arena *a = r->c->arena;
	struct sign_certificates_request q = { .known = 0 };
	struct sign_certificates_answer have;
	str name = str_format(a, "_%u._tcp.%.*s", port_of(&r->c->config->listen_smtp),
			      STR_ARG(r->c->config->server_hostname)),
	    value;

	TRY(sign_certificates(a, r->c->sign, &q, &have));
	records_say(
	    r,
	    S("TLSA counts only in a zone that is signed (DNSSEC), and must be changed before the key is."));
	for (size_t i = 0; i < have.certificates_n; i++)
		if (have.certificates[i].chain_n &&
		    tlsa_value(a, have.certificates[i].chain[0], &value))
			records_add(r, name, "TLSA", value);
	return NULL;
}

static void say_the_rest(struct records *r)
{
	struct arena *a = r->c->arena;
	str host = r->c->config->server_hostname;
	str smarthost = r->c->config->relay_smarthost;

	if (smarthost.n)
		records_say(
		    r, str_format(
			   a,
			   "What leaves here goes through %.*s: put what its owner names for SPF "
			   "(an include:) into the SPF records before ~all, then make it -all.",
			   STR_ARG(smarthost)));
	records_say(
	    r,
	    str_format(a,
		       "%.*s needs an A record and, with IPv6, AAAA; and each of these addresses a "
		       "PTR record to %.*s, which whoever gives you the address sets.",
		       STR_ARG(host), STR_ARG(host)));
	records_say(
	    r,
	    S("MTA-STS is left out: its policy is fetched by HTTPS, which this host does not serve."));
	records_say(
	    r,
	    S("When these are published, and whenever the SPF record is changed: \"postern dns check\" warns when it lets in too many."));
	records_say(
	    r,
	    S("DMARC begins with p=none; p=quarantine or p=reject when the reports show that all mail passes."));
}

static const struct fail *print_records(struct records *r)
{
	struct sign_dkim_keys_list_request q = { 0 };
	struct sign_dkim_keys_list_answer keys;
	str domain;

	TRY(domain_to_ascii(r->c->arena, r->c->arguments[0], &domain));
	q.domain = domain;
	TRY(ctl_connect(r->c));
	TRY(sign_dkim_keys_list(r->c->arena, r->c->sign, &q, &keys));
	add_mail(r, domain);
	records_keys(r, keys.keys, keys.keys_n);
	if (keys.keys_n == 0)
		records_say(
		    r,
		    str_format(r->c->arena,
			       "There are no DKIM keys yet: \"postern dkim new %.*s\" makes them.",
			       STR_ARG(domain)));
	add_reports(r, domain);
	add_services(r, domain);
	if (ctl_has(r->c, "tlsa"))
		TRY(add_certificates(r));
	say_the_rest(r);
	return NULL;
}

enum exit_status ctl_dns_records(struct ctl *c)
{
	struct records r = records_begin(c);
	const struct fail *f = print_records(&r);

	if (f)
		return ctl_fail(c, f, "list the DNS records");
	records_end(&r);
	return EXIT_OK;
}
