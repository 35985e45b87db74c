/*
 * A blocking byte stream to a server, plain or TLS, with deadlines. Errors are sticky: after the first one every call fails with
 * it, and the caller looks once. One thread at a time.
 *
 * The peer is not trusted: a line is bounded, a deadline is absolute (armed before each step), nothing it sends makes memory grow.
 */
#ifndef RELAY_MTA_CONNECTION_H
#define RELAY_MTA_CONNECTION_H

#include <openssl/ssl.h>

#include "base/fail.h"
#include "text/dns_rdata.h"

struct connection;

/* Connects (N07: to the address that was checked, never to a name). The arena owns it. */
const struct fail *connection_open(struct arena *a, const struct dns_address *to, u32 port,
				   u64 budget_ms, struct connection **out);
/* Over a socket that is connected already: takes fd. For tests and the fuzzer. */
struct connection *connection_adopt(struct arena *a, int fd);
void connection_close(
    struct connection *c); /* early; the arena does it otherwise. Any call afterwards fails */

/* Everything until the next call must be over in so many milliseconds. */
void connection_deadline(struct connection *c, u64 ms);
/* A TLS handshake with this name in SNI (empty: none). verify: the certificate must be of that name and of a known authority. After a
 * failure the connection is of no use. Bytes that came in clear before it are an attack (RFC 3207 4.2, THREATS T02): refused. */
const struct fail *connection_start_tls(struct connection *c, SSL_CTX *context, str name,
					bool verify);
bool connection_is_tls(const struct connection *c);
/* "TLSv1.3 TLS_AES_256_GCM_SHA384"; empty without TLS. Lives as long as the connection. */
str connection_tls_text(const struct connection *c);

/* The next line without its line end (CRLF; a bare LF is taken from servers too); borrowed until the next read. */
const struct fail *connection_line(struct connection *c, str *line);
/* Collects output; connection_flush sends. A full block is sent at once. */
const struct fail *connection_write(struct connection *c, str bytes);
const struct fail *connection_flush(struct connection *c);
/* While on, sending looks up at each block and whenever it has to wait: it stops, with a fail that is not sticky, when the server has said something or
 * has ended the connection. Then connection_heard, and what it said can be read. */
void connection_listen(struct connection *c, bool on);
bool connection_heard(const struct connection *c);
/* Something arrived that nobody asked for, the end included: the connection is no good for another transaction. */
bool connection_has_input(struct connection *c);
const struct fail *connection_error(const struct connection *c); /* the sticky one; NULL: fine */

#endif
