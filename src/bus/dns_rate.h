/*
 * What one sending domain can make us ask of DNS, over all its messages (THREATS D09). One message is bounded by its checks; but an SPF record with
 * macros, a new selector or a new subdomain in each message gives names that no cache knows, and a sender can have as many messages as it likes.
 *
 * Each question that is not known to be cached costs a share of the domain that made us ask: a bucket that holds a minute's worth and fills up again
 * as time goes. The domain is cut to what somebody registers (dns_rate_domain), since subdomains are free. Anybody can write somebody else's domain
 * into MAIL FROM, so one network (IPv4 /24, IPv6 /48) can use a quarter of a bucket only: a forger empties his own share, and the domain's
 * own servers go on. A name answered lately costs nothing as long as that answer lives, for whoever asks: the resolver has it. So the key,
 * the record and the policy of a domain in use stay within reach while its bucket is empty.
 *
 * Bounded: DNS_RATE_SETS times DNS_RATE_WAYS buckets, as many known names. A new one drives out what it costs the least to forget: the fullest
 * bucket, the answer that ends first; so an empty bucket cannot be made to be forgotten by many fresh names. Keys are MACs: nobody can choose
 * names that collide. One for each process; any thread may use it.
 */
#ifndef BUS_DNS_RATE_H
#define BUS_DNS_RATE_H

#include <pthread.h>

#include "bus/mac.h"
#include "text/dns.h"

enum dns_rate_limit {
	DNS_RATE_SETS = 1024,
	DNS_RATE_WAYS = 4,
	DNS_RATE_FILL_MS = 60 * 1000,       /* an empty bucket is full again */
	DNS_RATE_NETWORKS = 4,              /* that empty a bucket together */
	DNS_RATE_KNOWN_MS = 10 * 60 * 1000, /* a name is known for at most */
};

/* Who makes us ask. */
struct dns_payer {
	u64 rate;    /* questions a minute; 0: as many as it likes */
	str domain;  /* empty: that of each question */
	str network; /* the client's address, 4 or 16 bytes */
};

struct dns_rate {
	u8 secret[MAC_SECRET];
	struct dns_rate_table {
		struct dns_rate_set {
			pthread_mutex_t lock; /* of the members below */
			struct dns_rate_slot {
				u64 key;
				u64 until; /* microseconds: the bucket is full, the answer is over. Not later than now: empty */
			} slots[DNS_RATE_WAYS];
		} sets[DNS_RATE_SETS];
	} buckets, known;
};

void dns_rate_init(struct dns_rate *r);
void dns_rate_free(struct dns_rate *r);

/* May this be asked? It is paid for, then, unless it is known. now: of env_monotonic. */
bool dns_rate_take(struct dns_rate *r, struct arena *a, const struct dns_payer *payer, str name,
		   u32 type, u64 now);
/* It was answered, and the answer lives for life milliseconds. */
void dns_rate_know(struct dns_rate *r, struct arena *a, str name, u32 type, u64 now, u64 life);

/* The part of a name that somebody registers, by its look: two labels, or three where the second last is one of those that countries divide
 * themselves by (co.uk). A guess that needs no question: too short a part makes neighbours share, too long a one gives an owner more. */
str dns_rate_domain(str name);

#endif
