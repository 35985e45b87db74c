/*
 * keys sign: holds the private keys of TLS and DKIM, and signs what handshakes of the edges and outgoing mail ask for. TLS keys are read
 * before the jail; in the jail it has its own folder (DKIM keys are made while we run), no network, only its bus. New certificates (ctl or SIGHUP): it ends, parent starts it anew, and the edges, which
 * keep asking `certificates`, learn what changed; a handshake that needs a signature meanwhile waits.
 *
 * One thread: a signature takes 30 microseconds (P-256) to 400 (RSA-2048). Making a DKIM key holds it for some tenths of a second: an
 * administrator does that a few times a year.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/crc32c.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/env.h"
#include "bus/permit.h"
#include "keys/sign/dkim_keys.h"
#include "keys/sign/key_pair.h"
#include "keys/sign/sign_int.h"

enum { SIGN_PAIRS = 64 };

struct sign {
	const struct process *process;
	struct bus_server *server;
	struct key_pair pairs[2 * SIGN_PAIRS];
	size_t pairs_n; /* first the n in use, then those just replaced */
	struct certificate
	    certificates[SIGN_PAIRS]; /* of the pairs in use, side by side for the answer */
	size_t n;
	struct dkim_keys *dkim;
	u64 serial; /* of the whole set: never the same for two sets */
};

#define SERVE_PROTOTYPES
#include "bus/server.h"
#include "bus/sign.tbl"
#include "bus/server_end.h"

/* The set never changes in this process: a caller that has it waits until we are no more. */
const struct fail *sign_serve_certificates(struct bus_call *call,
					   const struct sign_certificates_request *q,
					   struct sign_certificates_answer *r)
{
	const struct sign *s = call->context;

	if (q->known == s->serial)
		return BUS_LATER; /* never: it fails UNAVAILABLE when we end, and is asked again */
	r->serial = s->serial;
	r->certificates = s->certificates;
	r->certificates_n = s->n;
	return NULL;
}

const struct fail *sign_serve_tls_sign(struct bus_call *call, const struct sign_tls_sign_request *q,
				       struct sign_tls_sign_answer *r)
{
	const struct sign *s = call->context;

	for (size_t i = 0; i < s->pairs_n; i++)
		if (s->pairs[i].certificate.key == q->key)
			return key_pair_sign(call->arena, &s->pairs[i], (enum sign_scheme)q->scheme,
					     q->digest, &r->signature);
	return fail_new(call->arena, FAIL_NOT_FOUND, "no such key");
}

#define SERVE_FUNCTIONS
#include "bus/server.h"
#include "bus/sign.tbl"
#include "bus/server_end.h"

const struct fail *sign_serve_dkim_keys_make(struct bus_call *call,
					     const struct sign_dkim_keys_make_request *q,
					     struct sign_dkim_keys_make_answer *r)
{
	struct sign *s = call->context;

	TRY(dkim_keys_make(s->dkim, call->arena, q->domain, env_now(env_system())));
	r->keys_n = dkim_keys_list(s->dkim, call->arena, q->domain, &r->keys);
	return NULL;
}

const struct fail *sign_serve_dkim_keys_list(struct bus_call *call,
					     const struct sign_dkim_keys_list_request *q,
					     struct sign_dkim_keys_list_answer *r)
{
	const struct sign *s = call->context;

	r->keys_n = dkim_keys_list(s->dkim, call->arena, q->domain, &r->keys);
	return NULL;
}

const struct fail *sign_serve_dkim_key_state(struct bus_call *call,
					     const struct sign_dkim_key_state_request *q,
					     struct sign_dkim_key_state_answer *r)
{
	struct sign *s = call->context;

	(void)r;
	return dkim_keys_state(s->dkim, call->arena, q->domain, q->selector,
			       (enum dkim_key_state)q->state);
}

const struct fail *sign_serve_dkim_sign(struct bus_call *call,
					const struct sign_dkim_sign_request *q,
					struct sign_dkim_sign_answer *r)
{
	const struct sign *s = call->context;

	TRY(permit_check(s->process->permit_secret, &q->permit, &call->peer, env_system()));
	return dkim_keys_sign(s->dkim, call->arena, q->permit.domain, q->selector, q->digest,
			      &r->signature);
}

static const bus_serve_function functions[] = {
#define SERVE_ROWS
#include "bus/server.h"
#include "bus/sign.tbl"
#include "bus/server_end.h"
};

static void dispatch(void *context, struct bus_call *call)
{
	call->context = context;
	bus_serve(functions, ARRAY_LEN(functions), call);
}

static void peer_gone(void *context, const struct bus_peer *peer)
{
	(void)context;
	(void)peer;
}

/* Where a copy of a pair that was good is kept: "DATA/keys/kept-<checksum of its setting>.crt" or ".key". */
static str kept_path(struct process *p, str setting, const char *suffix)
{
	return str_format(p->arena, "%.*s/keys/kept-%08x.%s", STR_ARG(p->config->server_data),
			  crc32c(0, setting), suffix);
}

static str self_signed_path(struct process *p, const char *suffix)
{
	return str_format(p->arena, "%.*s/keys/selfsigned.%s", STR_ARG(p->config->server_data),
			  suffix);
}

static const struct fail *write_copy(struct process *p, str bytes, str to)
{
	int out = open(cstr(p->arena, to) ?: "",
		       O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool written = out >= 0 && fd_write_all(out, bytes);
	int error = errno;

	fd_close(&out);
	return written ? NULL : fail_errno(p->arena, error, "keeping a copy of a certificate");
}

/* The process lives long: what was read is gone at the end, and no key file stays open. */
static const struct fail *copy_file(struct process *p, str from, str to)
{
	struct arena *files = arena_new(KEY_PAIR_FILES_ARENA);
	const struct fail *f;
	str bytes;

	f = key_pair_read(p->arena, files, from, &bytes);
	if (!f)
		f = write_copy(p, bytes, to);
	arena_free(&files);
	return f;
}

/* The copy becomes the one before, unless it is of the same key: handshakes that began with its certificate go on with it. */
static const struct fail *keep_pair(struct process *p, str setting, const struct key_pair *pair)
{
	static const char *const suffixes[][2] = { { "crt", "old.crt" }, { "key", "old.key" } };
	struct key_pair kept;
	size_t colon = str_find(setting, ':');

	if (key_pair_load(p->arena, kept_path(p, setting, "crt"), kept_path(p, setting, "key"),
			  &kept) == NULL &&
	    kept.certificate.key != pair->certificate.key) {
		for (size_t i = 0; i < ARRAY_LEN(suffixes); i++)
			if (rename(cstr(p->arena, kept_path(p, setting, suffixes[i][0])) ?: "",
				   cstr(p->arena, kept_path(p, setting, suffixes[i][1])) ?: "") !=
			    0)
				return fail_errno(p->arena, errno,
						  "keeping the certificate before");
	}
	TRY(copy_file(p, str_slice(setting, 0, colon), kept_path(p, setting, "crt")));
	return copy_file(p, str_skip(setting, colon + 1), kept_path(p, setting, "key"));
}

/*
 * One "CERT:KEY" of tls.certificate. A pair that cannot be used (half renewed, say) must not take TLS away: then the copy of the last
 * one that could be used serves on, and the log says so (THREATS T11).
 */
static const struct fail *load_pair(struct process *p, str setting, struct key_pair *out)
{
	size_t colon = str_find(setting, ':');
	str certificate = str_slice(setting, 0, colon), key = str_skip(setting, colon + 1);
	str kept_certificate = kept_path(p, setting, "crt"),
	    kept_key = kept_path(p, setting, "key");
	const struct fail *f;

	if (colon == SIZE_MAX)
		return fail_new(p->arena, FAIL_INVALID,
				"tls.certificate: expected CERT:KEY, not %.*s", STR_ARG(setting));
	f = key_pair_load(p->arena, certificate, key, out);
	if (f) {
		LOG(ERROR, "sign.bad_pair", LOG_STR("pair", setting), LOG_FAIL("why", f));
		return key_pair_load(p->arena, kept_certificate, kept_key, out) ? f : NULL;
	}
	f = keep_pair(p, setting, out);
	if (f)
		LOG(WARN, "sign.not_kept", LOG_STR("pair", setting), LOG_FAIL("why", f));
	return NULL;
}

/* Whoever shook hands a moment ago may have our last certificate yet: its key, and the one of the self-signed pair, sign on. */
static void load_replaced(struct process *p, struct sign *s)
{
	const struct str_list *list = &p->config->tls_certificate;

	s->pairs_n = s->n;
	for (size_t i = 0; i < list->n && i < SIGN_PAIRS - 1; i++)
		if (key_pair_load(p->arena, kept_path(p, list->items[i], "old.crt"),
				  kept_path(p, list->items[i], "old.key"),
				  &s->pairs[s->pairs_n]) == NULL)
			s->pairs_n++;
	if (list->n && key_pair_load(p->arena, self_signed_path(p, "crt"),
				     self_signed_path(p, "key"), &s->pairs[s->pairs_n]) == NULL)
		s->pairs_n++;
}

static const struct fail *load_configured(struct process *p, struct sign *s)
{
	const struct str_list *list = &p->config->tls_certificate;

	for (; s->n < list->n && s->n < SIGN_PAIRS; s->n++)
		TRY(load_pair(p, list->items[s->n], &s->pairs[s->n]));
	return NULL;
}

static const struct fail *load_self_signed(struct process *p, struct sign *s)
{
	str certificate = self_signed_path(p, "crt"), key = self_signed_path(p, "key");
	const struct fail *f;

	f = key_pair_load(p->arena, certificate, key, &s->pairs[0]);
	/* None yet; or a power cut left half of one, which is no reason to serve nobody for ever. One that cannot be read now is not
	 * written over: people have told their programs to trust it. */
	if (f && f->what != FAIL_INVALID)
		return f;
	if (f) {
		TRY(key_pair_make(p->arena, certificate, key, p->config->server_hostname));
		TRY(key_pair_load(p->arena, certificate, key, &s->pairs[0]));
	}
	s->n = 1;
	return NULL;
}

/* --- The last set that was good: one setting a line, empty when it was the self-signed pair --- */

static str kept_list(struct process *p, const char *suffix)
{
	return str_format(p->arena, "%.*s/keys/kept.list%s", STR_ARG(p->config->server_data),
			  suffix);
}

static void remember_set(struct process *p)
{
	const struct str_list *list = &p->config->tls_certificate;
	const char *draft = cstr(p->arena, kept_list(p, ".new")) ?: "";
	struct buf *text = buf_new(p->arena, KEY_PAIR_FILE);
	int fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool kept;

	for (size_t i = 0; i < list->n; i++) {
		buf_add(text, list->items[i]);
		buf_add_byte(text, '\n');
	}
	kept = fd >= 0 && !text->full && fd_write_all(fd, buf_str(text)) && fsync(fd) == 0 &&
	       rename(draft, cstr(p->arena, kept_list(p, "")) ?: "") == 0;
	fd_close(&fd);
	if (!kept)
		LOG(WARN, "sign.not_kept", LOG_STR("pair", S("the list of them")));
}

/* A new setting that cannot be used must not take TLS away from a system that has it: what was good last serves on. why: what is
 * wrong with the setting, which is the answer when there never was a good one. */
static const struct fail *load_kept_set(struct process *p, struct sign *s, const struct fail *why)
{
	str rest = STR_NONE;
	bool good = key_pair_read(p->arena, p->arena, kept_list(p, ""), &rest) == NULL;

	for (s->n = 0; good && rest.n && s->n < SIGN_PAIRS; s->n++) {
		str setting = str_slice(rest, 0, str_find(rest, '\n'));

		good = key_pair_load(p->arena, kept_path(p, setting, "crt"),
				     kept_path(p, setting, "key"), &s->pairs[s->n]) == NULL;
		rest = str_skip(rest, setting.n + 1);
	}
	if (!good)
		return why;
	LOG(ERROR, "sign.kept_set", LOG_U64("pairs", s->n), LOG_FAIL("why", why));
	return s->n ? NULL : load_self_signed(p, s);
}

static const struct fail *load_set(struct process *p, struct sign *s)
{
	const struct fail *f =
	    p->config->tls_certificate.n ? load_configured(p, s) : load_self_signed(p, s);

	if (f)
		return load_kept_set(p, s, f);
	remember_set(p);
	return NULL;
}

static void number_set(struct sign *s)
{
	for (size_t i = 0; i < s->n; i++) {
		s->pairs[i].certificate.is_default = i == 0;
		s->certificates[i] = s->pairs[i].certificate;
		for (size_t c = 0; c < s->certificates[i].chain_n; c++) {
			u8 digest[32];
			u64 part;
			EVP_Digest(s->certificates[i].chain[c].p, s->certificates[i].chain[c].n,
				   digest, NULL, EVP_sha256(), NULL);
			memcpy(&part, digest, sizeof part);
			s->serial = (s->serial ^ part) * 0x9E3779B97F4A7C15u;
		}
	}
	if (s->serial == 0) /* 0 means "knows none" */
		s->serial = 1;
}

const struct fail *sign_before_jail(struct process *p)
{
	struct sign *s = arena_new_of(p->arena, struct sign);

	p->state = s;
	s->process = p;
	mac_before_jail();
	TRY(load_set(p, s));
	load_replaced(p, s);
	number_set(s);
	LOG(INFO, "sign.keys", LOG_U64("pairs", s->n));
	return NULL;
}

static void peer_new(struct process *p, u32 role, u32 instance, int fd, int notices)
{
	struct sign *s = p->state;

	(void)notices; /* sign has none to send */
	bus_server_add(s->server, fd, role, instance);
}

static void stop(struct process *p)
{
	struct sign *s = p->state;

	bus_server_stop(s->server);
}

static void reload(struct process *p, const struct config *config)
{
	(void)config; /* read anew by the next one */
	stop(p);
}

const struct fail *sign_open(struct process *p)
{
	struct sign *s = p->state;

	TRY(dkim_keys_open(p->arena, str_format(p->arena, "%s/dkim", p->folder), &s->dkim));
	s->server = bus_server_new(sign_methods, sign_methods_n, dispatch, peer_gone, s);
	p->peer = peer_new;
	p->stop = stop;
	p->reload = reload;
	return NULL;
}

void sign_run(struct process *p)
{
	const struct sign *s = p->state;

	bus_server_run(s->server);
}

void sign_close(struct process *p)
{
	struct sign *s = p->state;

	bus_server_free(&s->server);
}

const struct fail *sign_after_jail(struct process *p)
{
	struct sign *s = p->state;

	TRY(sign_open(p));
	if (p->ctl >= 0)
		bus_server_listen(s->server, p->ctl, CALLER_CTL);
	process_ready(p);
	sign_run(p);
	sign_close(p);
	return NULL;
}
