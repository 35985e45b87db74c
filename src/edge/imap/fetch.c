/*
 * FETCH, RFC 3501 6.4.5; CHANGEDSINCE of RFC 7162 3.1.4.
 *
 * What the view knows (FLAGS, UID, RFC822.SIZE, MODSEQ) costs the office nothing. For the rest messages are asked in batches of
 * about 1 MiB; one larger than IMAP_SMALL is asked alone, its front with its skeleton, and a section beyond that front is sent in
 * windows. After each batch or window the job waits until the peer has taken what there is: memory stays at a batch, however
 * slow the peer and large the mailbox (THREATS I13).
 */
#include <unistd.h>

#include "base/log.h"
#include "edge/imap/imap_int.h"
#include "text/imap_fetch.h"
#include "text/imap_print.h"
#include "text/imap_structure.h"

enum {
	INLINE_MAX = 16 * 1024,
	HEADER_READ = SKELETON_HEADER_BYTES,
	/* Output that a batch may run up: more than one whose attributes each name a message once, far less than one that names it
	 * a hundred times. */
	ENOUGH = 2 * OFFICE_FETCH_BYTES,
};

/* What is left of a section that goes out in windows. */
struct stream {
	bool on;
	u32 uid;
	u64 at, to;
};

struct fetch {
	struct imap_job job;
	struct imap_fetch ask;
	struct view_spans spans;
	size_t span;      /* the row under way: its span */
	u32 row;          /* and itself, once begun */
	size_t attribute; /* of the row under way; 0: not begun */
	struct stream stream;
	struct arena *scratch; /* of one message */
	u32 want;
	bool office, sections, seen, uid, modseq;
	bool missing; /* a message went */
};

/* One message at hand. bytes: of its body, as far as they came, from byte 0. */
struct message {
	const struct fetch_item *item;
	const struct skeleton *skeleton;
	const struct imap_bodies *from;
	u32 row;
};

/* --- What is asked ------------------------------------------------------------------------------------------- */

static bool only_top_header(const struct imap_attribute *t)
{
	return t->path_n == 0 && (t->text == IMAP_HEADER || t->text == IMAP_HEADER_FIELDS ||
				  t->text == IMAP_HEADER_FIELDS_NOT);
}

static void plan_attribute(struct fetch *f, const struct imap_attribute *t, bool *whole)
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
	case IMAP_BODY:
	case IMAP_BODYSTRUCTURE:
		f->office = true;
		f->want |= FETCH_SKELETON;
		return;
	case IMAP_SECTION:
		f->office = f->sections = true;
		f->want |= FETCH_SKELETON | FETCH_BYTES;
		f->seen = f->seen || !t->peek;
		*whole = *whole || !only_top_header(t);
		return;
	}
}

static void plan(struct imap *i, struct fetch *f)
{
	bool whole = false;

	f->uid = i->command->uid;
	f->modseq = f->ask.has_changed_since;
	for (size_t k = 0; k < f->ask.n; k++)
		plan_attribute(f, &f->ask.attributes[k], &whole);
	if (f->sections && !whole)
		f->want |= FETCH_HEADER_ONLY;
	f->seen = f->seen && !i->read_only;
}

/* --- The rows, in order ---------------------------------------------------------------------------------------- */

/* Moves to the next row that is asked for, from f->row on; false at the end. */
static bool seek(const struct imap *i, struct fetch *f)
{
	for (; f->span < f->spans.n; f->span++) {
		const struct view_span *s = &f->spans.spans[f->span];

		for (f->row = f->row < s->from ? s->from : f->row; f->row < s->to; f->row++)
			if (!f->ask.has_changed_since ||
			    i->view->rows[f->row].modseq > f->ask.changed_since)
				return true;
	}
	return false;
}

static bool is_large(const struct imap *i, const struct fetch *f, u32 row)
{
	return f->sections && !(f->want & FETCH_HEADER_ONLY) &&
	       i->view->rows[row].size > IMAP_SMALL;
}

/* UIDs of the next rows, up to a large one, and where the rows behind them begin. */
static size_t next_uids(struct imap *i, struct fetch *f, struct uid_range *uids,
			struct fetch *behind)
{
	size_t n = 0;
	u32 last = 0;

	*behind = *f;
	while (n < IMAP_RANGES && seek(i, behind)) {
		u32 uid = i->view->rows[behind->row].uid;

		if (n > 0 && is_large(i, f, behind->row))
			break;
		if (n > 0 && behind->row == last + 1)
			uids[n - 1].high = uid;
		else
			uids[n++] = (struct uid_range){ uid, uid, 0 };
		last = behind->row++;
		if (is_large(i, f, last))
			break;
	}
	return n;
}

/* --- Printing --------------------------------------------------------------------------------------------------- */

static void put_slice(struct imap *i, const struct message *m, str s)
{
	int copy;

	if (s.n < INLINE_MAX || (copy = dup(m->from->fd)) < 0) {
		buf_add(imap_out(i), s);
		return;
	}
	session_out_fd(i->session, copy, (u64)(s.p - m->from->bytes.p), s.n);
}

/* Cuts [from, to) of a section that is prefix + place to the partial range that was asked for. */
static void cut_partial(const struct imap_attribute *t, u64 *from, u64 *to)
{
	u64 n = *to;

	if (!t->partial)
		return;
	*from = t->from < n ? t->from : n;
	*to = t->count < n - *from ? *from + t->count : n;
}

/* Section bytes [from, to) where the prefix comes first. True: all are said; false: f->stream says what is left. */
static bool put_range(struct imap *i, struct fetch *f, const struct message *m,
		      const struct imap_place *place, u64 from, u64 to)
{
	str prefix = place->prefix ? m->item->prefix : STR_NONE;
	u64 at, end;

	if (from < prefix.n) {
		str part = str_slice(prefix, (size_t)from, (size_t)(to < prefix.n ? to : prefix.n));

		buf_add(imap_out(i), part);
		from += part.n;
	}
	if (from >= to)
		return true;
	at = place->from + (from - prefix.n);
	end = place->from + (to - prefix.n);
	if (end <= m->item->bytes.n) {
		put_slice(i, m, str_slice(m->item->bytes, (size_t)at, (size_t)end));
		return true;
	}
	f->stream = (struct stream){ true, m->item->uid, at, end };
	return false;
}

static str header_bytes(struct imap *i, struct fetch *f, const struct message *m,
			const struct imap_place *place)
{
	str bytes = STR_NONE;
	const struct fail *fail;

	if (place->to <= m->item->bytes.n)
		return str_slice(m->item->bytes, (size_t)place->from, (size_t)place->to);
	fail = imap_body_read(i, f->scratch, m->item->uid, place->from, place->to, HEADER_READ,
			      &bytes);
	if (fail)
		LOG(WARN, "imap.header", LOG_FAIL("fail", fail));
	return bytes;
}

static void put_fields_section(struct imap *i, struct fetch *f, const struct message *m,
			       const struct imap_attribute *t, const struct imap_place *place)
{
	str header = header_bytes(i, f, m, place),
	    prefix = place->prefix ? m->item->prefix : STR_NONE;
	struct buf *fields = buf_new(f->scratch, header.n + prefix.n + 8);
	u64 from = 0, to;

	if (prefix.n > 0) {
		imap_put_fields(fields, prefix, t);
		fields->n -= 2; /* its empty line: the header's own comes */
	}
	imap_put_fields(fields, header, t);
	to = fields->n;
	cut_partial(t, &from, &to);
	imap_put_literal(imap_out(i), to - from);
	buf_add(imap_out(i), str_slice(buf_str(fields), (size_t)from, (size_t)to));
}

static bool put_section(struct imap *i, struct fetch *f, const struct message *m,
			const struct imap_attribute *t)
{
	struct imap_place place;
	struct buf *out = imap_out(i);
	u64 from = 0, to;

	imap_put_attribute_name(out, t);
	buf_add_byte(out, ' ');
	if (!imap_section_find(m->skeleton, t, &place)) {
		buf_add(out, S("NIL"));
		return true;
	}
	if (t->text == IMAP_HEADER_FIELDS || t->text == IMAP_HEADER_FIELDS_NOT) {
		put_fields_section(i, f, m, t, &place);
		return true;
	}
	to = place.to - place.from + (place.prefix ? m->item->prefix.n : 0);
	cut_partial(t, &from, &to);
	imap_put_literal(out, to - from);
	return put_range(i, f, m, &place, from, to);
}

static void put_modseq(struct imap *i, u32 row)
{
	buf_printf(imap_out(i), "MODSEQ (%llu)", (unsigned long long)i->view->rows[row].modseq);
}

static void put_size(struct imap *i, const struct message *m)
{
	u64 size = i->view->rows[m->row].size;

	if (m->item && size == UINT32_MAX)
		size = m->item->prefix.n + m->item->size;
	buf_add(imap_out(i), S("RFC822.SIZE "));
	buf_add_u64(imap_out(i), size);
}

/* False when it goes on in windows. */
static bool put_attribute(struct imap *i, struct fetch *f, const struct message *m,
			  const struct imap_attribute *t)
{
	struct buf *out = imap_out(i);

	switch (t->kind) {
	case IMAP_FLAGS:
		imap_put_row_flags(i, out, m->row);
		view_unmark(i->view, m->row);
		break;
	case IMAP_UID:
		buf_add(out, S("UID "));
		buf_add_u64(out, i->view->rows[m->row].uid);
		break;
	case IMAP_MODSEQ:
		put_modseq(i, m->row);
		break;
	case IMAP_SIZE:
		put_size(i, m);
		break;
	case IMAP_INTERNALDATE:
		buf_add(out, S("INTERNALDATE "));
		imap_put_date(out, f->scratch, m->item->internal_date);
		break;
	case IMAP_ENVELOPE:
		buf_add(out, S("ENVELOPE "));
		imap_put_envelope(out, &m->skeleton->envelope);
		break;
	case IMAP_BODY:
	case IMAP_BODYSTRUCTURE:
		buf_add(out, t->kind == IMAP_BODY ? S("BODY ") : S("BODYSTRUCTURE "));
		imap_put_structure(out, m->skeleton, t->kind == IMAP_BODYSTRUCTURE);
		break;
	case IMAP_SECTION:
		return put_section(i, f, m, t);
	}
	return true;
}

static void put_start(struct imap *i, struct fetch *f, u32 row)
{
	struct buf *out = imap_out(i);

	/* These are the lines that a large mailbox has many of: no printf. */
	buf_add(out, S("* "));
	buf_add_u64(out, row + 1);
	buf_add(out, S(" FETCH ("));
	if (f->uid) {
		buf_add(out, S("UID "));
		buf_add_u64(out, i->view->rows[row].uid);
		buf_add_byte(out, ' ');
	}
	if (f->modseq) {
		put_modseq(i, row);
		buf_add_byte(out, ' ');
	}
}

/* RFC 3501 6.4.5: flags that the FETCH changed are told in its response. */
static void put_end(struct imap *i, u32 row)
{
	if (i->view->rows[row].flags & VIEW_CHANGED) {
		buf_add_byte(imap_out(i), ' ');
		imap_put_row_flags(i, imap_out(i), row);
		if (!i->condstore)
			view_unmark(i->view, row);
		else /* its mod-sequence is not known before the news */
			i->dirty = true;
	}
	buf_add(imap_out(i), S(")\r\n"));
}

static bool enough(struct imap *i)
{
	return session_unsent(i->session) >= ENOUGH;
}

/* The attributes from f->attribute on. False when one goes on in windows, or when the output has enough for now. */
static bool put_message(struct imap *i, struct fetch *f, const struct message *m)
{
	if (f->attribute == 0)
		put_start(i, f, m->row);
	while (f->attribute < f->ask.n) {
		if (f->attribute > 0 && enough(i))
			return false;
		if (f->attribute > 0)
			buf_add_byte(imap_out(i), ' ');
		if (!put_attribute(i, f, m, &f->ask.attributes[f->attribute++]))
			return false;
	}
	put_end(i, m->row);
	f->attribute = 0;
	return true;
}

/* --- Steps ------------------------------------------------------------------------------------------------------- */

static struct imap_reply done(const struct fetch *f)
{
	return f->missing ? REPLY(IMAP_NO, "EXPUNGEISSUED", "some of the messages are gone")
			  : OK_REPLY("that is all");
}

/* All from the view. */
static struct imap_reply step_view(struct imap *i, struct fetch *f)
{
	for (; seek(i, f); f->row++) {
		struct message m = { .row = f->row };

		if (imap_full(i))
			return LATER;
		put_message(i, f, &m);
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

/* Rows from f->row up to `to` that no item came for: they went. */
static void note_missing(struct imap *i, struct fetch *f, u32 to)
{
	while (seek(i, f) && f->row < to) {
		f->missing = true;
		f->row++;
	}
}

/* It went while it was being sent; what was begun must be ended. */
static void end_early(struct imap *i, struct fetch *f)
{
	put_end(i, f->row++);
	f->attribute = 0;
	f->missing = true;
}

/* One message of a batch. False when it is not at its end. */
static bool put_item(struct imap *i, struct fetch *f, const struct imap_bodies *b, size_t k)
{
	struct message m = { .item = &b->items[k], .from = b };
	struct skeleton *skeleton = arena_new_of(f->scratch, struct skeleton);
	const struct fail *fail;
	bool whole;

	if (!view_find(i->view, m.item->uid, &m.row))
		return true;
	if (f->attribute > 0 && m.row != f->row)
		end_early(i, f);
	if (f->attribute == 0)
		note_missing(i, f, m.row);
	fail = f->want & FETCH_SKELETON ? skeleton_decode(f->scratch, m.item->skeleton, skeleton)
					: NULL;
	if (fail) { /* one damaged message must not hide the others */
		LOG(ERROR, "imap.skeleton", LOG_ID("message", m.item->message),
		    LOG_FAIL("fail", fail));
		if (f->attribute > 0)
			end_early(i, f);
		f->missing = true;
		f->row = m.row + 1;
		return true;
	}
	m.skeleton = skeleton;
	whole = put_message(i, f, &m);
	if (whole)
		f->row = m.row + 1;
	return whole;
}

/* Asks for the next messages and says what came. */
static const struct fail *step_batch(struct imap *i, struct fetch *f)
{
	struct uid_range *uids = arena_array_of(imap_arena(i), IMAP_RANGES, struct uid_range);
	bool large = is_large(i, f, f->row), whole = true;
	const struct fail *fail;
	struct imap_bodies b;
	struct fetch behind;
	size_t n = next_uids(i, f, uids, &behind), k = 0;

	fail = imap_bodies(i, imap_arena(i), uids, n, f->want, 0,
			   large ? IMAP_FRONT : OFFICE_FETCH_BYTES, &b);
	if (fail && fail->what != FAIL_CORRUPT)
		return fail;
	if (fail) /* of these nothing can be read; those behind them perhaps can */
		b = (struct imap_bodies){ .fd = -1 };
	set_seen(i, f, &b);
	for (; k < b.n && whole && (k == 0 || !enough(i)); k++) {
		whole = put_item(i, f, &b, k);
		arena_reset(f->scratch);
	}
	if (!whole || k < b.n)
		return NULL;
	if (f->attribute > 0)
		end_early(i, f);
	if ((b.next == 0 || b.n == 0) &&
	    seek(i, f)) { /* all that was asked has come, or is no more */
		bool end = !seek(i, &behind);

		note_missing(i, f, end ? UINT32_MAX : behind.row);
	}
	return NULL;
}

/* The literal was announced: what is missing of it must be made up, or the session would lose its place (THREATS I20). */
static void put_filler(struct imap *i, struct stream *s)
{
	u64 n = s->to - s->at < IMAP_WINDOW ? s->to - s->at : IMAP_WINDOW;

	for (u64 k = 0; k < n; k++)
		buf_add_byte(imap_out(i), ' ');
	s->at += n;
}

static void step_window(struct imap *i, struct fetch *f)
{
	struct stream *s = &f->stream;
	const struct uid_range one = { s->uid, s->uid, 0 };
	u64 n = s->to - s->at < IMAP_WINDOW ? s->to - s->at : IMAP_WINDOW;
	struct imap_bodies b;
	const struct fail *fail = imap_bodies(i, imap_arena(i), &one, 1, FETCH_BYTES, s->at, n, &b);

	if (fail || b.n != 1 || b.items[0].bytes.n == 0) {
		f->missing = true;
		put_filler(i, s);
	} else {
		struct message m = { .item = &b.items[0], .from = &b };

		put_slice(i, &m, str_slice(b.items[0].bytes, 0, (size_t)n));
		s->at += b.items[0].bytes.n < n ? b.items[0].bytes.n : n;
	}
	s->on = s->at < s->to;
}

static struct imap_reply fetch_step(struct imap *i, struct imap_job *job)
{
	struct fetch *f = (struct fetch *)job;
	const struct fail *fail;

	if (!f->office)
		return step_view(i, f);
	while (f->stream.on || f->attribute > 0 || seek(i, f)) {
		if (imap_full(i))
			return LATER;
		if (f->stream.on) {
			step_window(i, f);
			continue;
		}
		if (f->attribute == f->ask.n) { /* the window was its last */
			put_end(i, f->row++);
			f->attribute = 0;
			continue;
		}
		fail = step_batch(i, f);
		if (fail && f->attribute > 0)
			end_early(i, f);
		if (fail)
			return imap_fail(fail);
		/* The batch lives as long as the turn. */
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
	plan(i, f);
	if (asks_modseq(&f->ask))
		imap_condstore_on(i);
	return imap_job_run(i, &f->job);
}
