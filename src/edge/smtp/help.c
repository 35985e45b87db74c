/* HELP: the commands that would be good here, or one of them (RFC 5321 4.1.1.8); both from the tables. */
#include "edge/smtp/smtp_int.h"

enum { HELP_BYTES = 480 };

static struct reply help_one(struct smtp *s, enum smtp_verb verb)
{
	return (struct reply){ .code = 214,
			       .enhanced = S("2.0.0"),
			       .text = str_format(smtp_turn_arena(s), "%.*s (%s)",
						  STR_ARG(smtp_verb_syntax(verb)),
						  smtp_verbs[verb].section) };
}

struct reply smtp_verb_help(struct smtp *s, struct scan *argument)
{
	struct buf *names = buf_new(smtp_turn_arena(s), HELP_BYTES);

	for (enum smtp_verb v = SMTP_UNKNOWN + 1; v < SMTP_VERBS; v++) {
		if (!smtp_verb_offered(s, v))
			continue;
		if (str_eq_nocase(argument->rest, smtp_verb_name(v)))
			return help_one(s, v);
		if (names->n > 0)
			buf_add_byte(names, ' ');
		buf_add(names, smtp_verb_name(v));
	}
	return (struct reply){ .code = 214, .enhanced = S("2.0.0"), .text = buf_str(names) };
}
