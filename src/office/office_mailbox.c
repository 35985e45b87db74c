/* Calls 20-46: mailboxes. Thin: the ticket says whose, the store does the work. */
#include "office/office_int.h"

const struct fail *office_serve_mailbox_list(struct bus_call *call,
					     const struct office_mailbox_list_request *q,
					     struct office_mailbox_list_answer *r)
{
	OFFICE_READ(call, t,
		    q->name.n ? store_mailbox_find(t, office_account(call), q->name, r)
			      : store_mailbox_list(t, office_account(call), r));
	return NULL;
}

static const struct fail *create_run(struct tx *t, struct office_write *w)
{
	const struct office_mailbox_create_request *q = w->call->request;
	struct office_mailbox_create_answer *r = w->call->answer;

	return store_mailbox_create(t, office_account(w->call), q->name, q->special, &r->mailbox);
}

const struct fail *office_serve_mailbox_create(struct bus_call *call,
					       const struct office_mailbox_create_request *q,
					       struct office_mailbox_create_answer *r)
{
	(void)q;
	(void)r;
	return office_write(call, create_run, NULL, NULL, false);
}

const struct fail *office_serve_mailbox_delete(struct bus_call *call,
					       const struct office_mailbox_delete_request *q,
					       struct office_mailbox_delete_answer *r)
{
	(void)q;
	(void)r;
	return office_delete_in_pieces(call);
}

const struct fail *office_serve_mailbox_rename(struct bus_call *call,
					       const struct office_mailbox_rename_request *q,
					       struct office_mailbox_rename_answer *r)
{
	(void)q;
	(void)r;
	return office_rename_in_pieces(call);
}

static const struct fail *subscribe_run(struct tx *t, struct office_write *w)
{
	const struct office_mailbox_subscribe_request *q = w->call->request;

	return store_mailbox_subscribe(t, office_account(w->call), q->name, q->subscribed);
}

const struct fail *office_serve_mailbox_subscribe(struct bus_call *call,
						  const struct office_mailbox_subscribe_request *q,
						  struct office_mailbox_subscribe_answer *r)
{
	(void)q;
	(void)r;
	return office_write(call, subscribe_run, NULL, NULL, false);
}

static const struct fail *open_run(struct tx *t, struct office_write *w)
{
	const struct office_mailbox_open_request *q = w->call->request;

	return store_mailbox_open(t, office_account(w->call), q->name, true, w->call->answer);
}

/* On a reader first: it fills the cache of chunks, and when nothing is recent there is nothing to claim. */
const struct fail *office_serve_mailbox_open(struct bus_call *call,
					     const struct office_mailbox_open_request *q,
					     struct office_mailbox_open_answer *r)
{
	OFFICE_READ(call, t, store_mailbox_open(t, office_account(call), q->name, false, r));
	if (!q->claim_recent || r->info.recent == 0)
		return NULL;
	*r = (struct office_mailbox_open_answer){ 0 };
	return office_write(call, open_run, NULL, NULL, true);
}

const struct fail *office_serve_mailbox_changes(struct bus_call *call,
						const struct office_mailbox_changes_request *q,
						struct office_mailbox_changes_answer *r)
{
	OFFICE_READ(call, t,
		    store_mailbox_changes(t, office_account(call), q->mailbox, q->since, r));
	return NULL;
}

/* Watched first, read then: what changes in between is told, and nothing is missed. */
const struct fail *office_serve_watch(struct bus_call *call, const struct office_watch_request *q,
				      struct office_watch_answer *r)
{
	struct office *o = office_of(call);
	u64 account = office_account(call);

	TRY(notice_watch(o->notice, call->arena, &call->peer, account, q->mailbox, q->watch));
	if (bus_peer_is_gone(call)) /* perhaps before the watch: nobody else ends it */
		notice_unwatch(o->notice, &call->peer, q->watch);
	OFFICE_READ(call, t, store_modseq_get(t, account, q->mailbox, &r->modseq));
	return NULL;
}

const struct fail *office_serve_unwatch(struct bus_call *call,
					const struct office_unwatch_request *q,
					struct office_unwatch_answer *r)
{
	(void)r;
	notice_unwatch(office_of(call)->notice, &call->peer, q->watch);
	return NULL;
}

/* --- Messages ---------------------------------------------------------------------------------------------- */

const struct fail *office_serve_message_flags(struct bus_call *call,
					      const struct office_message_flags_request *q,
					      struct office_message_flags_answer *r)
{
	(void)q;
	(void)r;
	return office_flags_in_pieces(call);
}

const struct fail *office_serve_message_expunge(struct bus_call *call,
						const struct office_message_expunge_request *q,
						struct office_message_expunge_answer *r)
{
	(void)q;
	(void)r;
	return office_expunge_in_pieces(call);
}

static const struct fail *copy_run(struct tx *t, struct office_write *w)
{
	return store_message_copy(t, office_account(w->call), w->call->request, NULL,
				  w->call->answer);
}

/* RFC 3501 6.4.7: a COPY that fails leaves nothing behind, so it is one transaction; a MOVE need not be (RFC 6851 3.3). */
const struct fail *office_serve_message_copy(struct bus_call *call,
					     const struct office_message_copy_request *q,
					     struct office_message_copy_answer *r)
{
	(void)r;
	if (q->move)
		return office_move_in_pieces(call);
	return office_write(call, copy_run, NULL, NULL, false);
}

static const struct fail *append_run(struct tx *t, struct office_write *w)
{
	return store_message_append(t, office_account(w->call), w->call->request, w->context,
				    w->call->answer);
}

const struct fail *office_serve_message_append(struct bus_call *call,
					       const struct office_message_append_request *q,
					       struct office_message_append_answer *r)
{
	struct body_draft *body = arena_new_of(call->arena, struct body_draft);

	(void)r;
	TRY(store_body_check(call->arena, office_of(call)->store, &q->body, body));
	return office_write(call, append_run, NULL, body, false);
}

const struct fail *office_serve_message_fetch(struct bus_call *call,
					      const struct office_message_fetch_request *q,
					      struct office_message_fetch_answer *r)
{
	r->data = -1;
	OFFICE_READ(call, t, store_message_fetch(t, office_account(call), q, r));
	return NULL;
}

const struct fail *office_serve_quota_get(struct bus_call *call,
					  const struct office_quota_get_request *q,
					  struct office_quota_get_answer *r)
{
	(void)q;
	OFFICE_READ(call, t, store_quota_get(t, office_account(call), r));
	return NULL;
}

const struct fail *office_serve_maildrop_lock(struct bus_call *call,
					      const struct office_maildrop_lock_request *q,
					      struct office_maildrop_lock_answer *r)
{
	(void)r;
	return maildrop_take(office_of(call)->maildrop, q->ticket.account, call->peer.number,
			     q->ticket.session);
}

/* What this very peer took, and nothing else. */
const struct fail *office_serve_maildrop_unlock(struct bus_call *call,
						const struct office_maildrop_unlock_request *q,
						struct office_maildrop_unlock_answer *r)
{
	(void)r;
	maildrop_give(office_of(call)->maildrop, q->account, call->peer.number, q->session);
	return NULL;
}
