/*
 * DKIM: who signed a message, and signing our own. RFC 6376, with RFC 8301 (rsa-sha1 is dead, RSA keys of at least 1024 bits),
 * RFC 8463 (Ed25519), RFC 8553 (the name _domainkey), RFC 8616 (names in UTF-8).
 *
 * Streaming: header first, then the body in pieces of any size; each canonical form of the body is made and hashed once, however
 * many signatures want it. Pure but for DNS, which the caller brings. An object belongs to one thread and lives as long as its arena;
 * `header` is borrowed until finish.
 *
 * Deviations: at most DKIM_SIGNATURES are verified, the topmost; the others are DKIM_POLICY (THREATS D05). `l=` never fails
 * for being used; `length_limited` says that bytes were added behind what was signed, and policy does not trust that (D03).
 */
#ifndef VERDICT_DKIM_H
#define VERDICT_DKIM_H

#include "base/buf.h"
#include "text/dns.h"
#include "verdict/dkim_canon.h"

enum dkim_limit {
	DKIM_SIGNATURES = 8,
	DKIM_REPORTED = 32,      /* verdicts in all; later signatures are not even parsed */
	DKIM_FIELD = 16 * 1024,  /* bytes of one DKIM-Signature field */
	DKIM_TAGS = 64,          /* of one field or key record */
	DKIM_NAMES = 1000,       /* in one h= */
	DKIM_FIELDS = 10000,     /* of the header; more: no signature is looked at */
	DKIM_RSA_MIN = 1024,     /* bits, RFC 8301 3.2 */
	DKIM_RSA_MAX = 4096,     /* more costs too much to check, D05 */
	DKIM_KEY_RECORD = 8192,  /* bytes of a key record */
	DKIM_KEYS_TRIED = 3,     /* TXT records at one name */
	DKIM_KEYS_KEPT = 256,    /* key records of the last senders, ready for use: 5 KiB each */
	DKIM_KEPT_RECORD = 1024, /* bytes of one; longer ones are read each time */
	DKIM_AHEAD =
	    24 * 3600, /* seconds t= may be in the future: clocks are wrong by time zones, D14 */
};

/* The words of RFC 8601 2.7.1. */
enum dkim_result {
	DKIM_NONE, /* no signature; never in a verdict, see dkim_verdicts_best */
	DKIM_PASS,
	DKIM_FAIL,      /* body or header changed, or expired */
	DKIM_POLICY,    /* we do not accept such: rsa-sha1, a short key, too many signatures */
	DKIM_NEUTRAL,   /* the field cannot be read */
	DKIM_TEMPERROR, /* DNS does not answer */
	DKIM_PERMERROR, /* no key, a revoked or broken key, no From in h= */
};

enum dkim_algorithm { DKIM_ALGORITHM_OTHER, DKIM_RSA_SHA1, DKIM_RSA_SHA256, DKIM_ED25519_SHA256 };

struct dkim_verdict {
	enum dkim_result result;
	str reason; /* English, one line, no bytes of the peer but names */

	/* What the field says; empty or zero where it could not be read. Names are lower case, ASCII or UTF-8 as they stood. */
	str domain;    /* d= */
	str selector;  /* s= */
	str auid;      /* i=, "@domain" when it is not given */
	str signature; /* b= without blanks, as text: its start goes in header.b (RFC 6008) */
	enum dkim_algorithm algorithm;
	enum dkim_canon header_canon, body_canon;
	u64 signed_at, expires_at; /* t=, x=; 0: not given */
	const str *names;          /* h=, as they stand */
	size_t names_n;

	u32 key_bits;        /* 0: no key was read */
	bool testing;        /* t=y in the key: the owner says it means nothing yet */
	bool has_length;     /* l= stood there */
	bool length_limited; /* and the body is longer */
	bool expired;

	str looked_up; /* "sel._domainkey.example.org", empty: nothing was asked */
	enum dns_status dns;
	bool dns_secure;
};

struct dkim_verdicts {
	const struct dkim_verdict *list; /* top of the header first */
	size_t n;
	bool cut; /* there were more than DKIM_REPORTED */
};

struct dkim_verifier;

/* header: with or without its empty line. */
struct dkim_verifier *dkim_verifier_new(struct arena *a, str header);
void dkim_verifier_body(struct dkim_verifier *v, str piece);
/* The hashes of this body, where others (ARC) may order theirs before the first piece. */
struct dkim_body *dkim_verifier_hashes(struct dkim_verifier *v);
/* Once. now: seconds since 1970. At most one question for each signature that could pass. */
void dkim_verifier_finish(struct dkim_verifier *v, const struct dns_source *dns, u64 now,
			  struct dkim_verdicts *out);

str dkim_result_name(enum dkim_result r);       /* "pass" */
str dkim_algorithm_name(enum dkim_algorithm g); /* "rsa-sha256" */
str dkim_canon_name(enum dkim_canon c);         /* "relaxed" */
/* One word for the message: pass when one passes, DKIM_NONE when there is none, else the one that was nearest to passing. */
enum dkim_result dkim_verdicts_best(const struct dkim_verdicts *v);

/* --- signing --- */

struct dkim_identity {
	str domain;
	str selector;
	enum dkim_algorithm algorithm; /* RSA_SHA256 or ED25519_SHA256 */
};

/* Asked with the SHA-256 of the signed header; the private key is somewhere else. */
struct dkim_key_holder {
	void *context;
	const struct fail *(*sign)(void *context, struct arena *a, const struct dkim_identity *who,
				   str digest, str *signature);
};

struct dkim_sign_options {
	enum dkim_canon header_canon, body_canon;
	const str *
	    names; /* what to sign; NULL: our own list, each field once more than it stands there (D04) */
	size_t names_n;
	u64 now;            /* t=, seconds; 0: none */
	u64 expires_at;     /* x=; 0: none */
	bool with_length;   /* l=; tests only */
	bool lists_may_add; /* our own list names a List-* field only where one stands */
};

struct dkim_signer;

/* relaxed/relaxed, our own list, signed now. */
struct dkim_sign_options dkim_sign_defaults(u64 now);
struct dkim_signer *dkim_signer_new(struct arena *a, str header,
				    const struct dkim_sign_options *options);
void dkim_signer_body(struct dkim_signer *s, str piece);
/* Appends one whole field, folded, with CRLF; once per identity, after the last piece. */
const struct fail *dkim_signer_field(struct dkim_signer *s, const struct dkim_identity *who,
				     const struct dkim_key_holder *keys, struct buf *out);

#endif
