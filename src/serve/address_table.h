/*
 * How many sessions each address has, in all edge processes together: a table in memory that parent makes and all edges share
 * (ARCHITECTURE 9), or the caps would multiply. An IPv4 address counts by itself, an IPv6 address with its /64.
 *
 * No addresses are kept: two keyed hashes choose a counter each, and the lower of the two is the count. An address is refused
 * wrongly only when others fill both of its counters, and nobody outside knows the keys. Each edge counts in a column of its
 * own, and the sum over all columns is what is compared: when an edge dies, parent clears its column. No locks: every counter is
 * atomic, and a session is counted before the sum is taken, so racing edges never let in more than the cap.
 */
#ifndef SERVE_ADDRESS_TABLE_H
#define SERVE_ADDRESS_TABLE_H

#include "base/fail.h"

struct address_table;

enum { ADDRESS_TABLE_COLUMNS = 128 };

/* Parent: an empty table; the arena owns *fd. columns: of all edges, at most ADDRESS_TABLE_COLUMNS. */
const struct fail *address_table_new(struct arena *a, u32 columns, int *fd);
/* The column of an edge, from 0. */
u32 address_table_column(u32 instance, bool is_client);
/* Maps the table behind fd (process->address_table); unmapped when the arena goes. What take and give count is in `column`. */
const struct fail *address_table_open(struct arena *a, int fd, u32 column,
				      struct address_table **out);
/* One session more from address (4 or 16 bytes); false, and nothing counted, when it has `most` already. Any thread. */
bool address_table_take(struct address_table *t, str address, u64 most) NODISCARD;
void address_table_give(struct address_table *t, str address);
/* Parent: the edge of this column is gone, and its sessions with it. */
void address_table_clear(struct address_table *t, u32 column);

#endif
