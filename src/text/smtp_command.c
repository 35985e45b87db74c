#include "text/smtp_command.h"

#include "base/arena.h"
#include "base/check.h"

enum argument_rule { ARGUMENT_NONE, ARGUMENT_SOME, ARGUMENT_ANY };

static const struct {
	str name, syntax;
	enum argument_rule argument;
} verbs[] = {
	[SMTP_UNKNOWN] = { S(""), S(""), ARGUMENT_ANY },
#define COMMAND(verb, argument, rfc, syntax) \
	[SMTP_##verb] = { S(#verb), S(syntax), ARGUMENT_##argument },
#include "text/smtp_command.tbl"
#undef COMMAND
};

str smtp_verb_name(enum smtp_verb verb)
{
	CHECK((unsigned)verb < SMTP_VERBS);
	return verbs[verb].name;
}

str smtp_verb_syntax(enum smtp_verb verb)
{
	CHECK((unsigned)verb < SMTP_VERBS);
	return verbs[verb].syntax;
}

static bool has_control(str line)
{
	for (size_t i = 0; i < line.n; i++)
		if (char_is(line.p[i], CHAR_CTL))
			return true;
	return false;
}

static enum smtp_verb verb_of(str word)
{
	for (unsigned i = 1; i < SMTP_VERBS; i++)
		if (str_eq_nocase(verbs[i].name, word))
			return (enum smtp_verb)i;
	return SMTP_UNKNOWN;
}

const struct fail *smtp_command_parse(struct arena *a, str line, struct smtp_command *out)
{
	size_t space = str_find(line, ' ');
	enum argument_rule rule;

	*out = (struct smtp_command){ .word = str_slice(line, 0, space) };
	if (has_control(line))
		return fail_code(a, FAIL_SYNTAX, "5.5.2", "control character in command");
	if (space != SIZE_MAX)
		out->argument = str_trim(str_skip(line, space + 1));
	out->verb = verb_of(out->word);
	rule = verbs[out->verb].argument;
	if ((rule == ARGUMENT_NONE && out->argument.n) ||
	    (rule == ARGUMENT_SOME && !out->argument.n))
		return fail_code(a, FAIL_SYNTAX, "5.5.4", "syntax: %.*s",
				 STR_ARG(verbs[out->verb].syntax));
	return NULL;
}

const struct fail *smtp_bdat_parse(struct arena *a, str argument, u64 *size, bool *last)
{
	struct scan s = scan_of(argument);

	/* THREATS S05: a number past 64 bits is no number. */
	if (!scan_u64(&s, size))
		return fail_code(a, FAIL_SYNTAX, "5.5.4", "syntax: BDAT size [LAST]");
	*last = scan_sp(&s) && scan_lit(&s, S("LAST"));
	if (!scan_end(&s))
		return fail_code(a, FAIL_SYNTAX, "5.5.4", "syntax: BDAT size [LAST]");
	return NULL;
}

const struct fail *smtp_ehlo_parse(struct arena *a, str argument, str *name)
{
	enum address_family family;
	u8 bytes[16];

	*name = argument;
	if (address_literal(argument, &family, bytes) || domain_is_valid(argument, true, true))
		return NULL;
	return fail_code(a, FAIL_SYNTAX, "5.5.4", "a host name or address literal is needed");
}

const struct fail *smtp_auth_parse(struct arena *a, str argument, str *mechanism, bool *has_initial,
				   str *initial)
{
	size_t space = str_find(argument, ' ');
	str name = str_slice(argument, 0, space);
	u8 *p = arena_alloc(a, SMTP_MECHANISM);

	*initial = str_trim(str_skip(argument, name.n));
	*has_initial = initial->n > 0;
	*mechanism = str_from(p, name.n);
	if (name.n == 0 || name.n > SMTP_MECHANISM || str_has(*initial, ' '))
		return fail_code(a, FAIL_SYNTAX, "5.5.4",
				 "syntax: AUTH mechanism [initial-response]");
	for (size_t i = 0; i < name.n; i++) { /* RFC 4422 3.1 */
		p[i] = char_upper(name.p[i]);
		if (!char_is(p[i], CHAR_ALPHA | CHAR_DIGIT) && p[i] != '-' && p[i] != '_')
			return fail_code(a, FAIL_SYNTAX, "5.5.4", "bad mechanism name");
	}
	return NULL;
}
