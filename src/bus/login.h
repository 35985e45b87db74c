/* Calls to login (login.tbl): structs, enums, stubs. */
#ifndef BUS_LOGIN_H
#define BUS_LOGIN_H

#include "bus/bus.h"

#define BUS_TYPES "bus/login_types.tbl"
#define BUS_TABLE "bus/login.tbl"
#include "bus/declare.h"

extern const struct bus_method login_methods[];
extern const size_t login_methods_n;

enum sasl_status { SASL_CONTINUE, SASL_DONE, SASL_FAILED };

enum login_limit {
	LOGIN_RESPONSE_MAX = 8192,             /* bytes of one client response, decoded */
	LOGIN_TICKET_MS = 24 * 60 * 60 * 1000, /* a ticket's life */
};

#endif
