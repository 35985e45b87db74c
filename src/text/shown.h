/*
 * Others' text as people may see it, in a terminal or a line of a report: nothing in it moves a cursor, begins a line of its own, or turns
 * the direction of the text that stands beside it.
 */
#ifndef TEXT_SHOWN_H
#define TEXT_SHOWN_H

#include "base/buf.h"

/* Controls (C0, DEL and C1), line and paragraph separator, embeddings, overrides and isolates of direction. */
bool shown_is_hidden(u32 code);
/* Each such character, and each byte that is no UTF-8, as `instead`; those of `keep`, single bytes, stay. */
void shown_add(struct buf *out, str text, u8 instead, str keep);
/* All of a text as one line. */
str shown_line(struct arena *a, str text, u8 instead);

#endif
