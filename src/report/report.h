/* The structs of report.tbl. Includers take aggregate.h, feedback.h or tlsrpt.h, which add the enums. */
#ifndef REPORT_REPORT_H
#define REPORT_REPORT_H

#include "base/codec.h"

#define MESSAGE_STRUCTS
#include "base/message.h"
#include "report/report.tbl"
#include "base/message_end.h"
#define MESSAGE_PROTOTYPES
#include "base/message.h"
#include "report/report.tbl"
#include "base/message_end.h"

#endif
