/* Parameters of a header field: RFC 2045 5.1, RFC 2231, RFC 5987. */
#include "text/encoding.h"

#include "base/arena.h"
#include "base/scan.h"
#include "text/charset.h"
#include "text/token.h"

enum { PARAM_LANGUAGE = 64 };

/* Bytes up to one of `stops`, comments left out, quoting taken off, trimmed. */
static str take_until(struct arena *a, struct scan *s, str stops, struct buf *scratch, bool *broken)
{
	buf_reset(scratch);
	while (!scan_end(s)) {
		u8 byte = s->rest.p[0];
		if (str_has(stops, byte))
			break;
		if (byte == '"') {
			token_quoted(s, scratch, broken);
		} else if (byte == '(') {
			token_comment(s, NULL, broken);
		} else {
			buf_add_byte(scratch, byte);
			s->rest = str_skip(s->rest, 1);
		}
	}
	return str_trim(token_clean(a, buf_str(scratch)));
}

/* The value behind '=': when quoted, its blanks are its own. What stands between it and ';' is
 * no part of it. */
static str take_value(struct arena *a, struct scan *s, struct buf *scratch, bool *broken)
{
	str value, rest;

	token_cfws0(s, broken);
	if (scan_peek(s) != '"')
		return take_until(a, s, S(";"), scratch, broken);
	buf_reset(scratch);
	token_quoted(s, scratch, broken);
	value = token_clean(a, buf_str(scratch));
	rest = take_until(a, s, S(";"), scratch, broken);
	if (rest.n)
		*broken = true;
	return value;
}

static void add_param(struct arena *a, struct param_list *out, size_t *room, size_t max,
		      struct param p)
{
	struct param *grown;

	if (out->n == max) {
		out->cut = true;
		return;
	}
	if (out->n == *room) {
		*room = *room ? *room * 2 : 4;
		grown = arena_array_of(a, *room, struct param);
		for (size_t i = 0; i < out->n; i++)
			grown[i] = out->params[i];
		out->params = grown;
	}
	((struct param *)(uintptr_t)out->params)[out->n++] = p;
}

void param_list_parse(struct arena *a, str value, size_t max, str *head, struct param_list *out)
{
	struct scan s = scan_of(value);
	struct buf scratch;
	size_t room = 0;

	buf_init(&scratch, value.n + 1);
	*out = (struct param_list){ 0 };
	*head = take_until(a, &s, S(";"), &scratch, &out->broken);
	while (scan_byte(&s, ';') && !out->cut) {
		struct param p = { .name = take_until(a, &s, S(";="), &scratch, &out->broken) };
		if (!scan_byte(&s, '=')) {
			out->broken |= p.name.n > 0;
			continue;
		}
		p.value = take_value(a, &s, &scratch, &out->broken);
		if (p.name.n)
			add_param(a, out, &room, max, p);
		else
			out->broken = true;
	}
	buf_free(&scratch);
}

bool param_find(const struct param_list *l, str name, str *value)
{
	for (size_t i = 0; i < l->n; i++) {
		if (!str_eq_nocase(l->params[i].name, name))
			continue;
		*value = l->params[i].value;
		return true;
	}
	return false;
}

/* RFC 2231 3: name*, name*0, name*0*; false when the parameter is another one or malformed.
 * section is ENCODING_SECTIONS for the undivided name*. */
static bool read_section(str param, str name, u32 *section, bool *extended)
{
	struct scan s = scan_of(str_skip(param, name.n));
	str digits = STR_NONE;
	u64 number;

	if (!str_starts_nocase(param, name) || !scan_byte(&s, '*'))
		return false;
	*section = ENCODING_SECTIONS;
	*extended = true;
	if (scan_end(&s))
		return true;
	if (!scan_span(&s, CHAR_DIGIT, &digits) || (digits.n > 1 && digits.p[0] == '0') ||
	    !str_u64(digits, &number) || number >= ENCODING_SECTIONS)
		return false;
	*section = (u32)number;
	*extended = scan_byte(&s, '*');
	return scan_end(&s);
}

struct sections {
	str value[ENCODING_SECTIONS + 1];
	bool there[ENCODING_SECTIONS + 1], extended[ENCODING_SECTIONS + 1];
};

static void collect(const struct param_list *l, str name, struct sections *out)
{
	for (size_t i = 0; i < l->n; i++) {
		u32 section;
		bool extended;
		if (!read_section(l->params[i].name, name, &section, &extended) ||
		    out->there[section])
			continue;
		out->there[section] = true;
		out->extended[section] = extended;
		out->value[section] = l->params[i].value;
	}
}

static void percent_decode(str text, struct buf *out)
{
	for (size_t i = 0; i < text.n; i++) {
		u8 byte = text.p[i];
		if (byte == '%' && text.n - i >= 3 && char_hex(text.p[i + 1]) >= 0 &&
		    char_hex(text.p[i + 2]) >= 0) {
			byte = (u8)(char_hex(text.p[i + 1]) << 4 | char_hex(text.p[i + 2]));
			i += 2;
		}
		buf_add_byte(out, byte);
	}
}

/* charset'language' off the first extended value; the charset is empty when it is not said. */
static str take_charset(str *value)
{
	struct scan s = scan_of(*value);
	str charset, language;

	if (!scan_until(&s, '\'', &charset) || !scan_byte(&s, '\'') || charset.n > PARAM_LANGUAGE ||
	    !scan_until(&s, '\'', &language) || language.n > PARAM_LANGUAGE || !scan_byte(&s, '\''))
		return STR_NONE;
	*value = s.rest;
	return charset;
}

static str finish_text(struct arena *a, str charset, const struct buf *bytes)
{
	struct buf *out = buf_new(a, ENCODING_PARAM);

	charset_to_utf8(charset, buf_str(bytes), out);
	if (out->n)
		encoding_blank_controls(out->p, out->n);
	return buf_str(out);
}

static str join(struct arena *a, const struct sections *s, size_t from, size_t to)
{
	struct buf *bytes = buf_new(a, ENCODING_PARAM);
	str charset = STR_NONE;

	for (size_t i = from; i < to && s->there[i]; i++) {
		str value = s->value[i];
		if (i == from && s->extended[i])
			charset = take_charset(&value);
		if (s->extended[i])
			percent_decode(value, bytes);
		else
			buf_add(bytes, value);
	}
	return finish_text(a, charset, bytes);
}

bool param_text(struct arena *a, const struct param_list *l, str name, str *out)
{
	struct sections *s = arena_new_of(a, struct sections);
	str plain;

	collect(l, name, s);
	if (s->there[ENCODING_SECTIONS]) {
		*out = join(a, s, ENCODING_SECTIONS, ENCODING_SECTIONS + 1);
		return true;
	}
	if (s->there[0]) {
		*out = join(a, s, 0, ENCODING_SECTIONS);
		return true;
	}
	if (!param_find(l, name, &plain))
		return false;
	*out = utf8_cut(words_decode(a, str_slice(plain, 0, ENCODING_PARAM)), ENCODING_PARAM);
	return true;
}
