/*
 * How many sessions each address has, in all edge processes together: a table in memory that parent makes and all edges share
 * (ARCHITECTURE 9), or the caps would multiply. An IPv4 address counts by itself, an IPv6 address with its /64.
 */
#ifndef SERVE_ADDRESS_TABLE_H
#define SERVE_ADDRESS_TABLE_H

#include "base/fail.h"

struct address_table;

/* Maps the table behind fd (process->address_table); unmapped when the arena goes. */
const struct fail *address_table_open(struct arena *a, int fd, struct address_table **out);
/* One session more from address (4 or 16 bytes); false, and nothing counted, when it has `most` already. Any thread. */
bool address_table_take(struct address_table *t, str address, u64 most) NODISCARD;
void address_table_give(struct address_table *t, str address);

#endif
