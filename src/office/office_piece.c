/*
 * STORE, EXPUNGE, MOVE, DELETE, RENAME of INBOX and the end of an account, a piece a transaction: one of 50,000 messages would keep everybody else's mail waiting for a quarter of a
 * second. Each piece goes to the end of the writer's queue, so what others want to write comes in between. What fails on the
 * way leaves the pieces before it done, as the RFCs let it: each message is changed whole or not at all (RFC 3501 6.4.6,
 * RFC 7162 3.1.3, RFC 6851 3.3). not: COPY, which is all or nothing (RFC 3501 6.4.7).
 */
#include "office/office_int.h"

/* Lies in the call's arena. */
struct pieces {
	struct arena *arena;          /* of the piece under way */
	const struct uid_range *uids; /* all of them; the window moves over them */
	size_t n, at, window;
	u32 from,
	    next; /* UID where the piece begins, and the one behind it; 0: behind the window */
	/* Of the piece; what goes into the answer once it is durable. */
	struct office_message_flags_answer flags;
	struct office_message_expunge_answer expunge;
	struct office_message_copy_answer copy;
	struct buf *ranges, *source, *target; /* of all pieces */
};

static void release_arena(void *object)
{
	struct arena *a = object;

	arena_free(&a);
}

static struct pieces *pieces_new(struct bus_call *call, const struct uid_range *uids, size_t n)
{
	struct pieces *p = arena_new_of(call->arena, struct pieces);

	p->arena = arena_new(BUS_ARENA);
	arena_own(call->arena, release_arena, p->arena);
	p->uids = uids;
	p->n = n;
	p->from = 1;
	p->ranges = buf_new(call->arena, BUS_BODY_MAX);
	p->source = buf_new(call->arena, BUS_BODY_MAX);
	p->target = buf_new(call->arena, BUS_BODY_MAX);
	return p;
}

/* Before each run, also when a run is made once more: its transaction with the piece's arena. */
static struct tx piece_begin(struct pieces *p, const struct tx *t)
{
	struct tx inner = *t;

	arena_reset(p->arena);
	inner.arena = p->arena;
	p->window = p->n - p->at < STORE_PIECE_ROWS ? p->n - p->at : STORE_PIECE_ROWS;
	p->next = p->from;
	return inner;
}

/* After its commit. False: it was the last. */
static bool piece_end(struct pieces *p)
{
	p->from = p->next ? p->next : 1;
	if (p->next == 0)
		p->at += p->window;
	while (p->at < p->n && p->uids[p->at].high < p->from)
		p->at++;
	return p->at < p->n;
}

static void add_ranges(struct pieces *p, const struct uid_range *ranges, size_t n)
{
	buf_add(p->ranges, str_from(ranges, n * sizeof *ranges));
}

/* The list so far; from malloc, so aligned. */
static const struct uid_range *ranges_of(const struct pieces *p, size_t *n)
{
	*n = p->ranges->n / sizeof(struct uid_range);
	return (const void *)p->ranges->p;
}

/* --- STORE ------------------------------------------------------------------------------------------------- */

static const struct fail *flags_run(struct tx *t, struct office_write *w)
{
	struct pieces *p = w->context;
	struct office_message_flags_request q =
	    *(const struct office_message_flags_request *)w->call->request;
	struct tx inner = piece_begin(p, t);

	q.uids = p->uids + p->at;
	q.uids_n = p->window;
	return store_message_flags(&inner, office_account(w->call), &q, &p->next, &p->flags);
}

static bool flags_more(struct office_write *w)
{
	struct pieces *p = w->context;
	struct office_message_flags_answer *r = w->call->answer;

	r->modseq = p->flags.modseq;
	add_ranges(p, p->flags.modified, p->flags.modified_n);
	r->modified = ranges_of(p, &r->modified_n);
	return piece_end(p);
}

const struct fail *office_flags_in_pieces(struct bus_call *call)
{
	const struct office_message_flags_request *q = call->request;
	struct uid_range *uids;
	size_t n;

	TRY(store_ranges(call->arena, q->uids, q->uids_n, &uids, &n));
	return office_write_more(call, flags_run, flags_more, pieces_new(call, uids, n), true);
}

/* --- EXPUNGE ----------------------------------------------------------------------------------------------- */

static const struct fail *expunge_run(struct tx *t, struct office_write *w)
{
	struct pieces *p = w->context;
	struct office_message_expunge_request q =
	    *(const struct office_message_expunge_request *)w->call->request;
	struct tx inner = piece_begin(p, t);

	q.uids = p->uids + p->at;
	q.uids_n = p->window;
	return store_message_expunge(&inner, office_account(w->call), &q, &p->next, &p->expunge);
}

static bool expunge_more(struct office_write *w)
{
	struct pieces *p = w->context;
	struct office_message_expunge_answer *r = w->call->answer;

	r->modseq = p->expunge.modseq;
	add_ranges(p, p->expunge.expunged, p->expunge.expunged_n);
	r->expunged = ranges_of(p, &r->expunged_n);
	return piece_end(p);
}

const struct fail *office_expunge_in_pieces(struct bus_call *call)
{
	const struct office_message_expunge_request *q = call->request;
	struct uid_range *uids;
	size_t n;

	TRY(store_ranges(call->arena, q->uids, q->uids_n, &uids, &n));
	return office_write_more(call, expunge_run, expunge_more, pieces_new(call, uids, n), true);
}

/* --- MOVE -------------------------------------------------------------------------------------------------- */

static const struct fail *move_run(struct tx *t, struct office_write *w)
{
	struct pieces *p = w->context;
	struct office_message_copy_request q =
	    *(const struct office_message_copy_request *)w->call->request;
	struct tx inner = piece_begin(p, t);

	q.uids = p->uids + p->at;
	q.uids_n = p->window;
	return store_message_copy(&inner, office_account(w->call), &q, &p->next, &p->copy);
}

static bool move_more(struct office_write *w)
{
	struct pieces *p = w->context;
	struct office_message_copy_answer *r = w->call->answer;

	buf_add(p->source, str_from(p->copy.source, p->copy.source_n * sizeof(u64)));
	buf_add(p->target, str_from(p->copy.target, p->copy.target_n * sizeof(u64)));
	r->uidvalidity = p->copy.uidvalidity;
	r->source = (const void *)p->source->p;
	r->source_n = p->source->n / sizeof(u64);
	r->target = (const void *)p->target->p;
	r->target_n = p->target->n / sizeof(u64);
	return piece_end(p);
}

const struct fail *office_move_in_pieces(struct bus_call *call)
{
	const struct office_message_copy_request *q = call->request;
	struct uid_range *uids;
	size_t n;

	TRY(store_ranges(call->arena, q->uids, q->uids_n, &uids, &n));
	return office_write_more(call, move_run, move_more, pieces_new(call, uids, n), true);
}

/* --- DELETE, RENAME and the end of an account ------------------------------------------------------------------------------------- */

/* Of a whole mailbox: the store knows where it is by p->next alone. */
static struct pieces *pieces_of_mailbox(struct bus_call *call)
{
	static const struct uid_range all = { .low = 1, .high = UINT32_MAX };

	return pieces_new(call, &all, 1);
}

static bool mailbox_more(struct office_write *w)
{
	return piece_end(w->context);
}

static const struct fail *delete_run(struct tx *t, struct office_write *w)
{
	struct pieces *p = w->context;
	const struct office_mailbox_delete_request *q = w->call->request;
	struct tx inner = piece_begin(p, t);

	return store_mailbox_delete(&inner, office_account(w->call), q->name, &p->next);
}

const struct fail *office_delete_in_pieces(struct bus_call *call)
{
	return office_write_more(call, delete_run, mailbox_more, pieces_of_mailbox(call), true);
}

static const struct fail *rename_run(struct tx *t, struct office_write *w)
{
	struct pieces *p = w->context;
	const struct office_mailbox_rename_request *q = w->call->request;
	struct tx inner = piece_begin(p, t);

	return store_mailbox_rename(&inner, office_account(w->call), q->from, q->to, &p->next);
}

const struct fail *office_rename_in_pieces(struct bus_call *call)
{
	return office_write_more(call, rename_run, mailbox_more, pieces_of_mailbox(call), false);
}

static const struct fail *remove_run(struct tx *t, struct office_write *w)
{
	const struct office_account_remove_request *q = w->call->request;
	struct office_account_remove_answer *r = w->call->answer;
	struct pieces *p = w->context;
	struct tx inner = piece_begin(p, t);
	struct store_account account;

	TRY(store_account_get(&inner, str_lower(p->arena, q->address), &account));
	r->account = account.id;
	TRY(store_account_remove(&inner, account.id, &p->next));
	return p->next ? NULL : office_account_event(t, EVENT_ACCOUNT_REMOVED, account.address);
}

static bool remove_more(struct office_write *w)
{
	const struct office_account_remove_request *q = w->call->request;
	struct pieces *p = w->context;

	if (p->next == 0)
		directory_remove_account(w->office->directory, str_lower(p->arena, q->address));
	return piece_end(p);
}

/* Until the last piece it is there, with what has come meanwhile: who asks again goes on with the rest. */
const struct fail *office_remove_account_in_pieces(struct bus_call *call)
{
	return office_write_more(call, remove_run, remove_more, pieces_of_mailbox(call), true);
}
