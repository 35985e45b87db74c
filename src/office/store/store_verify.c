/*
 * postern verify: walks all records of all segments, and all rows of the database, and compares them both ways.
 * Changes nothing. Problems come back as texts, STORE_PROBLEMS at most; all are counted.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/id.h"
#include "office/store/schema.h"
#include "office/store/store_directory.h"
#include "office/store/store_int.h"

struct verify {
	struct tx *t;
	struct arena *scratch; /* of one step */
	struct office_verify_answer *r;
	str *problems;
	u32 number;        /* of the segment under way */
	bool at_rest;      /* no office writes to it */
	struct place tail; /* what lies behind was not acknowledged, and is being written perhaps */
};

static void problem(struct verify *v, const char *format, ...) PRINTF(2, 3);

static void problem(struct verify *v, const char *format, ...)
{
	va_list args;
	struct buf text;
	u8 *room;

	v->r->problem_count++;
	if (v->r->problems_n == STORE_PROBLEMS)
		return;
	buf_init(&text, 512);
	room = buf_room(&text, 512);
	va_start(args, format);
	vsnprintf((char *)room, 512, format, args);
	va_end(args);
	v->problems[v->r->problems_n++] = str_copy(v->t->arena, str_cstr((const char *)room));
	buf_free(&text);
}

static const char *id_of(struct verify *v, u64 id)
{
	const char *text = cstr(v->scratch, id_text(v->scratch, id));

	return text ? text : "?";
}

/* --- From the segments to the rows --- */

static const struct fail *check_message(struct verify *v, const struct segment_walk *w,
					const struct record *r, u64 at, str small)
{
	struct skeleton s;
	u64 place;
	bool found;
	const struct sql_value values[] = { SQL_U64(r->id), SQL_U64(v->number), SQL_U64(at),
					    SQL_U64(r->message), SQL_U64(r->skeleton) };

	v->r->messages++;
	v->r->bytes += r->message;
	if (!segment_walk_message_good(v->scratch, w, r, at))
		problem(v, "segment %u offset %llu: message %s is damaged", v->number,
			(unsigned long long)at, id_of(v, r->id));
	if (skeleton_decode(v->scratch, str_slice(small, 0, r->skeleton), &s))
		problem(v, "segment %u offset %llu: the structure of message %s is damaged",
			v->number, (unsigned long long)at, id_of(v, r->id));
	/* No row is no problem: expunged, or never acknowledged. A row of another record is. */
	TRY(sql_one_u64(
	    v->scratch,
	    sql_query(v->t->db,
		      "SELECT 1 FROM body WHERE id = ?1 AND segment = ?2 AND offset = ?3"
		      " AND NOT (size = ?4 AND skeleton_size = ?5)",
		      values, ARRAY_LEN(values)),
	    &place, &found));
	if (found)
		problem(v, "message %s: its row says another length than segment %u offset %llu",
			id_of(v, r->id), v->number, (unsigned long long)at);
	return NULL;
}

static const struct fail *check_segment(struct verify *v, struct segment_walk *w)
{
	struct record r;
	str small;
	bool damaged;
	u64 at;

	while (segment_walk_next(v->scratch, w, &r, &at, &small, &damaged)) {
		if (damaged)
			problem(v, "segment %u: bytes %llu to %llu are no good record", v->number,
				(unsigned long long)at, (unsigned long long)w->offset);
		else if (r.kind == RECORD_MESSAGE)
			TRY(check_message(v, w, &r, at, small));
		arena_reset(v->scratch);
	}
	return NULL;
}

/* Of the segment that was written to last: all that was acknowledged must be there; what is behind that is no problem, unless an office
 * would refuse it. */
static void check_tail(struct verify *v, struct segment_walk *w)
{
	const struct store *s = v->t->store;

	if (w->size < v->tail.offset)
		problem(v, "segment %u has %llu bytes, %llu were acknowledged", v->number,
			(unsigned long long)w->size, (unsigned long long)v->tail.offset);
	else if (v->at_rest && segment_has_later(s->mail, v->number, v->tail.offset))
		problem(v, "segment %u is newer than the database", v->number);
	else
		w->size = v->tail.offset;
}

static const struct fail *check_one(struct verify *v, struct segment_walk *w)
{
	if (v->number == v->tail.segment)
		check_tail(v, w);
	if (v->number <= v->tail.segment)
		return check_segment(v, w);
	if (v->at_rest && w->size)
		problem(v, "segment %u is newer than the database", v->number);
	return NULL;
}

static const struct fail *find_tail(struct verify *v, const u32 *numbers, size_t n)
{
	u64 tail;

	TRY(meta_get(v->t->arena, v->t->db, "tail", &tail));
	v->tail = (struct place){ (u32)(tail >> 32), tail & UINT32_MAX };
	if (v->tail.offset && (n == 0 || numbers[n - 1] < v->tail.segment))
		problem(v, "segment %u is missing", v->tail.segment);
	return NULL;
}

static const struct fail *check_segments(struct verify *v)
{
	struct segment_walk w;
	u32 *numbers;
	size_t n;

	TRY(segments_list(v->t->arena, v->t->store->mail, &numbers, &n));
	TRY(find_tail(v, numbers, n));
	for (size_t i = 0; i < n; i++) {
		struct arena *own = arena_new(4096);
		const struct fail *f = segment_walk_open(own, v->t->store->mail, numbers[i], &w);

		v->number = numbers[i];
		if (f)
			problem(v, "segment %u cannot be read", numbers[i]);
		if (i && numbers[i] != numbers[i - 1] + 1)
			problem(v, "segment %u is missing", numbers[i] - 1);
		f = f ? NULL : check_one(v, &w);
		arena_free(&own);
		TRY(f);
	}
	return NULL;
}

/* --- From the rows to the segments --- */

static const struct fail *check_body(struct verify *v, u64 id)
{
	struct tx inner = *v->t;
	struct body_row b;
	struct record r;
	str skeleton;
	const struct fail *f;

	inner.arena = v->scratch;
	f = body_row_get(&inner, id, &b);
	if (!f)
		f = body_skeleton(&inner, &b, &r, &skeleton);
	if (f)
		problem(v, "message %s: %.*s", id_of(v, id), STR_ARG(f->text));
	else if (b.length != record_length(&r))
		problem(v, "message %s: its row says another length than its record", id_of(v, id));
	arena_reset(v->scratch);
	return NULL;
}

static const struct fail *check_bodies(struct verify *v)
{
	struct query *q = SQL_QUERY0(v->t->db, "SELECT id FROM body");

	while (sql_row(q)) {
		u64 id = sql_u64(q);

		if (sql_forgive(q))
			problem(v, "a body without a number");
		else if (check_body(v, id))
			break;
	}
	return sql_end(v->t->arena, q);
}

/* Each names one row, and counts what is wrong with it. */
static const struct fail *check_rows(struct verify *v, struct query *q, const char *what)
{
	while (sql_row(q)) {
		u64 account = sql_u64(q), mailbox = sql_u64(q), number = sql_u64(q);

		sql_forgive(q);
		problem(v, "account %llu mailbox %llu, %llu: %s", (unsigned long long)account,
			(unsigned long long)mailbox, (unsigned long long)number, what);
	}
	return sql_end(v->t->arena, q);
}

static void check_mailbox(struct verify *v, u64 account, u64 id)
{
	struct tx inner = *v->t;
	struct mailbox_row m;
	const struct fail *f;
	str name;

	inner.arena = v->scratch;
	f = mailbox_by_id(&inner, account, id, &m);
	if (!f)
		f = mailbox_name_check(&inner, m.name, &name);
	if (f)
		problem(v, "account %llu mailbox %llu: its row: %.*s", (unsigned long long)account,
			(unsigned long long)id, STR_ARG(f->text));
	arena_reset(v->scratch);
}

static const struct fail *check_mailboxes(struct verify *v)
{
	struct query *q = SQL_QUERY0(v->t->db, "SELECT account_id, id FROM mailbox");

	while (sql_row(q)) {
		u64 account = sql_u64(q), id = sql_u64(q);

		if (sql_forgive(q))
			problem(v, "a mailbox without a number");
		else
			check_mailbox(v, account, id);
	}
	return sql_end(v->t->arena, q);
}

/* Those that a comparison may take for good: text is more than any number. */
static const struct fail *check_types(struct verify *v)
{
	struct sql *db = v->t->db;

	TRY(check_rows(v,
		       SQL_QUERY0(db,
				  "SELECT account_id, mailbox_id, uid FROM message_state"
				  " WHERE typeof(uid) <> 'integer' OR typeof(flags) <> 'integer'"
				  " OR typeof(modseq) <> 'integer' OR uid < 1"),
		       "this UID's row cannot be read"));
	TRY(check_rows(v,
		       SQL_QUERY0(db, "SELECT account_id, key >> 32, key & 4294967295"
				      " FROM message_env WHERE typeof(internal_date) <> 'integer'"
				      " OR typeof(prefix) <> 'blob'"),
		       "this UID's description cannot be read"));
	TRY(check_rows(v,
		       SQL_QUERY0(db, "SELECT 0, 0, message_id FROM queue_entry WHERE"
				      " typeof(kind) <> 'integer' OR status NOT BETWEEN 0 AND 3"
				      " OR report NOT BETWEEN 0 AND 3 OR told NOT BETWEEN 0 AND 1"
				      " OR typeof(account_id) <> 'integer' OR"
				      " typeof(domain) <> 'text' OR typeof(address) <> 'text' OR"
				      " typeof(attempts) <> 'integer' OR"
				      " typeof(next_attempt) <> 'integer'"),
		       "a recipient in the queue cannot be read"));
	return check_rows(v,
			  SQL_QUERY0(db, "SELECT 0, 0, rowid FROM account WHERE"
					 " typeof(modseq) <> 'integer'"),
			  "the account's modseq cannot be read");
}

static const struct fail *check_mailbox_rows(struct verify *v)
{
	struct sql *db = v->t->db;

	TRY(check_rows(v,
		       SQL_QUERY0(db,
				  "SELECT s.account_id, s.mailbox_id, s.uid FROM message_state s"
				  " LEFT JOIN message_env e ON e.key = s.mailbox_id << 32 | s.uid"
				  " WHERE e.key IS NULL OR e.account_id <> s.account_id"
				  " OR s.size <> e.size + length(e.prefix)"),
		       "this UID has no description that fits"));
	TRY(check_rows(v,
		       SQL_QUERY0(db,
				  "SELECT e.account_id, e.key >> 32, e.key & 4294967295"
				  " FROM message_env e LEFT JOIN message_state s"
				  " ON s.account_id = e.account_id AND s.mailbox_id = e.key >> 32"
				  " AND s.uid = e.key & 4294967295 WHERE s.uid IS NULL"),
		       "this UID has a description only"));
	TRY(check_rows(v,
		       SQL_QUERY0(db, "SELECT e.account_id, e.key >> 32, e.key & 4294967295"
				      " FROM message_env e LEFT JOIN body b ON b.id = e.body_id"
				      " WHERE b.id IS NULL OR b.size <> e.size"),
		       "this UID has lost its message"));
	return check_rows(
	    v,
	    SQL_QUERY0(
		db,
		"SELECT m.account_id, m.id, m.messages FROM mailbox m LEFT JOIN"
		" (SELECT account_id, mailbox_id, count(*) AS n, max(uid) AS last, sum(size) AS size,"
		" sum(flags & 1 = 0) AS unseen, max(modseq) AS modseq FROM message_state"
		" GROUP BY account_id, mailbox_id) s"
		" ON s.account_id = m.account_id AND s.mailbox_id = m.id"
		" WHERE m.messages <> ifnull(s.n, 0) OR m.size <> ifnull(s.size, 0)"
		" OR m.unseen <> ifnull(s.unseen, 0) OR m.uidnext <= ifnull(s.last, 0)"
		" OR m.modseq < ifnull(s.modseq, 0) OR m.uidvalidity NOT BETWEEN 1 AND 4294967295"),
	    "the mailbox's sums are wrong");
}

/* What is read when a mailbox is opened and followed. */
static const struct fail *check_mailbox_parts(struct verify *v)
{
	struct sql *db = v->t->db;

	TRY(check_rows(v,
		       SQL_QUERY(db,
				 "SELECT account_id, mailbox_id, max(bit) FROM keyword"
				 " GROUP BY account_id, mailbox_id"
				 " HAVING min(bit) <> ?1 OR max(bit) - ?1 + 1 <> count(*)",
				 SQL_U64(FLAG_KEYWORD_FIRST)),
		       "the mailbox's keywords have gaps"));
	TRY(check_rows(
	    v,
	    SQL_QUERY(db,
		      "SELECT account_id, mailbox_id, modseq FROM change WHERE low < 1 OR"
		      " high < low OR high - low >= ? OR gone NOT BETWEEN 0 AND 1",
		      SQL_U64(STORE_MODSEQ_ROWS)),
	    "a change that makes no sense"));
	return check_rows(v,
			  SQL_QUERY0(db,
				     "SELECT account_id, id, uidvalidity FROM mailbox WHERE"
				     " id > ifnull((SELECT value FROM meta WHERE"
				     " name = 'mailbox' AND typeof(value) = 'integer'), 0) OR"
				     " uidvalidity > ifnull((SELECT value FROM meta WHERE"
				     " name = 'uidvalidity' AND typeof(value) = 'integer'), 0)"),
			  "a number of a mailbox would be given again");
}

/* The structure that a row holds of its message. */
static const struct fail *check_skeletons(struct verify *v)
{
	struct query *q =
	    SQL_QUERY0(v->t->db, "SELECT account_id, key >> 32, key & 4294967295, skeleton"
				 " FROM message_env WHERE skeleton IS NOT NULL");

	while (sql_row(q)) {
		u64 account = sql_u64(q), mailbox = sql_u64(q), uid = sql_u64(q);
		str skeleton = sql_borrow(q);
		struct skeleton s;

		if (sql_forgive(q) || skeleton_decode(v->scratch, skeleton, &s))
			problem(v, "account %llu mailbox %llu, %llu: its structure is damaged",
				(unsigned long long)account, (unsigned long long)mailbox,
				(unsigned long long)uid);
		arena_reset(v->scratch);
	}
	return sql_end(v->t->arena, q);
}

/* From below: what stands in nothing is seen by nobody. */
static const struct fail *check_owners(struct verify *v)
{
	struct sql *db = v->t->db;

	TRY(check_rows(v,
		       SQL_QUERY0(db,
				  "SELECT s.account_id, s.mailbox_id, count(*) FROM message_state s"
				  " LEFT JOIN mailbox m ON m.account_id = s.account_id AND"
				  " m.id = s.mailbox_id WHERE m.id IS NULL"
				  " GROUP BY s.account_id, s.mailbox_id"),
		       "messages of a mailbox that is not there"));
	TRY(check_rows(v,
		       SQL_QUERY0(db, "SELECT m.account_id, m.id, m.messages FROM mailbox m"
				      " LEFT JOIN account a ON a.id = m.account_id"
				      " WHERE a.id IS NULL"),
		       "a mailbox of an account that is not there"));
	TRY(check_rows(v,
		       SQL_QUERY(db,
				 "SELECT id, 0, 0 FROM account a WHERE (SELECT count(*) FROM"
				 " mailbox m WHERE m.account_id = a.id AND m.special = ?) <> 1",
				 SQL_U64(SPECIAL_INBOX)),
		       "the account has not one INBOX"));
	return check_rows(
	    v,
	    SQL_QUERY0(db, "SELECT a.id, 0, a.used_messages FROM account a LEFT JOIN"
			   " (SELECT account_id, sum(size) AS size, sum(messages) AS messages,"
			   " max(modseq) AS modseq FROM mailbox GROUP BY account_id) m"
			   " ON m.account_id = a.id WHERE a.used_bytes <> ifnull(m.size, 0)"
			   " OR a.used_messages <> ifnull(m.messages, 0)"
			   " OR a.modseq < ifnull(m.modseq, 0)"),
	    "the account's sums are wrong");
}

/* What was taken and not yet brought anywhere. */
static const struct fail *check_queue(struct verify *v)
{
	struct sql *db = v->t->db;

	TRY(check_rows(v,
		       SQL_QUERY0(db, "SELECT 0, 0, q.id FROM queue_message q LEFT JOIN body b"
				      " ON b.id = q.id WHERE b.id IS NULL OR b.size <> q.size"),
		       "the queue has lost this message"));
	return check_rows(v,
			  SQL_QUERY0(db, "SELECT e.account_id, 0, e.id FROM queue_entry e"
					 " LEFT JOIN queue_message q ON q.id = e.message_id"
					 " WHERE q.id IS NULL"),
			  "the queue has lost what this recipient is to get");
}

/* The queue refers to bodies too, so there may be more references than mailbox rows, never fewer. */
static const struct fail *check_references(struct verify *v)
{
	return check_rows(v,
			  SQL_QUERY0(v->t->db,
				     "SELECT 0, 0, b.id FROM body b LEFT JOIN (SELECT body_id,"
				     " count(*) AS n FROM message_env GROUP BY body_id) e"
				     " ON e.body_id = b.id WHERE b.references_n < ifnull(e.n, 0)"
				     " OR b.references_n < 1"),
			  "this message is used more often than it knows");
}

static void bad_name(void *context, const char *kind, str name, const char *why)
{
	problem(context, "%s %.*s: %s", kind, STR_ARG(str_slice(name, 0, 320)), why);
}

static const struct fail *check_directory(struct verify *v)
{
	struct store_directory_reader r = { .context = v, .bad = bad_name };
	struct tx inner = *v->t;
	const struct fail *f;

	inner.arena = v->scratch;
	f = store_directory_read(&inner, &r);
	if (f)
		problem(v, "directory: %.*s", STR_ARG(f->text));
	arena_reset(v->scratch);
	return NULL;
}

static const struct fail *check_database(struct verify *v)
{
	str texts[64];
	size_t n;

	TRY(sql_integrity(v->t->arena, v->t->db, ARRAY_LEN(texts), texts, &n));
	for (size_t i = 0; i < n; i++)
		problem(v, "database: %.*s", STR_ARG(texts[i]));
	TRY(check_directory(v));
	TRY(check_mailboxes(v));
	TRY(check_types(v));
	TRY(check_mailbox_rows(v));
	TRY(check_mailbox_parts(v));
	TRY(check_skeletons(v));
	TRY(check_owners(v));
	TRY(check_queue(v));
	TRY(check_references(v));
	return check_bodies(v);
}

const struct fail *store_verify(struct tx *t, struct office_verify_answer *r)
{
	struct verify v = { .t = t, .r = r, .at_rest = store_is_broken(t->store) };
	const struct fail *f;

	*r = (struct office_verify_answer){ .problem_count = 0 };
	v.scratch = arena_new(64 << 20);
	v.problems = arena_array_of(t->arena, STORE_PROBLEMS, str);
	r->problems = v.problems;
	f = check_segments(&v);
	if (f)
		problem(&v, "segments: %.*s", STR_ARG(f->text));
	f = check_database(&v);
	if (f)
		problem(&v, "database: %.*s", STR_ARG(f->text));
	arena_free(&v.scratch);
	return NULL;
}

const struct fail *store_verify_folder(struct arena *a, const char *folder,
				       struct office_verify_answer *r)
{
	const struct store_options o = { .folder = folder, .readers = 1, .only_reads = true };
	str path = str_format(a, "%s/postern.db", folder);
	struct store *s;
	struct tx t;
	const struct fail *f;

	if (faccessat(AT_FDCWD, cstr(a, path) ?: "", F_OK, 0) != 0)
		return fail_new(a, FAIL_NOT_FOUND, "no postern.db there");
	TRY(store_open_files(a, &o, "postern.db", &s));
	atomic_store(&s->broken, true);
	segments_open_reading(s->mail, s->env, &s->segments);
	f = store_read_begin(s, a, &t);
	if (!f) {
		f = store_verify(&t, r);
		store_read_end(&t);
	}
	store_close(&s);
	return f;
}
