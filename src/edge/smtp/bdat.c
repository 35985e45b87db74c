/*
 * BDAT: the message in counted chunks (RFC 3030 2). The octets behind the line are always read, whatever we think of the command,
 * or they would be taken for commands; when they cannot be (no size, or too many to throw away) the session ends.
 * Lines in chunks end in CRLF like everywhere: the gate sees to that.
 */
#include "edge/smtp/smtp_int.h"

static const struct fail too_large = FAIL_STATIC(TOO_LARGE, "message too large");

static const struct fail *discard_write(struct sink *k, struct arena *turn, str bytes)
{
	(void)k;
	(void)turn;
	(void)bytes;
	return NULL;
}

struct reply smtp_chunk_discard(struct smtp *s, u64 n, struct reply r)
{
	if (n > smtp_config(s)->mail_size)
		r.next = REPLY_THEN_CLOSE;
	if (n == 0 || r.next == REPLY_THEN_CLOSE)
		return r;
	smtp_say_later(s, r);
	s->input = INPUT_DISCARD;
	s->discard.write = discard_write;
	session_read_counted(s->session, n, &s->discard);
	return REPLY_SILENT;
}

static const struct fail *begin_chunk(struct smtp *s, struct transaction *t, u64 n)
{
	if (!t->gate)
		TRY(transaction_open(s));
	t->chunked = true;
	if (n > smtp_config(s)->mail_size - gate_received(t->gate))
		return &too_large;
	return NULL;
}

static bool too_many_tiny(struct transaction *t, u64 n, bool last)
{
	return n < SMTP_TINY && !last && ++t->tiny_chunks > SMTP_TINY_CHUNKS;
}

static struct reply take_chunk(struct smtp *s, u64 n, bool last)
{
	struct transaction *t = s->transaction;
	/* RFC 2033 4.3: BDAT LAST is answered for each recipient, whatever the answer. */
	size_t times = last && smtp_is_lmtp(s) ? t->recipients_n : 1;
	const struct fail *f = begin_chunk(s, t, n);
	struct reply r;

	if (f) {
		r = transaction_refuse(s, f, "refused_message", "sender", t->sender);
		r.times = times;
		return smtp_chunk_discard(s, n, r);
	}
	if (too_many_tiny(t, n, last))
		return REPLY_CLOSE(421, "4.7.0", "too many small chunks");
	s->last_chunk = last;
	if (n == 0)
		return smtp_chunk_end(s, NULL);
	s->input = INPUT_CHUNK;
	session_read_counted(s->session, n, gate_sink(t->gate));
	return REPLY_SILENT;
}

struct reply smtp_verb_bdat(struct smtp *s, struct scan *argument)
{
	const struct fail *f;
	bool last;
	u64 n;

	f = smtp_bdat_parse(smtp_turn_arena(s), argument->rest, &n, &last);
	if (f)
		return REPLY_CLOSE(501, "5.5.4", "syntax: BDAT size [LAST]");
	return s->refusal ? smtp_chunk_discard(s, n, *s->refusal) : take_chunk(s, n, last);
}

struct reply smtp_chunk_end(struct smtp *s, const struct fail *f)
{
	struct transaction *t = s->transaction;

	if (s->last_chunk)
		return transaction_finish(s, f);
	if (f)
		return transaction_refuse(s, f, "refused_message", "sender", t->sender);
	return (struct reply){ .code = 250,
			       .enhanced = S("2.0.0"),
			       .text = str_format(smtp_turn_arena(s), "%llu octets so far",
						  (unsigned long long)gate_received(t->gate)) };
}
