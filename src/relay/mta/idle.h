/*
 * Connections that have delivered and may deliver again: kept per site for a short while (mta_times.idle), at most MTA_IDLE of them.
 * Any thread. A connection is of one site and one thread at a time: taking removes it.
 */
#ifndef RELAY_MTA_IDLE_H
#define RELAY_MTA_IDLE_H

#include "relay/mta/client.h"

struct idle;

struct idle *idle_new(struct arena *a);
/* The one used last that still looks good; NULL: none. The caller owns it. */
struct smtp_client *idle_take(struct idle *w, str site);
/* Takes *k and nulls it. One that is no longer good is closed, and so is the oldest one when there are too many. */
void idle_put(struct idle *w, str site, struct smtp_client **k, u64 keep_ms);
/* Closes those whose time is over; all: every one. */
void idle_sweep(struct idle *w, bool all);

#endif
