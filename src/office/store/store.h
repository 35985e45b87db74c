/*
 * The store: one relational database (the index) over append-only segments (the bodies), behind typed operations.
 * No SQL above src/office/store.
 *
 * Everything happens in a transaction, struct tx. A reading one (store_read_begin) sees one state of the database
 * and may run on any thread; a writing one exists while a write_job runs (writer.h). Functions that only read take
 * either. Time, chance and disk faults come from store_options.env alone.
 *
 * What run() makes durable is acknowledged only by done(). After a fail of a writing function the job must fail too:
 * its savepoint undoes what was half done.
 *
 * Rows are not trusted: a row that makes no sense is CORRUPT for the message or mailbox it belongs to, never a crash.
 */
#ifndef OFFICE_STORE_STORE_H
#define OFFICE_STORE_STORE_H

#include "base/arena.h"
#include "base/env.h"
#include "base/fail.h"
#include "bus/office.h"
#include "office/store/segment.h"
#include "sql/sql.h"
#include "text/skeleton.h"

enum store_limit {
	STORE_READERS = 8,           /* read transactions at once; further ones wait */
	STORE_MAILBOXES = 5000,      /* of one account */
	STORE_SUBSCRIPTIONS = 10000, /* of one account */
	STORE_MAILBOX_ROWS =
	    CODEC_FDS_MAX * 65536, /* messages in one mailbox: as many as mailbox_open can show */
	STORE_PREFIX_BYTES = 4096,
	STORE_SKELETON_ROW = 8192, /* a longer skeleton is read from the segment */
	STORE_MODSEQ_ROWS = 16384, /* rows that may share one modseq */
	STORE_PIECE_ROWS = 4096, /* that one transaction changes when it need not be all of them */
	STORE_CHANGES_KEPT = 262144, /* modseqs that a mailbox's change log reaches back, about */
	STORE_VIEWS = 256,           /* mailboxes whose chunks are kept */
	STORE_VIEW_BYTES = 64 * 1024 * 1024, /* and bytes of them all */
	STORE_WARM = 64,                     /* mailboxes whose chunks are made at the start */
	STORE_WARM_ROWS = 1000,              /* messages in one that is worth it */
	STORE_PROBLEMS = 1000,               /* texts that verify answers */
	STORE_UIDS_AHEAD =
	    1 << 20, /* left out by salvage: about as many as a lost segment can hold */
};

struct store;

struct store_options {
	const char *folder;    /* DATA/store; must exist */
	const struct env *env; /* NULL: env_system() */
	u8 node;               /* of the ids */
	u8 readers;            /* 0: STORE_READERS; a program of one thread needs one */
	bool only_reads;       /* an older format is refused too, since nothing is to be changed */
	u32 patience_ms;       /* how long to wait for another process to end that has it open */
	/* After a commit, on the writer's thread, once per mailbox that changed; mailbox 0: the list of mailboxes did. */
	void (*changed)(void *context, u64 account, u64 mailbox, u64 modseq);
	/* A sync or commit failed: the process is to end and begin again from disk. NULL: just refuse all writes. */
	void (*broken)(void *context, const struct fail *why);
	void *context;
};

/* CONFLICT: another process has it open. Makes database and folders when there are none. Brings an older
 * format up to date; refuses a newer one (CONFLICT). */
const struct fail *store_open(struct arena *a, const struct store_options *o, struct store **out);
void store_close(struct store **s); /* writer stopped before, reads ended */
const struct env *store_env(const struct store *s);
bool store_is_broken(const struct store *s);

struct tx {
	struct store *store;
	struct sql *db;      /* for the modules of src/office/store only */
	struct arena *arena; /* of the job or read: results are made here */
	u64 now;             /* milliseconds since 1970; the same for all of the transaction */
	bool writes;
};

/* So long ago; with a clock that stands at its begin nothing is that old. */
static inline u64 store_ago(const struct tx *t, u64 ms)
{
	return t->now > ms ? t->now - ms : 0;
}

const struct fail *store_read_begin(struct store *s, struct arena *a,
				    struct tx *t); /* waits for a free one */
void store_read_end(struct tx *t);

/* Of a writing transaction: ids of messages, entries, mailboxes. Rising. store_id_now may be called by any thread. */
u64 store_id_now(struct store *s);
/* After the commit options.changed is told. */
void store_tx_changed(struct tx *t, u64 account, u64 mailbox, u64 modseq);

/* --- Bodies ------------------------------------------------------------------------------------------------ */

/* An edge's body, looked at before its job is queued. Nothing in it is trusted. */
struct body_draft {
	struct segment_source message; /* borrows */
	u64 size;
	str skeleton;    /* our own copy, decoded once and found good */
	u64 header_size; /* bytes of the message header with its empty line */
	const struct skeleton *parsed;
};

/* Any thread. INVALID when the bytes are not as many as said, the file is none of ours (store_spool_file) or not as long, or the skeleton
 * does not fit the message. out borrows from body. */
const struct fail *store_body_check(struct arena *a, struct store *s,
				    const struct message_body *body, struct body_draft *out);
/* Any thread: an unlinked file for a large message; a owns it. */
const struct fail *store_spool_file(struct arena *a, struct store *s, int *out);

/* Summary for salvage: who sent it to whom; what does not fit is left out. Of APPEND: both empty. */
struct body_summary {
	str sender;
	const str *recipients;
	size_t recipients_n;
};

/* Appends the record and makes the body's row with one reference, the caller's. */
const struct fail *store_body_append(struct tx *t, u64 id, const struct body_draft *d,
				     const struct body_summary *s);
const struct fail *store_body_hold(struct tx *t, u64 id); /* one reference more */
/* One less; the last one makes the body's bytes dead. */
const struct fail *store_body_release(struct tx *t, u64 id);
/* Message then skeleton in a sealed memfd that the arena owns. Reading. */
const struct fail *store_body_get(struct tx *t, u64 id, int *fd, u64 *size, u64 *skeleton);

/* --- Placing ----------------------------------------------------------------------------------------------- */

struct placement {
	u64 body;
	str prefix; /* Return-Path, Delivered-To ... with CRLFs; may be empty */
	u64 flags;  /* system flags */
	const str *keywords;
	size_t keywords_n;
	u64 internal_date; /* 0: now */
	bool
	    takes_reference; /* the caller's reference goes over to the row; else a new one is made */
};

struct placed {
	u64 mailbox, modseq;
	u32 uid, uidvalidity;
};

/* Into the account's mailbox of this use (enum special_use), or INBOX when it has none. Quota is not looked at:
 * the message was accepted. NOT_FOUND: no such account. */
const struct fail *store_deliver(struct tx *t, u64 account, u32 special, const struct placement *p,
				 struct placed *out);
/* QUOTA when `more` bytes would pass the account's limit. */
const struct fail *store_quota_check(struct tx *t, u64 account, u64 more);

/* --- Accounts (rows of table account belong to store_directory.c) ------------------------------------------------ */

/* The row was inserted: notes it in the segments and makes INBOX, Sent, Drafts, Junk, Trash, Archive. */
const struct fail *store_account_furnish(struct tx *t, u64 account, str address);
/* Everything the account has in mailboxes goes; then its row may be deleted. next: as of DELETE, a piece at a time. */
const struct fail *store_account_clear(struct tx *t, u64 account, u32 *next);

/* --- Mailboxes and messages: one function a call of bus/office.tbl 20-45 ----------------------------------------- */

/* `account` comes from the ticket, which the caller checked. Requests and answers are the bus's own structs;
 * answers are made in t->arena. W: writing transaction. */
const struct fail *store_mailbox_find(struct tx *t, u64 account, str name,
				      struct office_mailbox_list_answer *r);
const struct fail *store_mailbox_list(struct tx *t, u64 account,
				      struct office_mailbox_list_answer *r);
const struct fail *store_mailbox_create(struct tx *t, u64 account, str name, u32 special,
					u64 *mailbox); /* W */
/* Of a mailbox with many messages a piece at a time: *next is 1 at first, and 0 when it is done; else it is called again, in another
 * transaction. Deleting empties it first; RENAME of INBOX moves what is in it (RFC 3501 6.3.5). next NULL: all at once. */
const struct fail *store_mailbox_delete(struct tx *t, u64 account, str name, u32 *next); /* W */
const struct fail *store_mailbox_rename(struct tx *t, u64 account, str from, str to,
					u32 *next); /* W */
const struct fail *store_mailbox_subscribe(struct tx *t, u64 account, str name,
					   bool subscribed); /* W */
/* Makes the chunks of the largest mailboxes, as many as half of the cache holds, so that the first SELECT after a start does not wait
 * for them. packed: how many were made. */
const struct fail *store_mailboxes_warm(struct tx *t, u32 *packed);
/* Writing only when claim_recent. Call it without claim on a reader first: then the chunks are in the cache and the
 * writer's thread has little to do. */
const struct fail *store_mailbox_open(struct tx *t, u64 account, str name, bool claim_recent,
				      struct office_mailbox_open_answer *r);
const struct fail *store_mailbox_changes(struct tx *t, u64 account, u64 mailbox, u64 since,
					 struct office_mailbox_changes_answer *r);
/* UIDs sorted, merged, without 0. INVALID when a range is upside down. */
const struct fail *store_ranges(struct arena *a, const struct uid_range *in, size_t n,
				struct uid_range **out, size_t *out_n);
/* Many messages hold the writer for long, so these three go in pieces: only rows with UID *from or later, STORE_PIECE_ROWS of them,
 * are looked at, and *from becomes the UID where the next piece begins, 0 when there is none. The answer is of the piece alone.
 * from NULL: all at once. */
const struct fail *store_message_flags(struct tx *t, u64 account,
				       const struct office_message_flags_request *q, u32 *from,
				       struct office_message_flags_answer *r); /* W */
const struct fail *store_message_expunge(struct tx *t, u64 account,
					 const struct office_message_expunge_request *q, u32 *from,
					 struct office_message_expunge_answer *r); /* W */
/* COPY is all or nothing (RFC 3501 6.4.7): from must be NULL. A MOVE may stop between two messages (RFC 6851 3.3). */
const struct fail *store_message_copy(struct tx *t, u64 account,
				      const struct office_message_copy_request *q, u32 *from,
				      struct office_message_copy_answer *r); /* W */
/* q->body was made `d` by store_body_check. */
const struct fail *store_message_append(struct tx *t, u64 account,
					const struct office_message_append_request *q,
					const struct body_draft *d,
					struct office_message_append_answer *r); /* W */
const struct fail *store_message_fetch(struct tx *t, u64 account,
				       const struct office_message_fetch_request *q,
				       struct office_message_fetch_answer *r);
const struct fail *store_quota_get(struct tx *t, u64 account, struct office_quota_get_answer *r);
/* The account's modseq, or the mailbox's when it is not 0 (NOT_FOUND). */
const struct fail *store_modseq_get(struct tx *t, u64 account, u64 mailbox, u64 *modseq);

/* --- The whole ----------------------------------------------------------------------------------------------- */

struct store_counts {
	u64 accounts, messages, segment_bytes, dead_bytes;
};
const struct fail *store_counts(struct tx *t, struct store_counts *out);

/* Walks all segments and all rows, both ways. On the office's own store through a reading transaction. */
const struct fail *store_verify(struct tx *t, struct office_verify_answer *r);
/* The same of a folder that no office uses (CONFLICT when one does). */
const struct fail *store_verify_folder(struct arena *a, const char *folder,
				       struct office_verify_answer *r);

struct salvage_report {
	u64 accounts, mailboxes, messages;
	u64 undelivered; /* accepted, never placed, now in the INBOX of their local recipients */
	u64 unplaced; /* bodies that belong to no mailbox: sent on, expunged, or in the queue for elsewhere */
	u64 damaged; /* records that could not be read */
};
/* Builds postern.db of a folder that no office uses from its segments alone; an old one is kept as
 * postern.db.before-salvage, a second one as -2. Accounts come back without passwords; aliases do not come back. */
const struct fail *store_salvage(struct arena *a, const char *folder, struct salvage_report *out);

#endif
