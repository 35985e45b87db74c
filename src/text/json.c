#include "text/json.h"

#include "base/chars.h"
#include "text/shown.h"
#include "text/utf8.h"

static void value(struct json *j)
{
	if (j->comma)
		buf_add(j->out, S(","));
	j->comma = true;
}

static void open_with(struct json *j, u8 bracket)
{
	value(j);
	buf_add_byte(j->out, bracket);
	j->comma = false;
}

static void close_with(struct json *j, u8 bracket)
{
	buf_add_byte(j->out, bracket);
	j->comma = true;
}

void json_object(struct json *j)
{
	open_with(j, '{');
}

void json_object_end(struct json *j)
{
	close_with(j, '}');
}

void json_array(struct json *j)
{
	open_with(j, '[');
}

void json_array_end(struct json *j)
{
	close_with(j, ']');
}

void json_key(struct json *j, const char *name)
{
	value(j);
	buf_printf(j->out, "\"%s\":", name);
	j->comma = false;
}

/* What a terminal would obey is escaped too, so that JSON can be looked at. All such characters have four digits. */
static void add_character(struct buf *out, u32 code, str bytes)
{
	if (code == '"' || code == '\\')
		buf_printf(out, "\\%c", (char)code);
	else if (code == '\n')
		buf_add(out, S("\\n"));
	else if (shown_is_hidden(code))
		buf_printf(out, "\\u%04x", code);
	else
		buf_add(out, bytes);
}

void json_str(struct json *j, str s)
{
	value(j);
	buf_add(j->out, S("\""));
	for (size_t i = 0, n; i < s.n; i += n) {
		u32 code;
		n = 1;
		if (char_is(s.p[i], CHAR_PLAIN))
			buf_add_byte(j->out, s.p[i]);
		else if (utf8_next(s, i, &code, &n))
			add_character(j->out, code, str_slice(s, i, i + n));
		else
			buf_add(j->out, S("\xEF\xBF\xBD"));
	}
	buf_add(j->out, S("\""));
}

void json_u64(struct json *j, u64 number)
{
	value(j);
	buf_add_u64(j->out, number);
}

void json_i64(struct json *j, i64 number)
{
	value(j);
	if (number < 0)
		buf_add_byte(j->out, '-');
	buf_add_u64(j->out, number < 0 ? -(u64)number : (u64)number);
}

void json_bool(struct json *j, bool truth)
{
	value(j);
	buf_add(j->out, truth ? S("true") : S("false"));
}

void json_null(struct json *j)
{
	value(j);
	buf_add(j->out, S("null"));
}

void json_raw(struct json *j, str json)
{
	value(j);
	buf_add(j->out, json);
}
