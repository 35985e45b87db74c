/* RSET: the transaction is forgotten, the session stays (RFC 5321 4.1.1.5). */
#include "edge/smtp/smtp_int.h"

struct reply smtp_verb_rset(struct smtp *s, struct scan *argument)
{
	(void)argument;
	transaction_end(s);
	return REPLY(250, "2.0.0", "ok");
}
