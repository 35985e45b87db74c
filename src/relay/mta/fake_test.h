/*
 * A scripted SMTP server on loopback, in a thread. One script line a step:
 *
 *	> TEXT    sends TEXT and CRLF          < TEXT   reads a line that must begin with TEXT
 *	. NAME    reads the message to its final dot, keeps it
 *	early TEXT  reads some of the message, sends TEXT and CRLF
 *	tls       server handshake             stall    says nothing until the client goes
 *	close     FIN                          rst      RST
 *	endless   a line without end           lines    250- lines without end
 *	drip      a byte now and then          bytes    garbage
 *	inject    "220 go" and, in clear, more
 *	--        the next connection
 *
 * What the client sent otherwise makes `wrong`. At the end of the script the server reads until the client goes.
 */
#ifndef RELAY_MTA_FAKE_TEST_H
#define RELAY_MTA_FAKE_TEST_H

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/scan.h"
#include "base/unit.h"

struct fake {
	pthread_t thread;
	int listener, fd;
	u32 port;
	const char *script;
	SSL_CTX *tls_context;
	SSL *tls;
	struct buf message; /* the latest */
	size_t drained;     /* bytes that no step asked for */
	char wrong[256];    /* what was not as the script says; empty: fine */
	_Atomic u32 connections;
	bool joined;
};

static inline SSL_CTX *fake_tls_context(void)
{
	SSL_CTX *t = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();

	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const u8 *)"fake",
				   -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	X509_sign(x, key, EVP_sha256());
	SSL_CTX_use_certificate(t, x);
	SSL_CTX_use_PrivateKey(t, key);
	X509_free(x);
	EVP_PKEY_free(key);
	return t;
}

static inline bool fake_write(struct fake *f, str s)
{
	while (s.n) {
		ssize_t n =
		    f->tls ? SSL_write(f->tls, s.p, (int)s.n) : send(f->fd, s.p, s.n, MSG_NOSIGNAL);
		if (n <= 0)
			return false;
		s = str_skip(s, (size_t)n);
	}
	return true;
}

static inline bool fake_read_line(struct fake *f, struct buf *line)
{
	u8 c;

	buf_reset(line);
	for (;;) {
		ssize_t n = f->tls ? SSL_read(f->tls, &c, 1) : recv(f->fd, &c, 1, 0);
		if (n != 1)
			return false;
		buf_add_byte(line, c);
		if (line->n >= 2 && c == '\n' && line->p[line->n - 2] == '\r') {
			line->n -= 2;
			return true;
		}
	}
}

static inline void fake_expect(struct fake *f, str text)
{
	struct buf line;

	buf_init(&line, 65536);
	if (!fake_read_line(f, &line))
		snprintf(f->wrong, sizeof f->wrong, "expected %.*s, the client went",
			 STR_ARG(text));
	else if (!str_starts(buf_str(&line), text))
		snprintf(f->wrong, sizeof f->wrong, "expected %.*s, got %.100s", STR_ARG(text),
			 (const char *)line.p);
	buf_free(&line);
}

static inline void fake_read_message(struct fake *f)
{
	struct buf line;

	buf_init(&line, 1 << 20);
	buf_reset(&f->message);
	while (fake_read_line(f, &line) && !str_eq(buf_str(&line), S("."))) {
		buf_add(&f->message, buf_str(&line));
		buf_add(&f->message, S("\r\n"));
	}
	buf_free(&line);
}

static inline void fake_drain(struct fake *f)
{
	u8 bytes[4096];
	ssize_t n;

	while ((n = f->tls ? SSL_read(f->tls, bytes, sizeof bytes)
			   : recv(f->fd, bytes, sizeof bytes, 0)) > 0)
		f->drained += (size_t)n;
}

/* Little of what the client sends waits in between, so that it cannot have sent all when it hears of it. */
static inline void fake_speak_early(struct fake *f, str text)
{
	const int small = 65536;
	struct buf line;

	setsockopt(f->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	buf_init(&line, 65536);
	for (size_t i = 0; i < 1000 && fake_read_line(f, &line); i++)
		;
	buf_free(&line);
	fake_write(f, text);
	fake_write(f, S("\r\n"));
}

static inline void fake_reset_connection(struct fake *f)
{
	struct linger l = { 1, 0 };

	poll(NULL, 0, 20); /* not so soon that it counts as a connect refused */
	setsockopt(f->fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
	close(f->fd);
	f->fd = -1;
}

static inline void fake_handshake(struct fake *f)
{
	f->tls = SSL_new(f->tls_context);
	SSL_set_fd(f->tls, f->fd);
	if (SSL_accept(f->tls) != 1)
		snprintf(f->wrong, sizeof f->wrong, "handshake");
}

/* False: this connection is over. */
static inline bool fake_step(struct fake *f, str step)
{
	if (str_starts(step, S("> "))) {
		fake_write(f, str_skip(step, 2));
		fake_write(f, S("\r\n"));
	} else if (str_starts(step, S("< "))) {
		fake_expect(f, str_skip(step, 2));
	} else if (str_starts(step, S("."))) {
		fake_read_message(f);
	} else if (str_starts(step, S("early "))) {
		fake_speak_early(f, str_skip(step, 6));
	} else if (str_eq(step, S("tls"))) {
		fake_handshake(f);
	} else if (str_eq(step, S("stall"))) {
		fake_drain(f);
	} else if (str_eq(step, S("rst"))) {
		fake_reset_connection(f);
	} else if (str_eq(step, S("endless"))) {
		while (fake_write(f, S("250-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")))
			;
	} else if (str_eq(step, S("inject"))) {
		fake_write(f, S("220 go\r\n250 evil\r\n"));
	} else if (str_eq(step, S("lines"))) {
		while (fake_write(f, S("250-more\r\n")))
			;
	} else if (str_eq(step, S("drip"))) {
		while (fake_write(f, S("2")))
			poll(NULL, 0, 20);
	} else if (str_eq(step, S("bytes"))) {
		fake_write(f, S("\0\377\376HTTP/1.1 200 OK\r\n\r\n"));
	}
	return f->fd >= 0 && !str_eq(step, S("close")) && f->wrong[0] == 0;
}

static inline str fake_next_step(const char **script)
{
	const char *end = strchr(*script, '\n');
	str step = str_from(*script, end ? (size_t)(end - *script) : strlen(*script));

	*script += step.n + (end ? 1 : 0);
	return step;
}

static inline void fake_connection(struct fake *f, const char **script)
{
	struct timeval limit = { 5, 0 };
	const int on = 1;
	bool go = true;
	str step;

	setsockopt(f->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	setsockopt(f->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	setsockopt(f->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	f->connections++;
	while (**script && !str_eq(step = fake_next_step(script), S("--"))) {
		if (go)
			go = fake_step(f, step);
	}
	if (go)
		fake_drain(f);
	SSL_free(f->tls);
	f->tls = NULL;
	if (f->fd >= 0)
		close(f->fd);
}

static inline void *fake_run(void *context)
{
	struct fake *f = context;
	const char *script = f->script;

	while (*script) {
		f->fd = accept(f->listener, NULL, NULL);
		if (f->fd < 0)
			break;
		fake_connection(f, &script);
	}
	return NULL;
}

/* Listens on any port of address; several fakes on several 127.x addresses may share one port. */
static inline void fake_start_at(struct fake *f, const char *address, u32 port, const char *script)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((u16)port) };
	socklen_t n = sizeof a;

	memset(f, 0, sizeof *f);
	f->script = script;
	f->tls_context = fake_tls_context();
	buf_init(&f->message, 1 << 22);
	inet_pton(AF_INET, address, &a.sin_addr);
	f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(f->listener, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(f->listener, 10), 0);
	getsockname(f->listener, (struct sockaddr *)&a, &n);
	f->port = ntohs(a.sin_port);
	assert_int_equal(pthread_create(&f->thread, NULL, fake_run, f), 0);
}

static inline void fake_start(struct fake *f, const char *script)
{
	fake_start_at(f, "127.0.0.1", 0, script);
}

/* Waits for the end: the client must have gone, or go by itself. Afterwards the test may look at what came. */
static inline void fake_join(struct fake *f)
{
	if (f->joined)
		return;
	shutdown(f->listener, SHUT_RDWR);
	pthread_join(f->thread, NULL);
	f->joined = true;
}

static inline void fake_stop(struct fake *f)
{
	fake_join(f);
	close(f->listener);
	SSL_CTX_free(f->tls_context);
	buf_free(&f->message);
	if (f->wrong[0])
		fail_msg("the client: %s", f->wrong);
}

#endif
