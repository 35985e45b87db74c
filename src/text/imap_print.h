/*
 * Builders of IMAP responses (RFC 3501 9). Nothing they write has a CR, LF or NUL that is not part of a literal
 * announced before it, whatever they are given (THREATS I20): a string that cannot be quoted becomes a literal, text for people
 * loses its controls, NUL becomes '?'.
 */
#ifndef TEXT_IMAP_PRINT_H
#define TEXT_IMAP_PRINT_H

#include "base/arena.h"
#include "base/buf.h"
#include "text/imap_set.h"

enum imap_print_limit { IMAP_QUOTED = 1024 /* longer strings become literals */ };

/* Quoted when it is short printable ASCII, else a literal. */
void imap_put_string(struct buf *b, str s);
void imap_put_nstring(struct buf *b, str s); /* NIL when empty */
/* "{n}" CRLF: n bytes must follow. */
void imap_put_literal(struct buf *b, u64 n);
/* resp-text without a response code: controls and 8-bit bytes become '?', and it is never empty. */
void imap_put_text(struct buf *b, str s);
/* (\Seen work): system bits as in imap_flag_names, then \Recent, then the keywords whose bit `first` + index is set. */
void imap_put_flags(struct buf *b, u64 flags, bool recent, unsigned first, const str *keywords,
		    size_t n);
/* A mailbox name given in UTF-8, as modified UTF-7. */
void imap_put_mailbox(struct buf *b, str utf8);
/* INTERNALDATE, with its quotes: milliseconds since 1970, in UTC. */
void imap_put_date(struct buf *b, struct arena *a, u64 ms);
/* One more number of a uid-set; neighbours that ascend by one are joined. Zero it to start. */
struct imap_set_printer {
	u32 low, high;
	bool any;
};
void imap_put_set_number(struct buf *b, struct imap_set_printer *p, u32 low, u32 high);
void imap_put_set_end(struct buf *b, struct imap_set_printer *p);

#endif
