/*
 * How domains and addresses of this server are written: what the administrator typed and what a row says are held against
 * the same rules. Pure functions of text.
 */
#ifndef OFFICE_DIRECTORY_CANONICAL_H
#define OFFICE_DIRECTORY_CANONICAL_H

#include "base/fail.h"
#include "base/str.h"

/* Checks and puts in canonical form: lower-case domain, no controls, no spaces outside quotes. */
const struct fail *directory_canonical(struct arena *a, str address, bool catch_all, str *out);
const struct fail *directory_canonical_domain(struct arena *a, str name, str *out);

/* local@domain at its last '@'; false without one. Borrows. */
bool directory_split(str address, str *local, str *domain);

#endif
