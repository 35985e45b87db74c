/* The evidence of a decision's facts in the language of who asks (reason.tbl): the record has it in English. Pure. */
#ifndef CTL_REASON_H
#define CTL_REASON_H

#include "text/language.h"

/* As it is when no row fits: what others said, or what was cut. */
str reason_in(struct arena *a, str reason, enum language l);
/* For tests: the first row that does not say the same in all languages; NULL: they do. */
const char *reason_untranslated(void);

#endif
