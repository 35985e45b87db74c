/*
 * The tables, and how a database comes to have them. Rows of schema.tbl and its neighbours.
 * A newer format than ours is refused; an older one is brought up to date in one transaction.
 */
#ifndef OFFICE_STORE_SCHEMA_H
#define OFFICE_STORE_SCHEMA_H

#include "sql/sql.h"

enum { SCHEMA_FORMAT = 3 };

/* On the writing connection. CONFLICT: made by a newer program, or not a database of ours. */
const struct fail *schema_bring_up(struct arena *a, struct sql *db);
/* CONFLICT: not of exactly our format. Changes nothing. */
const struct fail *schema_check(struct arena *a, struct sql *db);

/* Numbers in table meta; 0 when not there. */
const struct fail *meta_get(struct arena *a, struct sql *db, const char *name, u64 *out);
const struct fail *meta_set(struct arena *a, struct sql *db, const char *name, u64 value);

#endif
