/* Calls to sign (sign.tbl): structs, enums, stubs. */
#ifndef BUS_SIGN_H
#define BUS_SIGN_H

#include "bus/bus.h"

#define BUS_TYPES "bus/sign_types.tbl"
#define BUS_TABLE "bus/sign.tbl"
#include "bus/declare.h"

extern const struct bus_method sign_methods[];
extern const size_t sign_methods_n;

/* The life of a DKIM key, in this order. Only an active one signs; its record stays in DNS until it is removed. */
enum dkim_key_state { DKIM_KEY_PUBLISHED, DKIM_KEY_ACTIVE, DKIM_KEY_RETIRING, DKIM_KEY_REMOVED };

enum sign_scheme {
	SIGN_ECDSA_SHA256, /* 32 bytes */
	SIGN_ECDSA_SHA384, /* 48 bytes */
	SIGN_ECDSA_SHA512, /* 64 bytes */
	SIGN_RSA_RAW_PADDED, /* a block the size of the modulus, padded by OpenSSL (PKCS#1 type 1 or PSS) at the edge and
				checked by sign to be one of the two */
};

#endif
