/* FETCH: messages of one mailbox, as many as fit a window of OFFICE_FETCH_BYTES, in a sealed memory file. */
#include "base/fd.h"
#include "base/log.h"
#include "office/store/store_int.h"

enum { ITEM_OVERHEAD = 64, SWEEP_ROWS = 8 };

struct window {
	const struct office_message_fetch_request *q;
	struct arena *scratch; /* of one item */
	struct buf bytes;
	struct encoder e;
	u32 count, next;
	u32 damaged; /* messages left out */
};

static const struct fail damaged = FAIL_STATIC(CORRUPT, "this message is damaged");

/* Which bytes of the body are wanted, and whether they fit one window. */
static size_t wanted(const struct office_message_fetch_request *q, const struct body_row *b,
		     u64 *from)
{
	u64 end = q->want & FETCH_HEADER_ONLY ? b->header_size : b->size;

	*from = q->offset < end ? q->offset : end;
	if (q->length && q->length < end - *from)
		end = *from + q->length;
	if (end - *from > OFFICE_FETCH_BYTES)
		end = *from + OFFICE_FETCH_BYTES;
	return (size_t)(end - *from);
}

static const struct fail *add_bytes(struct tx *t, const struct office_message_fetch_request *q,
				    const struct body_row *b, struct fetch_item *item)
{
	struct record r;
	str skeleton;
	u64 from;
	size_t n = wanted(q, b, &from);
	u8 *bytes = arena_alloc(t->arena, n);

	TRY(body_skeleton(t, b, &r, &skeleton));
	TRY(segments_read_message(t->arena, t->store->segments, b->place, t->writes, &r, from, n,
				  bytes));
	item->bytes = str_from(bytes, n);
	return NULL;
}

/* What the row itself does not hold. */
static const struct fail *add_body(struct tx *t, const struct office_message_fetch_request *q,
				   struct fetch_item *item, bool skeleton)
{
	struct body_row b;
	struct record r;

	if (!skeleton && !(q->want & (FETCH_BYTES | FETCH_HEADER_ONLY)))
		return NULL;
	TRY(body_row_get(t, item->message, &b));
	if (b.size != item->size)
		return fail_new(t->arena, FAIL_CORRUPT,
				"a message of another size than its row says");
	if (skeleton)
		TRY(body_skeleton(t, &b, &r, &item->skeleton));
	if (q->want & (FETCH_BYTES | FETCH_HEADER_ONLY))
		return add_bytes(t, q, &b, item);
	return NULL;
}

/* The columns behind the UID. Strings of the row are borrowed: valid until the next step. */
static void read_item(struct query *q, u64 account, u32 want, struct fetch_item *item,
		      bool *skeleton_elsewhere)
{
	if (sql_u64(q) != account)
		sql_bad(q);
	item->message = sql_u64(q);
	item->internal_date = sql_u64(q);
	item->size = sql_u64(q);
	item->prefix = sql_borrow(q);
	*skeleton_elsewhere = want & FETCH_SKELETON && sql_is_null(q);
	if (want & FETCH_SKELETON)
		item->skeleton = sql_borrow(q);
	if (item->size > SEGMENT_MESSAGE_BYTES || item->prefix.n > STORE_PREFIX_BYTES)
		sql_bad(q);
}

/* When it does not fit any more it is the next window's first; the first one always fits. */
static void add_item(struct window *w, const struct fetch_item *item)
{
	size_t n = ITEM_OVERHEAD + item->prefix.n + item->skeleton.n + item->bytes.n;

	if (w->count && w->bytes.n + n > OFFICE_FETCH_BYTES) {
		w->next = item->uid;
		return;
	}
	encode_fetch_item(&w->e, item);
	w->count++;
}

/* One damaged message must not hide the others: it is left out, and told of when nothing else is there to answer. */
static const struct fail *row_to_item(struct tx *t, u64 account, struct window *w, struct query *q,
				      u32 uid)
{
	struct fetch_item item = { .uid = uid };
	const struct fail *f = NULL;
	bool elsewhere;

	read_item(q, account, w->q->want, &item, &elsewhere);
	if (sql_forgive(q))
		f = &damaged;
	else
		f = add_body(t, w->q, &item, elsewhere);
	if (!f && w->q->want & FETCH_ENVELOPE)
		f = skeleton_envelope_find(t->arena, item.skeleton, &item.skeleton);
	if (!f)
		add_item(w, &item);
	if (!f || f->what != FAIL_CORRUPT)
		return f;
	w->damaged++;
	LOG(ERROR, "store.damaged", LOG_U64("account", account), LOG_U64("mailbox", w->q->mailbox),
	    LOG_U64("uid", item.uid), LOG_ID("message", item.message), LOG_FAIL("why", f));
	return NULL;
}

/* Rows from the low end of range *i on, as far as one seek serves; *i: the first range not done with. As in store_expunge.c, but a
 * row here is long: walking over a few of them costs as much as a seek. */
static const struct fail *sweep(struct tx *t, u64 account, struct window *w,
				const struct uid_range *ranges, size_t n, size_t *i)
{
	struct query *q = SQL_QUERY(
	    t->db,
	    "SELECT key & 4294967295, account_id, body_id, internal_date, size, prefix, skeleton"
	    " FROM message_env WHERE key BETWEEN ? AND ? ORDER BY key",
	    SQL_U64(env_key(w->q->mailbox, ranges[*i].low)),
	    SQL_U64(env_key(w->q->mailbox, ranges[n - 1].high)));
	struct tx inner = *t;
	const struct fail *f = NULL;
	bool near = true;

	inner.arena = w->scratch;
	while (near && !f && !w->next && sql_row(q)) {
		u32 uid = sql_u32(q);

		while (*i < n && ranges[*i].high < uid)
			(*i)++;
		near = *i < n && ranges[*i].low <= uid + (u64)SWEEP_ROWS;
		if (near && ranges[*i].low <= uid)
			f = row_to_item(&inner, account, w, q, uid);
		if (f) /* it lies in the scratch arena */
			f = fail_code(t->arena, f->what, (const char *)f->code.p, "%.*s",
				      STR_ARG(f->text));
		arena_reset(w->scratch);
	}
	if (near) /* no more rows, or no more room */
		*i = n;
	if (f) {
		TRY(sql_end(t->arena, q));
		return f;
	}
	return sql_end(t->arena, q);
}

static const struct fail *fetch_all(struct tx *t, u64 account, struct window *w)
{
	struct uid_range *ranges;
	size_t n;

	TRY(store_ranges(t->arena, w->q->uids, w->q->uids_n, &ranges, &n));
	for (size_t i = 0; i < n && !w->next;)
		TRY(sweep(t, account, w, ranges, n, &i));
	if (w->damaged && w->count == 0)
		return &damaged;
	return w->bytes.full ? fail_new(t->arena, FAIL_LIMIT, "too much for one answer") : NULL;
}

const struct fail *store_message_fetch(struct tx *t, u64 account,
				       const struct office_message_fetch_request *q,
				       struct office_message_fetch_answer *r)
{
	struct window w = { .q = q };
	struct mailbox_row m;
	const struct fail *f;

	TRY(mailbox_by_id(t, account, q->mailbox, &m));
	w.scratch = arena_new((size_t)OFFICE_FETCH_BYTES * 4);
	buf_init(&w.bytes, (size_t)OFFICE_FETCH_BYTES * 3);
	w.e.bytes = &w.bytes;
	f = fetch_all(t, account, &w);
	if (!f)
		f = fd_from_str(t->arena, buf_str(&w.bytes), &r->data);
	r->bytes = w.bytes.n;
	r->count = w.count;
	r->next = w.next;
	r->damaged = w.damaged;
	buf_free(&w.bytes);
	arena_free(&w.scratch);
	return f;
}
