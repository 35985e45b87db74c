/* The inside of a server, for the files of this folder: the sessions there are, and who runs them. */
#ifndef SERVE_SERVER_H
#define SERVE_SERVER_H

#include <pthread.h>

#include "serve/session_int.h"
#include "serve/waiter.h"
#include "serve/worker.h"

enum server_time {
	SERVER_BACKOFF_MS = 100, /* no descriptors left: so long until the next accept */
	SERVER_STOP_MS = 3000,
	SERVER_KILL_MS = 500,
	SERVER_LOOK_MS = 50, /* when stopping: at what is left */
};

enum { SERVER_REFUSAL_BYTES = 64 * 1024 }; /* of memory, to say no to one connection */

struct listener {
	int fd;
	enum service service;
	bool armed; /* of the keeper's thread */
};

/* Sessions by id, so that anyone can wake one that may be gone. Who holds the lock may touch what it finds. */
struct session_table {
	pthread_mutex_t lock;
	struct session **buckets;
	u64 mask;
};

struct server {
	struct process *process;
	const struct protocol *const *protocols;
	struct tls_server *tls;
	struct waiter *waiter;
	struct workers *workers;
	struct session_table table;
	struct listener *listeners;
	size_t listeners_n;
	struct address_table *addresses; /* NULL: not counted */
	_Atomic u64 next_id;
	_Atomic u64 resume_accept; /* monotonic; 0: accepting */
	_Atomic u64 sessions, most, most_per_address;
	_Atomic bool stopping;
};

/* tls.c: puts TLS on the session's stream. */
bool server_begin_tls(struct session *s);
/* server_accept.c */
/* Accepts those who wait. The first one is the caller's to run, the others go to the queue; NULL: there was none. */
struct session *server_knock(struct server *v, const struct listener *l);
void server_listen(struct server *v, bool on);

#endif
