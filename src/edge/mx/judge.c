#include "edge/mx/judge.h"

#include <string.h>

#include "base/env.h"
#include "base/id.h"
#include "bus/relay_dns.h"
#include "edge/mx/fact.h"
#include "verdict/auth.h"
#include "verdict/dnsbl.h"
#include "verdict/iprev.h"

enum { FIELDS_MAX = GATE_PREFIX / 2 }; /* of Authentication-Results and Received-SPF */

struct judge {
	struct smtp *smtp;
	struct arena *arena;
	struct relay_dns dns;
	struct dns_source source;
	struct spf_query query;
	struct auth_rules rules;
	struct gate_watch watch;
	struct auth_check *check;    /* NULL until the header has come */
	struct auth_verdict verdict; /* all unset until the end has come */
	str number;                  /* of the message, as text */
	str header, fields;          /* as it came; what was written about it */
	struct iprev_verdict iprev;
	bool has_iprev;
	struct dnsbl_verdict dnsbl;
};

/* --- The client -------------------------------------------------------------------------------------------------- */

static void take_client(struct smtp *s, struct dns_address *out)
{
	str bytes = smtp_client(s).address;

	*out = (struct dns_address){ .family = bytes.n == 16 ? ADDRESS_IPV6 : ADDRESS_IPV4 };
	if (bytes.n > 0 && bytes.n <= sizeof out->bytes)
		memcpy(out->bytes, bytes.p, bytes.n);
}

static void note_lists(struct judge *j, u64 message)
{
	for (size_t i = 0; i < j->dnsbl.n; i++) {
		const struct dnsbl_hit *h = &j->dnsbl.hits[i];
		str code = str_format(j->arena, "%u.%u.%u.%u", h->code[0], h->code[1], h->code[2],
				      h->code[3]);
		struct event_argument a[] = {
			EVENT_STR("list", h->list->zone),
			EVENT_STR("result", dnsbl_result_name(h->result)),
			EVENT_STR("code", code),
			EVENT_STR("weight", str_format(j->arena, "%d", h->list->weight)),
			EVENT_STR("text", h->text),
		};
		if (h->result != DNSBL_CLEAR)
			smtp_note(j->smtp, message, "dnsbl", a, ARRAY_LEN(a));
	}
}

/* The refusal names the first list that counts against the client. */
static const struct fail *refuse_listed(struct judge *j)
{
	for (size_t i = 0; i < j->dnsbl.n; i++) {
		const struct dnsbl_hit *h = &j->dnsbl.hits[i];
		if (h->result == DNSBL_LISTED && h->list->weight > 0)
			return fail_code(j->arena, FAIL_DENIED, "5.7.1",
					 "your address %.*s is listed by %.*s: %.*s",
					 STR_ARG(smtp_client_text(j->smtp)), STR_ARG(h->list->zone),
					 STR_ARG(h->text));
	}
	return NULL;
}

static const struct fail *check_lists(struct judge *j, const struct config *c)
{
	struct dnsbl_list *lists = arena_array_of(j->arena, DNSBL_LISTS, struct dnsbl_list);
	size_t n = 0;

	for (size_t i = 0; i < c->auth_dnsbl.n && n < DNSBL_LISTS; i++)
		n += dnsbl_list_parse(j->arena, c->auth_dnsbl.items[i], &lists[n]);
	dnsbl_check(j->arena, &j->source, &j->query.client, lists, n, &j->dnsbl);
	if (j->dnsbl.score < (int)c->auth_dnsbl_reject)
		return NULL;
	note_lists(j, 0);
	return refuse_listed(j);
}

static void next_part(void *context)
{
	struct judge *j = context;

	j->source = relay_dns_source(&j->dns, smtp_relay(j->smtp), JUDGE_PART_MS);
}

static const struct fail *check_client(struct judge *j, const struct config *c)
{
	next_part(j);
	j->has_iprev = c->auth_iprev;
	if (j->has_iprev)
		iprev_check(j->arena, &j->source, &j->query.client, &j->iprev);
	return check_lists(j, c);
}

/* --- The message as it comes --------------------------------------------------------------------------------------- */

static const struct fail *watch_header(void *context, str header)
{
	struct judge *j = context;

	j->header = header;
	j->check = auth_check_new(j->arena, &j->rules, header);
	return arena_check(j->arena);
}

static void watch_body(void *context, str piece)
{
	struct judge *j = context;

	auth_check_body(j->check, piece);
}

static struct auth_rules rules_of(struct judge *j, const struct config *c)
{
	return (struct auth_rules){
		.spf = c->auth_spf,
		.dkim = c->auth_dkim,
		.arc = c->auth_trusted_sealers.n > 0, /* it can change nothing else */
		.dmarc = c->auth_dmarc,
		.mailing_lists = c->auth_mailing_lists.items,
		.mailing_lists_n = c->auth_mailing_lists.n,
		.trusted_sealers = c->auth_trusted_sealers.items,
		.trusted_sealers_n = c->auth_trusted_sealers.n,
		.dns = &j->source,
		.part = next_part,
		.context = j,
	};
}

static struct judge *judge_new(struct smtp *s, struct transaction *t,
			       const struct dns_address *client)
{
	const struct config *c = smtp_config(s);
	struct judge *j = arena_new_of(t->arena, struct judge);

	*j =
	    (struct judge){ .smtp = s,
			    .arena = t->arena,
			    .query = { .client = *client,
				       .helo = str_copy(t->arena, smtp_helo(s)),
				       .mail_from = t->sender,
				       .receiver = c->server_hostname,
				       .now = env_now(env_system()) / 1000 },
			    .rules = rules_of(j, c),
			    .watch = { .context = j, .header = watch_header, .body = watch_body } };
	return j;
}

const struct fail *judge_open(struct smtp *s, struct transaction *t, struct gate_rules *rules)
{
	const struct config *c = smtp_config(s);
	struct dns_address client;
	struct judge *j;

	if (smtp_is_lmtp(s))
		return NULL;
	rules->names = &c->server_hostname;
	rules->names_n = 1;
	take_client(s, &client);
	if (!c->auth_local_networks && !address_is_public(&client))
		return NULL;
	j = judge_new(s, t, &client);
	rules->watch = &j->watch;
	t->judgement = j;
	return check_client(j, c);
}

/* --- The verdict --------------------------------------------------------------------------------------------------- */

static void note_spf(struct judge *j, u64 message, const struct spf_verdict *v)
{
	struct event_argument a[] = {
		EVENT_STR("id", j->number),
		EVENT_STR("result", spf_result_name(v->result)),
		EVENT_STR("domain", v->domain),
		EVENT_STR("identity", spf_identity_name(v->identity)),
		EVENT_STR("mechanism", v->mechanism),
		EVENT_STR("reason", v->reason),
	};

	smtp_note(j->smtp, message, "spf", a, ARRAY_LEN(a));
}

static void note_dkim(struct judge *j, u64 message, const struct dkim_verdicts *list)
{
	for (size_t i = 0; i < list->n && i < AUTH_SIGNATURES_SHOWN; i++) {
		const struct dkim_verdict *v = &list->list[i];
		struct event_argument a[] = {
			EVENT_STR("id", j->number),
			EVENT_STR("result", dkim_result_name(v->result)),
			EVENT_STR("domain", v->domain),
			EVENT_STR("selector", v->selector),
			EVENT_STR("algorithm", dkim_algorithm_name(v->algorithm)),
			EVENT_U64("key_bits", v->key_bits),
			EVENT_STR("reason", v->reason),
		};
		smtp_note(j->smtp, message, "dkim", a, ARRAY_LEN(a));
	}
}

static void note_arc(struct judge *j, u64 message, const struct arc_verdict *v)
{
	struct event_argument a[] = {
		EVENT_STR("id", j->number),
		EVENT_STR("result", arc_result_name(v->result)),
		EVENT_STR("domain", v->sets_n > 0 ? v->sets[v->sets_n - 1].domain : STR_NONE),
		EVENT_U64("sets", v->sets_n),
		EVENT_STR("reason", v->reason),
	};

	if (v->result != ARC_NONE)
		smtp_note(j->smtp, message, "arc", a, ARRAY_LEN(a));
}

static void note_dmarc(struct judge *j, u64 message, const struct auth_verdict *v)
{
	const struct dmarc_verdict *d = &v->dmarc;
	struct event_argument a[] = {
		EVENT_STR("id", j->number),
		EVENT_STR("result", str_cstr(dmarc_result_name(d->result))),
		EVENT_STR("domain", d->author),
		EVENT_STR("from", v->author.address),
		EVENT_STR("policy", d->policy_domain.n > 0 ? str_cstr(dmarc_policy_name(d->policy))
							   : STR_NONE),
		EVENT_STR("policy_domain", d->policy_domain),
		EVENT_STR("aligned", d->aligned),
		EVENT_STR("disposition", str_cstr(dmarc_disposition_name(d->disposition))),
		EVENT_STR("override", d->override),
		EVENT_STR("reason", d->reason),
	};

	smtp_note(j->smtp, message, "dmarc", a, ARRAY_LEN(a));
}

/* What the reports to the author's domain count: taken or refused, once the verdict is there. */
static void note_fact(struct judge *j, struct transaction *t)
{
	struct event_batch *b = smtp_fact_batch(j->smtp);
	struct dmarc_fact *fact = event_batch_fact(b);
	const struct fact_view view = { .config = smtp_config(j->smtp),
					.verdict = &j->verdict,
					.transaction = t,
					.client = smtp_client(j->smtp),
					.header = j->header,
					.results = j->fields,
					.message = gate_id(t->gate) };

	if (fact && fact_make(b->arena, &view, fact))
		b->facts_n++;
}

void judge_settled(struct smtp *s, struct transaction *t, u64 message)
{
	struct judge *j = t->judgement;
	const struct auth_verdict *v;

	(void)s;
	if (!j)
		return;
	v = &j->verdict;
	j->number = id_text(j->arena, gate_id(t->gate));
	note_lists(j, message);
	if (v->has_spf)
		note_spf(j, message, &v->spf);
	if (v->has_dkim)
		note_dkim(j, message, &v->dkim);
	if (v->has_arc)
		note_arc(j, message, &v->arc);
	if (v->has_dmarc)
		note_dmarc(j, message, v);
	note_fact(j, t);
}

/* RFC 9989 7.3: the word DMARC, the domain, and the id by which the administrator finds all of it. */
static const struct fail *follow_policy(struct judge *j, u64 id, const struct dmarc_verdict *v,
					struct smtp_judgement *out)
{
	str number = id_text(j->arena, id);

	switch (v->disposition) {
	case DMARC_ACCEPT:
		break;
	case DMARC_JUNK:
		out->junk = true;
		break;
	case DMARC_DEFER:
		return fail_code(j->arena, FAIL_UNAVAILABLE, "4.7.1", "DMARC: %.*s [%.*s]",
				 STR_ARG(v->reason), STR_ARG(number));
	case DMARC_REFUSE:
		if (smtp_config(j->smtp)->auth_dmarc_reject)
			return fail_code(j->arena, FAIL_DENIED, "5.7.1", "DMARC: %.*s [%.*s]",
					 STR_ARG(v->reason), STR_ARG(number));
		out->junk = true;
		break;
	}
	return NULL;
}

static const struct fail *put_fields(struct judge *j, const struct auth_verdict *v, str *out)
{
	struct buf *text = buf_new(j->arena, FIELDS_MAX);
	struct header_builder h;

	header_builder_init(&h, text);
	auth_put_fields(j->arena, &h, smtp_config(j->smtp)->server_hostname, &j->query,
			j->has_iprev ? iprev_result_name(j->iprev.result) : STR_NONE,
			smtp_client_text(j->smtp), v);
	*out = buf_str(text);
	if (h.bad || text->full)
		return fail_new(j->arena, FAIL_INTERNAL, "the results cannot be written");
	return NULL;
}

const struct fail *judge_message(struct smtp *s, struct transaction *t, const struct skeleton *m,
				 struct smtp_judgement *out)
{
	struct judge *j = t->judgement;
	u64 id = gate_id(t->gate);
	const struct auth_verdict *v;

	(void)m;
	if (!j)
		return NULL;
	v = &j->verdict;
	auth_check_finish(j->check, &j->query, &j->verdict);
	TRY(arena_check(t->arena));
	out->junk = j->dnsbl.score * 2 >= (int)smtp_config(s)->auth_dnsbl_reject;
	TRY(put_fields(j, v, &j->fields));
	out->fields = j->fields;
	return v->has_dmarc ? follow_policy(j, id, &v->dmarc, out) : NULL;
}
