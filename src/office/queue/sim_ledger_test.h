/*
 * The simulator's ledger: what was promised, what is unsure because the process died over it, and what must never be. It lies in memory
 * that no life takes with it. A message is known by its mark, which is its length: every message has a length of its own.
 *
 * A mailbox is compared row by row: what was acknowledged is there, as it was; what was removed stays removed; a row nobody asked for is a
 * DUPLICATE or a GHOST; UIDs and modseqs rise and never come again.
 */
#ifndef OFFICE_QUEUE_SIM_LEDGER_TEST_H
#define OFFICE_QUEUE_SIM_LEDGER_TEST_H

#include "base/check.h"
#include "bus/view.h"
#include "office/queue/sim_disk_test.h"

enum {
	SIM_ACCOUNTS = 2,
	SIM_NAMES = 2, /* INBOX and Archive of each */
	SIM_BOXES = SIM_ACCOUNTS * SIM_NAMES,
	SIM_ROWS = 250,
	SIM_ITEMS = 250,
	SIM_FAR = 5,
	SIM_SIZE = 400, /* of the message with mark 0 */
	SIM_FAR_FRESH = SIM_FAR - 1,
	SIM_FAR_DEAD = SIM_FAR - 2,
};

static const char *const sim_people[SIM_ACCOUNTS] = { "alice@example.test", "bob@example.test" };
static const char *const sim_names[SIM_NAMES] = { "INBOX", "Archive" };
/* Bob gets his mail behind an alias, where room is asked for at delivery; and at times he has none. */
enum { SIM_BOB = 1 };
static const char sim_friend[] = "friend@example.test";
/* The first letter says which; dead.example never takes anything, the last one's domain is new each time. */
static const char *const sim_far[SIM_FAR] = { "a@one.example", "b@two.example", "c@one.example",
					      "d@dead.example", "e" };

/* What is known of something that was asked for. */
enum sim_known { NEVER, MAYBE, KEPT };

enum sim_kind { ITEM_LETTER, ITEM_REPORT, ITEM_APPENDED };

struct sim_item {
	enum sim_kind kind;
	enum sim_known known;
	u64 id, arrived;
	bool null_sender;
	bool here[SIM_ACCOUNTS], placed[SIM_ACCOUNTS];
	bool given_up; /* for bob, who had no room to the end; told to the sender */
	bool there[SIM_FAR], over[SIM_FAR], reported[SIM_FAR];
	u32 relayed[SIM_FAR], excused[SIM_FAR], attempts[SIM_FAR];
	u64 not_before[SIM_FAR];
	/* of a report */
	u32 about;
	bool tells[SIM_FAR], tells_of_bob;
};

struct sim_row {
	u32 uid, mark;
	u64 flags, asked_flags, modseq;
	bool busy, moving;   /* an operation on it is under way */
	bool flags_asked;    /* unsure whether they are flags or asked_flags */
	bool changed;        /* since it was last looked at: its modseq must have risen */
	enum sim_known gone; /* expunged, or moved away */
};

/* A row that is to come, or may. */
struct sim_expected {
	u32 mark, uid; /* uid: that it must have; 0: any */
	u64 flags;
	enum sim_known known;
	bool moved; /* from the account's other mailbox */
};

struct sim_box {
	u64 id, modseq, seen;
	u32 uidnext, uidvalidity;
	size_t rows_n, expected_n, copy_n;
	struct sim_row rows[SIM_ROWS];
	struct sim_expected expected[SIM_ROWS];
	struct view_row copy[SIM_ROWS]; /* what a client knows from changes alone */
};

struct sim {
	struct sim_world w;
	u32 steps_left, lives;
	u32 items_n;
	u64 last_id;
	struct sim_item items[SIM_ITEMS];
	struct sim_box boxes[SIM_BOXES];
	bool waits_asked; /* unsure whether the administrator ended all waits */
	u32 acknowledged, delivered, put_off, relays, reports, operations;
};

static inline struct sim_box *sim_box(struct sim *s, u64 account, size_t name)
{
	return &s->boxes[(account - 1) * SIM_NAMES + name];
}

static inline u64 sim_size_of(u32 mark)
{
	return SIM_SIZE + mark;
}

static inline struct sim_item *sim_item_of(struct sim *s, u64 size)
{
	SIM_CHECK(size >= SIM_SIZE && size - SIM_SIZE < s->items_n,
		  "CORRUPT: a message of %llu octets", (unsigned long long)size);
	return &s->items[size - SIM_SIZE];
}

static inline u32 sim_mark_of(const struct sim *s, const struct sim_item *item)
{
	return (u32)(item - s->items);
}

/* NULL: enough of them. */
static inline struct sim_item *sim_item_new(struct sim *s, enum sim_kind kind)
{
	struct sim_item *item = &s->items[s->items_n];

	if (s->items_n == SIM_ITEMS)
		return NULL;
	s->items_n++;
	*item = (struct sim_item){ .kind = kind, .known = MAYBE };
	return item;
}

/* --- Rows that are to come --- */

static inline void sim_expect(struct sim_box *b, struct sim_expected e)
{
	CHECK(b->expected_n < SIM_ROWS);
	b->expected[b->expected_n++] = e;
}

static inline void sim_unexpect(struct sim_box *b, size_t at)
{
	b->expected[at] = b->expected[--b->expected_n];
}

/* The operation that wanted a row of this mark has ended. */
static inline void sim_expect_ended(struct sim_box *b, u32 mark, u32 uid, enum sim_known known)
{
	for (size_t i = 0; i < b->expected_n; i++) {
		struct sim_expected *e = &b->expected[i];
		if (e->mark != mark || e->known != MAYBE)
			continue;
		e->known = known;
		e->uid = uid;
		if (known == NEVER)
			sim_unexpect(b, i);
		return;
	}
	sim_fail("the ledger forgot mark %u", mark);
}

static inline bool sim_expected_row(struct sim_box *b, u32 mark, u32 uid, struct sim_expected *out)
{
	for (int pass = 0; pass < 2; pass++) { /* what is sure comes first */
		for (size_t i = 0; i < b->expected_n; i++) {
			*out = b->expected[i];
			if (out->mark == mark && (out->uid == 0 || out->uid == uid) &&
			    (out->known == KEPT) == (pass == 0)) {
				sim_unexpect(b, i);
				return true;
			}
		}
	}
	return false;
}

/* --- Comparing a mailbox --- */

struct sim_found {
	u32 uid, mark;
	u64 flags, modseq;
};

static inline size_t sim_read_box(struct desk *d, struct sim *s, u64 account, size_t name,
				  struct sim_found *rows, u32 *uidnext)
{
	struct sim_box *b = sim_box(s, account, name);
	u32 validity;
	struct query *q;
	struct tx t;
	size_t n = 0;

	must(store_read_begin(d->w.store, d->w.arena, &t));
	q = SQL_QUERY(t.db,
		      "SELECT id, uidnext, uidvalidity, modseq FROM mailbox"
		      " WHERE account_id = ? AND name = ?",
		      SQL_U64(account), SQL_STR(str_cstr(sim_names[name])));
	SIM_CHECK(sql_row(q), "LOST: a mailbox");
	b->id = sql_u64(q);
	*uidnext = sql_u32(q);
	validity = sql_u32(q);
	SIM_CHECK(b->uidvalidity == 0 || b->uidvalidity == validity, "UID: validity changed");
	b->uidvalidity = validity;
	SIM_CHECK(sql_u64(q) >= b->modseq, "MODSEQ: of the mailbox went back");
	must(sql_end(d->w.arena, q));
	q = SQL_QUERY(t.db,
		      "SELECT s.uid, s.flags, s.modseq, b.size FROM message_state s"
		      " JOIN message_env e ON e.key = (s.mailbox_id << 32 | s.uid)"
		      " JOIN body b ON b.id = e.body_id"
		      " WHERE s.account_id = ? AND s.mailbox_id = ? AND e.account_id = s.account_id"
		      " ORDER BY s.uid",
		      SQL_U64(account), SQL_U64(b->id));
	while (sql_row(q) && n < SIM_ROWS) {
		rows[n].uid = sql_u32(q);
		rows[n].flags = sql_u64(q);
		rows[n].modseq = sql_u64(q);
		rows[n].mark = sim_mark_of(s, sim_item_of(s, sql_u64(q)));
		n++;
	}
	must(sql_end(d->w.arena, q));
	store_read_end(&t);
	return n;
}

static inline void sim_check_old_row(struct sim_row *r, const struct sim_found *f)
{
	SIM_CHECK(r->gone != KEPT, "REMOVED BUT THERE: mark %u uid %u", r->mark, r->uid);
	SIM_CHECK(f->mark == r->mark, "UID: %u was mark %u, is %u", r->uid, r->mark, f->mark);
	SIM_CHECK(f->modseq >= r->modseq, "MODSEQ: of mark %u went back", r->mark);
	SIM_CHECK(!r->changed || f->modseq > r->modseq, "MODSEQ: mark %u changed without", r->mark);
	SIM_CHECK(f->flags == r->flags || (r->flags_asked && f->flags == r->asked_flags),
		  "CORRUPT: flags of mark %u are %llx, not %llx", r->mark,
		  (unsigned long long)f->flags, (unsigned long long)r->flags);
	r->modseq = f->modseq;
	r->changed = false;
	if (f->flags != r->flags) { /* so it happened */
		r->flags = f->flags;
		r->flags_asked = false;
	}
}

static inline void sim_new_row(struct sim *s, u64 account, size_t name, const struct sim_found *f)
{
	struct sim_box *b = sim_box(s, account, name);
	struct sim_item *item = &s->items[f->mark];
	struct sim_expected e;

	SIM_CHECK(f->uid >= b->uidnext, "UID: %u was given before", f->uid);
	if (!sim_expected_row(b, f->mark, f->uid, &e))
		sim_fail("%s: mark %u in %s of account %llu",
			 item->placed[account - 1] ? "DUPLICATE" : "GHOST", f->mark,
			 sim_names[name], (unsigned long long)account);
	SIM_CHECK(f->flags == e.flags, "CORRUPT: flags of the new mark %u", f->mark);
	item->placed[account - 1] = true;
	CHECK(b->rows_n < SIM_ROWS);
	b->rows[b->rows_n++] = (struct sim_row){
		.uid = f->uid, .mark = f->mark, .flags = f->flags, .modseq = f->modseq
	};
}

/* Rows of the ledger beside rows of the store, both by UID. */
static inline void sim_compare_rows(struct sim *s, u64 account, size_t name,
				    const struct sim_found *found, size_t n)
{
	struct sim_box *b = sim_box(s, account, name);
	size_t at = 0, old = b->rows_n;

	for (size_t i = 0; i < old; i++) {
		struct sim_row *r = &b->rows[i];
		if (at < n && found[at].uid == r->uid) {
			sim_check_old_row(r, &found[at++]);
			continue;
		}
		SIM_CHECK(at == n || found[at].uid > r->uid, "GHOST: uid %u", found[at].uid);
		SIM_CHECK(r->gone != NEVER, "LOST: mark %u uid %u", r->mark, r->uid);
		r->gone = KEPT;
	}
	for (; at < n; at++)
		sim_new_row(s, account, name, &found[at]);
}

/* Lays the changes since last time over the copy, as a client does (RFC 7162). */
static inline void sim_follow(struct desk *d, struct sim *s, u64 account, size_t name,
			      const struct sim_found *found, size_t n)
{
	struct sim_box *b = sim_box(s, account, name);
	struct office_mailbox_changes_answer c = { .changes_n = 0 };
	struct tx t;

	must(store_read_begin(d->w.store, d->w.arena, &t));
	must(store_mailbox_changes(&t, account, b->id, b->seen, &c));
	store_read_end(&t);
	for (size_t k = 0; k < c.changes_n; k++) {
		size_t i = 0;

		while (i < b->copy_n && b->copy[i].uid < c.changes[k].uid)
			i++;
		if (i < b->copy_n && b->copy[i].uid == c.changes[k].uid)
			memmove(&b->copy[i], &b->copy[i + 1],
				(--b->copy_n - i) * sizeof b->copy[0]);
		if (c.changes[k].gone)
			continue;
		memmove(&b->copy[i + 1], &b->copy[i], (b->copy_n++ - i) * sizeof b->copy[0]);
		b->copy[i] =
		    (struct view_row){ .uid = c.changes[k].uid, .flags = c.changes[k].flags };
	}
	SIM_CHECK(c.modseq >= b->seen, "MODSEQ: of the changes went back");
	b->seen = b->modseq = c.modseq;
	SIM_CHECK(b->copy_n == n, "MODSEQ: by changes %zu rows, not %zu", b->copy_n, n);
	for (size_t i = 0; i < n; i++)
		SIM_CHECK(b->copy[i].uid == found[i].uid && b->copy[i].flags == found[i].flags,
			  "MODSEQ: by changes uid %u is another", found[i].uid);
}

/* Nothing is under way: what was unsure is decided by what is there. */
static inline void sim_settle_box(struct sim_box *b)
{
	size_t kept = 0;

	for (size_t i = 0; i < b->expected_n; i++)
		SIM_CHECK(b->expected[i].known != KEPT, "LOST: mark %u never came",
			  b->expected[i].mark);
	b->expected_n = 0;
	for (size_t i = 0; i < b->rows_n; i++) {
		struct sim_row r = b->rows[i];
		if (r.gone == KEPT)
			continue;
		r.gone = NEVER;
		r.busy = r.moving = r.flags_asked = false;
		b->rows[kept++] = r;
	}
	b->rows_n = kept;
}

static inline bool sim_is_to_come(const struct sim_box *b, u32 mark)
{
	for (size_t i = 0; i < b->expected_n; i++)
		if (b->expected[i].mark == mark && b->expected[i].moved)
			return true;
	return false;
}

/* A move whose end nobody heard of: here or there, not both, not neither. */
static inline void sim_check_moves(struct sim *s, u64 account)
{
	for (size_t name = 0; name < SIM_NAMES; name++) {
		const struct sim_box *from = sim_box(s, account, name);
		for (size_t i = 0; i < from->rows_n; i++) {
			const struct sim_row *r = &from->rows[i];
			bool still = r->gone == MAYBE;
			SIM_CHECK(!r->moving ||
				      still == sim_is_to_come(sim_box(s, account, !name), r->mark),
				  "%s: mark %u half moved", still ? "DUPLICATE" : "LOST", r->mark);
		}
	}
}

/* quiet: nothing is under way. */
static inline void sim_compare(struct desk *d, struct sim *s, bool quiet)
{
	struct sim_found *found = arena_array_of(d->w.arena, SIM_ROWS, struct sim_found);
	u32 uidnext;

	for (u64 account = 1; account <= SIM_ACCOUNTS; account++) {
		for (size_t name = 0; name < SIM_NAMES; name++) {
			size_t n = sim_read_box(d, s, account, name, found, &uidnext);
			struct sim_box *b = sim_box(s, account, name);
			sim_compare_rows(s, account, name, found, n);
			sim_follow(d, s, account, name, found, n);
			SIM_CHECK(uidnext >= b->uidnext && (n == 0 || uidnext > found[n - 1].uid),
				  "UID: next is %u, was %u", uidnext, b->uidnext);
			b->uidnext = uidnext;
		}
		if (quiet)
			sim_check_moves(s, account);
		for (size_t name = 0; quiet && name < SIM_NAMES; name++)
			sim_settle_box(sim_box(s, account, name));
	}
}

#endif
