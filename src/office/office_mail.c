/* Calls 1-4 and 6: addresses, and mail in. */
#include "base/check.h"
#include "base/id.h"
#include "office/office_int.h"

#include "bus/ticket.h"

/* --- Addresses --------------------------------------------------------------------------------------------- */

static bool has_quota(struct bus_call *call, u64 account)
{
	struct directory_account row;

	return account &&
	       directory_account_by_id(office_of(call)->directory, call->arena, account, &row) &&
	       row.quota != 0;
}

static const struct fail *room_left(struct bus_call *call, u64 account, u64 size, u8 *result)
{
	const struct fail *f;
	struct tx t;

	TRY(store_read_begin(office_of(call)->store, call->arena, &t));
	f = store_quota_check(&t, account, size);
	store_read_end(&t);
	if (f && f->what != FAIL_QUOTA)
		return f;
	if (f)
		*result = RECIPIENT_FULL;
	return NULL;
}

/* Behind an alias: nobody, unless it is somebody elsewhere, or here with room. */
static const struct fail *has_room(struct bus_call *call, const struct directory_target *target,
				   u64 size, u8 *result)
{
	struct directory_account row;

	*result = RECIPIENT_LOCAL;
	if (!directory_account_by_id(office_of(call)->directory, call->arena, target->account,
				     &row))
		return NULL;
	if (row.suspended)
		*result = RECIPIENT_SUSPENDED;
	return row.suspended || row.quota == 0 ? NULL
					       : room_left(call, target->account, size, result);
}

/* An alias of several is closed when all of them are: one who gets the mail is enough to take it. */
static const struct fail *alias_check(struct bus_call *call, str address, u64 size, u8 *result)
{
	const struct recipient alias = { .address = address };
	const struct directory_target *targets;
	u8 closed = RECIPIENT_LOCAL, one;
	size_t n;

	if (directory_expand(office_of(call)->directory, call->arena, &alias, 1, &targets, &n))
		return NULL; /* the message's own expansion has the last word */
	for (size_t i = 0; i < n; i++) {
		if (targets[i].nobody)
			continue;
		TRY(has_room(call, &targets[i], size, &one));
		if (one == RECIPIENT_LOCAL)
			return NULL;
		closed = closed == RECIPIENT_FULL ? closed : one;
	}
	*result = closed;
	return NULL;
}

const struct fail *office_serve_recipient_check(struct bus_call *call,
						const struct office_recipient_check_request *q,
						struct office_recipient_check_answer *r)
{
	u64 account;

	r->result = (u8)directory_resolve(office_of(call)->directory, call->arena, q->address,
					  &r->canonical, &account);
	if (r->result != RECIPIENT_LOCAL || (account && !has_quota(call, account)))
		return NULL;
	if (office_pool_instead(call))
		return BUS_LATER;
	return account ? room_left(call, account, q->size, &r->result)
		       : alias_check(call, r->canonical, q->size, &r->result);
}

const struct fail *office_serve_sender_check(struct bus_call *call,
					     const struct office_sender_check_request *q,
					     struct office_sender_check_answer *r)
{
	str local, domain;

	if (!directory_may_send(office_of(call)->directory, office_account(call), q->address))
		return fail_new(call->arena, FAIL_DENIED, "not an address of this account");
	if (directory_split(q->address, &local, &domain))
		office_permit_give(call, domain, &r->permit);
	return NULL;
}

/* --- Messages ---------------------------------------------------------------------------------------------- */

const struct fail *office_serve_spool_file(struct bus_call *call,
					   const struct office_spool_file_request *q,
					   struct office_spool_file_answer *r)
{
	(void)q;
	r->file = -1;
	return store_spool_file(call->arena, office_of(call)->store, &r->file);
}

/* Each edge makes ids as a node of its own, so that none can take one of another's or of ours (which would be found out late, by a key
 * that is there already); and of about now, since the tables are in the order of ids. */
static const struct fail *id_check(struct bus_call *call, u64 id)
{
	u8 node = office_edge_node(call->peer.instance, call->peer.role == CALLER_CLIENT);
	u64 now = env_now(office_of(call)->env);
	/* When the clock was set back, edges and we go on from where we were. */
	u64 latest = id_time(store_id_now(office_of(call)->store));

	if (id_node(id) != node)
		return fail_new(call->arena, FAIL_INVALID, "not an id of this edge");
	if (id_time(id) < latest + OFFICE_ID_AHEAD_MS && now < id_time(id) + OFFICE_ID_BEHIND_MS)
		return NULL;
	return fail_new(call->arena, FAIL_INTERNAL,
			"the clock has jumped, try again"); /* with a new id it will do */
}

static const struct fail *commit_run(struct tx *t, struct office_write *w)
{
	return queue_commit(t, w->office->queue, w->context, &w->changes);
}

/* An account for people; nobody's ticket from other servers. */
static const struct fail *commit_account(struct bus_call *call, const struct ticket *ticket,
					 u64 *account)
{
	*account = 0;
	if (call->peer.role == CALLER_MX) {
		if (ticket_is_none(ticket))
			return NULL;
		return fail_new(call->arena, FAIL_DENIED, "nobody logs in here");
	}
	*account = ticket->account;
	return office_ticket_check(call, ticket);
}

const struct fail *office_serve_message_commit(struct bus_call *call,
					       const struct office_message_commit_request *q,
					       struct office_message_commit_answer *r)
{
	struct queue_arrival *m = arena_new_of(call->arena, struct queue_arrival);
	struct body_draft *body = arena_new_of(call->arena, struct body_draft);
	struct office *o = office_of(call);

	(void)r;
	if (q->body.file >= 0 && office_pool_instead(call))
		return BUS_LATER;
	TRY(id_check(call, q->id));
	*m = (struct queue_arrival){ .id = q->id,
				     .client = &q->client,
				     .envelope = &q->envelope,
				     .body = body,
				     .junk = q->junk,
				     .subject = q->subject,
				     .decision = q->decision };
	TRY(commit_account(call, &q->ticket, &m->account));
	TRY(store_body_check(call->arena, o->store, &q->body, body));
	TRY(queue_check(o->queue, call->arena, m));
	return office_write(call, commit_run, NULL, m, false);
}
