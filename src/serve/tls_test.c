/* A server with TLS, keys behind a signer in this process; OpenSSL's own client is the peer. */
#include "base/unit.h"

#include <arpa/inet.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/env.h"
#include "serve/server.h"
#include "serve/tls_int.h"
#include "serve/tls_stream.h"
#include "serve/toy_test.h"

static const struct protocol *const protocols[SERVICES] = {
	[SERVICE_IMAP] = &toy_protocol,
	[SERVICE_IMAPS] = &toy_protocol,
	[SERVICE_POP3S] = &toy_protocol,
};
static const enum service served[] = { SERVICE_IMAP, SERVICE_IMAPS, SERVICE_POP3S };
enum { PLAIN, IMAPS, POP3S, LISTENERS };

struct fixture {
	struct process process;
	struct config config;
	struct process_listener listeners[LISTENERS];
	struct sockaddr_in at[LISTENERS];
	struct server *server;
	struct tls_server *tls;
	pthread_t thread;
};

/* --- Certificates ------------------------------------------------------------------------------------------------ */

struct made {
	struct certificate certificate;
	str pem, key_pem;
};

static str bio_text(struct arena *a, BIO *bio)
{
	char *p;
	long n = BIO_get_mem_data(bio, &p);
	str out = str_copy(a, str_from(p, (size_t)n));

	BIO_free(bio);
	return out;
}

static struct made make(struct arena *a, const char *name, bool rsa)
{
	EVP_PKEY *key = rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
	X509 *x = X509_new();
	X509_NAME *subject = X509_get_subject_name(x);
	BIO *pem = BIO_new(BIO_s_mem()), *key_pem = BIO_new(BIO_s_mem());
	struct made m = { 0 };
	str *chain = arena_new_of(a, str), *names = arena_new_of(a, str);
	u8 *der = NULL;

	X509_set_version(x, X509_VERSION_3);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const u8 *)name, -1, -1, 0);
	X509_set_issuer_name(x, subject);
	X509_set_pubkey(x, key);
	X509_sign(x, key, EVP_sha256());
	PEM_write_bio_X509(pem, x);
	PEM_write_bio_PrivateKey(key_pem, key, NULL, NULL, 0, NULL, NULL);
	m.pem = bio_text(a, pem);
	m.key_pem = bio_text(a, key_pem);
	*chain = str_copy(a, str_from(NULL, 0));
	int n = i2d_X509(x, &der);
	*chain = str_copy(a, str_from(der, (size_t)n));
	*names = str_copy(a, str_cstr(name));
	m.certificate =
	    (struct certificate){ .chain = chain, .chain_n = 1, .names = names, .names_n = 1 };
	OPENSSL_free(der);
	X509_free(x);
	EVP_PKEY_free(key);
	return m;
}

/* --- The server --------------------------------------------------------------------------------------------------- */

static void *serve(void *arg)
{
	server_run(arg);
	return NULL;
}

static int listen_at(struct sockaddr_in *at)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t n = sizeof *at;

	*at = (struct sockaddr_in){ .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	assert_int_equal(bind(fd, (struct sockaddr *)at, sizeof *at), 0);
	assert_int_equal(listen(fd, 1024), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)at, &n), 0);
	return fd;
}

static void start(struct fixture *f, const char *name, bool rsa)
{
	struct made m;

	memset(f, 0, sizeof *f);
	f->config.limit_workers = 8;
	f->config.limit_connections = f->config.limit_connections_per_address = 2000;
	f->config.tls_minimum = S("1.2");
	f->process = (struct process){ .arena = arena_new(64 << 20),
				       .config = &f->config,
				       .listeners = f->listeners,
				       .listeners_n = LISTENERS,
				       .address_table = -1 };
	for (int i = 0; i < LISTENERS; i++)
		f->listeners[i] =
		    (struct process_listener){ .fd = listen_at(&f->at[i]), .service = served[i] };
	m = make(f->process.arena, name, rsa);
	assert_ok(tls_server_new_local(&f->process, m.pem, m.key_pem, &f->tls));
	assert_ok(tls_server_start(f->tls));
	f->server = server_new(&f->process, protocols, f->tls);
	assert_int_equal(pthread_create(&f->thread, NULL, serve, f->server), 0);
}

static void stop(struct fixture *f)
{
	server_stop(f->server);
	pthread_join(f->thread, NULL);
	for (int i = 0; i < LISTENERS; i++)
		close(f->listeners[i].fd);
	arena_free(&f->process.arena);
}

/* --- The client --------------------------------------------------------------------------------------------------- */

struct client {
	int fd;
	SSL_CTX *context;
	SSL *tls;
};

static void dial(const struct fixture *f, int which, struct client *c)
{
	struct timeval most = { .tv_sec = 8 };

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most);
	assert_int_equal(
	    connect(c->fd, (const struct sockaddr *)&f->at[which], sizeof f->at[which]), 0);
	c->context = SSL_CTX_new(TLS_client_method());
	c->tls = SSL_new(c->context);
	SSL_set_fd(c->tls, c->fd);
}

static void hang_up(struct client *c)
{
	SSL_free(c->tls);
	SSL_CTX_free(c->context);
	close(c->fd);
}

static void say(struct client *c, const char *text)
{
	assert_int_equal(SSL_write(c->tls, text, (int)strlen(text)), (int)strlen(text));
}

static void hear(struct client *c, const char *text)
{
	char got[256];
	size_t n = 0, want = strlen(text);

	while (n < want) {
		int r = SSL_read(c->tls, got + n, (int)(want - n));
		if (r <= 0)
			fail_msg("waited for \"%s\", heard \"%.*s\"", text, (int)n, got);
		n += (size_t)r;
	}
	if (memcmp(got, text, want) != 0)
		fail_msg("waited for \"%s\", heard \"%.*s\"", text, (int)n, got);
}

/* Connects, greets, says goodbye as RFC 8446 6.1 has it. */
static void visit(const struct fixture *f, int which, struct client *c)
{
	dial(f, which, c);
	assert_int_equal(SSL_connect(c->tls), 1);
	hear(c, "hello tls\r\n");
}

static void leave(struct client *c)
{
	char byte;

	say(c, "QUIT\r\n");
	hear(c, "bye\r\n");
	assert_int_equal(SSL_read(c->tls, &byte, 1), 0);
	assert_int_equal(SSL_get_error(c->tls, 0),
			 SSL_ERROR_ZERO_RETURN); /* close_notify, not a cut */
	SSL_shutdown(c->tls);
	hang_up(c);
}

/* --- Tests ---------------------------------------------------------------------------------------------------------- */

static void test_implicit(void **state)
{
	struct fixture f;
	struct client c;

	(void)state;
	start(&f, "mail.example.org", false);
	visit(&f, IMAPS, &c);
	say(&c, "WHO\r\nBIG 200000\r\n");
	hear(&c, "127.0.0.1 TLSv1.3 TLS_AES_256_GCM_SHA384 bound\r\nbbb");
	hang_up(&c);
	visit(&f, IMAPS, &c);
	say(&c, "PAUSE 20\r\n");
	hear(&c, "resumed\r\n");
	leave(&c);
	stop(&f);
}

/* Both paddings of RSA, and the oldest version. */
static void test_rsa(void **state)
{
	struct fixture f;
	struct client c;

	(void)state;
	start(&f, "mail.example.org", true);
	visit(&f, IMAPS, &c);
	leave(&c);
	for (int i = 0; i < 2; i++) {
		dial(&f, IMAPS, &c);
		SSL_set_max_proto_version(c.tls, TLS1_2_VERSION);
		if (i)
			SSL_set1_sigalgs_list(c.tls, "RSA+SHA256");
		assert_int_equal(SSL_connect(c.tls), 1);
		hear(&c, "hello tls\r\n");
		say(&c, "WHO\r\n");
		hear(&c, "127.0.0.1 TLSv1.2 ECDHE-RSA-AES256-GCM-SHA384\r\n");
		leave(&c);
	}
	stop(&f);
}

/* A ClientHello that comes octet by octet, or in two halves. */
static void test_slow_hello(void **state)
{
	struct fixture f;
	struct client c;
	int one = 1;

	(void)state;
	start(&f, "mail.example.org", false);
	for (int halves = 0; halves < 2; halves++) {
		BIO *hello = BIO_new(BIO_s_mem());
		char *p;
		long n;

		dial(&f, IMAPS, &c);
		setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		SSL_set_bio(c.tls, BIO_new(BIO_s_mem()), hello);
		assert_int_equal(SSL_connect(c.tls), -1);
		n = BIO_get_mem_data(hello, &p);
		for (long at = 0; at < n; at += halves ? n / 2 : 1) {
			long part = halves ? n / 2 : 1;
			send(c.fd, p + at, (size_t)(part < n - at ? part : n - at), 0);
			usleep(halves ? 20000 : 500);
		}
		SSL_set_fd(c.tls, c.fd);
		assert_int_equal(SSL_connect(c.tls), 1);
		hear(&c, "hello tls\r\n");
		leave(&c);
	}
	stop(&f);
}

static void test_refused_versions(void **state)
{
	struct fixture f;
	struct client c;

	(void)state;
	start(&f, "mail.example.org", true);
	dial(&f, IMAPS, &c);
	SSL_set_security_level(c.tls, 0);
	SSL_set_max_proto_version(c.tls, TLS1_1_VERSION);
	SSL_set_min_proto_version(c.tls, TLS1_VERSION);
	assert_int_not_equal(SSL_connect(c.tls), 1);
	hang_up(&c);
	for (int i = 0; i < 5000 && toy_tls_failures == 0; i++)
		usleep(1000);
	assert_int_equal(toy_tls_failures, 1); /* its protocol hears of it */
	dial(&f, IMAPS, &c);
	SSL_set_max_proto_version(c.tls, TLS1_2_VERSION);
	SSL_set_cipher_list(c.tls, "kRSA:ECDHE-RSA-AES128-SHA:ECDHE-RSA-AES256-SHA384");
	assert_int_not_equal(SSL_connect(c.tls), 1);
	hang_up(&c);
	dial(&f, IMAPS, &c); /* renegotiation */
	SSL_set_max_proto_version(c.tls, TLS1_2_VERSION);
	assert_int_equal(SSL_connect(c.tls), 1);
	hear(&c, "hello tls\r\n");
	SSL_renegotiate(c.tls);
	assert_int_not_equal(SSL_do_handshake(c.tls), 1);
	hang_up(&c);
	ERR_clear_error();
	stop(&f);
}

static void clear_say(struct client *c, const char *text)
{
	assert_int_equal(send(c->fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void clear_hear(struct client *c, const char *text)
{
	char got[64] = { 0 };

	assert_int_equal(recv(c->fd, got, strlen(text), MSG_WAITALL), (ssize_t)strlen(text));
	assert_string_equal(got, text);
}

static void test_starttls(void **state)
{
	struct fixture f;
	struct client c;
	char byte;

	(void)state;
	start(&f, "mail.example.org", false);
	dial(&f, PLAIN, &c);
	clear_hear(&c, "hello\r\n");
	clear_say(&c, "ECHO x\r\nTLS\r\n");
	clear_hear(&c, "x\r\ngo\r\n");
	assert_int_equal(SSL_connect(c.tls), 1);
	say(&c, "ECHO y\r\n");
	hear(&c, "y\r\n");
	say(&c, "TLS\r\n"); /* within TLS there is no other */
	assert_int_equal(SSL_read(c.tls, &byte, 1), 0);
	hang_up(&c);
	stop(&f);
}

/* A client that does not wait: its last message of the handshake and its first command leave in one segment. */
static void test_starttls_one_segment(void **state)
{
	struct fixture f;
	struct client c;
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	char bytes[8192];
	int n;

	(void)state;
	start(&f, "mail.example.org", false);
	dial(&f, PLAIN, &c);
	clear_say(&c, "TLS\r\n");
	clear_hear(&c, "hello\r\ngo\r\n");
	SSL_set_bio(c.tls, in, out);
	while (SSL_connect(c.tls) != 1) {
		while ((n = BIO_read(out, bytes, sizeof bytes)) > 0)
			assert_int_equal(send(c.fd, bytes, (size_t)n, MSG_NOSIGNAL), n);
		n = (int)recv(c.fd, bytes, sizeof bytes, 0);
		assert_true(n > 0);
		assert_int_equal(BIO_write(in, bytes, n), n);
	}
	say(&c, "ECHO y\r\n");
	n = BIO_read(out, bytes, sizeof bytes);
	assert_int_equal(send(c.fd, bytes, (size_t)n, MSG_NOSIGNAL), n);
	SSL_set_fd(c.tls, c.fd);
	hear(&c, "y\r\n");
	leave(&c);
	stop(&f);
}

/* THREATS T01. */
static void test_starttls_injected(void **state)
{
	struct fixture f;
	struct client c;
	char got[64];
	size_t n = 0;
	ssize_t r;

	(void)state;
	start(&f, "mail.example.org", false);
	dial(&f, PLAIN, &c);
	clear_say(&c, "TLS\r\nECHO injected\r\n");
	while (n < sizeof got && (r = recv(c.fd, got + n, sizeof got - n, 0)) > 0)
		n += (size_t)r;
	assert_str(str_from(got, n), S("hello\r\n"));
	hang_up(&c);
	dial(&f, PLAIN, &c); /* it comes between the answer and the handshake */
	clear_say(&c, "TLS\r\n");
	clear_hear(&c, "hello\r\ngo\r\n");
	clear_say(&c, "ECHO injected\r\n");
	for (n = 0; n < sizeof got && (r = recv(c.fd, got + n, sizeof got - n, 0)) > 0;)
		n += (size_t)r;
	assert_int_equal(str_find_str(str_from(got, n), S("injected")), SIZE_MAX);
	hang_up(&c);
	stop(&f);
}

/* Connects again with the session of the time before: is it taken? */
static bool resumed(const struct fixture *f, int which, SSL_SESSION *session)
{
	struct client c;
	bool reused;

	dial(f, which, &c);
	SSL_set_max_proto_version(c.tls, SSL_SESSION_get_protocol_version(session));
	SSL_set_session(c.tls, session);
	assert_int_equal(SSL_connect(c.tls), 1);
	hear(&c, "hello tls\r\n");
	reused = SSL_session_reused(c.tls) == 1;
	leave(&c);
	return reused;
}

static SSL_SESSION *first_session(const struct fixture *f, int version)
{
	struct client c;
	SSL_SESSION *session;

	dial(f, IMAPS, &c);
	SSL_set_max_proto_version(c.tls, version);
	assert_int_equal(SSL_connect(c.tls), 1);
	hear(&c, "hello tls\r\n");
	say(&c, "ECHO x\r\n");
	hear(&c, "x\r\n");
	session = SSL_get1_session(c.tls);
	assert_true(SSL_SESSION_is_resumable(session));
	leave(&c);
	return session;
}

/* THREATS T10; and the ticket keys before the newest but one are forgotten. */
static void test_resumption(void **state)
{
	static const int versions[] = { TLS1_3_VERSION, TLS1_2_VERSION };
	struct fixture f;
	u8 key[80];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		SSL_SESSION *session;
		start(&f, "mail.example.org", false);
		session = first_session(&f, versions[i]);
		assert_true(resumed(&f, IMAPS, session));
		assert_false(resumed(&f, POP3S, session));
		memset(key, 1, sizeof key);
		tls_server_ticket_key(f.tls, key);
		assert_true(resumed(&f, IMAPS, session));
		memset(key, 2, sizeof key);
		tls_server_ticket_key(f.tls, key);
		assert_false(resumed(&f, IMAPS, session));
		SSL_SESSION_free(session);
		stop(&f);
	}
}

static void assert_serves(const struct fixture *f, const char *sni, const char *name)
{
	struct client c;
	char got[64];
	X509 *x;

	dial(f, IMAPS, &c);
	if (sni)
		SSL_ctrl(c.tls, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
			 (void *)(uintptr_t)sni);
	assert_int_equal(SSL_connect(c.tls), 1);
	hear(&c, "hello tls\r\n");
	x = SSL_get1_peer_certificate(c.tls);
	X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, got, sizeof got);
	assert_string_equal(got, name);
	X509_free(x);
	leave(&c);
}

/* Adds its key to the signer of the test. */
static struct certificate known(struct fixture *f, struct made m, bool is_default)
{
	struct tls_signer *signer = (struct tls_signer *)(uintptr_t)f->tls->signer;

	assert_ok(tls_signer_local_add(f->process.arena, signer, m.key_pem, &m.certificate.key));
	m.certificate.is_default = is_default;
	return m.certificate;
}

static void test_sni(void **state)
{
	struct fixture f;
	struct certificate all[3];
	struct client c;

	(void)state;
	start(&f, "old.example.org", false);
	assert_serves(&f, "a.example.org", "old.example.org");
	all[0] = known(&f, make(f.process.arena, "*.example.org", false), false);
	all[1] = known(&f, make(f.process.arena, "mail.example.net", false), true);
	all[2] = known(&f, make(f.process.arena, "mail.example.net", true), false);
	assert_ok(tls_server_install(f.process.arena, f.tls, all, 3));
	assert_serves(&f, NULL, "mail.example.net");
	assert_serves(&f, "A.Example.org", "*.example.org");
	assert_serves(&f, "a.b.example.org", "mail.example.net");
	assert_serves(&f, "example.org", "mail.example.net");
	dial(&f, IMAPS, &c); /* RSA beside ECDSA under one name */
	SSL_set1_sigalgs_list(c.tls, "RSA-PSS+SHA256");
	assert_int_equal(SSL_connect(c.tls), 1);
	hear(&c, "hello tls\r\n");
	leave(&c);
	all[0].chain_n = 0;
	assert_fail(tls_server_install(f.process.arena, f.tls, all, 1), FAIL_INVALID);
	assert_serves(&f, NULL, "mail.example.net");
	stop(&f);
}

static int connect_alpn(const struct fixture *f, int which, str offers)
{
	struct client c;
	int r;

	dial(f, which, &c);
	SSL_set_alpn_protos(c.tls, offers.p, (unsigned)offers.n);
	r = SSL_connect(c.tls);
	hang_up(&c);
	ERR_clear_error();
	return r;
}

/* THREATS T06. */
static void test_alpn(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, "mail.example.org", false);
	assert_int_equal(connect_alpn(&f, IMAPS, S("\4imap")), 1);
	assert_int_equal(connect_alpn(&f, IMAPS, S("\2h2\4imap")), 1);
	assert_int_not_equal(connect_alpn(&f, IMAPS, S("\2h2\10http/1.1")), 1);
	assert_int_not_equal(connect_alpn(&f, POP3S, S("\4imap")), 1);
	stop(&f);
}

/* THREATS T08. */
static void test_key_updates(void **state)
{
	struct fixture f;
	struct client c;
	char byte;
	int i;

	(void)state;
	start(&f, "mail.example.org", false);
	visit(&f, IMAPS, &c);
	for (i = 0; i < 10; i++) {
		SSL_key_update(c.tls, SSL_KEY_UPDATE_REQUESTED);
		say(&c, "ECHO x\r\n");
		hear(&c, "x\r\n");
	}
	for (i = 0; i < 100; i++) {
		SSL_key_update(c.tls, SSL_KEY_UPDATE_NOT_REQUESTED);
		if (SSL_do_handshake(c.tls) != 1)
			break;
	}
	assert_true(SSL_read(c.tls, &byte, 1) <= 0);
	hang_up(&c);
	ERR_clear_error();
	stop(&f);
}

/* THREATS S08, T15: cut, or said goodbye and then went on in clear. */
static void test_teardown(void **state)
{
	struct fixture f;
	struct client c;
	u32 gone = toy_gone;
	static const char *const befores[] = { "", "ECHO x\r\n", "DATA\r\nabc", "COUNT 100\r\nabc",
					       "PAUSE 50\r\n" };

	(void)state;
	start(&f, "mail.example.org", false);
	for (size_t i = 0; i < 3 * ARRAY_LEN(befores); i++) {
		struct linger reset = { .l_onoff = 1 };
		visit(&f, IMAPS, &c);
		if (*befores[i / 3])
			say(&c, befores[i / 3]);
		if (i % 3)
			SSL_shutdown(c.tls);
		if (i % 3 == 1)
			clear_say(&c, "ECHO clear\r\n");
		if (i % 3 == 2)
			setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
		hang_up(&c);
	}
	dial(&f, IMAPS, &c); /* no TLS at all */
	clear_say(&c, "GET / HTTP/1.1\r\n\r\n");
	hang_up(&c);
	for (int tries = 0; f.server->sessions && tries < 300; tries++)
		usleep(10000);
	assert_int_equal(f.server->sessions, 0);
	assert_int_equal(toy_gone, gone + 3 * ARRAY_LEN(befores));
	stop(&f);
}

struct visitor {
	struct fixture *f;
	_Atomic bool *stop;
	u64 n, failed;
	pthread_t thread;
};

static void *visits(void *arg)
{
	struct visitor *v = arg;

	while (!*v->stop) {
		struct client c;
		dial(v->f, IMAPS, &c);
		if (SSL_connect(c.tls) != 1)
			v->failed++;
		v->n++;
		hang_up(&c);
	}
	return NULL;
}

/* THREATS T11, F28. */
static void test_swap_under_load(void **state)
{
	struct fixture f;
	struct certificate both[2];
	_Atomic bool over = false;
	struct visitor visitors[4];

	(void)state;
	start(&f, "old.example.org", false);
	both[0] = known(&f, make(f.process.arena, "a.example.org", false), true);
	both[1] = known(&f, make(f.process.arena, "b.example.org", false), true);
	for (int i = 0; i < 4; i++) {
		visitors[i] = (struct visitor){ .f = &f, .stop = &over };
		pthread_create(&visitors[i].thread, NULL, visits, &visitors[i]);
	}
	for (int i = 0; i < 100; i++) {
		struct arena *a = arena_new(1 << 20);
		assert_ok(tls_server_install(a, f.tls, &both[i % 2], 1));
		arena_free(&a);
		usleep(10000);
	}
	over = true;
	for (int i = 0; i < 4; i++) {
		pthread_join(visitors[i].thread, NULL);
		assert_int_equal(visitors[i].failed, 0);
		assert_true(visitors[i].n > 0);
	}
	stop(&f);
}

enum { IDLE = 200 };

static size_t heap(void)
{
	usleep(200000); /* till all have parked */
	return mallinfo2().uordblks;
}

static void test_idle_memory(void **state)
{
	struct fixture f;
	static struct client c[IDLE], slow_ones[IDLE];
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	size_t nothing, silent, slow, talking, server;

	(void)state;
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
	start(&f, "mail.example.org", false);
	nothing = heap();
	for (int i = 0; i < IDLE; i++) {
		dial(&f, IMAPS, &c[i]);
		SSL_free(c[i].tls);
		SSL_CTX_free(c[i].context);
		c[i].context = NULL;
	}
	silent = heap() - nothing;
	for (int i = 0; i < IDLE; i++) {
		struct client *s = &slow_ones[i];
		dial(&f, IMAPS, s);
		SSL_free(s->tls);
		SSL_CTX_free(s->context);
		s->context = NULL;
		s->tls = NULL;
		send(s->fd, "\x16\x03\x01\x01\x00\x01\x00\x00\xfc", (size_t)i % 10, MSG_NOSIGNAL);
	}
	slow = heap() - nothing - silent;
	for (int i = 0; i < IDLE; i++)
		hang_up(&slow_ones[i]);
	for (int i = 0; i < IDLE; i++) {
		c[i].tls = SSL_new(context);
		SSL_set_fd(c[i].tls, c[i].fd);
		assert_int_equal(SSL_connect(c[i].tls), 1);
		hear(&c[i], "hello tls\r\n");
	}
	talking = heap();
	for (int i = 0; i < IDLE; i++) {
		SSL_set_quiet_shutdown(c[i].tls, 1);
		SSL_free(c[i].tls);
		c[i].tls = NULL;
	}
	server = heap() - nothing;
	print_message(
	    "silent before its handshake: %zu bytes; with half a hello: %zu; idle after it: %zu (a client: %zu)\n",
	    silent / IDLE, slow / IDLE, server / IDLE, (talking - nothing - server) / IDLE);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	assert_in_range(silent / IDLE, 0, 8192);
	assert_in_range(slow / IDLE, 0, 8192);
	assert_in_range(server / IDLE, 0, 24 * 1024);
#endif
	for (int i = 0; i < IDLE; i++)
		hang_up(&c[i]);
	SSL_CTX_free(context);
	stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_implicit),
		cmocka_unit_test(test_rsa),
		cmocka_unit_test(test_slow_hello),
		cmocka_unit_test(test_refused_versions),
		cmocka_unit_test(test_starttls),
		cmocka_unit_test(test_starttls_one_segment),
		cmocka_unit_test(test_starttls_injected),
		cmocka_unit_test(test_resumption),
		cmocka_unit_test(test_sni),
		cmocka_unit_test(test_alpn),
		cmocka_unit_test(test_key_updates),
		cmocka_unit_test(test_teardown),
		cmocka_unit_test(test_swap_under_load),
		cmocka_unit_test(test_idle_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
