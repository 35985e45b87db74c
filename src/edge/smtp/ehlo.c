/*
 * EHLO, HELO, LHLO: who the client says it is, and what we offer (extension.tbl).
 * RFC 5321 4.1.1.1, 4.1.4; RFC 2033 4.1 (LHLO). The name is kept for Received and believed in nothing.
 */
#include <string.h>

#include "edge/smtp/smtp_int.h"

enum { EHLO_LINES = 16 };

struct extension {
	str keyword;
	unsigned allows; /* enum smtp_extension */
	enum smtp_verb verb;
	str (*arguments)(struct smtp *s); /* NULL: none */
};

/* RFC 1870 4 */
static str print_size(struct smtp *s)
{
	return str_format(smtp_turn_arena(s), "%llu",
			  (unsigned long long)smtp_config(s)->mail_size);
}

/* RFC 9422 4 */
static str print_limits(struct smtp *s)
{
	return str_format(smtp_turn_arena(s), "MAILMAX=%d RCPTMAX=%llu", SMTP_MESSAGES,
			  (unsigned long long)smtp_config(s)->mail_recipients);
}

static str print_mechanisms(struct smtp *s)
{
	return sasl_mechanisms(s->session);
}

static const struct extension extensions[] = {
#define EXTENSION(keyword_, allows_, verb_, arguments_, section) \
	{ .keyword = S(keyword_), .allows = (allows_), .verb = (verb_), .arguments = (arguments_) },
#include "edge/smtp/extension.tbl"
#undef EXTENSION
};
_Static_assert(ARRAY_LEN(extensions) < EHLO_LINES, "room for every line of EHLO");

static bool offered(struct smtp *s, const struct extension *e)
{
	return e->verb == SMTP_UNKNOWN || smtp_verb_offered(s, e->verb);
}

/* AUTH= of MAIL stays good after AUTH itself is no longer offered (RFC 4954 5). */
unsigned smtp_extensions(struct smtp *s)
{
	unsigned all = 0;

	for (size_t i = 0; s->extended && i < ARRAY_LEN(extensions); i++)
		if (offered(s, &extensions[i]) || (extensions[i].verb == SMTP_AUTH && s->login))
			all |= extensions[i].allows;
	return all;
}

static str print_extension(struct smtp *s, const struct extension *e)
{
	str arguments = e->arguments ? e->arguments(s) : STR_NONE;

	if (arguments.n == 0)
		return e->keyword;
	return str_format(smtp_turn_arena(s), "%.*s %.*s", STR_ARG(e->keyword), STR_ARG(arguments));
}

/* Keeps the name in ASCII, so that it can stand in Received. It also ends a transaction (RFC 5321 4.1.4). */
static const struct fail *introduce(struct smtp *s, str argument, bool extended)
{
	struct arena *a = smtp_turn_arena(s);
	str name;

	TRY(smtp_ehlo_parse(a, argument, &name));
	if (!str_is_ascii(name))
		TRY(domain_to_ascii(a, name, &name));
	if (name.n > sizeof s->helo)
		return fail_new(a, FAIL_SYNTAX, "the name is too long");
	transaction_end(s);
	memcpy(s->helo, name.p, name.n);
	s->helo_n = name.n;
	s->greeted = true;
	s->extended = extended;
	return NULL;
}

static struct reply offer(struct smtp *s, struct scan *argument)
{
	struct arena *a = smtp_turn_arena(s);
	const struct fail *f = introduce(s, argument->rest, true);
	str *lines;
	size_t n = 0;

	if (f)
		return reply_from_fail(a, f);
	lines = arena_array_of(a, EHLO_LINES, str);
	lines[n++] = smtp_config(s)->server_hostname;
	for (size_t i = 0; i < ARRAY_LEN(extensions); i++)
		if (offered(s, &extensions[i]))
			lines[n++] = print_extension(s, &extensions[i]);
	return (
	    struct reply){ .code = 250, .lines = lines, .lines_n = n - 1, .text = lines[n - 1] };
}

struct reply smtp_verb_ehlo(struct smtp *s, struct scan *argument)
{
	return offer(s, argument);
}

struct reply smtp_verb_lhlo(struct smtp *s, struct scan *argument)
{
	return offer(s, argument);
}

struct reply smtp_verb_helo(struct smtp *s, struct scan *argument)
{
	const struct fail *f = introduce(s, argument->rest, false);

	if (f)
		return reply_from_fail(smtp_turn_arena(s), f);
	return (struct reply){ .code = 250, .text = smtp_config(s)->server_hostname };
}
