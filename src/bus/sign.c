/* Encoders, decoders, methods and stubs of sign.tbl. */
#include "bus/sign.h"

#define MESSAGE_ENCODERS
#include "base/message.h"
#include "bus/call.h"
#include "bus/sign_types.tbl"
#include "bus/sign.tbl"
#include "base/message_end.h"
#include "bus/call_end.h"
#define MESSAGE_DECODERS
#include "base/message.h"
#include "bus/call.h"
#include "bus/sign_types.tbl"
#include "bus/sign.tbl"
#include "base/message_end.h"
#include "bus/call_end.h"

#define BUS_TABLE "bus/sign.tbl"
#define BUS_METHODS sign_methods
#define BUS_METHODS_N sign_methods_n
#include "bus/stubs.h"
