/*
 * Declares what callers of one server see: the structs of its messages, their encoders, and a stub for each call, SERVER_NAME(arena, bus,
 * &request, &answer) (see bus.h). No include guard; define BUS_TABLE (the file), and BUS_TYPES when its structs have a file of their own.
 */
#define MESSAGE_STRUCTS
#include "base/message.h"
#include "bus/call.h"
#ifdef BUS_TYPES
#include BUS_TYPES
#endif
#include BUS_TABLE
#include "base/message_end.h"
#include "bus/call_end.h"

#define MESSAGE_PROTOTYPES
#include "base/message.h"
#include "bus/call.h"
#ifdef BUS_TYPES
#include BUS_TYPES
#endif
#include BUS_TABLE
#include "base/message_end.h"
#include "bus/call_end.h"

#define CALL(server, name, number, callers, mode, ticket, request, answer)            \
	const struct fail *server##_##name(struct arena *a, struct bus *b,            \
					   const struct server##_##name##_request *q, \
					   struct server##_##name##_answer *r);
#include BUS_TABLE
#undef CALL
#undef BUS_TABLE
#undef BUS_TYPES
