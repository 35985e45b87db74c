/* DATA: the message, up to CRLF.CRLF and nothing else (RFC 5321 4.1.1.4; THREATS S01). It goes to the gate as it comes. */
#include "edge/smtp/smtp_int.h"

struct reply smtp_verb_data(struct smtp *s, struct scan *argument)
{
	const struct fail *f = transaction_open(s);

	(void)argument;
	if (f)
		return transaction_refuse(s, f);
	s->input = INPUT_DATA;
	session_read_dotted(s->session, gate_sink(s->transaction->gate));
	return (struct reply){ .code = 354, .text = S("send it, end with CRLF.CRLF") };
}
