/*
 * A certificate chain and its private key. The private half stays in here: callers get signatures.
 */
#ifndef KEYS_SIGN_KEY_PAIR_H
#define KEYS_SIGN_KEY_PAIR_H

#include "bus/sign.h"

enum key_pair_limit {
	KEY_PAIR_CHAIN = 10,
	KEY_PAIR_NAMES = 200,
	KEY_PAIR_RSA_MIN = 2048,
	KEY_PAIR_RSA_MAX = 8192,
	KEY_PAIR_FILE = 256 * 1024, /* bytes of one */
	KEY_PAIR_PIECE = 4096,
	KEY_PAIR_FILES_ARENA = 8 * KEY_PAIR_FILE,
	KEY_PAIR_SELF_SIGNED_DAYS = 3650,
};

struct key_pair {
	struct certificate certificate; /* what edges may know */
	void *private_key;              /* EVP_PKEY, released with the arena */
	bool is_rsa;
	size_t size; /* of an RSA modulus, bytes */
};

/* A whole file, into the arena `files`; it is closed again. Fails as key_pair_load does, into a. */
const struct fail *key_pair_read(struct arena *a, struct arena *files, str path, str *out);
/* PEM files. INVALID, in words for the administrator, when one is missing or is no PEM of what it should be, or they do not fit
 * together: what is there is no pair. Any other class: it could not be read, so nobody knows. */
const struct fail *key_pair_load(struct arena *a, str certificate_path, str key_path,
				 struct key_pair *out);
/* What a person should know of its first certificate. Times in ms since 1970. */
struct key_pair_facts {
	i64 not_before, not_after;
	bool is_for_host; /* RFC 9525 6.3: by subjectAltName, never by the common name */
};
void key_pair_look(struct arena *a, const struct key_pair *k, str hostname,
		   struct key_pair_facts *out);
/* Makes an ECDSA P-256 key and a certificate for hostname and localhost, signed by itself, in these two files, 0600. */
const struct fail *key_pair_make(struct arena *a, str certificate_path, str key_path, str hostname);
/* Only what a TLS handshake signs: a digest of the scheme's size, or an RSA block that is padded as PKCS#1 type 1 or PSS says.
 * INVALID for anything else: this is no decryption service. */
const struct fail *key_pair_sign(struct arena *a, const struct key_pair *k, enum sign_scheme scheme,
				 str digest, str *signature);

#endif
