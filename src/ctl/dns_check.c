/* postern dns check: is what DNS has for a domain of ours wise? The SPF record: how many addresses it lets in (THREATS D10). Needs no running system. */
#include "ctl/dns.h"
#include "text/address.h"
#include "text/json.h"
#include "verdict/spf_width.h"

enum { CHECK_OUTPUT = 256 * 1024 };

static void add_parts(struct json *j, const struct spf_width *w)
{
	json_key(j, "parts"), json_array(j);
	for (size_t i = 0; i < w->parts_n; i++) {
		json_object(j);
		json_key(j, "term"), json_str(j, w->parts[i].term);
		json_key(j, "ipv4"), json_u64(j, w->parts[i].ipv4);
		json_key(j, "ipv6_64"), json_u64(j, w->parts[i].ipv6);
		json_object_end(j);
	}
	json_array_end(j);
}

static void add_json(struct ctl *c, struct buf *out, str domain, const struct spf_width *w)
{
	struct json j = json_to(out);

	json_object(&j);
	json_key(&j, "domain"), json_str(&j, domain);
	json_key(&j, "record"), json_str(&j, w->record);
	json_key(&j, "ipv4"), json_u64(&j, w->ipv4);
	json_key(&j, "ipv6_64"), json_u64(&j, w->ipv6);
	json_key(&j, "all_counted"), json_bool(&j, !w->uncounted);
	json_key(&j, "lookups"), json_u64(&j, w->lookups);
	json_key(&j, "voids"), json_u64(&j, w->voids);
	add_parts(&j, w);
	json_key(&j, "warnings"), json_array(&j);
	for (size_t i = 0; i < w->findings_n; i++) {
		json_object(&j);
		json_key(&j, "code"),
		    json_str(&j, str_cstr(spf_warning_code(w->findings[i].warning)));
		json_key(&j, "text"), json_str(&j, spf_warning_text(c->arena, &w->findings[i]));
		json_object_end(&j);
	}
	json_array_end(&j);
	json_object_end(&j);
	buf_add(out, S("\n"));
}

static void add_width(struct buf *out, const char *name, str term, u64 ipv4, u64 ipv6)
{
	buf_printf(out, "%-14s %llu addresses of IPv4, %llu networks (/64) of IPv6", name,
		   (unsigned long long)ipv4, (unsigned long long)ipv6);
	if (term.n)
		buf_printf(out, " by %.*s", STR_ARG(term));
	buf_add(out, S("\n"));
}

static void add_text(struct ctl *c, struct buf *out, str domain, const struct spf_width *w)
{
	buf_printf(out, "%-14s %.*s\n", "domain", STR_ARG(domain));
	if (w->record.n) {
		buf_printf(out, "%-14s %.*s\n", "SPF record", STR_ARG(w->record));
		add_width(out, "lets in", STR_NONE, w->ipv4, w->ipv6);
		for (size_t i = 1; i < w->parts_n; i++)
			add_width(out, "of them", w->parts[i].term, w->parts[i].ipv4,
				  w->parts[i].ipv6);
		if (w->uncounted)
			buf_printf(out, "%-14s what exists, ptr and macros let in\n",
				   "not counted");
		buf_printf(out, "%-14s %u of %u\n", "asks DNS", w->lookups, (unsigned)SPF_TERMS);
	}
	for (size_t i = 0; i < w->findings_n; i++)
		buf_printf(out, "%-14s %.*s\n", "WARNING",
			   STR_ARG(spf_warning_text(c->arena, &w->findings[i])));
	if (w->findings_n == 0)
		buf_add(out, S("no warnings\n"));
}

static const struct fail *check(struct ctl *c, str *domain, struct spf_width *w)
{
	struct dns_source source;

	TRY(domain_to_ascii(c->arena, c->arguments[0], domain));
	TRY(ctl_dns_source(c, &source));
	spf_width_of(c->arena, &source, *domain, w);
	return NULL;
}

enum exit_status ctl_dns_check(struct ctl *c)
{
	struct spf_width *w = arena_new_of(c->arena, struct spf_width);
	struct buf *out = buf_new(c->arena, CHECK_OUTPUT);
	str domain;
	const struct fail *f = check(c, &domain, w);

	if (f)
		return ctl_fail(c, f, "check what DNS has");
	if (c->json)
		add_json(c, out, domain, w);
	else
		add_text(c, out, domain, w);
	ctl_print(buf_str(out));
	return w->findings_n ? EXIT_THRESHOLD : EXIT_OK;
}
