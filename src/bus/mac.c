/* See mac.h. */
#include "bus/mac.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/check.h"

void mac_make(const u8 secret[MAC_SECRET], str bytes, u8 mac[MAC_BYTES])
{
	unsigned n = 0;

	CHECK(HMAC(EVP_sha256(), secret, MAC_SECRET, bytes.p, bytes.n, mac, &n) != NULL);
	CHECK(n == MAC_BYTES);
}

void mac_before_jail(void)
{
	const u8 secret[MAC_SECRET] = { 0 };
	u8 mac[MAC_BYTES];

	mac_make(secret, S("libcrypto, wake up"), mac);
}

bool mac_check(const u8 secret[MAC_SECRET], str bytes, str mac)
{
	u8 right[MAC_BYTES];

	mac_make(secret, bytes, right);
	return mac.n == MAC_BYTES && CRYPTO_memcmp(right, mac.p, MAC_BYTES) == 0;
}

u8 *mac_put(u8 *at, u64 value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		*at++ = (u8)(value >> 8 * i);
	return at;
}
