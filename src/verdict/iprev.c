#include "verdict/iprev.h"

#include <string.h>

#include "base/buf.h"

enum { REVERSED = 64 }; /* characters of a reversed address */

str iprev_reverse(struct arena *a, const struct dns_address *client, str suffix)
{
	struct buf *out = buf_new(a, REVERSED + suffix.n);
	bool four = client->family == ADDRESS_IPV4;

	for (int i = (four ? 4 : 16) - 1; i >= 0; i--) {
		u8 byte = client->bytes[i];
		if (four)
			buf_printf(out, "%u.", byte);
		else
			buf_printf(out, "%x.%x.", byte & 15, byte >> 4);
	}
	buf_add(out, suffix);
	return buf_str(out);
}

str iprev_result_name(enum iprev_result r)
{
	static const str names[] = { [IPREV_PASS] = S("pass"),
				     [IPREV_FAIL] = S("fail"),
				     [IPREV_TEMPERROR] = S("temperror"),
				     [IPREV_PERMERROR] = S("permerror") };

	return names[r];
}

static enum iprev_result leads_back(struct arena *a, const struct dns_source *dns, str name,
				    const struct dns_address *client)
{
	struct dns_answer answer = { .status = DNS_TEMPFAIL };
	bool four = client->family == ADDRESS_IPV4;

	dns->query(dns->context, a, name, four ? DNS_TYPE_A : DNS_TYPE_AAAA, &answer);
	for (size_t i = 0; answer.status == DNS_OK && i < answer.records_n; i++) {
		struct dns_address found = { 0 };
		if (rdata_address(answer.records[i], client->family, &found) &&
		    memcmp(found.bytes, client->bytes, four ? 4 : 16) == 0)
			return IPREV_PASS;
	}
	return dns_is_trouble(answer.status) ? IPREV_TEMPERROR : IPREV_FAIL;
}

/* RFC 8601 3: permerror when there is no name at all. */
void iprev_check(struct arena *a, const struct dns_source *dns, const struct dns_address *client,
		 struct iprev_verdict *out)
{
	struct dns_answer answer = { .status = DNS_TEMPFAIL };
	bool four = client->family == ADDRESS_IPV4;
	str question = iprev_reverse(a, client, four ? S("in-addr.arpa") : S("ip6.arpa"));

	dns->query(dns->context, a, question, DNS_TYPE_PTR, &answer);
	*out = (struct iprev_verdict){ .result = IPREV_PERMERROR };
	if (dns_is_trouble(answer.status))
		out->result = IPREV_TEMPERROR;
	for (size_t i = 0; answer.status == DNS_OK && i < answer.records_n && i < IPREV_NAMES;
	     i++) {
		str name;
		enum iprev_result r;
		if (!rdata_name(a, answer.records[i], &name) || name.n == 0)
			continue;
		r = leads_back(a, dns, name, client);
		if (r == IPREV_PASS || out->name.n == 0)
			out->name = name;
		if (r == IPREV_PASS || out->result == IPREV_PERMERROR)
			out->result = r;
		if (r == IPREV_PASS)
			return;
	}
}
