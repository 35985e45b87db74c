/* Binds what the configuration lists, or takes it over from the program before (upgrade.c). Every failure names the setting's value. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "config/endpoint.h"
#include "parent/parent_int.h"

enum { BACKLOG = 1024, BIND_MS = 4000 /* edges have 3.3 s to end */, BIND_STEP_MS = 50 };

static socklen_t socket_address(const struct endpoint *e, struct sockaddr_storage *out)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(e->port) };
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(e->port) };

	if (e->address_n == 4) {
		memcpy(&four.sin_addr, e->address, 4);
		memcpy(out, &four, sizeof four);
		return sizeof four;
	}
	memcpy(&six.sin6_addr, e->address, 16);
	memcpy(out, &six, sizeof six);
	return sizeof six;
}

/* IPv6 sockets take IPv6 alone, so that "[::]:25" and "0.0.0.0:25" can stand side by side. */
static bool bind_one(int fd, const struct endpoint *e)
{
	struct sockaddr_storage at;
	socklen_t n = socket_address(e, &at);
	int on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0)
		return false;
	if (e->address_n == 16 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0)
		return false;
	return bind(fd, (struct sockaddr *)&at, n) == 0 && listen(fd, BACKLOG) == 0;
}

/* Children of a parent that was killed a moment ago may still hold the port: they see that they are alone and end (serve/process.c). */
static bool bind_patiently(int fd, const struct endpoint *e)
{
	const struct timespec step = { .tv_nsec = BIND_STEP_MS * 1000000L };

	for (int waited = 0; waited < BIND_MS; waited += BIND_STEP_MS) {
		if (bind_one(fd, e))
			return true;
		if (errno != EADDRINUSE)
			return false;
		nanosleep(&step, NULL);
	}
	errno = EADDRINUSE;
	return false;
}

static const struct fail *listen_at(struct parent *p, enum service service, const char *name,
				    str text)
{
	struct sockaddr_storage at = { 0 };
	struct endpoint e;
	int family, fd;
	socklen_t n;

	if (!endpoint_parse(text, &e))
		return fail_new(p->arena, FAIL_INVALID, "listen.%s: \"%.*s\"", name, STR_ARG(text));
	n = socket_address(&e, &at);
	family = e.address_n == 4 ? AF_INET : AF_INET6;
	fd = arena_own_fd(p->arena, upgrade_adopt(p, &at, n));
	if (fd >= 0) {
		p->listeners[p->listeners_n++] = (struct process_listener){ fd, service };
		return NULL;
	}
	fd = arena_own_fd(p->arena, socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
	if (fd < 0 || !bind_patiently(fd, &e))
		return fail_because(p->arena,
				    errno == EADDRINUSE
					? fail_new(p->arena, FAIL_CONFLICT, "it is in use")
					: fail_errno(p->arena, errno, "bind"),
				    "cannot listen on %.*s (listen.%s)", STR_ARG(text), name);
	p->listeners[p->listeners_n++] = (struct process_listener){ fd, service };
	return NULL;
}

const struct fail *listeners_bind(struct parent *p)
{
	const struct config *c = p->config;
	const struct {
		enum service service;
		const char *name;
		struct str_list list;
	} all[] = {
		{ SERVICE_SMTP, "smtp", c->listen_smtp },
		{ SERVICE_LMTP, "lmtp", c->listen_lmtp },
		{ SERVICE_SUBMISSIONS, "submissions", c->listen_submissions },
		{ SERVICE_SUBMISSION, "submission", c->listen_submission },
		{ SERVICE_IMAP, "imap", c->listen_imap },
		{ SERVICE_IMAPS, "imaps", c->listen_imaps },
		{ SERVICE_POP3, "pop3", c->listen_pop3 },
		{ SERVICE_POP3S, "pop3s", c->listen_pop3s },
	};
	size_t n = 0;

	_Static_assert(ARRAY_LEN(all) == SERVICES, "a row for every service");
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		n += all[i].list.n;
	p->listeners = arena_array_of(p->arena, n, struct process_listener);
	upgrade_inherit(p);
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		for (size_t k = 0; k < all[i].list.n; k++)
			TRY(listen_at(p, all[i].service, all[i].name, all[i].list.items[k]));
	upgrade_close_rest(p);
	return NULL;
}
