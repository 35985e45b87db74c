/* STORE: flags and keywords, RFC 3501 6.4.6, with UNCHANGEDSINCE of RFC 7162 3.1.3. */
#include "office/store/record.h"
#include "office/store/store_int.h"

struct flags_work {
	const struct office_message_flags_request *q;
	struct mailbox_row m;
	u64 bits;   /* system flags and keywords asked for */
	u64 modseq; /* of the stretch under way; 0: none yet */
	size_t in_stretch;
	struct range_list changed, modified, noted;
	struct delta d;
};

static u64 apply(enum flags_mode mode, u64 flags, u64 bits)
{
	switch (mode) {
	case FLAGS_ADD:
		return flags | bits;
	case FLAGS_REMOVE:
		return flags & ~bits;
	case FLAGS_REPLACE:
		break;
	}
	return bits;
}

static const struct fail *end_stretch(struct tx *t, u64 account, struct flags_work *w)
{
	for (size_t i = 0; i < w->changed.n; i++)
		TRY(change_add(t, account, w->m.id, w->modseq, w->changed.items[i].low,
			       w->changed.items[i].high, false));
	if (w->changed.n)
		TRY(mailbox_touch(t, account, &w->m, w->modseq, &w->d));
	w->d = (struct delta){ .messages = 0 };
	w->changed.n = 0;
	w->in_stretch = 0;
	return NULL;
}

static const struct fail *change_row(struct tx *t, u64 account, struct flags_work *w,
				     const struct state *s, u64 flags)
{
	if (w->in_stretch == STORE_MODSEQ_ROWS)
		TRY(end_stretch(t, account, w));
	if (w->in_stretch++ == 0)
		TRY(modseq_next(t, account, &w->modseq, NULL));
	TRY(SQL_RUN(t->arena, t->db,
		    "UPDATE message_state SET flags = ?, modseq = ?"
		    " WHERE account_id = ? AND mailbox_id = ? AND uid = ?",
		    SQL_U64(flags), SQL_U64(w->modseq), SQL_U64(account), SQL_U64(w->m.id),
		    SQL_U64(s->uid)));
	w->d.unseen += (i64) !(flags & FLAG_SEEN) - (i64) !(s->flags & FLAG_SEEN);
	range_list_add(&w->changed, s->uid);
	range_list_add(&w->noted, s->uid);
	return NULL;
}

static const struct fail *change_rows(struct tx *t, u64 account, struct flags_work *w,
				      const struct state *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		u64 flags = apply((enum flags_mode)w->q->mode, rows[i].flags, w->bits);

		if (w->q->has_unchanged_since && rows[i].modseq > w->q->unchanged_since)
			range_list_add(&w->modified, rows[i].uid);
		else if (flags != rows[i].flags)
			TRY(change_row(t, account, w, &rows[i], flags));
	}
	return end_stretch(t, account, w);
}

static const struct fail *note_changed(struct tx *t, u64 account, const struct flags_work *w)
{
	struct flags_note n = { .account = account,
				.mailbox = w->m.id,
				.uidvalidity = w->m.uidvalidity,
				.uids_n = w->noted.n,
				.mode = w->q->mode,
				.flags = w->bits & FLAG_SYSTEM,
				.keywords = w->q->keywords,
				.keywords_n = w->q->keywords_n };
	struct uid_run *runs = arena_array_of(t->arena, w->noted.n, struct uid_run);

	if (w->noted.n == 0)
		return NULL;
	for (size_t i = 0; i < w->noted.n; i++)
		runs[i] = (struct uid_run){ .low = w->noted.items[i].low,
					    .high = w->noted.items[i].high };
	n.uids = runs;
	return note_flags(t, &n);
}

const struct fail *store_message_flags(struct tx *t, u64 account,
				       const struct office_message_flags_request *q, u32 *from,
				       struct office_message_flags_answer *r)
{
	struct flags_work w = { .q = q,
				.changed = { .arena = t->arena },
				.modified = { .arena = t->arena },
				.noted = { .arena = t->arena } };
	struct keywords k;
	struct uid_range *ranges;
	struct state *rows;
	size_t ranges_n, n;

	if (q->mode > FLAGS_REMOVE)
		return fail_new(t->arena, FAIL_INVALID, "no such way to change flags");
	TRY(keywords_check(t->arena, q->keywords, q->keywords_n));
	TRY(mailbox_by_id(t, account, q->mailbox, &w.m));
	TRY(store_ranges(t->arena, q->uids, q->uids_n, &ranges, &ranges_n));
	TRY(states_piece(t, account, w.m.id, ranges, ranges_n, from, &rows, &n));
	TRY(keywords_load(t, account, w.m.id, &k));
	TRY(keywords_bits(t, account, w.m.id, &k, q->keywords, q->keywords_n,
			  q->mode != FLAGS_REMOVE, &w.bits));
	w.bits |= q->flags & FLAG_SYSTEM;
	TRY(change_rows(t, account, &w, rows, n));
	TRY(note_changed(t, account, &w));
	r->modseq = w.modseq ? w.modseq : w.m.modseq;
	r->modified = w.modified.items;
	r->modified_n = w.modified.n;
	return NULL;
}
