/*
 * Lines as they pass. A piece never ends between CR and LF (gate.c sees to that), so every CR in it has its LF beside it or is
 * bare. Each byte is looked at a fixed number of times, by memchr.
 */
#include <string.h>

#include "base/arena.h"
#include "edge/gate/gate_int.h"
#include "text/header.h"

/* Classes are all DENIED: these are the peer's faults for good; the code tells content from the rest. */
#define CONTENT_FAIL(message)                                                               \
	{                                                                                   \
		.what = FAIL_DENIED, .kind = FAIL_PERM, .code = { (const u8 *)"5.6.0", 5 }, \
		.text = {                                                                   \
			(const u8 *)(message),                                              \
			sizeof(message) - 1                                                 \
		}                                                                           \
	}
static const struct fail bare_cr = CONTENT_FAIL("a CR or LF alone: lines end in CRLF");
static const struct fail header_nul = CONTENT_FAIL("NUL in the header");
static const struct fail line_long = CONTENT_FAIL("a line is too long");

static const struct fail *check_content(struct gate_lines *l, str content)
{
	size_t room = GATE_NAME - l->start_n;

	if (str_has(content, '\r'))
		return &bare_cr;
	if (!l->body && str_has(content, 0))
		return &header_nul;
	l->column += content.n;
	if (l->column > GATE_LINE)
		return &line_long;
	if (!l->body) {
		size_t n = content.n < room ? content.n : room;
		if (n > 0)
			memcpy(l->start + l->start_n, content.p, n);
		l->start_n += n;
	}
	return NULL;
}

/* True at the empty line that ends the header. */
static bool end_line(struct gate_lines *l)
{
	str start = str_from(l->start, l->start_n);
	struct header_field field;
	bool empty = !l->body && l->column == 0;

	if (!l->body && !empty && header_next(&start, &field)) {
		l->has_date |= str_eq_nocase(field.name, S("Date"));
		l->has_message_id |= str_eq_nocase(field.name, S("Message-ID"));
	}
	l->body |= empty;
	l->column = 0;
	l->start_n = 0;
	return empty;
}

const struct fail *lines_check(struct gate_lines *l, str bytes, size_t *header_end)
{
	size_t at = 0;

	*header_end = SIZE_MAX;
	while (at < bytes.n) {
		str rest = str_skip(bytes, at);
		size_t lf = str_find(rest, '\n');
		if (lf == SIZE_MAX)
			return check_content(l, rest);
		if (lf == 0 || rest.p[lf - 1] != '\r')
			return &bare_cr;
		TRY(check_content(l, str_slice(rest, 0, lf - 1)));
		if (end_line(l))
			*header_end = at;
		at += lf + 1;
	}
	return NULL;
}
