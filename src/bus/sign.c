/* Encoders, decoders, methods and stubs of sign.tbl. */
#include "bus/sign.h"

#define BUS_TYPES "bus/sign_types.tbl"
#define BUS_TABLE "bus/sign.tbl"
#define BUS_METHODS sign_methods
#define BUS_METHODS_N sign_methods_n
#include "bus/stubs.h"
