/*
 * STARTTLS: the rest is the skeleton's; after the handshake smtp_forget() leaves nothing of what was said in the clear
 * (RFC 3207 4.2; THREATS T01, T03). Input that is already there was refused by smtp.tbl (VERB_LAST).
 */
#include "edge/smtp/smtp_int.h"

struct reply smtp_verb_starttls(struct smtp *s, struct scan *argument)
{
	(void)s;
	(void)argument;
	return (struct reply){
		.code = 220, .enhanced = S("2.0.0"), .text = S("go ahead"), .next = REPLY_THEN_TLS
	};
}
