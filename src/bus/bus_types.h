/* The structs of types.tbl and the enums that calls of several servers share. */
#ifndef BUS_BUS_TYPES_H
#define BUS_BUS_TYPES_H

#include "base/codec.h"

#define MESSAGE_STRUCTS
#include "base/message.h"
#include "bus/types.tbl"
#include "base/message_end.h"
#define MESSAGE_PROTOTYPES
#include "base/message.h"
#include "bus/types.tbl"
#include "base/message_end.h"

/* What a listening socket is for (services.tbl). */
enum service {
#define SERVICE(NAME, name, port, role, tls) SERVICE_##NAME,
#include "bus/services.tbl"
#undef SERVICE
	SERVICES
};

/* RFC 3461 4.1, 4.3. */
enum dsn_notify {
	DSN_NOTIFY_NEVER = 1 << 0,
	DSN_NOTIFY_SUCCESS = 1 << 1,
	DSN_NOTIFY_FAILURE = 1 << 2,
	DSN_NOTIFY_DELAY = 1 << 3,
}; /* 0: not said, which means failure and delay */
enum dsn_ret { DSN_RET_UNSAID, DSN_RET_FULL, DSN_RET_HDRS };
enum body_type { BODY_7BIT, BODY_8BITMIME, BODY_BINARYMIME };

#endif
