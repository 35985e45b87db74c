/*
 * A message comes in: the envelope is checked (an edge may have been taken over), aliases are opened, and body, rows, events
 * and trace are written in one transaction.
 */
#include "base/chars.h"
#include "base/ip.h"
#include "office/queue/queue_int.h"

/* --- Checks ------------------------------------------------------------------------------------------------ */

static bool is_clean(str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (char_is(s.p[i], CHAR_CTL))
			return false;
	}
	return str_is_utf8(s);
}

static bool is_address(str s)
{
	str local, domain;

	return s.n <= DIRECTORY_ADDRESS && is_clean(s) && directory_split(s, &local, &domain) &&
	       local.n && domain.n && domain.n <= SCHEDULE_SITE_NAME && !str_has(domain, ' ') &&
	       !str_has(domain, '>');
}

/* RFC 3461 4.1: NEVER stands alone. */
static bool is_notify(u32 notify)
{
	u32 all = DSN_NOTIFY_NEVER | DSN_NOTIFY_SUCCESS | DSN_NOTIFY_FAILURE | DSN_NOTIFY_DELAY;

	return (notify & ~all) == 0 && (!(notify & DSN_NOTIFY_NEVER) || notify == DSN_NOTIFY_NEVER);
}

static const struct fail *envelope_check(struct arena *a, const struct envelope *e)
{
	static const struct fail sender = FAIL_STATIC(INVALID, "not a sender's address");
	static const struct fail recipient = FAIL_STATIC(INVALID, "not a recipient's address");
	static const struct fail options = FAIL_STATIC(INVALID, "DSN parameters that cannot be");

	if (e->sender.n && !is_address(e->sender))
		return &sender;
	if (e->envid.n > QUEUE_ENVID || !is_clean(e->envid) || e->ret > DSN_RET_HDRS ||
	    e->body_type > BODY_BINARYMIME)
		return &options;
	for (size_t i = 0; i < e->recipients_n; i++) {
		const struct recipient *r = &e->recipients[i];
		if (!is_address(r->address))
			return &recipient;
		if (!is_notify(r->notify) || r->orcpt.n > QUEUE_ORCPT || !is_clean(r->orcpt))
			return &options;
	}
	return arena_check(a);
}

/* Never an open relay, whatever an edge says: without an account all recipients are of our own domains (THREATS S17). */
static const struct fail *recipients_check(struct queue *q, struct arena *a,
					   const struct queue_arrival *m)
{
	const struct envelope *e = m->envelope;
	str local, domain;

	for (size_t i = 0; i < e->recipients_n && m->account == 0; i++) {
		if (!directory_split(e->recipients[i].address, &local, &domain) ||
		    !directory_has_domain(q->directory, domain))
			return fail_new(a, FAIL_DENIED, "relaying is not allowed");
	}
	return NULL;
}

const struct fail *queue_check(struct queue *q, struct arena *a, const struct queue_arrival *m)
{
	struct queue_options o = queue_options_get(q);
	const struct envelope *e = m->envelope;

	TRY(envelope_check(a, e));
	if (e->recipients_n == 0 || e->recipients_n > o.recipients)
		return fail_code(a, FAIL_LIMIT, "4.5.3", "from 1 to %u recipients", o.recipients);
	if (m->body->size > o.size + OFFICE_OWN_FIELDS)
		return fail_new(a, FAIL_TOO_LARGE, "larger than this server takes");
	if (m->body->parsed->received > o.hops + 1)
		return fail_code(a, FAIL_DENIED, "5.4.6", "in a loop: passed %u servers",
				 m->body->parsed->received);
	if (m->account && e->sender.n && !directory_may_send(q->directory, m->account, e->sender))
		return fail_new(a, FAIL_DENIED, "not an address of this account");
	return recipients_check(q, a, m);
}

/* --- Jobs -------------------------------------------------------------------------------------------------- */

/* Remote recipients of one domain travel together, as many as one job has. */
struct domain_job {
	struct table_node node;
	str domain;
	u64 job;
	size_t entries;
};

struct enqueuing {
	struct tx *t;
	struct queue *queue;
	const struct queue_arrival *arrival;
	struct queue_message message;
	struct queue_changes *changes;
	struct table domains;
	struct queue_due due;
	size_t jobs, expanded;
};

static void job_add(struct enqueuing *x, const struct queue_entry *e, str site)
{
	struct schedule_job job = { .id = e->job,
				    .message = e->message,
				    .due = x->t->now,
				    .kind = e->kind,
				    .state = JOB_WAITING };

	queue_change_add(x->changes, CHANGE_ADD, &job, site);
	x->jobs++;
}

static str account_site(struct arena *a, u64 account)
{
	u8 *p = arena_alloc(a, 8);

	for (size_t i = 0; i < 8; i++)
		p[i] = (u8)(account >> 8 * i);
	return str_from(p, 8);
}

static u64 domain_job(struct enqueuing *x, struct queue_entry *e)
{
	u64 hash = table_hash_str(&x->domains, e->domain);
	struct domain_job *job;

	for (struct table_node *node = table_first(&x->domains, hash); node;
	     node = table_next(node)) {
		job = table_object(node, struct domain_job, node);
		if (job->entries < OFFICE_JOB_ENTRIES && str_eq(job->domain, e->domain)) {
			job->entries++;
			return job->job;
		}
	}
	job = arena_new_of(x->t->arena, struct domain_job);
	job->domain = e->domain;
	job->job = e->job = e->id;
	job->entries = 1;
	table_add(&x->domains, &job->node, hash);
	job_add(x, e, e->domain);
	return job->job;
}

static const struct fail *expanded_event(struct enqueuing *x, const struct recipient *r,
					 const struct directory_target *target)
{
	struct event_args args = event_args_new(x->t->arena);

	event_args_str(&args, "recipient", r->address);
	event_args_str(&args, "targets", target->address);
	return store_event_add(x->t, x->message.id, S("queue"), EVENT_EXPANDED,
			       event_args_end(&args));
}

static const struct fail *entry_nobody(struct enqueuing *x, struct queue_entry *e)
{
	struct queue_outcome o = { .outcome = POLICY_PERM,
				   .code = S("5.1.1"),
				   .text = S("no such mailbox") };

	e->job = e->id;
	TRY(store_queue_add_entry(x->t, e));
	return queue_settle_entry(x->t, x->queue, &x->message, e, &o, &x->due);
}

static const struct fail *target_enqueue(struct enqueuing *x, const struct directory_target *target)
{
	const struct recipient *r = &x->arrival->envelope->recipients[target->recipient];
	struct queue_entry e = { .message = x->message.id,
				 .id = store_id_now(x->t->store),
				 .kind =
				     target->account || target->nobody ? JOB_DELIVER : JOB_RELAY,
				 .account = target->account,
				 .address = target->address,
				 .original = r->address,
				 .orcpt = r->orcpt,
				 .notify = r->notify,
				 .next_attempt = x->t->now };

	if (!str_eq_nocase(target->address, r->address) && x->expanded++ < QUEUE_EXPANDED_SHOWN)
		TRY(expanded_event(x, r, target));
	if (target->nobody)
		return entry_nobody(x, &e);
	if (e.kind == JOB_RELAY) {
		e.domain = target->domain;
		e.job = domain_job(x, &e);
	} else {
		e.job = e.id;
		job_add(x, &e, account_site(x->t->arena, e.account));
	}
	return store_queue_add_entry(x->t, &e);
}

/* --- The transaction --------------------------------------------------------------------------------------- */

static const struct fail *accepted_event(struct enqueuing *x, str client)
{
	const struct queue_arrival *m = x->arrival;
	struct event_args args = event_args_new(x->t->arena);

	event_args_str(&args, "sender", m->envelope->sender);
	event_args_u64(&args, "recipients", m->envelope->recipients_n);
	event_args_u64(&args, "size", m->body->size);
	if (client.n)
		event_args_str(&args, "client", client);
	if (m->client->helo.n)
		event_args_str(&args, "helo", m->client->helo);
	if (m->client->tls.n)
		event_args_str(&args, "tls", m->client->tls);
	event_args_add(&args, m->decision);
	return store_event_add(x->t, m->id,
			       m->account ? S("msa")
			       : client.n ? S("mx")
					  : S("queue"),
			       EVENT_ACCEPTED, event_args_end(&args));
}

/* Whom it was sent to, and who gets it: behind an alias or a tag nobody would find it under his own address. */
static size_t trace_recipients(const struct envelope *e, const str *owners, size_t owners_n,
			       str out[STORE_TRACE_RECIPIENTS])
{
	size_t n = 0;

	for (; n < e->recipients_n && n < STORE_TRACE_RECIPIENTS; n++)
		out[n] = e->recipients[n].address;
	for (size_t i = 0; i < owners_n && n < STORE_TRACE_RECIPIENTS; i++) {
		size_t k = 0;
		while (k < n && !str_eq_nocase(out[k], owners[i]))
			k++;
		if (k == n)
			out[n++] = owners[i];
	}
	return n;
}

static const struct fail *trace_add(struct enqueuing *x, str client, const str *owners, size_t n)
{
	const struct envelope *e = x->arrival->envelope;
	const struct skeleton *s = x->arrival->body->parsed;
	str recipients[STORE_TRACE_RECIPIENTS];
	struct store_trace trace = { .message = x->message.id,
				     .size = x->message.size,
				     .sender = e->sender,
				     .subject = x->arrival->subject.n ? x->arrival->subject
								      : s->envelope.subject,
				     .message_id = s->envelope.message_id,
				     .client = client,
				     .recipients = recipients };

	trace.recipients_n = trace_recipients(e, owners, n, recipients);
	return store_trace_add(x->t, &trace);
}

/* Local people by the account's own address. */
static const str *owners_of(struct enqueuing *x, const struct directory_target *targets, size_t n)
{
	struct arena *a = x->t->arena;
	str *owners = arena_array_of(a, n, str);

	for (size_t i = 0; i < n; i++) {
		struct directory_account account;
		bool here =
		    targets[i].account &&
		    directory_account_by_id(x->queue->directory, a, targets[i].account, &account);
		owners[i] = here ? account.address : targets[i].address;
	}
	return owners;
}

/* For salvage: who is to have it. */
static const struct fail *body_add(struct enqueuing *x, const str *owners, size_t n)
{
	struct body_summary summary = { .sender = x->message.sender,
					.recipients = owners,
					.recipients_n = n };

	return store_body_append(x->t, x->message.id, x->arrival->body, &summary);
}

const struct fail *queue_enqueue(struct tx *t, struct queue *q, const struct queue_arrival *m,
				 struct queue_changes *c, size_t *entries)
{
	const struct envelope *e = m->envelope;
	struct enqueuing x = { .t = t, .queue = q, .arrival = m, .changes = c };
	const struct directory_target *targets;
	const str *owners;
	str client = ip_text(t->arena, m->client->address);
	size_t n;

	x.message = (struct queue_message){ .id = m->id,
					    .arrived = t->now,
					    .size = m->body->size,
					    .sender = e->sender,
					    .envid = e->envid,
					    .ret = e->ret,
					    .body_type = e->body_type,
					    .smtputf8 = e->smtputf8,
					    .junk = m->junk };
	table_init(&x.domains, t->arena, q->env);
	TRY(directory_expand(q->directory, t->arena, e->recipients, e->recipients_n, &targets, &n));
	*entries = 0;
	if (n ==
	    0) /* aliases in a circle, nobody in it; alias_add refuses such, so this is a second lock */
		return NULL;
	owners = owners_of(&x, targets, n);
	TRY(body_add(&x, owners, n));
	TRY(store_queue_add(t, &x.message));
	TRY(accepted_event(&x, client));
	TRY(trace_add(&x, client, owners, n));
	for (size_t i = 0; i < n; i++)
		TRY(target_enqueue(&x, &targets[i]));
	*entries = x.jobs;
	x.due.stays = x.due.stays || x.jobs > 0;
	return queue_settle_message(t, &x.message, &x.due, c);
}

const struct fail *queue_commit(struct tx *t, struct queue *q, const struct queue_arrival *m,
				struct queue_changes *c)
{
	size_t entries;

	TRY(queue_enqueue(t, q, m, c, &entries));
	if (entries ==
	    0) /* all went since RCPT: to refuse is better than to accept and then report */
		return fail_new(t->arena, FAIL_NOT_FOUND, "no such mailbox");
	return NULL;
}

/* --- Our own ----------------------------------------------------------------------------------------------- */

static struct envelope own_envelope(struct arena *a, const str *recipients, size_t n)
{
	struct recipient *list = arena_array_of(a, n, struct recipient);

	for (size_t i = 0; i < n; i++)
		list[i] =
		    (struct recipient){ .address = recipients[i], .notify = DSN_NOTIFY_NEVER };
	return (
	    struct envelope){ .recipients = list, .recipients_n = n, .body_type = BODY_8BITMIME };
}

const struct fail *queue_own_check(struct arena *a, const str *recipients, size_t n)
{
	struct envelope e = own_envelope(a, recipients, n);

	if (n == 0)
		return fail_new(a, FAIL_INVALID, "nobody to send it to");
	return envelope_check(a, &e);
}

const struct fail *queue_own(struct tx *t, struct queue *q, const str *recipients, size_t n,
			     const struct body_draft *body, struct queue_changes *c, u64 *id)
{
	struct envelope envelope = own_envelope(t->arena, recipients, n);
	struct client_info nobody = { 0 };
	struct queue_arrival m = {
		.id = store_id_now(q->store), .client = &nobody, .envelope = &envelope, .body = body
	};
	size_t entries;

	TRY(queue_enqueue(t, q, &m, c, &entries));
	*id = entries ? m.id : 0;
	return NULL;
}
