/* URIs of rua= and ruf= of any bytes. What is taken is an address that the queue takes: no control, one '@' before a name. */
#include "base/arena.h"
#include "base/check.h"
#include "report/uri.h"
#include "text/address.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct arena *a = arena_new(1 << 22);
	struct report_uri out;

	if (report_uri_parse(a, str_from(data, size), &out)) {
		struct address again;
		CHECK(out.address.n <= ADDRESS_MAILBOX && str_is_ascii(out.address));
		CHECK(str_ends_nocase(out.address, out.host));
		CHECK(domain_is_valid(out.host, false, true));
		for (size_t i = 0; i < out.address.n; i++)
			CHECK(out.address.p[i] >= ' ' && out.address.p[i] < 0x7F);
		CHECK(address_parse(a, out.address, 0, &again) == NULL);
	}
	arena_free(&a);
	return 0;
}
