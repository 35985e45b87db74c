/*
 * Segments: append-only files DATA/store/mail/00000001.seg that hold every message body once, and notes about where it
 * was placed. docs/format.md describes the bytes. A record never changes once it is acknowledged.
 *
 * Writing (struct segments): the writer's thread only. Records gather in memory; segments_flush writes them,
 * segments_sync makes them durable. The end up to which records are acknowledged is kept in the database,
 * committed with them: what a segment holds beyond it was never acknowledged and is cut off at the start. While it is
 * written to, zeros made ahead lie at its end.
 * Reading: any thread.
 */
#ifndef OFFICE_STORE_SEGMENT_H
#define OFFICE_STORE_SEGMENT_H

#include "base/env.h"
#include "base/fail.h"
#include "base/str.h"

enum segment_limit {
	SEGMENT_BYTES = 256 * 1024 * 1024, /* a new one is begun when the last is longer */
	SEGMENT_BUFFER = 4 * 1024 * 1024,  /* gathered before it is written */
	SEGMENT_AHEAD = 1024 * 1024, /* zeros behind what is written when the file grows, at most */
	SEGMENT_COPY = 256 * 1024,   /* a larger body is copied in such pieces */
	SEGMENT_SUMMARY_BYTES = 64 * 1024,
	SEGMENT_NOTE_BYTES = 16 * 1024 * 1024,
	SEGMENT_MESSAGE_BYTES = 1 << 30,
	SEGMENT_OPEN = 64,   /* read descriptors kept open */
	SEGMENT_GOOD = 1024, /* messages that are remembered as whole */
};

enum record_kind {
	RECORD_MESSAGE = 1,
	RECORD_ACCOUNT = 2, /* added, or gone */
	RECORD_MAILBOX = 3, /* made, renamed, deleted */
	RECORD_PLACED = 4,  /* a message is now in a mailbox under a uid */
	RECORD_FLAGS = 5,   /* changed */
	RECORD_EXPUNGED = 6,
};

enum { RECORD_HEADER = 64, RECORD_ALIGN = 8, RECORD_VERSION = 1 };

/* Decoded record header. */
struct record {
	u8 kind;
	u64 id;       /* of the message; of the note's account otherwise */
	u64 time;     /* milliseconds since 1970 */
	u64 message;  /* bytes */
	u32 skeleton; /* bytes */
	u32 summary;  /* bytes; the whole note when it is one */
	u32 message_crc;
	u32 small_crc; /* of skeleton and summary */
	/* Of the message, with the empty line: its length, and the CRC of that part. 0: not known, as in records of before. */
	u32 header, header_crc;
};

/* Where a record begins. */
struct place {
	u32 segment;
	u64 offset;
};

struct segments;

u64 record_length(const struct record *r);     /* with header and padding */
u64 record_message_at(const struct record *r); /* from the record's begin */
void record_encode(const struct record *r, u8 out[RECORD_HEADER]);
/* False: not a record, damaged, of an unknown version, or with lengths beyond the limits. */
bool record_decode(const u8 in[RECORD_HEADER], struct record *out);

/*
 * folder: the open "mail" folder (borrowed). tail: the end of what was acknowledged, from the database; bytes
 * beyond it are cut off; segment 0: nothing was ever written. CORRUPT when the segment is shorter than tail.
 */
const struct fail *segments_open(struct arena *a, int folder, const struct env *env,
				 struct place tail, struct segments **out);
/* For verify and salvage: reads only, cuts and makes nothing. */
void segments_open_reading(int folder, const struct env *env, struct segments **out);
void segments_close(struct segments **s);

/* The end of all records so far, flushed or not. */
struct place segments_end(const struct segments *s);
/* Forgets the records from `end` on, which segments_end gave in this batch: a job was undone. */
void segments_rewind(struct segments *s, struct place end);

/* A record of small parts: note, or message of at most SEGMENT_COPY bytes. lazy: need not be synced for its own sake. */
const struct fail *segments_append(struct arena *a, struct segments *s, struct record *r, str small,
				   str message, bool lazy, struct place *out);
/* Where a message comes from: memory, or fd (not -1) from offset `at` on. */
struct segment_source {
	str bytes;
	int fd;
	u64 at;
};
/* r->message says how many bytes. */
const struct fail *segments_append_message(struct arena *a, struct segments *s, struct record *r,
					   str small, const struct segment_source *from,
					   struct place *out);
/* Written and durable. *synced: false when there was nothing that had to be (lazy records alone have not, unless lazy_too). A fail of class STORAGE means that the
 * disk is full and nothing is lost; after any other the segments must not be written to again. */
const struct fail *segments_sync(struct arena *a, struct segments *s, bool lazy_too, bool *synced);
u64 segments_pending(const struct segments *s);       /* bytes since the last sync */
void segments_roll_at(struct segments *s, u64 bytes); /* for tests: instead of SEGMENT_BYTES */

/* Header and small part of the record at p, checked by their CRCs. small lives in a. own: the caller is the writer's
 * thread, who also sees what is not yet written to the file. */
const struct fail *segments_read(struct arena *a, struct segments *s, struct place p, bool own,
				 struct record *r, str *small);
/* Bytes [from, from + n) of the message, which are as they were written: CORRUPT otherwise. For a part that has no CRC of its own all of
 * the message is read, the first time; messages found good are remembered. */
const struct fail *segments_read_message(struct arena *a, struct segments *s, struct place p,
					 bool own, const struct record *r, u64 from, size_t n,
					 u8 *out);
/* The same, but nothing is checked: for who reads all of it piece by piece. */
const struct fail *segments_read_piece(struct arena *a, struct segments *s, struct place p,
				       bool own, const struct record *r, u64 from, size_t n,
				       u8 *out);

/* For verify and salvage: one segment's records, from the first to the last. */
struct segment_walk {
	int fd;           /* the arena owns it */
	u64 size, offset; /* offset: of the next record */
};
const struct fail *segment_walk_open(struct arena *a, int folder, u32 number,
				     struct segment_walk *w);
/* False at the end, or where only zeros follow. damaged: the bytes at `at` are no good record; the walk goes on at the next that is one. */
bool segment_walk_next(struct arena *a, struct segment_walk *w, struct record *r, u64 *at,
		       str *small, bool *damaged);
/* The message's CRC holds. Reads all of it. */
bool segment_walk_message_good(struct arena *a, const struct segment_walk *w,
			       const struct record *r, u64 at);
/* Behind the tail lie records that were synced for their own sake, and later ones: a batch is begun only when the one before it is
 * committed. So these were acknowledged, and the database is an old copy, or lost its WAL. */
bool segment_has_later(int folder, u32 number, u64 tail);
/* Numbers of the segments in the folder, ascending. */
const struct fail *segments_list(struct arena *a, int folder, u32 **out, size_t *n);

#endif
