/*
 * `postern dev`: a complete throwaway instance in the foreground, on loopback, with accounts. Its options are settings said shortly:
 * what it makes is an ordinary configuration.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "ctl/instance.h"

enum {
	DEV_PORT_BASE = 10000,
	DEV_UID_BASE = 61000, /* spare numbers: no account is needed */
	DEV_REMOVE_FDS = 16,
	DEV_COLUMN = 45, /* where the table of ports says TLS */
};

struct dev {
	struct ctl *ctl;
	str folder;
	bool throwaway;
	u64 port_base;
	bool ipv6;
	str first_domain;
};

static const struct fail *set(struct ctl *c, const char *key, str value)
{
	return config_set(c->arena, c->config,
			  str_format(c->arena, "%s=%.*s", key, STR_ARG(value)));
}

/* In containers ::1 is often missing. */
static bool has_ipv6(void)
{
	const struct sockaddr_in6 at = { .sin6_family = AF_INET6,
					 .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool good = fd >= 0 && bind(fd, (const struct sockaddr *)&at, sizeof at) == 0;

	fd_close(&fd);
	return good;
}

/* "127.0.0.1:10025 [::1]:10025", as a configuration has it. */
static str endpoints(struct dev *d, u64 port)
{
	unsigned long long n = d->port_base + port;
	str six = d->ipv6 ? str_format(d->ctl->arena, " [::1]:%llu", n) : STR_NONE;

	return str_format(d->ctl->arena, "127.0.0.1:%llu%.*s", n, STR_ARG(six));
}

/* The loopback addresses there are, at port_base + the service's own port. */
static const struct fail *set_listeners(struct dev *d)
{
	struct ctl *c = d->ctl;

	d->ipv6 = has_ipv6();
#define SERVICE(NAME, name, port, role, tls) TRY(set(c, "listen." name, endpoints(d, port)));
#include "bus/services.tbl"
#undef SERVICE
	return NULL;
}

static const struct fail *take_port_base(struct dev *d)
{
	str value = ctl_option(d->ctl, "port-base");

	d->port_base = DEV_PORT_BASE;
	if (value.p == NULL)
		return NULL;
	if (!str_u64(value, &d->port_base) || d->port_base < 1 || d->port_base > 65535 - 995)
		return fail_new(d->ctl->arena, FAIL_INVALID,
				"--port-base: expected a number from 1 to 64540, not \"%.*s\"",
				STR_ARG(value));
	return NULL;
}

/* An absolute path to a folder that is there. */
static const struct fail *take_folder(struct dev *d)
{
	struct ctl *c = d->ctl;
	str value = ctl_option(c, "dir");
	char made[] = "/tmp/postern-dev-XXXXXX", *resolved;
	const char *path;

	if (value.p == NULL) {
		/* Its processes run as other users, and must be able to pass through. */
		if (mkdtemp(made) == NULL || chmod(made, 0711) != 0)
			return fail_errno(c->arena, errno, "making a folder in /tmp");
		d->throwaway = true;
		d->folder = str_copy(c->arena, str_cstr(made));
		return NULL;
	}
	path = cstr(c->arena, value);
	if (path == NULL || (mkdir(path, 0711) != 0 && errno != EEXIST))
		return fail_because(c->arena, ctl_errno(c->arena, errno, "mkdir"),
				    "cannot make the folder %.*s", STR_ARG(value));
	resolved = realpath(path, NULL);
	if (resolved == NULL)
		return fail_errno(c->arena, errno, "finding the folder");
	d->folder = str_copy(c->arena, str_cstr(resolved));
	free(resolved); /* a library's */
	return NULL;
}

/* Settings that make an instance fit for tests; --set comes last and wins. */
static const struct fail *make_config(struct dev *d)
{
	struct ctl *c = d->ctl;

	c->config = config_default(c->arena);
	TRY(set(c, "server.data", d->folder));
	TRY(set(c, "server.hostname", str_format(c->arena, "mail.%.*s", STR_ARG(d->first_domain))));
	TRY(set_listeners(d));
	TRY(set(c, "relay.local_networks", S("yes")));
	if (ctl_has(c, "plaintext-login"))
		TRY(set(c, "login.plaintext", S("yes")));
	if (ctl_has(c, "dns")) {
		TRY(set(c, "dns.servers", ctl_option(c, "dns")));
		/* Without an anchor of the test's own, answers count as insecure, never bogus. */
		TRY(set(c, "dns.trust_anchors", ctl_option(c, "trust-anchor")));
	} else if (ctl_has(c, "trust-anchor")) {
		TRY(set(c, "dns.trust_anchors", ctl_option(c, "trust-anchor")));
	}
	if (ctl_has(c, "smarthost")) {
		TRY(set(c, "relay.smarthost", ctl_option(c, "smarthost")));
		TRY(set(c, "relay.smarthost_tls", S("may")));
	}
	for (size_t i = 0; i < c->options_n; i++)
		if (str_eq(c->options[i].name, S("set")))
			TRY(config_set(c->arena, c->config, c->options[i].value));
	return config_check(c->arena, c->config);
}

/* What exists already, from an earlier start on the same --dir, is no error. */
static const struct fail *unless_there(const struct fail *f)
{
	return f && f->what == FAIL_EXISTS ? NULL : f;
}

static const struct fail *add_domain(struct ctl *c, str name)
{
	struct office_domain_add_request q = { .name = name };
	struct office_domain_add_answer r;

	return unless_there(office_domain_add(c->arena, c->office, &q, &r));
}

static const struct fail *add_user(struct ctl *c, str text)
{
	size_t at = str_find(text, '@'),
	       colon = at == SIZE_MAX ? SIZE_MAX : str_find(str_skip(text, at), ':');
	const struct fail *f;
	str address;

	if (colon == SIZE_MAX)
		return fail_new(c->arena, FAIL_INVALID,
				"--user: expected ADDRESS:PASSWORD, not \"%.*s\"", STR_ARG(text));
	address = str_slice(text, 0, at + colon);
	f = ctl_add_user(c, address, str_skip(text, at + colon + 1), UINT64_MAX);
	if (f && f->what == FAIL_EXISTS && ctl_has(c, "user"))
		fprintf(stderr,
			"postern: %.*s is there already, and so is its password; to set another: "
			"postern user passwd\n",
			STR_ARG(address));
	return unless_there(f);
}

static const struct fail *populate(struct dev *d)
{
	struct ctl *c = d->ctl;

	TRY(ctl_connect_to(c, d->folder));
	if (!ctl_has(c, "domain"))
		TRY(add_domain(c, d->first_domain));
	for (size_t i = 0; i < c->options_n; i++)
		if (str_eq(c->options[i].name, S("domain")))
			TRY(add_domain(c, c->options[i].value));
	for (size_t i = 0; i < c->options_n; i++)
		if (str_eq(c->options[i].name, S("user")))
			TRY(add_user(c, c->options[i].value));
	if (ctl_has(c, "user"))
		return NULL;
	TRY(add_user(c, str_format(c->arena, "alice@%.*s:alice", STR_ARG(d->first_domain))));
	return add_user(c, str_format(c->arena, "bob@%.*s:bob", STR_ARG(d->first_domain)));
}

/* "smtp         127.0.0.1:10025 [::1]:10025", where it does listen: --set may have had the last word. */
static void print_service(struct buf *out, const char *name, const struct str_list *at, bool tls)
{
	size_t column = out->n + DEV_COLUMN;

	if (at->n == 0)
		return;
	buf_printf(out, "%-12s", name);
	for (size_t i = 0; i < at->n; i++)
		buf_printf(out, " %.*s", STR_ARG(at->items[i]));
	while (tls && out->n < column)
		buf_add_byte(out, ' ');
	buf_printf(out, "%s\n", tls ? " TLS" : "");
}

static const struct fail *print_ports(struct dev *d)
{
	struct buf *out = buf_new(d->ctl->arena, 64 * 1024);
	const struct config *c = d->ctl->config;
	const struct str_list at[] = {
		[SERVICE_SMTP] = c->listen_smtp,
		[SERVICE_LMTP] = c->listen_lmtp,
		[SERVICE_SUBMISSIONS] = c->listen_submissions,
		[SERVICE_SUBMISSION] = c->listen_submission,
		[SERVICE_IMAP] = c->listen_imap,
		[SERVICE_IMAPS] = c->listen_imaps,
		[SERVICE_POP3] = c->listen_pop3,
		[SERVICE_POP3S] = c->listen_pop3s,
	};

	buf_printf(out, "folder       %.*s%s\n", STR_ARG(d->folder),
		   d->throwaway ? " (removed at the end)" : "");
#define SERVICE(NAME, name, port, role, tls) print_service(out, name, &at[SERVICE_##NAME], tls);
#include "bus/services.tbl"
#undef SERVICE
	buf_add(out, S("ready\n"));
	return fd_write_all(STDOUT_FILENO, buf_str(out))
		   ? NULL
		   : fail_errno(d->ctl->arena, errno, "writing the table of ports");
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st;
	(void)kind;
	(void)where;
	return remove(path);
}

static const struct fail *dev_start(struct dev *d, struct instance *i)
{
	struct parent_options o = { .uid_base = geteuid() == 0 ? DEV_UID_BASE : 0 };
	const struct fail *f;

	TRY(make_config(d));
	o.config = d->ctl->config;
	TRY(instance_start(d->ctl->arena, &o, i));
	f = populate(d);
	if (f == NULL)
		f = print_ports(d);
	if (f)
		instance_stop(i);
	return f;
}

static const struct fail *dev_prepare(struct dev *d)
{
	struct ctl *c = d->ctl;

	d->first_domain = S("example.test");
	for (size_t i = c->options_n; i > 0; i--)
		if (str_eq(c->options[i - 1].name, S("domain")))
			d->first_domain = c->options[i - 1].value;
	TRY(take_port_base(d));
	return take_folder(d);
}

enum exit_status ctl_dev(struct ctl *c)
{
	struct dev d = { .ctl = c };
	struct instance i;
	const struct fail *f;
	int status = EXIT_FAILED;

	instance_hold_signals(); /* before there is a folder to be removed */
	f = dev_prepare(&d);
	if (f == NULL)
		f = dev_start(&d, &i);
	if (f == NULL)
		status = instance_wait(&i);
	if (d.throwaway)
		nftw(cstr(c->arena, d.folder) ?: "", remove_one, DEV_REMOVE_FDS,
		     FTW_DEPTH | FTW_PHYS);
	return f ? ctl_fail(c, f, "start") : (enum exit_status)status;
}
