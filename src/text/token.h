/*
 * The lexical pieces that structured header fields share (RFC 5322 3.2), for the parsers in this
 * folder. They take what is unfinished as finished at the end of the bytes, and say so in `broken`.
 * A comment's depth is a counter, so nothing recurs (THREATS H09); no byte is looked at twice.
 */
#ifndef TEXT_TOKEN_H
#define TEXT_TOKEN_H

#include "base/buf.h"
#include "base/scan.h"

/* At "(": past the whole comment. Its text (outermost parentheses and quoting off) goes to
 * `text` unless NULL. */
void token_comment(struct scan *s, struct buf *text, bool *broken);
/* *([FWS] comment) [FWS] */
void token_cfws0(struct scan *s, bool *broken);
/* At '"': past the string; its content, unquoted, goes to out. */
void token_quoted(struct scan *s, struct buf *out, bool *broken);
/* value, written to an arena with CR and LF gone where they fold and all other controls as SP. */
str token_clean(struct arena *a, str bytes);

#endif
