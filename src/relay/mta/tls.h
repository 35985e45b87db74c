/*
 * The TLS contexts of the client. Made before the jail, since OpenSSL reads files; shared by all threads.
 *
 * Opportunistic (RFC 7435, RFC 3207): any certificate and old algorithms (SECLEVEL 0, TLS 1.0 up), because the choice is between
 * that and clear text. Verified: for the smarthost when a password goes there.
 */
#ifndef RELAY_MTA_TLS_H
#define RELAY_MTA_TLS_H

#include <openssl/ssl.h>

#include "base/fail.h"

struct tls_client {
	SSL_CTX *opportunistic;
	SSL_CTX *verified;
	bool authorities; /* those of the system could be read */
};

/* The arena owns the contexts. */
const struct fail *tls_client_new(struct arena *a, struct tls_client *out);

#endif
