/* DMARC records and From fields of any bytes. What is kept of a record must be bounded, and an author's domains must be names. */
#include "base/check.h"
#include "text/address.h"
#include "verdict/dmarc.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct arena *a = arena_new(1 << 24);
	str input = str_from(data, size);
	struct dmarc_record record;
	struct dmarc_author author;

	if (dmarc_record_parse(input, &record)) {
		CHECK(record.rua_n <= DMARC_URIS && record.ruf_n <= DMARC_URIS);
		CHECK(record.p <= DMARC_POLICY_REJECT && record.np <= DMARC_POLICY_REJECT);
	}
	dmarc_author_find(a, input, &author);
	CHECK((author.domains_n > 0) ==
	      (author.kind == DMARC_AUTHOR_ONE || author.kind == DMARC_AUTHOR_SEVERAL));
	for (size_t i = 0; i < author.domains_n; i++)
		CHECK(domain_is_valid(author.domains[i], false, false));
	arena_free(&a);
	return 0;
}
