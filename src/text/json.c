#include "text/json.h"

#include "base/chars.h"

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

static void add_ascii(struct buf *out, u8 byte)
{
	if (byte == '"' || byte == '\\')
		buf_printf(out, "\\%c", byte);
	else if (byte == '\n')
		buf_add(out, S("\\n"));
	else if (char_is(byte, CHAR_CTL))
		buf_printf(out, "\\u%04x", byte);
	else
		buf_add_byte(out, byte);
}

/* Length of the UTF-8 character at the start of s; 0 when there is none. */
static size_t character(str s)
{
	for (size_t n = 2; n <= 4 && n <= s.n; n++)
		if (str_is_utf8(str_slice(s, 0, n)))
			return n;
	return 0;
}

void json_str(struct json *j, str s)
{
	value(j);
	buf_add(j->out, S("\""));
	while (s.n) {
		size_t n = 1;
		if (s.p[0] < 0x80) {
			add_ascii(j->out, s.p[0]);
		} else if ((n = character(s)) != 0) {
			buf_add(j->out, str_slice(s, 0, n));
		} else {
			buf_add(j->out, S("\xEF\xBF\xBD"));
			n = 1;
		}
		s = str_skip(s, n);
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
