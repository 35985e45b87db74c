/* How a struct fail crosses the bus: class, kind, code and text; the cause stays in the server's log. */
#ifndef BUS_FAILURE_H
#define BUS_FAILURE_H

#include "base/codec.h"
#include "base/fail.h"

enum { FAILURE_TEXT_MAX = 512, FAILURE_CODE_MAX = 11 };

void failure_encode(struct encoder *e, const struct fail *f);
/* NULL when it is not one: an unknown class, a code that is none, a text that would break a reply line. */
const struct fail *failure_decode(struct decoder *d);

#endif
