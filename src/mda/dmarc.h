/*
 * DMARC reports to other domains, as mail: a report that the office says is due, and who is to get it (destination.h), become a message
 * from dmarc.report_from. RFC 9990 3.6.2 has it aligned: without an active DKIM key none goes out, it waits.
 */
#ifndef MDA_DMARC_H
#define MDA_DMARC_H

#include "config/config.h"
#include "mda/destination.h"
#include "mda/message.h"

enum dmarc_report_limit {
	DMARC_REPORT_ARENA = 256 * 1024 * 1024,
	DMARC_DNS_MS = 60 * 1000, /* all questions of one report */
	DMARC_PATIENCE =
	    5, /* attempts that wait for a name server; then it goes to those who are known */
	DMARC_MAIL = 2 * 1024 * 1024 + 64 * 1024,
};

struct dmarc_writer {
	struct bus *sign;
	const struct dns_source *dns;
	const struct config *config;
	const u8 *key; /* FAILURE_KEY bytes (report/failure_write.h) */
	u64 now;       /* milliseconds since 1970 */
};

/* What is to be told the office about it. */
const struct fail *dmarc_report_write(struct arena *a, const struct dmarc_writer *w,
				      const struct office_report_next_answer *r,
				      struct office_report_commit_request *out);

/* One of the mda's threads, for its whole life. */
struct dmarc_puller {
	struct bus *office, *sign, *relay;
	const struct config *(*config)(void *context);
	bool (*stopping)(void *context);
	void *context;
};
void dmarc_pull(const struct dmarc_puller *p);

#endif
