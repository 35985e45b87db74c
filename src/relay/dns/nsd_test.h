/*
 * A real name server for tests: nsd on a high port of loopback, with zones given as text, started and stopped by the test. One of
 * the zones may be signed with ldns. Not installed: nsd_start says false, and the test skips.
 */
#ifndef RELAY_DNS_NSD_TEST_H
#define RELAY_DNS_NSD_TEST_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/fd.h"
#include "base/unit.h"

struct nsd {
	struct arena *arena;
	char folder[64];
	u32 port;
	pid_t pid;
	str anchor; /* path of the signed zone's key, for dns.trust_anchors */
};

extern char **environ;

static inline str nsd_path(struct nsd *n, const char *name)
{
	return str_format(n->arena, "%s/%s", n->folder, name);
}

static inline void nsd_write(struct nsd *n, const char *name, str text)
{
	int fd = open(cstr(n->arena, nsd_path(n, name)), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0 && fd_write_all(fd, text));
	close(fd);
}

/* Runs a program in the folder; its output goes to `out` there. */
static inline pid_t nsd_spawn(struct nsd *n, const char *const *argv)
{
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int error;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addchdir_np(&actions, n->folder);
	posix_spawn_file_actions_addopen(&actions, 1, "out", O_WRONLY | O_CREAT | O_TRUNC, 0600);
	posix_spawn_file_actions_addopen(&actions, 2, "err", O_WRONLY | O_CREAT | O_APPEND, 0600);
	error = posix_spawn(&pid, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return error ? -1 : pid;
}

static inline str nsd_run(struct nsd *n, const char *const *argv)
{
	pid_t pid = nsd_spawn(n, argv);
	u8 bytes[256];
	int status = -1;

	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
	int fd = open(cstr(n->arena, nsd_path(n, "out")), O_RDONLY);
	ssize_t got = read(fd, bytes, sizeof bytes);
	close(fd);
	return str_trim(str_copy(n->arena, str_from(bytes, got > 0 ? (size_t)got : 0)));
}

/* Signs ./name.zone into ./name.zone.signed with a new key. */
static inline void nsd_sign(struct nsd *n, const char *name)
{
	const char *keygen[] = {
		"/usr/bin/ldns-keygen", "-a", "ECDSAP256SHA256", "-k", name, NULL
	};
	str key = nsd_run(n, keygen);
	const char *zone = cstr(n->arena, str_format(n->arena, "%s.zone", name));
	const char *sign[] = { "/usr/bin/ldns-signzone", zone, cstr(n->arena, key), NULL };

	nsd_run(n, sign);
	n->anchor = nsd_path(n, cstr(n->arena, str_format(n->arena, "%.*s.key", STR_ARG(key))));
}

static inline u32 nsd_free_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t size = sizeof a;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &size), 0);
	close(fd);
	return ntohs(a.sin_port);
}

/* True when something answers a query for the root. */
static inline bool nsd_answers(u32 port)
{
	static const u8 query[] = { 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 1 };
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons((u16)port),
				 .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	u8 answer[512];
	bool ok;

	connect(fd, (struct sockaddr *)&a, sizeof a);
	(void)!send(fd, query, sizeof query, 0);
	ok = poll(&p, 1, 100) == 1 && recv(fd, answer, sizeof answer, 0) > 0;
	close(fd);
	return ok;
}

struct nsd_zone {
	const char *name;
	const char *text; /* records; the SOA and NS come before them */
	bool sign;
};

static inline void nsd_zones(struct nsd *n, struct buf *conf, const struct nsd_zone *zones,
			     size_t zones_n)
{
	for (size_t i = 0; i < zones_n; i++) {
		const char *name = zones[i].name;
		str text = str_format(n->arena,
				      "$ORIGIN %s.\n$TTL 60\n@ IN SOA ns h 1 3600 600 86400 60\n"
				      "@ IN NS ns\nns IN A 127.0.0.1\n%s",
				      name, zones[i].text);
		nsd_write(n, cstr(n->arena, str_format(n->arena, "%s.zone", name)), text);
		if (zones[i].sign)
			nsd_sign(n, name);
		buf_printf(conf, "zone:\n name: \"%s\"\n zonefile: \"%s.zone%s\"\n", name, name,
			   zones[i].sign ? ".signed" : "");
	}
}

static inline void nsd_configure(struct nsd *n, const struct nsd_zone *zones, size_t zones_n)
{
	struct buf *conf = buf_new(n->arena, 65536);

	buf_printf(
	    conf,
	    "server:\n ip-address: 127.0.0.1@%u\n username: \"\"\n zonesdir: \"%s\"\n database: \"\"\n"
	    " pidfile: \"%s/pid\"\n xfrdfile: \"%s/xfrd\"\n zonelistfile: \"%s/list\"\n"
	    " server-count: 1\n xfrdir: \"%s\"\n rrl-ratelimit: 0\nremote-control:\n control-enable: no\n",
	    n->port, n->folder, n->folder, n->folder, n->folder, n->folder);
	nsd_zones(n, conf, zones, zones_n);
	nsd_write(n, "nsd.conf", buf_str(conf));
}

/* False: it ended; somebody else has the port by now. */
static inline bool nsd_came_up(struct nsd *n)
{
	for (int i = 0; i < 1200 && n->pid > 0; i++) {
		if (waitpid(n->pid, NULL, WNOHANG) == n->pid)
			n->pid = -1;
		else if (nsd_answers(n->port))
			return true;
		poll(NULL, 0, 25); /* not there yet: refused at once */
	}
	return false;
}

static inline bool nsd_start(struct nsd *n, const struct nsd_zone *zones, size_t zones_n)
{
	const char *argv[] = { "/usr/sbin/nsd", "-d", "-c", NULL, NULL };

	*n = (struct nsd){ .arena = arena_new(1 << 20), .folder = "/tmp/postern-nsd-XXXXXX" };
	if (access(argv[0], X_OK) != 0 || access("/usr/bin/ldns-signzone", X_OK) != 0)
		return false;
	assert_non_null(mkdtemp(n->folder));
	argv[3] = cstr(n->arena, nsd_path(n, "nsd.conf"));
	for (int tries = 0; tries < 5; tries++) {
		n->port = nsd_free_port();
		nsd_configure(n, zones, zones_n);
		n->pid = nsd_spawn(n, argv);
		if (nsd_came_up(n))
			return true;
	}
	fail_msg("nsd does not answer; see %s/err", n->folder);
	return false;
}

static inline void nsd_stop(struct nsd *n)
{
	const char *rm[] = { "/bin/rm", "-rf", n->folder, NULL };
	pid_t pid;

	if (n->pid > 0) {
		kill(n->pid, SIGTERM);
		waitpid(n->pid, NULL, 0);
		pid = nsd_spawn(n, rm);
		waitpid(pid, NULL, 0);
	}
	arena_free(&n->arena);
}

#endif
