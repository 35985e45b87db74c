/*
 * SEARCH, RFC 3501 6.4.4; MODSEQ of RFC 7162 3.1.5.
 *
 * First all rows are judged by what the view knows; only those still undecided are asked of the office, in batches, with no more of
 * them than the keys need. Strings are compared after decoding (transfer encoding, charset, encoded words) and folding.
 * What cannot be read is not found.
 * not: of a text part only the first SEARCH_PART bytes are searched; parts that are no text are passed over.
 */
#include "base/env.h"
#include "base/log.h"
#include "edge/imap/imap_int.h"
#include "text/charset.h"
#include "text/date.h"
#include "text/encoding.h"
#include "text/header.h"
#include "text/imap_search.h"
#include "text/skeleton.h"

enum {
	SEARCH_PART = 2 << 20,
	SEARCH_STEP_MS = 200,    /* of work, then the session looks around */
	SEARCH_STEP_ROWS = 1024, /* judged by the view between two looks at the clock */
	DAY_MS = 24 * 60 * 60 * 1000,
};

struct search {
	struct imap_job job;
	struct imap_search program;
	u8 *truth; /* enum imap_truth of each row */
	u32 rows;  /* that there were when it began */
	enum imap_need need;
	bool judged; /* the view has had its say */
	bool printing;
	bool unread;           /* a message could not be read now: it may match */
	u32 row;               /* the next to decide, then to print */
	u64 modseq;            /* the highest of the matches */
	u64 step_end;          /* when the step under way has had its time */
	struct arena *scratch; /* of one message */
	struct arena *piece; /* of one field or part: a program may look at each a thousand times */
};

/* What a leaf may look at. item: NULL while only the view is asked. */
struct candidate {
	struct imap *imap;
	struct search *search;
	u32 row;
	const struct fetch_item *item;
	const struct skeleton *skeleton; /* only when bodies are searched */
	str header;
};

/* --- Leaves ------------------------------------------------------------------------------------------------------- */

static enum imap_truth truth(bool yes)
{
	return yes ? IMAP_TRUE : IMAP_FALSE;
}

static bool has_keyword(const struct view *v, u64 flags, str name)
{
	for (u32 k = 0; k < v->keywords_n; k++)
		if (str_eq_nocase(v->keywords[k], name))
			return flags >> (FLAG_KEYWORD_FIRST + k) & 1;
	return false;
}

static bool leaf_view(const struct candidate *c, const struct imap_search_node *n)
{
	const struct view *v = c->imap->view;
	const struct view_row *r = &v->rows[c->row];

	switch ((int)n->key) {
	case IMAP_KEY_FLAG:
		return (r->flags & n->number) == n->number;
	case IMAP_KEY_RECENT:
		return view_is_recent(v, c->row);
	case IMAP_KEY_KEYWORD:
		return has_keyword(v, r->flags, n->text);
	case IMAP_KEY_NUMBERS:
		return imap_set_has(&n->set, c->row + 1);
	case IMAP_KEY_UIDS:
		return imap_set_has(&n->set, r->uid);
	case IMAP_KEY_LARGER:
		return r->size > n->number;
	case IMAP_KEY_SMALLER:
		return r->size < n->number;
	case IMAP_KEY_MODSEQ:
		return r->modseq >= n->number;
	default:
		return true; /* ALL */
	}
}

/* Dates are compared as days, whatever the time and the zone (RFC 3501 6.4.4). ms: in the zone it was written in. */
static bool day_matches(enum imap_key key, i64 ms, u64 wanted)
{
	i64 day = (ms >= 0 ? ms : ms - (DAY_MS - 1)) / DAY_MS, w = (i64)wanted / DAY_MS;

	if ((i64)wanted < 0)
		w = ((i64)wanted - (DAY_MS - 1)) / DAY_MS;
	if (key == IMAP_KEY_BEFORE || key == IMAP_KEY_SENTBEFORE)
		return day < w;
	return key == IMAP_KEY_ON || key == IMAP_KEY_SENTON ? day == w : day >= w;
}

static bool leaf_sent(struct candidate *c, const struct imap_search_node *n)
{
	struct header_field f;
	int zone;
	i64 ms;
	bool yes = header_find(c->header, S("Date"), 0, &f) &&
		   date_parse(header_unfold(c->search->piece, f.value), &ms, &zone) &&
		   day_matches(n->key, ms + (i64)zone * 60 * 1000, n->number);

	arena_reset(c->search->piece);
	return yes;
}

/* The last look at a field or part: what was made of it goes. */
static bool contains(struct candidate *c, str utf8, str folded_pattern)
{
	struct arena *a = c->search->piece;
	struct buf *folded = buf_new(a, 18 * utf8.n + 64);
	bool yes = true;

	if (folded_pattern.n > 0) {
		imap_fold(folded, utf8);
		yes = str_find_str(buf_str(folded), folded_pattern) != SIZE_MAX;
	}
	arena_reset(a);
	return yes;
}

static bool leaf_header(struct candidate *c, const struct imap_search_node *n)
{
	str rest = c->header;
	struct header_field f;

	while (header_next(&rest, &f))
		if (f.name.n > 0 && str_eq_nocase(f.name, n->name) &&
		    contains(c, header_text(c->search->piece, f.value), n->text))
			return true;
	return false;
}

/* Any field, as a person reads it. */
static bool any_header(struct candidate *c, str pattern)
{
	str rest = c->header;
	struct header_field f;

	while (header_next(&rest, &f)) {
		struct arena *a = c->search->piece;
		str text = header_text(a, f.value);

		if (contains(c, str_format(a, "%.*s: %.*s", STR_ARG(f.name), STR_ARG(text)),
			     pattern))
			return true;
	}
	return false;
}

static str part_charset(const struct skeleton_part *p)
{
	for (size_t k = 0; k < p->params_n; k++)
		if (str_eq_nocase(p->params[k].name, S("charset")))
			return p->params[k].value;
	return STR_NONE;
}

static str decode_transfer(struct arena *a, str encoding, str bytes)
{
	struct buf *out = buf_new(a, bytes.n + 64);
	struct base64_reader base64 = { 0 };
	struct qp_reader qp = { 0 };

	if (str_eq_nocase(encoding, S("BASE64"))) {
		base64_read(&base64, bytes, out);
	} else if (str_eq_nocase(encoding, S("QUOTED-PRINTABLE"))) {
		qp_read(&qp, bytes, out);
		qp_finish(&qp, out);
	} else {
		return bytes;
	}
	return buf_str(out);
}

/* Damage stays, and is not found; what else is wrong passes, and the message may match then. */
static void note_unread(struct search *s, const struct fail *f)
{
	s->unread = s->unread || f->what != FAIL_CORRUPT;
}

static bool part_contains(struct candidate *c, const struct skeleton_part *p, str pattern)
{
	struct arena *a = c->search->piece;
	const struct fail *f = NULL;
	struct buf *utf8;
	str bytes = STR_NONE;

	if (p->end <= c->item->bytes.n && p->end - p->body_at <= SEARCH_PART)
		bytes = str_slice(c->item->bytes, (size_t)p->body_at, (size_t)p->end);
	else
		f = imap_body_read(c->imap, a, c->item->uid, p->body_at, p->end, SEARCH_PART,
				   &bytes);
	if (f) {
		note_unread(c->search, f);
		arena_reset(a);
		return false;
	}
	bytes = decode_transfer(a, p->encoding, bytes);
	utf8 = buf_new(a, 4 * bytes.n + 64);
	charset_to_utf8(part_charset(p), bytes, utf8);
	return contains(c, buf_str(utf8), pattern);
}

static bool leaf_body(struct candidate *c, str pattern)
{
	for (size_t k = 0; k < c->skeleton->parts_n; k++)
		if (str_eq(c->skeleton->parts[k].type, S("TEXT")) &&
		    part_contains(c, &c->skeleton->parts[k], pattern))
			return true;
	return pattern.n == 0;
}

static enum imap_truth leaf(void *context, const struct imap_search_node *n)
{
	struct candidate *c = context;

	switch (imap_key_need(n->key)) {
	case IMAP_NEED_VIEW:
		return truth(leaf_view(c, n));
	case IMAP_NEED_DATE:
		return c->item ? truth(day_matches(n->key, (i64)c->item->internal_date, n->number))
			       : IMAP_UNKNOWN;
	case IMAP_NEED_HEADER:
		if (!c->item)
			return IMAP_UNKNOWN;
		return truth(n->key == IMAP_KEY_HEADER ? leaf_header(c, n) : leaf_sent(c, n));
	case IMAP_NEED_BODY:
		if (!c->item)
			return IMAP_UNKNOWN;
		return truth((n->key == IMAP_KEY_TEXT && any_header(c, n->text)) ||
			     leaf_body(c, n->text));
	}
	return IMAP_FALSE;
}

/* --- Steps -------------------------------------------------------------------------------------------------------- */

static bool is_late(const struct search *s)
{
	return env_monotonic(env_system()) >= s->step_end;
}

/* From s->row on. False when it needs another step. */
static bool judge_by_view(struct imap *i, struct search *s)
{
	struct candidate c = { .imap = i, .search = s };

	for (; s->row < s->rows; s->row++) {
		c.row = s->row;
		s->truth[c.row] = i->view->rows[c.row].flags & VIEW_GONE
				      ? IMAP_FALSE
				      : (u8)imap_search_run(&s->program, leaf, &c);
		if (s->row % SEARCH_STEP_ROWS == SEARCH_STEP_ROWS - 1 && is_late(s))
			break;
	}
	s->judged = s->row == s->rows;
	s->row = s->judged ? 0 : s->row + 1;
	return s->judged;
}

static bool is_large(const struct imap *i, const struct search *s, u32 row)
{
	return s->need == IMAP_NEED_BODY && i->view->rows[row].size > IMAP_SMALL;
}

/* UIDs of rows that are undecided, from s->row up to a large one. */
static size_t undecided(struct imap *i, struct search *s, struct uid_range *uids, u32 *behind)
{
	size_t n = 0;
	u32 row = s->row, last = 0;

	for (; row < s->rows && n < IMAP_RANGES; row++) {
		u32 uid = i->view->rows[row].uid;

		if (s->truth[row] != IMAP_UNKNOWN)
			continue;
		if (n > 0 && is_large(i, s, row))
			break;
		if (n > 0 && row == last + 1)
			uids[n - 1].high = uid;
		else
			uids[n++] = (struct uid_range){ uid, uid, 0 };
		last = row;
		if (is_large(i, s, row)) {
			row++;
			break;
		}
	}
	*behind = row;
	return n;
}

static u32 want_of(enum imap_need need)
{
	if (need == IMAP_NEED_DATE)
		return 0;
	return need == IMAP_NEED_HEADER ? FETCH_BYTES | FETCH_HEADER_ONLY
					: FETCH_SKELETON | FETCH_BYTES;
}

/* A header at most as long as the gate takes; of a large message it may be more than its front. */
static str message_header(struct imap *i, struct search *s, const struct fetch_item *item)
{
	str bytes = item->bytes;
	size_t n = header_length(bytes);
	const struct fail *f = NULL;

	if (n == bytes.n && bytes.n < item->size && bytes.n < SKELETON_HEADER_BYTES &&
	    s->need == IMAP_NEED_BODY)
		f = imap_body_read(i, s->scratch, item->uid, 0, item->size, SKELETON_HEADER_BYTES,
				   &bytes);
	if (f) {
		note_unread(s, f);
		return item->bytes;
	}
	return str_slice(bytes, 0, header_length(bytes));
}

/* What is damaged is not found, and hides no other. */
static void decide(struct imap *i, struct search *s, const struct fetch_item *item)
{
	struct candidate c = { .imap = i, .search = s, .item = item };
	struct skeleton skeleton;

	if (!view_find(i->view, item->uid, &c.row) || c.row >= s->rows)
		return;
	if (s->need == IMAP_NEED_BODY) {
		const struct fail *f = skeleton_decode(s->scratch, item->skeleton, &skeleton);
		if (f) {
			LOG(ERROR, "imap.skeleton", LOG_ID("message", item->message),
			    LOG_FAIL("fail", f));
			arena_reset(s->scratch);
			return;
		}
		c.skeleton = &skeleton;
	}
	/* The prefix is part of the message as clients see it. */
	c.header = str_format(s->scratch, "%.*s%.*s", STR_ARG(item->prefix),
			      STR_ARG(message_header(i, s, item)));
	s->truth[c.row] = (u8)imap_search_run(&s->program, leaf, &c);
	arena_reset(s->scratch);
}

static const struct fail *step_batch(struct imap *i, struct search *s)
{
	struct uid_range *uids = arena_array_of(imap_arena(i), IMAP_RANGES, struct uid_range);
	bool large = false;
	const struct fail *f;
	struct imap_bodies b;
	u32 behind, next;
	size_t n = undecided(i, s, uids, &behind);

	if (n == 0) {
		s->row = s->rows;
		return NULL;
	}
	large = uids[0].low == uids[n - 1].high && view_find(i->view, uids[0].low, &next) &&
		is_large(i, s, next);
	f = imap_bodies(i, imap_arena(i), uids, n, want_of(s->need), 0,
			large ? IMAP_FRONT : OFFICE_FETCH_BYTES, &b);
	if (f && f->what == FAIL_CORRUPT) /* of these nothing can be read, so nothing is found */
		s->row = behind;
	if (f)
		return f->what == FAIL_CORRUPT ? NULL : f;
	for (size_t k = 0; k < b.n; k++) {
		decide(i, s, &b.items[k]);
		if (k + 1 < b.n && is_late(s)) { /* the rest is asked for again */
			s->row = view_row_from(i->view, b.items[k].uid) + 1;
			return NULL;
		}
	}
	next = b.next ? view_row_from(i->view, b.next) : behind;
	/* An office that does not get on must not keep us for ever. */
	s->row = next > s->row ? next : behind;
	return NULL;
}

/* The numbers, then (MODSEQ n). False when the output is full. */
static bool print(struct imap *i, struct search *s)
{
	struct buf *out = imap_out(i);

	if (!s->printing) {
		buf_add(out, S("* SEARCH"));
		s->printing = true;
		s->row = 0;
	}
	for (; s->row < s->rows; s->row++) {
		const struct view_row *r = &i->view->rows[s->row];

		if (s->truth[s->row] != IMAP_TRUE || r->flags & VIEW_GONE)
			continue;
		if (imap_full(i))
			return false;
		buf_add_byte(out, ' ');
		buf_add_u64(out, i->command->uid ? r->uid : s->row + 1);
		s->modseq = r->modseq > s->modseq ? r->modseq : s->modseq;
	}
	if (s->program.modseq && s->modseq)
		buf_printf(out, " (MODSEQ %llu)", (unsigned long long)s->modseq);
	buf_add(out, S("\r\n"));
	return true;
}

static const struct fail too_much = FAIL_STATIC(LIMIT, "too many search keys for so many messages");

/* The view has had its say: what is left must be read. */
static const struct fail *check_looks(const struct search *s)
{
	u64 looks = imap_search_looks(&s->program), unknown = 0;

	for (u32 row = 0; row < s->rows; row++)
		unknown += s->truth[row] == IMAP_UNKNOWN;
	return looks > IMAP_SEARCH_LOOKS_ANY && looks * unknown > IMAP_SEARCH_LOOKS ? &too_much
										    : NULL;
}

static struct imap_reply search_step(struct imap *i, struct imap_job *job)
{
	struct search *s = (struct search *)job;
	const struct fail *f;

	s->step_end = env_monotonic(env_system()) + SEARCH_STEP_MS;
	if (!s->judged) {
		if (!judge_by_view(i, s))
			return LATER;
		f = check_looks(s);
		if (f)
			return imap_fail(f);
	}
	if (!s->printing && s->need > IMAP_NEED_VIEW && s->row < s->rows) {
		f = step_batch(i, s);
		if (f)
			return imap_fail(f);
		if (s->unread)
			return REPLY(IMAP_NO, "UNAVAILABLE",
				     "not all messages can be read now, try again");
		if (s->row < s->rows)
			return LATER;
	}
	return print(i, s) ? OK_REPLY("that is all") : LATER;
}

/* Sets in the program mean what the client knows now. */
static void resolve_sets(struct imap *i, struct search *s)
{
	const struct view *v = i->view;

	for (size_t k = 0; k < s->program.n; k++) {
		struct imap_search_node *n = &s->program.nodes[k];

		if (n->key == IMAP_KEY_NUMBERS)
			imap_set_resolve(&n->set, v->told);
		else if (n->key == IMAP_KEY_UIDS)
			imap_set_resolve(&n->set, v->told ? v->rows[v->told - 1].uid : 0);
	}
}

static void release_arena(void *object)
{
	struct arena *a = object;

	arena_free(&a);
}

struct imap_reply imap_search(struct imap *i, struct scan *s)
{
	struct arena *a = arena_new(IMAP_JOB + i->view->told);
	struct search *x = arena_new_of(a, struct search);
	struct scan copy = scan_of(str_copy(a, s->rest));
	const struct fail *f = NULL;
	struct imap_reply r;

	x->job = (struct imap_job){ a, search_step };
	if (scan_sp(&copy))
		f = imap_search_parse(a, &copy, &x->program);
	if (f || x->program.n == 0) {
		r = f ? imap_fail(f) : BAD_REPLY("expected search keys");
		if (f && f->what == FAIL_INVALID)
			r.code = S("BADCHARSET (UTF-8 US-ASCII)");
		r.text = str_copy(imap_arena(i), r.text);
		arena_free(&a);
		return r;
	}
	x->rows = i->view->told;
	if ((u64)x->program.n * x->rows > IMAP_SEARCH_STEPS) {
		arena_free(&a);
		return imap_fail(&too_much);
	}
	x->truth = arena_alloc(a, x->rows);
	x->need = imap_search_need(&x->program);
	x->scratch = arena_new(IMAP_JOB);
	arena_own(a, release_arena, x->scratch);
	x->piece = arena_new(IMAP_JOB);
	arena_own(a, release_arena, x->piece);
	if (x->program.modseq)
		imap_condstore_on(i);
	resolve_sets(i, x);
	return imap_job_run(i, &x->job);
}
