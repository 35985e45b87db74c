/* Calls to relay (relay.tbl): structs, enums, stubs. */
#ifndef BUS_RELAY_H
#define BUS_RELAY_H

#include "bus/bus.h"
#include "text/dns.h" /* enum dns_status */

#define MESSAGE_STRUCTS
#include "base/message.h"
#include "bus/call.h"
#include "bus/relay.tbl"
#include "base/message_end.h"
#include "bus/call_end.h"
#define MESSAGE_PROTOTYPES
#include "base/message.h"
#include "bus/call.h"
#include "bus/relay.tbl"
#include "base/message_end.h"
#include "bus/call_end.h"

/* relay_NAME(arena, bus, &request, &answer): see bus.h. */
#define CALL(server, name, number, callers, mode, ticket, request, answer)            \
	const struct fail *server##_##name(struct arena *a, struct bus *b,            \
					   const struct server##_##name##_request *q, \
					   struct server##_##name##_answer *r);
#include "bus/relay.tbl"
#undef CALL

extern const struct bus_method relay_methods[];
extern const size_t relay_methods_n;

#endif
