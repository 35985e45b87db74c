/*
 * The rows of the queue: a message, and one entry for each of its recipients. What they mean, and when they change, is
 * office/queue's affair. A message's row lives as long as it has entries, and holds one reference on the body.
 */
#ifndef OFFICE_STORE_STORE_QUEUE_H
#define OFFICE_STORE_STORE_QUEUE_H

#include "office/queue/policy.h"
#include "office/store/store.h"

struct queue_message {
	u64 id, arrived, size;
	str sender, envid; /* sender empty: the null reverse-path */
	u8 ret, body_type;
	bool smtputf8, junk;
};

struct queue_entry {
	u64 message, job, id;
	enum job_kind kind; /* JOB_DELIVER or JOB_RELAY */
	enum queue_status status;
	enum policy_report report; /* due */
	bool told;                 /* of the delay */
	u64 account;               /* JOB_DELIVER; 0: nobody has this address */
	str domain;                /* JOB_RELAY */
	str address, original, orcpt;
	u32 notify, attempts;
	u64 next_attempt, last_attempt;
	str code, text, remote_mta, site;
};

const struct fail *store_queue_add(struct tx *t, const struct queue_message *m);
const struct fail *store_queue_add_entry(struct tx *t, const struct queue_entry *e);
/* NOT_FOUND when it is not in the queue (any more). */
const struct fail *store_queue_get(struct tx *t, u64 message, struct queue_message *out);

/* Entries of a job that are still to be delivered; of a message that have a report due, at most `most`. */
const struct fail *store_queue_job(struct tx *t, u64 message, u64 job, struct queue_entry **out,
				   size_t *n);
#define STORE_QUEUE_ALL INT64_MAX
const struct fail *store_queue_reports(struct tx *t, u64 message, bool delay, u64 most,
				       struct queue_entry **out, size_t *n);
/* The columns that an attempt changes. */
const struct fail *store_queue_update(struct tx *t, const struct queue_entry *e);
const struct fail *store_queue_remove(struct tx *t, const struct queue_entry *e);
/* *last: no entry of the message is left. */
const struct fail *store_queue_is_last(struct tx *t, u64 message, bool *last);
/* Its last entry is gone: the row goes; with it the body's reference, unless that was given to a mailbox row. */
const struct fail *store_queue_close(struct tx *t, u64 message, bool release_body);

/* Every entry, in order of message and job, with what the scheduler needs of it (no texts but the domain). */
const struct fail *store_queue_load(struct tx *t, void *context,
				    void (*entry)(void *context, const struct queue_entry *e));

/* Jobs whose entries are of this status; message 0: of all messages. */
struct queue_job_key {
	u64 message, job;
};
const struct fail *store_queue_jobs(struct tx *t, u64 message, enum queue_status status,
				    const struct queue_job_key **out, size_t *n);
const struct fail *store_queue_set_status(struct tx *t, const struct queue_job_key *key,
					  enum queue_status status, u64 next_attempt);
/* All entries of a job that are still to be delivered, whatever their status. */
const struct fail *store_queue_count(struct tx *t, u64 *messages, u64 *oldest);

/* Messages after this one, oldest first; whole messages, at least `max` entries when there are so many. message_only: that one alone.
 * jobs: of each entry. */
enum { STORE_QUEUE_LIST = 20000 };
const struct fail *store_queue_list(struct tx *t, u64 after, u32 max, bool message_only,
				    struct queue_info **out, u64 **jobs, size_t *n);

#endif
