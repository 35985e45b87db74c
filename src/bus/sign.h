/* Calls to sign (sign.tbl): structs, enums, stubs. */
#ifndef BUS_SIGN_H
#define BUS_SIGN_H

#include "bus/bus.h"

#define MESSAGE_STRUCTS
#include "base/message.h"
#include "bus/call.h"
#include "bus/sign_types.tbl"
#include "bus/sign.tbl"
#include "base/message_end.h"
#include "bus/call_end.h"
#define MESSAGE_PROTOTYPES
#include "base/message.h"
#include "bus/call.h"
#include "bus/sign_types.tbl"
#include "bus/sign.tbl"
#include "base/message_end.h"
#include "bus/call_end.h"

/* sign_NAME(arena, bus, &request, &answer): see bus.h. */
#define CALL(server, name, number, callers, mode, ticket, request, answer)            \
	const struct fail *server##_##name(struct arena *a, struct bus *b,            \
					   const struct server##_##name##_request *q, \
					   struct server##_##name##_answer *r);
#include "bus/sign.tbl"
#undef CALL

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
