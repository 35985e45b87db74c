/*
 * Events of one session (ARCHITECTURE 6: every decision is a record): refusals, failed logins, lost connections. They are gathered
 * here and go to the office in one call when the session ends or the batch is full, so a flood of refusals is a
 * trickle of commits; what is beyond the batch is counted, not kept.
 *
 * In a session's state, zeroed at first. event_batch_flush() calls the bus: only from a turn, never from close().
 */
#ifndef EDGE_EVENT_H
#define EDGE_EVENT_H

#include "bus/office.h"

enum event_limit {
	EVENT_BATCH = 32,   /* records of one session between two flushes */
	EVENT_TEXT = 320,   /* bytes of one argument; the rest is cut */
	EVENT_BYTES = 4096, /* of the arguments of one event, as JSON */
	EVENT_FACTS = 8,    /* of DMARC, of one session between two flushes */
	EVENT_ARENA = 512 * 1024,
};

struct event_batch {
	struct arena *arena; /* NULL: nothing noted */
	struct event_record *records;
	size_t n;
	struct dmarc_fact *facts;
	size_t facts_n;
	u64 dropped;
};

struct event_argument {
	const char *name; /* a JSON name of ours: letters and '_' */
	str text;
	u64 number;
	bool is_number;
};

#define EVENT_STR(name_, value)                  \
	{                                        \
		.name = (name_), .text = (value) \
	}
#define EVENT_U64(name_, value)                                       \
	{                                                             \
		.name = (name_), .number = (value), .is_number = true \
	}

/* stage: "mx", "lmtp", "msa", "imap", ...; code: a row of office/event.tbl, by name. Copies everything; bytes of
 * peers are escaped here. */
void event_batch_note(struct event_batch *b, u64 message, const char *stage, const char *code,
		      const struct event_argument *arguments, size_t n);
/* Room for one fact more, to be filled with what is made in b->arena; NULL: flush first. b->facts_n++ keeps it. */
struct dmarc_fact *event_batch_fact(struct event_batch *b);
/* Sends what was noted, and forgets it, whether the office took it or not (then a log line says so). */
void event_batch_flush(struct event_batch *b, struct bus *office, const struct client_info *client);
/* Forgets without sending: for close(). */
void event_batch_drop(struct event_batch *b);

#endif
