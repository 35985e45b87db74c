/*
 * Canonical bodies (RFC 6376 3.4.3, 3.4.4), streaming. A line ends with CRLF only; a bare CR or LF is a byte like any other. Cost:
 * the relaxed form looks at each byte once, 64 at a time, and hashes long unchanged runs where they lie; the simple form looks at the
 * ends of pieces only.
 */
#include <string.h>

#include "base/chars.h"
#include "base/check.h"
#include "verdict/dkim_canon_int.h"

/* A hash that is wanted: of the first `length` bytes of the canonical form. */
struct want {
	struct want *next;
	enum dkim_canon canon;
	u64 length;
	size_t number;
	bool reached;
	u8 digest[DKIM_DIGEST];
};

/* One canonical form under way. */
struct form {
	bool wanted;
	struct dkim_hash *hash, *scratch;
	struct dkim_gather out;
	struct want *wants;
	u64 length;    /* hashed */
	u64 next_stop; /* the smallest length not yet reached */
	u64 crlfs;     /* held: they count only when more follows */
	bool cr;       /* held: its LF may come */
	bool blank;    /* relaxed, held: a blank counts only inside a line */
	bool in_line;  /* relaxed: the line has begun */
};

struct dkim_body {
	struct arena *arena;
	struct form forms[2];
	size_t wants_n;
	bool begun, finished;
};

/* --- hashing with stops --- */

static void form_stop(struct form *f)
{
	f->next_stop = DKIM_WHOLE;
	for (struct want *w = f->wants; w; w = w->next) {
		if (w->length == f->length && !w->reached) {
			dkim_hash_peek(f->hash, f->scratch, w->digest);
			w->reached = true;
		}
		if (!w->reached && w->length < f->next_stop)
			f->next_stop = w->length;
	}
}

static void form_hash(void *context, const u8 *p, size_t n)
{
	struct form *f = context;

	while (n) {
		u64 room = f->next_stop - f->length;
		size_t part = room < n ? (size_t)room : n;
		dkim_hash_write(f->hash, p, part);
		f->length += part;
		p += part;
		n -= part;
		if (f->length == f->next_stop)
			form_stop(f);
	}
}

static void form_out(struct form *f, const u8 *p, size_t n)
{
	dkim_gather_add(&f->out, p, n);
}

static void flush_crlfs(struct form *f)
{
	static const u8 crlfs[] =
	    "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n";
	const u64 most = (sizeof crlfs - 1) / 2;

	while (f->crlfs) {
		u64 n = f->crlfs < most ? f->crlfs : most;
		form_out(f, crlfs, (size_t)n * 2);
		f->crlfs -= n;
	}
}

/* --- simple, RFC 6376 3.4.3 --- */

static bool ends_crlf(const u8 *p, size_t n)
{
	return n >= 2 && p[n - 2] == '\r' && p[n - 1] == '\n';
}

static void simple_real(struct form *f, const u8 *p, size_t n)
{
	flush_crlfs(f);
	if (f->cr)
		form_out(f, (const u8 *)"\r", 1);
	f->cr = false;
	form_out(f, p, n);
}

static void simple_feed(struct form *f, const u8 *p, size_t n)
{
	size_t keep, crlfs = 0;
	bool cr;

	if (f->cr && p[0] == '\n') {
		f->cr = false;
		f->crlfs++;
		p++;
		n--;
	}
	cr = n && p[n - 1] == '\r';
	for (keep = n - cr; ends_crlf(p, keep); keep -= 2)
		crlfs++;
	if (keep || (f->cr && n))
		simple_real(f, p, keep);
	f->crlfs += crlfs;
	f->cr = f->cr || cr;
}

static void simple_finish(struct form *f)
{
	if (f->cr)
		simple_real(f, NULL, 0);
	form_out(f, (const u8 *)"\r\n", 2);
}

/* --- relaxed, RFC 6376 3.4.4 --- */

enum { BLOCK = 64 }; /* bytes looked at together */
typedef u8 lane __attribute__((vector_size(16)));
typedef u64 pair __attribute__((vector_size(16)));

/* Bytes where the canonical form may begin to differ, and a few more: HTAB; SP before a blank, a CR or another control. */
static inline lane lane_events(const u8 *p)
{
	lane x, y;

	memcpy(&x, p, sizeof x);
	memcpy(&y, p + 1, sizeof y);
	return (lane)((x == '\t') | ((x == ' ') & (y <= ' ')));
}

static inline bool is_event(u8 x, u8 y)
{
	return x == '\t' || (x == ' ' && (y == ' ' || y == '\t' || y == '\r'));
}

/* Where the first byte of `lane` that is not 0 stands. */
static inline size_t lane_first(lane events)
{
	pair found = (pair)events;

	return found[0] ? (size_t)__builtin_ctzll(found[0]) / 8
			: 8 + (size_t)__builtin_ctzll(found[1]) / 8;
}

static inline bool lane_any(lane events)
{
	pair found = (pair)events;

	return found[0] | found[1];
}

/* *at moves to the first that may be one in this block, or behind it. */
static inline bool block_events(const u8 *p, size_t *at)
{
	lane l[4] = { lane_events(p), lane_events(p + 16), lane_events(p + 32),
		      lane_events(p + 48) };
	size_t i = 0;

	if (!lane_any(l[0] | l[1] | l[2] | l[3])) {
		*at += BLOCK;
		return false;
	}
	while (!lane_any(l[i]))
		i++;
	*at += 16 * i + lane_first(l[i]);
	return true;
}

/* p[0] is no blank and no CR. How many bytes from here stand in the canonical form as they are, but for empty lines at the end of it;
 * at least one. What follows is a blank, a CR or the end. */
static size_t relaxed_run(const u8 *p, size_t n)
{
	size_t i = 0;

	while (i + 1 < n) {
		if (i + BLOCK < n && !block_events(p + i, &i))
			continue;
		if (is_event(p[i], p[i + 1]))
			return i;
		i++;
	}
	return char_is(p[n - 1], CHAR_WSP) || p[n - 1] == '\r' ? n - 1 : n;
}

/* Without the empty lines at its end: they count only when more follows. */
static size_t without_empty_lines(const u8 *p, size_t n)
{
	while (ends_crlf(p, n) && ends_crlf(p, n - 2))
		n -= 2;
	return n;
}

static void relaxed_flush(struct form *f)
{
	flush_crlfs(f);
	if (f->blank)
		form_out(f, (const u8 *)" ", 1);
	f->blank = false;
}

static void relaxed_line_end(struct form *f)
{
	f->blank = false;
	if (f->in_line)
		form_out(f, (const u8 *)"\r\n", 2);
	else
		f->crlfs++;
	f->in_line = false;
}

static void relaxed_bare_cr(struct form *f)
{
	relaxed_flush(f);
	form_out(f, (const u8 *)"\r", 1);
	f->cr = false;
	f->in_line = true;
}

static void relaxed_feed(struct form *f, const u8 *p, size_t n)
{
	while (n) {
		size_t run = 1, keep;
		if (f->cr && p[0] == '\n') {
			f->cr = false;
			relaxed_line_end(f);
		} else if (f->cr) {
			relaxed_bare_cr(f);
			continue;
		} else if (char_is(p[0], CHAR_WSP)) {
			f->blank = true;
		} else if (p[0] == '\r') {
			f->cr = true;
		} else {
			relaxed_flush(f);
			run = relaxed_run(p, n);
			keep = without_empty_lines(p, run);
			form_out(f, p, keep);
			f->crlfs = (run - keep) / 2;
			f->in_line = !ends_crlf(p, keep);
		}
		p += run;
		n -= run;
	}
}

static void relaxed_finish(struct form *f)
{
	if (f->cr)
		relaxed_bare_cr(f);
	if (f->in_line)
		form_out(f, (const u8 *)"\r\n", 2);
}

/* --- the body --- */

struct dkim_body *dkim_body_new(struct arena *a)
{
	struct dkim_body *b = arena_new_of(a, struct dkim_body);

	b->arena = a;
	return b;
}

static void form_begin(struct dkim_body *b, struct form *f)
{
	f->wanted = true;
	f->hash = dkim_hash_new(b->arena);
	f->out = (struct dkim_gather){ .sink = { f, form_hash },
				       .bytes = arena_alloc(b->arena, DKIM_GATHER_BODY),
				       .size = DKIM_GATHER_BODY };
	f->next_stop = DKIM_WHOLE;
}

size_t dkim_body_want(struct dkim_body *b, enum dkim_canon canon, u64 length)
{
	struct form *f = &b->forms[canon];
	struct want *w;

	CHECK(!b->begun);
	if (!f->wanted)
		form_begin(b, f);
	for (w = f->wants; w; w = w->next)
		if (w->length == length)
			return w->number;
	w = arena_new_of(b->arena, struct want);
	*w = (struct want){
		.next = f->wants, .canon = canon, .length = length, .number = b->wants_n++
	};
	f->wants = w;
	if (length != DKIM_WHOLE && f->scratch == NULL)
		f->scratch = dkim_hash_new(b->arena);
	if (length == 0)
		form_stop(f);
	if (length && length < f->next_stop)
		f->next_stop = length;
	return w->number;
}

void dkim_body_feed(struct dkim_body *b, str piece)
{
	b->begun = true;
	if (piece.n == 0)
		return;
	if (b->forms[DKIM_SIMPLE].wanted)
		simple_feed(&b->forms[DKIM_SIMPLE], piece.p, piece.n);
	if (b->forms[DKIM_RELAXED].wanted)
		relaxed_feed(&b->forms[DKIM_RELAXED], piece.p, piece.n);
}

static void form_finish(struct form *f)
{
	u8 digest[DKIM_DIGEST];

	dkim_gather_flush(&f->out);
	dkim_hash_finish(f->hash, digest);
	for (struct want *w = f->wants; w; w = w->next)
		if (w->length == DKIM_WHOLE)
			memcpy(w->digest, digest, sizeof digest);
}

void dkim_body_finish(struct dkim_body *b)
{
	if (b->finished)
		return;
	b->begun = b->finished = true;
	if (b->forms[DKIM_SIMPLE].wanted) {
		simple_finish(&b->forms[DKIM_SIMPLE]);
		form_finish(&b->forms[DKIM_SIMPLE]);
	}
	if (b->forms[DKIM_RELAXED].wanted) {
		relaxed_finish(&b->forms[DKIM_RELAXED]);
		form_finish(&b->forms[DKIM_RELAXED]);
	}
}

static const struct want *find_want(const struct dkim_body *b, size_t number)
{
	for (size_t i = 0; i < ARRAY_LEN(b->forms); i++)
		for (const struct want *w = b->forms[i].wants; w; w = w->next)
			if (w->number == number)
				return w;
	return NULL;
}

bool dkim_body_hash(const struct dkim_body *b, size_t want, u8 digest[DKIM_DIGEST], bool *longer)
{
	const struct want *w = find_want(b, want);

	CHECK(b->finished && w != NULL);
	*longer = w->length < b->forms[w->canon].length;
	if (w->length != DKIM_WHOLE && !w->reached)
		return false;
	memcpy(digest, w->digest, sizeof w->digest);
	return true;
}

u64 dkim_body_length(const struct dkim_body *b, enum dkim_canon canon)
{
	CHECK(b->finished);
	return b->forms[canon].length;
}
