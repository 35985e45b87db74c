/*
 * The last answers of DNS, kept where they are used: the next mail of the same sender asks relay nothing. Behind it stands the resolver's own cache;
 * this one saves the calls. An answer is kept as long as its ttl says and DNS_MEMO_MS at most, so that a resolver that is started anew is soon heard;
 * that there is no such name or record, as well. Trouble (DNS_TEMPFAIL, DNS_BOGUS) is never kept.
 *
 * Bounded: DNS_MEMO_SETS times DNS_MEMO_WAYS answers of DNS_MEMO_BYTES at most. A name can stand in one set only, where a new one drives out what was
 * not asked for the longest; a mail of a sender asks five questions, so there is room for some hundreds of senders. Whoever asks for many names gains
 * nothing but that others are asked about again. Any thread may use it.
 */
#ifndef BUS_DNS_MEMO_H
#define BUS_DNS_MEMO_H

#include <pthread.h>

#include "base/buf.h"
#include "text/dns.h"

enum dns_memo_limit {
	DNS_MEMO_SETS = 1024,
	DNS_MEMO_WAYS = 4,
	DNS_MEMO_SLOTS = DNS_MEMO_SETS * DNS_MEMO_WAYS,
	DNS_MEMO_BYTES =
	    1024, /* of question and answer together; a larger one is asked each time */
	DNS_MEMO_MS = 60 * 1000,
	DNS_MEMO_ALIAS_MS =
	    5000, /* found through a CNAME, whose own ttl the resolver does not tell */
};

struct dns_memo {
	struct dns_memo_set {
		pthread_mutex_t lock; /* of the members below */
		u64 turn;             /* grows with each look */
		struct dns_memo_slot {
			u64 until;        /* 0: empty */
			u64 asked;        /* the set's turn when it was last of use */
			struct buf bytes; /* type, name, answer */
		} slots[DNS_MEMO_WAYS];
	} sets[DNS_MEMO_SETS];
};

void dns_memo_init(struct dns_memo *m);
void dns_memo_free(struct dns_memo *m);

/* For how long it may be used, in milliseconds and at most `most`. */
u64 dns_answer_life(str name, const struct dns_answer *answer, u64 most);
/* now: of env_monotonic. What is found is as if asked: *out lives as long as the arena. Its ttl is what is left of it. */
bool dns_memo_find(struct dns_memo *m, struct arena *a, str name, u32 type, u64 now,
		   struct dns_answer *out);
void dns_memo_put(struct dns_memo *m, struct arena *a, str name, u32 type, u64 now,
		  const struct dns_answer *answer);

#endif
