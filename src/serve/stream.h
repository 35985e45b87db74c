/*
 * A connected socket, plain or with TLS, behind one small table of functions. Nonblocking: what cannot be done now says what to
 * wait for. Owned by whoever owns the session.
 */
#ifndef SERVE_STREAM_H
#define SERVE_STREAM_H

#include <openssl/types.h>

#include "base/str.h"

enum stream_state {
	STREAM_OK,
	STREAM_WANT_READ,
	STREAM_WANT_WRITE,
	STREAM_END,    /* the peer will send nothing more: FIN, or close_notify */
	STREAM_BROKEN, /* reset, bad TLS, TLS without close_notify */
};

struct stream {
	const struct stream_ops *ops;
	int fd;
	bool ended;   /* never read again after STREAM_END (THREATS S08) */
	bool drained; /* the last read, a plain one, took all that was there */
	u8 key_updates;
	SSL *tls; /* owns */
};

struct stream_ops {
	enum stream_state (*handshake)(struct stream *s);
	enum stream_state (*read)(struct stream *s, u8 *out, size_t n, size_t *got);
	enum stream_state (*write)(struct stream *s, str bytes, size_t *put);
	bool (*pending)(struct stream *s); /* bytes wait to be read */
	void (*goodbye)(struct stream *s); /* no more from us: close_notify, FIN */
};

void stream_plain(struct stream *s, int fd); /* takes fd, which must not block */
void stream_close(struct stream *s);         /* at once; frees the TLS state */

static inline enum stream_state stream_read(struct stream *s, u8 *out, size_t n, size_t *got)
{
	return s->ops->read(s, out, n, got);
}

static inline enum stream_state stream_write(struct stream *s, str bytes, size_t *put)
{
	return s->ops->write(s, bytes, put);
}

#endif
