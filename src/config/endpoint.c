/* Numeric addresses with a port: see endpoint.h. */
#include "config/endpoint.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/scan.h"

/* inet_pton wants a C string. */
static bool address_parse(str text, int family, struct endpoint *out)
{
	char name[INET6_ADDRSTRLEN];

	if (text.n == 0 || text.n >= sizeof name || str_has(text, 0))
		return false;
	memcpy(name, text.p, text.n);
	name[text.n] = 0;
	out->address_n = family == AF_INET ? 4 : 16;
	return inet_pton(family, name, out->address) == 1;
}

bool endpoint_parse_address(str text, struct endpoint *out)
{
	*out = (struct endpoint){ 0 };
	return address_parse(text, AF_INET, out) || address_parse(text, AF_INET6, out);
}

bool endpoint_parse(str text, struct endpoint *out)
{
	struct scan s = scan_of(text);
	int family = AF_INET;
	str address;
	u64 port;

	*out = (struct endpoint){ 0 };
	if (scan_byte(&s, '[')) {
		family = AF_INET6;
		if (!(scan_until(&s, ']', &address) && scan_byte(&s, ']') && scan_byte(&s, ':')))
			return false;
	} else if (!(scan_until(&s, ':', &address) && scan_byte(&s, ':'))) {
		return false;
	}
	if (!scan_u64(&s, &port) || !scan_end(&s) || port == 0 || port > UINT16_MAX)
		return false;
	out->port = (u16)port;
	return address_parse(address, family, out);
}
