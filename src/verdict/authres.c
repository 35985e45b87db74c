/* Writing Authentication-Results (RFC 8601 2.2), and reading them for people. */
#include "verdict/authres.h"

#include "base/arena.h"
#include "base/scan.h"
#include "text/encoding.h"
#include "text/token.h"

/* --- Writing ------------------------------------------------------------------------------------------------- */

static bool is_plain(str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!char_is(s.p[i], CHAR_LDH) && s.p[i] != '.' && s.p[i] != '_')
			return false;
	return s.n > 0;
}

/* RFC 8601 2.2 pvalue: a name, or [local]@name, bare; anything else as a quoted string. */
static bool needs_no_quotes(str value)
{
	size_t at = str_find(value, '@');

	if (at == SIZE_MAX)
		return is_plain(value);
	return is_plain(str_skip(value, at + 1)) && (at == 0 || is_plain(str_slice(value, 0, at)));
}

static void add_quoted(struct buf *out, str text)
{
	buf_add_byte(out, '"');
	for (size_t i = 0; i < text.n; i++) {
		u8 byte = text.p[i];
		if (byte == '"' || byte == '\\')
			buf_add_byte(out, '\\');
		buf_add_byte(out, char_is(byte, CHAR_VCHAR) || byte == ' ' ? byte : '?');
	}
	buf_add_byte(out, '"');
}

static void add_pair(struct authres_printer *p, const char *name, str value, bool quote)
{
	struct buf piece;

	value = str_slice(value, 0, AUTHRES_VALUE);
	buf_init(&piece, HEADER_LINE_HARD);
	buf_add(&piece, str_cstr(name));
	buf_add_byte(&piece, '=');
	if (!quote && needs_no_quotes(value))
		buf_add(&piece, value);
	else
		add_quoted(&piece, value);
	header_add(p->h, buf_str(&piece));
	buf_free(&piece);
}

void authres_start(struct authres_printer *p, struct header_builder *h, str id)
{
	*p = (struct authres_printer){ .h = h };
	header_start(h, S("Authentication-Results"));
	header_add(h, id);
}

void authres_result(struct authres_printer *p, const char *method, str result, str comment,
		    str reason)
{
	p->any = true;
	header_add_close(p->h, S(";"));
	add_pair(p, method, result, false);
	if (comment.n)
		header_add_comment(p->h, str_slice(comment, 0, AUTHRES_VALUE));
	if (reason.n)
		add_pair(p, "reason", reason, true);
}

void authres_property(struct authres_printer *p, const char *name, str value)
{
	size_t at = str_find_last(value, '@');

	if (!str_is_ascii(value) && at != SIZE_MAX)
		value = str_skip(value, at);
	if (value.n > 0)
		add_pair(p, name, value, false);
}

void authres_end(struct authres_printer *p)
{
	if (!p->any)
		header_add_close(p->h, S("; none"));
	header_end(p->h);
}

/* --- Reading ------------------------------------------------------------------------------------------------- */

static bool ends_word(u8 byte)
{
	return byte == ';' || byte == '=' || byte == '(' || byte == '"' ||
	       char_is(byte, CHAR_WSP | CHAR_CRLF);
}

/* A quoted string or a run of bytes; false at ';', '=' and the end. */
static bool take_word(struct arena *a, struct scan *s, str *out, bool *broken)
{
	size_t n = 0;

	token_cfws0(s, broken);
	if (scan_peek(s) == '"') {
		struct buf *text = buf_new(a, s->rest.n + 1);
		token_quoted(s, text, broken);
		*out = token_clean(a, buf_str(text));
		return true;
	}
	while (n < s->rest.n && !ends_word(s->rest.p[n]))
		n++;
	if (n == 0)
		return false;
	*out = token_clean(a, str_slice(s->rest, 0, n));
	s->rest = str_skip(s->rest, n);
	return true;
}

static bool take_pair(struct arena *a, struct scan *s, str *name, str *value, bool *broken)
{
	if (!take_word(a, s, name, broken))
		return false;
	*value = STR_NONE;
	token_cfws0(s, broken);
	if (scan_byte(s, '=') && take_word(a, s, value, broken))
		return true;
	*broken = true;
	return true;
}

static void take_result(struct arena *a, struct scan *s, struct authres_result_read *r,
			bool *broken)
{
	str name, value;

	if (!take_pair(a, s, &r->method, &r->result, broken))
		return;
	while (take_pair(a, s, &name, &value, broken)) {
		if (str_eq_nocase(name, S("reason")))
			r->reason = value;
		else if (r->properties_n < AUTHRES_PROPERTIES)
			r->properties[r->properties_n++] =
			    (struct authres_property_read){ name, value };
	}
}

/* Past what is left of a result; true when another one follows. */
static bool next_result(struct scan *s, bool *broken)
{
	for (;;) {
		token_cfws0(s, broken);
		if (scan_end(s))
			return false;
		if (scan_byte(s, ';'))
			return true;
		*broken = true;
		s->rest = str_skip(s->rest, 1);
	}
}

/* As many as there can be: each stands behind a ';'. They are large, and a field has two or three. */
static size_t results_room(str value)
{
	size_t n = 0;

	for (size_t i = 0; i < value.n && n < AUTHRES_RESULTS; i++)
		n += value.p[i] == ';';
	return n;
}

void authres_parse(struct arena *a, str value, struct authres *out)
{
	size_t room = results_room(value);
	struct authres_result_read *results = arena_array_of(a, room, struct authres_result_read);
	struct scan s = scan_of(value);
	bool *broken = &out->broken;

	*out = (struct authres){ .results = results };
	take_word(a, &s, &out->id, broken);
	if (next_result(&s, &(bool){ false })) /* a version may stand there */
		while (out->results_n < room) {
			struct authres_result_read *r = &results[out->results_n];
			take_result(a, &s, r, broken);
			if (r->method.n > 0 &&
			    !(r->result.n == 0 && str_eq_nocase(r->method, S("none"))))
				out->results_n++;
			if (!next_result(&s, broken))
				return;
		}
}
