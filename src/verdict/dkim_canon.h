/*
 * Canonical forms (RFC 6376 3.4) and their SHA-256, streaming. Shared by DKIM and ARC.
 */
#ifndef VERDICT_DKIM_CANON_H
#define VERDICT_DKIM_CANON_H

#include "base/arena.h"

enum dkim_canon { DKIM_SIMPLE, DKIM_RELAXED };
enum { DKIM_DIGEST = 32 };

#define DKIM_WHOLE UINT64_MAX /* no l= */

/* Where canonical bytes go. */
struct dkim_sink {
	void *context;
	void (*write)(void *context, const u8 *p, size_t n);
};

/* A SHA-256 that the arena releases. */
struct dkim_hash;
struct dkim_hash *dkim_hash_new(struct arena *a);
struct dkim_sink dkim_hash_sink(struct dkim_hash *h);
void dkim_hash_finish(struct dkim_hash *h, u8 digest[DKIM_DIGEST]); /* and starts anew */

/* One field that has a name, up to its last CRLF, which is added when missing unless `last`: then it is taken away (the signature's own field). */
void dkim_canon_field(enum dkim_canon canon, str raw, bool last, struct dkim_sink sink);
/* The same for a field whose b= value must be left out (RFC 6376 3.7). */
void dkim_canon_signature(enum dkim_canon canon, str raw, struct dkim_sink sink);

/* A body and all hashes of it that are wanted: a canonical form is made once and hashed once. */
struct dkim_body;
struct dkim_body *dkim_body_new(struct arena *a);
/* Before the first piece. length: of the canonical body (l=), or DKIM_WHOLE. The same wish gives the same number. */
size_t dkim_body_want(struct dkim_body *b, enum dkim_canon canon, u64 length);
void dkim_body_feed(struct dkim_body *b, str piece);
void dkim_body_finish(struct dkim_body *b); /* again: nothing happens */
/* After finish. false: the canonical body is shorter than that length. *longer: bytes follow behind it. */
bool dkim_body_hash(const struct dkim_body *b, size_t want, u8 digest[DKIM_DIGEST],
		    bool *longer) NODISCARD;
u64 dkim_body_length(const struct dkim_body *b,
		     enum dkim_canon canon); /* of a form that was wanted */

#endif
