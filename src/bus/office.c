/* Encoders, decoders, methods and stubs of office.tbl. */
#include "bus/office.h"

#define BUS_TYPES "bus/office_types.tbl"
#define BUS_TABLE "bus/office.tbl"
#define BUS_METHODS office_methods
#define BUS_METHODS_N office_methods_n
#include "bus/stubs.h"

struct bus_pending *office_message_fetch_start(struct arena *a, struct bus *b,
					       const struct office_message_fetch_request *q)
{
	return bus_call_start(a, b, &office_methods[INDEX_message_fetch], q);
}

const struct fail *office_message_fetch_take(struct bus_pending *p,
					     struct office_message_fetch_answer *r)
{
	return bus_call_take(p, r);
}
