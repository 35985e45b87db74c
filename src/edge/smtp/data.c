/*
 * DATA: the message, up to CRLF.CRLF and nothing else (RFC 5321 4.1.1.4; THREATS S01). It goes to the gate as it comes. What was refused is
 * read on to its end, as the protocol wants, but not for ever: after twice mail.size the session ends (THREATS S22).
 */
#include "edge/smtp/smtp_int.h"

static const struct fail *data_write(struct sink *k, struct arena *turn, str bytes)
{
	struct smtp *s = (struct smtp *)(void *)((u8 *)k - offsetof(struct smtp, data));
	struct sink *gate = gate_sink(s->transaction->gate);

	s->data_size += bytes.n;
	if (!s->data_fail)
		s->data_fail = gate->write(gate, turn, bytes);
	if (s->data_fail && s->data_size > 2 * smtp_config(s)->mail_size)
		session_timer(s->session, 1);
	return NULL;
}

struct reply smtp_verb_data(struct smtp *s, struct scan *argument)
{
	const struct fail *f = transaction_open(s);

	(void)argument;
	if (f)
		return transaction_refuse(s, f, "refused_message", "sender",
					  s->transaction->sender);
	s->input = INPUT_DATA;
	s->data.write = data_write;
	s->data_fail = NULL;
	s->data_size = 0;
	session_read_dotted(s->session, &s->data);
	return (struct reply){ .code = 354, .text = S("send it, end with CRLF.CRLF") };
}

struct reply smtp_data_end(struct smtp *s)
{
	session_timer(s->session, 0);
	return transaction_finish(s, s->data_fail);
}

struct reply smtp_data_endless(struct smtp *s)
{
	struct reply r = transaction_finish(s, s->data_fail);

	r.next = REPLY_THEN_CLOSE;
	return r;
}
