/*
 * FETCH, RFC 3501 6.4.5; CHANGEDSINCE of RFC 7162 3.1.4.
 *
 * What the view knows (FLAGS, UID, RFC822.SIZE, MODSEQ) costs the office nothing. For the rest messages are asked in batches of
 * about 1 MiB; one larger than IMAP_SMALL is asked alone, its front with its skeleton, and a section beyond that front is sent in
 * windows. After each batch or window the job waits until the peer has taken what there is. While one batch is printed the office
 * makes the next one, so that both work at once; IMAP_AHEAD sessions of a process may do so at a time. Memory stays at two
 * batches, however slow the peer and large the mailbox (THREATS I13).
 */
#include <stdatomic.h>

#include "base/check.h"
#include "base/log.h"
#include "edge/imap/fetch_int.h"

enum { BATCH_ROWS = OFFICE_FETCH_BYTES / 64 /* no message takes less */ };

static atomic_uint asked_ahead; /* batches, in all sessions */

/* --- What is asked ------------------------------------------------------------------------------------------- */

static bool only_top_header(const struct imap_attribute *t)
{
	return t->path_n == 0 && (t->text == IMAP_HEADER || t->text == IMAP_HEADER_FIELDS ||
				  t->text == IMAP_HEADER_FIELDS_NOT);
}

/* What the attributes together need of each message. */
struct need {
	bool whole;     /* more of it than the header */
	bool structure; /* more of the skeleton than the envelope */
};

static void plan_attribute(struct fetch *f, const struct imap_attribute *t, struct need *need)
{
	switch (t->kind) {
	case IMAP_FLAGS:
	case IMAP_SIZE:
		return;
	case IMAP_UID:
		f->uid = false; /* it is among the attributes */
		return;
	case IMAP_MODSEQ:
		f->modseq = false;
		return;
	case IMAP_INTERNALDATE:
		f->office = true;
		return;
	case IMAP_ENVELOPE:
		f->office = true;
		f->want |= FETCH_SKELETON;
		return;
	case IMAP_BODY:
	case IMAP_BODYSTRUCTURE:
		f->office = need->structure = true;
		f->want |= FETCH_SKELETON;
		return;
	case IMAP_SECTION:
		f->office = f->sections = need->structure = true;
		f->want |= FETCH_SKELETON | FETCH_BYTES;
		f->seen = f->seen || !t->peek;
		need->whole = need->whole || !only_top_header(t);
		return;
	}
}

static void plan(struct imap *i, struct fetch *f)
{
	struct need need = { 0 };

	f->uid = i->command->uid;
	f->modseq = f->ask.has_changed_since;
	for (size_t k = 0; k < f->ask.n; k++)
		plan_attribute(f, &f->ask.attributes[k], &need);
	if (f->sections && !need.whole)
		f->want |= FETCH_HEADER_ONLY;
	if (f->want & FETCH_SKELETON && !need.structure)
		f->want |= FETCH_ENVELOPE;
	f->seen = f->seen && !i->read_only;
}

/* --- The rows, in order ---------------------------------------------------------------------------------------- */

/* Moves to the next row that is asked for; false at the end. */
static bool seek(const struct imap *i, const struct fetch *f, struct fetch_cursor *at)
{
	for (; at->span < f->spans.n; at->span++) {
		const struct view_span *s = &f->spans.spans[at->span];

		for (at->row = at->row < s->from ? s->from : at->row; at->row < s->to; at->row++)
			if (!f->ask.has_changed_since ||
			    i->view->rows[at->row].modseq > f->ask.changed_since)
				return true;
	}
	return false;
}

static bool is_large(const struct imap *i, const struct fetch *f, u32 row)
{
	return f->sections && !(f->want & FETCH_HEADER_ONLY) &&
	       i->view->rows[row].size > IMAP_SMALL;
}

/* UIDs of the next rows, up to a large one; *at: where the rows behind them begin. */
static size_t next_uids(const struct imap *i, const struct fetch *f, struct uid_range *uids,
			struct fetch_cursor *at)
{
	size_t n = 0;
	u32 last = 0;

	for (u32 rows = 0; rows < BATCH_ROWS && n < IMAP_RANGES && seek(i, f, at); rows++) {
		u32 uid = i->view->rows[at->row].uid;

		if (n > 0 && is_large(i, f, at->row))
			break;
		if (n > 0 && at->row == last + 1)
			uids[n - 1].high = uid;
		else
			uids[n++] = (struct uid_range){ uid, uid, 0 };
		last = at->row++;
		if (is_large(i, f, last))
			break;
	}
	return n;
}

/* --- Batches --------------------------------------------------------------------------------------------------- */

static void batch_end(struct fetch_batch *b)
{
	if (b->counted)
		atomic_fetch_sub(&asked_ahead, 1);
	arena_free(&b->arena);
	*b = (struct fetch_batch){ .arena = NULL };
}

static void batches_end(void *object)
{
	struct fetch *f = object;

	batch_end(&f->now);
	batch_end(&f->ahead);
}

/* Asks for the messages from a row on; there is one. */
static struct fetch_batch batch_ask(struct imap *i, const struct fetch *f, struct fetch_cursor at)
{
	struct fetch_batch b = { .arena = arena_new(IMAP_TURN), .behind = at };
	struct uid_range *uids = arena_array_of(imap_arena(i), IMAP_RANGES, struct uid_range);
	size_t n;

	CHECK(seek(i, f, &at));
	b.large = is_large(i, f, at.row);
	n = next_uids(i, f, uids, &b.behind);
	b.call = imap_bodies_ask(i, b.arena, uids, n, f->want, 0,
				 b.large ? IMAP_FRONT : OFFICE_FETCH_BYTES);
	return b;
}

/* While f->now is printed. What a peer takes slowly, or in more than one go, is not worth it. */
static void ask_ahead(struct imap *i, struct fetch *f, const struct imap_bodies *b)
{
	struct fetch_cursor next = f->now.behind, look;

	if (f->never_ahead || f->now.large || b->n == 0)
		return;
	if (b->next)
		next = (struct fetch_cursor){ f->at.span, view_row_from(i->view, b->next) };
	look = next;
	if (!seek(i, f, &look))
		return;
	if (atomic_fetch_add(&asked_ahead, 1) >= IMAP_AHEAD) {
		atomic_fetch_sub(&asked_ahead, 1);
		return;
	}
	f->ahead = batch_ask(i, f, next);
	f->ahead.counted = true;
}

/* --- Steps ------------------------------------------------------------------------------------------------------- */

/* RFC 5530 3: what is damaged is not gone, and a client must not believe so. */
static struct imap_reply done(const struct fetch *f)
{
	if (f->damaged)
		return REPLY(IMAP_NO, "CORRUPTION",
			     "some of the messages are damaged and cannot be read");
	return f->missing ? REPLY(IMAP_NO, "EXPUNGEISSUED", "some of the messages are gone")
			  : OK_REPLY("that is all");
}

/* All from the view. */
static struct imap_reply step_view(struct imap *i, struct fetch *f)
{
	for (; seek(i, f, &f->at); f->at.row++) {
		struct fetch_message m = { .row = f->at.row };

		if (imap_full(i))
			return LATER;
		fetch_put_message(i, f, &m);
	}
	return done(f);
}

/* Sets \Seen for the messages of a batch that lack it, here and in the office. */
static void set_seen(struct imap *i, struct fetch *f, const struct imap_bodies *b)
{
	struct uid_range *uids = arena_array_of(imap_arena(i), b->n, struct uid_range);
	struct office_message_flags_request q = { .ticket = *imap_ticket(i),
						  .mailbox = i->mailbox,
						  .uids = uids,
						  .mode = FLAGS_ADD,
						  .flags = FLAG_SEEN };
	struct office_message_flags_answer r;
	const struct fail *fail;
	u32 row;

	for (size_t k = 0; f->seen && k < b->n; k++)
		if (view_find(i->view, b->items[k].uid, &row) &&
		    !(i->view->rows[row].flags & (FLAG_SEEN | VIEW_GONE)))
			uids[q.uids_n++] =
			    (struct uid_range){ b->items[k].uid, b->items[k].uid, 0 };
	if (q.uids_n == 0)
		return;
	fail = office_message_flags(imap_arena(i), imap_office(i), &q, &r);
	if (fail) {
		LOG(WARN, "imap.seen", LOG_FAIL("fail", fail));
		return;
	}
	for (size_t k = 0; k < q.uids_n; k++)
		if (view_find(i->view, uids[k].low, &row)) {
			i->view->rows[row].flags |= FLAG_SEEN;
			view_mark(i->view, row, VIEW_CHANGED);
		}
}

/* Rows from f->at up to `to` that no item came for: they went. */
static void note_missing(struct imap *i, struct fetch *f, u32 to)
{
	while (seek(i, f, &f->at) && f->at.row < to) {
		f->missing = true;
		f->at.row++;
	}
}

/* It went while it was being sent; what was begun must be ended. */
static void end_early(struct imap *i, struct fetch *f)
{
	fetch_put_end(i, f->at.row++);
	f->attribute = 0;
	f->missing = true;
}

/* Mostly it is the one that comes next. */
static bool find_row(const struct imap *i, const struct fetch *f, u32 uid, u32 *row)
{
	*row = f->at.row;
	return (f->at.row < i->view->told && i->view->rows[f->at.row].uid == uid) ||
	       view_find(i->view, uid, row);
}

static const struct fail *decode(struct fetch *f, const struct fetch_item *item,
				 struct skeleton *skeleton)
{
	if (!(f->want & FETCH_SKELETON))
		return NULL;
	if (f->want & FETCH_ENVELOPE)
		return skeleton_envelope_decode(f->scratch, item->skeleton, &skeleton->envelope);
	return skeleton_decode(f->scratch, item->skeleton, skeleton);
}

/* One message of a batch. False when it is not at its end. */
static bool put_item(struct imap *i, struct fetch *f, const struct imap_bodies *b, size_t k)
{
	struct fetch_message m = { .item = &b->items[k], .from = b };
	struct skeleton *skeleton = arena_new_of(f->scratch, struct skeleton);
	const struct fail *fail;
	bool whole;

	if (!find_row(i, f, m.item->uid, &m.row))
		return true;
	if (f->attribute > 0 && m.row != f->at.row)
		end_early(i, f);
	if (f->attribute == 0)
		note_missing(i, f, m.row);
	fail = decode(f, m.item, skeleton);
	if (fail) { /* one damaged message must not hide the others */
		LOG(ERROR, "imap.skeleton", LOG_ID("message", m.item->message),
		    LOG_FAIL("fail", fail));
		if (f->attribute > 0)
			end_early(i, f);
		f->damaged = true;
		f->at.row = m.row + 1;
		return true;
	}
	m.skeleton = skeleton;
	whole = fetch_put_message(i, f, &m);
	if (whole)
		f->at.row = m.row + 1;
	return whole;
}

/* All that was asked has come; what has not is no more. */
static void end_batch(struct imap *i, struct fetch *f, const struct imap_bodies *b)
{
	struct fetch_cursor behind = f->now.behind;

	if (f->attribute > 0)
		end_early(i, f);
	if ((b->next == 0 || b->n == 0) && seek(i, f, &f->at))
		note_missing(i, f, seek(i, f, &behind) ? behind.row : UINT32_MAX);
}

/* False when the rest is to be asked for again. */
static bool put_batch(struct imap *i, struct fetch *f, const struct imap_bodies *b)
{
	bool whole = true;
	size_t k = 0;

	for (; k < b->n && whole && (k == 0 || !fetch_put_enough(i)); k++) {
		whole = put_item(i, f, b, k);
		arena_reset(f->scratch);
	}
	if (!whole || k < b->n)
		return false;
	end_batch(i, f, b);
	return true;
}

/* The next messages: those asked for already, or asked for now. */
static const struct fail *step_batch(struct imap *i, struct fetch *f)
{
	const struct fail *fail;
	struct imap_bodies b;

	f->now = f->ahead.arena ? f->ahead : batch_ask(i, f, f->at);
	f->ahead = (struct fetch_batch){ .arena = NULL };
	fail = imap_bodies_take(f->now.arena, f->now.call, &b);
	if (fail && fail->what != FAIL_CORRUPT)
		return fail;
	if (fail) /* of these nothing can be read; those behind them perhaps can */
		b = (struct imap_bodies){ .fd = -1 };
	f->damaged = f->damaged || fail || b.damaged;
	set_seen(i, f, &b);
	if (f->attribute == 0)
		ask_ahead(i, f, &b);
	if (!put_batch(i, f, &b)) {
		f->never_ahead = f->ahead.arena != NULL;
		batch_end(&f->ahead);
	}
	return NULL;
}

/* The literal was announced: what is missing of it must be made up, or the session would lose its place (THREATS I20). */
static void put_filler(struct imap *i, struct fetch_stream *s)
{
	u64 n = s->to - s->at < IMAP_WINDOW ? s->to - s->at : IMAP_WINDOW;

	for (u64 k = 0; k < n; k++)
		buf_add_byte(imap_out(i), ' ');
	s->at += n;
}

/* What is gone or damaged is made up; what cannot be read now is not: the client would keep blanks for the message. */
static const struct fail *step_window(struct imap *i, struct fetch *f)
{
	struct fetch_stream *s = &f->stream;
	const struct uid_range one = { s->uid, s->uid, 0 };
	u64 n = s->to - s->at < IMAP_WINDOW ? s->to - s->at : IMAP_WINDOW;
	struct imap_bodies b;
	const struct fail *fail = imap_bodies(i, imap_arena(i), &one, 1, FETCH_BYTES, s->at, n, &b);

	if (fail && fail->what != FAIL_CORRUPT)
		return fail;
	if (fail || b.n != 1 || b.items[0].bytes.n == 0) {
		f->damaged = f->damaged || fail;
		f->missing = true;
		put_filler(i, s);
	} else {
		fetch_put_slice(i, &b, str_slice(b.items[0].bytes, 0, (size_t)n));
		s->at += b.items[0].bytes.n < n ? b.items[0].bytes.n : n;
	}
	s->on = s->at < s->to;
	return NULL;
}

static struct imap_reply fetch_step(struct imap *i, struct imap_job *job)
{
	struct fetch *f = (struct fetch *)job;
	const struct fail *fail;

	if (!f->office)
		return step_view(i, f);
	while (f->stream.on || f->attribute > 0 || seek(i, f, &f->at)) {
		if (imap_full(i))
			return LATER;
		if (f->stream.on) {
			fail = step_window(i, f);
			if (fail)
				return imap_break_off(i, fail);
			continue;
		}
		if (f->attribute == f->ask.n) { /* the window was its last */
			fetch_put_end(i, f->at.row++);
			f->attribute = 0;
			continue;
		}
		fail = step_batch(i, f);
		if (fail && f->attribute > 0)
			end_early(i, f);
		if (fail)
			return imap_fail(fail);
		batch_end(&f->now);
		return LATER;
	}
	return done(f);
}

static void release_arena(void *object)
{
	struct arena *a = object;

	arena_free(&a);
}

static bool asks_modseq(const struct imap_fetch *ask)
{
	for (size_t k = 0; k < ask->n; k++)
		if (ask->attributes[k].kind == IMAP_MODSEQ)
			return true;
	return ask->has_changed_since;
}

struct imap_reply imap_fetch(struct imap *i, struct scan *s)
{
	struct arena *a = arena_new(IMAP_JOB);
	struct fetch *f = arena_new_of(a, struct fetch);
	struct scan copy = scan_of(str_copy(a, s->rest));
	struct imap_set set;

	f->job = (struct imap_job){ a, fetch_step };
	if (!scan_sp(&copy) || !imap_scan_set(a, &copy, &set) || !scan_sp(&copy) ||
	    !imap_scan_fetch(a, &copy, &f->ask)) {
		arena_free(&a);
		return BAD_REPLY("expected a set and what to fetch");
	}
	if (!view_spans(i->view, a, &set, i->command->uid, &f->spans)) {
		arena_free(&a);
		return BAD_REPLY("no such message");
	}
	f->scratch = arena_new(IMAP_MESSAGE);
	arena_own(a, release_arena, f->scratch);
	arena_own(a, batches_end, f);
	plan(i, f);
	if (asks_modseq(&f->ask))
		imap_condstore_on(i);
	return imap_job_run(i, &f->job);
}
