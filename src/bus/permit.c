/* Permits: see permit.h. */
#include "bus/permit.h"

#include <string.h>

#include "base/arena.h"
#include "base/check.h"

enum { LABEL = 16, NUMBERS = 4 + 4 + 8 };

struct permit_bytes {
	u8 bytes[LABEL + NUMBERS + PERMIT_DOMAIN];
};

/* What the MAC is over; the domain stands last, so its length needs no saying. */
static str permit_bytes(const struct permit *p, struct permit_bytes *out)
{
	u8 *at = out->bytes + LABEL;

	CHECK(p->domain.n <= PERMIT_DOMAIN);
	*out = (struct permit_bytes){ "postern permit 1" };
	at = mac_put(at, p->role, 4);
	at = mac_put(at, p->instance, 4);
	at = mac_put(at, p->expires, 8);
	if (p->domain.n)
		memcpy(at, p->domain.p, p->domain.n);
	return str_from(out->bytes, LABEL + NUMBERS + p->domain.n);
}

void permit_make(struct arena *a, const u8 secret[MAC_SECRET], str domain,
		 const struct bus_peer *peer, const struct env *e, struct permit *out)
{
	u8 *mac = arena_alloc(a, MAC_BYTES);
	struct permit_bytes bytes;

	*out = (struct permit){ .domain = str_copy(a, domain),
				.role = peer->role,
				.instance = peer->instance,
				.expires = env_monotonic(e) + PERMIT_MS };
	mac_make(secret, permit_bytes(out, &bytes), mac);
	out->mac = str_from(mac, MAC_BYTES);
}

const struct fail *permit_check(const u8 secret[MAC_SECRET], const struct permit *p,
				const struct bus_peer *peer, const struct env *e)
{
	static const struct fail forged = FAIL_STATIC(DENIED, "nobody vouches for this domain");
	static const struct fail expired = FAIL_STATIC(DENIED, "vouched for too long ago");
	struct permit_bytes bytes;

	if (p->domain.n == 0 || p->domain.n > PERMIT_DOMAIN ||
	    !mac_check(secret, permit_bytes(p, &bytes), p->mac))
		return &forged;
	if (p->role != peer->role || p->instance != peer->instance)
		return &forged;
	return env_monotonic(e) < p->expires ? NULL : &expired;
}
