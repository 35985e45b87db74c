/* Inside SPF: the terms of a record, macros, and the state of one check. */
#ifndef VERDICT_SPF_INT_H
#define VERDICT_SPF_INT_H

#include "base/scan.h"
#include "verdict/spf.h"

/* --- Records (spf_record.c) ------------------------------------------------------------------------------- */

enum spf_kind {
	SPF_TERM_ALL,
	SPF_TERM_INCLUDE,
	SPF_TERM_A,
	SPF_TERM_MX,
	SPF_TERM_PTR,
	SPF_TERM_IP4,
	SPF_TERM_IP6,
	SPF_TERM_EXISTS,
	SPF_TERM_REDIRECT, /* from here on: modifiers */
	SPF_TERM_EXP,
	SPF_TERM_OTHER, /* a modifier that nobody knows: ignored, RFC 7208 6 */
};

struct spf_term {
	str text; /* whole term with its qualifier; borrows the record */
	enum spf_kind kind;
	enum spf_result match; /* what the qualifier says */
	str spec;              /* domain-spec, not expanded; empty: the current domain */
	struct dns_address network;
	u8 prefix4, prefix6;
};

/* What a record says besides its mechanisms; found by the walk that checks its syntax. */
struct spf_record {
	struct scan terms;  /* the cursor of the evaluation */
	bool all;           /* has the mechanism: redirect is ignored, RFC 7208 6.1 */
	str redirect;       /* domain-spec or empty */
	str redirect_term;  /* as written */
	str exp;            /* domain-spec or empty */
	str bad;            /* the term that is no term */
	const char *broken; /* why it cannot be used; NULL: good */
};

/* Is text an SPF version 1 record (RFC 7208 4.5)? */
bool spf_record_is(str text);
/* RFC 7208 4.5: how many of the TXT records are policies; *out is the last. */
size_t spf_record_select(struct arena *a, const struct dns_answer *answer, str *out);
/* Checks all of it (RFC 7208 4.6). */
struct spf_record spf_record_read(str text);
/* The next term; false at the end. *term is filled only when *good. */
bool spf_term_next(struct scan *terms, struct spf_term *term, bool *good);

/* --- Macros (spf_macro.c) --------------------------------------------------------------------------------- */

enum spf_macro_use {
	SPF_MACRO_DOMAIN,  /* domain-spec: ends in a top label or a macro; without c, r, t */
	SPF_MACRO_STRING,  /* macro-string */
	SPF_MACRO_EXPLAIN, /* explain-string: spaces too */
};

struct spf_run;

bool spf_macro_valid(str text, enum spf_macro_use use);
/* text is valid; domain is the <domain> of RFC 7208 4.1. False when the expansion is too long. */
bool spf_macro_expand(struct spf_run *r, str domain, str text, str *out) NODISCARD;
/* The same as a name to ask for: cut at the left to 253 (RFC 7208 7.3). False when DNS cannot hold it. */
bool spf_macro_target(struct spf_run *r, str domain, str spec, str *out) NODISCARD;
/* Labels of 1 to 63 printable ASCII characters, 253 in all. */
bool spf_name_is_possible(str name);

/* --- Questions and mechanisms (spf_match.c) --------------------------------------------------------------- */

struct spf_frame {
	str domain;
	struct spf_record record;
	struct spf_term term; /* under way; of the frame below: its include */
	bool redirected;      /* came here by redirect: no record is permerror */
};

struct spf_run {
	struct arena *arena;
	const struct dns_source *source;
	const struct spf_query *query;
	struct spf_verdict *verdict;
	struct dns_address client; /* mapped addresses undone */
	str local, domain;         /* of the sender, for macros s, l, o */
	struct spf_frame frames[SPF_TERMS + 1];
	size_t depth; /* frames in use; each but the first costs a term */
	struct spf_lookup lookups[SPF_QUESTIONS];
	bool ptr_done;
	enum dns_status ptr_status;
	str ptr_names[SPF_PTR]; /* validated, RFC 7208 5.5 */
	size_t ptr_n;
};

enum spf_match {
	SPF_MATCH_NO,
	SPF_MATCH_YES,
	SPF_MATCH_TEMPERROR, /* verdict->reason says why */
	SPF_MATCH_PERMERROR,
};

/* One question, written down; DNS_TEMPFAIL and *over when there have been too many. */
struct dns_answer spf_ask(struct spf_run *r, str name, u32 type, bool *over);
/* One of the mechanisms but all and include, for frame's domain. */
enum spf_match spf_match(struct spf_run *r, str domain, const struct spf_term *t);
/* Counts a term that asks DNS; false when it is one too many. */
bool spf_count_term(struct spf_run *r);
/* The client's validated name as macro p has it: the best for domain, or "unknown" (RFC 7208 7.3). */
str spf_ptr_name(struct spf_run *r, str domain);
/* At most max characters of a stranger's text: controls and non-ASCII are '?'. */
str spf_printable(struct arena *a, str text, size_t max);
str spf_address_text(struct arena *a, const struct dns_address *address);

#endif
