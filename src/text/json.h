/*
 * Writes JSON (RFC 8259) into a buf as it goes: no tree. Commas are its affair; text is escaped, and bytes that are no UTF-8 become
 * U+FFFD, so that the output is always valid. What we wrote ourselves json_flat.h reads back.
 *
 *	json_object(j);
 *	json_key(j, "name"), json_str(j, name);
 *	json_object_end(j);
 */
#ifndef TEXT_JSON_H
#define TEXT_JSON_H

#include "base/buf.h"

struct json {
	struct buf *out; /* borrows */
	bool comma;      /* something stands before in this object or array */
};

static inline struct json json_to(struct buf *out)
{
	return (struct json){ .out = out };
}

void json_object(struct json *j);
void json_object_end(struct json *j);
void json_array(struct json *j);
void json_array_end(struct json *j);
void json_key(struct json *j, const char *name); /* one of our own names: not escaped */
void json_str(struct json *j, str value);
void json_u64(struct json *j, u64 value);
void json_i64(struct json *j, i64 value);
void json_bool(struct json *j, bool value);
void json_null(struct json *j);
void json_raw(struct json *j, str json); /* JSON that we made before, as a value */

#endif
