#include "text/header.h"

#include "base/chars.h"
#include "text/charset.h"
#include "text/encoding.h"

enum {
	BUILDER_WORD = 30,    /* with less room than this an encoded word goes to the next line */
	BUILDER_SECTION = 48, /* bytes of text in one section of an RFC 2231 parameter */
	BUILDER_QUOTED = 200, /* a longer value goes by RFC 2231 */
	BUILDER_COMMENT = 512,
};

static const u8 hex_upper[] = "0123456789ABCDEF";

void header_builder_init(struct header_builder *h, struct buf *out)
{
	*h = (struct header_builder){ .out = out };
}

static bool is_made_of(str s, unsigned classes)
{
	for (size_t i = 0; i < s.n; i++)
		if (!char_is(s.p[i], classes))
			return false;
	return true;
}

void header_start(struct header_builder *h, str name)
{
	h->field_at = h->out->n;
	h->field_bad = name.n == 0 || name.n > HEADER_LINE - 2 || !is_made_of(name, CHAR_FTEXT);
	if (h->field_bad)
		return;
	buf_add(h->out, name);
	buf_add_byte(h->out, ':');
	h->column = name.n + 1;
}

void header_end(struct header_builder *h)
{
	buf_add(h->out, S("\r\n"));
	h->column = 0;
	if (!h->field_bad)
		return;
	h->out->n = h->field_at;
	h->field_bad = false;
	h->bad = true;
}

/* Has what a line must not have: a control, or bytes that are no UTF-8. */
static bool is_bad(str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (char_is(s.p[i], CHAR_CTL) && s.p[i] != '\t')
			return true;
	return !str_is_utf8(s);
}

/* A blank, which is a fold when the piece would pass the line's end and is not alone on it. */
static void add_blank(struct header_builder *h, size_t width)
{
	bool first = h->out->n > 0 && h->out->n - h->field_at == h->column &&
		     h->out->p[h->out->n - 1] == ':';
	size_t limit = first ? HEADER_LINE_HARD : HEADER_LINE;

	if (h->column + 1 + width > limit) {
		buf_add(h->out, S("\r\n"));
		h->column = 0;
	}
	buf_add_byte(h->out, ' ');
	h->column++;
}

void header_add_close(struct header_builder *h, str piece)
{
	if (is_bad(piece) || (!h->utf8 && !str_is_ascii(piece)) ||
	    h->column + piece.n > HEADER_LINE_HARD)
		h->field_bad = true;
	if (h->field_bad)
		return;
	buf_add(h->out, piece);
	h->column += piece.n;
}

void header_add(struct header_builder *h, str piece)
{
	if (h->field_bad)
		return;
	add_blank(h, piece.n);
	header_add_close(h, piece);
}

/* Encoded words, each on what is left of the line or on a line of its own. */
static void add_words(struct header_builder *h, str text)
{
	while (text.n) {
		size_t room = h->column < ENCODING_LINE ? ENCODING_LINE - h->column - 1 : 0;
		size_t before;
		if (room < BUILDER_WORD) {
			buf_add(h->out, S("\r\n"));
			h->column = 0;
			room = ENCODING_LINE - 1;
		}
		buf_add_byte(h->out, ' ');
		before = h->out->n;
		text = str_skip(text, words_encode_one(h->out, text, room));
		h->column += 1 + (h->out->n - before);
		if (h->out->full)
			return;
	}
}

/* Must it be encoded: not ASCII, too long for a line, or taken for an encoded word. */
static bool needs_encoding(const struct header_builder *h, str word)
{
	return (!h->utf8 && !str_is_ascii(word)) || word.n > HEADER_LINE_HARD - HEADER_LINE ||
	       str_find_str(word, S("=?")) != SIZE_MAX;
}

/* Next run without blanks from *rest. */
static bool next_word(str *rest, str *word)
{
	size_t from = 0, to;

	while (from < rest->n && char_is(rest->p[from], CHAR_WSP))
		from++;
	for (to = from; to < rest->n && !char_is(rest->p[to], CHAR_WSP);)
		to++;
	*word = str_slice(*rest, from, to);
	*rest = str_skip(*rest, to);
	return word->n > 0;
}

static void add_plain(struct header_builder *h, str text)
{
	str word;

	while (next_word(&text, &word))
		header_add(h, word);
}

/* From the first word that needs it to the last one everything is encoded, with the blanks
 * between. */
void header_add_text(struct header_builder *h, str text)
{
	size_t from = SIZE_MAX, to = 0;
	str rest = text, word;

	if (is_bad(text))
		h->field_bad = true;
	if (h->field_bad)
		return;
	while (next_word(&rest, &word)) {
		if (!needs_encoding(h, word))
			continue;
		to = (size_t)(word.p - text.p) + word.n;
		if (from == SIZE_MAX)
			from = to - word.n;
	}
	if (from == SIZE_MAX) {
		add_plain(h, text);
		return;
	}
	add_plain(h, str_slice(text, 0, from));
	add_words(h, str_slice(text, from, to));
	add_plain(h, str_skip(text, to));
}

static void add_quoted(struct header_builder *h, str text)
{
	struct buf quoted;

	buf_init(&quoted, HEADER_LINE_HARD);
	buf_add_quoted(&quoted, text);
	if (quoted.full)
		h->field_bad = true;
	header_add(h, buf_str(&quoted));
	buf_free(&quoted);
}

/* A display name, RFC 5322 3.2.5 phrase. */
static void add_phrase(struct header_builder *h, str name)
{
	if (is_bad(name))
		h->field_bad = true;
	if (h->field_bad)
		return;
	if (needs_encoding(h, name))
		add_words(h, name);
	else if (is_made_of(name, CHAR_ATEXT | CHAR_WSP))
		add_plain(h, name);
	else
		add_quoted(h, name);
}

void header_add_address(struct header_builder *h, str name, str address)
{
	name = str_trim(name);
	if (name.n == 0) {
		header_add(h, address);
		return;
	}
	add_phrase(h, name);
	if (h->field_bad)
		return;
	add_blank(h, address.n + 2);
	header_add_close(h, S("<"));
	header_add_close(h, address);
	header_add_close(h, S(">"));
}

/* RFC 2231 7: attribute-char goes as it is. */
static void percent_encode(struct buf *out, str text)
{
	for (size_t i = 0; i < text.n; i++) {
		u8 byte = text.p[i];
		if (char_is(byte, CHAR_TOKEN) && byte != '*' && byte != '\'' && byte != '%')
			buf_add_byte(out, byte);
		else
			buf_add(
			    out,
			    str_from((u8[]){ '%', hex_upper[byte >> 4], hex_upper[byte & 15] }, 3));
	}
}

/* name*0*=utf-8''text; name*1*=text ... */
static void add_extended(struct header_builder *h, str name, str value)
{
	struct buf piece;

	buf_init(&piece, HEADER_LINE_HARD);
	for (u64 section = 0; value.n; section++) {
		str chunk = utf8_cut(value, BUILDER_SECTION);
		value = str_skip(value, chunk.n);
		buf_reset(&piece);
		buf_add(&piece, name);
		buf_add_byte(&piece, '*');
		if (section || value.n) {
			buf_add_u64(&piece, section);
			buf_add_byte(&piece, '*');
		}
		buf_add(&piece, section ? S("=") : S("=utf-8''"));
		percent_encode(&piece, chunk);
		if (value.n)
			buf_add_byte(&piece, ';');
		header_add(h, buf_str(&piece));
	}
	buf_free(&piece);
}

void header_add_param(struct header_builder *h, str name, str value)
{
	struct buf piece;

	if (is_bad(value) || name.n == 0 || name.n > HEADER_LINE || !is_made_of(name, CHAR_TOKEN))
		h->field_bad = true;
	if (h->field_bad)
		return;
	header_add_close(h, S(";"));
	if (!str_is_ascii(value) || value.n > BUILDER_QUOTED) {
		add_extended(h, name, value);
		return;
	}
	buf_init(&piece, HEADER_LINE_HARD);
	buf_add(&piece, name);
	buf_add_byte(&piece, '=');
	if (value.n && is_made_of(value, CHAR_TOKEN))
		buf_add(&piece, value);
	else
		buf_add_quoted(&piece, value);
	header_add(h, buf_str(&piece));
	buf_free(&piece);
}

void header_add_comment(struct header_builder *h, str text)
{
	struct buf piece;

	buf_init(&piece, BUILDER_COMMENT);
	buf_add_byte(&piece, '(');
	for (size_t i = 0; i < text.n && piece.n < BUILDER_COMMENT - 3; i++) {
		u8 byte = text.p[i];
		if (byte == '(' || byte == ')' || byte == '\\')
			buf_add_byte(&piece, '\\');
		buf_add_byte(&piece, char_is(byte, CHAR_VCHAR) || byte == ' ' ? byte : '?');
	}
	buf_add_byte(&piece, ')');
	header_add(h, buf_str(&piece));
	buf_free(&piece);
}

void header_put(struct header_builder *h, str name, str structured)
{
	header_start(h, name);
	if (is_bad(structured))
		h->field_bad = true;
	add_plain(h, structured);
	header_end(h);
}

void header_put_text(struct header_builder *h, str name, str text)
{
	header_start(h, name);
	header_add_text(h, text);
	header_end(h);
}
