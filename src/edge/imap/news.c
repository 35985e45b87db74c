/*
 * News: what changed in the open mailbox since the client last heard, told where RFC 3501 7 allows it. Messages that went are told
 * only when the command's row says so; arrivals and flags always.
 *
 * The view's marks are the state of telling, so it can stop when the output is full and go on in a later turn. A session
 * changes its own view before it asks the office, so that of its own changes nothing is news to it.
 */
#include "base/log.h"
#include "edge/imap/imap_int.h"
#include "text/imap_print.h"

#define MAILBOX_LOST "the mailbox was deleted"

void imap_watch(struct imap *i)
{
	struct office_watch_request q = { .ticket = *imap_ticket(i),
					  .mailbox = i->mailbox,
					  .watch = session_id(i->session) };
	struct office_watch_answer r;
	const struct fail *f;

	i->watched_by = bus_servers(imap_office(i));
	f = office_watch(imap_arena(i), imap_office(i), &q, &r);
	i->watched = f == NULL;
	/* With notices only what happened before the watch began is to be asked for. */
	i->dirty = f || r.modseq != i->view->modseq;
	if (f)
		LOG(WARN, "imap.watch", LOG_FAIL("fail", f));
}

static const struct fail endless =
    FAIL_STATIC(LIMIT, "the mailbox changes faster than it can be read");

/* The log no longer reaches back: all rows again, compared with ours. */
static const struct fail *reopen(struct imap *i, str name, bool *keywords)
{
	struct office_mailbox_open_request q = { .ticket = *imap_ticket(i), .name = name };
	struct office_mailbox_open_answer r;
	struct view *fresh;
	const struct fail *f;

	TRY(office_mailbox_open(imap_arena(i), imap_office(i), &q, &r));
	if (r.info.id != i->mailbox) {
		i->lost = MAILBOX_LOST;
		return NULL;
	}
	TRY(view_open(r.chunks, r.chunks_n, r.rows, &fresh));
	f = view_replace(i->view, fresh);
	view_close(&fresh);
	i->view->modseq = r.modseq;
	*keywords = view_keywords(i->view, r.keywords, r.keywords_n) || *keywords;
	return f;
}

struct gathered {
	struct message_change *changes;
	size_t n, room;
};

static void gather(struct arena *a, struct gathered *g, const struct message_change *changes,
		   size_t n)
{
	struct message_change *more;

	if (g->n + n > g->room) {
		g->room = 2 * g->room + n;
		more = arena_array_of(a, g->room, struct message_change);
		for (size_t k = 0; k < g->n; k++)
			more[k] = g->changes[k];
		g->changes = more;
	}
	for (size_t k = 0; k < n; k++)
		g->changes[g->n++] = changes[k];
}

/* All changes there are: the office gives them in pieces, and only all of them together are a state of the mailbox. */
static const struct fail *take_changes(struct imap *i, struct gathered *g, bool *keywords)
{
	struct office_mailbox_changes_request q = { .ticket = *imap_ticket(i),
						    .mailbox = i->mailbox,
						    .since = i->view->modseq };
	struct office_mailbox_changes_answer r;

	for (int round = 0; round < IMAP_CHANGES_ROUNDS; round++) {
		TRY(office_mailbox_changes(imap_arena(i), imap_office(i), &q, &r));
		if (r.forgotten)
			return reopen(i, r.info.name, keywords);
		gather(imap_arena(i), g, r.changes, r.changes_n);
		i->uidnext = r.info.uidnext;
		*keywords = view_keywords(i->view, r.keywords, r.keywords_n) || *keywords;
		if (r.modseq >= r.info.modseq || r.modseq <= q.since) {
			TRY(view_apply(i->view, imap_arena(i), g->changes, g->n));
			i->view->modseq = r.modseq > i->view->modseq ? r.modseq : i->view->modseq;
			return NULL;
		}
		q.since = r.modseq;
		TRY(arena_check(imap_arena(i)));
	}
	return &endless;
}

const struct fail *imap_synchronize(struct imap *i)
{
	struct gathered g = { 0 };
	bool keywords = false;
	const struct fail *f;

	/* Watched first: what changes while we read is told. */
	if (i->watched_by != bus_servers(imap_office(i)))
		imap_watch(i);
	i->dirty = !i->watched;
	f = take_changes(i, &g, &keywords);
	if (keywords)
		imap_put_flags_response(i);
	if (f && f->what == FAIL_NOT_FOUND)
		i->lost = MAILBOX_LOST;
	if (f && f->what == FAIL_LOGIN)
		i->lost = LOGIN_LOST;
	if (f)
		i->dirty = true;
	return f;
}

void imap_put_flags_response(struct imap *i)
{
	struct buf *out = imap_out(i);
	u64 all = FLAG_SYSTEM;

	for (u32 k = 0; k < i->view->keywords_n; k++)
		all |= 1ull << (FLAG_KEYWORD_FIRST + k);
	buf_add(out, S("* FLAGS "));
	imap_put_flags(out, all, false, FLAG_KEYWORD_FIRST, i->view->keywords, i->view->keywords_n);
	buf_add(out, S("\r\n"));
}

void imap_put_row_flags(struct imap *i, struct buf *b, u32 row)
{
	const struct view *v = i->view;

	buf_add(b, S("FLAGS "));
	imap_put_flags(b, v->rows[row].flags & ~VIEW_MARKS, view_is_recent(v, row),
		       FLAG_KEYWORD_FIRST, v->keywords, v->keywords_n);
}

/* RFC 7162 3.2.4 wants the UID beside a mod-sequence; a UID command wants it always. */
static void tell_row(struct imap *i, u32 row)
{
	const struct view_row *r = &i->view->rows[row];
	struct buf *out = imap_out(i);
	bool flags = (r->flags & VIEW_CHANGED) != 0;

	if (!flags && !i->condstore)
		return;
	buf_printf(out, "* %u FETCH (", row + 1);
	if (i->condstore || (i->command && i->command->uid))
		buf_printf(out, "UID %u%s", r->uid, flags ? " " : "");
	if (flags)
		imap_put_row_flags(i, out, row);
	if (i->condstore)
		buf_printf(out, " MODSEQ (%llu)", (unsigned long long)r->modseq);
	buf_add(out, S(")\r\n"));
}

static bool tell_rows(struct imap *i)
{
	struct view *v = i->view;

	while (v->changed.n > 0) {
		u32 row = v->changed.low;

		if (imap_full(i))
			return false;
		if (row < v->told && v->rows[row].flags & (VIEW_CHANGED | VIEW_TOUCHED))
			tell_row(i, row);
		view_unmark(v, row);
		if (v->changed.n > 0)
			v->changed.low++;
	}
	return true;
}

/* From the last to the first, so that each number is still the one that the client knows. */
static bool tell_expunged(struct imap *i)
{
	struct view *v = i->view;
	u32 row = i->news_at ? i->news_at : v->gone.high;

	for (; v->gone.n > 0 && row > v->gone.low; row--) {
		if (imap_full(i)) {
			i->news_at = row;
			return false;
		}
		if (row <= v->told && v->rows[row - 1].flags & VIEW_GONE)
			buf_printf(imap_out(i), "* %u EXPUNGE\r\n", row);
	}
	i->news_at = 0;
	view_compact(v);
	return true;
}

static void tell_arrivals(struct imap *i)
{
	struct view *v = i->view;

	if (v->told == v->n)
		return;
	v->told = v->n;
	buf_printf(imap_out(i), "* %u EXISTS\r\n* %u RECENT\r\n", v->n, view_recent(v));
}

bool imap_tell_news(struct imap *i, bool expunge)
{
	const struct fail *f;

	if (i->dirty && !i->news_checked) {
		f = imap_synchronize(i);
		if (f)
			LOG(WARN, "imap.synchronize", LOG_FAIL("fail", f));
	}
	i->news_checked = true;
	if (expunge && !tell_expunged(i))
		return false;
	tell_arrivals(i);
	return tell_rows(i);
}

void imap_unselect(struct imap *i)
{
	struct office_unwatch_request q = { .watch = session_id(i->session) };
	struct office_unwatch_answer r;
	const struct fail *f;

	if (!i->view)
		return;
	/* Also of a watch whose answer did not come in time; what an office before this one knew is gone with it. */
	if (i->watched_by == bus_servers(imap_office(i))) {
		f = office_unwatch(imap_arena(i), imap_office(i), &q, &r);
		if (f)
			LOG(DEBUG, "imap.unwatch", LOG_FAIL("fail", f));
	}
	view_close(&i->view);
	i->watched = i->dirty = false;
	i->watched_by = 0;
	i->lost = NULL;
	i->state = LOGGED_IN;
}

void imap_condstore_on(struct imap *i)
{
	if (i->condstore)
		return;
	i->condstore = true;
	if (i->view)
		imap_untagged(i, "OK",
			      str_format(imap_arena(i), "HIGHESTMODSEQ %llu",
					 (unsigned long long)i->view->modseq),
			      S("mod-sequences"));
}
