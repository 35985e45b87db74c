/* postern auth: what port 25 would think of a message, with everything that it would ask. Needs no running system. */
#include "verdict/auth.h"

#include "base/scan.h"
#include "ctl/dns.h"
#include "text/date.h"
#include "text/json.h"

enum {
	AUTH_OUTPUT = 512 * 1024,
	AUTH_QUESTIONS = 512, /* remembered to be shown */
	AUTH_NAME = 8,        /* columns */
	AUTH_RESULT = 11,
};

struct question {
	str name;
	u32 type;
	struct dns_answer answer;
};

/* Between the judge and the resolver: remembers what is asked. */
struct journal {
	struct dns_source to;
	struct question list[AUTH_QUESTIONS];
	size_t n;
};

static void journal_query(void *context, struct arena *a, str name, u32 type,
			  struct dns_answer *out)
{
	struct journal *j = context;

	j->to.query(j->to.context, a, name, type, out);
	if (j->n < AUTH_QUESTIONS)
		j->list[j->n++] = (struct question){ str_copy(a, name), type, *out };
}

/* "2026-11-21T19:25:07Z". */
static const struct fail *take_time(struct ctl *c, u64 *seconds)
{
	i64 ms;

	if (!ctl_has(c, "time"))
		return NULL;
	if (!date_parse_iso(ctl_option(c, "time"), &ms) || ms < 0)
		return fail_new(c->arena, FAIL_INVALID, "--time: expected 2026-11-21T19:25:07Z");
	*seconds = (u64)ms / 1000;
	return NULL;
}

static struct auth_rules rules_of(const struct ctl *c, const struct dns_source *dns)
{
	return (struct auth_rules){ .spf = true,
				    .dkim = true,
				    .arc = true,
				    .dmarc = true,
				    .mailing_lists = c->config->auth_mailing_lists.items,
				    .mailing_lists_n = c->config->auth_mailing_lists.n,
				    .trusted_sealers = c->config->auth_trusted_sealers.items,
				    .trusted_sealers_n = c->config->auth_trusted_sealers.n,
				    .dns = dns };
}

/* --- For people ---------------------------------------------------------------------------------------------------- */

static void put_column(struct buf *out, str text, size_t width)
{
	buf_add(out, text);
	for (size_t n = text.n; n < width; n++)
		buf_add_byte(out, ' ');
}

static void line(struct buf *out, str name, str result, str about, str reason)
{
	put_column(out, name, AUTH_NAME);
	put_column(out, result, AUTH_RESULT);
	buf_add(out, about);
	buf_add_byte(out, '\n');
	if (reason.n == 0)
		return;
	put_column(out, STR_NONE, AUTH_NAME + AUTH_RESULT);
	buf_add(out, reason);
	buf_add_byte(out, '\n');
}

static void print_dmarc(struct buf *out, const struct auth_verdict *v)
{
	const struct dmarc_verdict *d = &v->dmarc;

	line(out, S("DMARC"), str_cstr(dmarc_result_name(d->result)), d->author, d->reason);
	if (d->policy_domain.n > 0)
		buf_printf(out, "%18s policy of %.*s: %s=%s%s\n", "", STR_ARG(d->policy_domain),
			   d->policy_tag, dmarc_policy_name(d->policy),
			   d->testing ? " (testing)" : "");
	if (d->override.n > 0)
		buf_printf(out, "%18s not applied: %.*s\n", "", STR_ARG(d->override));
	line(out, S("so"), str_cstr(dmarc_disposition_name(d->disposition)), STR_NONE, STR_NONE);
}

static void print_text(struct ctl *c, struct buf *out, const struct auth_verdict *v,
		       const struct journal *j)
{
	line(out, S("From"), STR_NONE, v->author.address, STR_NONE);
	line(out, S("SPF"), spf_result_name(v->spf.result), v->spf.domain, v->spf.reason);
	for (size_t i = 0; i < v->dkim.n; i++) {
		const struct dkim_verdict *d = &v->dkim.list[i];
		line(out, S("DKIM"), dkim_result_name(d->result),
		     str_format(c->arena, "%.*s, selector %.*s, %.*s", STR_ARG(d->domain),
				STR_ARG(d->selector), STR_ARG(dkim_algorithm_name(d->algorithm))),
		     d->reason);
	}
	if (v->dkim.n == 0)
		line(out, S("DKIM"), S("none"), STR_NONE, S("the message is not signed"));
	line(out, S("ARC"), arc_result_name(v->arc.result), STR_NONE, v->arc.reason);
	print_dmarc(out, v);
	for (size_t i = 0; i < j->n; i++)
		buf_printf(out, "asked   %-4s %.*s: %s\n", ctl_dns_type_name(j->list[i].type),
			   STR_ARG(j->list[i].name), ctl_dns_status_name(j->list[i].answer.status));
}

/* --- For programs --------------------------------------------------------------------------------------------------- */

static void field(struct json *j, const char *name, str value)
{
	json_key(j, name);
	json_str(j, value);
}

static void json_dkim(struct json *j, const struct dkim_verdicts *list)
{
	json_key(j, "dkim");
	json_array(j);
	for (size_t i = 0; i < list->n; i++) {
		const struct dkim_verdict *d = &list->list[i];
		json_object(j);
		field(j, "result", dkim_result_name(d->result));
		field(j, "domain", d->domain);
		field(j, "selector", d->selector);
		field(j, "algorithm", dkim_algorithm_name(d->algorithm));
		json_key(j, "key_bits"), json_u64(j, d->key_bits);
		json_key(j, "length_limited"), json_bool(j, d->length_limited);
		field(j, "reason", d->reason);
		json_object_end(j);
	}
	json_array_end(j);
}

static void json_dmarc(struct json *j, const struct auth_verdict *v)
{
	const struct dmarc_verdict *d = &v->dmarc;

	json_key(j, "dmarc");
	json_object(j);
	field(j, "result", str_cstr(dmarc_result_name(d->result)));
	field(j, "from", v->author.address);
	field(j, "domain", d->author);
	field(j, "organizational_domain", d->organizational);
	field(j, "policy_domain", d->policy_domain);
	field(j, "policy", d->policy_domain.n ? str_cstr(dmarc_policy_name(d->policy)) : STR_NONE);
	json_key(j, "spf_aligned"), json_bool(j, d->spf_aligned);
	json_key(j, "dkim_aligned"), json_bool(j, d->dkim_aligned);
	field(j, "disposition", str_cstr(dmarc_disposition_name(d->disposition)));
	field(j, "override", d->override);
	field(j, "reason", d->reason);
	json_object_end(j);
}

static void print_json(struct buf *out, const struct auth_verdict *v, const struct journal *asked)
{
	struct json j = json_to(out);

	json_object(&j);
	json_key(&j, "spf");
	json_object(&j);
	field(&j, "result", spf_result_name(v->spf.result));
	field(&j, "identity", spf_identity_name(v->spf.identity));
	field(&j, "domain", v->spf.domain);
	field(&j, "reason", v->spf.reason);
	json_object_end(&j);
	json_dkim(&j, &v->dkim);
	json_key(&j, "arc");
	json_object(&j);
	field(&j, "result", arc_result_name(v->arc.result));
	json_key(&j, "sets"), json_u64(&j, v->arc.sets_n);
	field(&j, "reason", v->arc.reason);
	json_object_end(&j);
	json_dmarc(&j, v);
	json_key(&j, "asked");
	json_array(&j);
	for (size_t i = 0; i < asked->n; i++) {
		json_object(&j);
		field(&j, "name", asked->list[i].name);
		field(&j, "type", str_cstr(ctl_dns_type_name(asked->list[i].type)));
		field(&j, "status", str_cstr(ctl_dns_status_name(asked->list[i].answer.status)));
		json_object_end(&j);
	}
	json_array_end(&j);
	json_object_end(&j);
	buf_add(out, S("\n"));
}

/* ------------------------------------------------------------------------------------------------------------------ */

static const struct fail *judge(struct ctl *c, struct journal *j, struct auth_verdict *v)
{
	struct dns_source dns = { .context = j, .query = journal_query };
	struct auth_rules rules;
	struct auth_check *check;
	struct spf_query q = { 0 };
	str message;
	size_t header;

	TRY(ctl_spf_query(c, &q));
	TRY(take_time(c, &q.now));
	TRY(ctl_read_mail(c, S("-"), &message));
	TRY(ctl_dns_source(c, &j->to));
	rules = rules_of(c, &dns);
	header = header_length(message);
	check = auth_check_new(c->arena, &rules, str_slice(message, 0, header));
	auth_check_body(check, str_skip(message, header));
	auth_check_finish(check, &q, v);
	return NULL;
}

enum exit_status ctl_auth(struct ctl *c)
{
	struct journal *j = arena_new_of(c->arena, struct journal);
	struct buf *out = buf_new(c->arena, AUTH_OUTPUT);
	struct auth_verdict v;
	const struct fail *f = judge(c, j, &v);

	if (f)
		return ctl_fail(c, f, "judge the message");
	if (c->json)
		print_json(out, &v, j);
	else
		print_text(c, out, &v, j);
	ctl_print(buf_str(out));
	return v.dmarc.result == DMARC_PASS ? EXIT_OK : EXIT_FAILED;
}
