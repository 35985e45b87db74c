/* Units out of bytes: see reader.h. Pure, but for the sink. */
#include "serve/reader.h"

#include <string.h>

#include "base/check.h"

enum reader_mode { MODE_LINES, MODE_DROP, MODE_COUNTED, MODE_DOTTED, MODE_LOST };

/* Where a dotted stretch stands (RFC 5321 4.5.2). */
enum reader_dot { DOT_START, DOT_TEXT, DOT_CR, DOT_DOT, DOT_DOT_CR };

void reader_init(struct reader *r, size_t line_max)
{
	*r = (struct reader){ .line_max = line_max };
}

static void stretch_begin(struct reader *r, enum reader_mode mode, struct sink *sink)
{
	CHECK(r->mode == MODE_LINES);
	r->mode = (u8)mode;
	r->sink = sink;
	r->fail = NULL;
	r->dot = DOT_START;
}

void reader_counted(struct reader *r, u64 n, struct sink *sink)
{
	stretch_begin(r, MODE_COUNTED, sink);
	r->left = n;
}

void reader_dotted(struct reader *r, struct sink *sink)
{
	stretch_begin(r, MODE_DOTTED, sink);
}

bool reader_in_stretch(const struct reader *r)
{
	return r->mode == MODE_COUNTED || r->mode == MODE_DOTTED;
}

static void sink_write(struct reader *r, struct arena *turn, str bytes)
{
	if (r->fail == NULL && bytes.n)
		r->fail = r->sink->write(r->sink, turn, bytes);
}

static enum reader_unit bad(struct reader *r, enum bad_line why)
{
	r->bad = (u8)why;
	return READER_BAD;
}

/* --- Lines --------------------------------------------------------------------------------------------------- */

/* text is a line with all before its LF. */
static enum reader_unit line_judge(struct reader *r, str text)
{
	size_t cr = str_find(text, '\r');

	if (text.n && text.p[text.n - 1] == '\r')
		r->line = str_slice(text, 0, text.n - 1);
	else
		r->line = text;
	/* Where a line ends weighs more than what is in it (THREATS S01). */
	if (cr != r->line.n)
		return bad(r, BAD_LINE_BARE_CR);
	if (r->line.n > r->line_max)
		return bad(r, BAD_LINE_LONG);
	if (str_has(text, '\0'))
		return bad(r, BAD_LINE_NUL);
	return READER_LINE;
}

static enum reader_unit line_next(struct reader *r, str in, size_t *used)
{
	size_t reach = r->line_max + 2; /* with CRLF */
	str window = str_slice(in, r->seen, reach);
	size_t at = str_find(window, '\n');

	if (at != SIZE_MAX) {
		at += r->seen;
		r->seen = 0;
		*used = at + 1;
		return line_judge(r, str_slice(in, 0, at));
	}
	if (in.n < reach) {
		r->seen = in.n;
		*used = 0;
		return READER_NONE;
	}
	r->seen = 0;
	r->dropped = 0;
	r->mode = MODE_DROP;
	r->dropped_cr = in.p[reach - 1] == '\r';
	*used = reach;
	return bad(r, BAD_LINE_LONG);
}

/* The rest of an over-long line, which was reported when it passed the limit. It ends with CRLF like any other. */
static enum reader_unit drop_next(struct reader *r, str in, size_t *used)
{
	size_t at = str_find(in, '\n');
	bool cr = at == 0 ? r->dropped_cr : at != SIZE_MAX && in.p[at - 1] == '\r';

	*used = at == SIZE_MAX ? in.n : at + 1;
	r->dropped += *used;
	if (in.n)
		r->dropped_cr = in.p[*used - 1] == '\r';
	if (r->dropped > SESSION_DISCARD) {
		r->mode = MODE_LOST;
		return READER_LOST;
	}
	if (at == SIZE_MAX)
		return READER_NONE;
	r->mode = MODE_LINES;
	return cr ? READER_NONE : bad(r, BAD_LINE_BARE_CR);
}

/* --- Stretches ------------------------------------------------------------------------------------------------- */

static enum reader_unit counted_next(struct reader *r, struct arena *turn, str in, size_t *used)
{
	size_t n = in.n < r->left ? in.n : (size_t)r->left;

	sink_write(r, turn, str_slice(in, 0, n));
	r->left -= n;
	*used = n;
	if (r->left)
		return READER_NONE;
	r->mode = MODE_LINES;
	return READER_STRETCH;
}

/* End of the text that begins at `at`: the next CR or LF, or the end of the input. */
static size_t text_end(str in, size_t at)
{
	str rest = str_skip(in, at);
	size_t cr = str_find(rest, '\r');
	size_t lf = str_find(str_slice(rest, 0, cr), '\n');

	if (lf != SIZE_MAX)
		return at + lf;
	return cr != SIZE_MAX ? at + cr : in.n;
}

/* One step of the automaton at the byte in front. `keep` is where the run that is due for the sink begins; a step that leaves a
 * byte out writes the run before it. */
struct dotted {
	struct reader *r;
	struct arena *turn;
	str in;
	size_t at, keep;
};

static void dotted_flush(struct dotted *d, size_t upto)
{
	if (upto > d->keep)
		sink_write(d->r, d->turn, str_slice(d->in, d->keep, upto));
	d->keep = upto;
}

/* The last `bare` bytes looked at are the CR or LF that is not of a pair, and what showed it. */
static enum reader_unit dotted_bad(struct dotted *d, size_t bare)
{
	dotted_flush(d, d->at > bare ? d->at - bare : 0);
	d->r->mode = MODE_LOST; /* where it would end is what a smuggler wants to decide */
	return bad(d->r, BAD_LINE_BARE_CR);
}

static enum reader_unit dotted_end(struct reader *r)
{
	r->mode = MODE_LINES;
	return READER_STRETCH;
}

/* Returns READER_NONE to go on. */
static enum reader_unit dotted_step(struct dotted *d)
{
	struct reader *r = d->r;
	u8 byte = d->in.p[d->at];

	switch ((enum reader_dot)r->dot) {
	case DOT_START:
		r->dot = DOT_TEXT;
		if (byte != '.')
			return READER_NONE;
		dotted_flush(d, d->at++); /* the dot is not data, whatever follows */
		d->keep = d->at;
		r->dot = DOT_DOT;
		return READER_NONE;
	case DOT_DOT:
		if (byte == '\r') {
			d->at++;
			r->dot = DOT_DOT_CR;
			return READER_NONE;
		}
		r->dot = DOT_TEXT;
		return READER_NONE;
	case DOT_DOT_CR:
		d->keep = ++d->at;
		return byte == '\n' ? dotted_end(r) : dotted_bad(d, 2);
	case DOT_CR:
		d->at++;
		if (byte != '\n')
			return dotted_bad(d, 2);
		r->dot = DOT_START;
		return READER_NONE;
	case DOT_TEXT:
		d->at = text_end(d->in, d->at);
		if (d->at == d->in.n)
			return READER_NONE;
		if (d->in.p[d->at++] == '\n')
			return dotted_bad(d, 1);
		r->dot = DOT_CR;
		return READER_NONE;
	}
	CHECK(false); /* every state is above */
	return READER_LOST;
}

static enum reader_unit dotted_next(struct reader *r, struct arena *turn, str in, size_t *used)
{
	struct dotted d = { .r = r, .turn = turn, .in = in };
	enum reader_unit unit = READER_NONE;

	if (r->dot == DOT_CR && in.n && in.p[0] == '\n')
		sink_write(r, turn, S("\r")); /* it was held back at the end of the input before */
	while (unit == READER_NONE && d.at < in.n)
		unit = dotted_step(&d);
	*used = d.at;
	if (unit != READER_NONE)
		return unit;
	if (r->dot == DOT_CR)
		dotted_flush(&d, in.n ? in.n - 1 : 0);
	else if (r->dot != DOT_DOT && r->dot != DOT_DOT_CR)
		dotted_flush(&d, in.n);
	return READER_NONE;
}

enum reader_unit reader_next(struct reader *r, struct arena *turn, str in, size_t *used)
{
	*used = 0;
	switch ((enum reader_mode)r->mode) {
	case MODE_LINES:
		return line_next(r, in, used);
	case MODE_DROP:
		return drop_next(r, in, used);
	case MODE_COUNTED:
		return counted_next(r, turn, in, used);
	case MODE_DOTTED:
		return dotted_next(r, turn, in, used);
	case MODE_LOST:
		*used = in.n;
		return READER_LOST;
	}
	CHECK(false); /* every mode is above */
	return READER_LOST;
}
