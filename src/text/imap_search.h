/*
 * SEARCH programs (RFC 3501 6.4.4, RFC 7162 3.1.5). The keys become a list in postfix order, so that neither parsing nor
 * evaluation recurses: a leaf pushes a value, NOT, AND and OR take theirs from the stack. Sizes are bounded (THREATS I02,
 * I06). Evaluation is three-valued: a leaf that needs the message is unknown until it is there.
 */
#ifndef TEXT_IMAP_SEARCH_H
#define TEXT_IMAP_SEARCH_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/fail.h"
#include "base/scan.h"
#include "text/imap_set.h"

enum imap_search_limit {
	IMAP_SEARCH_NODES = 2000,
	IMAP_SEARCH_FRAMES = 64, /* open brackets, NOTs and ORs */
	IMAP_SEARCH_BODIES = 16, /* BODY and TEXT: each decodes all of a message */
	IMAP_SEARCH_BODY_LOOKS = 8,
};

enum imap_key {
	IMAP_KEY_ALL,
	IMAP_KEY_FLAG, /* number: mask of system bits; all of them set */
	IMAP_KEY_RECENT,
	IMAP_KEY_KEYWORD, /* text */
	IMAP_KEY_NUMBERS, /* set, of sequence numbers */
	IMAP_KEY_UIDS,    /* set */
	IMAP_KEY_LARGER,  /* number */
	IMAP_KEY_SMALLER,
	IMAP_KEY_MODSEQ, /* number */
	IMAP_KEY_BEFORE, /* number: midnight of the day, ms */
	IMAP_KEY_ON,
	IMAP_KEY_SINCE,
	IMAP_KEY_SENTBEFORE,
	IMAP_KEY_SENTON,
	IMAP_KEY_SENTSINCE,
	IMAP_KEY_HEADER, /* name, text */
	IMAP_KEY_BODY,   /* text */
	IMAP_KEY_TEXT,
	IMAP_KEY_NOT,
	IMAP_KEY_AND,
	IMAP_KEY_OR,
};

/* What a leaf must have to be decided, cheapest first. */
enum imap_need { IMAP_NEED_VIEW, IMAP_NEED_DATE, IMAP_NEED_HEADER, IMAP_NEED_BODY };
enum imap_need imap_key_need(enum imap_key key);

struct imap_search_node {
	enum imap_key key;
	u64 number;
	str name;
	str text; /* folded by imap_fold; KEYWORD: as it is */
	struct imap_set set;
};

struct imap_search {
	struct imap_search_node *nodes;
	size_t n;
	bool modseq; /* a MODSEQ key: the answer ends with (MODSEQ n) */
	u8 *stack;   /* of imap_search_run */
};

/* All arguments of SEARCH, CHARSET included. SYNTAX, LIMIT, or INVALID when the charset is not one of ours. */
const struct fail *imap_search_parse(struct arena *a, struct scan *s, struct imap_search *out);

enum imap_truth { IMAP_FALSE, IMAP_TRUE, IMAP_UNKNOWN };
/* leaf decides one; it may say UNKNOWN. */
enum imap_truth imap_search_run(const struct imap_search *p,
				enum imap_truth (*leaf)(void *context,
							const struct imap_search_node *n),
				void *context);
/* The dearest need among the keys. */
enum imap_need imap_search_need(const struct imap_search *p);
/* What one message costs that must be read: a look for each key that needs its header, IMAP_SEARCH_BODY_LOOKS for BODY and TEXT. */
u32 imap_search_looks(const struct imap_search *p);

/* Case and compatibility folding for comparing (Unicode NFKC casefold), appended. utf8 must be valid. */
void imap_fold(struct buf *out, str utf8);

#endif
