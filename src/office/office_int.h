/* What the office's own files share. Only src/office/office*.c includes this. */
#ifndef OFFICE_OFFICE_INT_H
#define OFFICE_OFFICE_INT_H

#include <pthread.h>

#include "bus/office.h"
#include "bus/server.h"
#include "office/budget.h"
#include "office/directory/directory.h"
#include "office/maildrop.h"
#include "office/notice/notice.h"
#include "office/pool.h"
#include "office/queue/queue.h"
#include "office/store/store_directory.h"
#include "office/store/store_event.h"
#include "office/store/store_queue.h"
#include "office/store/store_received.h"
#include "serve/process.h"

#define SERVE_PROTOTYPES
#include "bus/server.h"
#include "bus/office.tbl"
#include "bus/server_end.h"

enum office_pool {
	OFFICE_THREADS = 4, /* that answer reads and prepare writes */
	OFFICE_TICK_MS = 1000,
	OFFICE_LOCK_MS = 6000, /* to wait for an office before us, which has 5 s to end */
	OFFICE_EXPIRE_MS = 10 * 60 * 1000, /* between two looks for old events */
	OFFICE_ID_AHEAD_MS = 60 * 1000,    /* ids of edges: the clock may be set back meanwhile */
	OFFICE_ID_BEHIND_MS = 24 * 60 * 60 * 1000, /* and a message may take its time to come */
	OFFICE_REPORT_PAUSE_MS = 60 * 1000,        /* after reports could not be looked up */
};

struct office {
	struct process *process;
	const struct env *env;
	struct store *store;
	struct directory *directory;
	struct queue *queue;
	struct notice *notice;
	struct budget *budget;
	struct maildrop *maildrop;
	struct bus_server *server;
	pthread_t threads[OFFICE_THREADS], clock, tick;
	_Atomic(const struct config *) config;
	_Atomic u64
	    expire_first; /* more is old than the last look took: attempts below this; 0: no more */

	struct pool *pool; /* the calls that wait for a thread */

	pthread_mutex_t lock;                 /* of all that follows */
	struct report_waiter *report_waiters; /* those who wait for a DMARC report to write */
	u64 report_due;                       /* the next one: of the wall clock */
	bool stopping;
	pthread_cond_t stop; /* it is */
};

/* What hangs on a call's context. */
struct office_call {
	struct office *office;
	void *parked; /* next_job: what the queue gave it */
	bool pooled;  /* it is with the threads */
};

static inline struct office_call *office_call_of(const struct bus_call *call)
{
	return call->context;
}

static inline struct office *office_of(const struct bus_call *call)
{
	return office_call_of(call)->office;
}

/* The account of a call whose ticket was checked (dispatch does it before any TICKET call). */
static inline u64 office_account(const struct bus_call *call)
{
	return ((const struct ticket *)call->request)->account;
}
const struct fail *office_ticket_check(struct bus_call *call, const struct ticket *ticket);

/* The office's word to the caller of this call, that mail of `domain` may be signed (bus/permit.h): nothing when the domain is not ours. */
void office_permit_give(const struct bus_call *call, str domain, struct permit *out);

/* Is its id one that this edge can have made about now (office_event.c). */
bool office_event_is_of(const struct event_record *e, u32 edge, u64 now);

/* A BUS_QUICK call that needs the disk after all. True: the threads have it and will serve it from its beginning; return BUS_LATER. */
bool office_pool_instead(struct bus_call *call);

/* DMARC reports (office_report.c): can they be sent at all; one is due; every second; a puller is gone. */
bool office_reports(struct office *o, str *from, str *domain);
void office_report_due(struct office *o, u64 due);
void office_report_tick(struct office *o);
void office_report_peer_gone(struct office *o, u64 peer);

/* A reading transaction around one function of the store. */
#define OFFICE_READ(call, t, statement)                                          \
	do {                                                                     \
		struct tx t##_;                                                  \
		struct tx *t = &t##_;                                            \
		const struct fail *read_;                                        \
		TRY(store_read_begin(office_of(call)->store, (call)->arena, t)); \
		read_ = (statement);                                             \
		store_read_end(t);                                               \
		if (read_)                                                       \
			return read_;                                            \
	} while (0)

/* A writing call under way; lies in its call's arena. */
struct office_write {
	struct write_job job;
	struct office *office;
	struct bus_call *call;
	struct queue_changes changes;
	const struct fail *(*run)(struct tx *t, struct office_write *w);
	void (*after)(struct office_write *w,
		      const struct fail *f); /* before the answer; may be NULL */
	/* What was run is durable. True: run is to be called again, in another transaction, behind those that wait. May be NULL. */
	bool (*more)(struct office_write *w);
	void *context; /* of run, after and more */
};
typedef const struct fail *office_write_run(struct tx *t, struct office_write *w);

const struct fail *office_account_event(struct tx *t, enum event_code code, str address);

/* STORE, EXPUNGE, MOVE, DELETE, RENAME and the end of an account: a piece a transaction (office_piece.c). */
const struct fail *office_flags_in_pieces(struct bus_call *call);
const struct fail *office_expunge_in_pieces(struct bus_call *call);
const struct fail *office_move_in_pieces(struct bus_call *call);
const struct fail *office_delete_in_pieces(struct bus_call *call);
const struct fail *office_rename_in_pieces(struct bus_call *call);
const struct fail *office_remove_account_in_pieces(struct bus_call *call);

/* Submits; run's transaction, then after(), then the answer. Returns BUS_LATER. frees: goes on when the disk is full. */
const struct fail *office_write(struct bus_call *call, office_write_run *run,
				void (*after)(struct office_write *, const struct fail *),
				void *context, bool frees);
/* The same with more(). */
const struct fail *office_write_more(struct bus_call *call, office_write_run *run,
				     bool (*more)(struct office_write *w), void *context,
				     bool frees);

#endif
