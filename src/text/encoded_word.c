/* Encoded words, RFC 2047 (with the language of RFC 2231 5). */
#include "text/encoding.h"

#include "base/arena.h"
#include "base/chars.h"
#include "base/check.h"
#include "base/scan.h"
#include "text/charset.h"

enum {
	WORD_CHARSET = 64, /* bytes of a charset and its language */
	WORD_BYTES = 45,   /* looked at to choose between Q and B */
	WORD_FRAME = 12,   /* of our words: what stands around the text */
	WORD_LEAST = 24,   /* a character of four bytes in Q takes 12 */
};

static const u8 hex_upper[] = "0123456789ABCDEF";

struct word {
	str charset, text;
	u8 encoding; /* 'b' or 'q' */
};

/* "=?" charset ["*" language] "?" encoding "?" text "?=". What it looks at in vain holds no other
 * "=?", so a value is read in linear time. */
static bool scan_word(struct scan *s, struct word *out)
{
	struct scan saved = *s;
	str charset, encoding;

	if (scan_lit(s, S("=?")) && scan_span(s, CHAR_TOKEN, &charset) && scan_byte(s, '?') &&
	    scan_take(s, 1, &encoding) && scan_byte(s, '?') && scan_until(s, '?', &out->text) &&
	    scan_lit(s, S("?=")) && charset.n <= WORD_CHARSET) {
		out->encoding = char_lower(encoding.p[0]);
		out->charset = str_slice(charset, 0, str_find(charset, '*'));
		if (out->encoding == 'b' || out->encoding == 'q')
			return true;
	}
	*s = saved;
	return false;
}

static void decode_q(str text, struct buf *out)
{
	for (size_t i = 0; i < text.n; i++) {
		u8 byte = text.p[i];
		if (byte == '=' && text.n - i >= 3 && char_hex(text.p[i + 1]) >= 0 &&
		    char_hex(text.p[i + 2]) >= 0) {
			byte = (u8)(char_hex(text.p[i + 1]) << 4 | char_hex(text.p[i + 2]));
			i += 2;
		} else if (byte == '_') {
			byte = ' ';
		}
		buf_add_byte(out, byte);
	}
}

static void decode_word(const struct word *w, struct buf *out)
{
	struct base64_reader r = { 0 };

	if (w->encoding == 'q') {
		decode_q(w->text, out);
		return;
	}
	base64_read(&r, w->text, out);
	base64_finish(&r, out);
}

/* Words decoded so far, all of one charset, not yet converted. */
struct decoder_state {
	struct buf *out, *pending;
	str charset;
	bool after_word; /* blanks since the last word are dropped if another word follows */
	str blanks;
	size_t words;
};

static void flush_words(struct decoder_state *d)
{
	charset_to_utf8(d->charset, buf_str(d->pending), d->out);
	buf_reset(d->pending);
	d->after_word = false;
}

static void take_word(struct decoder_state *d, const struct word *w)
{
	if (d->after_word && !str_eq_nocase(d->charset, w->charset))
		flush_words(d);
	d->charset = w->charset;
	d->after_word = true;
	d->blanks = STR_NONE;
	d->words++;
	decode_word(w, d->pending);
}

/* Up to the next "=?" or blank after a word. */
static void take_plain(struct decoder_state *d, struct scan *s)
{
	size_t n;
	str text, blanks;

	if (d->after_word && scan_span(s, CHAR_WSP, &blanks)) {
		d->blanks = blanks;
		return;
	}
	if (d->after_word)
		flush_words(d);
	buf_add(d->out, d->blanks);
	d->blanks = STR_NONE;
	n = str_find_str(str_skip(s->rest, 1), S("=?"));
	scan_take(s, n == SIZE_MAX ? s->rest.n : n + 1, &text);
	charset_to_utf8(STR_NONE, text, d->out);
}

str words_decode(struct arena *a, str value)
{
	size_t max;
	struct decoder_state d = { 0 };
	struct scan s = scan_of(value);
	struct word w;

	if (!size_mul(value.n, (size_t)8, &max))
		return STR_NONE;
	d.out = buf_new(a, max + 64);
	d.pending = buf_new(a, value.n + 1);
	while (!scan_end(&s))
		if (d.words < ENCODING_WORDS && scan_word(&s, &w))
			take_word(&d, &w);
		else
			take_plain(&d, &s);
	if (d.after_word)
		flush_words(&d);
	buf_add(d.out, d.blanks);
	if (d.out->n)
		encoding_blank_controls(d.out->p, d.out->n);
	return buf_str(d.out);
}

/* Letters and digits and what RFC 2047 5 (3) allows in a phrase: good everywhere. */
static bool is_plain(u8 byte)
{
	return char_is(byte, CHAR_ALPHA | CHAR_DIGIT) || byte == '!' || byte == '*' ||
	       byte == '+' || byte == '-' || byte == '/';
}

static size_t q_width(str s)
{
	size_t width = 0;

	for (size_t i = 0; i < s.n; i++)
		width += is_plain(s.p[i]) || s.p[i] == ' ' ? 1 : 3;
	return width;
}

static void encode_q(struct buf *out, str s)
{
	for (size_t i = 0; i < s.n; i++) {
		u8 byte = s.p[i];
		if (is_plain(byte))
			buf_add_byte(out, byte);
		else if (byte == ' ')
			buf_add_byte(out, '_');
		else
			buf_add(
			    out,
			    str_from((u8[]){ '=', hex_upper[byte >> 4], hex_upper[byte & 15] }, 3));
	}
}

/* The longest start of s that fits a word of this room. */
static str take_chunk(str s, size_t room, bool q)
{
	size_t n = q ? room : room / 4 * 3;
	str chunk = utf8_cut(s, n);

	while (q && q_width(chunk) > room)
		chunk = utf8_cut(s, chunk.n - 1);
	return chunk.n ? chunk : str_slice(s, 0, 3); /* only when it was no UTF-8 */
}

size_t words_encode_one(struct buf *out, str utf8, size_t max)
{
	str near = utf8_cut(utf8, WORD_BYTES), chunk;
	bool q = q_width(near) <= near.n * 2;

	CHECK(max >= WORD_LEAST);
	chunk = take_chunk(utf8, max - WORD_FRAME, q);
	buf_add(out, q ? S("=?utf-8?q?") : S("=?utf-8?b?"));
	if (q)
		encode_q(out, chunk);
	else
		base64_encode(out, chunk);
	buf_add(out, S("?="));
	return chunk.n;
}

void words_encode(struct buf *out, str utf8, str between)
{
	while (utf8.n) {
		size_t n = words_encode_one(out, utf8, ENCODING_LINE - 1);
		utf8 = str_skip(utf8, n);
		if (utf8.n)
			buf_add(out, between);
	}
}
