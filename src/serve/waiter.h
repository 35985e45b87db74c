/*
 * The waiter: where the sessions are that nobody runs (laws 3, 4, 10). It knows their sockets (epoll, one shot), their times (a heap), and
 * those that somebody woke (a queue). Workers wait here themselves, so that what is ready runs in the thread that learns of it.
 *
 * epoll names sessions by id, never by address: whoever is told of one looks it up in the server's table, where it is or is no more. So
 * the worker that ends a session may free it.
 *
 * Times are lazy: the heap holds, for a session, a time that is no later than its real one. A session whose deadline moves on with each
 * turn costs no lock; the keeper (one thread, which does nothing else) finds out when it looks, and puts it back.
 */
#ifndef SERVE_WAITER_H
#define SERVE_WAITER_H

#include "serve/session_int.h"

struct waiter;

struct waiter_event {
	enum {
		WAITER_SESSION, /* the socket of session `id` is ready */
		WAITER_LISTENER, /* somebody connects to listener number `listener`; accept until there is no other */
		WAITER_WOKEN, /* waiter_pop may have one */
	} kind;
	u64 id;
	size_t listener;
	bool hangup;
};

const struct fail *waiter_new(struct arena *a, struct waiter **out);
bool waiter_listen(struct waiter *w, int fd, size_t number);
void waiter_unlisten(struct waiter *w, int fd);

/* For workers, many at once: one of them is told of each event. False: nothing came. */
bool waiter_wait(struct waiter *w, struct waiter_event *out, int most_ms);
/* It is OWNER_QUEUE: a worker will have it, after what is ready already. */
void waiter_push(struct waiter *w, struct session *s);
struct session *waiter_pop(struct waiter *w); /* NULL: another was faster */
void waiter_rouse(struct waiter *w);          /* one worker gets WAITER_WOKEN */

/* Its worker gives the session up. True: parked, and no longer the caller's to look at. False: it was woken meanwhile; run it again. */
bool waiter_park(struct waiter *w, struct session *s);
/* Any thread that can be sure the session exists. True: it was parked, and is now the caller's, to run or to push. */
bool waiter_claim(struct session *s);
/* Its worker has ended it: out of the heap. */
void waiter_forget(struct waiter *w, struct session *s);

/* The keeper: sleeps until the next time, a poke, or so long (-1: for ever); then pushes those whose time has come. */
void waiter_keep_time(struct waiter *w, int most_ms);
void waiter_poke(struct waiter *w); /* any thread: waiter_keep_time returns soon */

#endif
