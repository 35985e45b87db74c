/*
 * A session's view of its mailbox: one row a message, in UID order; a message's sequence number is its row + 1.
 *
 * The rows are the office's sealed chunks, mapped privately side by side: what a session does not change, all sessions share.
 * Changes are laid over. Rows that went are only marked, and arrivals stand behind `told`, until the client is told of
 * them (RFC 3501 7.4.1, 5.5): so numbers hold still between the points where they may move.
 *
 * Owned by its session. Knows nothing of the bus or of IMAP's syntax.
 */
#ifndef EDGE_IMAP_VIEW_H
#define EDGE_IMAP_VIEW_H

#include "bus/office.h"
#include "bus/view.h"
#include "text/imap_set.h"

enum view_limit {
	VIEW_ROWS = 16 * 1024 * 1024, /* of one mailbox */
	VIEW_SLACK = 4096,            /* rows of room for arrivals, address space only until used */
	VIEW_ARENA = 256 * 1024,
};

/* Marks in a row's flags, above all keywords (OFFICE_KEYWORDS of them from FLAG_KEYWORD_FIRST). */
#define VIEW_GONE (1ull << 63)    /* expunged, the client does not know */
#define VIEW_CHANGED (1ull << 62) /* flags the client does not know */
#define VIEW_TOUCHED (1ull << 61) /* a mod-sequence the client does not know */
#define VIEW_MARKS (VIEW_GONE | VIEW_CHANGED | VIEW_TOUCHED)

/* Which rows carry a mark: how many, all within [low, high). */
struct view_marks {
	u32 n, low, high;
};

struct view {
	u32 magic;
	struct arena *arena; /* holds this struct and the keywords */
	struct view_row *rows;
	u32 n, room;
	u32 told;        /* rows the client knows of */
	u32 recent_from; /* rows with this UID and later are \Recent */
	u64 modseq;
	struct view_marks gone, changed;
	const str *keywords;
	u32 keywords_n;
};

/* A row range [from, to). */
struct view_span {
	u32 from, to;
};
struct view_spans {
	struct view_span *spans;
	size_t n;
};

/* Maps the chunks (borrows the descriptors). CORRUPT when they are not sealed or too small. */
const struct fail *view_open(const int *chunks, size_t chunks_n, u32 rows, struct view **out);
void view_close(struct view **v);
/* A new list of keywords; true when it differs from the old one. */
bool view_keywords(struct view *v, const str *keywords, size_t n);
/* Lays changes over: all there were between two points in time, in any order of UIDs, ascending by modseq. */
const struct fail *view_apply(struct view *v, struct arena *turn,
			      const struct message_change *changes, size_t n);
/* The mailbox was opened anew: lays the difference over, takes nothing from `fresh`. */
const struct fail *view_replace(struct view *v, const struct view *fresh);

/* The row with this UID; false when there is none. */
bool view_find(const struct view *v, u32 uid, u32 *row);
u32 view_row_from(const struct view *v, u32 uid); /* the first row with this UID or a later one */
u32 view_recent(const struct view *v);            /* how many are \Recent */
bool view_is_recent(const struct view *v, u32 row);

/* Marks a row for telling. VIEW_CHANGED or VIEW_TOUCHED. */
void view_mark(struct view *v, u32 row, u64 mark);
void view_unmark(struct view *v, u32 row); /* the client knows its flags */
/* Takes the rows marked gone out of the array. */
void view_compact(struct view *v);

/* The told rows that a set names, ascending. By number: false when one is beyond what the client knows (an error of its). By UID:
 * always true. Resolves the set. */
bool view_spans(const struct view *v, struct arena *a, struct imap_set *set, bool uid,
		struct view_spans *out);
/* Their UIDs, for the office. */
const struct uid_range *view_uids(const struct view *v, struct arena *a,
				  const struct view_spans *spans);

/* Tests and debug builds: UIDs ascend, marks are counted right. */
void view_check(const struct view *v);

#endif
