/*
 * ENVELOPE, BODY and BODYSTRUCTURE (RFC 3501 7.4.2) from a skeleton. Iterative: a skeleton may be
 * SKELETON_DEPTH deep. Adds nothing but what the grammar allows, whatever the skeleton holds.
 */
#ifndef TEXT_IMAP_STRUCTURE_H
#define TEXT_IMAP_STRUCTURE_H

#include "base/buf.h"
#include "text/skeleton.h"

void imap_put_envelope(struct buf *b, const struct skeleton_envelope *e);
/* extended: with the extension data, as BODYSTRUCTURE has it. */
void imap_put_structure(struct buf *b, const struct skeleton *k, bool extended);

#endif
