#include "ctl/replay.h"

#include <arpa/inet.h>

#include "base/env.h"
#include "base/fd.h"
#include "base/id.h"
#include "ctl/dns.h"
#include "office/event.h"
#include "text/header.h"

/* --- The message as it came ---------------------------------------------------------------------------------------- */

/* Behind our own Received field, which names the message's id; all of it when there is none. */
static str as_it_came(struct arena *a, str message, u64 id)
{
	str rest = str_slice(message, 0, header_length(message)), name = id_text(a, id);
	struct header_field f;

	while (header_next(&rest, &f))
		if (str_eq_nocase(f.name, S("Received")) &&
		    str_find_str(header_unfold(a, f.value), name) != SIZE_MAX)
			return str_skip(message, (size_t)(f.raw.p + f.raw.n - message.p));
	return message;
}

static const struct fail *read_message(struct ctl *c, u64 id, str *out)
{
	struct office_message_read_request q = { .message = id };
	struct office_message_read_answer r;
	str whole;

	TRY(office_message_read(c->arena, c->office, &q, &r));
	TRY(fd_read(c->arena, r.body, 0, (size_t)r.size, &whole));
	*out = as_it_came(c->arena, whole, id);
	return NULL;
}

static const struct fail *take_query(struct ctl *c, const struct story *s, struct spf_query *q,
				     str *client)
{
	for (size_t i = 0; i < s->events_n; i++) {
		const struct event_record *e = &s->events[i];
		bool v6;
		if (!str_eq(e->code, event_code_name(EVENT_ACCEPTED)) ||
		    !event_args_get(c->arena, e->arguments, S("client"), client))
			continue;
		v6 = str_has(*client, ':');
		(void)!event_args_get(c->arena, e->arguments, S("helo"), &q->helo);
		(void)!event_args_get(c->arena, e->arguments, S("sender"), &q->mail_from);
		q->client.family = v6 ? ADDRESS_IPV6 : ADDRESS_IPV4;
		q->receiver = c->config->server_hostname;
		q->now = env_now(env_system()) / 1000;
		if (inet_pton(v6 ? AF_INET6 : AF_INET, cstr(c->arena, *client) ?: "",
			      q->client.bytes) == 1)
			return NULL;
	}
	return fail_new(c->arena, FAIL_NOT_FOUND,
			"it did not come from another server: nothing was judged");
}

/* --- Once more --------------------------------------------------------------------------------------------------------- */

static void check_client(struct ctl *c, const struct dns_source *dns, const struct spf_query *q,
			 str client, struct decision *d)
{
	const struct config *config = c->config;
	struct dnsbl_list *lists = arena_array_of(c->arena, DNSBL_LISTS, struct dnsbl_list);
	struct dnsbl_verdict found;
	struct iprev_verdict name;
	size_t n = 0;

	if (config->auth_iprev) {
		iprev_check(c->arena, dns, &q->client, &name);
		decision_add_iprev(d, client, &name);
	}
	for (size_t i = 0; i < config->auth_dnsbl.n && n < DNSBL_LISTS; i++)
		n += dnsbl_list_parse(c->arena, config->auth_dnsbl.items[i], &lists[n]);
	dnsbl_check(c->arena, dns, &q->client, lists, n, &found);
	decision_add_dnsbl(c->arena, d, client, &found);
}

static struct auth_rules rules_of(const struct config *c, const struct dns_source *dns)
{
	return (struct auth_rules){ .spf = c->auth_spf,
				    .dkim = c->auth_dkim,
				    .arc = c->auth_trusted_sealers.n > 0,
				    .dmarc = c->auth_dmarc,
				    .mailing_lists = c->auth_mailing_lists.items,
				    .mailing_lists_n = c->auth_mailing_lists.n,
				    .trusted_sealers = c->auth_trusted_sealers.items,
				    .trusted_sealers_n = c->auth_trusted_sealers.n,
				    .dns = dns };
}

const struct fail *replay_run(struct ctl *c, const struct story *s, struct replay *out)
{
	struct spf_query q = { 0 };
	struct auth_verdict v;
	struct auth_rules rules;
	struct auth_check *check;
	struct dns_source dns;
	str message, client;
	size_t header;

	if (id_is_attempt(s->id))
		return fail_new(c->arena, FAIL_NOT_FOUND,
				"what was refused was not kept: there is nothing to judge again");
	TRY(take_query(c, s, &q, &client));
	TRY(read_message(c, s->id, &message));
	TRY(ctl_dns_source(c, &dns));
	check_client(c, &dns, &q, client, &out->today);
	rules = rules_of(c->config, &dns);
	header = header_length(message);
	check = auth_check_new(c->arena, &rules, str_slice(message, 0, header));
	auth_check_body(check, str_skip(message, header));
	auth_check_finish(check, &q, &v);
	decision_add_auth(c->arena, &out->today, &v, c->config->auth_dmarc_reject);
	decision_weigh(&out->today, (int)c->config->auth_dnsbl_reject,
		       c->config->auth_dnsbl_temporary);
	out->done = true;
	return NULL;
}

/* --- Then and today ------------------------------------------------------------------------------------------------------ */

static const struct fact *same_fact(const struct decision *d, const struct fact *f)
{
	bool by_source = str_eq(f->check, S("dkim")) || str_eq(f->check, S("dnsbl"));

	for (size_t i = 0; i < d->n; i++)
		if (str_eq(d->facts[i].check, f->check) &&
		    (!by_source || str_eq(d->facts[i].source, f->source)))
			return &d->facts[i];
	return NULL;
}

static void put_pair(struct buf *out, const struct fact *f, const struct fact *then,
		     const struct fact *today)
{
	str before = then ? then->result : S("-"), now = today ? today->result : S("-");

	buf_printf(out, "  %c %-9.*s %-32.*s %-10.*s %.*s\n", str_eq(before, now) ? ' ' : '*',
		   STR_ARG(f->check), STR_ARG(f->input), STR_ARG(before), STR_ARG(now));
}

static bool get_action(void *context, str name, str *value)
{
	const struct decision *const *both = context;

	*value = str_cstr(decision_action_name(both[str_eq(name, S("before"))]->action));
	return true;
}

void replay_put(struct ctl *c, struct buf *out, const struct story *s, const struct replay *r,
		enum language l)
{
	const struct decision *both[] = { &r->today, &s->decision };
	const struct sentence_values values = { get_action, both };
	bool same = r->today.action == s->decision.action;

	if (!r->done)
		return;
	buf_printf(out, "\n%.*s\n", STR_ARG(story_phrase(c->arena, PHRASE_REPLAY, l, NULL)));
	for (size_t i = 0; i < s->decision.n; i++)
		put_pair(out, &s->decision.facts[i], &s->decision.facts[i],
			 same_fact(&r->today, &s->decision.facts[i]));
	for (size_t i = 0; i < r->today.n; i++)
		if (!same_fact(&s->decision, &r->today.facts[i]))
			put_pair(out, &r->today.facts[i], NULL, &r->today.facts[i]);
	buf_add(out, story_phrase(c->arena, same ? PHRASE_REPLAY_SAME : PHRASE_REPLAY_OTHER, l,
				  &values));
	buf_add_byte(out, '\n');
}
