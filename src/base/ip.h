/* IP addresses as the bus and the store have them: 4 or 16 bytes in network order. */
#ifndef BASE_IP_H
#define BASE_IP_H

#include "base/arena.h"

/* "192.0.2.1", "2001:db8::1"; empty when it is neither 4 nor 16 bytes. */
str ip_text(struct arena *a, str address);

#endif
