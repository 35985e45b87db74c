#include "serve/caller.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "base/check.h"

_Static_assert(sizeof(((struct caller *)0)->text) >= INET6_ADDRSTRLEN, "room for any address");

static void take(struct caller *c, const void *address, u8 n, u16 port)
{
	c->n = n;
	c->port = ntohs(port);
	memcpy(c->address, address, n);
	CHECK(inet_ntop(n == 4 ? AF_INET : AF_INET6, address, c->text, sizeof c->text) != NULL);
	c->text_n = (u8)strlen(c->text);
}

struct caller caller_of(const struct sockaddr *from)
{
	struct caller c = { .n = 0 };

	if (from->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)from;
		take(&c, &in->sin_addr, 4, in->sin_port);
	} else if (from->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)from;
		bool mapped = IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr);
		take(&c, in6->sin6_addr.s6_addr + (mapped ? 12 : 0), mapped ? 4 : 16,
		     in6->sin6_port);
	}
	return c;
}

str caller_address(const struct caller *c)
{
	return str_from(c->address, c->n);
}

str caller_text(const struct caller *c)
{
	return c->n ? str_from(c->text, c->text_n) : S("local");
}
