/* Who is at the other end of a socket: a value of the session's, so that what it says of the peer lives as long as the session. */
#ifndef SERVE_CALLER_H
#define SERVE_CALLER_H

#include <sys/socket.h>

#include "base/str.h"

struct caller {
	u16 port;
	u8 n; /* bytes of the address: 4, 16; 0: it has none, it is on this machine */
	u8 address[16];
	u8 text_n;
	char text[46]; /* INET6_ADDRSTRLEN */
};

/* IPv4 in IPv6 (RFC 4291 2.5.5.2) is IPv4 for all that follows: caps, SPF, logs. */
struct caller caller_of(const struct sockaddr *from);
str caller_address(const struct caller *c); /* borrows */
str caller_text(const struct caller *c);    /* borrows; "local" without an address */

#endif
