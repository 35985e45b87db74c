/* A macro string: what is valid expands, and what a target-name becomes can be asked for. The first line is the local part. */
#include "base/arena.h"
#include "base/check.h"
#include "verdict/spf_int.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t n);

static void answer(void *context, struct arena *a, str name, u32 type, struct dns_answer *out)
{
	(void)context;
	(void)a;
	CHECK(name.n > 0 && type != 0);
	*out = (struct dns_answer){ .status = DNS_NXDOMAIN };
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t n)
{
	struct arena *a = arena_new(1 << 20);
	struct dns_source source = { .query = answer };
	str all = str_from(data, n);
	size_t end = str_find(all, '\n');
	str text = end == SIZE_MAX ? all : str_skip(all, end + 1), out;
	struct spf_query q = { .helo = text };
	struct spf_verdict v = { .result = SPF_NONE };
	struct spf_run *r = arena_new_of(a, struct spf_run);

	*r = (struct spf_run){ .arena = a,
			       .source = &source,
			       .query = &q,
			       .verdict = &v,
			       .client = { .family = ADDRESS_IPV6 },
			       .local = str_slice(all, 0, end < SPF_LOCAL ? end : SPF_LOCAL),
			       .domain = S("e.example") };
	if (spf_macro_valid(text, SPF_MACRO_EXPLAIN) &&
	    spf_macro_expand(r, S("d.example"), text, &out))
		CHECK(out.n <= SPF_EXPANSION);
	if (spf_macro_valid(text, SPF_MACRO_DOMAIN)) {
		CHECK(spf_macro_valid(text, SPF_MACRO_STRING));
		if (spf_macro_target(r, S("d.example"), text, &out))
			CHECK(spf_name_is_possible(out));
	}
	arena_free(&a);
	return 0;
}
