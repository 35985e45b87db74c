#include "relay/mta/limit.h"

#define SECONDS(n) ((n)*1000ULL)
#define MINUTES(n) SECONDS((n)*60)

const struct mta_times mta_times_rfc = {
	.connect = SECONDS(60),
	.greeting = MINUTES(5),
	.handshake = MINUTES(1),
	.command = MINUTES(5),
	.mail = MINUTES(5),
	.rcpt = MINUTES(5),
	.data = MINUTES(2),
	.block = MINUTES(3),
	.final = MINUTES(10),
	.quit = SECONDS(2),
	.dns = SECONDS(20),
	.idle = SECONDS(30),
	.family = MINUTES(10),
};
