/*
 * The configuration file: a small, strict subset of TOML 1.0. See config.h.
 *
 *	file    = *( *WSP [ section / setting ] [ comment ] newline )
 *	section = "[" name "]"
 *	setting = name "=" ( text / bare / list )     ; names of config.tbl
 *	text    = DQUOTE *( any but DQUOTE, backslash, control / "\" DQUOTE / "\\" ) DQUOTE
 *	bare    = 1*( ALPHA / DIGIT )                 ; a number, true, false
 *	list    = "[" [ text *( "," text ) [ "," ] ] "]"   ; may go over lines, with comments
 *
 * A file that says something twice, or something unknown, is refused: a setting that is silently not in force is worse than
 * a server that does not start.
 */
#include "config/config.h"

#include "base/arena.h"
#include "base/scan.h"
#include "config/setting.h"

enum { FILE_MAX = 1 << 20, LIST_MAX = 256, SHOWN = 80 };

struct parser {
	struct arena *arena;
	str name; /* of the file */
	struct scan scan;
	unsigned line;
	str section;
	struct config *config;
	bool *seen;   /* by index in settings */
	bool *opened; /* sections, by the index of their first setting */
};

static const struct fail *complain(struct parser *p, const char *what, str about)
{
	return fail_new(p->arena, FAIL_SYNTAX, "%.*s:%u: %s%.*s", STR_ARG(p->name), p->line, what,
			STR_ARG(str_slice(about, 0, SHOWN)));
}

static void skip_comment(struct parser *p)
{
	scan_wsp0(&p->scan);
	if (scan_peek(&p->scan) != '#')
		return;
	while (scan_peek(&p->scan) != '\n' && !scan_end(&p->scan))
		p->scan.rest = str_skip(p->scan.rest, 1);
}

/* LF, CRLF or the end. */
static bool skip_newline(struct parser *p)
{
	struct scan saved = p->scan;

	scan_byte(&p->scan, '\r');
	if (scan_byte(&p->scan, '\n')) {
		p->line++;
		return true;
	}
	p->scan = saved;
	return scan_end(&p->scan);
}

static void skip_blank(struct parser *p)
{
	do
		skip_comment(p);
	while (!scan_end(&p->scan) && skip_newline(p));
}

static bool name_byte(int byte)
{
	return byte >= 0 && (char_is((u8)byte, CHAR_ALPHA | CHAR_DIGIT) || byte == '_');
}

static str scan_name(struct parser *p)
{
	str all = p->scan.rest;
	size_t n = 0;

	while (n < all.n && name_byte(all.p[n]))
		n++;
	p->scan.rest = str_skip(all, n);
	return str_slice(all, 0, n);
}

/* What stands there, to show in a complaint: the rest of the line. */
static str rest_of_line(const struct parser *p)
{
	return str_trim(str_slice(p->scan.rest, 0, str_find(p->scan.rest, '\n')));
}

static const struct fail *text_parse(struct parser *p, str *out)
{
	struct buf *text = buf_new(p->arena, FILE_MAX);
	int byte;

	scan_byte(&p->scan, '"');
	while ((byte = scan_peek(&p->scan)) != '"') {
		if (byte < 0 || byte == '\n' || byte == '\r')
			return complain(p, "a text without its closing quote", STR_NONE);
		if (byte == '\\') {
			scan_byte(&p->scan, '\\');
			byte = scan_peek(&p->scan);
			if (byte != '"' && byte != '\\')
				return complain(p, "after \\ only \" or \\ can stand", STR_NONE);
		}
		if (char_is((u8)byte, CHAR_CTL))
			return complain(p, "a control character in a text", STR_NONE);
		buf_add_byte(text, (u8)byte);
		p->scan.rest = str_skip(p->scan.rest, 1);
	}
	scan_byte(&p->scan, '"');
	*out = buf_str(text);
	return str_is_utf8(*out) ? NULL : complain(p, "a text that is not UTF-8", STR_NONE);
}

static const struct fail *list_parse(struct parser *p, struct str_list *out)
{
	str *items = arena_array_of(p->arena, LIST_MAX, str);

	*out = (struct str_list){ items, 0 };
	scan_byte(&p->scan, '[');
	for (skip_blank(p); !scan_byte(&p->scan, ']'); skip_blank(p)) {
		if (scan_peek(&p->scan) != '"')
			return complain(p, "a list: expected a text in quotes or ], not ",
					rest_of_line(p));
		if (out->n == LIST_MAX)
			return complain(p, "a list that is too long", STR_NONE);
		TRY(text_parse(p, &items[out->n++]));
		skip_blank(p);
		if (!scan_byte(&p->scan, ',') && scan_peek(&p->scan) != ']')
			return complain(p, "a list: expected , or ], not ", rest_of_line(p));
	}
	return NULL;
}

static const struct fail *value_parse(struct parser *p, struct value *v)
{
	*v = (struct value){ .kind = VALUE_BARE };
	switch (scan_peek(&p->scan)) {
	case '"':
		v->kind = VALUE_TEXT;
		return text_parse(p, &v->text);
	case '[':
		v->kind = VALUE_LIST;
		return list_parse(p, &v->list);
	default:
		v->text = scan_name(p);
		return v->text.n ? NULL : complain(p, "expected a value, not ", rest_of_line(p));
	}
}

static const struct fail *refuse(struct parser *p, unsigned line, const struct setting *s,
				 const char *rule, const struct value *v)
{
	struct buf *what = buf_new(p->arena, 300);

	if (rule)
		buf_add(what, str_cstr(rule));
	else
		setting_expected(what, s);
	if (v->kind == VALUE_LIST)
		return fail_new(p->arena, FAIL_SYNTAX, "%.*s:%u: %.*s.%.*s: expected %.*s",
				STR_ARG(p->name), line, STR_ARG(s->section), STR_ARG(s->name),
				STR_ARG(buf_str(what)));
	return fail_new(p->arena, FAIL_SYNTAX, "%.*s:%u: %.*s.%.*s: expected %.*s, not \"%.*s\"",
			STR_ARG(p->name), line, STR_ARG(s->section), STR_ARG(s->name),
			STR_ARG(buf_str(what)), STR_ARG(str_slice(v->text, 0, SHOWN)));
}

static const struct fail *setting_parse(struct parser *p)
{
	unsigned line = p->line;
	str name = scan_name(p);
	const struct setting *s = setting_find(p->section, name);
	const char *rule;
	struct value v;

	if (name.n == 0)
		return complain(p, "expected NAME = VALUE or [SECTION], not ", rest_of_line(p));
	if (p->section.n == 0)
		return complain(p, "a setting before the first [SECTION]: ", name);
	if (s == NULL)
		return fail_new(p->arena, FAIL_SYNTAX,
				"%.*s:%u: section [%.*s] has no setting \"%.*s\"", STR_ARG(p->name),
				line, STR_ARG(p->section), STR_ARG(str_slice(name, 0, SHOWN)));
	if (p->seen[s - settings])
		return complain(p, "set a second time: ", name);
	p->seen[s - settings] = true;
	if (!(scan_wsp0(&p->scan) && scan_byte(&p->scan, '=') && scan_wsp0(&p->scan)))
		return complain(p, "expected = after ", name);
	TRY(value_parse(p, &v));
	if (!setting_assign(p->arena, p->config, s, &v))
		return refuse(p, line, s, NULL, &v);
	rule = setting_rule(p->config, s);
	return rule ? refuse(p, line, s, rule, &v) : NULL;
}

/* The index of its first setting; SIZE_MAX: there is no such section. */
static size_t section_find(str name)
{
	for (size_t i = 0; i < settings_n; i++)
		if (str_eq(settings[i].section, name))
			return i;
	return SIZE_MAX;
}

static const struct fail *section_parse(struct parser *p)
{
	size_t first;

	scan_byte(&p->scan, '[');
	p->section = scan_name(p);
	if (!scan_byte(&p->scan, ']'))
		return complain(p, "expected [SECTION], not [", p->section);
	first = section_find(p->section);
	if (first == SIZE_MAX)
		return complain(p, "there is no section ", p->section);
	if (p->opened[first])
		return complain(p, "the section stands there a second time: ", p->section);
	p->opened[first] = true;
	return NULL;
}

static const struct fail *line_parse(struct parser *p)
{
	TRY(arena_check(p->arena));
	TRY(scan_peek(&p->scan) == '[' ? section_parse(p) : setting_parse(p));
	skip_comment(p);
	if (!skip_newline(p))
		return complain(p, "expected the end of the line, not ", rest_of_line(p));
	return NULL;
}

const struct fail *config_parse(struct arena *a, str name, str text, struct config **out)
{
	struct parser p = { .arena = a,
			    .name = name,
			    .scan = scan_of(text),
			    .line = 1,
			    .config = config_default(a),
			    .seen = arena_array_of(a, settings_n, bool),
			    .opened = arena_array_of(a, settings_n, bool) };

	if (text.n > FILE_MAX)
		return complain(&p, "a file of more than 1 MiB", STR_NONE);
	if (str_starts(text, S("\xEF\xBB\xBF"))) /* nobody would see what is wrong with the line */
		return complain(&p, "a byte order mark: save the file as UTF-8 without one",
				STR_NONE);
	for (skip_blank(&p); !scan_end(&p.scan); skip_blank(&p))
		TRY(line_parse(&p));
	*out = p.config;
	return NULL;
}

const struct fail *config_load(struct arena *a, str name, str text, struct config **out)
{
	const struct fail *f;

	TRY(config_parse(a, name, text, out));
	f = config_check(a, *out);
	return f ? fail_new(a, f->what, "%.*s: %.*s", STR_ARG(name), STR_ARG(f->text)) : NULL;
}
