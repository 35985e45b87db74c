/*
 * The command line: finds the command, its arguments and options by the table, runs it. Help leads with an example; a word that is
 * almost a command is met with "did you mean".
 */
#include "ctl/ctl.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/ctl_int.h"

enum { WORDS_MAX = 1100 };

const struct command ctl_commands[] = {
#define COMMAND(name_, function_, arguments_, fewest_, most_, options_, summary_, example_) \
	{ name_, ctl_##function_, arguments_, fewest_, most_, options_, summary_, example_ },
#include "ctl/command.tbl"
#undef COMMAND
};
const size_t ctl_commands_n = ARRAY_LEN(ctl_commands);

static const char global_options[] = "config= json help";

str ctl_option(const struct ctl *c, const char *name)
{
	str value = STR_NONE;

	for (size_t i = 0; i < c->options_n; i++)
		if (str_eq(c->options[i].name, str_cstr(name)))
			value = c->options[i].value;
	return value;
}

bool ctl_has(const struct ctl *c, const char *name)
{
	for (size_t i = 0; i < c->options_n; i++)
		if (str_eq(c->options[i].name, str_cstr(name)))
			return true;
	return false;
}

/* Words of a command's name that stand in front; 0 when it is another command. */
static size_t command_match(const struct command *k, const str *words, size_t n)
{
	str name = str_cstr(k->name);
	size_t space = str_find(name, ' ');

	if (n == 0 || !str_eq(words[0], str_slice(name, 0, space)))
		return 0;
	if (space == SIZE_MAX)
		return 1;
	return n > 1 && str_eq(words[1], str_skip(name, space + 1)) ? 2 : 0;
}

/* The first word of two: "user" of "user add". */
static bool command_is_of(const struct command *k, str group)
{
	str name = str_cstr(k->name);

	return str_starts(name, group) && str_starts(str_skip(name, group.n), S(" "));
}

static bool is_group(str word)
{
	for (size_t i = 0; i < ctl_commands_n; i++)
		if (command_is_of(&ctl_commands[i], word))
			return true;
	return false;
}

/* Edit distance (insert, delete, replace), for "did you mean"; words are short. */
static size_t distance(str a, str b)
{
	size_t row[64];

	if (a.n >= ARRAY_LEN(row) || b.n >= ARRAY_LEN(row))
		return SIZE_MAX;
	for (size_t j = 0; j <= b.n; j++)
		row[j] = j;
	for (size_t i = 1; i <= a.n; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= b.n; j++) {
			size_t best = diagonal + (a.p[i - 1] != b.p[j - 1]);
			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[b.n];
}

static enum exit_status unknown_command(struct ctl *c, const str *words, size_t n)
{
	str said = n > 1 ? str_format(c->arena, "%.*s %.*s", STR_ARG(words[0]), STR_ARG(words[1]))
			 : words[0];
	str advice = S("postern help");
	const char *near = NULL;
	size_t best = words[0].n / 2 + 1 < 4 ? words[0].n / 2 + 1 : 4;

	for (size_t i = 0; i < ctl_commands_n; i++) {
		str name = str_cstr(ctl_commands[i].name);
		size_t whole = distance(said, name), first = distance(words[0], name);
		size_t d = whole < first ? whole : first;
		if (d < best) {
			best = d;
			near = ctl_commands[i].name;
		}
	}
	if (near)
		advice = str_format(c->arena, "did you mean: postern %s", near);
	else if (is_group(words[0]))
		advice = str_format(c->arena, "postern help %.*s", STR_ARG(words[0]));
	return ctl_error(c, EXIT_USAGE, "E1001",
			 str_format(c->arena, "there is no command \"%.*s\"", STR_ARG(said)),
			 STR_NONE, advice);
}

/* Is `name` in a table's list of options? *has_value: it ends in '='. */
static bool option_known(const char *list, str name, bool *has_value)
{
	str rest = str_cstr(list);

	while (rest.n) {
		size_t n = str_find(rest, ' ');
		str word = str_slice(rest, 0, n);
		rest = n == SIZE_MAX ? STR_NONE : str_skip(rest, n + 1);
		*has_value = word.n && word.p[word.n - 1] == '=';
		if (*has_value)
			word.n--;
		if (str_eq(word, name))
			return true;
	}
	return false;
}

static enum exit_status usage(struct ctl *c, str what)
{
	const struct command *k = c->command;

	return ctl_error(c, EXIT_USAGE, "E1002", what,
			 str_format(c->arena, "usage: postern %s %s", k->name, k->arguments),
			 str_format(c->arena, "postern help %s", k->name));
}

/* One "--name", "--name=value" or "--name value"; *at stands on it and is moved past its value. */
static enum exit_status take_option(struct ctl *c, const char *known, const str *words, size_t n,
				    size_t *at)
{
	str word = str_eq(words[*at], S("-h")) ? S("--help") : words[*at];
	size_t equals = str_find(word, '=');
	str said = str_slice(word, 0, equals);
	struct ctl_option o = { .name = str_skip(said, 2), .value = S("") };
	bool has_value;

	if (!str_starts(said, S("--")) || (!option_known(known, o.name, &has_value) &&
					   !option_known(global_options, o.name, &has_value)))
		return usage(c, str_format(c->arena, "unknown option %.*s", STR_ARG(said)));
	if (!has_value && equals != SIZE_MAX)
		return usage(c, str_format(c->arena, "--%.*s takes no value", STR_ARG(o.name)));
	if (has_value && equals != SIZE_MAX)
		o.value = str_skip(word, equals + 1);
	else if (has_value && ++*at < n)
		o.value = words[*at];
	else if (has_value)
		return usage(c, str_format(c->arena, "--%.*s needs a value", STR_ARG(o.name)));
	if (c->options_n == CTL_OPTIONS)
		return usage(c, S("too many options"));
	c->options[c->options_n++] = o;
	return EXIT_OK;
}

static enum exit_status parse(struct ctl *c, const str *words, size_t n)
{
	str *arguments = arena_array_of(c->arena, n, str);
	bool all_arguments = false; /* after "--" */

	for (size_t i = 0; i < n; i++) {
		bool option = !all_arguments && words[i].n > 1 && words[i].p[0] == '-';
		enum exit_status e;

		if (option && str_eq(words[i], S("--"))) {
			all_arguments = true;
		} else if (option) {
			e = take_option(c, c->command->options, words, n, &i);
			if (e)
				return e;
		} else {
			arguments[c->arguments_n++] = words[i];
		}
	}
	c->arguments = arguments;
	if (ctl_has(c, "config"))
		c->config_path = ctl_option(c, "config");
	if (ctl_has(c, "help"))
		return EXIT_OK;
	if (c->arguments_n < c->command->fewest)
		return usage(c, S("something is missing"));
	if (c->arguments_n > c->command->most)
		return usage(c, S("too many arguments"));
	return EXIT_OK;
}

static enum exit_status help_for(struct ctl *c, const struct command *k)
{
	str rest = str_cstr(k->options);
	struct buf *out = buf_new(c->arena, 64 * 1024);

	buf_printf(out, "%s.\n\n  $ %s\n\nUsage: postern %s %s\n", k->summary, k->example, k->name,
		   k->arguments);
	while (rest.n) {
		size_t n = str_find(rest, ' ');
		str word = str_slice(rest, 0, n);
		rest = n == SIZE_MAX ? STR_NONE : str_skip(rest, n + 1);
		buf_printf(out, "  --%.*s%s\n", STR_ARG(word), str_has(word, '=') ? "VALUE" : "");
	}
	buf_printf(out, "  --config=FILE  instead of /etc/postern.conf\n"
			"  --json         output for programs\n");
	ctl_print(buf_str(out));
	return EXIT_OK;
}

static void add_line(struct buf *out, const struct command *k)
{
	buf_printf(out, "  %-16s %s\n", k->name, k->summary);
}

static enum exit_status help_for_group(struct ctl *c, str group)
{
	struct buf *out = buf_new(c->arena, 64 * 1024);

	for (size_t i = 0; i < ctl_commands_n; i++)
		if (command_is_of(&ctl_commands[i], group))
			add_line(out, &ctl_commands[i]);
	buf_printf(out, "\npostern help COMMAND explains one.\n");
	ctl_print(buf_str(out));
	return EXIT_OK;
}

enum exit_status ctl_help(struct ctl *c)
{
	struct buf *out = buf_new(c->arena, 64 * 1024);

	for (size_t i = 0; c->arguments_n && i < ctl_commands_n; i++)
		if (command_match(&ctl_commands[i], c->arguments, c->arguments_n))
			return help_for(c, &ctl_commands[i]);
	if (c->arguments_n == 1 && is_group(c->arguments[0]))
		return help_for_group(c, c->arguments[0]);
	if (c->arguments_n)
		return unknown_command(c, c->arguments, c->arguments_n);
	buf_printf(out,
		   "Postern, a complete e-mail system.\n\n"
		   "  $ postern dev                   try it: a throwaway instance on loopback\n"
		   "  # postern setup example.org     install it for a domain\n\nCommands:\n");
	for (size_t i = 0; i < ctl_commands_n; i++)
		add_line(out, &ctl_commands[i]);
	buf_printf(out, "\npostern help COMMAND explains one. Exit status:\n");
#define EXIT(name, status, meaning) buf_printf(out, "  %2d %s\n", status, meaning);
#include "ctl/exit.tbl"
#undef EXIT
	ctl_print(buf_str(out));
	return EXIT_OK;
}

enum exit_status ctl_version(struct ctl *c)
{
	ctl_print(c->json ? S("{\"version\":\"" POSTERN_VERSION "\"}\n")
			  : S("postern " POSTERN_VERSION "\n"));
	return EXIT_OK;
}

static enum exit_status run(struct ctl *c, const str *words, size_t n)
{
	enum exit_status e;

	for (size_t i = 0; i < ctl_commands_n; i++) {
		size_t taken = command_match(&ctl_commands[i], words, n);
		if (taken == 0)
			continue;
		c->command = &ctl_commands[i];
		e = parse(c, words + taken, n - taken);
		if (e)
			return e;
		return ctl_has(c, "help") ? help_for(c, c->command) : c->command->run(c);
	}
	return unknown_command(c, words, n);
}

/* Known before anything else, so that a usage error is JSON too. */
static bool wants_json(const str *words, size_t n)
{
	for (size_t i = 0; i < n && !str_eq(words[i], S("--")); i++)
		if (str_eq(words[i], S("--json")))
			return true;
	return false;
}

int ctl_main(int argc, char **argv)
{
	struct arena *a = arena_new(CTL_ARENA);
	struct ctl *c = arena_new_of(a, struct ctl);
	str words[WORDS_MAX];
	size_t n = 0;
	enum exit_status e;

	c->arena = a;
	c->config_path = S("/etc/postern.conf");
	for (int i = 1; i < argc && n < WORDS_MAX; i++)
		words[n++] = str_cstr(argv[i]);
	c->json = wants_json(words, n);
	if (n == 0 || str_eq(words[0], S("--help")) || str_eq(words[0], S("-h")))
		e = ctl_help(c);
	else if (str_eq(words[0], S("--version")))
		e = ctl_version(c);
	else
		e = run(c, words, n);
	arena_free(&a);
	return (int)e;
}
