/* Encoders, decoders, methods and stubs of relay.tbl. */
#include "bus/relay.h"

#define BUS_TABLE "bus/relay.tbl"
#define BUS_METHODS relay_methods
#define BUS_METHODS_N relay_methods_n
#include "bus/stubs.h"
