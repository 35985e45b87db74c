/* Encoders and decoders of the control socket's messages. */
#include "serve/process_control.h"

#define MESSAGE_ENCODERS
#include "base/message.h"
#include "serve/process_control.tbl"
#include "base/message_end.h"
#define MESSAGE_DECODERS
#include "base/message.h"
#include "serve/process_control.tbl"
#include "base/message_end.h"
