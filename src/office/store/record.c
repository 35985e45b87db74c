#include "office/store/record.h"

#define MESSAGE_ENCODERS
#include "base/message.h"
#include "office/store/record.tbl"
#include "base/message_end.h"
#define MESSAGE_DECODERS
#include "base/message.h"
#include "office/store/record.tbl"
#include "base/message_end.h"
