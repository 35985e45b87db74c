/* The queue's own parts. Only office/queue includes this. */
#ifndef OFFICE_QUEUE_QUEUE_INT_H
#define OFFICE_QUEUE_QUEUE_INT_H

#include <pthread.h>

#include "office/queue/queue.h"
#include "office/store/store_event.h"
#include "office/store/store_queue.h"

enum { QUEUE_MAGIC = 0x51554555 };

enum queue_change_kind {
	CHANGE_ADD,
	CHANGE_ADD_DSN,
	CHANGE_FINISH,
	CHANGE_AGAIN,
	CHANGE_BUSY,
	CHANGE_RETRY,
	CHANGE_HOLD,
	CHANGE_RELEASE,
	CHANGE_DROP,
};

struct queue_change {
	struct queue_change *next;
	enum queue_change_kind kind;
	struct schedule_job job;
	str site;
};

/* The entries that a DSN job in a peer's hands tells of: others may fail meanwhile. */
struct lease {
	struct table_node by_job;
	struct arena *arena;
	u64 job;
	u64 *entries;
	size_t n;
};

struct queue {
	u32 magic;
	struct arena *arena;
	struct store *store;
	struct directory *directory;
	const struct env *env;

	pthread_mutex_t lock; /* everything below */
	pthread_cond_t wake;  /* of the clock */
	u64 sleeps_until;     /* the clock; 0: it does not sleep */
	struct schedule *schedule;
	struct queue_waiter *waiters[LANES];
	struct table leases;
	struct queue_options options;   /* what queue_configure changes */
	u64 clock_now, clock_monotonic; /* as the clock last saw them; 0: not yet */
	bool stopping;
};

struct queue_options queue_options_get(struct queue *q);
bool queue_find(struct queue *q, u64 job, struct schedule_job *out);

void queue_change_add(struct queue_changes *c, enum queue_change_kind kind,
		      const struct schedule_job *job, str site);

/* One entry reached its end (queue_deliver, queue_attempt): the row, the event and the report that follow. Sets *due to what became due. */
struct queue_outcome {
	enum policy_outcome outcome;
	str code, text, tls;
};
struct queue_due {
	bool failure, delay;
	bool stays; /* an entry does, for sure */
};
const struct fail *queue_settle_entry(struct tx *t, struct queue *q, const struct queue_message *m,
				      struct queue_entry *e, const struct queue_outcome *o,
				      struct queue_due *due);
/* Entries may have gone: closes the message when none is left, notes DSNs that are due. */
const struct fail *queue_settle_message(struct tx *t, const struct queue_message *m,
					const struct queue_due *due, struct queue_changes *c);

/* Puts a message in the queue (commit.c). *entries: jobs it became; 0: nobody gets it. */
const struct fail *queue_enqueue(struct tx *t, struct queue *q, const struct queue_arrival *m,
				 struct queue_changes *c, size_t *entries);

/* False: this peer does not hold the job any more. What is noted is what its holder read. */
bool queue_lease(struct queue *q, u64 job, u64 peer, const struct queue_entry *entries, size_t n);
/* The peer found nothing of its job. */
void queue_forget(struct queue *q, u64 job, u64 peer);
bool queue_lease_has(struct queue *q, u64 job, u64 entry);
void queue_lease_end(struct queue *q, u64 job); /* the lock is held */

#endif
