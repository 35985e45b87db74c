/*
 * postern salvage: a new database from the segments alone. Every record is read in the order it was written: messages
 * become bodies, notes are done again. What was accepted but never placed anywhere goes to the INBOX of those of its
 * recipients who are accounts here.
 *
 * Modseqs were not noted. All rows get one that is higher than any given before (milliseconds of today), so that clients
 * who remember one look again. A new segment is begun: nothing is ever written behind a damaged one. What is lost may have had UIDs
 * that clients remember (a segment may end early at a record's end, and nobody can tell), so new ones begin STORE_UIDS_AHEAD further on.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fd.h"
#include "office/store/record.h"
#include "office/store/schema.h"
#include "office/store/store_directory.h"
#include "office/store/store_int.h"

enum {
	STEP_ARENA = 64 << 20,
	KEPT_NAME = 48,
	KEPT_MAX = 99,
};

struct salvage {
	struct store *store;
	struct sql *db;
	struct arena *step; /* of one record */
	struct tx t;        /* in step */
	struct salvage_report *report;
	u64 modseq;
	u32 number;                   /* of the segment under way */
	u64 mailbox, uidvalidity, id; /* the highest that were ever given: none is given again */
};

/* --- Accounts and mailboxes --- */

static const struct fail *add_account(struct salvage *s, u64 id, str address)
{
	size_t at = str_find_last(address, '@');
	str domain = at == SIZE_MAX ? STR_NONE : str_skip(address, at + 1);

	if (address.n == 0)
		return NULL;
	/* One who had the address before is gone, though the note of that was lost. */
	TRY(SQL_RUN(s->step, s->db, "DELETE FROM account WHERE address = ? AND id < ?",
		    SQL_STR(address), SQL_U64(id)));
	TRY(SQL_RUN(s->step, s->db, "INSERT INTO domain (name) VALUES (?) ON CONFLICT DO NOTHING",
		    SQL_STR(domain)));
	return SQL_RUN(
	    s->step, s->db,
	    "INSERT INTO account (id, address, domain, generation, suspended, quota_bytes,"
	    " modseq) VALUES (?, ?, ?, ?, 0, 0, ?) ON CONFLICT DO NOTHING",
	    SQL_U64(id), SQL_STR(address), SQL_STR(domain), SQL_U64(ACCOUNT_GENERATION_ANY),
	    SQL_U64(s->modseq));
}

static const struct fail *drop_messages(struct salvage *s, u64 account, u64 mailbox, u32 low,
					u32 high)
{
	TRY(SQL_RUN(s->step, s->db,
		    "DELETE FROM message_state"
		    " WHERE account_id = ? AND mailbox_id = ? AND uid BETWEEN ? AND ?",
		    SQL_U64(account), SQL_U64(mailbox), SQL_U64(low), SQL_U64(high)));
	return SQL_RUN(
	    s->step, s->db, "DELETE FROM message_env WHERE key BETWEEN ? AND ? AND account_id = ?",
	    SQL_U64(env_key(mailbox, low)), SQL_U64(env_key(mailbox, high)), SQL_U64(account));
}

static const struct fail *drop_mailbox(struct salvage *s, u64 account, u64 mailbox)
{
	TRY(drop_messages(s, account, mailbox, 0, UINT32_MAX));
	TRY(SQL_RUN(s->step, s->db, "DELETE FROM keyword WHERE account_id = ? AND mailbox_id = ?",
		    SQL_U64(account), SQL_U64(mailbox)));
	return SQL_RUN(s->step, s->db, "DELETE FROM mailbox WHERE account_id = ? AND id = ?",
		       SQL_U64(account), SQL_U64(mailbox));
}

static u64 higher(u64 a, u64 b)
{
	return a > b ? a : b;
}

/* Under the name it has now; a name that is taken (notes were lost) gets the number behind it. */
static const struct fail *add_mailbox(struct salvage *s, const struct mailbox_note *n)
{
	u32 special = str_eq(n->name, S("INBOX")) ? (u32)SPECIAL_INBOX : n->special;
	u64 other;
	bool taken;
	str name = n->name;

	if (n->mailbox == 0 || n->mailbox > INT32_MAX || n->uidvalidity == 0)
		return NULL;
	s->mailbox = higher(s->mailbox, n->mailbox);
	s->uidvalidity = higher(s->uidvalidity, n->uidvalidity);
	TRY(sql_one_u64(
	    s->step,
	    SQL_QUERY(s->db, "SELECT id FROM mailbox WHERE account_id = ? AND name = ? AND id <> ?",
		      SQL_U64(n->account), SQL_STR(name), SQL_U64(n->mailbox)),
	    &other, &taken));
	if (taken)
		name =
		    str_format(s->step, "%.*s %llu", STR_ARG(name), (unsigned long long)n->mailbox);
	return SQL_RUN(s->step, s->db,
		       "INSERT INTO mailbox (account_id, id, name, special, uidvalidity, uidnext,"
		       " recent_from, messages, unseen, size, modseq, forgotten)"
		       " VALUES (?1, ?2, ?3, ?4, ?5, 1, 1, 0, 0, 0, ?6, ?6)"
		       " ON CONFLICT (account_id, id) DO UPDATE SET name = excluded.name,"
		       " special = max(special, excluded.special)",
		       SQL_U64(n->account), SQL_U64(n->mailbox), SQL_STR(name), SQL_U64(special),
		       SQL_U64(n->uidvalidity), SQL_U64(s->modseq));
}

static const struct fail *do_account(struct salvage *s, const struct account_note *n)
{
	if (!n->gone)
		return add_account(s, n->account, n->address);
	/* What waits for this one is not for the next who gets the address. */
	TRY(SQL_RUN(s->step, s->db, "DELETE FROM temp.waiting WHERE address = ?",
		    SQL_STR(n->address)));
	return SQL_RUN(s->step, s->db, "DELETE FROM account WHERE id = ?", SQL_U64(n->account));
}

static const struct fail *do_mailbox(struct salvage *s, const struct mailbox_note *n)
{
	if (n->name.n == 0)
		return drop_mailbox(s, n->account, n->mailbox);
	TRY(add_account(s, n->account, n->address));
	return add_mailbox(s, n);
}

/* --- Messages --- */

static const struct fail *do_message(struct salvage *s, const struct record *r, u64 at, str small)
{
	struct decoder d = { .arena = s->step, .rest = str_skip(small, r->skeleton) };
	struct body_note note;
	struct skeleton parsed;

	s->id = higher(s->id, r->id);
	if (skeleton_decode(s->step, str_slice(small, 0, r->skeleton), &parsed) ||
	    parsed.parts_n == 0 || parsed.parts[0].body_at > r->message) {
		s->report->damaged++;
		return NULL;
	}
	TRY(SQL_RUN(s->step, s->db,
		    "INSERT OR REPLACE INTO body (id, segment, offset, size, skeleton_size,"
		    " header_size, length, references_n) VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
		    SQL_U64(r->id), SQL_U64(s->number), SQL_U64(at), SQL_U64(r->message),
		    SQL_U64(r->skeleton), SQL_U64(parsed.parts[0].body_at),
		    SQL_U64(record_length(r))));
	decode_body_note(&d, &note);
	if (!decoder_done(&d))
		return NULL;
	for (size_t i = 0; i < note.recipients_n; i++)
		TRY(SQL_RUN(s->step, s->db,
			    "INSERT INTO temp.waiting (body, address, sender, time)"
			    " VALUES (?, ?, ?, ?)",
			    SQL_U64(r->id), SQL_STR(note.recipients[i]), SQL_STR(note.sender),
			    SQL_U64(r->time)));
	return NULL;
}

/* As it was done: what was only taken away made no keyword. One that cannot be is left out, it must not hide the mail. */
static const struct fail *bits_of(struct salvage *s, u64 account, u64 mailbox, const str *names,
				  size_t n, bool make, u64 *bits)
{
	struct keywords k;
	const struct fail *f;

	TRY(keywords_load(&s->t, account, mailbox, &k));
	f = keywords_bits(&s->t, account, mailbox, &k, names, n, make, bits);
	if (f == NULL || (f->what != FAIL_LIMIT && f->what != FAIL_INVALID))
		return f;
	s->report->damaged++;
	return keywords_bits(&s->t, account, mailbox, &k, names, n, false, bits);
}

static const struct fail *insert_row(struct salvage *s, const struct placed_note *n, u64 flags,
				     const struct body_row *b)
{
	struct record r;
	str skeleton = STR_NONE;
	bool inside = b->skeleton <= STORE_SKELETON_ROW;

	if (inside)
		TRY(body_skeleton(&s->t, b, &r, &skeleton));
	TRY(SQL_RUN(
	    s->step, s->db,
	    "INSERT OR REPLACE INTO message_state (account_id, mailbox_id, uid, flags, modseq,"
	    " size) VALUES (?, ?, ?, ?, ?, ?)",
	    SQL_U64(n->account), SQL_U64(n->mailbox), SQL_U64(n->uid), SQL_U64(flags),
	    SQL_U64(s->modseq), SQL_U64(b->size + n->prefix.n)));
	return SQL_RUN(s->step, s->db,
		       "INSERT OR REPLACE INTO message_env (key, account_id, body_id,"
		       " internal_date, size, prefix, skeleton) VALUES (?, ?, ?, ?, ?, ?, ?)",
		       SQL_U64(env_key(n->mailbox, n->uid)), SQL_U64(n->account), SQL_U64(n->body),
		       SQL_U64(n->internal_date), SQL_U64(b->size), SQL_BLOB(n->prefix),
		       inside ? SQL_BLOB(skeleton) : SQL_NULL());
}

/* Also when the message itself is lost. */
static const struct fail *take_uid(struct salvage *s, const struct placed_note *n)
{
	return SQL_RUN(
	    s->step, s->db,
	    "UPDATE mailbox SET uidnext = max(uidnext, ?) WHERE account_id = ? AND id = ?",
	    SQL_U64((u64)n->uid + 1), SQL_U64(n->account), SQL_U64(n->mailbox));
}

static const struct fail bad_note = FAIL_STATIC(CORRUPT, "a note that makes no sense");

static const struct fail *do_placed(struct salvage *s, const struct placed_note *n)
{
	const struct mailbox_note m = { .account = n->account,
					.mailbox = n->mailbox,
					.name = n->name,
					.uidvalidity = n->uidvalidity };
	struct body_row b;
	u64 bits;

	TRY(add_account(s, n->account, n->address));
	TRY(add_mailbox(s, &m));
	TRY(SQL_RUN(s->step, s->db, "DELETE FROM temp.waiting WHERE body = ? AND address = ?",
		    SQL_U64(n->body), SQL_STR(n->address)));
	if (n->uid == 0 || n->uid == UINT32_MAX || n->mailbox == 0 || n->mailbox > INT32_MAX ||
	    n->prefix.n > STORE_PREFIX_BYTES)
		return &bad_note;
	TRY(take_uid(s, n));
	TRY(body_row_get(&s->t, n->body, &b));
	TRY(bits_of(s, n->account, n->mailbox, n->keywords, n->keywords_n, true, &bits));
	return insert_row(s, n, (n->flags & FLAG_SYSTEM) | bits, &b);
}

static const struct fail *do_flags(struct salvage *s, const struct flags_note *n)
{
	static const char *const how[] = {
		[FLAGS_REPLACE] = "UPDATE message_state SET flags = ?1 WHERE account_id = ?2 AND"
				  " mailbox_id = ?3 AND uid BETWEEN ?4 AND ?5",
		[FLAGS_ADD] =
		    "UPDATE message_state SET flags = flags | ?1 WHERE account_id = ?2 AND"
		    " mailbox_id = ?3 AND uid BETWEEN ?4 AND ?5",
		[FLAGS_REMOVE] =
		    "UPDATE message_state SET flags = flags & ~?1 WHERE account_id = ?2"
		    " AND mailbox_id = ?3 AND uid BETWEEN ?4 AND ?5",
	};
	u64 bits;

	if (n->mode >= ARRAY_LEN(how))
		return NULL;
	TRY(bits_of(s, n->account, n->mailbox, n->keywords, n->keywords_n, n->mode != FLAGS_REMOVE,
		    &bits));
	bits |= n->flags & FLAG_SYSTEM;
	for (size_t i = 0; i < n->uids_n; i++) {
		const struct sql_value values[] = { SQL_U64(bits), SQL_U64(n->account),
						    SQL_U64(n->mailbox), SQL_U64(n->uids[i].low),
						    SQL_U64(n->uids[i].high) };
		TRY(sql_run(s->step, s->db, how[n->mode], values, ARRAY_LEN(values)));
	}
	return NULL;
}

static const struct fail *do_expunged(struct salvage *s, const struct expunged_note *n)
{
	for (size_t i = 0; i < n->uids_n; i++)
		TRY(drop_messages(s, n->account, n->mailbox, n->uids[i].low, n->uids[i].high));
	return NULL;
}

/* --- Walking --- */

#define DO_NOTE(name)                               \
	{                                           \
		struct name##_note note;            \
		decode_##name##_note(&d, &note);    \
		if (decoder_done(&d))               \
			return do_##name(s, &note); \
		break;                              \
	}

static const struct fail *do_record(struct salvage *s, const struct record *r, u64 at, str small)
{
	struct decoder d = { .arena = s->step, .rest = small };

	switch (r->kind) {
	case RECORD_MESSAGE:
		return do_message(s, r, at, small);
	case RECORD_ACCOUNT:
		DO_NOTE(account)
	case RECORD_MAILBOX:
		DO_NOTE(mailbox)
	case RECORD_PLACED:
		DO_NOTE(placed)
	case RECORD_FLAGS:
		DO_NOTE(flags)
	case RECORD_EXPUNGED:
		DO_NOTE(expunged)
	default: /* of a later format: not ours to judge */
		return NULL;
	}
	s->report->damaged++;
	return NULL;
}

/* What one record alone got wrong; anything else ends it all. */
static bool is_of_record(const struct fail *f)
{
	return f->what == FAIL_CORRUPT || f->what == FAIL_EXISTS || f->what == FAIL_INVALID;
}

static const struct fail *walk(struct salvage *s, struct segment_walk *w)
{
	struct record r;
	str small;
	bool damaged;
	u64 at;

	while (segment_walk_next(s->step, w, &r, &at, &small, &damaged)) {
		const struct fail *f = NULL;

		if (damaged)
			s->report->damaged++;
		else
			f = do_record(s, &r, at, small);
		if (f && is_of_record(f)) {
			s->report->damaged++;
			f = NULL;
		}
		if (f) /* it lies in the step's arena */
			f = fail_code(s->store->arena, f->what, (const char *)f->code.p, "%.*s",
				      STR_ARG(f->text));
		arena_reset(s->step);
		TRY(f);
	}
	return NULL;
}

static const struct fail *walk_all(struct salvage *s, struct arena *a)
{
	struct segment_walk w;
	u32 *numbers;
	size_t n;

	TRY(segments_list(a, s->store->mail, &numbers, &n));
	for (size_t i = 0; i < n; i++) {
		struct arena *own = arena_new(4096);
		const struct fail *f;

		s->number = numbers[i];
		if (segment_walk_open(own, s->store->mail, numbers[i], &w)) {
			s->report->damaged++;
			f = NULL;
		} else {
			f = walk(s, &w);
		}
		arena_free(&own);
		TRY(f);
	}
	return meta_set(a, s->db, "tail", ((u64)s->number + 1) << 32);
}

/* --- What follows from all that --- */

static const struct fail *finish_rows(struct salvage *s, struct arena *a)
{
	return sql_script(
	    a, s->db,
	    /* mailboxes and rows of accounts that were removed */
	    "DELETE FROM message_env WHERE account_id NOT IN (SELECT id FROM account);"
	    "DELETE FROM message_state WHERE account_id NOT IN (SELECT id FROM account);"
	    "DELETE FROM mailbox WHERE account_id NOT IN (SELECT id FROM account);"
	    "DELETE FROM keyword WHERE account_id NOT IN (SELECT id FROM account);"
	    "INSERT INTO subscription SELECT account_id, name FROM mailbox;");
}

static const struct fail *finish_numbers(struct salvage *s, struct arena *a)
{
	TRY(meta_set(a, s->db, "mailbox", s->mailbox));
	TRY(meta_set(a, s->db, "uidvalidity", s->uidvalidity));
	TRY(meta_set(a, s->db, "ids", s->id));
	return SQL_RUN(a, s->db, "UPDATE mailbox SET uidnext = min(uidnext + ?, ?)",
		       SQL_U64(STORE_UIDS_AHEAD), SQL_U64(UINT32_MAX));
}

static const struct fail *finish_sums(struct salvage *s, struct arena *a)
{
	return sql_script(
	    a, s->db,
	    "UPDATE mailbox SET messages = n.messages, unseen = n.unseen, size = n.size FROM"
	    " (SELECT account_id, mailbox_id, count(*) AS messages, sum(flags & 1 = 0) AS unseen,"
	    " sum(size) AS size FROM message_state GROUP BY account_id, mailbox_id) AS n"
	    " WHERE n.account_id = mailbox.account_id AND n.mailbox_id = mailbox.id;"
	    "UPDATE account SET used_bytes = n.size, used_messages = n.messages FROM"
	    " (SELECT account_id, sum(size) AS size, sum(messages) AS messages FROM mailbox"
	    " GROUP BY account_id) AS n WHERE n.account_id = account.id;"
	    "UPDATE body SET references_n = n.n FROM (SELECT body_id, count(*) AS n FROM message_env"
	    " GROUP BY body_id) AS n WHERE n.body_id = body.id;"
	    "INSERT INTO segment (number, dead) SELECT segment, sum(length) FROM body"
	    " WHERE references_n = 0 GROUP BY segment;");
}

struct waiting {
	u64 body, account, time;
	str address, sender;
};

static const struct fail *inbox_of(struct salvage *s, const struct waiting *m,
				   struct mailbox_row *inbox)
{
	struct mailbox_note n = { .account = m->account, .name = S("INBOX") };
	const struct fail *f = mailbox_by_name(&s->t, m->account, S("INBOX"), inbox);

	if (!f || f->what != FAIL_NOT_FOUND)
		return f;
	TRY(meta_get(s->step, s->db, "mailbox", &n.mailbox));
	n.mailbox++;
	TRY(meta_set(s->step, s->db, "mailbox", n.mailbox));
	TRY(uidvalidity_next(&s->t, &n.uidvalidity));
	TRY(add_mailbox(s, &n));
	return mailbox_by_name(&s->t, m->account, S("INBOX"), inbox);
}

static const struct fail *place_waiting(struct salvage *s, const struct waiting *m)
{
	struct mailbox_row inbox;
	struct placed_note n = { .account = m->account,
				 .address = m->address,
				 .name = S("INBOX"),
				 .body = m->body,
				 .internal_date = m->time };

	TRY(inbox_of(s, m, &inbox));
	n.mailbox = inbox.id;
	n.uid = inbox.uidnext;
	n.uidvalidity = inbox.uidvalidity;
	n.prefix = str_format(s->step, "Return-Path: <%.*s>\r\nDelivered-To: %.*s\r\n",
			      STR_ARG(m->sender), STR_ARG(m->address));
	return do_placed(s, &n);
}

/* One at a time, so that the query is closed while rows are made. */
static const struct fail *place_all_waiting(struct salvage *s)
{
	for (;; arena_reset(s->step)) {
		const struct fail *f;
		struct query *q = SQL_QUERY0(
		    s->db, "SELECT w.body, a.id, w.time, w.address, w.sender FROM temp.waiting w"
			   " JOIN account a ON a.address = w.address LIMIT 1");
		struct waiting m;
		bool found = sql_row(q);

		m.body = sql_u64(q);
		m.account = sql_u64(q);
		m.time = sql_u64(q);
		m.address = sql_str(q, s->step);
		m.sender = sql_str(q, s->step);
		TRY(sql_end(s->step, q));
		if (!found)
			return NULL;
		f = place_waiting(s, &m);
		if (f && f->what != FAIL_CORRUPT)
			return f;
		s->report->undelivered += f == NULL;
		s->report->damaged += f != NULL;
	}
}

static const struct fail *count(struct salvage *s, struct arena *a)
{
	bool found;

	TRY(sql_one_u64(a, SQL_QUERY0(s->db, "SELECT count(*) FROM account"), &s->report->accounts,
			&found));
	TRY(sql_one_u64(a, SQL_QUERY0(s->db, "SELECT count(*) FROM mailbox"), &s->report->mailboxes,
			&found));
	TRY(sql_one_u64(a, SQL_QUERY0(s->db, "SELECT count(*) FROM message_env"),
			&s->report->messages, &found));
	TRY(sql_one_u64(a, SQL_QUERY0(s->db, "SELECT count(*) FROM body WHERE references_n = 0"),
			&s->report->unplaced, &found));
	return SQL_RUN0(a, s->db, "DELETE FROM body WHERE references_n = 0");
}

static const struct fail *rebuild(struct salvage *s, struct arena *a)
{
	TRY(sql_script(
	    a, s->db,
	    "CREATE TEMP TABLE waiting (body INTEGER, address TEXT, sender TEXT, time INTEGER);"
	    "CREATE INDEX temp.waiting_by_body ON waiting (body, address)"));
	TRY(SQL_RUN0(a, s->db, "BEGIN IMMEDIATE"));
	TRY(walk_all(s, a));
	TRY(finish_rows(s, a));
	TRY(finish_numbers(s, a));
	TRY(place_all_waiting(s));
	TRY(finish_sums(s, a));
	TRY(count(s, a));
	return SQL_RUN0(a, s->db, "COMMIT");
}

/* --- Files --- */

/* A name that nothing has. What an earlier salvage kept stays: it may be the only one with aliases and quotas. */
static bool kept_name(int folder, char name[KEPT_NAME])
{
	for (u32 n = 1; n <= KEPT_MAX; n++) {
		if (n == 1)
			snprintf(name, KEPT_NAME, "postern.db.before-salvage");
		else
			snprintf(name, KEPT_NAME, "postern.db.before-salvage-%u", n);
		if (faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT)
			return true;
	}
	return false;
}

static bool rename_there(int folder, const char *from, const char *to)
{
	return renameat(folder, from, folder, to) == 0 || errno == ENOENT;
}

/* The new database under the right name, the old one kept beside it with its WAL. */
static const struct fail *put_in_place(struct arena *a, int folder)
{
	char kept[KEPT_NAME], wal[KEPT_NAME + 4];

	if (!kept_name(folder, kept))
		return fail_new(a, FAIL_CONFLICT, "too many databases are kept already: %s", kept);
	snprintf(wal, sizeof wal, "%s-wal", kept);
	if (!rename_there(folder, "postern.db", kept) ||
	    !rename_there(folder, "postern.db-wal", wal))
		return fail_errno(a, errno, "keeping the old database");
	unlinkat(folder, "postern.db-shm", 0);
	if (renameat(folder, "postern.db.new", folder, "postern.db") != 0 || fsync(folder) != 0)
		return fail_errno(a, errno, "putting the new database in place");
	return NULL;
}

static const struct fail *run(struct arena *a, struct store *store, struct salvage_report *out)
{
	struct salvage s = { .store = store,
			     .db = store->db,
			     .step = arena_new(STEP_ARENA),
			     .report = out,
			     .modseq = env_now(store->env) };
	const struct fail *f;

	atomic_store(&store->broken, true);
	segments_open_reading(store->mail, store->env, &store->segments);
	s.t = (struct tx){ .store = store, .db = s.db, .arena = s.step, .now = s.modseq };
	f = rebuild(&s, a);
	if (!f) /* the WAL does not come along; closing would not say that the disk is full */
		f = sql_checkpoint(a, s.db, SQL_CHECKPOINT_TRUNCATE);
	if (f)
		f = fail_code(a, f->what, (const char *)f->code.p, "%.*s", STR_ARG(f->text));
	arena_free(&s.step);
	return f;
}

const struct fail *store_salvage(struct arena *a, const char *folder, struct salvage_report *out)
{
	const struct store_options o = { .folder = folder };
	struct store *s;
	const struct fail *f;
	int at = arena_own_fd(a, open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)), lock;

	*out = (struct salvage_report){ .damaged = 0 };
	if (at < 0)
		return fail_errno(a, errno, "opening the store's folder");
	TRY(store_open_files(a, &o, "postern.db.new", &s));
	f = run(a, s, out);
	lock = fcntl(s->lock, F_DUPFD_CLOEXEC, 0); /* held until all is in place */
	CHECK(lock >= 0);
	store_close(&s);
	if (!f)
		f = put_in_place(a, at);
	else
		store_remove_database(at, "postern.db.new");
	fd_close(&lock);
	return f;
}
