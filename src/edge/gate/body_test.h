/* For tests: what a message_body holds, wherever it lies. */
#ifndef EDGE_GATE_BODY_TEST_H
#define EDGE_GATE_BODY_TEST_H

#include "base/fd.h"
#include "bus/office.h"

static inline const struct fail *body_bytes(struct arena *a, const struct message_body *b,
					    str *message, str *skeleton)
{
	*message = str_slice(b->bytes, 0, (size_t)b->size);
	*skeleton = str_skip(b->bytes, (size_t)b->size);
	if (b->file < 0)
		return b->bytes.n == b->size + b->skeleton
			   ? NULL
			   : fail_new(a, FAIL_INVALID, "not as many bytes as were said");
	TRY(fd_read(a, b->file, b->at, (size_t)b->size, message));
	return fd_read(a, b->file, b->at + b->size, (size_t)b->skeleton, skeleton);
}

#endif
