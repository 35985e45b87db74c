/* config and status commands. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/ctl_int.h"
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

/* The files that it names, which a server would miss only when it starts, or when mail goes out. */
static const struct fail *files_check(struct ctl *c)
{
	const struct config *config = c->config;
	str password = config->relay_smarthost_password_file;

	for (size_t i = 0; i < config->tls_certificate.n; i++) {
		str pair = config->tls_certificate.items[i];
		size_t colon = str_find(pair, ':');
		TRY(file_check(c, "tls.certificate", str_slice(pair, 0, colon)));
		TRY(file_check(c, "tls.certificate", str_skip(pair, colon + 1)));
	}
	return password.n ? file_check(c, "relay.smarthost_password_file", password) : NULL;
}

/* A server does without: no answer counts as secure then. So it is no error, but who meant it otherwise is to know. */
static void anchors_warn(struct ctl *c, struct json *j)
{
	for (size_t i = 0; i < c->config->dns_trust_anchors.n; i++) {
		str path = c->config->dns_trust_anchors.items[i];
		const struct fail *f = file_check(c, "dns.trust_anchors", path);
		if (f && c->json)
			json_str(j, f->text);
		else if (f)
			fprintf(stderr, "postern: warning: %.*s; its keys secure no answer\n",
				STR_ARG(f->text));
	}
}

enum exit_status ctl_config_check(struct ctl *c)
{
	struct buf *out = buf_new(c->arena, CONFIG_TEXT);
	struct json j = json_to(out);
	const struct fail *f = ctl_config(c);

	if (f == NULL)
		f = files_check(c);
	if (f)
		return ctl_fail(c, f, "use the configuration");
	json_object(&j);
	json_key(&j, "warnings"), json_array(&j);
	anchors_warn(c, &j);
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
