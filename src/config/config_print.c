/* The configuration for people: sample file, what is in force, manual page. See config.h. */
#include "base/arena.h"
#include "config/setting.h"

enum { WRAP = 90, PRINT_ARENA = 4 << 20 };

/* "# " and the words, at most WRAP bytes a line. */
static void comment(struct buf *out, str words)
{
	size_t column = 0;

	while (words.n) {
		size_t end = str_find(words, ' ');
		str word = str_slice(words, 0, end);

		if (column && column + 1 + word.n > WRAP) {
			buf_add_byte(out, '\n');
			column = 0;
		}
		buf_add(out, column ? S(" ") : S("# "));
		buf_add(out, word);
		column += word.n + (column ? 1 : 2);
		words = str_skip(words, end == SIZE_MAX ? words.n : end + 1);
	}
	buf_add_byte(out, '\n');
}

/* True when settings[i] is the first of its section. */
static bool section_starts(size_t i)
{
	return i == 0 || !str_eq(settings[i].section, settings[i - 1].section);
}

static void section_print(struct buf *out, str section)
{
	if (out->n)
		buf_add_byte(out, '\n');
	buf_printf(out, "[%.*s]\n", STR_ARG(section));
}

void config_print_sample(struct buf *out)
{
	struct arena *a = arena_new(PRINT_ARENA);
	const struct config *c = config_default(a);

	buf_add(out, S("# Postern: every setting, with its default. Take away a # to set one.\n"));
	for (size_t i = 0; i < settings_n; i++) {
		const struct setting *s = &settings[i];

		if (section_starts(i))
			section_print(out, s->section);
		buf_add_byte(out, '\n');
		comment(out, s->help);
		buf_printf(out, "#%.*s = ", STR_ARG(s->name));
		setting_print(out, c, s);
		buf_add_byte(out, '\n');
	}
	arena_free(&a);
}

void config_print(struct buf *out, const struct config *c, bool all)
{
	struct arena *a = arena_new(PRINT_ARENA);
	str section = STR_NONE;

	for (size_t i = 0; i < settings_n; i++) {
		const struct setting *s = &settings[i];

		if (!all && setting_is_default(a, c, s))
			continue;
		if (!str_eq(section, s->section))
			section_print(out, s->section);
		section = s->section;
		buf_printf(out, "%.*s = ", STR_ARG(s->name));
		setting_print(out, c, s);
		buf_add_byte(out, '\n');
		arena_reset(a);
	}
	arena_free(&a);
}

/* {"server": {"hostname": "..."}, ...} */
void config_print_json(struct buf *out, const struct config *c, bool all)
{
	struct arena *a = arena_new(PRINT_ARENA);
	struct json j = json_to(out);
	str section = STR_NONE;

	json_object(&j);
	for (size_t i = 0; i < settings_n; i++) {
		const struct setting *s = &settings[i];

		if (!all && setting_is_default(a, c, s))
			continue;
		if (!str_eq(section, s->section)) {
			if (section.n)
				json_object_end(&j);
			json_key(&j, (const char *)s->section.p);
			json_object(&j);
		}
		section = s->section;
		json_key(&j, (const char *)s->name.p);
		setting_print_json(&j, c, s);
		arena_reset(a);
	}
	if (section.n)
		json_object_end(&j);
	json_object_end(&j);
	buf_add_byte(out, '\n');
	arena_free(&a);
}

/* In roff a line that begins with . or ' is a request, and \ is special everywhere. */
static void roff(struct buf *out, str text)
{
	if (text.n && (text.p[0] == '.' || text.p[0] == '\''))
		buf_add(out, S("\\&"));
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '\\')
			buf_add(out, S("\\e"));
		else
			buf_add_byte(out, text.p[i]);
	}
	buf_add_byte(out, '\n');
}

void config_print_manual(struct buf *out)
{
	struct arena *a = arena_new(PRINT_ARENA);
	const struct config *c = config_default(a);
	struct buf *line = buf_new(a, 1 << 16);

	for (size_t i = 0; i < settings_n; i++) {
		const struct setting *s = &settings[i];

		if (section_starts(i))
			buf_printf(out, "%s.Ss [%.*s]\n.Bl -tag -width Ds\n", i ? ".El\n" : "",
				   STR_ARG(s->section));
		buf_printf(out, ".It Ic %.*s\n", STR_ARG(s->name));
		roff(out, s->help);
		buf_add(out, S("Expects "));
		setting_expected(line, s);
		buf_add(line, S(". Default: "));
		setting_print(line, c, s);
		roff(out, buf_str(line));
		buf_reset(line);
	}
	buf_add(out, S(".El\n"));
	arena_free(&a);
}
