#include "edge/mx/judge.h"

#include <string.h>

#include "base/env.h"
#include "base/log.h"
#include "bus/relay_dns.h"
#include "edge/mx/fact.h"

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
	str header, fields;          /* as it came; what was written about it */
	struct iprev_verdict iprev;
	bool has_iprev;
	struct dnsbl_verdict dnsbl;
	struct decision decision;
};

/* --- The client -------------------------------------------------------------------------------------------------- */

static void take_client(struct smtp *s, struct dns_address *out)
{
	str bytes = smtp_client(s).address;

	*out = (struct dns_address){ .family = bytes.n == 16 ? ADDRESS_IPV6 : ADDRESS_IPV4 };
	if (bytes.n > 0 && bytes.n <= sizeof out->bytes)
		memcpy(out->bytes, bytes.p, bytes.n);
}

/* The refusal names the first list that counts against the client. */
static const struct fail *refuse_listed(struct judge *j, bool temporary)
{
	for (size_t i = 0; i < j->dnsbl.n; i++) {
		const struct dnsbl_hit *h = &j->dnsbl.hits[i];
		if (h->result == DNSBL_LISTED && h->list->weight > 0)
			return fail_code(j->arena, temporary ? FAIL_UNAVAILABLE : FAIL_DENIED,
					 temporary ? "4.7.1" : "5.7.1",
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
	decision_add_dnsbl(j->arena, &j->decision, smtp_client_text(j->smtp), &j->dnsbl);
	if (j->decision.total < (int)c->auth_dnsbl_reject)
		return NULL;
	decision_weigh(&j->decision, (int)c->auth_dnsbl_reject, c->auth_dnsbl_temporary);
	return refuse_listed(j, c->auth_dnsbl_temporary);
}

static void next_part(void *context, str payer)
{
	struct judge *j = context;

	j->source = relay_dns_source(&j->dns, smtp_relay(j->smtp), JUDGE_PART_MS);
	j->dns.payer = (struct dns_payer){ .rate = smtp_config(j->smtp)->auth_dns_rate,
					   .domain = payer,
					   .network = smtp_client(j->smtp).address };
}

static const struct fail *check_client(struct judge *j, const struct config *c)
{
	/* About the client itself; there are no more of those than connections. */
	j->source = relay_dns_source(&j->dns, smtp_relay(j->smtp), JUDGE_PART_MS);
	j->has_iprev = c->auth_iprev;
	if (j->has_iprev) {
		iprev_check(j->arena, &j->source, &j->query.client, &j->iprev);
		decision_add_iprev(&j->decision, smtp_client_text(j->smtp), &j->iprev);
	}
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

/* What the reports to the author's domain count: taken or refused, once the verdict is there. */
static void note_fact(struct judge *j, struct transaction *t, bool put_off)
{
	struct event_batch *b = smtp_fact_batch(j->smtp);
	struct dmarc_fact *fact = event_batch_fact(b);
	const struct fact_view view = { .config = smtp_config(j->smtp),
					.verdict = &j->verdict,
					.transaction = t,
					.client = smtp_client(j->smtp),
					.header = j->header,
					.results = j->fields,
					.put_off = put_off,
					.message = gate_id(t->gate) };

	if (fact && fact_make(b->arena, &view, fact))
		b->facts_n++;
}

void judge_settled(struct smtp *s, struct transaction *t, const struct fail *f)
{
	struct judge *j = t->judgement;

	if (j && smtp_config(s)->dmarc_report_from.n)
		note_fact(j, t, f && f->kind == FAIL_TEMP);
}

const struct decision *judge_decision(struct smtp *s, struct transaction *t)
{
	struct judge *j = t->judgement;

	(void)s;
	return j ? &j->decision : NULL;
}

/* RFC 9989 7.3: the word DMARC, and the domain. */
static const struct fail *follow(struct judge *j, const struct auth_verdict *v,
				 struct smtp_judgement *out)
{
	const struct config *c = smtp_config(j->smtp);
	struct decision *d = &j->decision;

	decision_add_auth(j->arena, d, v, c->auth_dmarc_reject);
	decision_weigh(d, (int)c->auth_dnsbl_reject, c->auth_dnsbl_temporary);
	out->junk = d->action == DECISION_JUNK;
	if (d->action == DECISION_DEFER)
		return fail_code(j->arena, FAIL_UNAVAILABLE, "4.7.1", "DMARC: %.*s",
				 STR_ARG(v->dmarc.reason));
	if (d->action == DECISION_REJECT)
		return fail_code(j->arena, FAIL_DENIED, "5.7.1", "DMARC: %.*s",
				 STR_ARG(v->dmarc.reason));
	return NULL;
}

static const struct fail *put_fields(struct judge *j, bool utf8, const struct auth_verdict *v,
				     str *out)
{
	struct buf *text = buf_new(j->arena, FIELDS_MAX);
	str host = smtp_config(j->smtp)->server_hostname;
	struct header_builder h;

	header_builder_init(&h, text);
	h.utf8 = utf8; /* RFC 8616 5: as the sender said it */
	auth_put_fields(j->arena, &h, host, &j->query,
			j->has_iprev ? iprev_result_name(j->iprev.result) : STR_NONE,
			smtp_client_text(j->smtp), v);
	/* It would not fit the next time either: better no results (RFC 8601 2.2) than 451 until the sender gives up. */
	if (h.bad || text->full) {
		LOG(WARN, "judge.no_fields", LOG_STR("client", smtp_client_text(j->smtp)));
		buf_reset(text);
		header_builder_init(&h, text);
		header_put(&h, S("Authentication-Results"),
			   str_format(j->arena, "%.*s; none", STR_ARG(host)));
	}
	*out = buf_str(text);
	return h.bad ? fail_new(j->arena, FAIL_INTERNAL, "the results cannot be written") : NULL;
}

const struct fail *judge_message(struct smtp *s, struct transaction *t, const struct skeleton *m,
				 struct smtp_judgement *out)
{
	struct judge *j = t->judgement;

	(void)s;
	(void)m;
	if (!j)
		return NULL;
	auth_check_finish(j->check, &j->query, &j->verdict);
	TRY(arena_check(t->arena));
	TRY(put_fields(j, t->mail.smtputf8, &j->verdict, &j->fields));
	out->fields = j->fields;
	return follow(j, &j->verdict, out);
}
