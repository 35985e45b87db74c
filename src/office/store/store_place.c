/* New rows in mailboxes: delivery, APPEND, COPY. */
#include "office/store/record.h"
#include "office/store/store_int.h"

static const struct fail *note_row(struct tx *t, u64 account, str address,
				   const struct mailbox_row *m, u32 uid, const struct new_row *r)
{
	const struct placed_note n = { .account = account,
				       .address = address,
				       .mailbox = m->id,
				       .name = m->name,
				       .uidvalidity = m->uidvalidity,
				       .uid = uid,
				       .body = r->body,
				       .internal_date = r->internal_date,
				       .flags = r->flags & FLAG_SYSTEM,
				       .keywords = r->keywords,
				       .keywords_n = r->keywords_n,
				       .prefix = r->prefix };

	return note_placed(t, &n);
}

const struct fail *row_place(struct tx *t, u64 account, str address, struct mailbox_row *m,
			     u64 modseq, const struct new_row *r)
{
	u32 uid = m->uidnext;
	u64 shown = r->size + r->prefix.n;

	if (uid == UINT32_MAX || m->messages >= STORE_MAILBOX_ROWS)
		return fail_new(t->arena, FAIL_LIMIT, "the mailbox can hold no more messages");
	TRY(SQL_RUN(t->arena, t->db,
		    "INSERT INTO message_state (account_id, mailbox_id, uid, flags, modseq, size)"
		    " VALUES (?, ?, ?, ?, ?, ?)",
		    SQL_U64(account), SQL_U64(m->id), SQL_U64(uid), SQL_U64(r->flags),
		    SQL_U64(modseq), SQL_U64(shown)));
	TRY(SQL_RUN(
	    t->arena, t->db,
	    "INSERT INTO message_env (key, account_id, body_id, internal_date, size, prefix,"
	    " skeleton) VALUES (?, ?, ?, ?, ?, ?, ?)",
	    SQL_U64(env_key(m->id, uid)), SQL_U64(account), SQL_U64(r->body),
	    SQL_U64(r->internal_date), SQL_U64(r->size), SQL_BLOB(r->prefix),
	    r->skeleton_null ? SQL_NULL() : SQL_BLOB(r->skeleton)));
	TRY(note_row(t, account, address, m, uid, r));
	m->uidnext++;
	m->messages++;
	m->size += shown;
	if (!(r->flags & FLAG_SEEN))
		m->unseen++;
	return NULL;
}

/* Counts, change log and notice for the rows from uid `first` on; before is the mailbox without them. */
static const struct fail *placed_all(struct tx *t, u64 account, const struct mailbox_row *before,
				     const struct mailbox_row *m, u64 modseq)
{
	const struct delta d = { .messages = (i64)m->messages - before->messages,
				 .unseen = (i64)m->unseen - before->unseen,
				 .size = (i64)(m->size - before->size) };

	if (m->uidnext == before->uidnext)
		return NULL;
	TRY(change_add(t, account, m->id, modseq, before->uidnext, m->uidnext - 1, false));
	return mailbox_touch(t, account, m, modseq, &d);
}

/* --- One message --- */

/* Size and skeleton of the body; a long skeleton stays in the segment. */
static const struct fail *describe(struct tx *t, u64 body, struct new_row *r)
{
	struct body_row b;
	struct record record;

	TRY(body_row_get(t, body, &b));
	r->body = body;
	r->size = b.size;
	r->skeleton_null = b.skeleton > STORE_SKELETON_ROW;
	return r->skeleton_null ? NULL : body_skeleton(t, &b, &record, &r->skeleton);
}

static const struct fail *place(struct tx *t, u64 account, struct mailbox_row *m,
				const struct placement *p, struct new_row *r, struct placed *out)
{
	const struct mailbox_row before = *m;
	struct keywords k;
	u64 bits = 0;
	str address;

	TRY(keywords_check(t->arena, p->keywords, p->keywords_n));
	TRY(modseq_next(t, account, &out->modseq, &address));
	if (p->keywords_n) {
		TRY(keywords_load(t, account, m->id, &k));
		TRY(keywords_bits(t, account, m->id, &k, p->keywords, p->keywords_n, true, &bits));
	}
	if (p->prefix.n > STORE_PREFIX_BYTES)
		return fail_new(t->arena, FAIL_INVALID, "prefix too long");
	r->flags = (p->flags & FLAG_SYSTEM) | bits;
	r->keywords = p->keywords;
	r->keywords_n = p->keywords_n;
	r->internal_date = p->internal_date ? p->internal_date : t->now;
	r->prefix = p->prefix;
	TRY(row_place(t, account, address, m, out->modseq, r));
	out->mailbox = m->id;
	out->uid = before.uidnext;
	out->uidvalidity = m->uidvalidity;
	return placed_all(t, account, &before, m, out->modseq);
}

const struct fail *store_deliver(struct tx *t, u64 account, u32 special, const struct placement *p,
				 struct placed *out)
{
	struct new_row r = { .body = p->body };
	struct mailbox_row m;
	const struct fail *f;

	f = mailbox_by_use(t, account, special ? special : (u32)SPECIAL_INBOX, &m);
	if (f && f->what == FAIL_NOT_FOUND)
		f = mailbox_by_use(t, account, SPECIAL_INBOX, &m);
	TRY(f);
	TRY(describe(t, p->body, &r));
	if (!p->takes_reference)
		TRY(store_body_hold(t, p->body));
	return place(t, account, &m, p, &r, out);
}

const struct fail *store_message_append(struct tx *t, u64 account,
					const struct office_message_append_request *q,
					const struct body_draft *d,
					struct office_message_append_answer *r)
{
	const struct placement p = { .body = store_id_now(t->store),
				     .flags = q->flags,
				     .keywords = q->keywords,
				     .keywords_n = q->keywords_n,
				     .internal_date = q->internal_date };
	const struct body_summary nobody = { .recipients_n = 0 };
	struct new_row row = { .body = p.body,
			       .size = d->size,
			       .skeleton = d->skeleton,
			       .skeleton_null = d->skeleton.n > STORE_SKELETON_ROW };
	struct mailbox_row m;
	struct placed placed;
	str name;

	TRY(mailbox_name_check(t, q->name, &name));
	TRY(mailbox_by_name(t, account, name, &m));
	TRY(store_quota_check(t, account, d->size));
	TRY(store_body_append(t, p.body, d, &nobody));
	TRY(place(t, account, &m, &p, &row, &placed));
	r->uidvalidity = placed.uidvalidity;
	r->uid = placed.uid;
	return NULL;
}

/* --- COPY and MOVE --- */

struct copy {
	struct mailbox_row from, to, before;
	struct keywords from_keywords, to_keywords;
	u64 modseq;
	str address;
	u64 *source, *target;
	size_t n;
};

static const struct fail *read_env(struct tx *t, u64 account, u64 key, struct new_row *r)
{
	struct query *q =
	    SQL_QUERY(t->db,
		      "SELECT account_id, body_id, internal_date, size, prefix, skeleton"
		      " FROM message_env WHERE key = ?",
		      SQL_U64(key));
	bool found = sql_row(q);

	if (found && sql_u64(q) != account)
		sql_bad(q);
	r->body = sql_u64(q);
	r->internal_date = sql_u64(q);
	r->size = sql_u64(q);
	r->prefix = found ? sql_blob(q, t->arena) : STR_NONE;
	r->skeleton_null = sql_is_null(q);
	r->skeleton = found ? sql_blob(q, t->arena) : STR_NONE;
	TRY(sql_end(t->arena, q));
	if (!found || r->size > SEGMENT_MESSAGE_BYTES)
		return fail_new(t->arena, FAIL_CORRUPT, "a message lost its description");
	return NULL;
}

static const struct fail *copy_one(struct tx *t, u64 account, struct copy *c, const struct state *s,
				   struct arena *scratch)
{
	struct tx inner = *t;
	struct new_row r;
	u64 bits;

	inner.arena = scratch;
	TRY(read_env(&inner, account, env_key(c->from.id, s->uid), &r));
	keywords_list(scratch, &c->from_keywords, s->flags, &r.keywords, &r.keywords_n);
	TRY(keywords_bits(t, account, c->to.id, &c->to_keywords, r.keywords, r.keywords_n, true,
			  &bits));
	r.flags = (s->flags & FLAG_SYSTEM) | bits;
	TRY(store_body_hold(&inner, r.body));
	c->source[c->n] = s->uid;
	c->target[c->n++] = c->to.uidnext;
	return row_place(&inner, account, c->address, &c->to, c->modseq, &r);
}

/* Every so many rows the next modseq, so that mailbox_changes can stop between two. */
static const struct fail *close_stretch(struct tx *t, u64 account, struct copy *c)
{
	TRY(placed_all(t, account, &c->before, &c->to, c->modseq));
	c->before = c->to;
	return modseq_next(t, account, &c->modseq, &c->address);
}

static const struct fail *copy_all(struct tx *t, u64 account, struct copy *c,
				   const struct state *rows, size_t n)
{
	struct arena *scratch = arena_new(SKELETON_BYTES * 2);
	const struct fail *f = modseq_next(t, account, &c->modseq, &c->address);

	c->source = arena_array_of(t->arena, n, u64);
	c->target = arena_array_of(t->arena, n, u64);
	c->before = c->to;
	for (size_t i = 0; i < n && !f; i++) {
		if (i && i % STORE_MODSEQ_ROWS == 0)
			f = close_stretch(t, account, c);
		if (!f)
			f = copy_one(t, account, c, &rows[i], scratch);
		if (f) /* it lies in the scratch arena */
			f = fail_code(t->arena, f->what, (const char *)f->code.p, "%.*s",
				      STR_ARG(f->text));
		arena_reset(scratch);
	}
	if (!f)
		f = placed_all(t, account, &c->before, &c->to, c->modseq);
	arena_free(&scratch);
	return f;
}

static const struct fail *copy_quota(struct tx *t, u64 account, const struct state *rows, size_t n)
{
	u64 more = 0;

	for (size_t i = 0; i < n; i++)
		more += rows[i].size;
	return store_quota_check(t, account, more);
}

const struct fail *store_message_copy(struct tx *t, u64 account,
				      const struct office_message_copy_request *q, u32 *from,
				      struct office_message_copy_answer *r)
{
	struct copy c = { .n = 0 };
	struct uid_range *ranges;
	struct state *rows;
	size_t ranges_n, n;
	str target;
	u64 modseq;

	TRY(mailbox_name_check(t, q->target, &target));
	TRY(mailbox_by_name(t, account, target, &c.to));
	TRY(mailbox_by_id(t, account, q->mailbox, &c.from));
	TRY(store_ranges(t->arena, q->uids, q->uids_n, &ranges, &ranges_n));
	if (from && c.from.id == c.to.id) { /* what moves would come again, behind itself */
		*from = 0;
		from = NULL;
	}
	TRY(states_piece(t, account, c.from.id, ranges, ranges_n, from, &rows, &n));
	if (q->rows && n != q->rows)
		return fail_new(t->arena, FAIL_CONFLICT, "some of the messages are gone");
	if (!q->move)
		TRY(copy_quota(t, account, rows, n));
	TRY(keywords_load(t, account, c.from.id, &c.from_keywords));
	TRY(keywords_load(t, account, c.to.id, &c.to_keywords));
	TRY(copy_all(t, account, &c, rows, n));
	if (q->move)
		TRY(states_remove(t, account, &c.from, rows, n, &modseq));
	r->uidvalidity = c.to.uidvalidity;
	r->source = c.source;
	r->target = c.target;
	r->source_n = r->target_n = c.n;
	return NULL;
}
