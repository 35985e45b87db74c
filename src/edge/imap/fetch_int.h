/* What the two files of FETCH share: fetch.c asks for messages in batches, fetch_put.c prints one. */
#ifndef EDGE_IMAP_FETCH_INT_H
#define EDGE_IMAP_FETCH_INT_H

#include "edge/imap/imap_int.h"
#include "text/imap_fetch.h"
#include "text/skeleton.h"

/* What is left of a section that goes out in windows. */
struct fetch_stream {
	bool on;
	u32 uid;
	u64 at, to;
};

/* A row of the set, and its span. */
struct fetch_cursor {
	size_t span;
	u32 row;
};

/* Messages that were asked for. */
struct fetch_batch {
	struct arena *arena; /* holds the answer too; NULL: none was asked for */
	struct bus_pending *call;
	struct fetch_cursor behind; /* where the rows behind them begin */
	bool large;                 /* one message alone */
	bool counted;               /* among those asked ahead */
};

struct fetch {
	struct imap_job job;
	struct imap_fetch ask;
	struct view_spans spans;
	struct fetch_cursor at; /* the row under way */
	size_t attribute;       /* of the row under way; 0: not begun */
	struct fetch_stream stream;
	struct fetch_batch now, ahead;
	struct arena *scratch; /* of one message */
	u32 want;
	bool office, sections, seen, uid, modseq;
	bool missing;     /* a message went */
	bool damaged;     /* one cannot be read */
	bool never_ahead; /* what was asked ahead was not wanted once */
};

/* One message at hand. */
struct fetch_message {
	const struct fetch_item
	    *item; /* its bytes: of the body, as far as they came, from byte 0 */
	const struct skeleton
	    *skeleton; /* when only ENVELOPE is asked for: nothing but the envelope */
	const struct imap_bodies *from;
	u32 row;
};

/* The attributes from f->attribute on. False when one goes on in windows, or when the output has enough for now. */
bool fetch_put_message(struct imap *i, struct fetch *f, const struct fetch_message *m);
/* Its end, when it had to wait for a window. */
void fetch_put_end(struct imap *i, u32 row);
void fetch_put_slice(struct imap *i, const struct imap_bodies *from, str s);
/* The output that one batch may run up has been reached. */
bool fetch_put_enough(struct imap *i);

#endif
