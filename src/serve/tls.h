/*
 * TLS for the edges: one SSL_CTX set per process, certificates by SNI, private keys in keys/sign. Certificates come from
 * sign.certificates and are replaced without dropping a connection. Session tickets use parent's key, and a context per service: a
 * ticket of one service is no good at another (THREATS T10). The private half is behind tls_key.c alone (RSA_METHOD and
 * EC_KEY_METHOD now, a provider when OpenSSL 4 takes those away).
 */
#ifndef SERVE_TLS_H
#define SERVE_TLS_H

#include "serve/process.h"

struct tls_server;

/* Before the jail: fetches algorithms, reads what OpenSSL wants from files. Certificates follow from a thread that asks sign. */
const struct fail *tls_server_new(struct process *p, struct tls_server **out);
/* After the jail: waits for the first certificates, then keeps asking. */
const struct fail *tls_server_start(struct tls_server *t);
void tls_server_ticket_key(struct tls_server *t, const u8 key[80]); /* the one before stays good */

/* For tests: one chain, and its key in this process. No thread, no bus. */
const struct fail *tls_server_new_local(struct process *p, str chain_pem, str key_pem,
					struct tls_server **out);

#endif
