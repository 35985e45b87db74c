/*
 * For the tests of the queue: store, directory and queue in one thread, with peers that are plain calls. Header-only.
 * Accounts: alice (1), bob (2) at example.test; team@example.test is an alias of both and of far@remote.example.
 */
#ifndef OFFICE_QUEUE_TEST_SUPPORT_H
#define OFFICE_QUEUE_TEST_SUPPORT_H

#include "office/queue/queue_int.h"
#include "office/store/store_directory.h"
#include "office/store/store_test_support.h"

struct desk {
	struct world w;
	struct directory *directory;
	struct queue *queue;
	struct policy policy;
	u32 per_site;
	struct schedule_job taken[OFFICE_JOBS_MAX];
	size_t taken_n;
};

static inline const struct fail *desk_accounts(struct tx *t, void *context)
{
	static const char *const addresses[] = { "alice@example.test", "bob@example.test" };
	const str targets[] = { S("alice@example.test"), S("bob@example.test"),
				S("far@remote.example") };

	(void)context;
	TRY(store_domain_add(t, S("example.test")));
	for (u64 i = 0; i < ARRAY_LEN(addresses); i++) {
		struct store_account a = { .id = i + 1,
					   .generation = 1,
					   .address = str_cstr(addresses[i]),
					   .domain = S("example.test") };
		TRY(store_account_add(t, &a));
	}
	return store_alias_add(t, S("team@example.test"), targets, ARRAY_LEN(targets));
}

static void desk_domain(void *context, str name)
{
	directory_add_domain(context, name);
}

static void desk_account(void *context, const struct store_account *a)
{
	directory_add_account(context, &(struct directory_account){
					   .id = a->id, .generation = 1, .address = a->address });
}

static void desk_alias(void *context, str address, const str *targets, size_t n, bool suspended)
{
	directory_add_alias(context, address, targets, n);
	assert_false(suspended);
}

static void desk_bad(void *context, const char *kind, str name, const char *why)
{
	(void)context;
	fail_msg("%s %.*s: %s", kind, STR_ARG(name), why);
}

/* Store is open: directory and queue from its rows, as the office does it. */
static inline void desk_begin(struct desk *d)
{
	struct store_directory_reader reader = {
		.domain = desk_domain, .account = desk_account, .alias = desk_alias, .bad = desk_bad
	};
	struct queue_options o = { .store = d->w.store,
				   .policy = d->policy,
				   .per_site = d->per_site,
				   .deliveries = 50,
				   .hops = 50,
				   .recipients = 1000,
				   .size = 1 << 20 };
	struct tx t;

	d->directory = reader.context = directory_new(&d->w.env, S("+"));
	must(store_read_begin(d->w.store, d->w.arena, &t));
	must(store_directory_read(&t, &reader));
	store_read_end(&t);
	o.directory = d->directory;
	d->queue = queue_new(&o);
	must(queue_load(d->queue, d->w.arena));
}

static inline void desk_end(struct desk *d)
{
	while (writer_run_once(d->w.store))
		;
	schedule_check(d->queue->schedule);
	queue_free(&d->queue);
	directory_free(&d->directory);
}

static inline void desk_restart(struct desk *d)
{
	desk_end(d);
	world_reopen(&d->w);
	desk_begin(d);
}

static inline void desk_new(struct desk *d)
{
	*d = (struct desk){ .policy = { .retry_first = 300000,
					.retry_most = 7200000,
					.expire = 432000000,
					.delay_notice = 14400000 },
			    .per_site = 10 };
	world_new(&d->w);
	must(world_write(&d->w, false, desk_accounts, NULL));
	desk_begin(d);
}

static inline void desk_free(struct desk *d)
{
	desk_end(d);
	world_free(&d->w);
}

/* --- Mail in --- */

struct desk_mail {
	struct queue_arrival arrival;
	struct envelope envelope;
	struct recipient recipients[8];
	struct body_draft body;
	struct client_info client;
	struct desk *desk;
	struct queue_changes changes;
};

static inline void mail_to(struct desk_mail *m, const char *address, u32 notify)
{
	m->recipients[m->envelope.recipients_n++] =
	    (struct recipient){ .address = str_cstr(address), .notify = notify };
	m->envelope.recipients = m->recipients;
}

static inline void mail_new(struct desk *d, struct desk_mail *m, const char *sender)
{
	*m = (struct desk_mail){ .desk = d };
	m->envelope.sender = str_cstr(sender);
	m->arrival = (struct queue_arrival){ .account = 1, /* alice: may write anywhere */
					     .client = &m->client,
					     .envelope = &m->envelope,
					     .body = &m->body };
	make_draft(&d->w, 500, 1, &m->body);
	m->arrival.id = store_id_now(d->w.store);
}

static inline const struct fail *mail_run(struct tx *t, void *context)
{
	struct desk_mail *m = context;

	queue_changes_init(&m->changes, t->arena);
	return queue_commit(t, m->desk->queue, &m->arrival, &m->changes);
}

static inline const struct fail *mail_commit(struct desk *d, struct desk_mail *m)
{
	TRY(queue_check(d->queue, d->w.arena, &m->arrival));
	TRY(world_write(&d->w, false, mail_run, m));
	queue_apply(d->queue, &m->changes);
	return NULL;
}

/* One recipient, from alice. */
static inline u64 mail_send(struct desk *d, const char *to, u32 notify)
{
	struct desk_mail m;

	mail_new(d, &m, "alice@example.test");
	mail_to(&m, to, notify);
	must(mail_commit(d, &m));
	return m.arrival.id;
}

/* --- Jobs out --- */

struct desk_waiter {
	struct queue_waiter waiter;
	struct desk *desk;
};

static void desk_give(struct queue_waiter *w, const struct schedule_job *jobs, size_t n)
{
	struct desk *d = ((struct desk_waiter *)(void *)w)->desk;

	for (size_t i = 0; i < n; i++)
		d->taken[i] = jobs[i];
	d->taken_n = n;
}

/* What this peer gets now, without waiting: 0 when nothing is due. */
static inline size_t desk_take(struct desk *d, enum schedule_lane lane, u64 peer, size_t max)
{
	struct desk_waiter w = {
		.waiter = { .lane = lane, .peer = peer, .max = max, .give = desk_give }, .desk = d
	};
	struct queue_waiter **at;

	d->taken_n = 0;
	queue_wait(d->queue, &w.waiter);
	for (at = &d->queue->waiters[lane]; *at; at = &(*at)->next) {
		if (*at == &w.waiter) {
			*at = NULL;
			break;
		}
	}
	return d->taken_n;
}

static inline const struct fail *desk_read(struct desk *d, const struct schedule_job *given,
					   u64 peer, struct job *out)
{
	const struct fail *f;
	struct tx t;

	must(store_read_begin(d->w.store, d->w.arena, &t));
	f = queue_job_read(&t, d->queue, given, peer, out);
	store_read_end(&t);
	return f;
}

/* The one job that is due. */
static inline struct job desk_job(struct desk *d, enum schedule_lane lane, u64 peer)
{
	struct job job;

	assert_int_equal(desk_take(d, lane, peer, 1), 1);
	must(desk_read(d, &d->taken[0], peer, &job));
	return job;
}

struct desk_call {
	struct desk *desk;
	struct queue_changes changes;
	struct delivery delivery;
	struct office_attempt_done_request attempt;
	struct body_draft *body;
	u64 job, message;
	enum queue_action action;
	u32 count;
};

static inline const struct fail *deliver_call(struct tx *t, void *context)
{
	struct desk_call *c = context;

	queue_changes_init(&c->changes, t->arena);
	return queue_deliver(t, c->desk->queue, &c->delivery, false, &c->changes);
}

static inline const struct fail *attempt_call(struct tx *t, void *context)
{
	struct desk_call *c = context;

	queue_changes_init(&c->changes, t->arena);
	return queue_attempt(t, c->desk->queue, &c->attempt, &c->changes);
}

static inline const struct fail *dsn_call(struct tx *t, void *context)
{
	struct desk_call *c = context;

	queue_changes_init(&c->changes, t->arena);
	return queue_dsn(t, c->desk->queue, c->job, c->body, &c->changes);
}

static inline const struct fail *change_call(struct tx *t, void *context)
{
	struct desk_call *c = context;

	queue_changes_init(&c->changes, t->arena);
	return queue_change_all(t, c->desk->queue, c->message, c->action, &c->count, &c->changes);
}

static inline const struct fail *desk_write(struct desk *d, u64 job, u64 peer,
					    const struct fail *(*call)(struct tx *, void *),
					    struct desk_call *c)
{
	const struct fail *f;

	c->desk = d;
	if (job)
		TRY(queue_settle(d->queue, d->w.arena, job, peer));
	f = world_write(&d->w, false, call, c);
	if (f && job)
		queue_give_back(d->queue, job);
	if (f == NULL)
		queue_apply(d->queue, &c->changes);
	return f;
}

static inline const struct fail *desk_deliver(struct desk *d, u64 job, u64 peer)
{
	struct desk_call c = { .delivery = { .job = job, .special = SPECIAL_INBOX } };

	return desk_write(d, job, peer, deliver_call, &c);
}

/* The same outcome for all of a job's entries. */
static inline const struct fail *desk_attempt(struct desk *d, const struct job *job, u64 peer,
					      enum attempt_outcome outcome, const char *code)
{
	struct attempt_result *results =
	    arena_array_of(d->w.arena, job->entries_n, struct attempt_result);
	struct desk_call c = { .attempt = { .job = job->id,
					    .site = S("mx.remote.example"),
					    .remote_mta = S("mx.remote.example"),
					    .results = results,
					    .results_n = job->entries_n } };

	for (size_t i = 0; i < job->entries_n; i++)
		results[i] = (struct attempt_result){ .entry = job->entries[i].entry,
						      .outcome = (u8)outcome,
						      .code = str_cstr(code),
						      .text = S("said so") };
	return desk_write(d, job->id, peer, attempt_call, &c);
}

static inline const struct fail *desk_dsn(struct desk *d, u64 job, u64 peer, bool with_body)
{
	struct body_draft body;
	struct desk_call c = { .job = job, .body = with_body ? &body : NULL };

	if (with_body)
		make_draft(&d->w, 400, 2, &body);
	return desk_write(d, job, peer, dsn_call, &c);
}

static inline u32 desk_change(struct desk *d, u64 message, enum queue_action action)
{
	struct desk_call c = { .message = message, .action = action };

	must(desk_write(d, 0, 0, change_call, &c));
	return c.count;
}

/* --- Looking --- */

static inline u64 desk_number(struct desk *d, struct query *(*ask)(struct tx *, u64, u64), u64 one,
			      u64 two)
{
	bool found;
	struct tx t;
	u64 n;

	must(store_read_begin(d->w.store, d->w.arena, &t));
	must(sql_one_u64(d->w.arena, ask(&t, one, two), &n, &found));
	store_read_end(&t);
	return n;
}

static inline struct query *ask_placed(struct tx *t, u64 account, u64 message)
{
	return SQL_QUERY(t->db,
			 "SELECT count(*) FROM message_env WHERE account_id = ? AND body_id = ?",
			 SQL_U64(account), SQL_U64(message));
}

static inline struct query *ask_entries(struct tx *t, u64 message, u64 status)
{
	return SQL_QUERY(t->db,
			 "SELECT count(*) FROM queue_entry WHERE message_id = ? AND status = ?",
			 SQL_U64(message), SQL_U64(status));
}

static inline struct query *ask_queued(struct tx *t, u64 one, u64 two)
{
	(void)one;
	(void)two;
	return SQL_QUERY0(t->db, "SELECT count(*) FROM queue_message");
}

static inline struct query *ask_bodies(struct tx *t, u64 message, u64 two)
{
	(void)two;
	return SQL_QUERY(t->db, "SELECT count(*) FROM body WHERE id = ?", SQL_U64(message));
}

static inline bool desk_has_event(struct desk *d, u64 message, enum event_code code)
{
	const struct event_record *events;
	bool has = false;
	struct tx t;
	size_t n;

	must(store_read_begin(d->w.store, d->w.arena, &t));
	must(store_event_list(&t, message, &events, &n));
	store_read_end(&t);
	for (size_t i = 0; i < n; i++)
		has = has || str_eq(events[i].code, event_code_name(code));
	return has;
}

#endif
