/* Calls to login (login.tbl): structs, enums, stubs. */
#ifndef BUS_LOGIN_H
#define BUS_LOGIN_H

#include "bus/bus.h"

#define MESSAGE_STRUCTS
#include "base/message.h"
#include "bus/call.h"
#include "bus/login_types.tbl"
#include "bus/login.tbl"
#include "base/message_end.h"
#include "bus/call_end.h"
#define MESSAGE_PROTOTYPES
#include "base/message.h"
#include "bus/call.h"
#include "bus/login_types.tbl"
#include "bus/login.tbl"
#include "base/message_end.h"
#include "bus/call_end.h"

/* login_NAME(arena, bus, &request, &answer): see bus.h. */
#define CALL(server, name, number, callers, mode, ticket, request, answer)            \
	const struct fail *server##_##name(struct arena *a, struct bus *b,            \
					   const struct server##_##name##_request *q, \
					   struct server##_##name##_answer *r);
#include "bus/login.tbl"
#undef CALL

extern const struct bus_method login_methods[];
extern const size_t login_methods_n;

enum sasl_status { SASL_CONTINUE, SASL_DONE, SASL_FAILED };

enum login_limit {
	LOGIN_RESPONSE_MAX = 8192,             /* bytes of one client response, decoded */
	LOGIN_TICKET_MS = 24 * 60 * 60 * 1000, /* a ticket's life */
};

#endif
