/*
 * Inside the skeleton parser: one struct, filled by skeleton.c (bytes to lines), skeleton_part.c
 * (which parts are open), skeleton_field.c (what a header says), skeleton_preview.c (text of the
 * first text/plain).
 */
#ifndef TEXT_SKELETON_INT_H
#define TEXT_SKELETON_INT_H

#include "base/buf.h"
#include "base/fail.h"
#include "text/encoding.h"
#include "text/skeleton.h"

enum {
	SKELETON_MAGIC = 0x736b656c,
	SKELETON_BOUNDARY = 200,                      /* bytes; RFC 2046 5.1.1 has 70 */
	SKELETON_LINE_HELD = SKELETON_BOUNDARY + 100, /* a longer line is no boundary */
	SKELETON_LINE = 998,
	SKELETON_TYPE = 127,         /* bytes of a type or subtype, RFC 6838 4.2 */
	SKELETON_PREVIEW_RAW = 2048, /* decoded bytes that the preview is made of */
	SKELETON_RESERVE = 2048,     /* of SKELETON_BYTES: the fixed fields and the preview */
	SKELETON_PART_LEAST = 1024,  /* bytes that must be left to begin a part */
};

/* A part whose end is not known yet; open[i] is the parent of open[i + 1]. */
struct open_part {
	u32 index;
	u32 children;
	str boundary; /* empty: none */
	bool ended;   /* its end boundary was there: what follows is epilogue */
	bool digest;
	u64 lines_before; /* CRLFs before its body */
};

enum preview_state { PREVIEW_WAITING, PREVIEW_READING, PREVIEW_DONE };
enum preview_coding { PREVIEW_PLAIN, PREVIEW_BASE64, PREVIEW_QP };

struct preview {
	enum preview_state state;
	enum preview_coding coding;
	size_t depth; /* open_n while its part is the innermost */
	str charset;
	struct base64_reader base64;
	struct qp_reader qp;
	struct buf *raw;
};

struct skeleton_parser {
	u32 magic;
	struct arena *a;       /* what the skeleton keeps */
	struct arena *scratch; /* while a header is read */
	const struct fail *failed;

	u64 at;      /* bytes seen */
	u64 line_at; /* where the line under way began */
	u64 lines;   /* CRLFs seen */
	bool after_cr;
	bool passing;     /* the line's start was let through: the rest follows */
	struct buf *held; /* the line's start, in case that it is a boundary */

	bool in_header;     /* of the innermost part */
	struct buf *header; /* what it says so far */
	bool deaf;          /* the limit of parts is reached: boundaries are text now */
	struct open_part open[SKELETON_DEPTH + 1];
	size_t open_n;
	struct skeleton_part *parts;
	size_t parts_n, parts_room;

	u32 flags, received;
	size_t budget; /* bytes of the encoded skeleton that are left */
	struct skeleton_envelope envelope;
	struct preview preview;
};

/* --- skeleton_part.c --- */
void skeleton_open_root(struct skeleton_parser *p);
/* A complete line at p->line_at: true when it was a boundary; it is then dealt with. */
bool skeleton_boundary(struct skeleton_parser *p, str line);
/* The header of the innermost part ended; its body is at `body_at`. */
void skeleton_header_ended(struct skeleton_parser *p, u64 body_at);
/* The bytes are over: all parts end. */
void skeleton_close_all(struct skeleton_parser *p);

/* --- skeleton_field.c --- */
/* n bytes of the encoded skeleton; false and flagged when they are not there. */
bool skeleton_spend(struct skeleton_parser *p, size_t n);
/* A copy that the skeleton keeps, or empty and flagged. */
str skeleton_keep(struct skeleton_parser *p, str s);
/* Fills part from p->header; envelope unless NULL. boundary: as said, empty when not. */
void skeleton_read_header(struct skeleton_parser *p, struct skeleton_part *part, bool in_digest,
			  struct skeleton_envelope *envelope, str *boundary);

/* --- skeleton_preview.c --- */
void preview_begin(struct skeleton_parser *p, const struct skeleton_part *part);
void preview_add(struct skeleton_parser *p, str body);
void preview_end(struct skeleton_parser *p); /* the innermost part closes */
str preview_text(struct skeleton_parser *p);

#endif
