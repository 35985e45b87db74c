/*
 * The waiter: one thread that keeps the sessions that nobody runs (laws 3, 4, 5, 10). It knows their sockets (epoll, one shot),
 * their times (a heap), and it alone frees them.
 *
 * Times are lazy: the heap holds, for a session, a time that is no later than its real one. A session whose deadline moves on with each
 * turn costs no lock; the waiter finds out when it looks, and puts it back.
 */
#ifndef SERVE_WAITER_H
#define SERVE_WAITER_H

#include "serve/session_int.h"

struct waiter;

/* What the waiter's thread calls: all but poke and park happen on it. */
struct waiter_calls {
	void *context;
	void (*ready)(void *context,
		      struct session *s); /* it is OWNER_QUEUE now: give it to a worker */
	void (*knock)(void *context, void *listener); /* somebody connects */
};

const struct fail *waiter_new(struct arena *a, const struct waiter_calls *calls,
			      struct waiter **out);
bool waiter_listen(struct waiter *w, int fd,
		   void *listener); /* never a session; begins with a magic of its own */
void waiter_unlisten(struct waiter *w, int fd);
/* One batch of events, at most so long from now (-1: until something comes), then frees what was buried before it. */
void waiter_turn(struct waiter *w, int most_ms);
void waiter_poke(struct waiter *w); /* any thread: waiter_turn returns soon */

/* Its worker gives the session up. True: parked, and no longer the caller's to look at. False: it was woken meanwhile; run it again. */
bool waiter_park(struct waiter *w, struct session *s);
/* Any thread that can be sure the session exists. True: it was parked, and is now the caller's to push on the queue. */
bool waiter_claim(struct session *s);
/* Its worker has ended it. Freed by the waiter, after the events that may still name it. */
void waiter_bury(struct waiter *w, struct session *s);
/* Before its socket is closed. */
void waiter_forget(struct waiter *w, struct session *s);

#endif
