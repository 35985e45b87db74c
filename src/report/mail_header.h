/* Header fields that all mails with a report of ours have. */
#ifndef REPORT_MAIL_HEADER_H
#define REPORT_MAIL_HEADER_H

#include "text/header.h"

/* From and To. */
void mail_header_people(struct header_builder *h, str name, str from, const str *to, size_t to_n);
/* Date, Message-ID, that no person wrote it, and MIME-Version. now: ms since 1970. */
void mail_header_machine(struct arena *a, struct header_builder *h, u64 now, str message_id);

#endif
