/*
 * The message on the wire: what it needs of the peer, and DATA's dot-stuffing (RFC 5321 4.5.2).
 *
 * A message with a bare CR or LF is never emitted (THREATS S02): a peer that takes one for a line end would read a
 * second message inside it. body_inspect must have said that there is none.
 */
#ifndef RELAY_MTA_BODY_H
#define RELAY_MTA_BODY_H

#include "relay/mta/connection.h"
#include "relay/mta/limit.h"

struct body {
	str bytes;        /* borrows */
	bool bare;        /* a CR or LF that stands alone */
	bool header_8bit; /* needs SMTPUTF8 when the sender said so (RFC 6531) */
	bool eight_bit;   /* anywhere: needs 8BITMIME (RFC 6152) */
};

struct body body_inspect(str message);
/* The message, its last line ended, and the final dot. Stops at the rate limit of limit.h. */
const struct fail *body_send(struct connection *c, const struct body *b,
			     const struct mta_times *times);

#endif
