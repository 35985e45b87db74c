/* The control socket between parent and child: for parent/ and process.c alone. */
#ifndef SERVE_PROCESS_CONTROL_H
#define SERVE_PROCESS_CONTROL_H

#include "base/codec.h"

#define MESSAGE_STRUCTS
#include "base/message.h"
#include "serve/process_control.tbl"
#include "base/message_end.h"
#define MESSAGE_PROTOTYPES
#include "base/message.h"
#include "serve/process_control.tbl"
#include "base/message_end.h"

enum control {
	CONTROL_LISTENER = 1,
	CONTROL_BUS,
	CONTROL_START,
	CONTROL_PEER,
	CONTROL_RELOAD,
	CONTROL_STOP,  /* no body */
	CONTROL_READY, /* child to parent, no body; again every few seconds, as a sign of life */
};

enum { CONTROL_FD = 3, CONTROL_STOP_MS = 5000 };

#endif
