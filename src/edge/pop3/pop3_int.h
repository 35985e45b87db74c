/* What the files of this folder share. */
#ifndef EDGE_POP3_POP3_INT_H
#define EDGE_POP3_POP3_INT_H

#include "base/scan.h"
#include "bus/office.h"
#include "bus/view.h"
#include "edge/edge.h"
#include "edge/sasl.h"
#include "serve/serve.h"

enum pop3_limit {
	POP3_LINE = 255,          /* RFC 2449 4, without CRLF */
	POP3_WINDOW = 256 * 1024, /* bytes of a message asked at once */
	POP3_LIST_LINES = 8192,   /* of a listing written at once */
	POP3_MESSAGES = 1000000,  /* rows a maildrop may have; more are not shown */
};

enum pop3_state { AUTHORIZATION = 1, TRANSACTION = 2, ANY_STATE = 3 };

/* RETR and TOP under way: what the next window is, and where in a line the last one ended. */
struct pop3_transfer {
	u32 uid;
	u64 offset, size; /* of the body, without the prefix */
	bool limited;     /* TOP: stop after lines_left lines of the body */
	u64 lines_left;
	bool in_header;
	bool prefix_sent;
	bool at_line_start; /* a dot now must be doubled */
	bool
	    line_empty; /* nothing but what ends a line since the last line end: tells the end of the header */
};

/* The INBOX as it was at login (RFC 1939 4: a maildrop does not change while it is locked). */
struct pop3_maildrop {
	u64 mailbox;
	u32 uidvalidity;
	u32 n;
	const struct view_row *const *chunks; /* VIEW_CHUNK_ROWS rows each */
	u8 *deleted;                          /* one bit a message */
};

struct pop3 {
	struct session *session;
	enum pop3_state state;
	u8 user
	    [POP3_LINE]; /* of USER, until PASS; here, so that a thousand USERs cost no more than one */
	size_t user_n;
	bool locked;   /* we hold the maildrop, or may: it is to be given back */
	u64 locked_by; /* bus_servers() when we got it: a new office knows of no locks */
	u64 errors;
	struct sasl sasl;
	struct ticket ticket;
	struct pop3_maildrop drop;
	u64 login_refused;                   /* the event of the login that failed last */
	enum turn (*resume)(struct pop3 *p); /* a long answer under way: how it goes on */
	u32 list_next;                       /* LIST and UIDL: the next number to tell of */
	struct pop3_transfer transfer;
};

struct pop3_command {
	const char *keyword;
	enum turn (*handler)(struct pop3 *p, struct scan *arguments);
	enum pop3_state states;
	unsigned arguments;
};

static inline const struct config *pop3_config(struct pop3 *p)
{
	return edge_config(session_process(p->session));
}

/* Replies: one line each; text must be one of ours or without CR and LF, which are dropped. */
enum turn pop3_ok(struct pop3 *p, const char *format, ...) PRINTF(2, 3);
enum turn pop3_error(struct pop3 *p, const char *format, ...) PRINTF(2, 3); /* counts as an error */
/* A fail as -ERR with the RFC 3206 or RFC 2449 response code that fits. */
enum turn pop3_fail(struct pop3 *p, const struct fail *f);

const struct view_row *pop3_row(const struct pop3 *p, u32 number); /* number from 1 */
bool pop3_is_deleted(const struct pop3 *p, u32 number);
/* A message number that exists and is not marked deleted (RFC 1939 5). */
bool pop3_take_number(const struct pop3 *p, struct scan *s, u32 *number);

/* auth.c: what follows a login that worked, and the SASL lines. */
enum turn pop3_auth_line(struct pop3 *p, str line);
const struct fail *pop3_hold(
    struct pop3 *p);               /* takes the maildrop's lock, or sees that we have it */
void pop3_release(struct pop3 *p); /* gives it back, if we have it */
enum turn pop3_not_held(struct pop3 *p, const struct fail *f); /* the end */

#define COMMAND(keyword, handler, states, arguments, section) \
	enum turn pop3_##handler(struct pop3 *p, struct scan *arguments_);
#include "edge/pop3/pop3.tbl"
#undef COMMAND

#endif
