/* Calls 80-95: administration, from ctl. Directory rows first, the directory in memory after the commit. */
#include "office/office_int.h"

/* --- Domains ----------------------------------------------------------------------------------------------- */

static const struct fail *domain_add_run(struct tx *t, struct office_write *w)
{
	return store_domain_add(t, *(const str *)w->context);
}

static void domain_add_after(struct office_write *w, const struct fail *f)
{
	if (f == NULL)
		directory_add_domain(w->office->directory, *(const str *)w->context);
}

const struct fail *office_serve_domain_add(struct bus_call *call,
					   const struct office_domain_add_request *q,
					   struct office_domain_add_answer *r)
{
	str *name = arena_new_of(call->arena, str);

	(void)r;
	TRY(directory_canonical_domain(call->arena, q->name, name));
	if (directory_has_domain(office_of(call)->directory, *name)) /* said on a full disk too */
		return fail_new(call->arena, FAIL_EXISTS, "the domain exists already");
	return office_write(call, domain_add_run, domain_add_after, name, false);
}

static const struct fail *domain_remove_run(struct tx *t, struct office_write *w)
{
	return store_domain_remove(t, *(const str *)w->context);
}

static void domain_remove_after(struct office_write *w, const struct fail *f)
{
	if (f == NULL)
		directory_remove_domain(w->office->directory, *(const str *)w->context);
}

const struct fail *office_serve_domain_remove(struct bus_call *call,
					      const struct office_domain_remove_request *q,
					      struct office_domain_remove_answer *r)
{
	str *name = arena_new_of(call->arena, str);

	(void)r;
	TRY(directory_canonical_domain(call->arena, q->name, name));
	return office_write(call, domain_remove_run, domain_remove_after, name, true);
}

const struct fail *office_serve_domain_list(struct bus_call *call,
					    const struct office_domain_list_request *q,
					    struct office_domain_list_answer *r)
{
	(void)q;
	OFFICE_READ(call, t, store_domain_list(t, r));
	return NULL;
}

/* --- Accounts ---------------------------------------------------------------------------------------------- */

static void account_refresh(struct office_write *w, const struct fail *f)
{
	const struct store_account *a = w->context;

	if (f == NULL)
		directory_add_account(w->office->directory,
				      &(struct directory_account){ .id = a->id,
								   .generation = a->generation,
								   .quota = a->quota,
								   .address = a->address,
								   .suspended = a->suspended });
}

const struct fail *office_account_event(struct tx *t, enum event_code code, str address)
{
	struct event_args args = event_args_new(t->arena);

	event_args_str(&args, "address", address);
	return store_event_add(t, 0, S("ctl"), code, event_args_end(&args));
}

static const struct fail *account_add_run(struct tx *t, struct office_write *w)
{
	struct office_account_add_answer *r = w->call->answer;
	struct store_account *account = w->context;

	account->id = r->account = store_id_now(t->store);
	account->generation = r->generation = 1;
	TRY(store_account_add(t, account));
	return office_account_event(t, EVENT_ACCOUNT_ADDED, account->address);
}

/* An alias and an account of one name would hide each other. */
static const struct fail *name_is_free(struct bus_call *call, str address, str domain)
{
	struct directory *d = office_of(call)->directory;

	if (!directory_has_domain(d, domain))
		return fail_new(call->arena, FAIL_NOT_FOUND, "%.*s is not a domain of this server",
				STR_ARG(domain));
	if (directory_has_account(d, address) || directory_has_alias(d, address))
		return fail_new(call->arena, FAIL_EXISTS, "%.*s exists already", STR_ARG(address));
	return NULL;
}

const struct fail *office_serve_account_add(struct bus_call *call,
					    const struct office_account_add_request *q,
					    struct office_account_add_answer *r)
{
	struct store_account *account = arena_new_of(call->arena, struct store_account);
	str local;

	(void)r;
	TRY(directory_canonical(call->arena, q->address, false, &account->address));
	account->address = str_lower(call->arena, account->address);
	directory_split(account->address, &local, &account->domain);
	TRY(name_is_free(call, account->address, account->domain));
	account->quota = q->quota_bytes;
	if (q->quota_bytes == UINT64_MAX)
		account->quota = atomic_load(&office_of(call)->config)->mail_quota;
	return office_write(call, account_add_run, account_refresh, account, false);
}

const struct fail *office_serve_account_remove(struct bus_call *call,
					       const struct office_account_remove_request *q,
					       struct office_account_remove_answer *r)
{
	(void)q;
	(void)r;
	return office_remove_account_in_pieces(call);
}

const struct fail *office_serve_account_list(struct bus_call *call,
					     const struct office_account_list_request *q,
					     struct office_account_list_answer *r)
{
	OFFICE_READ(call, t, store_account_list(t, str_lower(call->arena, q->domain), r));
	return NULL;
}

/* Tickets that were given before are of another one. */
static u64 generation_next(const struct env *e, u64 generation, u64 above)
{
	u64 next = generation == ACCOUNT_GENERATION_ANY ? env_now(e) : generation + 1;

	return next > above ? next : above + 1;
}

static const struct fail *account_change_run(struct tx *t, struct office_write *w)
{
	const struct office_account_change_request *q = w->call->request;
	struct office_account_change_answer *r = w->call->answer;
	struct store_account *account = w->context;
	bool suspended;

	TRY(store_account_get(t, str_lower(t->arena, q->address), account));
	suspended = q->state == ACCOUNT_KEEP ? account->suspended : q->state == ACCOUNT_SUSPEND;
	if (q->raise_generation || suspended != account->suspended)
		account->generation =
		    generation_next(w->office->env, account->generation, q->above);
	account->suspended = suspended;
	if (q->quota_bytes != UINT64_MAX)
		account->quota = q->quota_bytes;
	r->account = account->id;
	r->generation = account->generation;
	r->suspended = suspended;
	return store_account_change(t, account);
}

const struct fail *office_serve_account_change(struct bus_call *call,
					       const struct office_account_change_request *q,
					       struct office_account_change_answer *r)
{
	(void)r;
	if (q->state > ACCOUNT_RESUME || q->above >= ACCOUNT_GENERATION_ANY - 1)
		return fail_new(call->arena, FAIL_INVALID, "no such change of an account");
	return office_write(call, account_change_run, account_refresh,
			    arena_new_of(call->arena, struct store_account), false);
}

/* --- Aliases ----------------------------------------------------------------------------------------------- */

struct alias {
	str address;
	str *targets;
	size_t n;
};

static const struct fail *alias_add_run(struct tx *t, struct office_write *w)
{
	const struct alias *alias = w->context;

	return store_alias_add(t, alias->address, alias->targets, alias->n);
}

static void alias_add_after(struct office_write *w, const struct fail *f)
{
	const struct alias *alias = w->context;

	if (f == NULL)
		directory_add_alias(w->office->directory, alias->address, alias->targets, alias->n);
}

const struct fail *office_serve_alias_add(struct bus_call *call,
					  const struct office_alias_add_request *q,
					  struct office_alias_add_answer *r)
{
	struct alias *alias = arena_new_of(call->arena, struct alias);
	str local, domain;

	(void)r;
	TRY(directory_canonical(call->arena, q->address, true, &alias->address));
	alias->address = str_lower(call->arena, alias->address);
	directory_split(alias->address, &local, &domain);
	TRY(name_is_free(call, alias->address, domain));
	if (q->targets_n == 0 || q->targets_n > DIRECTORY_TARGETS)
		return fail_new(call->arena, FAIL_INVALID, "an alias has from 1 to %d targets",
				DIRECTORY_TARGETS);
	alias->targets = arena_array_of(call->arena, q->targets_n, str);
	for (; alias->n < q->targets_n; alias->n++)
		TRY(directory_canonical(call->arena, q->targets[alias->n], false,
					&alias->targets[alias->n]));
	TRY(directory_check_alias(office_of(call)->directory, call->arena, alias->address,
				  alias->targets, alias->n));
	return office_write(call, alias_add_run, alias_add_after, alias, false);
}

static const struct fail *alias_remove_run(struct tx *t, struct office_write *w)
{
	return store_alias_remove(t, *(const str *)w->context);
}

static void alias_remove_after(struct office_write *w, const struct fail *f)
{
	if (f == NULL)
		directory_remove_alias(w->office->directory, *(const str *)w->context);
}

const struct fail *office_serve_alias_remove(struct bus_call *call,
					     const struct office_alias_remove_request *q,
					     struct office_alias_remove_answer *r)
{
	str *address = arena_new_of(call->arena, str);

	(void)r;
	*address = str_lower(call->arena, q->address);
	return office_write(call, alias_remove_run, alias_remove_after, address, true);
}

const struct fail *office_serve_alias_list(struct bus_call *call,
					   const struct office_alias_list_request *q,
					   struct office_alias_list_answer *r)
{
	OFFICE_READ(call, t, store_alias_list(t, str_lower(call->arena, q->domain), r));
	return NULL;
}

/* --- The queue --------------------------------------------------------------------------------------------- */

static const struct fail *list(struct bus_call *call, u64 after, u32 max, bool message_only,
			       const struct queue_info **out, size_t *n)
{
	struct queue_info *infos;
	u64 *jobs;

	OFFICE_READ(call, t, store_queue_list(t, after, max, message_only, &infos, &jobs, n));
	queue_mark_active(office_of(call)->queue, infos, jobs, *n);
	*out = infos;
	return NULL;
}

const struct fail *office_serve_queue_list(struct bus_call *call,
					   const struct office_queue_list_request *q,
					   struct office_queue_list_answer *r)
{
	return list(call, q->after, q->max, false, &r->entries, &r->entries_n);
}

const struct fail *office_serve_queue_show(struct bus_call *call,
					   const struct office_queue_show_request *q,
					   struct office_queue_show_answer *r)
{
	TRY(list(call, q->message, 0, true, &r->entries, &r->entries_n));
	if (r->entries_n == 0)
		return fail_new(call->arena, FAIL_NOT_FOUND, "no such message in the queue");
	OFFICE_READ(call, t, store_event_list(t, q->message, &r->events, &r->events_n));
	return NULL;
}

static const struct fail *queue_change_run(struct tx *t, struct office_write *w)
{
	const struct office_queue_change_request *q = w->call->request;
	struct office_queue_change_answer *r = w->call->answer;

	return queue_change_all(t, w->office->queue, q->message, (enum queue_action)q->action,
				&r->count, &w->changes);
}

const struct fail *office_serve_queue_change(struct bus_call *call,
					     const struct office_queue_change_request *q,
					     struct office_queue_change_answer *r)
{
	(void)r;
	return office_write(call, queue_change_run, NULL, NULL, q->action == QUEUE_DROP);
}

/* --- The whole --------------------------------------------------------------------------------------------- */

const struct fail *office_serve_trace(struct bus_call *call, const struct office_trace_request *q,
				      struct office_trace_answer *r)
{
	OFFICE_READ(call, t, store_trace_find(t, q->word, q->max ? q->max : 1, r));
	return NULL;
}

const struct fail *office_serve_message_read(struct bus_call *call,
					     const struct office_message_read_request *q,
					     struct office_message_read_answer *r)
{
	u64 skeleton;

	r->body = -1;
	OFFICE_READ(call, t, store_body_get(t, q->message, &r->body, &r->size, &skeleton));
	return NULL;
}

const struct fail *office_serve_verify(struct bus_call *call, const struct office_verify_request *q,
				       struct office_verify_answer *r)
{
	(void)q;
	if (office_pool_instead(call))
		return BUS_LATER;
	OFFICE_READ(call, t, store_verify(t, r));
	return NULL;
}

static const struct fail *status_read(struct tx *t, struct office_status_answer *r)
{
	struct store_counts counts;

	TRY(store_counts(t, &counts));
	r->accounts = counts.accounts;
	r->messages = counts.messages;
	r->segment_bytes = counts.segment_bytes;
	TRY(store_queue_count(t, &r->queued, &r->oldest_queued));
	return store_event_count(t, &r->events);
}

const struct fail *office_serve_status(struct bus_call *call, const struct office_status_request *q,
				       struct office_status_answer *r)
{
	(void)q;
	OFFICE_READ(call, t, status_read(t, r));
	return NULL;
}
