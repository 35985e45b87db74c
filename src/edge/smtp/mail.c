/*
 * MAIL: begins a transaction. RFC 5321 4.1.1.2, RFC 1870 6.1 (SIZE), RFC 6152, RFC 6531 3.4, RFC 3461 4.3-4.4, RFC 4954 5.
 * AUTH= is read and checked, and believed from nobody (RFC 4954 5 allows that).
 */
#include "edge/smtp/smtp_int.h"

static const struct fail too_large = FAIL_STATIC(TOO_LARGE, "message too large");

static const struct fail *accept_sender(struct smtp *s, struct transaction *t, str argument)
{
	TRY(smtp_mail_parse(t->arena, argument, smtp_extensions(s), &t->mail));
	if (t->mail.has_size && t->mail.size > smtp_config(s)->mail_size)
		return &too_large;
	if (!t->mail.from.null)
		TRY(address_canonical(t->arena, &t->mail.from, &t->sender));
	return s->policy->sender(s, t);
}

struct reply smtp_verb_mail(struct smtp *s, struct scan *argument)
{
	const struct fail *f;

	if (++s->messages > SMTP_MESSAGES)
		return REPLY_CLOSE(421, "4.7.0", "enough mail for one session");
	f = accept_sender(s, transaction_begin(s), argument->rest);
	return f ? transaction_refuse(s, f, "refused_sender", "sender", smtp_path(argument->rest))
		 : REPLY(250, "2.1.0", "sender ok");
}
