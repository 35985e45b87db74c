/*
 * A child's life: see process.h. Told by parent who it is (START), it loads, enters the jail, and serves. The control thread then
 * hears about new peers, new configurations and the end. When parent is gone, or orders a stop that after_jail does not
 * follow in time, the control thread ends the process.
 */
#include "serve/process.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/env.h"
#include "base/fd.h"
#include "base/log.h"
#include "bus/frame.h"
#include "config/config_history.h"
#include "serve/drill.h"
#include "serve/process_control.h"

enum {
	PROCESS_ARENA = 1 << 30,
	LISTENERS_MAX = 512,
	CONTROL_STACK = 256 * 1024,
	FILES_MAX = 16 * 1024,    /* of those who have no sessions */
	FILES_PER_CONNECTION = 3, /* socket, spool, spare */
	WATCH_MS =
	    5 * 1000, /* how often we look whether our servers are there, and say that we are */
	LOST_MS = 30 * 1000, /* a server gone for so long dropped us: begin anew */
	OUT_OF_TIME = 1,
};

struct process_control {
	int fd;
	struct arena *arena; /* of configurations that came by reload: for ever */
	struct config_history configs;
	struct jail jail;
	bool started, stopped;
	u64 deadline; /* monotonic; once stopped */
	u8 scratch[BUS_FRAME];
};

/* --- Messages from parent ------------------------------------------------------------------------------------ */

static bool on_listener(struct process *p, struct decoder *d, struct arena *a)
{
	struct control_listener m;

	decode_control_listener(d, &m);
	if (!decoder_done(d) || m.fd < 0 || m.service >= SERVICES ||
	    p->listeners_n == LISTENERS_MAX)
		return false;
	p->listeners[p->listeners_n++] =
	    (struct process_listener){ arena_give_fd(a, m.fd), m.service };
	return true;
}

static struct bus **bus_of(struct process *p, u32 server)
{
	switch (server) {
	case ROLE_OFFICE:
		return &p->office;
	case ROLE_LOGIN:
		return &p->login;
	case ROLE_SIGN:
		return &p->sign;
	case ROLE_RELAY:
		return &p->relay;
	default:
		return NULL;
	}
}

/* The number stays the same for whoever reads it; the old end is at its end anyway. */
static void notices_replace(struct process *p, struct arena *a, int fd)
{
	if (fd < 0)
		return;
	if (p->notices < 0)
		__atomic_store_n(&p->notices, arena_give_fd(a, fd), __ATOMIC_RELEASE);
	else
		CHECK(dup3(fd, p->notices, O_CLOEXEC) >= 0);
}

static bool on_bus(struct process *p, struct decoder *d, struct arena *a)
{
	struct control_bus m;
	struct bus **bus;

	decode_control_bus(d, &m);
	bus = decoder_done(d) ? bus_of(p, m.server) : NULL;
	if (bus == NULL || m.fd < 0)
		return false;
	arena_give_fd(a, m.fd);
	if (*bus)
		bus_replace(*bus, m.fd);
	else
		*bus = bus_new(m.fd);
	notices_replace(p, a, m.notices);
	return true;
}

/* All of it or nothing. */
static bool secret_take(str secret, u8 *out, size_t size)
{
	if (secret.n == size)
		memcpy(out, secret.p, size);
	return secret.n == 0 || secret.n == size;
}

static bool on_start(struct process *p, struct decoder *d, struct arena *a)
{
	struct control_start m;
	struct config *config;

	decode_control_start(d, &m);
	if (!decoder_done(d) ||
	    !secret_take(m.ticket_secret, p->ticket_secret, sizeof p->ticket_secret) ||
	    !secret_take(m.permit_secret, p->permit_secret, sizeof p->permit_secret) ||
	    !secret_take(m.tls_ticket_key, p->tls_ticket_key, sizeof p->tls_ticket_key) ||
	    config_decode(p->arena, m.config, &config) != NULL)
		return false;
	p->config = config;
	if (m.address_table >= 0)
		p->address_table = arena_give_fd(a, m.address_table);
	if (m.ctl >= 0)
		p->ctl = arena_give_fd(a, m.ctl);
	p->control->jail.uid = m.uid;
	p->control->jail.gid = m.gid;
	p->control->started = true;
	return true;
}

static bool on_peer(struct process *p, struct decoder *d, struct arena *a)
{
	struct control_peer m;

	decode_control_peer(d, &m);
	if (!decoder_done(d) || m.fd < 0)
		return false;
	if (p->peer == NULL)
		return true;
	arena_give_fd(a, m.fd);
	if (m.notices >= 0)
		arena_give_fd(a, m.notices);
	p->peer(p, m.role, m.instance, m.fd, m.notices);
	return true;
}

void process_log_level(const struct config *c)
{
	static const char *const names[] = { "debug", "info", "warn", "error" };

	for (int i = 0; i < (int)ARRAY_LEN(names); i++)
		if (str_eq(c->server_log, str_cstr(names[i])))
			log_level_set((enum log_level)i);
}

static bool on_reload(struct process *p, struct decoder *d)
{
	struct control_reload m;
	const struct config *config;

	decode_control_reload(d, &m);
	if (!decoder_done(d) ||
	    !secret_take(m.tls_ticket_key, p->tls_ticket_key, sizeof p->tls_ticket_key) ||
	    config_history_take(p->control->arena, &p->control->configs, m.config, &config) != NULL)
		return false;
	process_log_level(config);
	if (p->reload)
		p->reload(p, config);
	return true;
}

static void stop(struct process *p)
{
	struct process_control *c = p->control;

	if (c->stopped)
		return;
	c->stopped = true;
	c->deadline = env_monotonic(env_system()) + CONTROL_STOP_MS;
	p->stopping = true;
	if (p->stop)
		p->stop(p);
}

static bool on_message(struct process *p, struct arena *a, const struct frame *f)
{
	struct decoder d = frame_decoder(a, f);

	switch ((enum control)f->number) {
	case CONTROL_LISTENER:
		return on_listener(p, &d, a);
	case CONTROL_BUS:
		return on_bus(p, &d, a);
	case CONTROL_START:
		return on_start(p, &d, a);
	case CONTROL_PEER:
		return on_peer(p, &d, a);
	case CONTROL_RELOAD:
		return on_reload(p, &d);
	case CONTROL_STOP:
		stop(p);
		return decoder_done(&d);
	case CONTROL_READY:
		break;
	}
	return false;
}

/* One message, waiting at most ms for it. FRAME_AGAIN: none came. */
static enum frame_result hear(struct process *p, int ms)
{
	struct pollfd at = { .fd = p->control->fd, .events = POLLIN };
	struct arena *a = NULL;
	struct frame f;
	enum frame_result got;

	if (poll(&at, 1, ms) <= 0)
		return FRAME_AGAIN;
	got = frame_receive(p->control->fd, p->control->scratch, &a, &f);
	if (got == FRAME_OK && !on_message(p, a, &f))
		got = FRAME_BAD;
	arena_free(&a);
	return got;
}

/* --- The control thread -------------------------------------------------------------------------------------- */

/* A server that restarts comes back through parent; one that stays away has dropped us, and we are the broken one. */
static void watch_servers(struct process *p)
{
	struct bus *all[] = { p->office, p->login, p->sign, p->relay };

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (all[i] && bus_lost_ms(all[i]) > LOST_MS && !p->control->stopped) {
			LOG(ERROR, "process.dropped", LOG_U64("server", i));
			stop(p);
		}
	}
}

static int time_left(const struct process_control *c)
{
	u64 now = env_monotonic(env_system());

	if (!c->stopped)
		return WATCH_MS;
	return c->deadline > now ? (int)(c->deadline - now) : 0;
}

/* That we are ready, or still there. A parent that stands still itself takes no more of it after a while. */
static void say_ready(const struct process_control *c)
{
	struct frame_out o;

	frame_begin(&o, 0, CONTROL_READY, FRAME_INLINE);
	CHECK(frame_end(&o));
	(void)frame_send(&o, c->fd);
	frame_free(&o);
}

static void *control_run(void *context)
{
	struct process *p = context;
	struct process_control *c = p->control;

	while (!c->stopped || time_left(c) > 0) {
		enum frame_result got = hear(p, time_left(c));

		if (got == FRAME_END || got == FRAME_BAD) {
			stop(p);
			poll(NULL, 0, time_left(c));
		}
		watch_servers(p);
		say_ready(c);
	}
	LOG(WARN, "process.out_of_time", LOG_CSTR("text", "did not stop when told"));
	log_flush();
	_exit(OUT_OF_TIME);
}

void process_ready(struct process *p)
{
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, CONTROL_STACK);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	CHECK(pthread_create(&thread, &attributes, control_run, p) == 0);
	pthread_attr_destroy(&attributes);
	drill_start(p);
	say_ready(p->control);
}

/* --- From re-exec to the end --------------------------------------------------------------------------------- */

/* Ctrl-C and a stopping service manager signal everybody; the order to stop comes from parent. */
static void ignore_signals(void)
{
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
}

static struct process *process_new(enum role role, u32 instance, int control_fd)
{
	struct arena *a = arena_new(PROCESS_ARENA);
	struct process *p = arena_new_of(a, struct process);

	p->role = role;
	p->instance = instance;
	p->arena = a;
	p->notices = p->address_table = p->ctl = -1;
	p->listeners = arena_array_of(a, LISTENERS_MAX, struct process_listener);
	p->control = arena_new_of(a, struct process_control);
	p->control->fd = control_fd;
	p->control->arena = arena_new(PROCESS_ARENA);
	return p;
}

static const struct fail *wait_for_start(struct process *p)
{
	static const struct fail gone = FAIL_STATIC(UNAVAILABLE, "parent is gone");

	while (!p->control->started) {
		enum frame_result got = hear(p, -1);
		if (got == FRAME_END || got == FRAME_BAD)
			return &gone;
	}
	process_log_level(p->config);
	return NULL;
}

static void jail_fill(struct process *p, const struct process_role *r)
{
	struct jail *j = &p->control->jail;

	j->allow = r->allow;
	j->files_max = FILES_MAX;
	if (p->listeners_n)
		j->files_max += p->config->limit_connections * FILES_PER_CONNECTION;
	if (r->folder) {
		p->folder = cstr(p->arena, str_format(p->arena, "%.*s/%s",
						      STR_ARG(p->config->server_data), r->folder));
		j->folder = p->folder;
	}
}

static const struct fail *process_run(struct process *p, const struct process_role *r)
{
	TRY(wait_for_start(p));
	drill_configured(p);
	/* Without memory for it libcrypto 3.0 would fall over what is not there at its first use. */
	CHECK(OSSL_LIB_CTX_get0_global_default() != NULL);
	jail_fill(p, r);
	TRY(r->before_jail(p));
	if (!drill_without_jail(p)) {
		TRY(jail_enter(p->arena, &p->control->jail));
		if (p->folder && p->control->jail.uid)
			p->folder = "";
	}
	log_start();
	return r->after_jail(p);
}

int process_main(enum role role, u32 instance, int control_fd)
{
	const struct process_role *r = &process_roles[role];
	struct process *p = process_new(role, instance, control_fd);
	const struct fail *f;

	/* What a process makes is its own affair, whatever a library thinks of modes. */
	umask(0077);
	ignore_signals();
	drill_prepare();
	log_name(r->name, LOG_INFO);
	f = process_run(p, r);
	if (f)
		LOG(ERROR, "process.failed", LOG_FAIL("why", f));
	log_flush();
	return f != NULL;
}
