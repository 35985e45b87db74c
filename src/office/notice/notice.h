/*
 * Notices: "something changed there", told to the client edges over one-way pairs, so that IDLE and push need no polling.
 * A notice is the edge's own number of the watch, nothing else: it then asks what changed with its ticket.
 *
 * The office never waits for an edge: when a pair is full the edge is marked, and told NOTICE_OVERFLOW once there is room; it
 * then looks everywhere. Any thread; one mutex inside, held during non-blocking sends only.
 */
#ifndef OFFICE_NOTICE_NOTICE_H
#define OFFICE_NOTICE_NOTICE_H

#include "base/env.h"
#include "base/fail.h"
#include "bus/bus.h"

enum notice_limit {
	NOTICE_EDGES = 64,        /* processes of the client role */
	NOTICE_WATCHES = 1 << 20, /* of all edges */
	NOTICE_ACCOUNT = 1000,    /* of one account: each of its changes goes through all of them */
};

struct notice;

struct notice *notice_new(const struct env *e);
void notice_free(struct notice **n);

/* The sending end of the pair to this edge, in place of the one before it. Takes fd. */
void notice_edge(struct notice *n, u32 instance, int fd);
/* The edge's bus connection ended: its watches go. */
void notice_peer_gone(struct notice *n, u64 peer);

/* mailbox 0: anything of the account. */
const struct fail *notice_watch(struct notice *n, struct arena *a, const struct bus_peer *peer,
				u64 account, u64 mailbox, u64 watch);
void notice_unwatch(struct notice *n, const struct bus_peer *peer, u64 watch);
/* mailbox 0: the list of mailboxes changed. */
void notice_changed(struct notice *n, u64 account, u64 mailbox);
/* Tries again to tell those that missed something; now and then. */
void notice_retry(struct notice *n);

#endif
