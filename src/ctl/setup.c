/*
 * `postern setup` and `postern serve`. Setup makes a machine ready: system users, data folder, configuration file, the domain with its
 * postmaster; then it says which DNS records to publish and what to run. It changes nothing that is there already.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pwd.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/env.h"
#include "base/fd.h"
#include "ctl/instance.h"
#include "office/directory/canonical.h"
#include "serve/process.h"
#include "text/address.h"

enum { SETUP_PASSWORD = 20, SETUP_TEXT = 64 * 1024 };

struct setup {
	struct ctl *ctl;
	str domain, hostname, data;
	str password; /* of postmaster, made up here */
};

static const struct fail *spawn_and_wait(struct arena *a, char *const argv[])
{
	static char *const environment[] = {
		(char *)(uintptr_t) "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL
	};
	pid_t pid;
	int status, error = posix_spawn(&pid, argv[0], NULL, NULL, argv, environment);

	if (error)
		return fail_because(a, fail_errno(a, error, "starting it"), "cannot run %s",
				    argv[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return fail_new(a, FAIL_INTERNAL, "%s failed", argv[0]);
	return NULL;
}

/* One system user a role: _postern_mx, _postern_client, ... with a group of its own and nothing to log in to. */
static const struct fail *make_users(struct ctl *c)
{
	for (size_t i = 0; i < ROLES; i++) {
		str name = str_format(c->arena, "_postern_%s", process_roles[i].name);
		const char *user = cstr(c->arena, name);
		char *argv[] = { (char *)(uintptr_t) "/usr/sbin/useradd",
				 (char *)(uintptr_t) "--system",
				 (char *)(uintptr_t) "--user-group",
				 (char *)(uintptr_t) "--no-create-home",
				 (char *)(uintptr_t) "--home-dir",
				 (char *)(uintptr_t) "/nonexistent",
				 (char *)(uintptr_t) "--shell",
				 (char *)(uintptr_t) "/usr/sbin/nologin",
				 (char *)(uintptr_t)user,
				 NULL };
		if (getpwnam(user) == NULL)
			TRY(spawn_and_wait(c->arena, argv));
	}
	return NULL;
}

/* Every folder on the way to path, as `mkdir -p` does. */
static const struct fail *make_folder(struct arena *a, str path)
{
	for (size_t i = 1; i <= path.n; i++) {
		if (i < path.n && path.p[i] != '/')
			continue;
		if (mkdir(cstr(a, str_slice(path, 0, i)) ?: "", 0711) != 0 && errno != EEXIST)
			return fail_because(a, fail_errno(a, errno, "mkdir"), "cannot make %.*s",
					    STR_ARG(path));
	}
	return NULL;
}

static const struct fail *write_config(struct setup *s)
{
	struct ctl *c = s->ctl;
	struct buf *out = buf_new(c->arena, SETUP_TEXT);
	int fd = open(cstr(c->arena, c->config_path) ?: "",
		      O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);

	if (fd < 0 && errno == EEXIST)
		return fail_new(c->arena, FAIL_EXISTS,
				"%.*s exists already; setup changes nothing that is there",
				STR_ARG(c->config_path));
	if (fd < 0)
		return fail_because(c->arena, fail_errno(c->arena, errno, "open"),
				    "cannot write %.*s", STR_ARG(c->config_path));
	arena_own_fd(c->arena, fd);
	buf_printf(out,
		   "# Postern. Every setting and its default: postern config sample\n\n"
		   "[server]\nhostname = \"%.*s\"\ndata = \"%.*s\"\n",
		   STR_ARG(s->hostname), STR_ARG(s->data));
	if (!fd_write_all(fd, buf_str(out)) || fsync(fd) != 0)
		return fail_errno(c->arena, errno, "writing the configuration");
	return NULL;
}

static str make_password(struct arena *a)
{
	static const char letters[] = "abcdefghjkmnpqrstuvwxyz23456789";
	char *text = arena_alloc(a, SETUP_PASSWORD);

	for (size_t i = 0; i < SETUP_PASSWORD; i++)
		text[i] = letters[env_random_below(env_system(), sizeof letters - 1)];
	return str_from(text, SETUP_PASSWORD);
}

/* A configuration without listeners: nobody outside meets a half-made system. */
static const struct config *quiet_config(struct ctl *c)
{
	struct config *quiet = arena_new_of(c->arena, struct config);

	*quiet = *c->config;
	quiet->server_log = S("warn");
	quiet->listen_smtp.n = quiet->listen_lmtp.n = quiet->listen_submissions.n = 0;
	quiet->listen_submission.n = quiet->listen_imap.n = quiet->listen_imaps.n = 0;
	quiet->listen_pop3.n = quiet->listen_pop3s.n = 0;
	return quiet;
}

static const struct fail *add_domain_and_postmaster(struct setup *s)
{
	struct ctl *c = s->ctl;
	struct office_domain_add_request q = { .name = s->domain };
	struct office_domain_add_answer r;

	const struct fail *f;

	TRY(ctl_connect_to(c, s->data));
	f = office_domain_add(c->arena, c->office, &q, &r);
	if (f && f->what != FAIL_EXISTS) /* from a setup that did not come to its end */
		return f;
	return ctl_add_user(c, str_format(c->arena, "postmaster@%.*s", STR_ARG(s->domain)),
			    s->password, UINT64_MAX);
}

static const struct fail *populate(struct setup *s)
{
	struct parent_options o = { .config = quiet_config(s->ctl) };
	struct instance i;
	const struct fail *f;

	TRY(instance_start(s->ctl->arena, &o, &i));
	f = add_domain_and_postmaster(s);
	if (instance_stop(&i) != 0 && f == NULL)
		f = fail_new(s->ctl->arena, FAIL_INTERNAL, "it did not stop in order");
	return f;
}

/* Addresses of this machine that others may reach, as DNS records of the host. */
static void add_address_records(struct buf *out, str hostname)
{
	struct ifaddrs *all, *i;
	char text[INET6_ADDRSTRLEN];

	if (getifaddrs(&all) != 0)
		return;
	for (i = all; i; i = i->ifa_next) {
		const void *address;
		if (i->ifa_addr == NULL)
			continue;
		if (i->ifa_addr->sa_family == AF_INET) {
			const struct sockaddr_in *v4 = (const void *)i->ifa_addr;
			address = &v4->sin_addr;
			if (ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET)
				continue;
		} else if (i->ifa_addr->sa_family == AF_INET6) {
			const struct sockaddr_in6 *v6 = (const void *)i->ifa_addr;
			address = &v6->sin6_addr;
			if (IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) ||
			    IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr))
				continue;
		} else {
			continue;
		}
		if (inet_ntop(i->ifa_addr->sa_family, address, text, sizeof text))
			buf_printf(out, "  %.*s.  3600 IN %-5s %s\n", STR_ARG(hostname),
				   i->ifa_addr->sa_family == AF_INET ? "A" : "AAAA", text);
	}
	freeifaddrs(all);
}

static void say_what_next(struct setup *s)
{
	struct buf *out = buf_new(s->ctl->arena, SETUP_TEXT);

	buf_printf(
	    out,
	    "Configuration  %.*s\nData           %.*s\n"
	    "Account        postmaster@%.*s  password: %.*s  (shown once)\n\n"
	    "Publish these DNS records, and have your provider point the address back to the name:\n",
	    STR_ARG(s->ctl->config_path), STR_ARG(s->data), STR_ARG(s->domain),
	    STR_ARG(s->password));
	add_address_records(out, s->hostname);
	buf_printf(out,
		   "  %.*s.  3600 IN MX    10 %.*s.\n  %.*s.  3600 IN TXT   \"v=spf1 mx -all\"\n\n",
		   STR_ARG(s->domain), STR_ARG(s->hostname), STR_ARG(s->domain));
	buf_printf(
	    out,
	    "Then:\n  postern serve                      (or the unit in conf/postern.service)\n"
	    "  postern user add ann@%.*s\n"
	    "  postern dkim new %.*s       keys that sign your mail\n"
	    "  postern dns records %.*s    every record, those of the keys too\n",
	    STR_ARG(s->domain), STR_ARG(s->domain), STR_ARG(s->domain));
	ctl_print(buf_str(out));
}

/* For programs; the records are what `postern dns records` says. */
static void say_json(struct setup *s)
{
	static const char *const columns[] = { "configuration", "data", "hostname", "account",
					       "password" };
	struct listing *l = listing_new(s->ctl, columns, ARRAY_LEN(columns));

	listing_str(l, s->ctl->config_path);
	listing_str(l, s->data);
	listing_str(l, s->hostname);
	listing_str(l, str_format(s->ctl->arena, "postmaster@%.*s", STR_ARG(s->domain)));
	listing_str(l, s->password);
	listing_print_one(l);
}

/* All that a configuration file is of use for. */
static const struct fail *furnish(struct setup *s)
{
	struct ctl *c = s->ctl;

	TRY(ctl_config(c));
	TRY(make_users(c));
	TRY(make_folder(c->arena, s->data));
	return populate(s);
}

/* As DNS and the configuration have them; what is ASCII is judged there. */
static const struct fail *to_ascii(struct arena *a, str *name)
{
	return str_is_ascii(*name) ? NULL : domain_to_ascii(a, *name, name);
}

static const struct fail *setup(struct setup *s)
{
	struct ctl *c = s->ctl;
	const struct fail *f;

	s->domain = str_lower(c->arena, c->arguments[0]);
	TRY(to_ascii(c->arena, &s->domain));
	s->hostname = ctl_has(c, "hostname")
			  ? ctl_option(c, "hostname")
			  : str_format(c->arena, "mail.%.*s", STR_ARG(s->domain));
	TRY(to_ascii(c->arena, &s->hostname));
	s->data = ctl_has(c, "data") ? ctl_option(c, "data") : S("/var/lib/postern");
	s->password = make_password(c->arena);
	if (geteuid() != 0)
		return fail_new(c->arena, FAIL_DENIED, "setup makes users and binds low ports");
	/* The names go into a file and into the database: refuse nonsense before anything is made. */
	c->config = config_default(c->arena);
	TRY(config_set(c->arena, c->config,
		       str_format(c->arena, "server.hostname=%.*s", STR_ARG(s->hostname))));
	TRY(config_set(c->arena, c->config,
		       str_format(c->arena, "server.data=%.*s", STR_ARG(s->data))));
	TRY(config_check(c->arena, c->config));
	TRY(directory_canonical_domain(c->arena, s->domain, &s->domain));
	TRY(write_config(s));
	f = furnish(s);
	if (f) /* or a second try would find it, and stop */
		unlink(cstr(c->arena, c->config_path) ?: "");
	return f;
}

enum exit_status ctl_setup(struct ctl *c)
{
	struct setup s = { .ctl = c };
	const struct fail *f = setup(&s);

	if (f)
		return ctl_fail(c, f, "set this machine up");
	if (c->json)
		say_json(&s);
	else
		say_what_next(&s);
	return EXIT_OK;
}

enum exit_status ctl_serve(struct ctl *c)
{
	struct parent_options o = { .config_path = c->config_path,
				    .upgrade = true,
				    .lived_in = !ctl_has(c, "new") };
	const struct fail *f = ctl_config(c);

	if (f)
		return ctl_fail(c, f, "start");
	o.config = c->config;
	return (enum exit_status)parent_run(c->arena, &o);
}
