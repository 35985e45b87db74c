/* Encoders, decoders, methods and stubs of relay.tbl. */
#include "bus/relay.h"

#define MESSAGE_ENCODERS
#include "base/message.h"
#include "bus/call.h"
#include "bus/relay.tbl"
#include "base/message_end.h"
#include "bus/call_end.h"
#define MESSAGE_DECODERS
#include "base/message.h"
#include "bus/call.h"
#include "bus/relay.tbl"
#include "base/message_end.h"
#include "bus/call_end.h"

#define BUS_TABLE "bus/relay.tbl"
#define BUS_METHODS relay_methods
#define BUS_METHODS_N relay_methods_n
#include "bus/stubs.h"
