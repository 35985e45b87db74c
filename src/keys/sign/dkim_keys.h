/*
 * The DKIM keys of our domains, one PEM file each in DATA/keys/dkim, named DOMAIN:SELECTOR:STATE. A key is written under a name with a
 * dot in front, synced, then renamed; a change of state is a rename: a crash leaves the old or the new. A key goes published -> active -> retiring -> removed; it signs only while active, and only for the
 * domain in its name. One thread.
 */
#ifndef KEYS_SIGN_DKIM_KEYS_H
#define KEYS_SIGN_DKIM_KEYS_H

#include "base/arena.h"
#include "base/fail.h"
#include "bus/sign.h"

enum dkim_keys_limit {
	DKIM_KEYS_MAX = 10000,
	DKIM_KEYS_DOMAIN = 16, /* of one domain */
	DKIM_KEYS_RSA = 2048,  /* bits, of those we make: RFC 8301 3.2 */
	DKIM_KEYS_RSA_MAX =
	    4096, /* of those brought from elsewhere; verifiers need not take longer ones */
};

struct dkim_keys;

/* Reads the folder, which is made when missing. A file that is no key of ours (RSA of 2048 to 4096 bits or Ed25519, no
 * passphrase) is logged and left alone; its name is not used again. */
const struct fail *dkim_keys_open(struct arena *a, str folder, struct dkim_keys **out);
/* One RSA-2048 and one Ed25519 key, published. INVALID: no domain name. LIMIT: the domain has too many. */
const struct fail *dkim_keys_make(struct dkim_keys *k, struct arena *a, str domain, u64 now);
/* All of the domain ("": of all domains); their public halves. */
size_t dkim_keys_list(const struct dkim_keys *k, struct arena *a, str domain,
		      const struct dkim_key_info **out);
/* One step forward only. NOT_FOUND, INVALID. */
const struct fail *dkim_keys_state(struct dkim_keys *k, struct arena *a, str domain, str selector,
				   enum dkim_key_state state);
/* digest: SHA-256 of a signed header. DENIED unless this key of this domain is active. */
const struct fail *dkim_keys_sign(const struct dkim_keys *k, struct arena *a, str domain,
				  str selector, str digest, str *signature);

#endif
