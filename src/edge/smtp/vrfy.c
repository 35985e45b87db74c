/* VRFY and EXPN tell nobody who has a mailbox here (RFC 5321 3.5.3, 7.3; THREATS A01). Neither looks at its argument or changes state. */
#include "edge/smtp/smtp_int.h"

struct reply smtp_verb_vrfy(struct smtp *s, struct scan *argument)
{
	(void)s;
	(void)argument;
	return REPLY(252, "2.0.0", "not verified; send mail and see");
}

struct reply smtp_verb_expn(struct smtp *s, struct scan *argument)
{
	(void)s;
	(void)argument;
	return REPLY(502, "5.5.1", "lists are not shown");
}
