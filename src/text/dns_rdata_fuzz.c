/* RDATA of every type we read, from a server we do not trust; the first byte says which. */
#include "base/arena.h"
#include "base/check.h"
#include "text/dns_rdata.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t n);

int LLVMFuzzerTestOneInput(const u8 *data, size_t n)
{
	struct arena *a = arena_new(1 << 20);
	str rdata = str_skip(str_from(data, n), 1);
	struct dns_address address;
	struct dns_tlsa tlsa;
	struct dns_mx mx;
	str text;

	switch (n ? data[0] % 5 : 0) {
	case 0:
		CHECK(!rdata_name(a, rdata, &text) || text.n <= RDATA_NAME_TEXT);
		break;
	case 1:
		CHECK(!rdata_mx(a, rdata, &mx) || mx.host.n <= RDATA_NAME_TEXT);
		break;
	case 2:
		CHECK(!rdata_txt(a, rdata, &text) || text.n < rdata.n);
		break;
	case 3:
		CHECK(!rdata_tlsa(rdata, &tlsa) || tlsa.data.n == rdata.n - 3);
		break;
	default:
		CHECK(!rdata_address(rdata, ADDRESS_IPV6, &address) || rdata.n == 16);
	}
	arena_free(&a);
	return 0;
}
