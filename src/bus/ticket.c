/* Tickets: see ticket.h. */
#include "bus/ticket.h"

#include "base/arena.h"
#include "base/check.h"

enum { TICKET_FIELDS = 4 * 8 + 4, LABEL = 16 };

struct ticket_bytes {
	u8 bytes[LABEL + TICKET_FIELDS];
};

/* What the MAC is over. */
static str ticket_bytes(const struct ticket *t, struct ticket_bytes *out)
{
	u8 *at = out->bytes + LABEL;

	*out = (struct ticket_bytes){ "postern ticket 1" };
	at = mac_put(at, t->account, 8);
	at = mac_put(at, t->generation, 8);
	at = mac_put(at, t->instance, 4);
	at = mac_put(at, t->session, 8);
	at = mac_put(at, t->expires, 8);
	CHECK(at == out->bytes + sizeof out->bytes);
	return str_from(out->bytes, sizeof out->bytes);
}

void ticket_make(struct arena *a, const u8 secret[TICKET_SECRET], struct ticket *t)
{
	u8 *mac = arena_alloc(a, TICKET_MAC);
	struct ticket_bytes bytes;

	mac_make(secret, ticket_bytes(t, &bytes), mac);
	t->mac = str_from(mac, TICKET_MAC);
}

const struct fail ticket_void = { .what = FAIL_LOGIN,
				  .kind = FAIL_PERM,
				  .code = { (const u8 *)"5.7.8", 5 },
				  .text = { (const u8 *)"log in again", 12 } };

const struct fail *ticket_check(const u8 secret[TICKET_SECRET], const struct ticket *t,
				const struct bus_peer *peer, const struct env *e)
{
	static const struct fail forged = FAIL_STATIC(DENIED, "not logged in");
	struct ticket_bytes bytes;

	if (!mac_check(secret, ticket_bytes(t, &bytes), t->mac))
		return &forged;
	if (t->instance != peer->instance)
		return &forged;
	return env_now(e) < t->expires ? NULL : &ticket_void;
}

bool ticket_is_none(const struct ticket *t)
{
	return t->account == 0 && t->generation == 0 && t->instance == 0 && t->session == 0 &&
	       t->expires == 0 && t->mac.n == 0;
}
