/* dmarc reports|report|sources|failures, tlsrpt, complaints: what others report about our domains, beside what we know ourselves. */
#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>

#include "base/env.h"
#include "base/id.h"
#include "base/ip.h"
#include "ctl/ctl_int.h"
#include "report/aggregate.h"
#include "report/clean.h"
#include "report/feedback.h"
#include "report/incoming.h"
#include "report/tlsrpt.h"
#include "text/address.h"

enum { DAYS = 30, DAYS_MOST = 1000, PAGE = 200, LIST_MOST = 20000, OWN_MOST = 200, SOURCES = 5000 };

/* --- What all have in common --------------------------------------------------------------------------------- */

static void say(const struct ctl *c, str text)
{
	if (!c->json)
		ctl_print(text);
}

static const struct fail *page_read(struct ctl *c, struct received_page *out)
{
	u64 days = DAYS;

	if (ctl_has(c, "days") && (!str_u64(ctl_option(c, "days"), &days) || days > DAYS_MOST))
		return fail_new(c->arena, FAIL_INVALID, "--days: expected a number up to %d",
				DAYS_MOST);
	*out = (struct received_page){ .since = env_now(env_system()) - days * 24 * 60 * 60 * 1000,
				       .max = PAGE };
	if (c->arguments_n)
		TRY(domain_to_ascii(c->arena, c->arguments[0], &out->domain));
	return ctl_connect(c);
}

/* One kind of list. next: lists one page behind page->before, moves that, and tells how many rows there were. */
struct kind {
	const char *const *columns;
	size_t columns_n;
	const struct fail *(*next)(struct ctl *c, struct listing *l, struct received_page *page,
				   size_t *n);
	const char *doing, *none;
};

static const struct fail *list_pages(struct ctl *c, const struct kind *k, struct listing *l,
				     bool *more)
{
	struct received_page page;
	size_t n = 1, all = 0;

	TRY(page_read(c, &page));
	while (n > 0 && all < LIST_MOST) {
		TRY(k->next(c, l, &page, &n));
		all += n;
	}
	*more = n > 0;
	return NULL;
}

static enum exit_status list(struct ctl *c, const struct kind *k)
{
	struct listing *l = listing_new(c, k->columns, k->columns_n);
	bool more;
	const struct fail *f = list_pages(c, k, l, &more);

	if (f)
		return ctl_fail(c, f, k->doing);
	listing_print(l, k->none);
	if (more)
		say(c, S("There are older ones: name a domain, or fewer --days.\n"));
	return EXIT_OK;
}

static str source_text(struct arena *a, str source)
{
	str text = ip_text(a, source);

	return text.n ? text : S("-");
}

/* Several lines as a list. */
static void listing_lines(struct ctl *c, struct listing *l, str text)
{
	size_t n = 0, max = 1, end;
	str *lines;

	for (size_t i = 0; i < text.n; i++)
		max += text.p[i] == '\n';
	lines = arena_array_of(c->arena, max, str);
	while (text.n) {
		end = str_find(text, '\n');
		lines[n++] = str_slice(text, 0, end);
		text = end == SIZE_MAX ? STR_NONE : str_skip(text, end + 1);
	}
	listing_list(l, lines, n);
}

/* --- Our own addresses --------------------------------------------------------------------------------------- */

struct own {
	str addresses[OWN_MOST];
	size_t n;
};

static void own_add(struct own *own, str address)
{
	if (address.n && own->n < OWN_MOST)
		own->addresses[own->n++] = address;
}

static str interface_address(struct arena *a, const struct sockaddr *address)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	if (address && address->sa_family == AF_INET) {
		memcpy(&v4, address, sizeof v4);
		return str_copy(a, str_from(&v4.sin_addr, 4));
	}
	if (address && address->sa_family == AF_INET6) {
		memcpy(&v6, address, sizeof v6);
		return str_copy(a, str_from(&v6.sin6_addr, 16));
	}
	return STR_NONE;
}

/* What the administrator wrote; else what this machine's interfaces have. */
static void own_find(struct ctl *c, struct own *own)
{
	const struct str_list *given = &c->config->reports_own_addresses;
	struct ifaddrs *list = NULL;

	*own = (struct own){ .n = 0 };
	for (size_t i = 0; i < given->n; i++)
		own_add(own, clean_ip(c->arena, given->items[i]));
	if (given->n || getifaddrs(&list) != 0)
		return;
	for (const struct ifaddrs *i = list; i; i = i->ifa_next)
		own_add(own, interface_address(c->arena, i->ifa_addr));
	freeifaddrs(list); /* library's */
}

/* Whose mail it was, as far as that can be known. dkim and spf: of its messages, those that passed aligned. */
static str whose(const struct own *own, str source, u64 dkim, u64 spf)
{
	for (size_t i = 0; i < own->n; i++) {
		if (source.n && str_eq(own->addresses[i], source))
			return S("ours");
	}
	if (source.n == 0)
		return S("others");
	return dkim ? S("signed") : spf ? S("allowed") : S("unknown");
}

static bool is_ours(str word)
{
	return str_eq(word, S("ours"));
}

static const char explanation[] =
    "ours: sent by this server; sent_there, sent: what it sent itself in that time, to the reporters' hosts and to all\n"
    "signed: by a key of the domain, from elsewhere: a service of yours, or a forwarder that left the mail as it was\n"
    "allowed: by the domain's SPF record    unknown: somebody else in its name, or a forwarder that changed the mail\n";

/* --- dmarc reports ------------------------------------------------------------------------------------------- */

static const char *const report_columns[] = {
	"id",  "received", "sender", "proof",     "reporter", "domain",      "policy",   "begin",
	"end", "messages", "passed", "pass_rate", "accepted", "quarantined", "rejected",
};

static str policy_text(struct arena *a, const struct received_report *r)
{
	return str_format(a, "%s%s", aggregate_policy_name(r->p), r->testing ? " (testing)" : "");
}

static void report_row(struct ctl *c, struct listing *l, const struct received_report *r)
{
	listing_id(l, r->id);
	listing_time(l, r->received);
	listing_str(l, r->sender);
	listing_str(l, str_cstr(incoming_proof_name(r->proof)));
	listing_str(l, r->org);
	listing_str(l, r->domain);
	listing_str(l, policy_text(c->arena, r));
	listing_time(l, r->begin);
	listing_time(l, r->end);
	listing_u64(l, r->messages);
	listing_u64(l, r->passed);
	listing_rate(l, r->passed, r->messages);
	listing_u64(l, r->accepted);
	listing_u64(l, r->quarantined);
	listing_u64(l, r->rejected);
}

static const struct fail *reports_next(struct ctl *c, struct listing *l, struct received_page *page,
				       size_t *n)
{
	struct office_received_list_request q = { .page = *page };
	struct office_received_list_answer r;

	TRY(office_received_list(c->arena, c->office, &q, &r));
	for (size_t i = 0; i < r.reports_n; i++) {
		report_row(c, l, &r.reports[i]);
		page->before = r.reports[i].id;
	}
	*n = r.reports_n;
	return NULL;
}

enum exit_status ctl_dmarc_reports(struct ctl *c)
{
	static const struct kind kind = { report_columns, ARRAY_LEN(report_columns), reports_next,
					  "list the DMARC reports",
					  "No DMARC reports came in that time." };

	return list(c, &kind);
}

/* --- dmarc report -------------------------------------------------------------------------------------------- */

static const char *const row_columns[] = {
	"source",       "whose",       "messages",      "disposition", "dkim",
	"spf",          "header_from", "envelope_from", "sent_there",  "sent",
	"dkim_results", "spf_results", "reasons",
};

static void detail_row(struct ctl *c, struct listing *l, const struct own *own,
		       const struct received_row *r)
{
	str word = whose(own, r->source, r->dkim, r->spf);

	listing_str(l, source_text(c->arena, r->source));
	listing_str(l, word);
	listing_u64(l, r->count);
	listing_str(l, str_cstr(aggregate_disposition_name(r->disposition)));
	listing_str(l, r->dkim ? S("pass") : S("fail"));
	listing_str(l, r->spf ? S("pass") : S("fail"));
	listing_str(l, r->header_from);
	listing_str(l, r->envelope_from);
	listing_u64(l, is_ours(word) ? r->sent : 0);
	listing_u64(l, is_ours(word) ? r->sent_all : 0);
	listing_lines(c, l, r->dkim_results);
	listing_lines(c, l, r->spf_results);
	listing_lines(c, l, r->reasons);
}

static const struct fail *report(struct ctl *c)
{
	struct listing *head = listing_new(c, report_columns, ARRAY_LEN(report_columns));
	struct listing *l = listing_new(c, row_columns, ARRAY_LEN(row_columns));
	struct own *own = arena_new_of(c->arena, struct own);
	struct office_received_show_request q = { 0 };
	struct office_received_show_answer r;

	if (!id_parse(c->arguments[0], &q.id))
		return fail_new(c->arena, FAIL_INVALID,
				"\"%.*s\" is not the id of a report (13 letters and digits)",
				STR_ARG(c->arguments[0]));
	TRY(ctl_connect(c));
	TRY(office_received_show(c->arena, c->office, &q, &r));
	own_find(c, own);
	report_row(c, head, &r.report);
	for (size_t i = 0; i < r.rows_n; i++)
		detail_row(c, l, own, &r.rows[i]);
	if (!c->json)
		listing_print_one(head);
	if (!c->json && r.report.errors.n)
		ctl_print(str_format(c->arena, "%-14s %.*s\n", "errors", STR_ARG(r.report.errors)));
	say(c, S("\n"));
	listing_print(l, "It has no rows.");
	say(c, S("\n"));
	say(c, str_cstr(explanation));
	return NULL;
}

enum exit_status ctl_dmarc_report(struct ctl *c)
{
	const struct fail *f = report(c);

	return f ? ctl_fail(c, f, "show the report") : EXIT_OK;
}

/* --- dmarc sources ------------------------------------------------------------------------------------------- */

static const char *const source_columns[] = {
	"source", "whose", "header_from", "messages",    "passed",   "pass_rate",
	"dkim",   "spf",   "accepted",    "quarantined", "rejected", "reports",
	"first",  "last",  "sent_there",  "sent",
};

static void source_row(struct ctl *c, struct listing *l, const struct own *own,
		       const struct received_source *s)
{
	listing_str(l, source_text(c->arena, s->source));
	listing_str(l, whose(own, s->source, s->dkim, s->spf));
	listing_str(l, s->header_from);
	listing_u64(l, s->messages);
	listing_u64(l, s->passed);
	listing_rate(l, s->passed, s->messages);
	listing_u64(l, s->dkim);
	listing_u64(l, s->spf);
	listing_u64(l, s->accepted);
	listing_u64(l, s->quarantined);
	listing_u64(l, s->rejected);
	listing_u64(l, s->reports);
	listing_time(l, s->first);
	listing_time(l, s->last);
	listing_u64(l, s->sent);
	listing_u64(l, s->sent_all);
}

static const struct fail *sources(struct ctl *c, struct listing *l, u64 *left_out)
{
	struct office_received_sources_request q = { .max = SOURCES,
						     .forged = ctl_has(c, "forged") };
	struct own *own = arena_new_of(c->arena, struct own);
	struct office_received_sources_answer r;
	struct received_page page;

	TRY(page_read(c, &page));
	own_find(c, own);
	q.domain = page.domain;
	q.since = page.since;
	q.own = own->addresses;
	q.own_n = own->n;
	TRY(office_received_sources(c->arena, c->office, &q, &r));
	for (size_t i = 0; i < r.sources_n; i++)
		source_row(c, l, own, &r.sources[i]);
	*left_out = r.left_out;
	return NULL;
}

enum exit_status ctl_dmarc_sources(struct ctl *c)
{
	struct listing *l = listing_new(c, source_columns, ARRAY_LEN(source_columns));
	u64 left_out;
	const struct fail *f = sources(c, l, &left_out);

	if (f)
		return ctl_fail(c, f, "list the sources");
	listing_print(l, "No DMARC reports came in that time.");
	say(c, S("\n"));
	say(c, str_cstr(explanation));
	if (left_out)
		say(c,
		    str_format(
			c->arena,
			"Left out: %llu reports whose own mail failed DMARC (--forged counts them)\n",
			(unsigned long long)left_out));
	return EXIT_OK;
}

/* --- tlsrpt -------------------------------------------------------------------------------------------------- */

static const char *const tls_columns[] = {
	"received", "sender", "proof",      "reporter", "report_id",    "domain",   "policy",
	"begin",    "end",    "successful", "failed",   "success_rate", "failures",
};

static str failure_text(struct arena *a, const struct tlsrpt_failure *f)
{
	struct buf *out = buf_new(a, 8 * 1024);

	buf_printf(out, "%llu %.*s", (unsigned long long)f->count, STR_ARG(f->type));
	if (f->receiving_mx.n)
		buf_printf(out, " at %.*s", STR_ARG(f->receiving_mx));
	if (f->receiving_ip.n)
		buf_printf(out, " [%.*s]", STR_ARG(f->receiving_ip));
	if (f->sending_mta.n)
		buf_printf(out, " from [%.*s]", STR_ARG(f->sending_mta));
	if (f->reason.n)
		buf_printf(out, " (%.*s)", STR_ARG(f->reason));
	if (f->info.n)
		buf_printf(out, " %.*s", STR_ARG(f->info));
	return buf_str(out);
}

static void tls_row(struct ctl *c, struct listing *l, const struct tlsrpt_info *t)
{
	str *failures = arena_array_of(c->arena, t->policy.failures_n, str);

	for (size_t i = 0; i < t->policy.failures_n; i++)
		failures[i] = failure_text(c->arena, &t->policy.failures[i]);
	listing_time(l, t->received);
	listing_str(l, t->sender);
	listing_str(l, str_cstr(incoming_proof_name(t->proof)));
	listing_str(l, t->org);
	listing_str(l, t->report_id);
	listing_str(l, t->policy.domain);
	listing_str(l, str_cstr(tlsrpt_policy_type_name(t->policy.type)));
	listing_time(l, t->begin);
	listing_time(l, t->end);
	listing_u64(l, t->policy.successful);
	listing_u64(l, t->policy.failed);
	listing_rate(l, t->policy.successful, t->policy.successful + t->policy.failed);
	listing_list(l, failures, t->policy.failures_n);
}

static const struct fail *tls_next(struct ctl *c, struct listing *l, struct received_page *page,
				   size_t *n)
{
	struct office_tlsrpt_list_request q = { .page = *page };
	struct office_tlsrpt_list_answer r;

	TRY(office_tlsrpt_list(c->arena, c->office, &q, &r));
	for (size_t i = 0; i < r.reports_n; i++) {
		tls_row(c, l, &r.reports[i]);
		page->before = r.reports[i].id;
	}
	*n = r.reports_n;
	return NULL;
}

enum exit_status ctl_tlsrpt(struct ctl *c)
{
	static const struct kind kind = { tls_columns, ARRAY_LEN(tls_columns), tls_next,
					  "list the TLS reports",
					  "No TLS reports came in that time." };

	return list(c, &kind);
}

/* --- dmarc failures, complaints ------------------------------------------------------------------------------ */

static const char *const feedback_columns[] = {
	"received",     "mail",     "sender",    "proof",    "kind",       "domain",
	"source",       "from",     "to",        "subject",  "message_id", "arrival",
	"auth_failure", "delivery", "incidents", "reporter",
};

static void feedback_row(struct ctl *c, struct listing *l, const struct feedback_info *i)
{
	const struct feedback_report *r = &i->report;

	listing_time(l, i->received);
	listing_id(l, i->message);
	listing_str(l, i->sender);
	listing_str(l, str_cstr(incoming_proof_name(i->proof)));
	listing_str(l, r->kind == FEEDBACK_OTHER ? r->type : str_cstr(feedback_kind_name(r->kind)));
	listing_str(l, i->domain);
	listing_str(l, source_text(c->arena, r->source));
	listing_str(l, r->original_from);
	listing_list(l, r->original_to, r->original_to_n);
	listing_str(l, r->subject);
	listing_str(l, r->message_id);
	listing_time(l, r->arrival);
	listing_str(l, r->auth_failure);
	listing_str(l, r->delivery);
	listing_u64(l, r->incidents);
	listing_str(l, r->reporting_mta.n ? r->reporting_mta : r->user_agent);
}

static const struct fail *feedback_next(struct ctl *c, struct listing *l,
					struct received_page *page, bool failures, size_t *n)
{
	struct office_feedback_list_request q = { .page = *page, .failures = failures };
	struct office_feedback_list_answer r;

	TRY(office_feedback_list(c->arena, c->office, &q, &r));
	for (size_t i = 0; i < r.reports_n; i++) {
		feedback_row(c, l, &r.reports[i]);
		page->before = r.reports[i].id;
	}
	*n = r.reports_n;
	return NULL;
}

static const struct fail *failures_next(struct ctl *c, struct listing *l,
					struct received_page *page, size_t *n)
{
	return feedback_next(c, l, page, true, n);
}

enum exit_status ctl_dmarc_failures(struct ctl *c)
{
	static const struct kind kind = { feedback_columns, ARRAY_LEN(feedback_columns),
					  failures_next, "list the failure reports",
					  "No DMARC failure reports came in that time." };

	return list(c, &kind);
}

static const struct fail *complaints_next(struct ctl *c, struct listing *l,
					  struct received_page *page, size_t *n)
{
	return feedback_next(c, l, page, false, n);
}

enum exit_status ctl_complaints(struct ctl *c)
{
	static const struct kind kind = { feedback_columns, ARRAY_LEN(feedback_columns),
					  complaints_next, "list the complaints",
					  "No complaints came in that time." };

	return list(c, &kind);
}
