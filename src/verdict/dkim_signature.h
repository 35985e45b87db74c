/*
 * A signature field read (RFC 6376 3.5; ARC-Message-Signature is the same field but for v= and i=, RFC 8617 4.1.2), the fields of a
 * header ready for selection from the bottom (5.4.2), and the hash over what h= names.
 */
#ifndef VERDICT_DKIM_SIGNATURE_H
#define VERDICT_DKIM_SIGNATURE_H

#include "text/header.h"
#include "verdict/dkim.h"

enum dkim_flavour { DKIM_FLAVOUR_DKIM, DKIM_FLAVOUR_ARC_MESSAGE };

struct dkim_signature {
	str domain, selector, auid; /* auid: DKIM only; for ARC i= is `instance` */
	u32 instance;
	enum dkim_algorithm algorithm;
	enum dkim_canon header_canon, body_canon;
	u64 length; /* or DKIM_WHOLE */
	u64 signed_at, expires_at;
	const str *names;
	size_t names_n;
	str body_hash; /* decoded, DKIM_DIGEST bytes for sha256 */
	str b;         /* as text, squeezed */
	str signature; /* decoded */
};

/* DKIM_NONE when it can be read, or the result with *reason. Fills what it could read before a fault. */
enum dkim_result dkim_signature_parse(struct arena *a, str value, enum dkim_flavour flavour,
				      struct dkim_signature *out, str *reason);

/* The fields of one header, sorted for selection. */
struct dkim_fields;
/* NULL when there are more than DKIM_FIELDS. */
struct dkim_fields *dkim_fields_new(struct arena *a, str header);
/* SHA-256 over the fields h= names, each from the bottom up, then the signature field itself without its b=. */
void dkim_fields_hash(struct dkim_fields *f, struct dkim_hash *hash, enum dkim_canon canon,
		      const str *names, size_t names_n, str signature_raw, u8 digest[DKIM_DIGEST]);

#endif
