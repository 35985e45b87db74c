/* The structs of record.tbl: what summaries and notes in segments say. */
#ifndef OFFICE_STORE_RECORD_H
#define OFFICE_STORE_RECORD_H

#include "base/codec.h"

#define MESSAGE_STRUCTS
#include "base/message.h"
#include "office/store/record.tbl"
#include "base/message_end.h"
#define MESSAGE_PROTOTYPES
#include "base/message.h"
#include "office/store/record.tbl"
#include "base/message_end.h"

#endif
