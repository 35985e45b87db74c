/*
 * One attempt at one job: the recipients of one domain, from the route to the last reply. Knows no bus: the job and its message
 * come in, what attempt_done is to be told goes out.
 *
 * Hosts are tried in order, and all addresses of each, until every recipient's fate is settled or nothing is left to try. What
 * makes us try the next one: no connection, a bad greeting, failed TLS or login, 421, a connection lost before the final dot. What does
 * not: an answer to MAIL, RCPT, DATA or the message.
 */
#ifndef RELAY_MTA_DELIVERY_H
#define RELAY_MTA_DELIVERY_H

#include "bus/office.h"
#include "config/config.h"
#include "relay/mta/client.h"
#include "relay/mta/idle.h"
#include "relay/mta/site.h"

/* What all deliveries of this process share. */
struct delivery_tools {
	const struct config *config;
	const struct mta_times *times;
	struct resolver *resolver;
	struct sites *sites;
	struct idle *idle;
	const struct tls_client *contexts;
	str password; /* at the smarthost; read before the jail */
};

/* Never fails: every entry of the job gets its result. *out lives as long as the arena. */
void delivery_run(struct arena *a, const struct delivery_tools *tools, const struct job *job,
		  str message, struct office_attempt_done_request *out);
/* The same result for all, without trying: the message could not be had. */
void delivery_refuse(struct arena *a, const struct job *job, const struct fail *f,
		     struct office_attempt_done_request *out);

#endif
