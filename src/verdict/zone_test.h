/* TXT records as a source of DNS: for the tests and fuzzers of this folder and the tools of tests/differential. */
#ifndef VERDICT_ZONE_TEST_H
#define VERDICT_ZONE_TEST_H

#include "base/arena.h"
#include "base/buf.h"
#include "text/dns_rdata.h"
#include "text/dns.h"

struct zone_record {
	const char *name, *text;
};

struct zone {
	const struct zone_record *records; /* a name may stand several times */
	size_t n;
	enum dns_status missing; /* for a name, or a type, that is not here */
	size_t asked;
};

/* RDATA: strings of at most 255 bytes (RFC 1035 3.3.14), an empty text as one empty string. */
static inline str zone_txt(struct arena *arena, str text)
{
	struct buf *b = buf_new(arena, text.n + text.n / 255 + 2);

	do {
		str piece = str_slice(text, 0, 255);
		buf_add_byte(b, (u8)piece.n);
		buf_add(b, piece);
		text = str_skip(text, piece.n);
	} while (text.n);
	return buf_str(b);
}

/* The query of a dns_source whose context is a struct zone. */
static inline void zone_query(void *context, struct arena *arena, str name, u32 type,
			      struct dns_answer *out)
{
	struct zone *z = context;
	str *list = arena_array_of(arena, z->n, str);

	z->asked++;
	*out = (struct dns_answer){ .status = z->missing, .records = list };
	for (size_t i = 0; type == DNS_TYPE_TXT && i < z->n; i++)
		if (str_eq_nocase(str_cstr(z->records[i].name), name))
			list[out->records_n++] = zone_txt(arena, str_cstr(z->records[i].text));
	if (out->records_n > 0)
		out->status = DNS_OK;
}

#endif
