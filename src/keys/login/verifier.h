/*
 * What is kept of a password, and how a password is proved against it: yescrypt through crypt(3) for PLAIN and LOGIN,
 * the SCRAM-SHA-256 keys of RFC 5802 3 for SCRAM. Pure functions; the only slow one is verifier_check (20-30 ms on purpose).
 */
#ifndef KEYS_LOGIN_VERIFIER_H
#define KEYS_LOGIN_VERIFIER_H

#include "base/chars.h"
#include "base/fail.h"

enum verifier_limit {
	VERIFIER_PASSWORD_MAX = 1024, /* bytes */
	VERIFIER_SALT = 16,
	VERIFIER_KEY = 32,           /* SHA-256 */
	VERIFIER_ITERATIONS = 10000, /* RFC 7677 4 asks for 4096 at least */
};

struct verifier {
	str crypt; /* "$y$..." */
	str salt;
	u32 iterations;
	u8 stored_key[VERIFIER_KEY];
	u8 server_key[VERIFIER_KEY];
};

/*
 * The form in which passwords are compared: SASLprep (RFC 4013) without its bidi check: NFKC, other spaces to SP. INVALID when it is
 * empty, too long, not UTF-8 or holds control characters.
 */
const struct fail *verifier_prepare(struct arena *a, str password, str *out);

/* password: prepared. Strings live as long as a. */
const struct fail *verifier_make(struct arena *a, str password, struct verifier *out);
/* *right: password (prepared) is the one that crypt was made of. Takes as long for any answer. UNAVAILABLE: nobody can tell now. */
const struct fail *verifier_check(struct arena *a, str crypt, str password, bool *right);
/* RFC 5802 3: StoredKey and ServerKey of a prepared password. */
void verifier_scram(struct verifier *v, str password);
/* A verifier that no password fits, the same for one name every time: for names that do not exist. */
void verifier_fake(struct arena *a, str secret, str name, struct verifier *out);

#endif
