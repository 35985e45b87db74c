/*
 * Rows of a mailbox as office hands them out: sealed memfds of VIEW_CHUNK_ROWS rows each. A full chunk is a whole number
 * of pages, so chunks map side by side into one array. Host byte order: never on disk, never on the wire.
 */
#ifndef BUS_VIEW_H
#define BUS_VIEW_H

#include "base/types.h"

struct view_row {
	u64 modseq;
	u64 flags; /* enum flag_bit, keywords above FLAG_KEYWORD_FIRST */
	u32 uid;
	u32 size; /* RFC822.SIZE, prefix included; UINT32_MAX when larger */
};

enum { VIEW_CHUNK_ROWS = 65536 };

_Static_assert(sizeof(struct view_row) == 24, "view_row has no holes");
_Static_assert(VIEW_CHUNK_ROWS * sizeof(struct view_row) % 4096 == 0, "chunks are whole pages");

#endif
