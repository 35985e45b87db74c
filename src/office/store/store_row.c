/* Rows of account and mailbox: reading them with suspicion, counting, the change log. */
#include "base/log.h"
#include "office/store/schema.h"
#include "office/store/store_int.h"

enum { MAILBOX_ID_MAX = INT32_MAX, FORGET_STEP = 1024 };

static const struct fail no_account = FAIL_STATIC(NOT_FOUND, "no such account");
static const struct fail no_mailbox = FAIL_STATIC(NOT_FOUND, "no such mailbox");

#define MAILBOX_COLUMNS                                                                  \
	"SELECT id, name, special, uidvalidity, uidnext, recent_from, messages, unseen," \
	" size, modseq, forgotten FROM mailbox "

static const struct fail *read_mailbox(struct tx *t, struct query *q, struct mailbox_row *m)
{
	bool found = sql_row(q);

	*m = (struct mailbox_row){ .id = sql_u64(q) };
	if (found) {
		m->name = sql_str(q, t->arena);
		m->special = sql_u32(q);
		m->uidvalidity = sql_u32(q);
		m->uidnext = sql_u32(q);
		m->recent_from = sql_u32(q);
		m->messages = sql_u32(q);
		m->unseen = sql_u32(q);
		m->size = sql_u64(q);
		m->modseq = sql_u64(q);
		m->forgotten = sql_u64(q);
		if (m->id == 0 || m->id > MAILBOX_ID_MAX || m->uidnext == 0 || m->uidvalidity == 0)
			sql_bad(q);
	}
	TRY(sql_end(t->arena, q));
	return found ? NULL : &no_mailbox;
}

const struct fail *mailbox_by_id(struct tx *t, u64 account, u64 id, struct mailbox_row *out)
{
	return read_mailbox(t,
			    SQL_QUERY(t->db, MAILBOX_COLUMNS "WHERE account_id = ? AND id = ?",
				      SQL_U64(account), SQL_U64(id)),
			    out);
}

const struct fail *mailbox_by_name(struct tx *t, u64 account, str name, struct mailbox_row *out)
{
	return read_mailbox(t,
			    SQL_QUERY(t->db, MAILBOX_COLUMNS "WHERE account_id = ? AND name = ?",
				      SQL_U64(account), SQL_STR(name)),
			    out);
}

const struct fail *mailbox_by_use(struct tx *t, u64 account, u32 special, struct mailbox_row *out)
{
	return read_mailbox(t,
			    SQL_QUERY(t->db, MAILBOX_COLUMNS "WHERE account_id = ? AND special = ?",
				      SQL_U64(account), SQL_U64(special)),
			    out);
}

static const struct fail *count_recent(struct tx *t, u64 account, const struct mailbox_row *m,
				       u32 *out)
{
	u64 n;
	bool found;

	*out = m->recent_from <= 1 ? m->messages : 0;
	if (m->recent_from <= 1 || m->recent_from >= m->uidnext)
		return NULL;
	TRY(sql_one_u64(t->arena,
			SQL_QUERY(t->db,
				  "SELECT count(*) FROM message_state"
				  " WHERE account_id = ? AND mailbox_id = ? AND uid >= ?",
				  SQL_U64(account), SQL_U64(m->id), SQL_U64(m->recent_from)),
			&n, &found));
	*out = (u32)n;
	return NULL;
}

const struct fail *mailbox_info_of(struct tx *t, u64 account, const struct mailbox_row *m,
				   struct mailbox_info *out)
{
	u64 subscribed;
	bool found;

	*out = (struct mailbox_info){ .id = m->id,
				      .name = m->name,
				      .special = m->special,
				      .uidvalidity = m->uidvalidity,
				      .uidnext = m->uidnext,
				      .messages = m->messages,
				      .unseen = m->unseen,
				      .size = m->size,
				      .modseq = m->modseq };
	TRY(sql_one_u64(t->arena,
			SQL_QUERY(t->db,
				  "SELECT 1 FROM subscription WHERE account_id = ? AND name = ?",
				  SQL_U64(account), SQL_STR(m->name)),
			&subscribed, &found));
	out->subscribed = found;
	return count_recent(t, account, m, &out->recent);
}

/* --- Account --- */

/* No RETURNING: see store_body_release. */
const struct fail *modseq_next(struct tx *t, u64 account, u64 *modseq, str *address)
{
	struct query *q =
	    SQL_QUERY(t->db, "SELECT modseq, address FROM account WHERE id = ?", SQL_U64(account));
	bool found = sql_row(q);

	*modseq = sql_u64(q) + 1;
	if (found && (*modseq == 0 || *modseq > INT64_MAX)) /* RFC 7162 3.1.1: 63 bits */
		sql_bad(q);
	if (address)
		*address = sql_str(q, t->arena);
	TRY(sql_end(t->arena, q));
	if (!found)
		return &no_account;
	return SQL_RUN(t->arena, t->db, "UPDATE account SET modseq = ? WHERE id = ?",
		       SQL_U64(*modseq), SQL_U64(account));
}

const struct fail *account_address(struct tx *t, u64 account, str *address)
{
	struct query *q =
	    SQL_QUERY(t->db, "SELECT address FROM account WHERE id = ?", SQL_U64(account));
	bool found = sql_row(q);

	*address = sql_str(q, t->arena);
	TRY(sql_end(t->arena, q));
	return found ? NULL : &no_account;
}

const struct fail *store_quota_check(struct tx *t, u64 account, u64 more)
{
	struct query *q = SQL_QUERY(
	    t->db, "SELECT used_bytes, quota_bytes FROM account WHERE id = ?", SQL_U64(account));
	bool found = sql_row(q);
	u64 used = sql_u64(q), quota = sql_u64(q), sum;

	TRY(sql_end(t->arena, q));
	if (!found)
		return &no_account;
	if (quota && (!size_add(used, more, &sum) || sum > quota))
		return fail_new(t->arena, FAIL_QUOTA, "mailbox full");
	return NULL;
}

const struct fail *store_quota_get(struct tx *t, u64 account, struct office_quota_get_answer *r)
{
	struct query *q = SQL_QUERY(
	    t->db, "SELECT used_bytes, quota_bytes, used_messages FROM account WHERE id = ?",
	    SQL_U64(account));
	bool found = sql_row(q);

	r->used_bytes = sql_u64(q);
	r->limit_bytes = sql_u64(q);
	r->used_messages = sql_u64(q);
	TRY(sql_end(t->arena, q));
	return found ? NULL : &no_account;
}

const struct fail *store_modseq_get(struct tx *t, u64 account, u64 mailbox, u64 *modseq)
{
	struct query *q =
	    mailbox ? SQL_QUERY(t->db, "SELECT modseq FROM mailbox WHERE account_id = ? AND id = ?",
				SQL_U64(account), SQL_U64(mailbox))
		    : SQL_QUERY(t->db, "SELECT modseq FROM account WHERE id = ?", SQL_U64(account));
	bool found;

	TRY(sql_one_u64(t->arena, q, modseq, &found));
	return found ? NULL : mailbox ? &no_mailbox : &no_account;
}

/* Greater than any before, also after a clock that went back: a mailbox that is deleted and made again
 * under the same name must differ (RFC 3501 2.3.1.1). */
const struct fail *uidvalidity_next(struct tx *t, u32 *out)
{
	u64 last, now = t->now / 1000;

	TRY(meta_get(t->arena, t->db, "uidvalidity", &last));
	now = now > last && now <= UINT32_MAX ? now : last + 1;
	if (now == 0 || now > UINT32_MAX)
		return fail_new(t->arena, FAIL_LIMIT, "no UIDVALIDITY left");
	*out = (u32)now;
	return meta_set(t->arena, t->db, "uidvalidity", now);
}

/* --- Changes --- */

const struct fail *change_add(struct tx *t, u64 account, u64 mailbox, u64 modseq, u32 low, u32 high,
			      bool gone)
{
	return SQL_RUN(t->arena, t->db,
		       "INSERT INTO change (account_id, mailbox_id, modseq, low, high, gone)"
		       " VALUES (?, ?, ?, ?, ?, ?)",
		       SQL_U64(account), SQL_U64(mailbox), SQL_U64(modseq), SQL_U64(low),
		       SQL_U64(high), SQL_U64(gone));
}

/* A log that reaches too far back loses its oldest part, a little with every change. */
static const struct fail *forget(struct tx *t, u64 account, u64 mailbox, u64 forgotten)
{
	TRY(SQL_RUN(t->arena, t->db,
		    "DELETE FROM change WHERE account_id = ? AND mailbox_id = ? AND modseq <= ?",
		    SQL_U64(account), SQL_U64(mailbox), SQL_U64(forgotten)));
	return SQL_RUN(t->arena, t->db,
		       "UPDATE mailbox SET forgotten = ? WHERE account_id = ? AND id = ?",
		       SQL_U64(forgotten), SQL_U64(account), SQL_U64(mailbox));
}

static const struct fail *touch_account(struct tx *t, u64 account, const struct delta *d)
{
	if (d->messages == 0 && d->size == 0)
		return NULL;
	return SQL_RUN(t->arena, t->db,
		       "UPDATE account SET used_bytes = max(used_bytes + ?, 0),"
		       " used_messages = max(used_messages + ?, 0) WHERE id = ?",
		       SQL_U64((u64)d->size), SQL_U64((u64)d->messages), SQL_U64(account));
}

const struct fail *mailbox_touch(struct tx *t, u64 account, const struct mailbox_row *m, u64 modseq,
				 const struct delta *d)
{
	TRY(SQL_RUN(
	    t->arena, t->db,
	    "UPDATE mailbox SET messages = max(messages + ?, 0), unseen = max(unseen + ?, 0),"
	    " size = max(size + ?, 0), modseq = ?, uidnext = max(uidnext, ?)"
	    " WHERE account_id = ? AND id = ?",
	    SQL_U64((u64)d->messages), SQL_U64((u64)d->unseen), SQL_U64((u64)d->size),
	    SQL_U64(modseq), SQL_U64(m->uidnext), SQL_U64(account), SQL_U64(m->id)));
	if (sql_changed(t->db) == 0)
		return &no_mailbox;
	TRY(touch_account(t, account, d));
	store_tx_changed(t, account, m->id, modseq);
	if (modseq - m->forgotten > STORE_CHANGES_KEPT + FORGET_STEP)
		return forget(t, account, m->id, modseq - STORE_CHANGES_KEPT);
	return NULL;
}

const struct fail *store_counts(struct tx *t, struct store_counts *out)
{
	bool found;

	TRY(sql_one_u64(t->arena, SQL_QUERY0(t->db, "SELECT count(*) FROM account"), &out->accounts,
			&found));
	TRY(sql_one_u64(t->arena, SQL_QUERY0(t->db, "SELECT sum(used_messages) FROM account"),
			&out->messages, &found));
	TRY(sql_one_u64(t->arena, SQL_QUERY0(t->db, "SELECT sum(length) FROM body"),
			&out->segment_bytes, &found));
	return sql_one_u64(t->arena, SQL_QUERY0(t->db, "SELECT sum(dead) FROM segment"),
			   &out->dead_bytes, &found);
}
