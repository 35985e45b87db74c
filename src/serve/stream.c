/* The plain stream, and what both kinds share. */
#include "serve/stream.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include "base/fd.h"

static enum stream_state plain_handshake(struct stream *s)
{
	(void)s;
	return STREAM_OK;
}

static bool again(int error)
{
	return error == EAGAIN || error == EWOULDBLOCK;
}

static enum stream_state plain_read(struct stream *s, u8 *out, size_t n, size_t *got)
{
	ssize_t r;

	*got = 0;
	if (s->ended)
		return STREAM_END;
	do
		r = recv(s->fd, out, n, 0);
	while (r < 0 && errno == EINTR);
	s->drained = r > 0 && (size_t)r < n;
	if (r > 0) {
		*got = (size_t)r;
		return STREAM_OK;
	}
	if (r < 0 && again(errno))
		return STREAM_WANT_READ;
	s->ended = true;
	return r == 0 ? STREAM_END : STREAM_BROKEN;
}

static enum stream_state plain_write(struct stream *s, str bytes, size_t *put)
{
	ssize_t r;

	*put = 0;
	do
		r = send(s->fd, bytes.p, bytes.n, MSG_NOSIGNAL);
	while (r < 0 && errno == EINTR);
	if (r >= 0) {
		*put = (size_t)r;
		return STREAM_OK;
	}
	return again(errno) ? STREAM_WANT_WRITE : STREAM_BROKEN;
}

static bool plain_pending(struct stream *s)
{
	u8 byte;

	return !s->ended && recv(s->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static void plain_goodbye(struct stream *s)
{
	shutdown(s->fd, SHUT_WR);
}

static const struct stream_ops plain_ops = {
	.handshake = plain_handshake,
	.read = plain_read,
	.write = plain_write,
	.pending = plain_pending,
	.goodbye = plain_goodbye,
};

void stream_plain(struct stream *s, int fd)
{
	*s = (struct stream){ .ops = &plain_ops, .fd = fd };
}

void stream_close(struct stream *s)
{
	if (s->tls &&
	    SSL_is_init_finished(
		s->tls)) /* or OpenSSL takes the session for a broken one, never to be resumed */
		SSL_set_shutdown(s->tls, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(s->tls);
	s->tls = NULL;
	fd_close(&s->fd);
}
