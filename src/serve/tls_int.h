/* The inside of TLS, for tls*.c and its test. */
#ifndef SERVE_TLS_INT_H
#define SERVE_TLS_INT_H

#include <openssl/types.h>
#include <pthread.h>

#include "serve/tls.h"
#include "serve/tls_key.h"

/* One SSL_CTX for the certificates of the same names; a peer gets the one its SNI names, else the default. */
struct tls_entry {
	const str *names;
	size_t names_n;
	SSL_CTX *context;
};

/* All certificates at one time. Held by the server while it is the newest, and by each connection made under it. */
struct tls_set {
	_Atomic u32 holders;
	struct arena *arena; /* holds this struct */
	struct tls_entry *entries;
	size_t n;
	SSL_CTX *first; /* the default */
};

enum { TLS_TICKET_KEY = 80 }; /* name 16, HMAC 32, AES 32 */

struct tls_server {
	struct process *process;
	const struct tls_signer *signer;
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t changed;
	struct tls_set *set;
	u8 ticket_keys[2][TLS_TICKET_KEY]; /* newest first */
	u32 ticket_keys_n;
};

/* tls_set.c */
const struct fail *tls_set_new(struct arena *a, struct tls_server *t,
			       const struct certificate *certificates, size_t n,
			       struct tls_set **out);
SSL_CTX *tls_set_find(const struct tls_set *s, str name);
void tls_set_drop(struct tls_set **s);
/* tls_context.c: all but certificates. */
SSL_CTX *tls_context_new(struct tls_server *t);
/* What a connection is for: its service decides ALPN and who may resume. */
void tls_context_start(SSL *tls, enum service service, struct tls_set *set);
void tls_context_init(void);
/* tls.c: a failing list leaves the old one in force. */
const struct fail *tls_server_install(struct arena *a, struct tls_server *t,
				      const struct certificate *certificates, size_t n);
SSL *tls_server_connection(struct tls_server *t, enum service service);

#endif
