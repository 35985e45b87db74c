/* postern spf: may this address send for that domain? Asks DNS itself; needs no running system. */
#include <arpa/inet.h>
#include <unistd.h>

#include "base/env.h"
#include "ctl/dns.h"
#include "text/json.h"
#include "verdict/spf.h"

enum { SPF_OUTPUT = 256 * 1024 };

static const struct fail *take_ip(struct ctl *c, struct dns_address *out)
{
	str value = ctl_option(c, "ip");
	const char *text = cstr(c->arena, value);

	*out = (struct dns_address){ .family = str_has(value, ':') ? ADDRESS_IPV6 : ADDRESS_IPV4 };
	if (text &&
	    inet_pton(out->family == ADDRESS_IPV6 ? AF_INET6 : AF_INET, text, out->bytes) == 1)
		return NULL;
	return fail_new(c->arena, FAIL_INVALID,
			"--ip: expected an IPv4 or IPv6 address, not \"%.*s\"", STR_ARG(value));
}

/* "<ann@example.org>", "ann@example.org", "<>" or "". */
static str without_brackets(str s)
{
	return s.n >= 2 && s.p[0] == '<' && s.p[s.n - 1] == '>' ? str_slice(s, 1, s.n - 1) : s;
}

const struct fail *ctl_spf_query(struct ctl *c, struct spf_query *q)
{
	char host[256] = "";

	if (!ctl_has(c, "ip") || (!ctl_has(c, "helo") && !ctl_has(c, "mail-from")))
		return fail_new(c->arena, FAIL_INVALID,
				"--ip is needed, and --mail-from or --helo, or both");
	TRY(take_ip(c, &q->client));
	q->helo = ctl_option(c, "helo");
	q->mail_from = without_brackets(ctl_option(c, "mail-from"));
	if (gethostname(host, sizeof host - 1) == 0)
		q->receiver = str_copy(c->arena, str_cstr(host));
	q->now = env_now(env_system()) / 1000;
	return NULL;
}

const char *ctl_dns_type_name(u32 type)
{
	switch (type) {
	case DNS_TYPE_A:
		return "A";
	case DNS_TYPE_AAAA:
		return "AAAA";
	case DNS_TYPE_MX:
		return "MX";
	case DNS_TYPE_PTR:
		return "PTR";
	default:
		return "TXT";
	}
}

const char *ctl_dns_status_name(enum dns_status status)
{
	switch (status) {
	case DNS_OK:
		return "found";
	case DNS_NODATA:
		return "no such record";
	case DNS_NXDOMAIN:
		return "no such name";
	case DNS_BOGUS:
		return "refused by DNSSEC";
	case DNS_TEMPFAIL:
	case DNS_OVER_RATE:
		break;
	}
	return "no answer";
}

static void add_json(struct buf *out, const struct spf_verdict *v)
{
	struct json j = json_to(out);

	json_object(&j);
	json_key(&j, "result"), json_str(&j, spf_result_name(v->result));
	json_key(&j, "identity"), json_str(&j, spf_identity_name(v->identity));
	json_key(&j, "domain"), json_str(&j, v->domain);
	json_key(&j, "mechanism"), json_str(&j, v->mechanism);
	json_key(&j, "reason"), json_str(&j, v->reason);
	json_key(&j, "explanation"), json_str(&j, v->explanation);
	json_key(&j, "terms"), json_u64(&j, v->terms);
	json_key(&j, "voids"), json_u64(&j, v->voids);
	json_key(&j, "lookups"), json_array(&j);
	for (size_t i = 0; i < v->lookups_n; i++) {
		json_object(&j);
		json_key(&j, "name"), json_str(&j, v->lookups[i].name);
		json_key(&j, "type"), json_str(&j, str_cstr(ctl_dns_type_name(v->lookups[i].type)));
		json_key(&j, "status"),
		    json_str(&j, str_cstr(ctl_dns_status_name(v->lookups[i].status)));
		json_object_end(&j);
	}
	json_array_end(&j);
	json_object_end(&j);
	buf_add(out, S("\n"));
}

static void add_line(struct buf *out, const char *name, str value)
{
	if (value.n)
		buf_printf(out, "%-14s %.*s\n", name, STR_ARG(value));
}

static void add_text(struct buf *out, const struct spf_verdict *v)
{
	add_line(out, "result", spf_result_name(v->result));
	add_line(out, "identity", spf_identity_name(v->identity));
	add_line(out, "domain", v->domain);
	add_line(out, "mechanism", v->mechanism);
	add_line(out, "reason", v->reason);
	add_line(out, "explanation", v->explanation);
	for (size_t i = 0; i < v->lookups_n; i++)
		buf_printf(out, "%-14s %s %.*s: %s\n", "asked",
			   ctl_dns_type_name(v->lookups[i].type), STR_ARG(v->lookups[i].name),
			   ctl_dns_status_name(v->lookups[i].status));
}

static const struct fail *spf(struct ctl *c, struct buf *out)
{
	struct spf_query q = { 0 };
	struct dns_source source;
	struct spf_verdict v;

	TRY(ctl_spf_query(c, &q));
	TRY(ctl_dns_source(c, &source));
	spf_check(c->arena, &source, &q, &v);
	if (c->json)
		add_json(out, &v);
	else
		add_text(out, &v);
	return NULL;
}

enum exit_status ctl_spf(struct ctl *c)
{
	struct buf *out = buf_new(c->arena, SPF_OUTPUT);
	const struct fail *f = spf(c, out);

	if (f)
		return ctl_fail(c, f, "check SPF");
	ctl_print(buf_str(out));
	return EXIT_OK;
}
