/*
 * Tickets (bus/types.tbl): the only way to an account. login makes them, office checks them, nobody else has the secret.
 * mac = HMAC-SHA-256 over a label and the other fields, encoded little-endian in the order of the table.
 */
#ifndef BUS_TICKET_H
#define BUS_TICKET_H

#include "base/env.h"
#include "bus/bus.h"
#include "bus/mac.h"

enum { TICKET_SECRET = MAC_SECRET, TICKET_MAC = MAC_BYTES };

/* Fills in mac; it lives as long as the arena. */
void ticket_make(struct arena *a, const u8 secret[TICKET_SECRET], struct ticket *t);
/* A ticket that was good once: the session that has it is to end, and whoever it belongs to logs in again. */
extern const struct fail ticket_void;
/* DENIED when the mac is not ours, or it was given to another edge than the one that shows it; ticket_void when its time is
 * over. Whether the account still has this generation is for the caller to see, who answers with ticket_void too. */
const struct fail *ticket_check(const u8 secret[TICKET_SECRET], const struct ticket *t,
				const struct bus_peer *peer, const struct env *e);
/* All zero: the ticket of nobody, as message_commit has it on port 25. */
bool ticket_is_none(const struct ticket *t);

#endif
