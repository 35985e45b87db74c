/*
 * Views: the rows of a mailbox as sealed memory files of VIEW_CHUNK_ROWS rows (bus/view.h), and the changes to lay over
 * them. A view is made once and never changes; the next one shares the chunks in front of the first row that changed, so an
 * arrival costs the last chunk only. The cache keeps the newest view of the mailboxes looked at last.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fd.h"
#include "base/log.h"
#include "bus/view.h"
#include "office/store/store_int.h"

enum { VIEW_ARENA = 16 * 1024, VIEWS_ARENA = 64 * 1024 };

struct view {
	struct arena *arena; /* holds this struct too, owns the descriptors */
	u64 account, mailbox, modseq;
	u32 uidvalidity, rows, chunks;
	int fds[CODEC_FDS_MAX];
	u32 last_uid[CODEC_FDS_MAX]; /* of each chunk */
	u32 users;                   /* cache and callers; under views.lock */
	u64 used;                    /* by a counter; the same */
};

struct views {
	struct arena *arena;
	pthread_mutex_t lock;
	struct view *items[STORE_VIEWS];
	u64 clock, bytes;
};

/* --- The cache --- */

struct views *views_new(void)
{
	struct arena *a = arena_new(VIEWS_ARENA);
	struct views *v = arena_new_of(a, struct views);

	v->arena = a;
	CHECK(pthread_mutex_init(&v->lock, NULL) == 0);
	return v;
}

static u64 view_bytes(const struct view *v)
{
	return v->rows * sizeof(struct view_row);
}

static void let_go(struct view *v)
{
	struct arena *a = v->arena;

	if (--v->users == 0)
		arena_free(&a);
}

static void drop(struct views *all, size_t i)
{
	all->bytes -= view_bytes(all->items[i]);
	let_go(all->items[i]);
	all->items[i] = NULL;
}

void views_free(struct views **at)
{
	struct views *all = *at;
	struct arena *a = all->arena;

	for (size_t i = 0; i < ARRAY_LEN(all->items); i++)
		if (all->items[i])
			drop(all, i);
	pthread_mutex_destroy(&all->lock);
	*at = NULL;
	arena_free(&a);
}

static void view_release(struct views *all, struct view *v)
{
	CHECK(pthread_mutex_lock(&all->lock) == 0);
	let_go(v);
	CHECK(pthread_mutex_unlock(&all->lock) == 0);
}

static struct view *view_take(struct views *all, u64 account, u64 mailbox)
{
	struct view *found = NULL;

	CHECK(pthread_mutex_lock(&all->lock) == 0);
	for (size_t i = 0; i < ARRAY_LEN(all->items) && !found; i++)
		if (all->items[i] && all->items[i]->account == account &&
		    all->items[i]->mailbox == mailbox)
			found = all->items[i];
	if (found) {
		found->users++;
		found->used = ++all->clock;
	}
	CHECK(pthread_mutex_unlock(&all->lock) == 0);
	return found;
}

static size_t least_used(const struct views *all)
{
	size_t least = ARRAY_LEN(all->items);

	for (size_t i = 0; i < ARRAY_LEN(all->items); i++)
		if (all->items[i] && (least == ARRAY_LEN(all->items) ||
				      all->items[i]->used < all->items[least]->used))
			least = i;
	return least;
}

/* A free place, after the same mailbox's older view and whatever else is too much have gone. */
static size_t make_place(struct views *all, const struct view *v)
{
	size_t place = ARRAY_LEN(all->items);

	for (size_t i = 0; i < ARRAY_LEN(all->items); i++)
		if (all->items[i] && all->items[i]->account == v->account &&
		    all->items[i]->mailbox == v->mailbox)
			drop(all, i);
	while (all->bytes + view_bytes(v) > STORE_VIEW_BYTES && all->bytes)
		drop(all, least_used(all));
	for (size_t i = 0; i < ARRAY_LEN(all->items); i++)
		if (all->items[i] == NULL)
			place = i;
	if (place == ARRAY_LEN(all->items)) {
		place = least_used(all);
		drop(all, place);
	}
	return place;
}

static void view_keep(struct views *all, struct view *v)
{
	CHECK(pthread_mutex_lock(&all->lock) == 0);
	all->items[make_place(all, v)] = v;
	all->bytes += view_bytes(v);
	v->users++;
	v->used = ++all->clock;
	CHECK(pthread_mutex_unlock(&all->lock) == 0);
}

/* --- Making chunks --- */

struct chunk_writer {
	struct view *view;
	struct arena *errors;
	struct buf rows;
	const struct fail *f; /* sticky */
};

static void seal_chunk(struct chunk_writer *w)
{
	struct view *v = w->view;
	size_t n = w->rows.n / sizeof(struct view_row);
	struct view_row last;
	int fd;

	if (n == 0 || w->f)
		return;
	if (v->chunks == CODEC_FDS_MAX) {
		w->f = fail_new(w->errors, FAIL_LIMIT, "more messages than a mailbox may have");
		return;
	}
	w->f = fd_from_str(v->arena, buf_str(&w->rows), &fd);
	if (w->f)
		return;
	memcpy(&last, w->rows.p + w->rows.n - sizeof last, sizeof last);
	v->fds[v->chunks] = fd;
	v->last_uid[v->chunks++] = last.uid;
	v->rows += (u32)n;
	buf_reset(&w->rows);
}

static void add_row(struct chunk_writer *w, const struct view_row *r)
{
	buf_add(&w->rows, str_from(r, sizeof *r));
	if (w->rows.n == VIEW_CHUNK_ROWS * sizeof *r)
		seal_chunk(w);
}

static struct view_row row_of(const struct state *s)
{
	return (struct view_row){ .modseq = s->modseq,
				  .flags = s->flags,
				  .uid = s->uid,
				  .size = s->size < UINT32_MAX ? (u32)s->size : UINT32_MAX };
}

static struct view *view_new(u64 account, const struct mailbox_row *m)
{
	struct arena *a = arena_new(VIEW_ARENA);
	struct view *v = arena_new_of(a, struct view);

	*v = (struct view){ .arena = a,
			    .account = account,
			    .mailbox = m->id,
			    .modseq = m->modseq,
			    .uidvalidity = m->uidvalidity,
			    .users = 1 };
	return v;
}

/* All rows from the table. One that cannot be read must not hide the others: it is left out. */
static const struct fail *fill(struct tx *t, struct chunk_writer *w)
{
	u64 damaged = 0;
	struct query *q = SQL_QUERY(t->db,
				    "SELECT uid, flags, modseq, size FROM message_state"
				    " WHERE account_id = ? AND mailbox_id = ? ORDER BY uid",
				    SQL_U64(w->view->account), SQL_U64(w->view->mailbox));

	while (!w->f && sql_row(q)) {
		struct state s = { .uid = sql_u32(q) };
		struct view_row r;

		s.flags = sql_u64(q);
		s.modseq = sql_u64(q);
		s.size = sql_u64(q);
		if (sql_forgive(q)) {
			damaged++;
			continue;
		}
		r = row_of(&s);
		add_row(w, &r);
	}
	if (damaged)
		LOG(ERROR, "store.damaged_rows", LOG_U64("account", w->view->account),
		    LOG_U64("mailbox", w->view->mailbox), LOG_U64("rows", damaged));
	return sql_end(t->arena, q);
}

/* --- From an older view --- */

struct patch {
	struct uid_range *touched; /* sorted, apart */
	size_t touched_n, range;
	struct state *rows; /* what stands there now */
	size_t rows_n, row;
};

static bool is_touched(struct patch *p, u32 uid)
{
	while (p->range < p->touched_n && p->touched[p->range].high < uid)
		p->range++;
	return p->range < p->touched_n && p->touched[p->range].low <= uid;
}

/* New rows below uid. */
static void add_new_below(struct chunk_writer *w, struct patch *p, u64 uid)
{
	for (; p->row < p->rows_n && p->rows[p->row].uid < uid; p->row++) {
		struct view_row r = row_of(&p->rows[p->row]);
		add_row(w, &r);
	}
}

static void merge_chunk(struct chunk_writer *w, struct patch *p, str old)
{
	for (size_t at = 0; at + sizeof(struct view_row) <= old.n; at += sizeof(struct view_row)) {
		struct view_row r;

		memcpy(&r, old.p + at, sizeof r);
		add_new_below(w, p, r.uid);
		if (!is_touched(p, r.uid))
			add_row(w, &r);
	}
}

/* Full chunks that end before the first touched row are taken over as they are. */
static const struct fail *share(struct chunk_writer *w, const struct view *old, u32 first_touched)
{
	struct view *v = w->view;

	while (v->chunks + 1 < old->chunks && old->last_uid[v->chunks] < first_touched) {
		int fd = fcntl(old->fds[v->chunks], F_DUPFD_CLOEXEC, 0);

		if (fd < 0)
			return fail_errno(w->errors, errno, "sharing a view");
		v->fds[v->chunks] = arena_own_fd(v->arena, fd);
		v->last_uid[v->chunks] = old->last_uid[v->chunks];
		v->chunks++;
		v->rows += VIEW_CHUNK_ROWS;
	}
	return NULL;
}

static const struct fail *merge(struct chunk_writer *w, struct patch *p, const struct view *old)
{
	struct arena *maps = arena_new(VIEW_ARENA);
	const struct fail *f = share(w, old, p->touched[0].low);

	for (u32 i = w->view->chunks; i < old->chunks && !f && !w->f; i++) {
		u64 rows =
		    i + 1 < old->chunks ? VIEW_CHUNK_ROWS : old->rows - (u64)i * VIEW_CHUNK_ROWS;
		str bytes;

		f = fd_map(maps, old->fds[i], rows * sizeof(struct view_row), &bytes);
		if (!f)
			merge_chunk(w, p, bytes);
	}
	add_new_below(w, p, (u64)UINT32_MAX + 1);
	if (f)
		f = fail_new(w->errors, f->what, "%.*s", STR_ARG(f->text));
	arena_free(&maps);
	return f;
}

/* What changed since: *touched empty when the change log is longer than a fresh look. */
static const struct fail *load_patch(struct tx *t, const struct view *old, struct patch *p)
{
	enum { RANGES_MAX = 4096 };
	struct query *q =
	    SQL_QUERY(t->db,
		      "SELECT low, high FROM change WHERE account_id = ? AND"
		      " mailbox_id = ? AND modseq > ? LIMIT 4096",
		      SQL_U64(old->account), SQL_U64(old->mailbox), SQL_U64(old->modseq));
	struct uid_range *raw = arena_array_of(t->arena, RANGES_MAX, struct uid_range);
	size_t n = 0;

	while (n < RANGES_MAX && sql_row(q)) {
		raw[n].low = sql_u32(q);
		raw[n++].high = sql_u32(q);
	}
	TRY(sql_end(t->arena, q));
	if (n == RANGES_MAX)
		return NULL;
	TRY(store_ranges(t->arena, raw, n, &p->touched, &p->touched_n));
	return states_load(t, old->account, old->mailbox, p->touched, p->touched_n, &p->rows,
			   &p->rows_n);
}

static const struct fail *make_rows(struct tx *t, struct chunk_writer *w, const struct view *old,
				    const struct mailbox_row *m)
{
	struct patch p = { .touched_n = 0 };
	const struct fail *f;

	if (old && old->uidvalidity == m->uidvalidity && old->modseq >= m->forgotten)
		TRY(load_patch(t, old, &p));
	f = p.touched_n ? merge(w, &p, old) : fill(t, w);
	if (!f)
		seal_chunk(w);
	return f ? f : w->f;
}

/* The view of the mailbox as this transaction sees it; the caller releases it. */
static const struct fail *view_get(struct tx *t, u64 account, const struct mailbox_row *m,
				   struct view **out)
{
	struct views *all = t->store->views;
	struct view *old = view_take(all, account, m->id);
	struct chunk_writer w = { .errors = t->arena };
	const struct fail *f;

	if (old && old->modseq == m->modseq && old->uidvalidity == m->uidvalidity) {
		*out = old;
		return NULL;
	}
	if (old && old->modseq > m->modseq) { /* this transaction began before that view */
		view_release(all, old);
		old = NULL;
	}
	w.view = view_new(account, m);
	buf_init(&w.rows, VIEW_CHUNK_ROWS * sizeof(struct view_row));
	f = make_rows(t, &w, old, m);
	buf_free(&w.rows);
	if (f)
		view_release(all, w.view);
	else
		*out = w.view;
	/* Only what is durable may be seen by others: a reader sees nothing else. */
	if (!f && !t->writes)
		view_keep(all, w.view);
	if (old)
		view_release(all, old);
	return f;
}

/* --- mailbox_open --- */

static const struct fail *hand_out(struct tx *t, const struct view *v,
				   struct office_mailbox_open_answer *r)
{
	int *fds = arena_array_of(t->arena, v->chunks, int);

	for (u32 i = 0; i < v->chunks; i++) {
		fds[i] = arena_own_fd(t->arena, fcntl(v->fds[i], F_DUPFD_CLOEXEC, 0));
		if (fds[i] < 0)
			return fail_errno(t->arena, errno, "handing out a view");
	}
	r->chunks = fds;
	r->chunks_n = v->chunks;
	r->rows = v->rows;
	r->modseq = v->modseq;
	return NULL;
}

static const struct fail *claim(struct tx *t, u64 account, const struct mailbox_row *m)
{
	CHECK(t->writes);
	if (m->recent_from == m->uidnext)
		return NULL;
	return SQL_RUN(t->arena, t->db,
		       "UPDATE mailbox SET recent_from = uidnext WHERE account_id = ? AND id = ?",
		       SQL_U64(account), SQL_U64(m->id));
}

const struct fail *store_mailbox_open(struct tx *t, u64 account, str name, bool claim_recent,
				      struct office_mailbox_open_answer *r)
{
	struct mailbox_row m;
	struct keywords k;
	struct view *v = NULL;
	const struct fail *f;

	TRY(mailbox_name_check(t, name, &name));
	TRY(mailbox_by_name(t, account, name, &m));
	TRY(mailbox_info_of(t, account, &m, &r->info));
	TRY(keywords_load(t, account, m.id, &k));
	keywords_list(t->arena, &k, UINT64_MAX, &r->keywords, &r->keywords_n);
	TRY(view_get(t, account, &m, &v));
	f = hand_out(t, v, r);
	view_release(t->store->views, v);
	r->recent_from = m.recent_from;
	if (!f && claim_recent)
		f = claim(t, account, &m);
	return f;
}

/* --- At the start --- */

struct warm_row {
	u64 account;
	struct mailbox_row mailbox;
};

static const struct fail *largest(struct tx *t, struct warm_row *rows, size_t *n)
{
	struct query *q =
	    SQL_QUERY(t->db,
		      "SELECT account_id, id, uidvalidity, modseq, forgotten, messages FROM mailbox"
		      " WHERE messages >= ? ORDER BY messages DESC LIMIT ?",
		      SQL_U64(STORE_WARM_ROWS), SQL_U64(STORE_WARM));

	for (*n = 0; *n < STORE_WARM && sql_row(q); ++*n) {
		struct mailbox_row *m = &rows[*n].mailbox;

		rows[*n].account = sql_u64(q);
		*m = (struct mailbox_row){ .id = sql_u64(q) };
		m->uidvalidity = sql_u32(q);
		m->modseq = sql_u64(q);
		m->forgotten = sql_u64(q);
		m->messages = sql_u32(q);
	}
	return sql_end(t->arena, q);
}

static const struct fail *warm(struct tx *t, const struct warm_row *w, u32 *packed)
{
	struct views *all = t->store->views;
	struct view *v = view_take(all, w->account, w->mailbox.id);

	if (v == NULL) {
		TRY(view_get(t, w->account, &w->mailbox, &v));
		++*packed;
	}
	view_release(all, v);
	return NULL;
}

const struct fail *store_mailboxes_warm(struct tx *t, u32 *packed)
{
	struct warm_row rows[STORE_WARM];
	u64 bytes = 0;
	size_t n;

	CHECK(!t->writes);
	*packed = 0;
	TRY(largest(t, rows, &n));
	for (size_t i = 0; i < n; i++) {
		u64 more = rows[i].mailbox.messages * sizeof(struct view_row);

		if (bytes + more > STORE_VIEW_BYTES / 2)
			continue;
		bytes += more;
		TRY(warm(t, &rows[i], packed));
	}
	return NULL;
}

/* --- mailbox_changes --- */

struct change_row {
	u64 modseq;
	u32 low, high;
	bool gone;
};

static void read_change(struct query *q, struct change_row *c)
{
	c->modseq = sql_u64(q);
	c->low = sql_u32(q);
	c->high = sql_u32(q);
	c->gone = sql_bool(q);
	if (c->low == 0 || c->low > c->high || c->high - c->low >= STORE_MODSEQ_ROWS)
		sql_bad(q);
}

static void add_gone(struct buf *out, const struct change_row *c)
{
	for (u32 uid = c->low; uid <= c->high && uid; uid++) {
		struct message_change m = { .uid = uid, .modseq = c->modseq, .gone = true };
		buf_add(out, str_from(&m, sizeof m));
	}
}

/* Rows that have since changed again, or gone, are told of by a later row of the log. */
static const struct fail *add_changed(struct tx *t, u64 account, u64 mailbox,
				      const struct change_row *c, struct buf *out)
{
	struct query *q = SQL_QUERY(
	    t->db,
	    "SELECT uid, flags, size FROM message_state"
	    " WHERE account_id = ? AND mailbox_id = ? AND uid BETWEEN ? AND ? AND modseq = ?",
	    SQL_U64(account), SQL_U64(mailbox), SQL_U64(c->low), SQL_U64(c->high),
	    SQL_U64(c->modseq));

	while (sql_row(q)) {
		struct message_change m = { .uid = sql_u32(q), .modseq = c->modseq };
		u64 size;

		m.flags = sql_u64(q);
		size = sql_u64(q);
		m.size = size < UINT32_MAX ? (u32)size : UINT32_MAX;
		if (!sql_forgive(q))
			buf_add(out, str_from(&m, sizeof m));
	}
	return sql_end(t->arena, q);
}

/* Stops between two modseqs, with room for one more stretch of STORE_MODSEQ_ROWS. */
static const struct fail *collect(struct tx *t, u64 account, u64 mailbox, u64 since,
				  struct buf *out, u64 *upto)
{
	struct query *q =
	    SQL_QUERY(t->db,
		      "SELECT modseq, low, high, gone FROM change WHERE account_id = ?"
		      " AND mailbox_id = ? AND modseq > ? ORDER BY modseq, low",
		      SQL_U64(account), SQL_U64(mailbox), SQL_U64(since));
	const size_t most = OFFICE_CHANGES_MAX - STORE_MODSEQ_ROWS;
	const struct fail *f = NULL;
	u64 last = since;

	while (!f && sql_row(q)) {
		struct change_row c;

		read_change(q, &c);
		if (c.modseq != last && out->n / sizeof(struct message_change) > most) {
			*upto = last;
			break;
		}
		last = c.modseq;
		if (sql_forgive(q))
			f = fail_new(t->arena, FAIL_CORRUPT, "a damaged change log");
		else if (c.gone)
			add_gone(out, &c);
		else
			f = add_changed(t, account, mailbox, &c, out);
	}
	if (f) {
		TRY(sql_end(t->arena, q));
		return f;
	}
	return sql_end(t->arena, q);
}

const struct fail *store_mailbox_changes(struct tx *t, u64 account, u64 mailbox, u64 since,
					 struct office_mailbox_changes_answer *r)
{
	struct mailbox_row m;
	struct keywords k;
	struct buf *rows =
	    buf_new(t->arena, (size_t)OFFICE_CHANGES_MAX * 2 * sizeof(struct message_change));

	TRY(mailbox_by_id(t, account, mailbox, &m));
	TRY(mailbox_info_of(t, account, &m, &r->info));
	TRY(keywords_load(t, account, m.id, &k));
	keywords_list(t->arena, &k, UINT64_MAX, &r->keywords, &r->keywords_n);
	r->modseq = m.modseq;
	r->forgotten = since < m.forgotten && since < m.modseq;
	if (r->forgotten)
		return NULL;
	TRY(collect(t, account, m.id, since, rows, &r->modseq));
	r->changes = (const void *)rows->p; /* from malloc: aligned */
	r->changes_n = rows->n / sizeof(struct message_change);
	return NULL;
}
