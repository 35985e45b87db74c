/*
 * Which parts are open. The stack open[] is the path from the message to the innermost part;
 * intervals nest because a part is closed only together with everything inside it (THREATS M02).
 */
#include "text/skeleton_int.h"

#include "base/arena.h"
#include "base/chars.h"

static struct skeleton_part *part_of(struct skeleton_parser *p, size_t level)
{
	return &p->parts[p->open[level].index];
}

static bool is_type(const struct skeleton_part *part, str type)
{
	return str_eq(part->type, type);
}

static bool is_message(const struct skeleton_part *part)
{
	return is_type(part, S("MESSAGE")) && str_eq(part->subtype, S("RFC822"));
}

static void grow_parts(struct skeleton_parser *p)
{
	struct skeleton_part *grown;

	if (p->parts_n < p->parts_room)
		return;
	p->parts_room = p->parts_room ? p->parts_room * 2 : 4;
	grown = arena_array_of(p->a, p->parts_room, struct skeleton_part);
	for (size_t i = 0; i < p->parts_n; i++)
		grown[i] = p->parts[i];
	p->parts = grown;
}

/* Its header begins at header_at, inside the innermost open part. */
static void open_part(struct skeleton_parser *p, u64 header_at)
{
	struct skeleton_part *part;

	grow_parts(p);
	part = &p->parts[p->parts_n];
	part->header_at = header_at;
	if (p->open_n) {
		p->open[p->open_n - 1].children++;
		part->parent = p->open[p->open_n - 1].index;
		part->depth = (u32)p->open_n;
	}
	p->open[p->open_n++] = (struct open_part){ .index = (u32)p->parts_n++ };
	p->in_header = true;
	buf_reset(p->header);
}

static bool may_open(struct skeleton_parser *p)
{
	if (p->parts_n < SKELETON_PARTS && p->budget >= SKELETON_PART_LEAST)
		return true;
	p->flags |= SKELETON_CUT;
	return false;
}

void skeleton_open_root(struct skeleton_parser *p)
{
	open_part(p, 0);
}

/* What contradicts the promise in skeleton.h gets another name. */
static void rename_part(struct skeleton_part *part, str type, str subtype)
{
	part->type = type;
	part->subtype = subtype;
	part->params = NULL;
	part->params_n = 0;
}

/* A multipart's boundary counts while its children may still go one deeper. */
static void begin_multipart(struct skeleton_parser *p, str boundary)
{
	struct open_part *top = &p->open[p->open_n - 1];

	while (boundary.n && char_is(boundary.p[boundary.n - 1], CHAR_WSP))
		boundary = str_slice(boundary, 0, boundary.n - 1);
	top->digest = str_eq(part_of(p, p->open_n - 1)->subtype, S("DIGEST"));
	if (boundary.n == 0 || boundary.n > SKELETON_BOUNDARY)
		p->flags |= SKELETON_BROKEN_MIME;
	else if (p->open_n > SKELETON_DEPTH)
		p->flags |= SKELETON_CUT;
	else
		top->boundary = str_copy(p->a, boundary);
}

/* A message/rfc822: its child begins where its body does. */
static void begin_message(struct skeleton_parser *p, u64 body_at)
{
	struct skeleton_part *part = part_of(p, p->open_n - 1);
	bool too_deep = p->open_n > SKELETON_DEPTH;

	if (too_deep)
		p->flags |= SKELETON_CUT;
	if (too_deep || !may_open(p))
		rename_part(part, S("APPLICATION"), S("OCTET-STREAM"));
	else
		open_part(p, body_at);
}

/* Where the envelope of the innermost part goes; NULL when it is no message. */
static struct skeleton_envelope *envelope_of(struct skeleton_parser *p)
{
	struct skeleton_part *parent;
	struct skeleton_envelope *envelope;

	if (p->open_n == 1)
		return &p->envelope;
	parent = part_of(p, p->open_n - 2);
	if (!is_message(parent))
		return NULL;
	envelope = arena_new_of(p->a, struct skeleton_envelope);
	parent->envelope = envelope;
	parent->envelope_n = 1;
	return envelope;
}

static bool is_attachment(const struct skeleton_part *part)
{
	return !is_type(part, S("TEXT")) || str_eq_nocase(part->disposition, S("attachment"));
}

void skeleton_header_ended(struct skeleton_parser *p, u64 body_at)
{
	struct open_part *top = &p->open[p->open_n - 1];
	struct skeleton_part *part = part_of(p, p->open_n - 1);
	bool in_digest = p->open_n > 1 && p->open[p->open_n - 2].digest;
	str boundary;

	p->in_header = false;
	part->body_at = body_at;
	top->lines_before = p->lines;
	skeleton_read_header(p, part, in_digest, envelope_of(p), &boundary);
	if (is_type(part, S("MULTIPART"))) {
		begin_multipart(p, boundary);
	} else {
		if (is_attachment(part))
			p->flags |= SKELETON_ATTACHMENT;
		preview_begin(p, part);
		if (is_message(part))
			begin_message(p, body_at);
	}
	arena_reset(p->scratch);
}

/*
 * Closes all open parts above `level`. The line at p->line_at is a boundary, whose CRLF before it
 * is its own (RFC 2046 5.1.1), or the end of the bytes. A part that began at this very line is
 * empty, and those around it reach to it.
 */
static void close_above(struct skeleton_parser *p, size_t level, u64 line_at, u64 end, u64 lines)
{
	while (p->in_header)
		skeleton_header_ended(p, line_at);
	while (p->open_n > level) {
		struct open_part *top = &p->open[p->open_n - 1];
		struct skeleton_part *part = &p->parts[top->index];
		if (part->body_at > end) {
			end = part->body_at;
			lines = top->lines_before;
		}
		part->end = end;
		part->lines = lines - top->lines_before;
		if (top->boundary.n && !top->ended)
			p->flags |= SKELETON_BROKEN_MIME;
		if (is_type(part, S("MULTIPART")) && top->children == 0) {
			p->flags |= SKELETON_BROKEN_MIME;
			rename_part(part, S("TEXT"), S("PLAIN"));
		}
		preview_end(p);
		p->open_n--;
	}
}

void skeleton_close_all(struct skeleton_parser *p)
{
	close_above(p, 0, p->at, p->at, p->lines);
}

/* The innermost open multipart that this line ("--..." without its blanks and CRLF) belongs to. */
static bool find_boundary(const struct skeleton_parser *p, str line, size_t *level, bool *last)
{
	str text = str_skip(line, 2);

	for (size_t i = p->open_n; i-- > 0;) {
		const struct open_part *o = &p->open[i];
		if (o->boundary.n == 0 || o->ended || !str_starts(text, o->boundary))
			continue;
		*level = i;
		*last = text.n == o->boundary.n + 2;
		if (text.n == o->boundary.n ||
		    (*last && str_eq(str_skip(text, o->boundary.n), S("--"))))
			return true;
	}
	return false;
}

bool skeleton_boundary(struct skeleton_parser *p, str line)
{
	size_t level;
	bool last;

	if (p->deaf || !str_starts(line, S("--")) ||
	    !find_boundary(p, str_trim(line), &level, &last))
		return false;
	if (!last && !may_open(p)) {
		p->deaf = true;
		return false;
	}
	/* A part that began before this line has a CRLF before it. p->lines counts this line's
	 * own CRLF too. */
	p->lines -= str_ends_nocase(line, S("\r\n"));
	close_above(p, level + 1, p->line_at, p->line_at - 2, p->lines - 1);
	p->lines += str_ends_nocase(line, S("\r\n"));
	if (last)
		p->open[level].ended = true;
	else
		open_part(p, p->at);
	return true;
}
