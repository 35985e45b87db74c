/* Bytes to lines. A line is held back only as long as it may be a boundary. */
#include "text/skeleton_int.h"

#include <string.h>

#include "base/arena.h"
#include "base/check.h"

enum { SCRATCH_BUDGET = 16 * 1024 * 1024 };

static const struct fail header_too_large = FAIL_STATIC(TOO_LARGE, "message header too large");

static void free_scratch(void *object)
{
	struct skeleton_parser *p = object;

	arena_free(&p->scratch);
}

struct skeleton_parser *skeleton_parser_new(struct arena *a)
{
	struct skeleton_parser *p = arena_new_of(a, struct skeleton_parser);

	p->magic = SKELETON_MAGIC;
	p->a = a;
	p->scratch = arena_new(SCRATCH_BUDGET);
	arena_own(a, free_scratch, p);
	p->held = buf_new(a, SKELETON_LINE_HELD);
	p->header = buf_new(a, SKELETON_HEADER_BYTES);
	p->preview.raw = buf_new(a, SKELETON_PREVIEW_RAW);
	p->budget = SKELETON_BYTES - SKELETON_RESERVE;
	skeleton_open_root(p);
	return p;
}

/* Eight bytes at a time: is one of them NUL, has one its high bit set? */
static u32 look_at(str bytes)
{
	const u64 ones = 0x0101010101010101, highs = 0x8080808080808080;
	u64 any_high = 0, any_zero = 0, word;
	size_t i = 0;

	for (; bytes.n - i >= sizeof word; i += sizeof word) {
		memcpy(&word, bytes.p + i, sizeof word);
		any_high |= word & highs;
		any_zero |= (word - ones) & ~word & highs;
	}
	for (; i < bytes.n; i++) {
		any_high |= bytes.p[i] & 0x80;
		any_zero |= bytes.p[i] == 0;
	}
	return (any_high ? SKELETON_8BIT : 0) | (any_zero ? SKELETON_NUL : 0);
}

static bool in_message_header(const struct skeleton_parser *p)
{
	return p->in_header && p->open_n == 1;
}

static void note_bytes(struct skeleton_parser *p, str piece)
{
	u32 flags = look_at(piece);

	if ((flags & SKELETON_8BIT) && in_message_header(p))
		flags = (flags & ~(u32)SKELETON_8BIT) | SKELETON_HEADER_8BIT;
	p->flags |= flags;
}

static void add_header(struct skeleton_parser *p, str bytes)
{
	size_t limit = p->open_n == 1 ? SKELETON_HEADER_BYTES : SKELETON_PART_HEADER_BYTES;
	size_t room = limit - p->header->n;

	if (bytes.n > room && p->open_n == 1) {
		p->failed = &header_too_large;
		return;
	}
	if (bytes.n > room)
		p->flags |= SKELETON_CUT;
	buf_add(p->header, str_slice(bytes, 0, room));
}

/* What is no boundary goes to the header or the preview. */
static void let_through(struct skeleton_parser *p, str bytes)
{
	if (p->in_header)
		add_header(p, bytes);
	else
		preview_add(p, bytes);
}

static void take_line(struct skeleton_parser *p, str line)
{
	if (skeleton_boundary(p, line))
		return;
	let_through(p, line);
	if (p->in_header && str_eq(line, S("\r\n")) && !p->failed)
		skeleton_header_ended(p, p->at);
}

/* The next bytes of the line under way; whole: with its CRLF at the end. p->at is behind them. */
static void take_piece(struct skeleton_parser *p, str piece, bool whole)
{
	bool short_enough = piece.n <= SKELETON_LINE_HELD - p->held->n;

	if (p->passing) {
		let_through(p, piece);
	} else if (whole && p->held->n == 0) {
		take_line(p, piece);
	} else if (short_enough) {
		buf_add(p->held, piece);
		if (whole)
			take_line(p, buf_str(p->held));
	} else {
		let_through(p, buf_str(p->held));
		let_through(p, piece);
		p->passing = true;
		buf_reset(p->held);
	}
}

static void end_line(struct skeleton_parser *p)
{
	p->line_at = p->at;
	p->passing = false;
	buf_reset(p->held);
}

/* Bytes up to and with the first CRLF; all of them when there is none. */
static size_t piece_length(const struct skeleton_parser *p, str bytes, bool *whole)
{
	size_t from = 0, at;

	*whole = true;
	if (p->after_cr && bytes.p[0] == '\n')
		return 1;
	while ((at = str_find(str_skip(bytes, from), '\n')) != SIZE_MAX) {
		at += from;
		if (at > 0 && bytes.p[at - 1] == '\r')
			return at + 1;
		from = at + 1;
	}
	*whole = false;
	return bytes.n;
}

const struct fail *skeleton_feed(struct skeleton_parser *p, str bytes)
{
	CHECK_MAGIC(p, SKELETON_MAGIC);
	while (bytes.n && !p->failed) {
		bool whole;
		size_t n = piece_length(p, bytes, &whole);
		str piece = str_slice(bytes, 0, n);
		bytes = str_skip(bytes, n);
		note_bytes(p, piece);
		p->at += n;
		p->lines += whole;
		p->after_cr = piece.p[n - 1] == '\r';
		if (p->at - p->line_at > SKELETON_LINE + (whole ? 2u : 0u) + p->after_cr)
			p->flags |= SKELETON_LONG_LINE;
		take_piece(p, piece, whole);
		if (whole)
			end_line(p);
	}
	return p->failed;
}

const struct fail *skeleton_finish(struct skeleton_parser *p, const struct skeleton **out)
{
	struct skeleton *s;

	CHECK_MAGIC(p, SKELETON_MAGIC);
	if (!p->failed && p->held->n) /* a last line without CRLF */
		take_line(p, buf_str(p->held));
	if (!p->failed)
		skeleton_close_all(p);
	if (p->failed)
		return p->failed;
	TRY(arena_check(p->a));
	s = arena_new_of(p->a, struct skeleton);
	*s = (struct skeleton){ .size = p->at,
				.flags = p->flags,
				.received = p->received,
				.envelope = p->envelope,
				.parts = p->parts,
				.parts_n = p->parts_n,
				.preview = preview_text(p) };
	*out = s;
	return NULL;
}
