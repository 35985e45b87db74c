/*
 * The tokens of IMAP commands (RFC 3501 9), as steps of a scan. What they read is one complete command: its lines
 * with the literals between them as on the wire, `tag LOGIN {3}\r\nbob {6}\r\nsecret`, without the last CRLF.
 * A step that fails leaves the cursor where it was. Strings borrow the command, or live in the arena when they had to be
 * unescaped.
 *
 * not: 8-bit bytes are taken in quoted strings too, since clients send them there (RFC 6855 wants it later); NUL is
 * refused everywhere (THREATS I04).
 */
#ifndef TEXT_IMAP_SCAN_H
#define TEXT_IMAP_SCAN_H

#include "base/arena.h"
#include "base/scan.h"

enum imap_scan_limit {
	IMAP_TAG = 64,          /* bytes of a tag */
	IMAP_KEYWORDS = 64,     /* flags of one list */
	IMAP_DEPTH = 32,        /* nested lists, THREATS I02 */
	IMAP_LIST_ITEMS = 1000, /* of any list */
};

bool imap_scan_tag(struct scan *s, str *out);
bool imap_scan_atom(struct scan *s, str *out);
bool imap_scan_string(struct arena *a, struct scan *s, str *out);
bool imap_scan_astring(struct arena *a, struct scan *s, str *out);
/* NIL gives STR_NONE with *nil set. */
bool imap_scan_nstring(struct arena *a, struct scan *s, str *out, bool *nil);
/* list-mailbox: may hold % and *. */
bool imap_scan_pattern(struct arena *a, struct scan *s, str *out);
bool imap_scan_nz(struct scan *s, u32 *out);
bool imap_scan_u63(struct scan *s, u64 *out); /* mod-sequence-value, RFC 7162 7 */
/* The word ends here: at SP, a bracket or the end. Tells "UID" from "UIDS". */
bool imap_scan_word(struct scan *s, str word);

/* The flags of STORE and APPEND. system: enum-free bits in the order of RFC 3501 2.3.2, see imap_flag_names. */
struct imap_flags {
	u64 system;
	const str *keywords;
	size_t keywords_n;
};
/* "\Seen", "\Answered", "\Flagged", "\Deleted", "\Draft": the index is the bit. */
extern const str imap_flag_names[5];
/* With brackets: (\Seen work). \Recent and unknown system flags are refused. */
bool imap_scan_flag_list(struct arena *a, struct scan *s, struct imap_flags *out);
/* STORE also takes them without brackets: \Seen work. */
bool imap_scan_flags_bare(struct arena *a, struct scan *s, struct imap_flags *out);

/* Does a line end in {n} or {n+}? Then n bytes of a literal follow it. */
struct imap_literal {
	u64 size;
	bool plus; /* RFC 7888: sent without waiting */
	size_t at; /* where its brace stands */
};
bool imap_literal_announced(str line, struct imap_literal *out);

#endif
