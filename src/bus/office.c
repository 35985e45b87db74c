/* Encoders, decoders, methods and stubs of office.tbl. */
#include "bus/office.h"

#define MESSAGE_ENCODERS
#include "base/message.h"
#include "bus/call.h"
#include "bus/office_types.tbl"
#include "bus/office.tbl"
#include "base/message_end.h"
#include "bus/call_end.h"
#define MESSAGE_DECODERS
#include "base/message.h"
#include "bus/call.h"
#include "bus/office_types.tbl"
#include "bus/office.tbl"
#include "base/message_end.h"
#include "bus/call_end.h"

#define BUS_TABLE "bus/office.tbl"
#define BUS_METHODS office_methods
#define BUS_METHODS_N office_methods_n
#include "bus/stubs.h"
