/*
 * Events: what happened to a message, and why, as data (ARCHITECTURE 6). Codes and their sentences are rows of event.tbl;
 * arguments are a JSON object (text/json_flat.h). The store writes them (store/store_event.h); ctl and the web turn them into sentences.
 */
#ifndef OFFICE_EVENT_H
#define OFFICE_EVENT_H

#include "base/arena.h"
#include "base/buf.h"
#include "text/json.h"
#include "text/language.h"

enum event_code {
#define EVENT(NAME, code, en, nl) EVENT_##NAME,
#include "office/event.tbl"
#undef EVENT
	EVENT_CODES
};

enum event_args_limit {
	EVENT_ARGUMENTS =
	    16 * 1024,        /* bytes of one event's arguments; what does not fit is left out */
	EVENT_ARGUMENT = 512, /* bytes of one text; the rest is cut */
	EVENT_WORD = 32,      /* bytes of a stage or code that another process sends */
};

str event_code_name(enum event_code code);
/* "delivered", {"recipient":"a@b"} -> "delivered to the mailbox of a@b". A code that is not in the table is shown as it is. Control
 * characters of arguments come out as '?'. */
str event_sentence(struct arena *a, str code, str arguments, enum language l);
/* One column a language, with its places; NULL: no such code. */
const str *event_sentence_of(str code);

/* A JSON object, member by member; bytes that are not UTF-8 and controls are escaped. */
struct event_args {
	struct buf *out;
	struct json json; /* to out */
};
struct event_args event_args_new(struct arena *a);
void event_args_str(struct event_args *args, const char *name, str value);
void event_args_u64(struct event_args *args, const char *name, u64 value);
/* All members of an object; false when it has no room or is no such object. */
bool event_args_add(struct event_args *args, str json);
str event_args_end(struct event_args *args); /* lives as long as the arena */

/* The same object with one member more; as it is when it has that member, has no room, or is no such object. Lives as long as the arena. */
str event_args_with(struct arena *a, str json, const char *name, str value);

/* One object as event_args makes it and edges send it. */
bool event_args_valid(str json);
/* A member by name, unescaped; false when it is not there. */
bool event_args_get(struct arena *a, str json, str name, str *out);

#endif
