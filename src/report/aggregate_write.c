#include "report/aggregate_write.h"

#include <arpa/inet.h>

#include "base/arena.h"
#include "text/utf8.h"

/* --- XML ------------------------------------------------------------------------------------------------------ */

struct xml {
	struct buf *out;
	unsigned depth;
};

static void indent(struct xml *x)
{
	for (unsigned i = 0; i < x->depth; i++)
		buf_add(x->out, S("  "));
}

static void open_tag(struct xml *x, const char *name)
{
	indent(x);
	buf_printf(x->out, "<%s>\n", name);
	x->depth++;
}

static void close_tag(struct xml *x, const char *name)
{
	x->depth--;
	indent(x);
	buf_printf(x->out, "</%s>\n", name);
}

/* XML 1.0 2.2: which characters may stand at all. */
static bool is_xml(u32 code)
{
	return code == '\t' || (code >= 0x20 && code < 0xD800) ||
	       (code >= 0xE000 && code < 0xFFFE) || code > 0xFFFF;
}

static void add_text(struct buf *out, str text)
{
	for (size_t i = 0, n; i < text.n; i += n) {
		u32 code = '?';
		if (!utf8_next(text, i, &code, &n) || !is_xml(code))
			buf_add_byte(out, '?');
		else if (code == '<')
			buf_add(out, S("&lt;"));
		else if (code == '>')
			buf_add(out, S("&gt;"));
		else if (code == '&')
			buf_add(out, S("&amp;"));
		else
			buf_add(out, str_slice(text, i, i + n));
	}
}

static void put(struct xml *x, const char *name, str text)
{
	indent(x);
	buf_printf(x->out, "<%s>", name);
	add_text(x->out, text);
	buf_printf(x->out, "</%s>\n", name);
}

static void put_name(struct xml *x, const char *name, const char *text)
{
	put(x, name, str_cstr(text));
}

static void put_if(struct xml *x, const char *name, str text)
{
	if (text.n > 0)
		put(x, name, text);
}

static void put_u64(struct xml *x, const char *name, u64 value)
{
	indent(x);
	buf_printf(x->out, "<%s>%llu</%s>\n", name, (unsigned long long)value, name);
}

/* --- The parts, in the order of RFC 9990 3.1 -------------------------------------------------------------------- */

static void put_metadata(struct xml *x, const struct aggregate_report *r)
{
	open_tag(x, "report_metadata");
	put(x, "org_name", r->org);
	put(x, "email", r->email);
	put_if(x, "extra_contact_info", r->contact);
	put(x, "report_id", r->report_id);
	open_tag(x, "date_range");
	put_u64(x, "begin", r->begin / 1000);
	put_u64(x, "end", r->end / 1000);
	close_tag(x, "date_range");
	if (r->errors_n > 0) /* at most one may stand */
		put(x, "error", r->errors[0]);
	put_if(x, "generator", r->generator);
	close_tag(x, "report_metadata");
}

static void put_action(struct xml *x, const char *name, u8 policy)
{
	if (policy != AGGREGATE_POLICY_UNSAID)
		put_name(x, name, aggregate_policy_name(policy));
}

static void put_policy(struct xml *x, const struct aggregate_policy *p)
{
	open_tag(x, "policy_published");
	put(x, "domain", p->domain);
	if (p->discovery != AGGREGATE_UNSAID)
		put_name(x, "discovery_method", aggregate_discovery_name(p->discovery));
	put_action(x, "p", p->p);
	put_action(x, "sp", p->sp);
	put_action(x, "np", p->np);
	put_if(x, "fo", p->fo);
	put_name(x, "adkim", p->strict_dkim ? "s" : "r");
	put_name(x, "aspf", p->strict_spf ? "s" : "r");
	put_name(x, "testing", p->testing ? "y" : "n");
	close_tag(x, "policy_published");
}

static void put_source(struct xml *x, str source)
{
	char text[INET6_ADDRSTRLEN] =
	    "0.0.0.0"; /* not: the sum of rows without one has no address */

	if (source.n == 4 || source.n == 16)
		inet_ntop(source.n == 4 ? AF_INET : AF_INET6, source.p, text, sizeof text);
	put_name(x, "source_ip", text);
}

static void put_row(struct xml *x, const struct aggregate_record *r)
{
	open_tag(x, "row");
	put_source(x, r->source);
	put_u64(x, "count", r->count);
	open_tag(x, "policy_evaluated");
	put_name(x, "disposition", aggregate_disposition_name(r->disposition));
	put_name(x, "dkim", r->dkim ? "pass" : "fail");
	put_name(x, "spf", r->spf ? "pass" : "fail");
	for (size_t i = 0; i < r->reasons_n; i++) {
		open_tag(x, "reason");
		put_name(x, "type", aggregate_override_name(r->reasons[i].type));
		put_if(x, "comment", r->reasons[i].comment);
		close_tag(x, "reason");
	}
	close_tag(x, "policy_evaluated");
	close_tag(x, "row");
}

static void put_identifiers(struct xml *x, const struct aggregate_record *r)
{
	open_tag(x, "identifiers");
	put(x, "header_from", r->header_from);
	put(x, "envelope_from", r->envelope_from); /* empty: the null sender */
	put_if(x, "envelope_to", r->envelope_to);
	close_tag(x, "identifiers");
}

static void put_dkim(struct xml *x, const struct aggregate_dkim *d)
{
	open_tag(x, "dkim");
	put(x, "domain", d->domain);
	put(x, "selector", d->selector);
	put_name(x, "result", aggregate_result_name(d->result));
	put_if(x, "human_result", d->human_result);
	close_tag(x, "dkim");
}

static void put_spf(struct xml *x, const struct aggregate_spf *s)
{
	open_tag(x, "spf");
	put(x, "domain", s->domain);
	put_name(x, "scope", s->helo ? "helo" : "mfrom");
	put_name(x, "result", aggregate_result_name(s->result));
	put_if(x, "human_result", s->human_result);
	close_tag(x, "spf");
}

static void put_record(struct xml *x, const struct aggregate_record *r)
{
	open_tag(x, "record");
	put_row(x, r);
	put_identifiers(x, r);
	open_tag(x, "auth_results");
	for (size_t i = 0; i < r->dkim_results_n; i++)
		put_dkim(x, &r->dkim_results[i]);
	for (size_t i = 0; i < r->spf_results_n; i++)
		put_spf(x, &r->spf_results[i]);
	close_tag(x, "auth_results");
	close_tag(x, "record");
}

void aggregate_write(const struct aggregate_report *r, struct buf *out)
{
	struct xml x = { .out = out };

	buf_add(out, S("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		       "<feedback xmlns=\"urn:ietf:params:xml:ns:dmarc-2.0\">\n"));
	x.depth = 1;
	put_name(&x, "version", "1.0");
	put_metadata(&x, r);
	put_policy(&x, &r->policy);
	for (size_t i = 0; i < r->records_n; i++)
		put_record(&x, &r->records[i]);
	buf_add(out, S("</feedback>\n"));
}
