/* Encoders, decoders, methods and stubs of login.tbl. */
#include "bus/login.h"

#define MESSAGE_ENCODERS
#include "base/message.h"
#include "bus/call.h"
#include "bus/login_types.tbl"
#include "bus/login.tbl"
#include "base/message_end.h"
#include "bus/call_end.h"
#define MESSAGE_DECODERS
#include "base/message.h"
#include "bus/call.h"
#include "bus/login_types.tbl"
#include "bus/login.tbl"
#include "base/message_end.h"
#include "bus/call_end.h"

#define BUS_TABLE "bus/login.tbl"
#define BUS_METHODS login_methods
#define BUS_METHODS_N login_methods_n
#include "bus/stubs.h"
