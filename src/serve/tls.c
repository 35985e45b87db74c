/* TLS of a process: the newest certificates, the thread that asks for newer ones, and a connection's beginning. See tls.h. */
#include "serve/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/env.h"
#include "base/log.h"
#include "serve/server.h"
#include "serve/tls_int.h"
#include "serve/tls_stream.h"

enum {
	ASK_BUDGET = 8 << 20,
	ASK_AGAIN_MS = 500, /* sign is restarting */
	ASK_FIRST_S = 20,   /* to wait for the first certificates */
	CHAIN_MAX = 16,
};

static void release(void *object)
{
	struct tls_server *t = object;

	tls_set_drop(&t->set);
	OPENSSL_cleanse(t->ticket_keys, sizeof t->ticket_keys);
	pthread_mutex_destroy(&t->lock);
	pthread_cond_destroy(&t->changed);
}

static struct tls_server *server_make(struct process *p)
{
	struct tls_server *t = arena_new_of(p->arena, struct tls_server);

	signal(SIGPIPE, SIG_IGN);
	OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT,
			    NULL); /* a thread may be in it when the process ends */
	OPENSSL_init_ssl(0, NULL);
	tls_context_init();
	t->process = p;
	pthread_mutex_init(&t->lock, NULL);
	env_condition_init(&t->changed);
	arena_own(p->arena, release, t);
	tls_server_ticket_key(t, p->tls_ticket_key);
	return t;
}

const struct fail *tls_server_new(struct process *p, struct tls_server **out)
{
	struct tls_server *t = server_make(p);
	SSL_CTX *warm = tls_context_new(t); /* fetches what TLS needs while files can be read */

	if (warm == NULL)
		return fail_new(p->arena, FAIL_INTERNAL, "OpenSSL does not give a TLS context");
	SSL_CTX_free(warm);
	t->signer = tls_signer_bus(p->arena, p->sign);
	*out = t;
	return NULL;
}

const struct fail *tls_server_install(struct arena *a, struct tls_server *t,
				      const struct certificate *certificates, size_t n)
{
	struct tls_set *set, *old;

	TRY(tls_set_new(a, t, certificates, n, &set));
	pthread_mutex_lock(&t->lock);
	old = t->set;
	t->set = set;
	pthread_cond_broadcast(&t->changed);
	pthread_mutex_unlock(&t->lock);
	tls_set_drop(&old);
	return NULL;
}

/* --- Asking sign -------------------------------------------------------------------------------------------------- */

static const struct fail *ask_once(struct arena *a, struct tls_server *t, u64 *known)
{
	const struct sign_certificates_request q = { .known = *known };
	struct sign_certificates_answer r = { 0 };

	TRY(sign_certificates(a, t->process->sign, &q, &r));
	*known = r.serial; /* bad ones are not worth asking for again */
	TRY(tls_server_install(a, t, r.certificates, r.certificates_n));
	LOG(INFO, "tls.certificates", LOG_U64("serial", r.serial),
	    LOG_U64("count", r.certificates_n));
	return NULL;
}

static void *ask(void *arg)
{
	struct tls_server *t = arg;
	const struct timespec again = { .tv_nsec = ASK_AGAIN_MS * 1000000L };
	u64 known = 0;

	while (!t->process->stopping) {
		struct arena *a = arena_new(ASK_BUDGET);
		const struct fail *f = ask_once(a, t, &known);
		if (f && !t->process->stopping) {
			LOG(WARN, "tls.certificates", LOG_FAIL("why", f));
			nanosleep(&again, NULL);
		}
		arena_free(&a);
	}
	return NULL;
}

static bool wait_for_set(struct tls_server *t)
{
	struct timespec until;
	int late = 0;
	bool there;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ASK_FIRST_S;
	pthread_mutex_lock(&t->lock);
	while (t->set == NULL && late != ETIMEDOUT)
		late = pthread_cond_timedwait(&t->changed, &t->lock, &until);
	there = t->set != NULL;
	pthread_mutex_unlock(&t->lock);
	return there;
}

const struct fail *tls_server_start(struct tls_server *t)
{
	static const struct fail none = FAIL_STATIC(UNAVAILABLE, "no certificates from keys sign");
	pthread_attr_t attr;
	pthread_t thread;
	int error;

	if (t->process->sign == NULL)
		return t->set ? NULL : &none;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(
	    &attr,
	    PTHREAD_CREATE_DETACHED); /* it ends with the process, most likely within a call */
	error = pthread_create(&thread, &attr, ask, t);
	pthread_attr_destroy(&attr);
	if (error)
		return fail_errno(t->process->arena, error, "thread for certificates");
	return wait_for_set(t) ? NULL : &none;
}

void tls_server_ticket_key(struct tls_server *t, const u8 key[80])
{
	pthread_mutex_lock(&t->lock);
	if (t->ticket_keys_n == 0 || memcmp(t->ticket_keys[0], key, TLS_TICKET_KEY) != 0) {
		memmove(t->ticket_keys[1], t->ticket_keys[0], TLS_TICKET_KEY);
		memcpy(t->ticket_keys[0], key, TLS_TICKET_KEY);
		if (t->ticket_keys_n < 2)
			t->ticket_keys_n++;
	}
	pthread_mutex_unlock(&t->lock);
}

/* --- Connections -------------------------------------------------------------------------------------------------- */

SSL *tls_server_connection(struct tls_server *t, enum service service)
{
	struct tls_set *set;
	SSL *tls;

	pthread_mutex_lock(&t->lock);
	set = t->set;
	if (set)
		atomic_fetch_add(&set->holders, 1);
	pthread_mutex_unlock(&t->lock);
	if (set == NULL)
		return NULL;
	tls = SSL_new(set->first);
	if (tls == NULL) {
		ERR_clear_error();
		tls_set_drop(&set);
		return NULL;
	}
	tls_context_start(tls, service, set); /* takes the hold on the set: it goes with the SSL */
	return tls;
}

bool server_begin_tls(struct session *s)
{
	SSL *tls = tls_server_connection(s->server->tls, (enum service)s->service);

	return tls && tls_stream_start(&s->stream, tls);
}

/* --- For tests ---------------------------------------------------------------------------------------------------- */

static const struct fail *chain_parse(struct arena *a, str pem, struct certificate *c)
{
	str *chain = arena_array_of(a, CHAIN_MAX, str);
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	X509 *x;

	while (c->chain_n < CHAIN_MAX && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		u8 *der = NULL;
		int n = i2d_X509(x, &der);
		if (n > 0)
			chain[c->chain_n++] = str_copy(a, str_from(der, (size_t)n));
		OPENSSL_free(der);
		X509_free(x);
	}
	BIO_free(bio);
	ERR_clear_error();
	c->chain = chain;
	return c->chain_n ? NULL : fail_new(a, FAIL_INVALID, "not a certificate in PEM");
}

const struct fail *tls_server_new_local(struct process *p, str chain_pem, str key_pem,
					struct tls_server **out)
{
	struct tls_server *t = server_make(p);
	struct tls_signer *signer = tls_signer_local(p->arena);
	struct certificate c = { .is_default = true };

	t->signer = signer;
	TRY(tls_signer_local_add(p->arena, signer, key_pem, &c.key));
	TRY(chain_parse(p->arena, chain_pem, &c));
	TRY(tls_server_install(p->arena, t, &c, 1));
	*out = t;
	return NULL;
}
