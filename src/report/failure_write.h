/*
 * Printing DMARC failure reports: one mail about one message (RFC 9991, RFC 6591, in the form of RFC 5965). Pure but for the key.
 *
 * What it tells of the message is what its sender's administrator needs and no more: the fields of the header that say which way it came and
 * who vouched for it. Local parts are replaced as RFC 6590 has it (a keyed hash: the same person looks the same, but nobody can be
 * guessed), names, subjects, recipients and the body stay here.
 */
#ifndef REPORT_FAILURE_WRITE_H
#define REPORT_FAILURE_WRITE_H

#include "base/buf.h"
#include "base/fail.h"
#include "report/aggregate.h"

enum failure_write_limit {
	FAILURE_KEY = 32,
	FAILURE_HASH = 9,           /* bytes of it that are shown */
	FAILURE_HEADER = 32 * 1024, /* of the third part */
	FAILURE_LINE = 900,         /* a field with a longer line is left out */
	FAILURE_TEXT = 500,         /* of any one value */
};

struct failure_mail {
	str org, from, message_id;
	const str *to;
	size_t to_n;
	u64 now; /* milliseconds since 1970 */

	u64 arrival;
	str domain;    /* whose policy it is */
	str source;    /* 4 or 16 bytes */
	u32 port;      /* 0: not known */
	str mail_from; /* as it came; empty: the null sender */
	str results;   /* what our Authentication-Results says */
	bool dkim_aligned, spf_aligned;
	u8 disposition; /* enum aggregate_disposition */
	str dkim_domain, dkim_selector,
	    dkim_identity;          /* of the author's own signature that failed; may be empty */
	str spf_domain, spf_record; /* of an SPF failure; may be empty */
	str header;
};

/* key: of the hash; FAILURE_KEY bytes that nobody else knows. */
const struct fail *failure_mail_write(struct arena *a, const struct failure_mail *m,
				      const u8 key[FAILURE_KEY], struct buf *out);
/* The header as it goes out. */
void failure_redact(struct arena *a, str header, const u8 key[FAILURE_KEY], struct buf *out);

#endif
