#include "relay/mta/connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/env.h"
#include "base/fd.h"
#include "relay/mta/limit.h"

enum { CONNECTION_MAGIC = 0x434F4E4E };

struct connection {
	u32 magic;
	int fd;
	SSL *tls;
	struct arena *arena;
	u64 deadline;
	const struct fail *error;
	str tls_text;
	u8 in[MTA_LINE];
	size_t in_at, in_n; /* unread: [in_at, in_n) */
	u8 out[MTA_BLOCK];
	size_t out_n;
	bool listening, heard;
};

static const struct fail connection_timeout = { FAIL_TIMEOUT,
						FAIL_TEMP,
						{ (const u8 *)"4.4.2", 5 },
						{ (const u8 *)"took too long", 13 },
						NULL };
static const struct fail connection_lost = { FAIL_UNAVAILABLE,
					     FAIL_TEMP,
					     { (const u8 *)"4.4.2", 5 },
					     { (const u8 *)"the server closed the connection", 32 },
					     NULL };

static const struct fail connection_spoken =
    FAIL_STATIC(UNAVAILABLE, "the server spoke before everything was sent");

static const struct fail *broken(struct connection *c, const struct fail *f)
{
	if (c->error == NULL)
		c->error = f;
	return c->error;
}

const struct fail *connection_error(const struct connection *c)
{
	return c->error;
}

static void connection_release(void *object)
{
	struct connection *c = object;

	SSL_free(c->tls);
	c->tls = NULL;
	fd_close(&c->fd);
}

void connection_close(struct connection *c)
{
	CHECK_MAGIC(c, CONNECTION_MAGIC);
	connection_release(c);
	broken(c, &connection_lost);
}

struct connection *connection_adopt(struct arena *a, int fd)
{
	struct connection *c = arena_new_of(a, struct connection);
	const int on = 1;

	c->magic = CONNECTION_MAGIC;
	c->fd = fd;
	c->arena = a;
	c->deadline = UINT64_MAX;
	fd_nonblock(fd);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* no matter on other sockets */
	arena_own(a, connection_release, c);
	return c;
}

void connection_deadline(struct connection *c, u64 ms)
{
	c->deadline = env_monotonic(env_system()) + ms;
}

/* Until the socket is ready or the deadline is over. */
static const struct fail *wait_for(struct connection *c, short events)
{
	struct pollfd p = { .fd = c->fd, .events = events };

	for (;;) {
		u64 now = env_monotonic(env_system());
		u64 left = c->deadline > now ? c->deadline - now : 0;
		int n = poll(&p, 1, left > 60000 ? 60000 : (int)left);
		if (n > 0)
			return NULL;
		if (n < 0 && errno != EINTR)
			return broken(c, fail_errno(c->arena, errno, "poll"));
		if (n == 0 && left == 0)
			return broken(c, &connection_timeout);
	}
}

/* Also when the peer keeps us busy: a deadline counts even if there is always something to read. */
static const struct fail *wait_deadline(struct connection *c)
{
	return env_monotonic(env_system()) > c->deadline ? broken(c, &connection_timeout) : NULL;
}

/* --- Listening while sending ------------------------------------------------------------------------------------ */

void connection_listen(struct connection *c, bool on)
{
	CHECK_MAGIC(c, CONNECTION_MAGIC);
	c->listening = on;
}

bool connection_heard(const struct connection *c)
{
	return c->heard;
}

/* What came may be TLS's own affair: a session ticket. */
static bool tls_has_spoken(struct connection *c)
{
	u8 byte;
	int n, error;

	ERR_clear_error();
	n = SSL_peek(c->tls, &byte, 1);
	error = n > 0 ? SSL_ERROR_NONE : SSL_get_error(c->tls, n);
	return error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE;
}

/* A byte, or the end. */
static bool has_spoken(struct connection *c)
{
	ssize_t n;
	u8 byte;

	if (c->in_at < c->in_n)
		return true;
	if (c->tls)
		return tls_has_spoken(c);
	n = recv(c->fd, &byte, 1, MSG_PEEK);
	return n >= 0 || (errno != EAGAIN && errno != EINTR);
}

static const struct fail *look_up(struct connection *c)
{
	if (!c->listening || !has_spoken(c))
		return NULL;
	c->heard = true;
	return &connection_spoken;
}

static const struct fail *wait_to_send(struct connection *c)
{
	TRY(wait_for(c, c->listening ? POLLOUT | POLLIN : POLLOUT));
	return look_up(c);
}

/* --- Opening -------------------------------------------------------------------------------------------------- */

static socklen_t socket_address(const struct dns_address *to, u32 port,
				struct sockaddr_storage *out)
{
	struct sockaddr_in *four = (struct sockaddr_in *)out;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof *out);
	if (to->family == ADDRESS_IPV4) {
		four->sin_family = AF_INET;
		four->sin_port = htons((u16)port);
		memcpy(&four->sin_addr, to->bytes, 4);
		return sizeof *four;
	}
	six->sin6_family = AF_INET6;
	six->sin6_port = htons((u16)port);
	memcpy(&six->sin6_addr, to->bytes, 16);
	return sizeof *six;
}

static const struct fail *connect_failed(struct connection *c, int error)
{
	return broken(c, fail_code(c->arena, FAIL_UNAVAILABLE, "4.4.1", "cannot connect: %s",
				   strerror(error)));
}

const struct fail *connection_open(struct arena *a, const struct dns_address *to, u32 port,
				   u64 budget_ms, struct connection **out)
{
	struct sockaddr_storage address;
	socklen_t n = socket_address(to, port, &address), error_n = sizeof(int);
	int error = 0;
	int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct connection *c;

	if (fd < 0)
		return fail_code(a, FAIL_UNAVAILABLE, "4.4.1", "no socket: %s", strerror(errno));
	*out = c = connection_adopt(a, fd);
	connection_deadline(c, budget_ms);
	if (connect(fd, (struct sockaddr *)&address, n) == 0)
		return NULL;
	if (errno != EINPROGRESS)
		return connect_failed(c, errno);
	if (wait_for(c, POLLOUT)) /* 4.4.1, not 4.4.2: nobody answered at all */
		return c->error = fail_code(a, FAIL_TIMEOUT, "4.4.1", "cannot connect: no answer");
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_n) != 0 || error != 0)
		return connect_failed(c, error);
	return NULL;
}

/* --- TLS ------------------------------------------------------------------------------------------------------ */

/* What one OpenSSL call said. *again: it was not done, and the socket is ready now. */
static const struct fail *tls_result(struct connection *c, int result, bool *again)
{
	*again = false;
	switch (SSL_get_error(c->tls, result)) {
	case SSL_ERROR_NONE:
		return NULL;
	case SSL_ERROR_WANT_READ:
		*again = true;
		return wait_for(c, POLLIN);
	case SSL_ERROR_WANT_WRITE:
		*again = true;
		return wait_to_send(c);
	case SSL_ERROR_SSL:
		return broken(c, fail_code(c->arena, FAIL_UNAVAILABLE, "4.7.5", "TLS: %s",
					   ERR_reason_error_string(ERR_peek_last_error())
					       ? ERR_reason_error_string(ERR_peek_last_error())
					       : "failed"));
	default:
		/* It may have said why before it closed. OpenSSL promises nothing after such an error, but to read harms nothing: at worst it fails too. */
		TRY(look_up(c));
		return broken(c, &connection_lost);
	}
}

static const struct fail *tls_names(struct connection *c, str name, bool verify)
{
	const char *text = cstr(c->arena, name);

	if (name.n == 0 || text == NULL || name.p[0] == '[')
		return verify ? fail_code(c->arena, FAIL_UNAVAILABLE, "4.7.5",
					  "TLS: no name to verify")
			      : NULL;
	/* SSL_set_tlsext_host_name, whose macro casts a const away. RFC 6066 3 */
	SSL_ctrl(c->tls, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
		 (void *)(uintptr_t)text);
	if (!verify)
		return NULL;
	SSL_set_hostflags(c->tls, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	CHECK(SSL_set1_host(c->tls, text) == 1);
	SSL_set_verify(c->tls, SSL_VERIFY_PEER, NULL);
	return NULL;
}

static const struct fail *tls_handshake(struct connection *c)
{
	bool again = true;

	while (again) {
		ERR_clear_error();
		TRY(tls_result(c, SSL_connect(c->tls), &again));
	}
	c->tls_text =
	    str_format(c->arena, "%s %s", SSL_get_version(c->tls), SSL_get_cipher_name(c->tls));
	return NULL;
}

const struct fail *connection_start_tls(struct connection *c, SSL_CTX *context, str name,
					bool verify)
{
	CHECK_MAGIC(c, CONNECTION_MAGIC);
	TRY(c->error);
	if (c->in_at < c->in_n)
		return broken(c, fail_code(c->arena, FAIL_UNAVAILABLE, "4.7.0",
					   "the server sent clear text before the TLS handshake"));
	c->tls = SSL_new(context);
	CHECK(c->tls != NULL && SSL_set_fd(c->tls, c->fd) == 1);
	const struct fail *f = tls_names(c, name, verify);
	if (f == NULL)
		f = tls_handshake(c);
	return f ? broken(c, f) : NULL;
}

bool connection_is_tls(const struct connection *c)
{
	return c->tls_text.n > 0;
}

str connection_tls_text(const struct connection *c)
{
	return c->tls_text;
}

/* --- Reading -------------------------------------------------------------------------------------------------- */

static const struct fail *read_tls(struct connection *c, size_t room, size_t *got)
{
	bool again = true;
	int n = 0;

	while (again) {
		ERR_clear_error();
		n = SSL_read(c->tls, c->in + c->in_n, (int)room);
		TRY(tls_result(c, n, &again));
	}
	*got = (size_t)n;
	return NULL;
}

static const struct fail *read_plain(struct connection *c, size_t room, size_t *got)
{
	for (;;) {
		ssize_t n = recv(c->fd, c->in + c->in_n, room, 0);
		*got = n > 0 ? (size_t)n : 0;
		if (n > 0)
			return NULL;
		if (n == 0 || (errno != EINTR && errno != EAGAIN))
			return broken(c, &connection_lost);
		if (errno == EAGAIN)
			TRY(wait_for(c, POLLIN));
	}
}

static const struct fail *read_more(struct connection *c)
{
	size_t got = 0;

	memmove(c->in, c->in + c->in_at, c->in_n - c->in_at);
	c->in_n -= c->in_at;
	c->in_at = 0;
	if (c->in_n == sizeof c->in)
		return broken(c, fail_code(c->arena, FAIL_UNAVAILABLE, "4.5.0",
					   "the server sent a line without end"));
	TRY(wait_deadline(c));
	TRY(c->tls ? read_tls(c, sizeof c->in - c->in_n, &got)
		   : read_plain(c, sizeof c->in - c->in_n, &got));
	c->in_n += got;
	return NULL;
}

const struct fail *connection_line(struct connection *c, str *line)
{
	size_t looked = 0, end;

	CHECK_MAGIC(c, CONNECTION_MAGIC);
	for (;;) {
		str unread = str_from(c->in + c->in_at, c->in_n - c->in_at);
		TRY(c->error);
		end = str_find(str_skip(unread, looked), '\n');
		if (end != SIZE_MAX) {
			end += looked;
			c->in_at += end + 1;
			*line =
			    str_slice(unread, 0, end && unread.p[end - 1] == '\r' ? end - 1 : end);
			return NULL;
		}
		looked = unread.n;
		TRY(read_more(c));
	}
}

bool connection_has_input(struct connection *c)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };

	return c->error || c->in_at < c->in_n || (c->tls && SSL_pending(c->tls) > 0) ||
	       poll(&p, 1, 0) != 0;
}

/* --- Writing -------------------------------------------------------------------------------------------------- */

static const struct fail *write_tls(struct connection *c, str bytes)
{
	bool again = true;

	while (again) {
		ERR_clear_error();
		TRY(tls_result(c, SSL_write(c->tls, bytes.p, (int)bytes.n), &again));
	}
	return NULL;
}

static const struct fail *write_plain(struct connection *c, str bytes)
{
	while (bytes.n) {
		ssize_t n = send(c->fd, bytes.p, bytes.n, MSG_NOSIGNAL);
		if (n > 0) {
			bytes = str_skip(bytes, (size_t)n);
			if (bytes.n) /* what is sent is sent: the other side may have all of it */
				TRY(wait_deadline(c));
		} else if (n < 0 && errno == EAGAIN) {
			TRY(wait_to_send(c));
		} else if (n == 0 || errno != EINTR) {
			TRY(look_up(c)); /* it said why before it closed */
			return broken(c, &connection_lost);
		}
	}
	return NULL;
}

const struct fail *connection_flush(struct connection *c)
{
	str bytes = str_from(c->out, c->out_n);

	CHECK_MAGIC(c, CONNECTION_MAGIC);
	TRY(c->error);
	c->out_n = 0;
	if (bytes.n == 0)
		return NULL;
	return c->tls ? write_tls(c, bytes) : write_plain(c, bytes);
}

const struct fail *connection_write(struct connection *c, str bytes)
{
	CHECK_MAGIC(c, CONNECTION_MAGIC);
	while (bytes.n) {
		size_t room = sizeof c->out - c->out_n;
		str piece = str_slice(bytes, 0, room);
		TRY(c->error);
		memcpy(c->out + c->out_n, piece.p, piece.n);
		c->out_n += piece.n;
		bytes = str_skip(bytes, piece.n);
		if (c->out_n == sizeof c->out) {
			TRY(look_up(c));
			TRY(connection_flush(c));
		}
	}
	return NULL;
}
