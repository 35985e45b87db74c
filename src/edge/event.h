/*
 * Events of one session (ARCHITECTURE 6: every decision is a record): refusals, failed logins, lost connections. They are gathered
 * here and leave at the end of the turn, to the outbox of this process (edge/outbox.h) and with it to the office.
 *
 * In a session's state, zeroed at first. Without an outbox (unit tests) event_batch_flush() calls the office itself.
 */
#ifndef EDGE_EVENT_H
#define EDGE_EVENT_H

#include "bus/office.h"
#include "serve/serve.h"

enum event_limit {
	EVENT_BATCH = 32,        /* records of one session between two flushes */
	EVENT_TEXT = 320,        /* bytes of one argument; the rest is cut */
	EVENT_BYTES = 16 * 1024, /* of the arguments of one event, as JSON */
	EVENT_FACTS = 8,         /* of DMARC, of one session between two flushes */
	EVENT_ARENA = 1024 * 1024,
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

/* The id of an attempt that becomes no message (base/id.h): what a refusal names, and `postern why` finds. Any thread. */
u64 event_attempt(const struct process *p);

/* stage: "mx", "lmtp", "msa", "imap", ...; code: a row of office/event.tbl, by name. decision: members to stand beside the arguments,
 * as decision_print() made them; or empty. Copies everything; bytes of peers are escaped here. */
void event_batch_note(struct event_batch *b, u64 attempt, const char *stage, const char *code,
		      const struct event_argument *arguments, size_t n, str decision);
/* One event of a peer, handed over at once; returns its attempt's id. */
u64 event_note_peer(const struct process *p, str client_address, const char *stage,
		    const char *code, const struct event_argument *arguments, size_t n,
		    str decision);
/* The same of a session's peer. */
u64 event_note_now(struct session *s, const char *stage, const char *code,
		   const struct event_argument *arguments, size_t n, str decision);
/* A refusal of a protocol that knows no SMTP codes, as a decision of its own. check: "connection" (it is ended: put off) or "command"
 * (refused). status: "BYE [LIMIT]"; text: what else the peer is told. */
u64 event_refused_now(struct session *s, const char *check, str status, str text);
/* The same of a client that has no session: turned away by a cap. */
u64 event_turned_away(struct arena *a, const struct session_refusal *r, str status, str text);
/* "too many connections (id 0123456789)". */
str event_named(struct arena *a, str text, u64 attempt);
/* The stage that a service is, where nothing else says it. */
const char *event_stage(enum service service);
/* For struct protocol: tls_failed, with the protocol's name as its stage. */
void event_tls_failed(struct session *s, str why);
/* Room for one fact more, to be filled with what is made in b->arena; NULL: flush first. b->facts_n++ keeps it. */
struct dmarc_fact *event_batch_fact(struct event_batch *b);
/* Hands over what was noted, and forgets it. */
void event_batch_flush(struct event_batch *b, const struct process *p, str client_address);
/* Forgets without sending: for close(). */
void event_batch_drop(struct event_batch *b);

#endif
