/*
 * RDATA in wire form (RFC 1035 3.2.1, no compression: libunbound has undone it) to values. Every length is checked before
 * a field is read (THREATS N06); a record that is not exactly what its type says is false, and its caller drops it.
 * Pure: no I/O, no clock.
 */
#ifndef TEXT_DNS_RDATA_H
#define TEXT_DNS_RDATA_H

#include "base/str.h"
#include "text/address.h"

enum dns_type {
	DNS_TYPE_A = 1,
	DNS_TYPE_CNAME = 5,
	DNS_TYPE_PTR = 12,
	DNS_TYPE_MX = 15,
	DNS_TYPE_TXT = 16,
	DNS_TYPE_AAAA = 28,
	DNS_TYPE_TLSA = 52,
};

enum rdata_limit {
	RDATA_NAME = 255,      /* octets on the wire, RFC 1035 2.3.4 */
	RDATA_NAME_TEXT = 253, /* characters, without the trailing dot */
	RDATA_LABEL = 63,
};

struct dns_mx {
	u16 preference;
	str host; /* lower case, no trailing dot; "" is the root: null MX (RFC 7505) */
};

struct dns_address {
	enum address_family family;
	u8 bytes[16]; /* 4 of them for IPv4 */
};

/* RFC 6698 2.1. */
struct dns_tlsa {
	u8 usage, selector, matching;
	str data; /* borrows; never empty, and as long as the matching type says when that is a known digest */
};

/* A whole name. Labels of letters, digits, '-' and '_' only: nothing else can be a mail host. The root is "". */
bool rdata_name(struct arena *a, str rdata, str *name) NODISCARD;
bool rdata_mx(struct arena *a, str rdata, struct dns_mx *out) NODISCARD;
bool rdata_address(str rdata, enum address_family family, struct dns_address *out) NODISCARD;
/* The strings of one TXT record, joined without anything between (RFC 7208 3.3). */
bool rdata_txt(struct arena *a, str rdata, str *text) NODISCARD;
bool rdata_tlsa(str rdata, struct dns_tlsa *out) NODISCARD;

/* Neither loopback, private, link-local, multicast, unspecified nor reserved; nor an IPv6 form of such an IPv4 address. */
bool address_is_public(const struct dns_address *address);

#endif
