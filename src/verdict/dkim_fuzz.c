/* The whole verifier: the first byte says how the body is fed and which key record the zone has; the rest is a message. */
#include "base/arena.h"
#include "base/check.h"
#include "text/header.h"
#include "verdict/dkim.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t n);

static void zone_query(void *context, struct arena *a, str name, u32 type, struct dns_answer *out)
{
	static const char *const texts[] = {
		"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
		"v=DKIM1; t=y:s; p=",
	};
	str text = str_cstr(texts[*(const u8 *)context & 1]);
	str *record = arena_new_of(a, str);

	CHECK(type == 16 && name.n <= 253 && !str_has(name, ' '));
	*record = str_format(a, "%c%.*s", (int)text.n, STR_ARG(text));
	*out = (struct dns_answer){ .status = DNS_OK, .records = record, .records_n = 1 };
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t n)
{
	struct arena *a = arena_new(16 << 20);
	u8 how = n ? data[0] : 0;
	str message = str_skip(str_from(data, n), 1);
	size_t head = header_length(message), piece = (how >> 1) + 1u;
	struct dns_source dns = { &how, zone_query };
	struct dkim_verifier *v = dkim_verifier_new(a, str_slice(message, 0, head));
	struct dkim_verdicts out;

	for (str rest = str_skip(message, head); rest.n; rest = str_skip(rest, piece))
		dkim_verifier_body(v, str_slice(rest, 0, piece));
	dkim_verifier_finish(v, &dns, 1528637909, &out);
	for (size_t i = 0; i < out.n; i++)
		CHECK(out.list[i].result != DKIM_NONE && out.list[i].reason.n &&
		      (out.list[i].result != DKIM_PASS || out.list[i].key_bits));
	arena_free(&a);
	return 0;
}
