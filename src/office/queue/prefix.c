#include "office/queue/prefix.h"

#include "base/buf.h"
#include "base/chars.h"

enum { PREFIX_BYTES = 2048 };

static void add_value(struct buf *out, str value)
{
	for (size_t i = 0; i < value.n; i++)
		buf_add_byte(out, char_is(value.p[i], CHAR_CTL) ? '?' : value.p[i]);
}

str queue_prefix(struct arena *a, str sender, str delivered_to)
{
	struct buf *out = buf_new(a, PREFIX_BYTES);

	buf_add(out, S("Return-Path: <"));
	add_value(out, sender);
	buf_add(out, S(">\r\nDelivered-To: "));
	add_value(out, delivered_to);
	buf_add(out, S("\r\n"));
	return out->full ? STR_NONE : buf_str(out);
}
