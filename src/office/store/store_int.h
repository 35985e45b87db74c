/* What the files of src/office/store share. Nobody else includes this. */
#ifndef OFFICE_STORE_INT_H
#define OFFICE_STORE_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/id.h"
#include "office/store/segment.h"
#include "office/store/store.h"
#include "office/store/writer.h"

enum {
	STORE_MAGIC = 0x53544F52,
	STORE_ARENA = 1 << 20,
	STORE_CHANGED_BYTES = 16 * 1024 * 1024, /* notices of one batch */
};

/* Told to options.changed after the commit. */
struct changed {
	u64 account, mailbox, modseq;
};

struct writer {
	pthread_mutex_t lock; /* of first, last, waiting, taken, stopping, running */
	pthread_cond_t wake;
	struct write_job *first, **last;
	u32 waiting, taken; /* jobs: from first on; of the last batch */
	bool stopping, running;
	pthread_t thread;

	/* The writer's thread only. */
	struct arena *scratch; /* of one batch */
	struct buf changed;    /* struct changed, packed */
	bool full;             /* the reserve is given up */
	u64 reserve_retry;     /* on the monotonic clock */
};

struct views;

struct store {
	u32 magic;
	struct arena *arena; /* holds this struct too */
	struct store_options options;
	const struct env *env;
	int folder, mail, lock;
	atomic_bool broken; /* or never meant to be written by jobs: verify, salvage */

	struct sql *db; /* the writer's thread only */
	struct segments *segments;
	struct writer writer;

	pthread_mutex_t readers_lock;
	pthread_cond_t reader_free;
	struct sql *readers[STORE_READERS]; /* those not in use come first */
	u32 readers_n, readers_free;        /* opened; of these not in use */

	pthread_mutex_t ids_lock;
	struct id_maker ids;
	u64 ids_kept; /* meta.ids, the writer's: no id that is durable is above it */

	struct views *views;
};

/* Also for verify and salvage: folders, lock; then the database of this name. One that is not postern.db is made
 * anew. No segments are opened. */
const struct fail *store_open_files(struct arena *a, const struct store_options *o,
				    const char *database, struct store **out);

void store_remove_database(int folder, const char *name); /* with its WAL */

void writer_make(struct store *s);
void writer_free(struct store *s);
void writer_settle(struct store *s);
/* 16 MiB that deletes may have when the disk is full. False: cannot be had now. */
bool store_reserve_make(struct store *s);
void store_reserve_give_up(struct store *s);

struct views *views_new(void);
void views_free(struct views **v);

/* --- Rows (store_row.c) --- */

struct mailbox_row {
	u64 id, size, modseq, forgotten;
	str name;
	u32 special, uidvalidity, uidnext, recent_from, messages, unseen;
};

/* NOT_FOUND when there is none. */
const struct fail *mailbox_by_id(struct tx *t, u64 account, u64 id, struct mailbox_row *out);
const struct fail *mailbox_by_name(struct tx *t, u64 account, str name, struct mailbox_row *out);
const struct fail *mailbox_by_use(struct tx *t, u64 account, u32 special, struct mailbox_row *out);
/* UTF-8 as we keep it: INBOX in capitals, no '/' at the end; INVALID when it breaks a rule. */
const struct fail *mailbox_name_check(struct tx *t, str name, str *out);
const struct fail *mailbox_info_of(struct tx *t, u64 account, const struct mailbox_row *m,
				   struct mailbox_info *out);

/* The account's next modseq; its address too, when out is not NULL. NOT_FOUND: no such account. */
const struct fail *modseq_next(struct tx *t, u64 account, u64 *modseq, str *address);
const struct fail *account_address(struct tx *t, u64 account, str *address);
const struct fail *uidvalidity_next(struct tx *t, u32 *out);

/* Sums that a change of rows makes. Signed. */
struct delta {
	i64 messages, unseen, size;
};
/* Brings mailbox (counts, uidnext) and account up to date and tells of the change. */
const struct fail *mailbox_touch(struct tx *t, u64 account, const struct mailbox_row *m, u64 modseq,
				 const struct delta *d);
const struct fail *change_add(struct tx *t, u64 account, u64 mailbox, u64 modseq, u32 low, u32 high,
			      bool gone);

static inline u64 env_key(u64 mailbox, u32 uid)
{
	return mailbox << 32 | uid;
}

/* --- Sets of UIDs (store_range.c) --- */

/* Collects ascending UIDs as ranges. */
struct range_list {
	struct arena *arena;
	struct uid_range *items;
	size_t n, cap;
};
void range_list_add(struct range_list *l, u32 uid);

/* --- Keywords (store_keyword.c) --- */

/* Names by flag bit, of one mailbox. */
struct keywords {
	str names[64];
	u32 n; /* bits [FLAG_KEYWORD_FIRST, FLAG_KEYWORD_FIRST + n) */
};
const struct fail *keywords_check(struct arena *a, const str *names, size_t n);
const struct fail *keywords_load(struct tx *t, u64 account, u64 mailbox, struct keywords *k);
/* The bits of these names. make: new ones get a bit (LIMIT when there is no more); else they are left out. */
const struct fail *keywords_bits(struct tx *t, u64 account, u64 mailbox, struct keywords *k,
				 const str *names, size_t n, bool make, u64 *bits);
void keywords_list(struct arena *a, const struct keywords *k, u64 bits, const str **out, size_t *n);

/* --- Rows of messages (store_place.c, store_expunge.c) --- */

struct state {
	u32 uid;
	u64 flags, modseq, size;
};
/* Rows of the ranges, ascending. */
const struct fail *states_load(struct tx *t, u64 account, u64 mailbox,
			       const struct uid_range *ranges, size_t n, struct state **out,
			       size_t *out_n);
/* The same, of at most STORE_PIECE_ROWS rows with UID *from or later; *from: where the rest begins, 0: that was all. May change the
 * ranges. from NULL: all rows at once. */
const struct fail *states_piece(struct tx *t, u64 account, u64 mailbox, struct uid_range *ranges,
				size_t n, u32 *from, struct state **out, size_t *out_n);
/* Removes what message_env has of a range of UIDs; bodies are let go one by one, rows in one sweep. */
const struct fail *envs_remove(struct tx *t, u64 mailbox, u32 low, u32 high);
/* Removes these rows with all that hangs on them; gone gets what went. */
const struct fail *states_remove(struct tx *t, u64 account, const struct mailbox_row *m,
				 const struct state *rows, size_t n, u64 *modseq);
struct new_row {
	u64 body, flags, internal_date, size;
	str prefix, skeleton;
	bool skeleton_null;
	const str *keywords; /* names of the flags above FLAG_SYSTEM, for the note */
	size_t keywords_n;
};
/* One row at the mailbox's next UID; m->uidnext moves on. The body's reference is the caller's affair. */
const struct fail *row_place(struct tx *t, u64 account, str address, struct mailbox_row *m,
			     u64 modseq, const struct new_row *r);

/* --- Bodies and notes (store_body.c, store_note.c) --- */

struct body_row {
	u64 id, size, header_size, length, references;
	u32 skeleton;
	struct place place;
};
const struct fail *body_row_get(struct tx *t, u64 id, struct body_row *out);
/* Its skeleton, from the segment; the record was checked to be the body's. */
const struct fail *body_skeleton(struct tx *t, const struct body_row *b, struct record *r,
				 str *skeleton);

struct account_note;
struct mailbox_note;
struct placed_note;
struct flags_note;
struct expunged_note;
const struct fail *note_account(struct tx *t, const struct account_note *n);
const struct fail *note_mailbox(struct tx *t, const struct mailbox_note *n);
const struct fail *note_placed(struct tx *t, const struct placed_note *n);
const struct fail *note_flags(struct tx *t, const struct flags_note *n);
const struct fail *note_expunged(struct tx *t, const struct expunged_note *n);

/* --- Mailboxes, for salvage and rename --- */
const struct fail *mailbox_make(struct tx *t, u64 account, str name, u32 special, u64 *id);

#endif
