/*
 * Makes the encoders and decoders, the method table and the stubs of one server from its table. No include guard; define BUS_TABLE
 * (the file), BUS_TYPES when its structs have a file of their own, BUS_METHODS and BUS_METHODS_N (names of the two constants), then
 * include it once.
 */
#define MESSAGE_ENCODERS
#include "base/message.h"
#include "bus/call.h"
#ifdef BUS_TYPES
#include BUS_TYPES
#endif
#include BUS_TABLE
#include "base/message_end.h"
#include "bus/call_end.h"

#define MESSAGE_DECODERS
#include "base/message.h"
#include "bus/call.h"
#ifdef BUS_TYPES
#include BUS_TYPES
#endif
#include BUS_TABLE
#include "base/message_end.h"
#include "bus/call_end.h"

enum { BUS_HAS_NO_TICKET, BUS_HAS_TICKET };

/* Typed encoders behind untyped ones: calling through a cast pointer would be undefined. */
#define CALL(server, name, number, callers, mode, ticket, request, answer) \
	static void put_##name##_request(struct encoder *e, const void *m) \
	{                                                                  \
		encode_##server##_##name##_request(e, m);                  \
	}                                                                  \
	static void get_##name##_request(struct decoder *d, void *m)       \
	{                                                                  \
		decode_##server##_##name##_request(d, m);                  \
	}                                                                  \
	static void put_##name##_answer(struct encoder *e, const void *m)  \
	{                                                                  \
		encode_##server##_##name##_answer(e, m);                   \
	}                                                                  \
	static void get_##name##_answer(struct decoder *d, void *m)        \
	{                                                                  \
		decode_##server##_##name##_answer(d, m);                   \
	}
#include BUS_TABLE
#undef CALL

enum {
#define CALL(server, name, number, callers, mode, ticket, request, answer) INDEX_##name,
#include BUS_TABLE
#undef CALL
};

const struct bus_method BUS_METHODS[] = {
#define CALL(server, name_, number_, callers_, mode_, ticket, request, answer)         \
	[INDEX_##name_] = { .name = #server "." #name_,                                \
			    .number = (number_),                                       \
			    .callers = (callers_),                                     \
			    .mode = (mode_),                                           \
			    .needs_ticket = BUS_HAS_##ticket,                          \
			    .request_size = sizeof(struct server##_##name_##_request), \
			    .answer_size = sizeof(struct server##_##name_##_answer),   \
			    .encode_request = put_##name_##_request,                   \
			    .decode_request = get_##name_##_request,                   \
			    .encode_answer = put_##name_##_answer,                     \
			    .decode_answer = get_##name_##_answer },
#include BUS_TABLE
#undef CALL
};
const size_t BUS_METHODS_N = ARRAY_LEN(BUS_METHODS);

#define CALL(server, name, number, callers, mode, ticket, request, answer)            \
	const struct fail *server##_##name(struct arena *a, struct bus *b,            \
					   const struct server##_##name##_request *q, \
					   struct server##_##name##_answer *r)        \
	{                                                                             \
		return bus_call(a, b, &BUS_METHODS[INDEX_##name], q, r);              \
	}
#include BUS_TABLE
#undef CALL
