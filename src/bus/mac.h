/* HMAC-SHA-256 with a secret that parent gave to two processes: what tickets and permits are believed for. */
#ifndef BUS_MAC_H
#define BUS_MAC_H

#include "base/str.h"

enum { MAC_SECRET = 32, MAC_BYTES = 32 };

/* libcrypto loads its algorithms at the first use, a millisecond that the first login is not to wait for. */
void mac_before_jail(void);
void mac_make(const u8 secret[MAC_SECRET], str bytes, u8 mac[MAC_BYTES]);
/* In the same time for every wrong mac of the right length. */
bool mac_check(const u8 secret[MAC_SECRET], str bytes, str mac);
/* Little-endian, for what goes under a MAC; returns where the next one goes. */
u8 *mac_put(u8 *at, u64 value, size_t bytes);

#endif
