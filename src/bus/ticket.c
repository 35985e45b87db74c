/* Tickets: see ticket.h. */
#include "bus/ticket.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"

enum { TICKET_FIELDS = 4 * 8 + 4, LABEL = 16 };

static u8 *put(u8 *at, u64 value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		*at++ = (u8)(value >> 8 * i);
	return at;
}

static void ticket_mac(const u8 secret[TICKET_SECRET], const struct ticket *t, u8 mac[TICKET_MAC])
{
	u8 bytes[LABEL + TICKET_FIELDS] = "postern ticket 1", *at = bytes + LABEL;
	unsigned n = 0;

	at = put(at, t->account, 8);
	at = put(at, t->generation, 8);
	at = put(at, t->instance, 4);
	at = put(at, t->session, 8);
	at = put(at, t->expires, 8);
	CHECK(at == bytes + sizeof bytes);
	CHECK(HMAC(EVP_sha256(), secret, TICKET_SECRET, bytes, sizeof bytes, mac, &n) != NULL);
	CHECK(n == TICKET_MAC);
}

void ticket_before_jail(void)
{
	const u8 secret[TICKET_SECRET] = { 0 };
	const struct ticket nobody = { 0 };
	u8 mac[TICKET_MAC];

	ticket_mac(secret, &nobody, mac);
}

void ticket_make(struct arena *a, const u8 secret[TICKET_SECRET], struct ticket *t)
{
	u8 *mac = arena_alloc(a, TICKET_MAC);

	ticket_mac(secret, t, mac);
	t->mac = str_from(mac, TICKET_MAC);
}

const struct fail *ticket_check(const u8 secret[TICKET_SECRET], const struct ticket *t,
				const struct bus_peer *peer, const struct env *e)
{
	static const struct fail forged = FAIL_STATIC(DENIED, "not logged in");
	static const struct fail expired = FAIL_STATIC(DENIED, "logged in too long ago");
	u8 mac[TICKET_MAC];

	ticket_mac(secret, t, mac);
	if (t->mac.n != TICKET_MAC || CRYPTO_memcmp(mac, t->mac.p, TICKET_MAC) != 0)
		return &forged;
	if (t->instance != peer->instance)
		return &forged;
	return env_now(e) < t->expires ? NULL : &expired;
}

bool ticket_is_none(const struct ticket *t)
{
	return t->account == 0 && t->generation == 0 && t->instance == 0 && t->session == 0 &&
	       t->expires == 0 && t->mac.n == 0;
}
