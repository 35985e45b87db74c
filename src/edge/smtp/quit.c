/* QUIT: whatever comes behind it is not read (RFC 5321 4.1.1.10; THREATS S27). */
#include "edge/smtp/smtp_int.h"

struct reply smtp_verb_quit(struct smtp *s, struct scan *argument)
{
	(void)s;
	(void)argument;
	return REPLY_CLOSE(221, "2.0.0", "bye");
}
