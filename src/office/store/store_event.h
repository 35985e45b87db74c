/*
 * The rows of events, and what finds them. Written in the transaction they describe. Old ones go in slices of a bounded
 * size (store_event_expire), so that no transaction is long.
 */
#ifndef OFFICE_STORE_STORE_EVENT_H
#define OFFICE_STORE_STORE_EVENT_H

#include "office/event.h"
#include "office/store/store.h"

enum store_event_limit {
	STORE_EVENT_ARGUMENTS = 16 * 1024, /* of one that an edge sends */
	STORE_EVENT_LATE_MS = 60 * 60 * 1000,
	STORE_EVENT_SLICE = 2000, /* rows of one expiry */
	STORE_EVENT_SHOWN = 1000, /* of one message */
	STORE_TRACE_RECIPIENTS = 50,
	STORE_TRACE_SCAN = 20000, /* events without message that one trace looks through */
	STORE_TRACE_MAX = 1000,
};

/* stage: "queue", "mda", ...; arguments: event_args_end(). message 0: none. */
const struct fail *store_event_add(struct tx *t, u64 message, str stage, enum event_code code,
				   str arguments);
/* From another process; arguments that are not what they should be are left out. */
const struct fail *store_event_add_record(struct tx *t, const struct event_record *r);

struct store_trace {
	u64 message, size;
	str sender, subject, message_id;
	str client; /* IP address as text, may be empty */
	const str *recipients;
	size_t recipients_n;
};
const struct fail *store_trace_add(struct tx *t, const struct store_trace *trace);

/* Events of one message, oldest first. */
const struct fail *store_event_list(struct tx *t, u64 message, const struct event_record **out,
				    size_t *n);
const struct fail *store_trace_find(struct tx *t, str word, u32 max, struct office_trace_answer *r);
/* How long what belongs to a message, and to none, is kept; and at most how many attempts that became none. */
struct store_event_keep {
	u64 messages_ms, attempts_ms, attempts_most;
	u64 attempts_first; /* what was found of attempts_most the last time, which takes long; 0: look anew */
};
/* Removes one slice of what is old; *more: there is another. Goes by ids, not by what events say, so that nothing stays for ever. */
const struct fail *store_event_expire(struct tx *t, struct store_event_keep *keep, bool *more);
const struct fail *store_event_count(struct tx *t, u64 *out);

#endif
