/* Encoders, decoders, methods and stubs of login.tbl. */
#include "bus/login.h"

#define BUS_TYPES "bus/login_types.tbl"
#define BUS_TABLE "bus/login.tbl"
#define BUS_METHODS login_methods
#define BUS_METHODS_N login_methods_n
#include "bus/stubs.h"
