/* What must not come in from outside: fields in our name (RFC 8601 5). When in doubt a field is ours, so it goes. */
#include "base/arena.h"
#include "base/scan.h"
#include "text/address.h"
#include "text/encoding.h"
#include "text/token.h"
#include "verdict/authres.h"

/* One piece of what stands before the first ';': unquoted, backslashes off. False at ';' and at the end. */
static bool take_piece(struct arena *a, struct scan *s, str *out)
{
	struct buf *text = buf_new(a, s->rest.n + 1);
	bool broken = false;

	do
		token_cfws0(s, &broken);
	while (scan_byte(s, '/') || scan_byte(s, ','));
	while (!scan_end(s)) {
		int next = scan_peek(s);
		if (next == '"') {
			token_quoted(s, text, &broken);
			continue;
		}
		if (next == ';' || next == '(' || next == '/' || next == ',' ||
		    char_is((u8)next, CHAR_WSP | CHAR_CRLF))
			break;
		s->rest = str_skip(s->rest, 1);
		if (next != '\\')
			buf_add_byte(text, (u8)next);
	}
	*out = buf_str(text);
	return text->n > 0;
}

static bool is_number(str s)
{
	u64 unused;

	return str_u64(s, &unused);
}

/* How far text has been id so far, for a reader who passes over controls and 8-bit bytes. */
struct match {
	str id;
	size_t at;
	bool other;
};

static bool match_feed(struct match *m, str text)
{
	for (size_t i = 0; i < text.n && !m->other; i++) {
		if (!char_is(text.p[i], CHAR_VCHAR))
			continue;
		if (m->at < m->id.n && char_lower(text.p[i]) == char_lower(m->id.p[m->at]))
			m->at++;
		else
			m->other = m->at < m->id.n || text.p[i] != '.';
	}
	return !m->other && m->at == m->id.n;
}

/* Full-width letters, other full stops and U-labels make the same name (RFC 8616 5). */
static bool is_same_name(struct arena *a, str text, str id)
{
	str ascii;

	return text.n <= AUTHRES_NAME && !str_is_ascii(text) &&
	       domain_to_ascii(a, text, &ascii) == NULL && str_eq_nocase(ascii, id);
}

/* One piece alone, all pieces joined, or all but a version behind them. */
static bool claims(struct arena *a, str value, str id)
{
	struct scan s = scan_of(value);
	struct buf *joined = buf_new(a, AUTHRES_NAME + 1);
	struct match whole = { .id = id };
	str piece;

	for (size_t i = 0; i < AUTHRES_WORDS && take_piece(a, &s, &piece); i++) {
		struct match alone = { .id = id };
		if (match_feed(&alone, piece) || is_same_name(a, piece, id))
			return true;
		if (i > 0 && is_number(piece))
			continue;
		buf_add(joined, piece);
		if (match_feed(&whole, piece) ||
		    (!joined->full && is_same_name(a, buf_str(joined), id)))
			return true;
	}
	return false;
}

bool authres_is_from(struct arena *a, str value, str id)
{
	while (id.n > 0 && id.p[id.n - 1] == '.')
		id.n--;
	return claims(a, value, id) || claims(a, header_unfold(a, value), id) ||
	       claims(a, header_text(a, value), id);
}

static bool has_nocase(struct arena *a, str text, str word)
{
	return str_find_str(str_lower(a, text), str_lower(a, word)) != SIZE_MAX;
}

/* A line that our splitter gives no name to may be a field for whoever unfolds first, or forgives a blank before it. */
static struct header_field as_others_read(struct arena *a, const struct header_field *f)
{
	struct header_field out = *f;
	str line;
	size_t colon;

	if (f->name.n > 0)
		return out;
	line = header_unfold(a, f->value);
	colon = str_find(line, ':');
	if (colon == SIZE_MAX)
		return out;
	out.name = str_trim(str_slice(line, 0, colon));
	out.value = str_skip(line, colon + 1);
	return out;
}

static bool is_forbidden(struct arena *a, const struct header_field *f, const str *ids,
			 size_t ids_n)
{
	bool results = str_eq_nocase(f->name, S("Authentication-Results"));
	bool spf = str_eq_nocase(f->name, S("Received-SPF"));

	if (str_eq_nocase(f->name, S("Return-Path")) || str_starts_nocase(f->name, S("X-Postern-")))
		return true;
	for (size_t i = 0; i < ids_n; i++) {
		if (results && authres_is_from(a, f->value, ids[i]))
			return true;
		if (spf && has_nocase(a, header_unfold(a, f->value), ids[i]))
			return true;
	}
	return false;
}

/* Scratch memory is of one field at a time, so that many fields cost no more than one. */
static void find_ranges(struct arena *scratch, str header, const str *ids, size_t ids_n,
			struct authres_range *out, size_t *n)
{
	struct header_field f;
	str rest = header;

	*n = 0;
	while (header_next(&rest, &f)) {
		size_t from = (size_t)(f.raw.p - header.p), to = from + f.raw.n;
		arena_reset(scratch);
		f = as_others_read(scratch, &f);
		if (!is_forbidden(scratch, &f, ids, ids_n))
			continue;
		if (*n > 0 && out[*n - 1].to == from)
			out[*n - 1].to = to;
		else
			out[(*n)++] = (struct authres_range){ from, to };
	}
}

static size_t count_fields(str header)
{
	struct header_field f;
	size_t n = 0;

	while (header_next(&header, &f))
		n++;
	return n;
}

const struct authres_range *authres_forbidden(struct arena *a, str header, const str *ids,
					      size_t ids_n, size_t *n)
{
	struct authres_range *out = arena_array_of(a, count_fields(header), struct authres_range);
	struct arena *scratch = arena_new(header.n * 8 + 65536);

	find_ranges(scratch, header, ids, ids_n, out, n);
	arena_free(&scratch);
	return out;
}
