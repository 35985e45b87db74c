#include "relay/mta/tls.h"

#include "base/arena.h"

static const char authorities_file[] = "/etc/ssl/certs/ca-certificates.crt";

static void context_release(void *object)
{
	SSL_CTX_free(object);
}

static SSL_CTX *context_new(struct arena *a, int oldest, const char *ciphers)
{
	SSL_CTX *t = SSL_CTX_new(TLS_client_method());

	if (t == NULL)
		return NULL;
	arena_own(a, context_release, t);
	if (!SSL_CTX_set_min_proto_version(t, oldest) || !SSL_CTX_set_cipher_list(t, ciphers))
		return NULL;
	SSL_CTX_set_options(t, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_session_cache_mode(t, SSL_SESS_CACHE_OFF);
	/* A write that was cut short is tried again with the same bytes by us. */
	SSL_CTX_set_mode(t, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	return t;
}

const struct fail *tls_client_new(struct arena *a, struct tls_client *out)
{
	out->opportunistic = context_new(a, TLS1_VERSION, "DEFAULT:@SECLEVEL=0");
	out->verified = context_new(a, TLS1_2_VERSION, "DEFAULT:@SECLEVEL=2");
	if (out->opportunistic == NULL || out->verified == NULL)
		return fail_new(a, FAIL_INTERNAL, "TLS: OpenSSL made no client context");
	out->authorities = SSL_CTX_load_verify_file(out->verified, authorities_file) == 1;
	return NULL;
}
