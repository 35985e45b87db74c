#include "base/ip.h"

#include <arpa/inet.h>

str ip_text(struct arena *a, str address)
{
	char text[INET6_ADDRSTRLEN];

	if ((address.n != 4 && address.n != 16) ||
	    !inet_ntop(address.n == 4 ? AF_INET : AF_INET6, address.p, text, sizeof text))
		return STR_NONE;
	return str_copy(a, str_cstr(text));
}
