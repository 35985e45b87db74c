/*
 * Group commit. One thread owns the writing connection and the end of the segments. It takes all jobs that wait, runs
 * them in one transaction (one that fails is undone alone), then makes ONE fdatasync of the segment and ONE commit of
 * the database durable for all of them, and only then tells each that it is done.
 *
 * When the disk is full the reserve file is given up, the jobs that free space (write_job.frees) run again
 * without the others, and the others get STORAGE until the reserve could be made again.
 * When a sync or a commit failed, nothing is retried: every waiting job gets a TEMP fail, the store is broken from now
 * on (store_options.broken is called; the office then exits and starts again from disk).
 */
#ifndef OFFICE_STORE_WRITER_H
#define OFFICE_STORE_WRITER_H

#include "office/store/store.h"

enum writer_limit {
	WRITER_BATCH = 256,                    /* jobs of one commit */
	WRITER_BATCH_BYTES = 16 * 1024 * 1024, /* appended; then commit with what there is */
	WRITER_WAL_PAGES = 4096,               /* a checkpoint after the commit that passes this */
	WRITER_GATHER_FROM = 4,  /* after a batch of so many jobs it waits for as many again: */
	WRITER_GATHER_STEPS = 8, /* at most so many times, */
	WRITER_GATHER_NS = 250 * 1000, /* so long each, while more come */
	WRITER_IDLE_MS = 1000, /* nothing to do for so long: checkpoint and truncate the WAL */
	WRITER_RESERVE_BYTES = 16 * 1024 * 1024,
	WRITER_RESERVE_RETRY_MS = 5000,
	WRITER_IDS_MS = 10000, /* of ids that a start after a crash leaves out */
};

/* Made by the caller, usually as the head of a struct of its own in call->arena. Lives until done. */
struct write_job {
	/* On the writer's thread. May run again (another job failed, a full disk), after its last run was undone: sets its results anew. */
	const struct fail *(*run)(struct tx *t, struct write_job *job);
	/* On the writer's thread, after the commit (f NULL) or when nothing of the job was kept. Must not block; may free
	 * the job. Jobs are told in the order they were submitted; f lives until done returns. */
	void (*done)(struct write_job *job, const struct fail *f);
	struct arena *arena; /* the job's own: what run makes, and the fail that done is told */
	bool frees;          /* its purpose is to free space: goes on when the disk is full */

	struct write_job *next;    /* the writer's from here on */
	const struct fail *failed; /* so far */
	void *waiter;              /* writer_do's */
};

struct writer; /* part of struct store */

void writer_submit(struct store *s, struct write_job *job); /* any thread; takes job until done */
/* The thread. Without it (simulator, ctl, tests) writer_run_once makes one batch of what waits, here and now. */
void writer_start(struct store *s);
void writer_stop(struct store *s);     /* after the jobs that wait; joins the thread */
bool writer_run_once(struct store *s); /* false: nothing waited */
/* Submits and waits: with the thread, or by running batches here when there is none. Not from a job. */
const struct fail *writer_do(struct store *s, struct write_job *job);

#endif
