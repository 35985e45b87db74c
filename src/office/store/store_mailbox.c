/*
 * Mailboxes as such: list, create, delete, rename, subscribe (RFC 3501 6.3.3 to 6.3.9), and the six of a new account.
 * '/' stands between levels. A parent need not exist; creating makes missing ones, deleting leaves children.
 */
#include "base/log.h"
#include "office/store/record.h"
#include "office/store/store_int.h"

/* --- Names --- */

static const struct fail bad_name = FAIL_STATIC(INVALID, "not a name for a mailbox");

static bool good_bytes(str name)
{
	if (!str_is_utf8(name))
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] < ' ' || name.p[i] == 0x7F)
			return false;
	return true;
}

/* No empty level, and not too many. */
static bool good_levels(str name)
{
	size_t levels = 1;

	for (size_t i = 0; i < name.n; i++) {
		if (name.p[i] != '/')
			continue;
		if (i == 0 || i + 1 == name.n || name.p[i - 1] == '/')
			return false;
		levels++;
	}
	return name.n > 0 && levels <= OFFICE_MAILBOX_DEPTH;
}

const struct fail *mailbox_name_check(struct tx *t, str name, str *out)
{
	str first;

	if (name.n && name.p[name.n - 1] == '/') /* "has children to come", RFC 3501 6.3.3 */
		name.n--;
	first = str_slice(name, 0, str_find(name, '/'));
	if (name.n > OFFICE_MAILBOX_NAME || !good_bytes(name) || !good_levels(name))
		return &bad_name;
	*out = name;
	if (str_eq_nocase(first, S("INBOX")))
		*out = str_format(t->arena, "INBOX%.*s", STR_ARG(str_skip(name, first.n)));
	return NULL;
}

static bool is_inbox(str name)
{
	return str_eq(name, S("INBOX"));
}

/* --- Making --- */

static const struct fail *note(struct tx *t, u64 account, u64 id, str name, u32 special,
			       u32 uidvalidity)
{
	struct mailbox_note n = { .account = account,
				  .mailbox = id,
				  .name = name,
				  .special = special,
				  .uidvalidity = uidvalidity };

	TRY(account_address(t, account, &n.address));
	return note_mailbox(t, &n);
}

static const struct fail *mailbox_id_next(struct tx *t, u64 *id)
{
	bool found;

	TRY(sql_one_u64(t->arena,
			SQL_QUERY0(t->db, "INSERT INTO meta (name, value) VALUES ('mailbox', 1)"
					  " ON CONFLICT (name) DO UPDATE SET value = value + 1"
					  " RETURNING value"),
			id, &found));
	return *id && *id <= INT32_MAX ? NULL
				       : fail_new(t->arena, FAIL_LIMIT, "no mailbox number left");
}

static const struct fail *list_changed(struct tx *t, u64 account)
{
	u64 modseq;

	TRY(modseq_next(t, account, &modseq, NULL));
	store_tx_changed(t, account, 0, modseq);
	return NULL;
}

static const struct fail *count_check(struct tx *t, u64 account)
{
	u64 n;
	bool found;

	TRY(sql_one_u64(
	    t->arena,
	    SQL_QUERY(t->db, "SELECT count(*) FROM mailbox WHERE account_id = ?", SQL_U64(account)),
	    &n, &found));
	return n < STORE_MAILBOXES ? NULL : fail_new(t->arena, FAIL_LIMIT, "too many mailboxes");
}

const struct fail *mailbox_make(struct tx *t, u64 account, str name, u32 special, u64 *id)
{
	u64 modseq;
	u32 uidvalidity;

	TRY(count_check(t, account));
	TRY(modseq_next(t, account, &modseq, NULL));
	TRY(mailbox_id_next(t, id));
	TRY(uidvalidity_next(t, &uidvalidity));
	TRY(SQL_RUN(t->arena, t->db,
		    "INSERT INTO mailbox (account_id, id, name, special, uidvalidity, uidnext,"
		    " recent_from, messages, unseen, size, modseq, forgotten)"
		    " VALUES (?, ?, ?, ?, ?, 1, 1, 0, 0, 0, ?, ?)",
		    SQL_U64(account), SQL_U64(*id), SQL_STR(name), SQL_U64(special),
		    SQL_U64(uidvalidity), SQL_U64(modseq), SQL_U64(modseq)));
	store_tx_changed(t, account, 0, modseq);
	return note(t, account, *id, name, special, uidvalidity);
}

static const struct fail *exists(struct tx *t, u64 account, str name, bool *out)
{
	u64 id;

	return sql_one_u64(t->arena,
			   SQL_QUERY(t->db,
				     "SELECT id FROM mailbox WHERE account_id = ? AND name = ?",
				     SQL_U64(account), SQL_STR(name)),
			   &id, out);
}

/* RFC 3501 6.3.3: missing superior names are made too. */
static const struct fail *make_parents(struct tx *t, u64 account, str name)
{
	for (size_t i = 0; i < name.n; i++) {
		bool found = true;
		u64 id;

		if (name.p[i] == '/')
			TRY(exists(t, account, str_slice(name, 0, i), &found));
		if (!found)
			TRY(mailbox_make(t, account, str_slice(name, 0, i), SPECIAL_NONE, &id));
	}
	return NULL;
}

static const struct fail *must_be_free(struct tx *t, u64 account, str name)
{
	bool found;

	TRY(exists(t, account, name, &found));
	return found ? fail_new(t->arena, FAIL_EXISTS, "mailbox exists already") : NULL;
}

const struct fail *store_mailbox_create(struct tx *t, u64 account, str name, u32 special,
					u64 *mailbox)
{
	struct mailbox_row other;
	const struct fail *f;

	TRY(mailbox_name_check(t, name, &name));
	TRY(must_be_free(t, account, name));
	if (special > SPECIAL_ARCHIVE || special == SPECIAL_INBOX)
		return fail_new(t->arena, FAIL_INVALID, "no such use of a mailbox");
	if (special) {
		f = mailbox_by_use(t, account, special, &other);
		if (f == NULL)
			return fail_new(t->arena, FAIL_CONFLICT, "another mailbox has this use");
		if (f->what != FAIL_NOT_FOUND)
			return f;
	}
	TRY(make_parents(t, account, name));
	return mailbox_make(t, account, name, special, mailbox);
}

/* --- Deleting --- */

static const struct fail *delete_rows(struct tx *t, u64 account, u64 id)
{
	const struct sql_value key[] = { SQL_U64(account), SQL_U64(id) };
	struct arena *a = t->arena;

	TRY(sql_run(a, t->db, "DELETE FROM message_state WHERE account_id = ? AND mailbox_id = ?",
		    key, 2));
	TRY(sql_run(a, t->db, "DELETE FROM change WHERE account_id = ? AND mailbox_id = ?", key,
		    2));
	TRY(sql_run(a, t->db, "DELETE FROM keyword WHERE account_id = ? AND mailbox_id = ?", key,
		    2));
	TRY(sql_run(a, t->db, "DELETE FROM mailbox WHERE account_id = ? AND id = ?", key, 2));
	return envs_remove(t, id, 0, UINT32_MAX);
}

static const struct fail *remove_mailbox(struct tx *t, u64 account, const struct mailbox_row *m)
{
	const struct delta d = { .messages = -(i64)m->messages, .size = -(i64)m->size };
	u64 modseq;

	TRY(modseq_next(t, account, &modseq, NULL));
	TRY(mailbox_touch(t, account, m, modseq, &d));
	TRY(delete_rows(t, account, m->id));
	TRY(note(t, account, m->id, STR_NONE, SPECIAL_NONE, m->uidvalidity));
	return list_changed(t, account);
}

/* A piece of what is in it. *next 0: that was all. */
static const struct fail *empty_some(struct tx *t, u64 account, u64 mailbox, u32 *next)
{
	const struct uid_range all = { .low = 1, .high = UINT32_MAX };
	const struct office_message_expunge_request q = { .mailbox = mailbox,
							  .uids = &all,
							  .uids_n = 1 };
	struct office_message_expunge_answer r;

	*next = 1;
	return store_message_expunge(t, account, &q, next, &r);
}

const struct fail *store_mailbox_delete(struct tx *t, u64 account, str name, u32 *next)
{
	struct mailbox_row m;

	TRY(mailbox_name_check(t, name, &name));
	if (is_inbox(name))
		return fail_new(t->arena, FAIL_DENIED, "INBOX cannot be deleted");
	TRY(mailbox_by_name(t, account, name, &m));
	if (next)
		*next = 0;
	if (next && m.messages > STORE_PIECE_ROWS)
		TRY(empty_some(t, account, m.id, next));
	if (next && *next)
		return NULL;
	TRY(mailbox_by_id(t, account, m.id, &m));
	return remove_mailbox(t, account, &m);
}

/* --- Renaming --- */

struct named {
	u64 id;
	str name;
	u32 special, uidvalidity;
};

/* The mailbox itself and all below it. '0' is the byte after '/'. */
static const struct fail *family(struct tx *t, u64 account, str name, struct named **out, size_t *n)
{
	struct query *q = SQL_QUERY(t->db,
				    "SELECT id, name, special, uidvalidity FROM mailbox"
				    " WHERE account_id = ?1 AND (name = ?2 OR (name > ?2 || '/' AND"
				    " name < ?2 || '0')) ORDER BY name",
				    SQL_U64(account), SQL_STR(name));
	struct named *all = arena_array_of(t->arena, STORE_MAILBOXES, struct named);

	*n = 0;
	while (*n < STORE_MAILBOXES && sql_row(q)) {
		struct named *m = &all[(*n)++];
		m->id = sql_u64(q);
		m->name = sql_str(q, t->arena);
		m->special = sql_u32(q);
		m->uidvalidity = sql_u32(q);
	}
	*out = all;
	return sql_end(t->arena, q);
}

static const struct fail *rename_one(struct tx *t, u64 account, const struct named *m, str name)
{
	str checked;

	TRY(mailbox_name_check(t, name, &checked));
	TRY(must_be_free(t, account, checked));
	TRY(SQL_RUN(t->arena, t->db, "UPDATE mailbox SET name = ? WHERE account_id = ? AND id = ?",
		    SQL_STR(checked), SQL_U64(account), SQL_U64(m->id)));
	return note(t, account, m->id, checked, m->special, m->uidvalidity);
}

/* RFC 3501 6.3.5: its messages move, INBOX stays, its children too. */
static const struct fail *rename_inbox(struct tx *t, u64 account, str to, u32 *next)
{
	const struct uid_range all = { .low = 1, .high = UINT32_MAX };
	struct office_message_copy_request q = {
		.uids = &all, .uids_n = 1, .target = to, .move = true
	};
	struct office_message_copy_answer r;
	struct mailbox_row inbox;
	u64 made;

	if (next == NULL || *next == 1)
		TRY(mailbox_make(t, account, to, SPECIAL_NONE, &made));
	TRY(mailbox_by_use(t, account, SPECIAL_INBOX, &inbox));
	q.mailbox = inbox.id;
	return store_message_copy(t, account, &q, next, &r);
}

const struct fail *store_mailbox_rename(struct tx *t, u64 account, str from, str to, u32 *next)
{
	struct named *all;
	size_t n;

	TRY(mailbox_name_check(t, from, &from));
	TRY(mailbox_name_check(t, to, &to));
	if (next && *next > 1)
		return rename_inbox(t, account, to, next);
	TRY(must_be_free(t, account, to));
	if (str_starts(to, str_format(t->arena, "%.*s/", STR_ARG(from))) && !is_inbox(from))
		return fail_new(t->arena, FAIL_INVALID, "a mailbox cannot move into itself");
	TRY(make_parents(t, account, to));
	if (is_inbox(from))
		return rename_inbox(t, account, to, next);
	if (next)
		*next = 0;
	TRY(family(t, account, from, &all, &n));
	if (n == 0)
		return fail_new(t->arena, FAIL_NOT_FOUND, "no such mailbox");
	for (size_t i = 0; i < n; i++)
		TRY(rename_one(t, account, &all[i],
			       str_format(t->arena, "%.*s%.*s", STR_ARG(to),
					  STR_ARG(str_skip(all[i].name, from.n)))));
	return list_changed(t, account);
}

/* --- Subscriptions --- */

const struct fail *store_mailbox_subscribe(struct tx *t, u64 account, str name, bool subscribed)
{
	u64 n;
	bool found;

	TRY(mailbox_name_check(t, name, &name));
	if (!subscribed)
		return SQL_RUN(t->arena, t->db,
			       "DELETE FROM subscription WHERE account_id = ? AND name = ?",
			       SQL_U64(account), SQL_STR(name));
	TRY(sql_one_u64(t->arena,
			SQL_QUERY(t->db, "SELECT count(*) FROM subscription WHERE account_id = ?",
				  SQL_U64(account)),
			&n, &found));
	if (n >= STORE_SUBSCRIPTIONS)
		return fail_new(t->arena, FAIL_LIMIT, "too many subscriptions");
	return SQL_RUN(t->arena, t->db,
		       "INSERT INTO subscription (account_id, name) VALUES (?, ?)"
		       " ON CONFLICT DO NOTHING",
		       SQL_U64(account), SQL_STR(name));
}

static const struct fail *subscribed_only(struct tx *t, u64 account,
					  struct office_mailbox_list_answer *r)
{
	struct query *q =
	    SQL_QUERY(t->db,
		      "SELECT name FROM subscription WHERE account_id = ?1 AND name NOT IN"
		      " (SELECT name FROM mailbox WHERE account_id = ?1)",
		      SQL_U64(account));
	str *names = arena_array_of(t->arena, STORE_SUBSCRIPTIONS, str);

	while (r->subscribed_only_n < STORE_SUBSCRIPTIONS && sql_row(q))
		names[r->subscribed_only_n++] = sql_str(q, t->arena);
	r->subscribed_only = names;
	return sql_end(t->arena, q);
}

/* --- Listing --- */

const struct fail *store_mailbox_find(struct tx *t, u64 account, str name,
				      struct office_mailbox_list_answer *r)
{
	struct mailbox_info *one = arena_new_of(t->arena, struct mailbox_info);
	struct mailbox_row m;

	TRY(mailbox_name_check(t, name, &name));
	TRY(mailbox_by_name(t, account, name, &m));
	r->mailboxes = one;
	r->mailboxes_n = 1;
	return mailbox_info_of(t, account, &m, one);
}

static const struct fail *mailbox_ids(struct tx *t, u64 account, u64 **out, size_t *n)
{
	struct query *q = SQL_QUERY(
	    t->db, "SELECT id FROM mailbox WHERE account_id = ? ORDER BY name", SQL_U64(account));
	u64 *ids = arena_array_of(t->arena, STORE_MAILBOXES, u64);

	for (*n = 0; *n < STORE_MAILBOXES && sql_row(q);)
		ids[(*n)++] = sql_u64(q);
	*out = ids;
	return sql_end(t->arena, q);
}

/* One damaged mailbox must not hide the others: it is left out. */
const struct fail *store_mailbox_list(struct tx *t, u64 account,
				      struct office_mailbox_list_answer *r)
{
	struct mailbox_info *all;
	u64 *ids;
	size_t n, kept = 0;

	TRY(mailbox_ids(t, account, &ids, &n));
	all = arena_array_of(t->arena, n, struct mailbox_info);
	for (size_t i = 0; i < n; i++) {
		struct mailbox_row m;
		const struct fail *f = mailbox_by_id(t, account, ids[i], &m);

		if (!f)
			f = mailbox_info_of(t, account, &m, &all[kept]);
		if (f && f->what == FAIL_CORRUPT)
			LOG(ERROR, "store.damaged_mailbox", LOG_U64("account", account),
			    LOG_U64("mailbox", ids[i]), LOG_FAIL("why", f));
		else if (f)
			return f;
		else
			kept++;
		TRY(arena_check(t->arena));
	}
	r->mailboxes = all;
	r->mailboxes_n = kept;
	r->subscribed_only_n = 0;
	return subscribed_only(t, account, r);
}

/* --- Accounts --- */

const struct fail *store_account_furnish(struct tx *t, u64 account, str address)
{
	static const struct {
		u32 special;
		const char *name;
	} six[] = {
		{ SPECIAL_INBOX, "INBOX" },   { SPECIAL_SENT, "Sent" },
		{ SPECIAL_DRAFTS, "Drafts" }, { SPECIAL_JUNK, "Junk" },
		{ SPECIAL_TRASH, "Trash" },   { SPECIAL_ARCHIVE, "Archive" },
	};
	const struct account_note n = { .account = account, .address = address };
	u64 id;

	TRY(note_account(t, &n));
	for (size_t i = 0; i < ARRAY_LEN(six); i++) {
		TRY(mailbox_make(t, account, str_cstr(six[i].name), six[i].special, &id));
		TRY(store_mailbox_subscribe(t, account, str_cstr(six[i].name), true));
	}
	return NULL;
}

/* Of the first mailbox with messages, unless the account has few. *next 0: it has. */
static const struct fail *clear_some(struct tx *t, u64 account,
				     const struct office_mailbox_list_answer *list, u32 *next)
{
	size_t first = list->mailboxes_n;
	u64 messages = 0;

	for (size_t i = list->mailboxes_n; i-- > 0;) {
		messages += list->mailboxes[i].messages;
		if (list->mailboxes[i].messages)
			first = i;
	}
	*next = 0;
	if (messages <= STORE_PIECE_ROWS)
		return NULL;
	TRY(empty_some(t, account, list->mailboxes[first].id, next));
	*next = 1;
	return NULL;
}

/* Also when its row cannot be read. */
static const struct fail *clear_mailbox(struct tx *t, u64 account, u64 id)
{
	struct mailbox_row m;
	const struct fail *f = mailbox_by_id(t, account, id, &m);

	if (!f)
		return remove_mailbox(t, account, &m);
	if (f->what != FAIL_CORRUPT)
		return f;
	TRY(delete_rows(t, account, id));
	return note(t, account, id, STR_NONE, SPECIAL_NONE, 0);
}

const struct fail *store_account_clear(struct tx *t, u64 account, u32 *next)
{
	struct account_note n = { .account = account, .gone = true };
	struct office_mailbox_list_answer list = { .mailboxes_n = 0 };
	u64 *ids;
	size_t ids_n;

	TRY(account_address(t, account, &n.address));
	TRY(store_mailbox_list(t, account, &list));
	if (next)
		TRY(clear_some(t, account, &list, next));
	if (next && *next)
		return NULL;
	TRY(mailbox_ids(t, account, &ids, &ids_n));
	for (size_t i = 0; i < ids_n; i++)
		TRY(clear_mailbox(t, account, ids[i]));
	TRY(SQL_RUN(t->arena, t->db, "DELETE FROM subscription WHERE account_id = ?",
		    SQL_U64(account)));
	return note_account(t, &n);
}
