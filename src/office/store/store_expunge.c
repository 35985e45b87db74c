/* Rows that go: EXPUNGE, MOVE's source, POP3's DELE. */
#include <string.h>

#include "office/store/record.h"
#include "office/store/store_int.h"

enum { SWEEP_ROWS = 64 };

/* --- Loading rows --- */

static struct state read_state(struct query *q)
{
	struct state s = { .uid = sql_u32(q) };

	s.flags = sql_u64(q);
	s.modseq = sql_u64(q);
	s.size = sql_u64(q);
	if (s.uid == 0)
		sql_bad(q);
	return s;
}

/* Rows from the low end of range *i on, as far as one seek serves; *i: the first range not done with. A seek costs as much as a walk
 * over SWEEP_ROWS rows, and is made only where a row stands between two ranges: a call takes the time of the mailbox's rows at the
 * most, however many ranges a peer thinks of. */
static const struct fail *sweep(struct tx *t, u64 account, u64 mailbox,
				const struct uid_range *ranges, size_t n, size_t *i,
				struct buf *rows, size_t most)
{
	struct query *q = SQL_QUERY(
	    t->db,
	    "SELECT uid, flags, modseq, size FROM message_state"
	    " WHERE account_id = ? AND mailbox_id = ? AND uid BETWEEN ? AND ? ORDER BY uid",
	    SQL_U64(account), SQL_U64(mailbox), SQL_U64(ranges[*i].low),
	    SQL_U64(ranges[n - 1].high));
	bool near = true;

	while (near && rows->n < most && !rows->full && sql_row(q)) {
		struct state s = read_state(q);

		if (sql_forgive(q)) /* in no view either */
			continue;
		while (*i < n && ranges[*i].high < s.uid)
			(*i)++;
		near = *i < n && ranges[*i].low <= s.uid + (u64)SWEEP_ROWS;
		if (near && ranges[*i].low <= s.uid)
			buf_add(rows, str_from(&s, sizeof s));
	}
	if (near) /* no more rows, or enough of them */
		*i = n;
	return sql_end(t->arena, q);
}

static const struct fail *load(struct tx *t, u64 account, u64 mailbox,
			       const struct uid_range *ranges, size_t n, size_t most,
			       struct state **out, size_t *out_n)
{
	struct buf *rows = buf_new(t->arena, (size_t)STORE_MAILBOX_ROWS * sizeof(struct state));

	for (size_t i = 0; i < n;)
		TRY(sweep(t, account, mailbox, ranges, n, &i, rows, most * sizeof(struct state)));
	if (rows->full)
		return fail_new(t->arena, FAIL_LIMIT, "too many messages at once");
	*out = (void *)rows->p; /* from malloc: aligned */
	*out_n = rows->n / sizeof(struct state);
	return NULL;
}

const struct fail *states_load(struct tx *t, u64 account, u64 mailbox,
			       const struct uid_range *ranges, size_t n, struct state **out,
			       size_t *out_n)
{
	return load(t, account, mailbox, ranges, n, (size_t)STORE_MAILBOX_ROWS + 1, out, out_n);
}

const struct fail *states_piece(struct tx *t, u64 account, u64 mailbox, struct uid_range *ranges,
				size_t n, u32 *from, struct state **out, size_t *out_n)
{
	if (from == NULL)
		return states_load(t, account, mailbox, ranges, n, out, out_n);
	while (n && ranges->high < *from) {
		ranges++;
		n--;
	}
	if (n && ranges->low < *from)
		ranges->low = *from;
	TRY(load(t, account, mailbox, ranges, n, STORE_PIECE_ROWS, out, out_n));
	*from = 0;
	if (*out_n == STORE_PIECE_ROWS && (*out)[*out_n - 1].uid < ranges[n - 1].high)
		*from = (*out)[*out_n - 1].uid + 1;
	return NULL;
}

/* --- Removing them --- */

const struct fail *envs_remove(struct tx *t, u64 mailbox, u32 low, u32 high)
{
	const struct sql_value keys[] = { SQL_U64(env_key(mailbox, low)),
					  SQL_U64(env_key(mailbox, high)) };
	struct query *q =
	    sql_query(t->db, "SELECT body_id FROM message_env WHERE key BETWEEN ? AND ?", keys, 2);
	struct buf ids;
	const struct fail *f;

	buf_init(&ids, (size_t)STORE_MAILBOX_ROWS * 8);
	while (sql_row(q)) {
		u64 id = sql_u64(q);
		buf_add(&ids, str_from(&id, sizeof id));
	}
	f = sql_end(t->arena, q);
	for (size_t i = 0; i < ids.n && !f; i += 8) {
		u64 id;
		memcpy(&id, ids.p + i, sizeof id);
		f = store_body_release(t, id);
	}
	buf_free(&ids);
	return f ? f
		 : sql_run(t->arena, t->db, "DELETE FROM message_env WHERE key BETWEEN ? AND ?",
			   keys, 2);
}

/* Every row of the range, in sweeps: one statement for each row costs twice as much. */
static const struct fail *remove_range(struct tx *t, u64 account, u64 mailbox, u64 modseq,
				       const struct uid_range *r)
{
	TRY(SQL_RUN(t->arena, t->db,
		    "DELETE FROM message_state"
		    " WHERE account_id = ? AND mailbox_id = ? AND uid BETWEEN ? AND ?",
		    SQL_U64(account), SQL_U64(mailbox), SQL_U64(r->low), SQL_U64(r->high)));
	TRY(envs_remove(t, mailbox, r->low, r->high));
	return change_add(t, account, mailbox, modseq, r->low, r->high, true);
}

static void count(struct delta *d, const struct state *s)
{
	d->messages--;
	d->unseen -= !(s->flags & FLAG_SEEN);
	d->size -= (i64)s->size;
}

static const struct fail *note_gone(struct tx *t, u64 account, const struct mailbox_row *m,
				    const struct range_list *gone)
{
	struct expunged_note n = { .account = account,
				   .mailbox = m->id,
				   .uidvalidity = m->uidvalidity,
				   .uids_n = gone->n };
	struct uid_run *runs = arena_array_of(t->arena, gone->n, struct uid_run);

	for (size_t i = 0; i < gone->n; i++)
		runs[i] =
		    (struct uid_run){ .low = gone->items[i].low, .high = gone->items[i].high };
	n.uids = runs;
	return note_expunged(t, &n);
}

/* One modseq for rows [0, n), at most STORE_MODSEQ_ROWS of them. A range in gone holds no UID but theirs. */
static const struct fail *remove_stretch(struct tx *t, u64 account, const struct mailbox_row *m,
					 const struct state *rows, size_t n, u64 *modseq)
{
	struct range_list gone = { .arena = t->arena };
	struct delta d = { .messages = 0 };

	TRY(modseq_next(t, account, modseq, NULL));
	for (size_t i = 0; i < n; i++) {
		count(&d, &rows[i]);
		range_list_add(&gone, rows[i].uid);
	}
	for (size_t i = 0; i < gone.n; i++)
		TRY(remove_range(t, account, m->id, *modseq, &gone.items[i]));
	TRY(note_gone(t, account, m, &gone));
	return mailbox_touch(t, account, m, *modseq, &d);
}

const struct fail *states_remove(struct tx *t, u64 account, const struct mailbox_row *m,
				 const struct state *rows, size_t n, u64 *modseq)
{
	*modseq = m->modseq;
	for (size_t i = 0; i < n; i += STORE_MODSEQ_ROWS) {
		size_t left = n - i;

		TRY(remove_stretch(t, account, m, rows + i,
				   left < STORE_MODSEQ_ROWS ? left : STORE_MODSEQ_ROWS, modseq));
	}
	return NULL;
}

const struct fail *store_message_expunge(struct tx *t, u64 account,
					 const struct office_message_expunge_request *q, u32 *from,
					 struct office_message_expunge_answer *r)
{
	struct mailbox_row m;
	struct uid_range *ranges;
	struct state *rows;
	size_t ranges_n, n, kept = 0;
	struct range_list gone = { .arena = t->arena };

	TRY(mailbox_by_id(t, account, q->mailbox, &m));
	TRY(store_ranges(t->arena, q->uids, q->uids_n, &ranges, &ranges_n));
	TRY(states_piece(t, account, m.id, ranges, ranges_n, from, &rows, &n));
	for (size_t i = 0; i < n; i++) {
		if (q->only_deleted && !(rows[i].flags & FLAG_DELETED))
			continue;
		range_list_add(&gone, rows[i].uid);
		rows[kept++] = rows[i];
	}
	TRY(states_remove(t, account, &m, rows, kept, &r->modseq));
	r->expunged = gone.items;
	r->expunged_n = gone.n;
	return NULL;
}
