/*
 * Signs mail of ours (RFC 6376), for whoever holds a permit of the office (bus/permit.h): one DKIM-Signature for each active key of
 * the permit's domain, with the private keys in keys sign. Header first, then the body in pieces, then the fields. One thread.
 */
#ifndef SERVE_MAIL_SIGNER_H
#define SERVE_MAIL_SIGNER_H

#include "bus/sign.h"
#include "verdict/dkim.h"

enum { MAIL_SIGNER_FIELDS = 8 * 1024 }; /* bytes, of all signatures together */

struct mail_signer;

/* Asks which keys there are. *out is NULL when nothing is to be signed: no sign, no permit, no active key. permit is borrowed. */
const struct fail *mail_signer_new(struct arena *a, struct bus *sign, const struct permit *permit,
				   struct mail_signer **out);
/* lists_may_add: the setting dkim.lists_may_add. */
void mail_signer_header(struct mail_signer *s, str header, bool lists_may_add);
void mail_signer_body(struct mail_signer *s, str piece);
/* Whole fields, to stand in front of the header. A fail means that the message cannot be signed now, not that it needs none. */
const struct fail *mail_signer_fields(struct mail_signer *s, str *out);

#endif
