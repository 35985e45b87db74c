/*
 * Sessions: turns and a waiter. A session is data. A turn is a function call. Workers run turns; the waiter keeps sessions.
 *
 * The laws (ARCHITECTURE 4):
 *  1. One owner: a session belongs to one worker or to the waiter. No lock per session.
 *  2. Park only between turns. What outlives a turn is in the session; the turn arena is reset.
 *  3. Park only after SSL_read has said WANT_READ and our buffer holds no complete unit.
 *  4. Arm, then one atomic exchange to PARKED. Whoever swaps PARKED for QUEUED owns the session; a wake that came earlier
 *     left WOKEN, and the worker that finds it in the exchange keeps the session. After a successful exchange the worker touches nothing.
 *  5. The worker that ends a session frees it, once it is off the table and out of the heap: all others reach sessions by id, under
 *     the table's lock, or by the heap, under the heap's. Unsubscribe from notices first.
 *  6. Workers wait for events themselves, one event at a time: what is ready runs in the thread that learns of it, and no thread
 *     holds an event that it does not work on. While the last of them runs, another is started.
 *  7. Never hold a lock or a transaction while writing to a peer.
 *  8. Long input parks too: the readers keep their state in the session and feed a sink.
 *  9. Long output is a chain of (memory | fd, offset, length); past the high-water mark the session parks for EPOLLOUT with a
 *     progress deadline.
 * 10. Deadlines are absolute, on the monotonic clock; one thread, the keeper, looks after them.
 * 11. Caps everywhere: busy workers, sessions, sessions per address (/32, /64), bytes before login.
 *
 * A protocol is straight-line: its turn() gets one complete unit (a line, the end of a counted or dotted stretch, a wake) and
 * appends its answer to the session's output. The skeleton flushes when no complete unit is left (so pipelined commands
 * are answered in one write) or past the high-water mark, then parks.
 */
#ifndef SERVE_SERVE_H
#define SERVE_SERVE_H

#include <openssl/types.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/fail.h"
#include "bus/bus_types.h"
#include "serve/process.h"

struct session;
struct server;
struct session_refusal;
struct tls_server;

enum wake {
	WAKE_OPEN,     /* first turn: greet. With implicit TLS: after the handshake */
	WAKE_LINE,     /* session_line() holds a line, without its CRLF */
	WAKE_STRETCH,  /* the counted or dotted stretch has ended; the sink has all of it */
	WAKE_BAD_LINE, /* enum bad_line in session_bad(); the offending input was discarded */
	WAKE_TLS,      /* the handshake that TURN_TLS asked for is done */
	WAKE_NOTICE,   /* session_wake() was called */
	WAKE_TIMER,    /* the timer of session_timer() is due */
	WAKE_RESUME,   /* the pause of session_pause() is over */
	WAKE_IDLE, /* the deadline of session_deadline() is over: say goodbye, return TURN_CLOSE */
	WAKE_SHUTDOWN, /* the server stops: say goodbye, return TURN_CLOSE */
	WAKE_GONE, /* the peer closed, reset, broke TLS, or passed a cap: nothing can be said any more */
};

enum turn {
	TURN_MORE,  /* wait for the next unit (or run it at once when it is there) */
	TURN_CLOSE, /* flush, then close politely (close_notify, FIN) */
	TURN_ABORT, /* close at once */
	TURN_TLS, /* flush in clear, drop all unread clear input (RFC 3207 4.2: if there is any, close), handshake, then WAKE_TLS */
};

enum bad_line {
	BAD_LINE_LONG, /* over the limit; its rest is being discarded, within a budget, then the session closes */
	BAD_LINE_BARE_CR, /* CR without LF, or LF without CR: refused everywhere */
	BAD_LINE_NUL,
};

/* What a stretch of input goes to. Runs on the session's worker. bytes: as on the wire for counted; for dotted unstuffed, CRLF kept.
 * A fail is kept, the rest of the stretch is read and dropped, and WAKE_STRETCH comes with session_stretch_fail(). */
struct sink {
	const struct fail *(*write)(struct sink *k, struct arena *turn, str bytes);
};

struct protocol {
	const char *name;
	size_t session_size; /* of the protocol's own struct, zeroed at open; see session_state() */
	size_t arena_budget; /* of the turn arena */
	size_t keep_budget;  /* of the session arena */
	size_t line_max;     /* at first; session_line_max() changes it */
	enum turn (*turn)(struct session *s, enum wake why);
	/* The session ends, for whatever reason (once, if WAKE_OPEN was given); state may already be gone from the peer's side. Unsubscribe from notices here. */
	void (*close)(struct session *s);
	/* What to say (one line, CRLF included) to a peer over a cap, before closing: "421 4.7.0 ...". */
	str (*too_many)(struct arena *a, const struct session_refusal *r);
	/* A handshake failed or took too long; the session ends. It may never have been opened: nothing but its address is known.
	 * NULL: nobody wants to know. */
	void (*tls_failed)(struct session *s, str why);
};

/* --- For protocols: everything here is called by turn() on its own session --------------------------------- */

void *session_state(struct session *s);
struct arena *session_turn_arena(struct session *s); /* reset after each turn */
struct arena *session_arena(struct session *s);      /* lives as long as the session */
struct process *session_process(struct session *s);
u64 session_id(
    const struct session *s); /* unique in this process; the `watch` and ticket session */
enum service session_service(const struct session *s);
/* address (4 or 16 bytes, IPv4-mapped as 4; lives as long as the session), port, tls (as long as the turn) filled in; helo is the protocol's
 * to add. */
struct client_info session_client(struct session *s);
/* "192.0.2.1", "2001:db8::1" or "local"; lives as long as the session. */
str session_address_text(const struct session *s);
bool session_is_tls(const struct session *s);
/* RFC 9266 tls-exporter, 32 bytes; false without TLS 1.3. RFC 5929 is not offered. */
bool session_channel_binding(struct session *s, u8 out[32]);

str session_line(const struct session *s); /* until the turn ends */
enum bad_line session_bad(const struct session *s);
const struct fail *session_stretch_fail(const struct session *s);

/* What to read next; without a call, lines. Kept across turns until its end. sink must live in the session arena or state. */
void session_line_max(struct session *s, size_t max);
void session_read_counted(struct session *s, u64 n, struct sink *k); /* then lines again */
void session_read_dotted(struct session *s,
			 struct sink *k); /* to CRLF.CRLF; bare CR or LF: WAKE_BAD_LINE */
/* True when bytes that we have not looked at yet are waiting (unauthorised pipelining, THREATS S12). */
bool session_has_input(const struct session *s);
/* The same of what stood behind this line when it was read: it asks the kernel only when that read may not have taken all. */
bool session_is_pipelined(const struct session *s);

/* Output: sent after the turn, in order. */
struct buf *session_out(struct session *s); /* append only; never holds more than the turn wrote */
void session_out_fd(struct session *s, int fd, u64 at,
		    u64 n); /* takes fd; sent with what stands in out before and after it */
/* Bytes not yet taken by the peer. A protocol with much to say stops over SESSION_HIGH_WATER, calls session_continue and returns:
 * its turn gets WAKE_RESUME once they are written. */
size_t session_unsent(const struct session *s);
void session_continue(struct session *s);

/* Time. All in milliseconds from now; 0 takes it away. */
void session_deadline(
    struct session *s,
    u64 ms); /* of input; starts anew with each turn but NOTICE and TIMER, until changed */
void session_timer(struct session *s, u64 ms);
void session_pause(struct session *s,
		   u64 ms); /* no unit is handed out till then (a penalty); then WAKE_RESUME */
/* Services for people (ROLE_CLIENT): the cap of SESSION_BEFORE_LOGIN is over. */
void session_logged_in(struct session *s);

enum session_limit {
	SESSION_HIGH_WATER = 256 * 1024,
	SESSION_PROGRESS_MS =
	    2 * 60 * 1000,                /* a peer that takes no output for so long is dropped */
	SESSION_HANDSHAKE_MS = 10 * 1000, /* THREATS T07 */
	SESSION_DISCARD =
	    1 << 20, /* bytes of an over-long line that are read and dropped before closing */
	SESSION_BEFORE_LOGIN =
	    64 *
	    1024, /* bytes taken from a person's program that has not logged in; then it is closed */
};

/* --- For processes ------------------------------------------------------------------------------------------ */

struct session_refusal {
	enum service service;
	bool per_address; /* the cap of the address, else of the server */
	struct process *process;
	str address, address_text; /* the peer's; borrow */
};

/* tls: NULL when no service of this process speaks TLS. protocols: by enum service, NULL where unused. */
struct server *server_new(struct process *p, const struct protocol *const protocols[SERVICES],
			  struct tls_server *tls);
/* Accepts and serves until server_stop; sessions then get WAKE_SHUTDOWN and up to 3 s. */
void server_run(struct server *v);
void server_stop(struct server *v); /* any thread */
/* The caps of a new configuration, for the sessions to come. Any thread. */
void server_reload(struct server *v, const struct config *config);
/* Wakes a session with WAKE_NOTICE; a session that is gone is no error. Any thread. */
void session_wake(struct server *v, u64 session);
void session_wake_all(struct server *v); /* the notice pair overflowed */

/* A session over one end of a socketpair (or a connection) without listening: for unit tests, talk scripts and fuzzers. Runs turns in the caller's
 * thread until the peer's end is closed or the session ends. */
void serve_one(struct process *p, const struct protocol *protocol, enum service service, int fd);
/* The same with TLS in name, for fuzzers: a session that begins it gets `tls`, and the words go on as they are. */
void serve_one_as_tls(struct process *p, const struct protocol *protocol, enum service service,
		      int fd, SSL *tls);

#endif
