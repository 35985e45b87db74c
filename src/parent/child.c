/*
 * One child: fork, re-exec, what it is told, what its peers are told. Parent never waits for a child: one that does not take what
 * it is told is killed, and starts anew.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/env.h"
#include "base/fd.h"
#include "base/log.h"
#include "bus/frame.h"
#include "bus/login.h"
#include "bus/office.h"
#include "bus/relay.h"
#include "bus/sign.h"
#include "parent/parent_int.h"
#include "serve/process_control.h"

enum { SAY_MS = 1000, ENCODE_ARENA = 4 << 20 };

bool role_is_edge(enum role role)
{
	return role == ROLE_MX || role == ROLE_CLIENT;
}

static u32 callers_of(const struct bus_method *methods, size_t n)
{
	u32 callers = 0;

	for (size_t i = 0; i < n; i++)
		callers |= methods[i].callers;
	return callers;
}

bool role_calls(enum role client, enum role server)
{
	u32 caller = process_roles[client].caller;

	if (server == ROLE_OFFICE)
		return caller & callers_of(office_methods, office_methods_n);
	if (server == ROLE_LOGIN)
		return caller & callers_of(login_methods, login_methods_n);
	if (server == ROLE_SIGN)
		return caller & callers_of(sign_methods, sign_methods_n);
	if (server == ROLE_RELAY)
		return caller & callers_of(relay_methods, relay_methods_n);
	return false;
}

void child_kill(struct child *c)
{
	if (c->pid)
		kill(c->pid, SIGKILL);
}

/* --- Saying things ------------------------------------------------------------------------------------------- */

/* Takes the frame. */
static void say(struct child *c, struct frame_out *o)
{
	struct pollfd at = { .fd = c->control, .events = POLLOUT };
	enum frame_result sent;

	CHECK(frame_end(o));
	sent = frame_send(o, c->control);
	while (sent == FRAME_AGAIN && poll(&at, 1, SAY_MS) > 0)
		sent = frame_send(o, c->control);
	frame_free(o);
	if (sent != FRAME_OK)
		child_kill(c);
}

void child_say(struct child *c, u32 number)
{
	struct frame_out o;

	if (c->pid == 0)
		return;
	frame_begin(&o, 0, number, FRAME_INLINE);
	say(c, &o);
}

static void say_listeners(struct parent *p, struct child *c)
{
	static const enum role role_of[SERVICES] = {
#define SERVICE(NAME, name, port, role, tls) [SERVICE_##NAME] = ROLE_##role,
#include "bus/services.tbl"
#undef SERVICE
	};

	for (size_t i = 0; i < p->listeners_n; i++) {
		const struct process_listener *l = &p->listeners[i];
		struct control_listener m = { .service = (u8)l->service, .fd = l->fd };
		struct frame_out o;

		if (role_of[l->service] != c->role)
			continue;
		frame_begin(&o, 0, CONTROL_LISTENER, FRAME_INLINE);
		encode_control_listener(&o.encoder, &m);
		say(c, &o);
	}
}

static str ticket_key(struct parent *p, enum role role)
{
	if (!role_is_edge(role))
		return STR_NONE;
	return str_from(p->ticket_keys[role == ROLE_CLIENT], sizeof p->ticket_keys[0]);
}

static void say_start(struct parent *p, struct child *c)
{
	bool knows_tickets = c->role == ROLE_OFFICE || c->role == ROLE_LOGIN;
	bool knows_permits = c->role == ROLE_OFFICE || c->role == ROLE_SIGN;
	struct arena *a = arena_new(ENCODE_ARENA);
	struct control_start m = { .config = config_encode(a, p->config),
				   .uid = p->identities[c->role].uid,
				   .gid = p->identities[c->role].gid,
				   .tls_ticket_key = ticket_key(p, c->role),
				   .address_table = role_is_edge(c->role) ? p->address_fd : -1,
				   .ctl = p->ctl[c->role] };
	struct frame_out o;

	if (knows_tickets)
		m.ticket_secret = str_from(p->ticket_secret, sizeof p->ticket_secret);
	if (knows_permits)
		m.permit_secret = str_from(p->permit_secret, sizeof p->permit_secret);
	frame_begin(&o, 0, CONTROL_START, FRAME_INLINE);
	encode_control_start(&o.encoder, &m);
	say(c, &o);
	arena_free(&a);
}

void child_reload(struct parent *p, struct child *c)
{
	struct arena *a = arena_new(ENCODE_ARENA);
	struct control_reload m = { .config = config_encode(a, p->config),
				    .tls_ticket_key = ticket_key(p, c->role) };
	struct frame_out o;

	if (c->pid) {
		frame_begin(&o, 0, CONTROL_RELOAD, FRAME_INLINE);
		encode_control_reload(&o.encoder, &m);
		say(c, &o);
	}
	arena_free(&a);
}

/* --- Pairs --------------------------------------------------------------------------------------------------- */

static bool pair_make(int pair[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0)
		return true;
	pair[0] = pair[1] = -1;
	LOG(ERROR, "parent.no_pair", LOG_U64("errno", (u64)errno));
	return false;
}

static void say_bus(struct child *client, enum role server, int fd, int notices)
{
	struct control_bus m = { .server = (u8)server, .fd = fd, .notices = notices };
	struct frame_out o;

	frame_begin(&o, 0, CONTROL_BUS, FRAME_INLINE);
	encode_control_bus(&o.encoder, &m);
	say(client, &o);
}

static void say_peer(struct child *server, const struct child *client, int fd, int notices)
{
	struct control_peer m = { .role = process_roles[client->role].caller,
				  .instance = client->instance,
				  .fd = fd,
				  .notices = notices };
	struct frame_out o;

	frame_begin(&o, 0, CONTROL_PEER, FRAME_INLINE);
	encode_control_peer(&o.encoder, &m);
	say(server, &o);
}

/* Brings two living children together. When the server is dead its end is closed at once: the client's calls fail until it comes. */
static void connect_pair(struct child *client, struct child *server)
{
	bool notices = client->role == ROLE_CLIENT && server->role == ROLE_OFFICE;
	int calls[2] = { -1, -1 }, news[2] = { -1, -1 };

	if (!pair_make(calls) || (notices && !pair_make(news))) {
		child_kill(client);
	} else {
		if (notices)
			shutdown(news[0], SHUT_WR); /* one way: from office to edge */
		say_bus(client, server->role, calls[0], news[0]);
		if (server->pid)
			say_peer(server, client, calls[1], news[1]);
	}
	for (int i = 0; i < 2; i++) {
		fd_close(&calls[i]);
		fd_close(&news[i]);
	}
}

static void connect_client(struct parent *p, struct child *client)
{
	for (size_t i = 0; i < p->children_n; i++)
		if (role_calls(client->role, p->children[i].role))
			connect_pair(client, &p->children[i]);
}

static void connect_server(struct parent *p, struct child *server)
{
	for (size_t i = 0; i < p->children_n; i++)
		if (p->children[i].pid && &p->children[i] != server &&
		    role_calls(p->children[i].role, server->role))
			connect_pair(&p->children[i], server);
}

/* --- Fork and re-exec ---------------------------------------------------------------------------------------- */

/* In the new process: descriptors 0 to 3 and no others, no environment, no blocked signals. */
static _Noreturn void become(struct parent *p, const struct child *c, int control)
{
	char role[32], instance[16];
	char *argv[] = { (char *)(uintptr_t) "postern", role, instance, NULL },
	     *environment[] = { NULL };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), program;
	sigset_t none;

	snprintf(role, sizeof role, "@%s", process_roles[c->role].name);
	snprintf(instance, sizeof instance, "%u", c->instance);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	memory_expose(p);
	program = fcntl(p->program, F_DUPFD_CLOEXEC, CONTROL_FD + 1);
	control = fcntl(control, F_DUPFD_CLOEXEC, CONTROL_FD + 1);
	if (program >= 0 && dup2(null, 0) == 0 && dup2(null, 1) == 1 &&
	    dup2(control, CONTROL_FD) == CONTROL_FD &&
	    close_range(CONTROL_FD + 1, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
		fexecve(program, argv, environment);
	_exit(127);
}

static void listen_to(struct parent *p, struct child *c)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };

	CHECK(epoll_ctl(p->epoll, EPOLL_CTL_ADD, c->control, &e) == 0);
}

void child_spawn(struct parent *p, struct child *c)
{
	int control[2];

	c->started = env_monotonic(env_system());
	c->ready = false;
	if (!pair_make(control)) {
		c->again = c->started + BACK_OFF_MOST_MS;
		return;
	}
	c->pid = fork();
	if (c->pid == 0)
		become(p, c, control[1]);
	close(control[1]);
	c->control = control[0];
	if (c->pid < 0) {
		LOG(ERROR, "parent.no_fork", LOG_U64("errno", (u64)errno));
		c->pid = 0;
		fd_close(&c->control);
		c->again = c->started + BACK_OFF_MOST_MS;
		return;
	}
	listen_to(p, c);
	say_listeners(p, c);
	connect_client(p, c);
	say_start(p, c);
	connect_server(p, c);
}
