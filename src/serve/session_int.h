/*
 * A session, for the files of this folder. Its owner (law 1) alone touches it, but for the members marked atomic and those that
 * name their lock.
 */
#ifndef SERVE_SESSION_INT_H
#define SERVE_SESSION_INT_H

#include <stdatomic.h>

#include "serve/caller.h"
#include "serve/output.h"
#include "serve/reader.h"
#include "serve/serve.h"

enum { SESSION_MAGIC = 0x53455353, SESSION_CHUNK = 16 * 1024, SESSION_CHUNK_STRETCH = 64 * 1024 };

enum session_time {
	SESSION_CLOSING_MS = 30 * 1000, /* to take our last words */
	SESSION_LINGER_MS = 2 * 1000,   /* to see our FIN, while its input is dropped */
	SESSION_UNITS = 512,            /* turns before others that wait get their chance */
	SESSION_READS = 64,             /* the same, of reads */
	SESSION_STRETCH_STEP =
	    64 * 1024, /* so much of a stretch gives the input deadline anew: no drip-feeding */
};

enum session_phase {
	PHASE_HANDSHAKE,
	PHASE_SERVING,
	PHASE_TO_TLS,  /* the last clear answer leaves, then the handshake */
	PHASE_CLOSING, /* the last answer leaves, then FIN */
	PHASE_LINGER,  /* FIN sent; input is dropped, so that no reset overtakes our last words */
	PHASE_DEAD,
};

/* Law 4. */
enum session_owner { OWNER_WORKER, OWNER_WORKER_WOKEN, OWNER_WAITER, OWNER_QUEUE };

/* Bits of session->wakes: set by anyone, taken by the owner. */
enum session_wake_bit {
	WAKE_BIT_NOTICE = 1 << 0,
	WAKE_BIT_SHUTDOWN = 1 << 1,
	WAKE_BIT_HANGUP = 1 << 2, /* epoll saw EPOLLERR or EPOLLHUP */
	WAKE_BIT_KILL = 1 << 3,   /* the time of a shutdown is over */
};

/* What a run ended with. */
enum session_stop {
	SESSION_PARK,  /* wait for session->want, wakes and the time */
	SESSION_YIELD, /* not at an end, but others wait */
	SESSION_END,   /* closed; only the memory is left */
};

struct session {
	u32 magic;
	_Atomic u32 owner; /* enum session_owner */
	_Atomic u32 wakes;
	_Atomic u64 due; /* what the keeper is to wake it for; 0: nothing */
	_Atomic u64
	    kept; /* when the keeper will look at `due`; UINT64_MAX: not at all. Set under the heap's lock */
	size_t heap_at;       /* lock of the heap: place + 1, 0 when not in it */
	struct session *next; /* of the queue of the woken, under its lock */
	struct session *table_next, **table_from; /* lock of the table */

	struct process *process;
	struct server *server;                /* NULL in serve_one */
	bool (*begin_tls)(struct session *s); /* NULL: there is no TLS here */
	const struct protocol *protocol;
	const struct env *env;
	struct arena *keep; /* holds this struct */
	struct arena *turn; /* NULL while parked */
	void *state;
	u64 id;

	struct stream stream;
	struct reader reader;
	struct output out;
	struct buf in;
	size_t in_at; /* of `in`: looked at */

	u64 input_ms, deadline; /* session_deadline; its end */
	u64 timer, pause, progress, phase_end;
	u64 before_login;   /* bytes taken from a stranger */
	u64 stretch_credit; /* bytes of a stretch since the deadline was set */

	u8 service;
	u8 phase;
	u8 want; /* EPOLLIN, EPOLLOUT */
	struct caller caller;
	bool armed;       /* epoll knows the socket */
	bool counted;     /* in the table of addresses */
	bool opened;      /* WAKE_OPEN was given, so close() is due */
	u8 tls_waits;     /* how often the first record of a handshake was waited for */
	bool greeted_tls; /* the handshake under way was asked for by a turn */
	bool continuing;  /* session_continue */
	bool write_wants_read, read_wants_write; /* TLS */
	bool blocked;                            /* the last flush left something */
	bool sour;     /* input is left that nobody will look at: linger when closing */
	bool stranger; /* must log in, and has not */
};

struct session *session_new(struct process *p, const struct protocol *protocol,
			    enum service service, int fd, u64 id);
void session_begin_tls(struct session *s); /* before the first run: TLS from the first byte */
/* Runs until nothing is left to do. Called by the owner. crowded: others wait for this thread (may be NULL: never). */
enum session_stop session_run(struct session *s, bool (*crowded)(struct session *s));
/* Gives back what only a running session needs. Before parking. */
void session_compact(struct session *s);
/* When it must run again at the latest, on the monotonic clock; 0: no such time. */
u64 session_due(const struct session *s);
void session_free(struct session *s);
u64 session_now(const struct session *s);

#endif
