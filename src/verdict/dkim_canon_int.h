/* Between dkim_canon.c and dkim_body.c: hashes that can be looked at on the way, and small writes put together. */
#ifndef VERDICT_DKIM_CANON_INT_H
#define VERDICT_DKIM_CANON_INT_H

#include <openssl/types.h>

#include "verdict/dkim_canon.h"

/* SHA-256, found once. */
const EVP_MD *dkim_sha256(void);

void dkim_hash_write(struct dkim_hash *h, const u8 *p, size_t n);
/* The digest of what was written so far; h goes on. scratch: another hash, whose content is lost. */
void dkim_hash_peek(const struct dkim_hash *h, struct dkim_hash *scratch, u8 digest[DKIM_DIGEST]);

enum { DKIM_GATHER_FIELD = 1024, DKIM_GATHER_BODY = 16 * 1024 };

struct dkim_gather {
	struct dkim_sink sink;
	u8 *bytes; /* borrows */
	size_t size, n;
};

void dkim_gather_add(struct dkim_gather *g, const u8 *p, size_t n);
void dkim_gather_flush(struct dkim_gather *g);

#endif
