/* config and status commands. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/env.h"
#include "ctl/ctl_int.h"
#include "keys/sign/key_pair.h"
#include "text/json.h"

enum { CONFIG_TEXT = 1024 * 1024 };

static const struct fail *file_check(struct ctl *c, const char *key, str path)
{
	const char *name = cstr(c->arena, path);
	int fd = open(name ?: "", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	u8 byte;
	int error = fd < 0 || read(fd, &byte, 1) < 0 ? errno : 0;

	if (fd >= 0)
		close(fd);
	if (error == 0)
		return NULL;
	return fail_because(
	    c->arena,
	    fail_new(c->arena, error == EACCES ? FAIL_DENIED : FAIL_INVALID, "%s", strerror(error)),
	    "%.*s: %s: cannot read %.*s", STR_ARG(c->config_path), key, STR_ARG(path));
}

/* As sign reads it: certificate and key fit together, and can be used. */
static const struct fail *pair_check(struct ctl *c, str pair, struct key_pair_facts *out)
{
	size_t colon = str_find(pair, ':');
	str certificate = str_slice(pair, 0, colon), key = str_skip(pair, colon + 1);
	struct key_pair loaded;
	const struct fail *f;

	TRY(file_check(c, "tls.certificate", certificate));
	TRY(file_check(c, "tls.certificate", key));
	f = key_pair_load(c->arena, certificate, key, &loaded);
	if (f)
		return fail_because(c->arena, f, "%.*s: tls.certificate: cannot use %.*s",
				    STR_ARG(c->config_path), STR_ARG(pair));
	key_pair_look(c->arena, &loaded, c->config->server_hostname, out);
	return NULL;
}

/* The files that it names, which a server would miss only when it starts, or when mail goes out. pairs: of tls.certificate. */
static const struct fail *files_check(struct ctl *c, struct key_pair_facts *pairs)
{
	const struct config *config = c->config;
	str password = config->relay_smarthost_password_file;

	for (size_t i = 0; i < config->tls_certificate.n; i++)
		TRY(pair_check(c, config->tls_certificate.items[i], &pairs[i]));
	return password.n ? file_check(c, "relay.smarthost_password_file", password) : NULL;
}

static void warn(struct ctl *c, struct json *j, str text)
{
	if (c->json)
		json_str(j, text);
	else
		fprintf(stderr, "postern: warning: %.*s\n", STR_ARG(text));
}

/* A server does without: no answer counts as secure then. So it is no error, but who meant it otherwise is to know. */
static void anchors_warn(struct ctl *c, struct json *j)
{
	for (size_t i = 0; i < c->config->dns_trust_anchors.n; i++) {
		str path = c->config->dns_trust_anchors.items[i];
		const struct fail *f = file_check(c, "dns.trust_anchors", path);
		if (f)
			warn(c, j,
			     str_format(c->arena, "%.*s; its keys secure no answer",
					STR_ARG(f->text)));
	}
}

/* A server serves them; others will not believe it. */
static void pairs_warn(struct ctl *c, struct json *j, const struct key_pair_facts *pairs)
{
	const struct str_list *list = &c->config->tls_certificate;
	i64 now = (i64)env_now(env_system());
	bool named = list->n == 0;

	for (size_t i = 0; i < list->n; i++) {
		const struct key_pair_facts *p = &pairs[i];
		str path = str_slice(list->items[i], 0, str_find(list->items[i], ':'));
		bool expired = p->not_after < now;
		i64 day = expired ? p->not_after : p->not_before;

		named |= p->is_for_host;
		if (expired || p->not_before > now)
			warn(c, j,
			     str_format(c->arena, "%.*s: tls.certificate: %.*s %s %.*s",
					STR_ARG(c->config_path), STR_ARG(path),
					expired ? "expired at" : "is not valid before",
					STR_ARG(ctl_time(c, day > 0 ? (u64)day : 0))));
	}
	if (!named)
		warn(c, j,
		     str_format(c->arena,
				"%.*s: tls.certificate: none is for server.hostname, %.*s",
				STR_ARG(c->config_path), STR_ARG(c->config->server_hostname)));
}

enum exit_status ctl_config_check(struct ctl *c)
{
	struct buf *out = buf_new(c->arena, CONFIG_TEXT);
	struct json j = json_to(out);
	struct key_pair_facts *pairs = NULL;
	const struct fail *f = ctl_config(c);

	if (f == NULL) {
		pairs =
		    arena_array_of(c->arena, c->config->tls_certificate.n, struct key_pair_facts);
		f = files_check(c, pairs);
	}
	if (f)
		return ctl_fail(c, f, "use the configuration");
	json_object(&j);
	json_key(&j, "warnings"), json_array(&j);
	anchors_warn(c, &j);
	pairs_warn(c, &j, pairs);
	json_array_end(&j), json_object_end(&j);
	buf_add(out, S("\n"));
	ctl_print(c->json ? buf_str(out)
			  : str_format(c->arena, "%.*s is good\n", STR_ARG(c->config_path)));
	return EXIT_OK;
}

enum exit_status ctl_config_show(struct ctl *c)
{
	struct buf *out = buf_new(c->arena, CONFIG_TEXT);
	const struct fail *f = ctl_config(c);

	if (f)
		return ctl_fail(c, f, "show the configuration");
	if (c->json)
		config_print_json(out, c->config, ctl_has(c, "all"));
	else
		config_print(out, c->config, ctl_has(c, "all"));
	ctl_print(buf_str(out));
	return EXIT_OK;
}

enum exit_status ctl_config_sample(struct ctl *c)
{
	struct buf *out = buf_new(c->arena, CONFIG_TEXT);

	config_print_sample(out);
	ctl_print(buf_str(out));
	return EXIT_OK;
}

static const struct fail *status(struct ctl *c, struct office_status_answer *r)
{
	struct office_status_request q = { 0 };

	TRY(ctl_connect(c));
	return office_status(c->arena, c->office, &q, r);
}

enum exit_status ctl_status(struct ctl *c)
{
	static const char *const columns[] = { "queued",   "oldest_queued", "accounts",
					       "messages", "segment_bytes", "events" };
	struct listing *l = listing_new(c, columns, ARRAY_LEN(columns));
	struct office_status_answer r;
	const struct fail *f = status(c, &r);

	if (f)
		return ctl_fail(c, f, "ask the running system");
	listing_u64(l, r.queued);
	listing_time(l, r.oldest_queued);
	listing_u64(l, r.accounts);
	listing_u64(l, r.messages);
	listing_size(l, r.segment_bytes);
	listing_u64(l, r.events);
	listing_print_one(l);
	return EXIT_OK;
}
