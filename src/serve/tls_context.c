/*
 * How we speak TLS: versions, suites, tickets, ALPN, SNI. RFC 8446, RFC 5077, RFC 7301, RFC 9325.
 *
 * - TLS 1.2 with ECDHE and AEAD suites, or 1.3. No RSA key exchange, no CBC, no compression, no renegotiation, no early data.
 * - Tickets are stateless, under parent's key or the one before; the session id context is the service, so a ticket of one is no good
 *   at another (THREATS T10). OpenSSL keeps no cache.
 * - A peer that offers ALPN must offer our protocol (ALPACA, THREATS T06); one that offers none is served.
 */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "serve/tls_int.h"

enum { TICKET_SECONDS = 12 * 60 * 60, CLIENT_CERTIFICATES_MAX = 4096 };

struct tls_service {
	str id;   /* session id context */
	str alpn; /* RFC 7301, as registered; "smtp" is not, and does no harm */
};

#define TLS_SERVICE(name, alpn_)                                       \
	{                                                              \
		.id = { (const u8 *)name, sizeof name - 1 }, .alpn = { \
			(const u8 *)alpn_,                             \
			sizeof alpn_ - 1                               \
		}                                                      \
	}
static const struct tls_service services[SERVICES] = {
	[SERVICE_SMTP] = TLS_SERVICE("smtp", "smtp"),
	[SERVICE_LMTP] = TLS_SERVICE("lmtp", "lmtp"),
	[SERVICE_SUBMISSIONS] = TLS_SERVICE("submissions", "smtp"),
	[SERVICE_SUBMISSION] = TLS_SERVICE("submission", "smtp"),
	[SERVICE_IMAP] = TLS_SERVICE("imap", "imap"),
	[SERVICE_IMAPS] = TLS_SERVICE("imaps", "imap"),
	[SERVICE_POP3] = TLS_SERVICE("pop3", "pop3"),
	[SERVICE_POP3S] = TLS_SERVICE("pop3s", "pop3"),
};
#undef TLS_SERVICE

static int set_index, service_index;
static EVP_CIPHER *ticket_cipher;

/* --- SNI and ALPN ------------------------------------------------------------------------------------------------ */

static int choose_certificate(SSL *tls, int *alert, void *context)
{
	const struct tls_set *set = SSL_get_ex_data(tls, set_index);
	SSL_CTX *found =
	    tls_set_find(set, str_cstr(SSL_get_servername(tls, TLSEXT_NAMETYPE_host_name)));

	(void)alert, (void)context;
	if (found)
		SSL_set_SSL_CTX(tls, found);
	return SSL_TLSEXT_ERR_OK;
}

/* offers: a list of length bytes and names, whose form OpenSSL has checked. */
static int choose_protocol(SSL *tls, const u8 **out, u8 *out_n, const u8 *offers, unsigned n,
			   void *context)
{
	const struct tls_service *service = SSL_get_ex_data(tls, service_index);
	str rest = str_from(offers, n);

	(void)context;
	while (rest.n) {
		str name = str_slice(rest, 1, 1 + (size_t)rest.p[0]);
		if (str_eq(name, service->alpn)) {
			*out = name.p;
			*out_n = (u8)name.n;
			return SSL_TLSEXT_ERR_OK;
		}
		rest = str_skip(rest, 1 + (size_t)rest.p[0]);
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL; /* no_application_protocol */
}

/* --- Tickets ------------------------------------------------------------------------------------------------------ */

/* Which of our keys has this name; 2 when none has. Copies it out. */
static u32 ticket_key(struct tls_server *t, const u8 *name, u8 key[TLS_TICKET_KEY])
{
	u32 i = 0;

	pthread_mutex_lock(&t->lock);
	while (name && i < t->ticket_keys_n && memcmp(t->ticket_keys[i], name, 16) != 0)
		i++;
	if (i < t->ticket_keys_n)
		memcpy(key, t->ticket_keys[i], TLS_TICKET_KEY);
	else
		i = 2;
	pthread_mutex_unlock(&t->lock);
	return i;
}

static bool ticket_mac(EVP_MAC_CTX *mac, u8 *key)
{
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key, 32),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* RFC 5077 4. 0: no such key, full handshake; 1: good; 2: good, but give a new one. */
static int ticket(SSL *tls, u8 *name, u8 *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int making)
{
	struct tls_server *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(tls));
	u8 key[TLS_TICKET_KEY];
	u32 which = ticket_key(t, making ? NULL : name, key);
	bool good;

	if (which == 2)
		return 0;
	if (making) {
		memcpy(name, key, 16);
		if (RAND_bytes(iv, 16) != 1)
			return -1;
		good = EVP_EncryptInit_ex2(cipher, ticket_cipher, key + 48, iv, NULL) == 1;
	} else {
		good = EVP_DecryptInit_ex2(cipher, ticket_cipher, key + 48, iv, NULL) == 1;
	}
	good = good && ticket_mac(mac, key + 16);
	OPENSSL_cleanse(key, sizeof key);
	return !good ? -1 : which == 0 ? 1 : 2;
}

/* --- Contexts ----------------------------------------------------------------------------------------------------- */

static void set_gone(void *parent, void *object, CRYPTO_EX_DATA *data, int index, long argl,
		     void *argp)
{
	struct tls_set *set = object;

	(void)parent, (void)data, (void)index, (void)argl, (void)argp;
	tls_set_drop(&set);
}

void tls_context_init(void)
{
	if (ticket_cipher)
		return;
	tls_key_init();
	set_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, set_gone);
	service_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	ticket_cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
	CHECK(ticket_cipher != NULL);
}

static bool suites(SSL_CTX *c)
{
	return SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION) == 1 &&
	       SSL_CTX_set_cipher_list(c, "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL") == 1 &&
	       SSL_CTX_set1_groups_list(c, "X25519:P-256:P-384") == 1;
}

SSL_CTX *tls_context_new(struct tls_server *t)
{
	SSL_CTX *c = SSL_CTX_new(TLS_server_method());

	if (c == NULL || !suites(c)) {
		SSL_CTX_free(c);
		return NULL;
	}
	SSL_CTX_set_options(c, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
				   SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_timeout(c, TICKET_SECONDS);
	SSL_CTX_set_num_tickets(c, 1);
	SSL_CTX_set_max_early_data(c, 0);
	SSL_CTX_set_max_cert_list(c, CLIENT_CERTIFICATES_MAX);
	SSL_CTX_set_app_data(c, t);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(c, ticket);
	SSL_CTX_set_tlsext_servername_callback(c, choose_certificate);
	SSL_CTX_set_alpn_select_cb(c, choose_protocol, NULL);
	return c;
}

void tls_context_start(SSL *tls, enum service service, struct tls_set *set)
{
	const struct tls_service *s = &services[service];
	const struct tls_server *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(tls));
	const struct config *c = __atomic_load_n(&t->process->config, __ATOMIC_ACQUIRE);

	/* Here and not in the contexts, which outlive a configuration. */
	if (str_eq(c->tls_minimum, S("1.3")))
		CHECK(SSL_set_min_proto_version(tls, TLS1_3_VERSION) == 1);

	CHECK(SSL_set_ex_data(tls, set_index, set) == 1);
	CHECK(SSL_set_ex_data(tls, service_index, (void *)(uintptr_t)s) == 1);
	CHECK(SSL_set_session_id_context(tls, s->id.p, (unsigned)s->id.n) == 1);
}
