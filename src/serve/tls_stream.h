/* The stream over TLS. The contexts and certificates are the affair of tls.c. */
#ifndef SERVE_TLS_STREAM_H
#define SERVE_TLS_STREAM_H

#include "serve/stream.h"

enum { TLS_KEY_UPDATES = 32 }; /* of one connection: more are a flood (THREATS T08) */

/* Puts tls (takes it) on a plain stream; the handshake is the next thing to do. */
bool tls_stream_start(struct stream *s, SSL *tls);
/* "TLSv1.3 TLS_AES_256_GCM_SHA384" */
str tls_stream_text(const struct stream *s, struct arena *a);
/* RFC 9266 3: tls-exporter; false before TLS 1.3. */
bool tls_stream_binding(const struct stream *s, u8 out[32]);

#endif
