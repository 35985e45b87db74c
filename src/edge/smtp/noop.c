/* NOOP: nothing, in any state (RFC 5321 4.1.1.9). */
#include "edge/smtp/smtp_int.h"

struct reply smtp_verb_noop(struct smtp *s, struct scan *argument)
{
	(void)s;
	(void)argument;
	return REPLY(250, "2.0.0", "ok");
}
