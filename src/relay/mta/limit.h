/* Every bound of the SMTP client, in one place. A test has its own struct mta_times. */
#ifndef RELAY_MTA_LIMIT_H
#define RELAY_MTA_LIMIT_H

#include "base/types.h"

/* Milliseconds. RFC 5321 4.5.3.2 asks for no less than these; each is for a whole reply, not for a read, so that a server that drips
 * bytes gains nothing (THREATS S26, Q06). */
struct mta_times {
	u64 connect;   /* RFC 5321 says nothing; below the kernel's own two minutes */
	u64 greeting;  /* 4.5.3.2.1 */
	u64 handshake; /* of TLS */
	u64 command;   /* EHLO, STARTTLS, AUTH, RSET: as 4.5.3.2.2 */
	u64 mail;      /* 4.5.3.2.2 */
	u64 rcpt;      /* 4.5.3.2.3 */
	u64 data;      /* 4.5.3.2.4 */
	u64 block;     /* 4.5.3.2.5: for each MTA_BLOCK bytes of the message */
	u64 final;     /* 4.5.3.2.6 */
	u64 quit;      /* nobody waits long for a goodbye */
	u64 dns;       /* one question */
	u64 idle;      /* an unused connection is kept so long */
	u64 family;    /* an address family that failed at a site goes last for so long */
};
extern const struct mta_times mta_times_rfc;

enum mta_limit {
	MTA_BLOCK = 16 * 1024,
	MTA_RATE =
	    10 *
	    1024, /* bytes a second: a message that goes slower than this after its grace is given up (Q06) */
	MTA_RATE_GRACE_MS = 10 * 60 * 1000,
	MTA_LINE = 4096,      /* bytes of a reply line that we buffer; smtp_reply refuses earlier */
	MTA_RECIPIENTS = 100, /* of one transaction: RFC 5321 4.5.3.1.8 */
	MTA_HOSTS = 10,       /* MX hosts tried for one job */
	MTA_ADDRESSES = 6,    /* of one host */
	MTA_CONNECTS = 12,    /* connections of one attempt */
	MTA_MESSAGES = 100,   /* over one connection */
	MTA_IDLE = 64,        /* connections kept for later */
	MTA_SITES =
	    2048, /* whose load and health we remember; more than twice queue.deliveries can be */
	MTA_SITE_NAME = 120, /* bytes of a site's key */
	MTA_EVENTS = 200,    /* of one attempt */
	MTA_SPARE = 4,       /* threads that may wait for a job; more go home */
	MTA_THREAD_STACK = 256 * 1024,
	MTA_JOB_ARENA = 4 * 1024 * 1024,
	MTA_CLIENT_ARENA = 256 * 1024,
	MTA_PASSWORD = 1024,
	MTA_UNTOLD = 1024, /* results kept that the office has not heard of */
	MTA_UNTOLD_BYTES = 16 * 1024 * 1024,
};

#endif
