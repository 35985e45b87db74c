/*
 * What the two edge processes share: mx (25 and LMTP, for strangers) and client (submission, IMAP, POP3, for people). Both are one
 * server of src/serve with protocols by service; they differ in whom they may call (office_methods' callers) and in
 * nothing else here. Their entry points are those of serve/process.h.
 */
#ifndef EDGE_EDGE_H
#define EDGE_EDGE_H

#include <pthread.h>

#include "edge/outbox.h"
#include "serve/serve.h"
#include "serve/tls.h"

/* process->state of an edge. */
struct edge {
	struct process *process;
	struct server *server;
	struct tls_server *tls; /* NULL: no TLS here (unit tests) */
	struct outbox *outbox;  /* NULL: none runs here (unit tests) */
	pthread_t notices;
	bool notices_run;
	_Atomic u64 last_id; /* of messages that came in here */
};

/* The configuration as it is now: take it once a turn. Any thread. */
const struct config *edge_config(struct process *p);
/* An id for a message that comes in. Any thread. */
u64 edge_message_id(struct process *p);
/* No message has this id: the office did not take it. */
void edge_message_id_refused(struct process *p, u64 id);
/* May this session ask for TLS: there is some, and it is not on yet. */
bool edge_offers_tls(struct session *s);

#endif
