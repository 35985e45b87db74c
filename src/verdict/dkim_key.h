/*
 * Public keys: records in DNS (RFC 6376 3.6.1, RFC 8463), and the check of one signature. Shared by DKIM and ARC.
 */
#ifndef VERDICT_DKIM_KEY_H
#define VERDICT_DKIM_KEY_H

#include "verdict/dkim.h"

struct dkim_key {
	bool is_ed25519;
	u32 bits;
	bool testing;     /* t=y */
	bool strict;      /* t=s: i= must be in d= itself */
	void *public_key; /* EVP_PKEY, released with the arena */
	void *check;      /* RSA: EVP_PKEY_CTX, ready to verify with it; likewise */
};

/* DKIM_NONE and *out, or the result with *reason: revoked, not for mail, hash not allowed, broken, size refused. */
enum dkim_result dkim_key_parse(struct arena *a, str record, struct dkim_key *out, str *reason);

/* What one look-up gave: each readable record for this kind of key, in the order of DNS. */
struct dkim_keys {
	struct dkim_key list[DKIM_KEYS_TRIED];
	size_t n;
	str name; /* that was asked */
	enum dns_status dns;
	bool secure;
};
/* DKIM_NONE with at least one key, or the result with *reason. */
enum dkim_result dkim_keys_find(struct arena *a, const struct dns_source *dns, str selector,
				str domain, enum dkim_algorithm algorithm, struct dkim_keys *out,
				str *reason);

/* Does this key say so? digest: SHA-256 of what was signed. */
bool dkim_key_verify(const struct dkim_key *k, const u8 digest[DKIM_DIGEST],
		     str signature) NODISCARD;
/* Before the jail of a process that verifies: OpenSSL loads what it needs. */
void dkim_prepare(void);

#endif
