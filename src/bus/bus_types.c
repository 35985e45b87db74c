/* Encoders and decoders of types.tbl. */
#include "bus/bus_types.h"

#define MESSAGE_ENCODERS
#include "base/message.h"
#include "bus/types.tbl"
#include "base/message_end.h"
#define MESSAGE_DECODERS
#include "base/message.h"
#include "bus/types.tbl"
#include "base/message_end.h"
