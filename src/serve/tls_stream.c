/*
 * The stream over TLS: OpenSSL's five answers become ours. RFC 8446, RFC 9266.
 * OpenSSL's error queue belongs to the thread: emptied before each call, or a stale error would end another session.
 */
#include "serve/tls_stream.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include "base/check.h"

static enum stream_state judge(struct stream *s, int result)
{
	switch (SSL_get_error(s->tls, result)) {
	case SSL_ERROR_WANT_READ:
		return STREAM_WANT_READ;
	case SSL_ERROR_WANT_WRITE:
		return STREAM_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN:
		s->ended = true;
		return STREAM_END;
	default: /* also an end without close_notify: RFC 8446 6.1 calls it a truncation */
		s->ended = true;
		ERR_clear_error();
		return STREAM_BROKEN;
	}
}

static enum stream_state tls_handshake(struct stream *s)
{
	int r;

	ERR_clear_error();
	r = SSL_do_handshake(s->tls);
	return r == 1 ? STREAM_OK : judge(s, r);
}

str tls_stream_why(void)
{
	const char *why = ERR_reason_error_string(ERR_peek_last_error());

	return why ? str_cstr(why) : S("the connection was broken off");
}

static enum stream_state tls_read(struct stream *s, u8 *out, size_t n, size_t *got)
{
	int r;

	*got = 0;
	if (s->ended)
		return STREAM_END;
	ERR_clear_error();
	r = SSL_read_ex(s->tls, out, n, got);
	return r == 1 ? STREAM_OK : judge(s, r);
}

static enum stream_state tls_write(struct stream *s, str bytes, size_t *put)
{
	int r;

	*put = 0;
	ERR_clear_error();
	r = SSL_write_ex(s->tls, bytes.p, bytes.n, put);
	return r == 1 ? STREAM_OK : judge(s, r);
}

static bool tls_pending(struct stream *s)
{
	u8 byte;
	size_t got;

	if (s->ended)
		return false;
	ERR_clear_error();
	return SSL_peek_ex(s->tls, &byte, 1, &got) == 1;
}

static void tls_goodbye(struct stream *s)
{
	ERR_clear_error();
	if (SSL_is_init_finished(s->tls) &&
	    SSL_get_shutdown(s->tls) != (SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN))
		SSL_shutdown(s->tls);
	shutdown(s->fd, SHUT_WR);
}

static const struct stream_ops tls_ops = {
	.handshake = tls_handshake,
	.read = tls_read,
	.write = tls_write,
	.pending = tls_pending,
	.goodbye = tls_goodbye,
};

/* Counts the KeyUpdates that come in. OpenSSL goes on reading while there are more of them, so the socket is cut here. */
static void count_key_updates(int write_p, int version, int type, const void *bytes, size_t n,
			      SSL *tls, void *context)
{
	u8 *count = context;

	(void)version;
	if (write_p || type != SSL3_RT_HANDSHAKE || n == 0 ||
	    *(const u8 *)bytes != SSL3_MT_KEY_UPDATE)
		return;
	if (++*count > TLS_KEY_UPDATES)
		shutdown(SSL_get_fd(tls), SHUT_RDWR);
}

/* --- The first record -------------------------------------------------------------------------------------------- */

enum { RECORD_HEAD = 5, RECORD_MOST = 16 * 1024 };

/* RFC 8446 5.1: type, legacy version, length. How many octets must be there; 0: OpenSSL is to say what is wrong. */
static size_t hello_wants(str seen)
{
	size_t n;

	if (seen.n && seen.p[0] != SSL3_RT_HANDSHAKE)
		return 0;
	if (seen.n < RECORD_HEAD)
		return RECORD_HEAD;
	n = (size_t)(seen.p[3] << 8 | seen.p[4]);
	return n <= RECORD_MOST ? RECORD_HEAD + n : 0;
}

static void wake_from(const struct stream *s, size_t octets)
{
	int n = (int)octets;

	/* Where it cannot be had (not TCP) we wake sooner, and TLS starts sooner. */
	(void)setsockopt(s->fd, SOL_SOCKET, SO_RCVLOWAT, &n, sizeof n);
}

bool tls_stream_hello(const struct stream *s)
{
	u8 seen[2048]; /* most are whole in this */
	ssize_t got = recv(s->fd, seen, sizeof seen, MSG_PEEK | MSG_DONTWAIT);
	size_t wants = hello_wants(str_from(seen, got > 0 ? (size_t)got : 0));

	if (got > 0 && (size_t)got >= wants)
		return true;
	wake_from(s, wants);
	return false;
}

void tls_stream_hello_over(const struct stream *s)
{
	wake_from(s, 1);
}

/* --- The rest ---------------------------------------------------------------------------------------------------- */

bool tls_stream_start(struct stream *s, SSL *tls)
{
	CHECK(s->tls == NULL);
	if (SSL_set_fd(tls, s->fd) != 1) {
		SSL_free(tls);
		return false;
	}
	SSL_set_accept_state(tls);
	s->tls = tls;
	s->ops = &tls_ops;
	SSL_set_msg_callback(tls, count_key_updates);
	SSL_set_msg_callback_arg(tls, &s->key_updates);
	return true;
}

str tls_stream_text(const struct stream *s, struct arena *a)
{
	return str_format(a, "%s %s", SSL_get_version(s->tls), SSL_get_cipher_name(s->tls));
}

bool tls_stream_binding(const struct stream *s, u8 out[32])
{
	static const char label[] = "EXPORTER-Channel-Binding"; /* RFC 9266 4.2 */

	if (SSL_version(s->tls) < TLS1_3_VERSION)
		return false;
	return SSL_export_keying_material(s->tls, out, 32, label, sizeof label - 1, NULL, 0, 0) ==
	       1;
}
