#include "office/store/store_queue.h"

#include "base/arena.h"
#include "base/log.h"

#define ENTRY_COLUMNS                                                                             \
	"message_id, job, id, kind, status, report, told, account_id, domain, address, original," \
	" orcpt, notify, attempts, next_attempt, last_attempt, code, text, remote_mta, site"

/* --- Rows -------------------------------------------------------------------------------------------------- */

const struct fail *store_queue_add(struct tx *t, const struct queue_message *m)
{
	return SQL_RUN(t->arena, t->db,
		       "INSERT INTO queue_message (id, sender, envid, ret, body_type, smtputf8,"
		       " junk, arrived, size) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
		       SQL_U64(m->id), SQL_STR(m->sender), SQL_STR(m->envid), SQL_U64(m->ret),
		       SQL_U64(m->body_type), SQL_U64(m->smtputf8), SQL_U64(m->junk),
		       SQL_U64(m->arrived), SQL_U64(m->size));
}

const struct fail *store_queue_add_entry(struct tx *t, const struct queue_entry *e)
{
	return SQL_RUN(t->arena, t->db,
		       "INSERT INTO queue_entry (" ENTRY_COLUMNS
		       ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		       SQL_U64(e->message), SQL_U64(e->job), SQL_U64(e->id), SQL_U64(e->kind),
		       SQL_U64(e->status), SQL_U64(e->report), SQL_U64(e->told),
		       SQL_U64(e->account), SQL_STR(e->domain), SQL_STR(e->address),
		       SQL_STR(e->original), SQL_STR(e->orcpt), SQL_U64(e->notify),
		       SQL_U64(e->attempts), SQL_U64(e->next_attempt), SQL_U64(e->last_attempt),
		       SQL_STR(e->code), SQL_STR(e->text), SQL_STR(e->remote_mta),
		       SQL_STR(e->site));
}

const struct fail *store_queue_get(struct tx *t, u64 message, struct queue_message *out)
{
	struct query *q = SQL_QUERY(t->db,
				    "SELECT id, sender, envid, ret, body_type, smtputf8, junk,"
				    " arrived, size FROM queue_message WHERE id = ?",
				    SQL_U64(message));
	bool found = sql_row(q);

	*out = (struct queue_message){ 0 };
	if (found) {
		out->id = sql_u64(q);
		out->sender = sql_str(q, t->arena);
		out->envid = sql_str(q, t->arena);
		out->ret = (u8)sql_u32(q);
		out->body_type = (u8)sql_u32(q);
		out->smtputf8 = sql_bool(q);
		out->junk = sql_bool(q);
		out->arrived = sql_u64(q);
		out->size = sql_u64(q);
	}
	TRY(sql_end(t->arena, q));
	return found ? NULL : fail_new(t->arena, FAIL_NOT_FOUND, "no such message in the queue");
}

/* A number of an enum with `n` values. */
static u32 enum_column(struct query *q, u32 n)
{
	u32 value = sql_u32(q);

	if (value < n)
		return value;
	sql_bad(q);
	return 0;
}

static void entry_numbers(struct query *q, struct queue_entry *e)
{
	e->message = sql_u64(q);
	e->job = sql_u64(q);
	e->id = sql_u64(q);
	e->kind = (enum job_kind)enum_column(q, JOB_RELAY + 1);
	e->status = (enum queue_status)enum_column(q, QUEUE_DSN_DUE + 1);
	e->report = (enum policy_report)enum_column(q, REPORT_DELAY + 1);
	e->told = sql_bool(q);
	e->account = sql_u64(q);
}

static void entry_row(struct query *q, struct arena *a, struct queue_entry *e)
{
	entry_numbers(q, e);
	e->domain = sql_str(q, a);
	e->address = sql_str(q, a);
	e->original = sql_str(q, a);
	e->orcpt = sql_str(q, a);
	e->notify = sql_u32(q);
	e->attempts = sql_u32(q);
	e->next_attempt = sql_u64(q);
	e->last_attempt = sql_u64(q);
	e->code = sql_str(q, a);
	e->text = sql_str(q, a);
	e->remote_mta = sql_str(q, a);
	e->site = sql_str(q, a);
}

static const struct fail *entries_read(struct tx *t, struct query *q, struct queue_entry **out,
				       size_t *n)
{
	struct queue_entry *entries = arena_array_of(t->arena, 1, struct queue_entry);
	size_t cap = 1;

	*n = 0;
	while (sql_row(q)) {
		if (*n == cap) {
			struct queue_entry *grown =
			    arena_array_of(t->arena, cap * 4, struct queue_entry);
			for (size_t i = 0; i < *n; i++)
				grown[i] = entries[i];
			entries = grown;
			cap *= 4;
		}
		entry_row(q, t->arena, &entries[(*n)++]);
	}
	*out = entries;
	return sql_end(t->arena, q);
}

const struct fail *store_queue_job(struct tx *t, u64 message, u64 job, struct queue_entry **out,
				   size_t *n)
{
	return entries_read(t,
			    SQL_QUERY(t->db,
				      "SELECT " ENTRY_COLUMNS " FROM queue_entry"
				      " WHERE message_id = ? AND job = ? AND status <> 3",
				      SQL_U64(message), SQL_U64(job)),
			    out, n);
}

_Static_assert(QUEUE_DSN_DUE == 3, "store_queue_job and store_queue_reports say so in SQL");
_Static_assert(REPORT_DELAY == 3, "store_queue_reports says so in SQL");

const struct fail *store_queue_reports(struct tx *t, u64 message, bool delay, u64 most,
				       struct queue_entry **out, size_t *n)
{
	if (delay)
		return entries_read(t,
				    SQL_QUERY(t->db,
					      "SELECT " ENTRY_COLUMNS " FROM queue_entry"
					      " WHERE message_id = ? AND report = 3 LIMIT ?",
					      SQL_U64(message), SQL_U64(most)),
				    out, n);
	return entries_read(t,
			    SQL_QUERY(t->db,
				      "SELECT " ENTRY_COLUMNS " FROM queue_entry"
				      " WHERE message_id = ? AND status = 3 LIMIT ?",
				      SQL_U64(message), SQL_U64(most)),
			    out, n);
}

const struct fail *store_queue_update(struct tx *t, const struct queue_entry *e)
{
	return SQL_RUN(t->arena, t->db,
		       "UPDATE queue_entry SET status = ?, report = ?, told = ?, attempts = ?,"
		       " next_attempt = ?, last_attempt = ?, code = ?, text = ?, remote_mta = ?,"
		       " site = ? WHERE message_id = ? AND job = ? AND id = ?",
		       SQL_U64(e->status), SQL_U64(e->report), SQL_U64(e->told),
		       SQL_U64(e->attempts), SQL_U64(e->next_attempt), SQL_U64(e->last_attempt),
		       SQL_STR(e->code), SQL_STR(e->text), SQL_STR(e->remote_mta), SQL_STR(e->site),
		       SQL_U64(e->message), SQL_U64(e->job), SQL_U64(e->id));
}

const struct fail *store_queue_remove(struct tx *t, const struct queue_entry *e)
{
	return SQL_RUN(t->arena, t->db,
		       "DELETE FROM queue_entry WHERE message_id = ? AND job = ? AND id = ?",
		       SQL_U64(e->message), SQL_U64(e->job), SQL_U64(e->id));
}

const struct fail *store_queue_is_last(struct tx *t, u64 message, bool *last)
{
	u64 one;
	bool found;

	TRY(sql_one_u64(t->arena,
			SQL_QUERY(t->db, "SELECT 1 FROM queue_entry WHERE message_id = ? LIMIT 1",
				  SQL_U64(message)),
			&one, &found));
	*last = !found;
	return NULL;
}

const struct fail *store_queue_close(struct tx *t, u64 message, bool release_body)
{
	TRY(SQL_RUN(t->arena, t->db, "DELETE FROM queue_message WHERE id = ?", SQL_U64(message)));
	return release_body ? store_body_release(t, message) : NULL;
}

/* --- All of them ------------------------------------------------------------------------------------------- */

const struct fail *store_queue_load(struct tx *t, void *context,
				    void (*entry)(void *context, const struct queue_entry *e))
{
	struct query *q =
	    SQL_QUERY0(t->db, "SELECT message_id, job, id, kind, status, report, told, account_id,"
			      " attempts, next_attempt, domain FROM queue_entry"
			      " ORDER BY message_id, job, id");

	while (sql_row(q)) {
		struct queue_entry e = { 0 };
		entry_numbers(q, &e);
		e.attempts = sql_u32(q);
		e.next_attempt = sql_u64(q);
		e.domain = sql_borrow(q);
		if (sql_forgive(q)) /* its rows stay for somebody to look at */
			LOG(ERROR, "store.damaged_queue", LOG_ID("message", e.message),
			    LOG_ID("entry", e.id));
		else
			entry(context, &e);
	}
	return sql_end(t->arena, q);
}

/* As bounds of a range, so that the key is used: one message, or all of them. */
static u64 range_high(u64 message)
{
	return message ? message : INT64_MAX;
}

const struct fail *store_queue_jobs(struct tx *t, u64 message, enum queue_status status,
				    const struct queue_job_key **out, size_t *n)
{
	struct query *q;
	struct queue_job_key *keys;
	u64 rows;
	bool found;

	TRY(sql_one_u64(t->arena,
			SQL_QUERY(t->db,
				  "SELECT count(*) FROM queue_entry WHERE"
				  " message_id BETWEEN ? AND ? AND status = ?",
				  SQL_U64(message), SQL_U64(range_high(message)), SQL_U64(status)),
			&rows, &found));
	keys = arena_array_of(t->arena, rows, struct queue_job_key);
	q = SQL_QUERY(t->db,
		      "SELECT DISTINCT message_id, job FROM queue_entry WHERE"
		      " message_id BETWEEN ? AND ? AND status = ? ORDER BY message_id, job",
		      SQL_U64(message), SQL_U64(range_high(message)), SQL_U64(status));
	*n = 0;
	while (*n < rows && sql_row(q)) {
		keys[*n].message = sql_u64(q);
		keys[(*n)++].job = sql_u64(q);
	}
	*out = keys;
	return sql_end(t->arena, q);
}

const struct fail *store_queue_set_status(struct tx *t, const struct queue_job_key *key,
					  enum queue_status status, u64 next_attempt)
{
	return SQL_RUN(t->arena, t->db,
		       "UPDATE queue_entry SET status = ?, next_attempt = ?"
		       " WHERE message_id = ? AND job = ? AND status <> 3",
		       SQL_U64(status), SQL_U64(next_attempt), SQL_U64(key->message),
		       SQL_U64(key->job));
}

const struct fail *store_queue_count(struct tx *t, u64 *messages, u64 *oldest)
{
	bool found;

	TRY(sql_one_u64(t->arena, SQL_QUERY0(t->db, "SELECT count(*) FROM queue_message"), messages,
			&found));
	return sql_one_u64(t->arena, SQL_QUERY0(t->db, "SELECT min(arrived) FROM queue_message"),
			   oldest, &found);
}

static void info_row(struct query *q, struct arena *a, struct queue_info *info)
{
	info->message = sql_u64(q);
	info->entry = sql_u64(q);
	info->status = (u8)enum_column(q, QUEUE_DSN_DUE + 1);
	info->sender = sql_str(q, a);
	info->recipient = sql_str(q, a);
	info->arrived = sql_u64(q);
	info->size = sql_u64(q);
	info->attempts = sql_u32(q);
	info->next_attempt = sql_u64(q);
	info->last_code = sql_str(q, a);
	info->last_text = sql_str(q, a);
	info->site = sql_str(q, a);
}

const struct fail *store_queue_list(struct tx *t, u64 after, u32 max, bool message_only,
				    struct queue_info **out, u64 **jobs, size_t *n)
{
	struct query *q = SQL_QUERY(
	    t->db,
	    "SELECT e.job, e.message_id, e.id, e.status, m.sender, e.address, m.arrived, m.size,"
	    " e.attempts, e.next_attempt, e.code, e.text, e.site"
	    " FROM queue_entry e JOIN queue_message m ON m.id = e.message_id"
	    " WHERE CASE WHEN ?1 THEN e.message_id = ?2 ELSE e.message_id > ?2 END"
	    " ORDER BY e.message_id, e.job, e.id LIMIT ?3",
	    SQL_U64(message_only), SQL_U64(after), SQL_U64(STORE_QUEUE_LIST));
	struct queue_info *infos = NULL;
	u64 *job_ids = NULL;
	size_t cap = 0;

	*n = 0;
	while (sql_row(q)) {
		struct queue_info info = { 0 };
		u64 job = sql_u64(q);
		info_row(q, t->arena, &info);
		sql_forgive(q); /* what cannot be read is shown as nothing */
		if (!message_only && *n && *n >= max && info.message != infos[*n - 1].message)
			break;
		if (*n == cap) {
			size_t grown_n = cap ? cap * 4 : 16;
			struct queue_info *grown =
			    arena_array_of(t->arena, grown_n, struct queue_info);
			u64 *grown_jobs = arena_array_of(t->arena, grown_n, u64);
			for (size_t i = 0; i < *n; i++) {
				grown[i] = infos[i];
				grown_jobs[i] = job_ids[i];
			}
			infos = grown;
			job_ids = grown_jobs;
			cap = grown_n;
		}
		job_ids[*n] = job;
		infos[(*n)++] = info;
	}
	*out = infos;
	*jobs = job_ids;
	return sql_end(t->arena, q);
}
