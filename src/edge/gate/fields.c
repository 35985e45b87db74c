/* The fields that we write ourselves. */
#include "base/arena.h"
#include "base/id.h"
#include "edge/gate/gate_int.h"
#include "text/date.h"
#include "text/header.h"

static const struct fail unprintable = FAIL_STATIC(INTERNAL, "a header field cannot be written");

/* A pair like "with ESMTPS"; the two may be folded apart. */
static void add_clause(struct header_builder *h, str word, str value)
{
	header_add(h, word);
	header_add(h, value);
}

/* RFC 5321 4.4: from helo ([address]) by us with ESMTPS (TLS...) id 0123456789abc for <recipient>; date */
const struct fail *trace_print(struct arena *a, const struct gate_trace *t, u64 id, i64 now,
			       struct buf *out)
{
	struct header_builder h;

	header_builder_init(&h, out);
	header_start(&h, S("Received"));
	add_clause(&h, S("from"), t->helo);
	header_add_comment(
	    &h, str_format(a, t->address_is_ipv6 ? "[IPv6:%.*s]" : "[%.*s]", STR_ARG(t->address)));
	add_clause(&h, S("by"), t->by);
	add_clause(&h, S("with"), t->with);
	if (t->tls.n > 0)
		header_add_comment(&h, t->tls);
	add_clause(&h, S("id"), id_text(a, id));
	if (t->recipient.n > 0 && str_is_ascii(t->recipient))
		add_clause(&h, S("for"), str_format(a, "<%.*s>", STR_ARG(t->recipient)));
	header_add_close(&h, S(";"));
	header_add(&h, date_print(a, now, 0));
	header_end(&h);
	return h.bad || out->full ? &unprintable : NULL;
}

const struct fail *completion_print(struct arena *a, const struct gate *g, i64 now, struct buf *out)
{
	struct header_builder h;

	header_builder_init(&h, out);
	if (!g->lines.has_date)
		header_put(&h, S("Date"), date_print(a, now, 0));
	if (!g->lines.has_message_id)
		header_put(&h, S("Message-ID"),
			   str_format(a, "<%.*s@%.*s>", STR_ARG(id_text(a, g->rules.id)),
				      STR_ARG(g->rules.domain)));
	return h.bad || out->full ? &unprintable : NULL;
}
