/* The trace field Received-SPF, RFC 7208 9.1. */
#include "base/arena.h"
#include "base/buf.h"
#include "verdict/spf_int.h"

enum { SHOWN_VALUE = 320 };

static bool is_dot_atom(str s)
{
	bool dot = true; /* at the start or behind another one */

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '.' ? dot : !char_is(s.p[i], CHAR_ATEXT))
			return false;
		dot = s.p[i] == '.';
	}
	return !dot;
}

/* key "=" ( dot-atom / quoted-string ), with ";" behind it when more follow. */
static void put_pair(struct arena *a, struct header_builder *h, const char *key, str value,
		     bool more)
{
	struct buf *b = buf_new(a, 2 * SHOWN_VALUE + 64);

	value = spf_printable(a, value, SHOWN_VALUE);
	buf_printf(b, "%s=", key);
	if (is_dot_atom(value))
		buf_add(b, value);
	else
		buf_add_quoted(b, value);
	if (more)
		buf_add_byte(b, ';');
	header_add(h, buf_str(b));
}

void spf_put_received(struct arena *a, struct header_builder *h, const struct spf_query *q,
		      const struct spf_verdict *v)
{
	bool problem = v->result == SPF_TEMPERROR || v->result == SPF_PERMERROR;

	header_start(h, S("Received-SPF"));
	header_add(h, spf_result_name(v->result));
	header_add_comment(h, v->reason);
	put_pair(a, h, "client-ip", spf_address_text(a, &q->client), true);
	put_pair(a, h, "envelope-from", q->mail_from, true);
	put_pair(a, h, "helo", q->helo, true);
	if (problem)
		put_pair(a, h, "problem", v->reason, true);
	if (v->mechanism.n)
		put_pair(a, h, "mechanism", v->mechanism, true);
	if (q->receiver.n)
		put_pair(a, h, "receiver", q->receiver, true);
	put_pair(a, h, "identity", spf_identity_name(v->identity), false);
	header_end(h);
}
