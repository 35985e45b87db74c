/*
 * Reads back the JSON that our own writers make of records: one object of texts, whole numbers and lists of such objects, no deeper.
 * It also judges what another process says is such an object. No tree: a member is looked up, a list is walked.
 */
#ifndef TEXT_JSON_FLAT_H
#define TEXT_JSON_FLAT_H

#include "base/str.h"

/* One such object and nothing behind it, without blanks between tokens; UTF-8. */
bool json_flat_valid(str json);
/* A text or number by name, unescaped, controls as '?' or SP; false when it is not there. */
bool json_flat_get(struct arena *a, str json, str name, str *out);
bool json_flat_i64(str json, str name, i64 *out);
/* The list of that name, to be walked; false when there is none. */
bool json_flat_list(str json, str name, str *list);
/* The next object of a list, which moves past it; false at its end. */
bool json_flat_next(str *list, str *object);

#endif
