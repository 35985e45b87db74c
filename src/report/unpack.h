/*
 * What a report was packed in: gzip (RFC 1952), zip (APPNOTE 6.3), or nothing. The first bytes decide, not the content type and not the
 * file name: reporters get both wrong. Packed once only: what comes out and is packed again is refused (THREATS R01).
 *
 * The zip reader believes the central directory alone, and wants the rest to agree with it: one disk, no encryption, no zip64, methods
 * "stored" and "deflated", lengths and CRC-32 as promised. Of several files the first that is called *.xml or *.json counts, else the
 * first of all.
 *
 * Output grows in steps, so a small file that says it is large costs nothing until its bytes come; at a limit it stops.
 */
#ifndef REPORT_UNPACK_H
#define REPORT_UNPACK_H

#include "base/arena.h"
#include "base/fail.h"

enum unpack_limit {
	UNPACK_BYTES = 20 * 1024 * 1024, /* that come out */
	UNPACK_RATIO = 200,              /* bytes out for one in */
	UNPACK_RATIO_FREE = 256 * 1024,  /* the first bytes out, which may have any ratio */
	UNPACK_ENTRIES = 64,             /* files of a zip */
	UNPACK_ARENA = 4 * UNPACK_BYTES, /* what the arena must bear, about */
};

/* SYNTAX when it is broken, TOO_LARGE at a limit; the text says which. *out borrows bytes when nothing was packed. */
const struct fail *unpack(struct arena *a, str bytes, str *out);

#endif
