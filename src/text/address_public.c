/* Which addresses are on the Internet: the others are nobody's mail server and nobody's client but our own. */
#include <string.h>

#include "text/dns_rdata.h"

struct network {
	u8 prefix[4];
	u8 bits;
};

static bool network_has(const struct network *w, const u8 *bytes)
{
	for (u8 i = 0; i < w->bits; i++)
		if (((w->prefix[i / 8] ^ bytes[i / 8]) >> (7 - i % 8)) & 1)
			return false;
	return true;
}

/* RFC 6890 and the registry it made: what is never another mail server on the Internet. */
static bool ipv4_is_public(const u8 bytes[4])
{
	static const struct network special[] = {
		{ { 0 }, 8 },          { { 10 }, 8 },        { { 100, 64 }, 10 },
		{ { 127 }, 8 },        { { 169, 254 }, 16 }, { { 172, 16 }, 12 },
		{ { 192, 0, 0 }, 24 }, { { 192, 168 }, 16 }, { { 198, 18 }, 15 },
		{ { 224 }, 3 }, /* multicast and reserved */
	};

	for (size_t i = 0; i < ARRAY_LEN(special); i++)
		if (network_has(&special[i], bytes))
			return false;
	return true;
}

static bool ipv6_is_public(const u8 b[16])
{
	static const u8 mapped[12] = { [10] = 0xFF, [11] = 0xFF }, compatible[12] = { 0 };
	static const u8 nat64[12] = { 0x00, 0x64, 0xFF, 0x9B };

	if (memcmp(b, mapped, 12) == 0 || memcmp(b, nat64, 12) == 0)
		return ipv4_is_public(b + 12);
	if (memcmp(b, compatible, 12) == 0) /* ::, ::1 and the long dead ::192.0.2.1 */
		return false;
	if (b[0] == 0x20 && b[1] == 0x02) /* 6to4, RFC 3056 2 */
		return ipv4_is_public(b + 2);
	return (b[0] & 0xFE) != 0xFC && !(b[0] == 0xFE && b[1] >= 0x80) && b[0] != 0xFF;
}

bool address_is_public(const struct dns_address *address)
{
	return address->family == ADDRESS_IPV4 ? ipv4_is_public(address->bytes)
					       : ipv6_is_public(address->bytes);
}
