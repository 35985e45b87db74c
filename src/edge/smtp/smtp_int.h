/* What the files of edge/smtp, and the policies of edge/mx and edge/msa, share. */
#ifndef EDGE_SMTP_SMTP_INT_H
#define EDGE_SMTP_SMTP_INT_H

#include "base/arena.h"
#include "base/scan.h"
#include "bus/office.h"
#include "edge/event.h"
#include "edge/gate/gate.h"
#include "edge/sasl.h"
#include "edge/smtp/policy.h"
#include "edge/smtp/reply.h"
#include "serve/serve.h"
#include "text/smtp_command.h"

/* What is not in the configuration (mail.size, mail.recipients, mail.hops, limit.errors, limit.smtp_idle, limit.login_time). */
enum smtp_session_limit {
	SMTP_LINE =
	    2048, /* a command but AUTH, without CRLF: RFC 5321 4.5.3.1.4 has 512, extensions add */
	SMTP_JUNK = 100,        /* commands that move no mail, between two messages (THREATS S27) */
	SMTP_MESSAGES = 100000, /* transactions of one session */
	SMTP_TINY = 512, /* a BDAT chunk below this, and not the last, is tiny (THREATS S09) */
	SMTP_TINY_CHUNKS = 1000,       /* of one transaction */
	SMTP_RECIPIENTS_FIRST = 8,     /* room in the list at first; doubled */
	SMTP_RECIPIENT_BYTES = 2048,   /* budget of each recipient allowed */
	SMTP_MESSAGE_ARENA = 16 << 20, /* budget for the header and skeleton of one message */
	SMTP_TURN_ARENA = 1 << 20,
	SMTP_KEEP_ARENA = 32 * 1024,
};

/* Where a session stands (RFC 5321 4.1.4); follows from the session, never kept apart from it. */
enum smtp_state {
	IN_START = 1 << 0, /* no EHLO yet */
	IN_READY = 1 << 1,
	IN_MAIL = 1 << 2, /* a sender, no recipient */
	IN_RCPT = 1 << 3,
	IN_CHUNK = 1 << 4, /* a BDAT was taken, more must come */
	IN_ANY = IN_START | IN_READY | IN_MAIL | IN_RCPT | IN_CHUNK,
};

enum smtp_needs {
	NEEDS_TLS = 1 << 0,
	NEEDS_CLEAR = 1 << 1,
	NEEDS_LOGIN = 1 << 2,
	NEEDS_NOBODY = 1 << 3,
	NEEDS_EHLO = 1 << 4,
};

enum smtp_verb_flag {
	VERB_LAST = 1 << 0,
	VERB_JUNK = 1 << 1,
	VERB_LONG = 1 << 2,
	VERB_CHUNK = 1 << 3,
};

enum smtp_services {
	FOR_MX = 1 << 0,
	FOR_LMTP = 1 << 1,
	FOR_PEOPLE = 1 << 2,
	FOR_SMTP = FOR_MX | FOR_PEOPLE,
	FOR_ALL = FOR_SMTP | FOR_LMTP,
};

/* What the next unit of input is. */
enum smtp_input {
	INPUT_COMMAND,
	INPUT_RESPONSE, /* of a SASL exchange */
	INPUT_PAUSE,    /* none: a penalty; `later` is said after it */
	INPUT_DATA,
	INPUT_CHUNK,
	INPUT_DISCARD, /* a chunk that was refused; `later` is said after it */
};

struct smtp {
	u32 magic;
	struct session *session;
	const struct smtp_policy *policy;
	enum smtp_services service;
	bool greeted, extended; /* EHLO, HELO or LHLO was said; not HELO */
	u8 helo[ADDRESS_DOMAIN];
	size_t helo_n;
	struct transaction *transaction; /* NULL: none */
	struct sasl sasl;
	const struct sasl_login *login; /* NULL: nobody */
	enum smtp_input input;
	bool last_chunk;             /* INPUT_CHUNK: it said LAST */
	const struct reply *refusal; /* for VERB_CHUNK: what to say when its octets are read */
	struct reply later;          /* its texts are in the two members below */
	u8 later_enhanced[16], later_text[REPLY_LINE];
	struct sink discard;
	struct sink data;             /* INPUT_DATA */
	const struct fail *data_fail; /* of the gate; lives as long as the transaction */
	u64 data_size;                /* bytes that came, also after data_fail */
	u64 errors;                   /* since a message was taken; so is junk */
	u32 junk, messages;
	struct event_batch events;
};

/* --- The session (session.c) ------------------------------------------------------------------------------------------------ */

struct arena *smtp_turn_arena(struct smtp *s);
enum smtp_state smtp_state(const struct smtp *s);
/* Which parameters MAIL and RCPT may have: those of what EHLO offered. */
unsigned smtp_extensions(struct smtp *s);
/* Keeps r over turns, for when a pause or a discarded chunk is over. */
void smtp_say_later(struct smtp *s, struct reply r);
/* The server forgets all that the client said (RFC 3207 4.2). */
void smtp_forget(struct smtp *s);

/* --- Commands (command.c) --------------------------------------------------------------------------------------------------- */

struct verb {
	struct reply (*run)(struct smtp *s, struct scan *argument); /* NULL: none of ours */
	unsigned services, states, needs, flags;
	const char *section;
};
extern const struct verb smtp_verbs[SMTP_VERBS];

struct reply smtp_command_run(struct smtp *s, str line);
/* "FROM:<a@b> SIZE=5" is about a@b. */
str smtp_path(str argument);
/* Could the command be given now, order aside? For EHLO and HELP. */
bool smtp_verb_offered(struct smtp *s, enum smtp_verb verb);

#define VERB(verb, handler, services, states, needs, flags, section) \
	struct reply smtp_verb_##handler(struct smtp *s, struct scan *argument);
#include "edge/smtp/smtp.tbl"
#undef VERB

/* --- The transaction (transaction.c) ---------------------------------------------------------------------------------------- */

struct transaction *transaction_begin(struct smtp *s);
void transaction_end(struct smtp *s); /* whatever there is; also when there is none */
const struct fail *transaction_add(struct transaction *t, const struct recipient *r);
/* The reply to f, recorded with that code of office/event.tbl; the transaction is gone. */
struct reply transaction_refuse(struct smtp *s, const struct fail *f, const char *code,
				const char *name, str value);
/* Opens the gate for the message's bytes. */
const struct fail *transaction_open(struct smtp *s);
/* All bytes have come (f: what went wrong with them, or NULL): hands it to the office; ends the transaction either way. */
struct reply transaction_finish(struct smtp *s, const struct fail *f);

/* --- Parts of verbs that go on after their line ------------------------------------------------------------------------------- */

struct reply smtp_auth_response(struct smtp *s, str line);
struct reply smtp_data_end(struct smtp *s);
struct reply smtp_data_endless(struct smtp *s); /* the timer that data.c set is due */
struct reply smtp_chunk_end(struct smtp *s, const struct fail *f);
/* Reads n octets to throw them away, then says r; closes at once when there are too many. */
struct reply smtp_chunk_discard(struct smtp *s, u64 n, struct reply r);

/* --- Events (record.c) -------------------------------------------------------------------------------------------------------- */

/* code: row of office/event.tbl. name, value: what was refused: "recipient", "sender", "message", "command", "connection". The reply then
 * names the event's id. Before the transaction ends: what is known of it is recorded too. */
void smtp_record_refusal(struct smtp *s, const char *code, const char *name, str value,
			 struct reply *r);
/* The same of a connection that is turned away before it has a session. */
void smtp_record_turned_away(struct arena *a, const struct session_refusal *refusal,
			     struct reply *r);
/* The same of a reply that nobody has recorded: every refusal passes here. */
void smtp_record_rest(struct smtp *s, enum wake why, struct reply *r);
/* The session ended by "lost" or "timeout" while something was under way; the event's id, 0 when nothing was. */
u64 smtp_record_end(struct smtp *s, const char *code);
void smtp_record_flush(struct smtp *s);

#endif
