/*
 * Logs are events with typed fields, one logfmt line each, at most LOG_LINE bytes:
 *
 *	LOG(INFO, "smtp.accept", LOG_STR("from", sender), LOG_U64("size", size));
 *	-> ts=2026-11-21T19:08:00.123Z level=info proc=mx event=smtp.accept from=a@b.example size=5120
 *
 * Bytes from peers are escaped here, in one place. A `struct secret` has no LOG_ macro on purpose.
 * Lines go through a ring to one thread that writes to stderr; when the ring is full the line is dropped
 * and counted; so is what a full disk does not take. The next line that fits tells how many since the process began
 * (event=log.dropped lines=N, also after each further loss). Before log_start() lines are written directly,
 * and dropped in the same way when stderr takes none now.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/str.h"

struct fail;

enum { LOG_LINE = 4096 };
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log_field {
	const char *name;
	enum { LOG_FIELD_STR, LOG_FIELD_U64, LOG_FIELD_FAIL, LOG_FIELD_ID } type;
	union {
		str s;
		u64 u;
		const struct fail *fail;
	};
};

void log_name(const char *process, enum log_level lowest); /* lives for ever; before threads */
void log_level_set(enum log_level lowest);
void log_start(void); /* starts the writing thread; after the jail */
/* Waits until what was logged before is written, but not for a reader that is not there. */
void log_flush(void);
void log_event(enum log_level level, const char *event, const struct log_field *fields, size_t n);

#define LOG_STR(name_, value)                                        \
	{                                                            \
		.name = (name_), .type = LOG_FIELD_STR, .s = (value) \
	}
#define LOG_CSTR(name_, value)                                               \
	{                                                                    \
		.name = (name_), .type = LOG_FIELD_STR, .s = str_cstr(value) \
	}
#define LOG_U64(name_, value)                                        \
	{                                                            \
		.name = (name_), .type = LOG_FIELD_U64, .u = (value) \
	}
#define LOG_ID(name_, value)                                        \
	{                                                           \
		.name = (name_), .type = LOG_FIELD_ID, .u = (value) \
	}
#define LOG_FAIL(name_, value)                                           \
	{                                                                \
		.name = (name_), .type = LOG_FIELD_FAIL, .fail = (value) \
	}

#define LOG(level, event, ...)                                                        \
	do {                                                                          \
		const struct log_field log_fields_[] = { __VA_ARGS__ };               \
		log_event(LOG_##level, (event), log_fields_, ARRAY_LEN(log_fields_)); \
	} while (0)

#endif
