/*
 * For a server: one function per row of its table, found by the number of the call. No include guard for the macros; in pairs,
 *
 *	#define SERVE_PROTOTYPES  (or SERVE_FUNCTIONS, or SERVE_ROWS inside `const bus_serve_function table[] = {`)
 *	#include "bus/server.h"
 *	#include "bus/office.tbl"
 *	#include "bus/server_end.h"
 *
 * SERVE_PROTOTYPES, in the server's header, declares for each row
 *
 *	const struct fail *office_serve_NAME(struct bus_call *call, const struct office_NAME_request *q,
 *					     struct office_NAME_answer *r);
 *
 * and its dispatch is `bus_serve(table, ARRAY_LEN(table), call)` on the thread that is to do the work. A function that returns
 * BUS_LATER has kept the call and answers it by bus_answer, from any thread; otherwise what it returns is the answer.
 */
#ifndef BUS_SERVER_H
#define BUS_SERVER_H

#include "bus/bus.h"

typedef const struct fail *(*bus_serve_function)(struct bus_call *call);

extern const struct fail bus_later; /* never sent */
#define BUS_LATER (&bus_later)

/* Runs the function of call->method->number and answers, unless it said BUS_LATER. Every row of the server's table must have one
 * (CHECK). */
void bus_serve(const bus_serve_function *table, size_t n, struct bus_call *call);

#endif

#if defined(SERVE_PROTOTYPES)
#define CALL(server, name, number, callers, mode, ticket, asked, answered)                  \
	const struct fail *server##_serve_##name(struct bus_call *call,                     \
						 const struct server##_##name##_request *q, \
						 struct server##_##name##_answer *r);
#elif defined(SERVE_FUNCTIONS)
#define CALL(server, name, number, callers, mode, ticket, asked, answered)       \
	static const struct fail *serve_##name(struct bus_call *call)            \
	{                                                                        \
		return server##_serve_##name(call, call->request, call->answer); \
	}
#elif defined(SERVE_ROWS)
#define CALL(server, name, number, callers, mode, ticket, asked, answered) [number] = serve_##name,
#endif
