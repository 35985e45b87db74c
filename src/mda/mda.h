/*
 * What the mda's files share. The mda judges mail for local people: it pulls jobs from the office, decides where each message
 * goes, and writes the reports (DSN) that are due. It keeps nothing: a death loses nothing, the office hands the jobs out again.
 */
#ifndef MDA_MDA_H
#define MDA_MDA_H

#include "bus/office.h"
#include "config/config.h"
#include "report/incoming.h"

enum mda_limit {
	MDA_THREADS = 2,              /* that pull */
	MDA_BATCH = OFFICE_JOBS_MAX,  /* jobs of one pull */
	MDA_ARENA = 64 * 1024 * 1024, /* of one batch */
	MDA_PAUSE_MS = 200,           /* after the office could not be asked */
	MDA_REPORT_ARENA = INCOMING_ARENA +
			   64 * 1024 * 1024, /* of one report of others, with its mail's skeleton */
	MDA_REPORT_ROWS = 2000,              /* of a DMARC report; the rest goes as sums */
	MDA_TRIES = 25,                      /* of a report, while the office says "later" */
	MDA_RETURN_BYTES =
	    1024 * 1024, /* a longer message goes back as its header only, whatever RET says */
};

/* Whom the mda asks. */
struct mda_servers {
	struct bus *office, *sign;
};

/* Where a message goes. The one place where filter and Sieve will come (ARCHITECTURE 9: they file, they never refuse). */
struct delivery mda_decide(const struct job *job);

/* Does it go to an address for reports, so that mda_incoming should look at it? */
bool mda_may_be_report(const struct config *c, const struct job *job);
/* Reads the mail; a report, good or bad, goes to the office together with the delivery (*taken). Else the mail is still to be delivered. A fail means
 * that the office could not be asked: the job comes again. */
const struct fail *mda_incoming(struct arena *a, struct bus *office, const struct config *c,
				const struct job *job, bool *taken);
/* enum incoming_proof, from what our own Authentication-Results says. */
u8 mda_report_proof(struct arena *a, str message, str hostname);

/* Renders the DSN that is due, signs it by the job's permit and hands it to the office; when it cannot be signed it goes as it is; when none can be made it says so, and the report is dropped there
 * with an event. A fail means that the office could not be asked: the job comes again. */
const struct fail *mda_report(struct arena *a, const struct mda_servers *to, const struct config *c,
			      const struct job *job);

/* f says that the office did not answer: what it was asked is still to be done. */
bool mda_office_is_away(const struct fail *f);

/* The DSN of a job (JOB_DSN_FAILURE, JOB_DSN_DELAY) as a message. original: the message it is about. now: ms since 1970. */
const struct fail *mda_report_render(struct arena *a, const struct config *c, const struct job *job,
				     str original, u64 now, str *out);

#endif
