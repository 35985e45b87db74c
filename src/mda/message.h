/* Mail that mda writes itself (delivery reports, DMARC reports): signed, and in the form the office takes. */
#ifndef MDA_MESSAGE_H
#define MDA_MESSAGE_H

#include "bus/office.h"
#include "bus/sign.h"

/* *out: the message with DKIM-Signature fields in front. *is_signed false: there is no permit or no active key, it is as it was. */
const struct fail *message_sign(struct arena *a, struct bus *sign, const struct permit *permit,
				str message, str *out, bool *is_signed);
/* Message and skeleton in one. */
const struct fail *message_seal(struct arena *a, str message, struct message_body *out);

#endif
