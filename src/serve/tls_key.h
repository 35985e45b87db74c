/*
 * The private half of TLS, behind one function: edges hold no private key (ARCHITECTURE 2, THREATS T16). OpenSSL gets a key that
 * looks whole, whose private operations are calls of a signer: keys/sign over the bus, or one in this process, for tests.
 */
#ifndef SERVE_TLS_KEY_H
#define SERVE_TLS_KEY_H

#include <openssl/types.h>

#include "base/arena.h"
#include "bus/sign.h"

struct tls_signer {
	/* The signature lives as long as the arena. Any thread. */
	const struct fail *(*sign)(const struct tls_signer *signer, struct arena *a, u64 key,
				   enum sign_scheme scheme, str digest, str *signature);
	void *context;
};

/* Makes what OpenSSL needs once in a process. Before threads. */
void tls_key_init(void);
/* The key that the signer calls `key`, whose public half is that of `public`. Both a and signer must outlive it. NULL: of a kind we
 * do not serve. The caller frees it. */
EVP_PKEY *tls_key_new(struct arena *a, const struct tls_signer *signer, u64 key, EVP_PKEY *public);

/* keys/sign over the bus. */
const struct tls_signer *tls_signer_bus(struct arena *a, struct bus *sign);
/* Keys in this process, numbered from 1 in the order in which they are added. */
struct tls_signer *tls_signer_local(struct arena *a);
const struct fail *tls_signer_local_add(struct arena *a, struct tls_signer *signer, str key_pem,
					u64 *key);

#endif
