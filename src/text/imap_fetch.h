/*
 * What FETCH is asked for (RFC 3501 6.4.5, RFC 7162 3.1.4): parsed from the command, printed back as the name of
 * each answer, and found in a message by its skeleton.
 */
#ifndef TEXT_IMAP_FETCH_H
#define TEXT_IMAP_FETCH_H

#include "base/buf.h"
#include "base/scan.h"
#include "text/skeleton.h"

enum imap_fetch_limit {
	IMAP_ATTRIBUTES = 100,      /* of one FETCH, THREATS I07 */
	IMAP_PATH = SKELETON_DEPTH, /* numbers in BODY[1.2.3...] */
	IMAP_FIELDS = 1000,         /* names in all HEADER.FIELDS (...) of one FETCH */
};

enum imap_attribute_kind {
	IMAP_ENVELOPE,
	IMAP_FLAGS,
	IMAP_INTERNALDATE,
	IMAP_SIZE,
	IMAP_BODY, /* without extension data */
	IMAP_BODYSTRUCTURE,
	IMAP_UID,
	IMAP_MODSEQ,
	IMAP_SECTION, /* BODY[...] and RFC822, RFC822.HEADER, RFC822.TEXT */
};

enum imap_section_text {
	IMAP_WHOLE,
	IMAP_HEADER,
	IMAP_HEADER_FIELDS,
	IMAP_HEADER_FIELDS_NOT,
	IMAP_TEXT,
	IMAP_MIME,
};

struct imap_attribute {
	enum imap_attribute_kind kind;
	/* For IMAP_SECTION: */
	enum imap_section_text text;
	str name; /* "RFC822.TEXT" when it was asked for by that name */
	const u32 *path;
	size_t path_n;
	const str *fields; /* as they were written */
	const str *sorted; /* the same, by imap_field_compare */
	size_t fields_n;
	bool peek; /* does not set \Seen */
	bool partial;
	u32 from, count;
};

struct imap_fetch {
	struct imap_attribute *attributes;
	size_t n;
	bool has_changed_since;
	u64 changed_since;
};

/* `(FLAGS BODY[])` or one attribute or macro, then perhaps ` (CHANGEDSINCE n)`; to the end of the command. */
bool imap_scan_fetch(struct arena *a, struct scan *s, struct imap_fetch *out);
/* "BODY[1.HEADER.FIELDS (FROM)]<0>" */
void imap_put_attribute_name(struct buf *b, const struct imap_attribute *t);

/* Where a section lies in the stored message. whole_header: it is the message's own header, or begins with it, so that the
 * prefix of the mailbox row stands before it. False: there is no such section (the answer is NIL). */
struct imap_place {
	u64 from, to;
	bool prefix;
};
bool imap_section_find(const struct skeleton *k, const struct imap_attribute *t,
		       struct imap_place *out);
/* Order of field names, which know no case; for qsort and bsearch. */
int imap_field_compare(const void *a, const void *b);
/* The fields of a header that HEADER.FIELDS (or .NOT) asks for, with the empty line at the end. */
void imap_put_fields(struct buf *b, str header, const struct imap_attribute *t);

#endif
