/*
 * The fields that stand before a body in a mailbox: Return-Path (RFC 5321 4.4) and Delivered-To. They belong to the mailbox
 * row, since the body is shared by all who got it.
 */
#ifndef OFFICE_QUEUE_PREFIX_H
#define OFFICE_QUEUE_PREFIX_H

#include "base/arena.h"

/* sender empty: "<>". A control character of either comes out as '?': no value can begin a line. */
str queue_prefix(struct arena *a, str sender, str delivered_to);

#endif
