/* The stream over TLS. The contexts and certificates are the affair of tls.c. */
#ifndef SERVE_TLS_STREAM_H
#define SERVE_TLS_STREAM_H

#include "serve/stream.h"

enum { TLS_KEY_UPDATES = 32 }; /* of one connection: more are a flood (THREATS T08) */

enum { TLS_HELLO_WAITS = 2 }; /* for a record's head, and for the rest of it */

/* A slow peer's ClientHello gathers in the socket, not in the memory that TLS would take for it (THREATS T07). True: its first record
 * is there, or will never be one. Else the socket, a plain stream's, becomes readable with that record or the peer's end. */
bool tls_stream_hello(const struct stream *s);
void tls_stream_hello_over(const struct stream *s); /* readable by the octet again */
/* Puts tls (takes it) on a plain stream; the handshake is the next thing to do. */
bool tls_stream_start(struct stream *s, SSL *tls);
/* Why the last call on this thread failed, as far as TLS can tell. Lives for ever. */
str tls_stream_why(void);
/* "TLSv1.3 TLS_AES_256_GCM_SHA384" */
str tls_stream_text(const struct stream *s, struct arena *a);
/* RFC 9266 3: tls-exporter; false before TLS 1.3. */
bool tls_stream_binding(const struct stream *s, u8 out[32]);

#endif
