/* Numeric addresses with a port, as the configuration has them: "192.0.2.1:25", "[2001:db8::1]:25". */
#ifndef CONFIG_ENDPOINT_H
#define CONFIG_ENDPOINT_H

#include "base/str.h"

struct endpoint {
	u8 address[16]; /* 4 or 16 bytes, network order */
	size_t address_n;
	u16 port; /* never 0 */
};

/* Nothing else: no names, no zones, no missing port. */
bool endpoint_parse(str text, struct endpoint *out) NODISCARD;

/* An address without a port (0), and without brackets. */
bool endpoint_parse_address(str text, struct endpoint *out) NODISCARD;

#endif
