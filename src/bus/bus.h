/*
 * The bus: typed calls between our own processes, over AF_UNIX seqpacket pairs that parent makes.
 *
 * One table per server (office.tbl, login.tbl, sign.tbl, relay.tbl) lists its calls; structs, encoders, decoders and stubs
 * are generated from it. For `CALL(office, mailbox_delete, ...)` a client writes
 *
 *	struct office_mailbox_delete_request q = { .ticket = t, .name = name };
 *	struct office_mailbox_delete_answer r;
 *	TRY(office_mailbox_delete(arena, bus, &q, &r));
 *
 * The call blocks its thread until the answer, the budget's end (TIMEOUT) or the server's death (UNAVAILABLE). What r
 * holds (strings, lists, descriptors) lives as long as the arena. Any number of threads may call on one struct bus.
 *
 * A frame is at most BUS_FRAME bytes; a larger body travels in a sealed memfd, up to BUS_BODY_MAX, unseen by callers.
 * A frame that does not decode to its last byte, an unknown number, or a call that this peer may not make
 * ends that peer's connection: a peer that speaks nonsense was taken over or is broken.
 */
#ifndef BUS_BUS_H
#define BUS_BUS_H

#include "base/codec.h"
#include "base/fail.h"
#include "bus/bus_types.h"

enum {
	BUS_FRAME = 64 * 1024,
	BUS_BODY_MAX = 32 * 1024 * 1024,
	BUS_CALL_MS = 60 * 1000, /* budget of a call that is not BUS_PARK */
	BUS_RESTART_MS =
	    3000, /* a process that begins anew, as sign does for new certificates, is back by then */
	BUS_ARENA = 64 * 1024 * 1024, /* budget of one call at the server */
	BUS_UNDER_WAY =
	    2048, /* calls of one peer at once; beyond it we stop reading from it until some are answered */
	BUS_UNDER_WAY_BYTES = 64 * 1024 * 1024, /* the same for what those calls brought */
	BUS_UNSENT = 16 * 1024 * 1024, /* bytes of answers kept for a peer that does not read */
	BUS_UNSENT_FDS = 512,          /* and descriptors */
	BUS_CTL_PEERS = 64,            /* connections of one listening socket at once */
};

enum bus_mode { BUS_QUICK, BUS_READ, BUS_WRITE, BUS_PARK };

/* Roles as bits: who may call. */
enum bus_caller {
	CALLER_MX = 1 << 0,
	CALLER_CLIENT = 1 << 1,
	CALLER_MDA = 1 << 2,
	CALLER_RELAY = 1 << 3,
	CALLER_CTL = 1 << 4,
};

struct bus_call;

/* One row of a server's table. */
struct bus_method {
	const char *name; /* "office.message_commit" */
	u32 number;
	u32 callers;
	enum bus_mode mode;
	bool needs_ticket; /* then the request begins with a struct ticket */
	size_t request_size, answer_size;
	void (*encode_request)(struct encoder *, const void *);
	void (*decode_request)(struct decoder *, void *);
	void (*encode_answer)(struct encoder *, const void *);
	void (*decode_answer)(struct decoder *, void *);
};

/* --- Client ------------------------------------------------------------------------------------------------ */

struct bus;

struct bus *bus_new(int fd); /* takes fd (-1: none yet); lives as long as the process */
/* The server restarted: takes the new pair. Calls under way on the old one fail UNAVAILABLE. */
void bus_replace(struct bus *b, int fd);
/* How long this bus has been without a server, in milliseconds; 0: it has one, as far as calls have shown. */
u64 bus_lost_ms(struct bus *b);
/* How many servers this bus has had: one more, and what the one before kept for us is gone. */
u64 bus_servers(struct bus *b);
/* Waits for the server that is on its way; false when it is not there by `until` (monotonic). For a call that may be made twice. */
bool bus_wait(struct bus *b, u64 until);
/* For tests, which must not leak: no call may be under way. */
void bus_free(struct bus **b);
/* What the generated stubs call. Waits for BUS_CALL_MS; when the method is BUS_PARK, for ever. */
const struct fail *bus_call(struct arena *a, struct bus *b, const struct bus_method *m,
			    const void *request, void *answer);
/* The same, within a budget of the caller's own. */
const struct fail *bus_call_within(struct arena *a, struct bus *b, const struct bus_method *m,
				   const void *request, void *answer, u64 ms);

/* A call whose answer is fetched later, so that both sides can work at once. The arena owns it: one that nobody takes ends with
 * the arena, and its answer is dropped. A request that could not be sent fails when it is taken. */
struct bus_pending;
struct bus_pending *bus_call_start(struct arena *a, struct bus *b, const struct bus_method *m,
				   const void *request);
/* Waits as bus_call does, its budget counted from now. Once. What the answer holds lives as long as bus_call_start's arena. */
const struct fail *bus_call_take(struct bus_pending *p, void *answer);

/* --- Server ------------------------------------------------------------------------------------------------ */

struct bus_server;

/* The other end, as parent named it. Ours to trust only as far as `role` goes. */
struct bus_peer {
	u32 role; /* one CALLER_ bit */
	u32 instance;
	u64 number; /* never the same for two connections of one server */
};

/* One call being served. Whoever holds it answers it, once, from any thread. */
struct bus_call {
	struct arena *arena; /* its lifetime; freed by bus_answer */
	const struct bus_method *method;
	struct bus_peer peer; /* a copy: the connection itself may be gone by now */
	void *request;        /* struct SERVER_NAME_request, decoded */
	void *answer; /* struct SERVER_NAME_answer, zeroed, descriptors -1 is up to the server */
	struct bus_call *next;             /* for the server's own queues */
	void *context;                     /* the same */
	struct bus_connection *connection; /* internal */
	u64 sequence;                      /* internal */
	size_t bytes;                      /* internal: what it brought */
};

/* `methods` is indexed by nothing; looked up by number. dispatch runs on the thread in bus_server_run and must
 * not block. gone tells that a peer's connection ended (its jobs are due again, its locks free). */
struct bus_server *bus_server_new(const struct bus_method *methods, size_t n,
				  void (*dispatch)(void *context, struct bus_call *call),
				  void (*gone)(void *context, const struct bus_peer *peer),
				  void *context);
/* Takes fd, which speaks for one peer. Any thread. */
void bus_server_add(struct bus_server *s, int fd, u32 role, u32 instance);
/* Takes a listening seqpacket socket (ctl): each connection whose SO_PEERCRED uid is ours or root is a peer. */
void bus_server_listen(struct bus_server *s, int fd, u32 role);
void bus_server_run(struct bus_server *s);  /* until bus_server_stop */
void bus_server_stop(struct bus_server *s); /* any thread */
void bus_server_free(struct bus_server **s);

/* The peer's connection has ended. What was kept for a peer while this said no is still there when gone() tells of it; what is kept
 * after that nobody would take away. */
bool bus_peer_is_gone(const struct bus_call *call);

/* Sends the answer (f NULL) or the fail, closes what the request brought, frees the call. Never blocks: what the peer does not
 * take now is kept, up to a bound, after which the peer is dropped. */
void bus_answer(struct bus_call **call, const struct fail *f);

#endif
