/*
 * Finds the report in a mail: looks at its parts, takes off transfer encoding and packing, and asks the reader that fits. What a part
 * really is decides, not what it is called: reporters send .xml.gz as application/octet-stream, and zip files as the whole message.
 */
#ifndef REPORT_INCOMING_H
#define REPORT_INCOMING_H

#include "base/arena.h"
#include "base/fail.h"
#include "report/report.h"
#include "text/skeleton.h"

enum incoming_limit {
	INCOMING_PARTS = 8,                 /* that are unpacked */
	INCOMING_BYTES = 32 * 1024 * 1024,  /* of a mail; a longer one is no report */
	INCOMING_ARENA = 256 * 1024 * 1024, /* what the arena must bear */
	INCOMING_PART_ARENA =
	    128 * 1024 * 1024, /* of one part, decoded and unpacked, while it is read */
};

enum incoming_kind { INCOMING_NOTHING, INCOMING_AGGREGATE, INCOMING_FEEDBACK, INCOMING_TLS };
/* What DMARC said of the mail that brought it (RFC 9990 3.5.2: it must pass). */
enum incoming_proof {
	INCOMING_UNPROVEN, /* nobody looked, or its domain has no policy */
	INCOMING_PROVEN,
	INCOMING_FORGED, /* DMARC failed: not from whom it says */
};

const char *incoming_proof_name(enum incoming_proof p); /* "unproven", "proven", "forged" */

/* kind INCOMING_NOTHING: an ordinary mail. A fail: something was meant to be a report, and why it is none. sender and proof are not
 * filled. message: all of it, the skeleton's own. */
const struct fail *incoming_read(struct arena *a, str message, const struct skeleton *s,
				 struct incoming_report *out);

#endif
