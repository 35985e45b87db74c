/*
 * Printing DMARC aggregate reports: the XML of RFC 9990 3.1 and A, and the mail that carries it (RFC 9990 3.6.2). Pure.
 *
 * Whatever the struct holds, what comes out is well-formed: bytes that XML cannot have become '?', the rest is escaped.
 */
#ifndef REPORT_AGGREGATE_WRITE_H
#define REPORT_AGGREGATE_WRITE_H

#include "base/buf.h"
#include "base/fail.h"
#include "report/aggregate.h"

enum aggregate_write_limit {
	AGGREGATE_XML = 64 * 1024 * 1024,
	AGGREGATE_MAIL_TO = 5, /* addresses of one mail */
};

/* Appends; out->full tells whether it fitted. */
void aggregate_write(const struct aggregate_report *r, struct buf *out);

/* RFC 1952, one member, no name, no time. LIMIT when zlib has no memory; out->full as above. */
const struct fail *report_gzip(struct arena *a, str bytes, struct buf *out);

/* The XML as it goes into a mail: compressed, in base64; how long it is decides who takes it. */
const struct fail *aggregate_pack(struct arena *a, const struct aggregate_report *r, str *packed);

struct aggregate_mail {
	const struct aggregate_report *report; /* its report_id: letters and digits only */
	str packed;
	str submitter; /* domain name of whoever reports */
	const str *to;
	size_t to_n;
	str message_id; /* "<...>" */
	u64 now;        /* milliseconds since 1970 */
	str note;       /* one more line of text for people; may be empty */
};
/* Header and body, CRLF; unsigned. */
const struct fail *aggregate_mail_write(struct arena *a, const struct aggregate_mail *m,
					struct buf *out);

#endif
