/*
 * The parent's life: see parent.h. In this order: who the children will be, the data folder and its lock, sockets, secrets, children
 * (servers first); then one epoll loop over signals and control sockets. Timers are the earliest of: a child to start again, keys to
 * renew, a look at who is hung.
 */
#include "parent/parent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/env.h"
#include "base/fd.h"
#include "base/log.h"
#include "bus/frame.h"
#include "parent/parent_int.h"
#include "serve/process_control.h"

enum {
	PARENT_ARENA = 1 << 30,
	EVENTS = 32,
	STOP_MS = 4800,       /* all stages together */
	EDGES_STOP_MS = 3300, /* of it, sessions get 3 s to say goodbye */
	STAGE_LEAST_MS =
	    200, /* is left for each stage that follows; the office needs most: it closes the database */
	STAGE_LAST = 4,
	CONFIG_FILE_MAX = 1 << 20,
};

static u64 now_ms(void)
{
	return env_monotonic(env_system());
}

/* --- Setting up ---------------------------------------------------------------------------------------------- */

static void keys_renew(struct parent *p)
{
	const struct env *e = env_system();

	e->random(e->context, p->ticket_keys, sizeof p->ticket_keys);
	p->next_key = now_ms() + TICKET_KEY_MS;
}

static void children_list(struct parent *p)
{
	static const enum role order[] = {
#define ROLE_ROW(ROLE, name, caller, allow, folder) ROLE_##ROLE,
#include "serve/process_roles.tbl"
#undef ROLE_ROW
	};

	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		u32 n = role_is_edge(order[i]) ? (u32)p->config->server_edges : 1;

		for (u32 k = 0; k < n; k++) {
			CHECK(p->children_n < CHILDREN_MAX);
			p->children[p->children_n++] =
			    (struct child){ .role = order[i], .instance = k, .control = -1 };
		}
	}
}

static const struct fail *addresses_make(struct parent *p)
{
	TRY(address_table_new(p->arena, 2 * (u32)p->config->server_edges, &p->address_fd));
	return address_table_open(p->arena, p->address_fd, 0, &p->addresses);
}

/* Descriptors of listeners and pairs, ours and in flight, count against the soft limit. */
static void files_raise(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l);
	}
}

static const struct fail *signals_take(struct parent *p, sigset_t *before)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = NULL };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, before);
	p->signals = arena_own_fd(p->arena, signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
	p->epoll = arena_own_fd(p->arena, epoll_create1(EPOLL_CLOEXEC));
	if (p->signals < 0 || p->epoll < 0 ||
	    epoll_ctl(p->epoll, EPOLL_CTL_ADD, p->signals, &e) != 0)
		return fail_errno(p->arena, errno, "signals");
	return NULL;
}

static const struct fail *parent_prepare(struct parent *p, bool *in_use)
{
	const struct env *e = env_system();

	files_raise();
	memory_protect(p);
	p->program = arena_own_fd(p->arena, open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
	if (p->program < 0)
		return fail_errno(p->arena, errno, "opening our own program");
	TRY(upgrade_remember(p));
	TRY(identities_find(p));
	TRY(folders_prepare(p, in_use));
	TRY(listeners_bind(p));
	TRY(addresses_make(p));
	e->random(e->context, p->ticket_secret, sizeof p->ticket_secret);
	e->random(e->context, p->permit_secret, sizeof p->permit_secret);
	keys_renew(p);
	children_list(p);
	return NULL;
}

/* --- Children come and go ------------------------------------------------------------------------------------ */

static void back_off(struct child *c, u64 now, bool in_order)
{
	if (in_order && c->reloaded) {
		c->reloaded = false;
		c->again = now;
		return;
	}
	if (now - c->started >= BACK_OFF_FORGET_MS)
		c->back_off = 0;
	c->back_off = c->back_off ? c->back_off * 2 : BACK_OFF_FIRST_MS;
	if (c->back_off > BACK_OFF_MOST_MS)
		c->back_off = BACK_OFF_MOST_MS;
	c->again = now + c->back_off;
}

static void child_ended(struct parent *p, struct child *c, int status)
{
	const char *name = process_roles[c->role].name;

	if (WIFSIGNALED(status))
		LOG(ERROR, "parent.child_killed", LOG_CSTR("child", name),
		    LOG_U64("instance", c->instance), LOG_U64("signal", (u64)WTERMSIG(status)));
	else
		LOG(INFO, "parent.child_ended", LOG_CSTR("child", name),
		    LOG_U64("instance", c->instance), LOG_U64("status", (u64)WEXITSTATUS(status)));
	c->pid = 0;
	fd_close(&c->control);
	if (role_is_edge(c->role))
		address_table_clear(p->addresses,
				    address_table_column(c->instance, c->role == ROLE_CLIENT));
	back_off(c, now_ms(), WIFEXITED(status) && WEXITSTATUS(status) == 0);
	if (!p->was_ready && !c->ready && ++c->failures >= START_FAILURES) {
		LOG(ERROR, "parent.cannot_start", LOG_CSTR("child", name));
		p->failed = true;
	}
}

static void reap(struct parent *p)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (size_t i = 0; i < p->children_n; i++)
			if (p->children[i].pid == pid)
				child_ended(p, &p->children[i], status);
}

static void tell_when_all_ready(struct parent *p)
{
	for (size_t i = 0; i < p->children_n; i++)
		if (!p->children[i].ready)
			return;
	if (p->was_ready)
		return;
	p->was_ready = true;
	LOG(INFO, "parent.ready", LOG_U64("children", p->children_n));
	if (p->options->ready)
		p->options->ready(p->options->context);
}

/* All that a child can say is that it is ready: once when it is, and then again and again. */
static void child_speaks(struct parent *p, struct child *c)
{
	struct arena *a = NULL;
	struct frame f;
	enum frame_result got;

	if (c->control < 0)
		return;
	got = frame_receive(c->control, p->scratch, &a, &f);
	if (got == FRAME_OK && f.number == CONTROL_READY && f.body.n == 0 && f.fds_n == 0)
		c->ready = c->heard = true;
	else if (got != FRAME_AGAIN)
		child_kill(
		    c); /* what is left of it is dead or mad; the rest follows when it is reaped */
	if (got == FRAME_END)
		epoll_ctl(p->epoll, EPOLL_CTL_DEL, c->control, NULL);
	arena_free(&a);
	tell_when_all_ready(p);
}

static void start_due(struct parent *p)
{
	u64 now = now_ms();

	for (size_t i = 0; i < p->children_n; i++) {
		struct child *c = &p->children[i];

		if (c->pid == 0 && now >= c->again)
			child_spawn(p, c);
		else if (c->pid && !c->ready && now - c->started > READY_MS)
			child_kill(c);
	}
}

/* A child that stands still is no use to those who wait for it, and nobody else would end it. */
static void look_for_hung(struct parent *p)
{
	u64 silence = p->options->silence_ms ?: SILENCE_MS, now = now_ms();

	if (now < p->next_look)
		return;
	p->next_look = now + silence / SILENCE_LOOKS;
	for (size_t i = 0; i < p->children_n; i++) {
		struct child *c = &p->children[i];

		c->silent = c->heard || !c->ready ? 0 : c->silent + 1;
		c->heard = false;
		if (c->pid == 0 || c->silent < SILENCE_LOOKS)
			continue;
		LOG(ERROR, "parent.child_hung", LOG_CSTR("child", process_roles[c->role].name),
		    LOG_U64("instance", c->instance));
		c->silent = 0;
		child_kill(c);
	}
}

/* --- Reload -------------------------------------------------------------------------------------------------- */

static const struct fail *config_read(struct parent *p, struct arena *a, struct config **out)
{
	str path = p->options->config_path, text;
	const char *name = cstr(a, path);
	off_t size;
	int fd;

	if (path.n == 0 || name == NULL)
		return fail_new(a, FAIL_NOT_FOUND, "this instance has no configuration file");
	fd = arena_own_fd(a, open(name, O_RDONLY | O_CLOEXEC));
	size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
	if (size < 0 || size > CONFIG_FILE_MAX)
		return fail_errno(a, errno ?: EFBIG, name);
	TRY(fd_read(a, fd, 0, (size_t)size, &text));
	return config_load(a, path, text, out);
}

/* What was bound or laid out at the start stays until the next start. */
static void keep_fixed(struct config *c, const struct config *old)
{
	c->server_data = old->server_data;
	c->server_edges = old->server_edges;
	c->listen_smtp = old->listen_smtp;
	c->listen_lmtp = old->listen_lmtp;
	c->listen_submissions = old->listen_submissions;
	c->listen_submission = old->listen_submission;
	c->listen_imap = old->listen_imap;
	c->listen_imaps = old->listen_imaps;
	c->listen_pop3 = old->listen_pop3;
	c->listen_pop3s = old->listen_pop3s;
}

static const struct fail *config_replace(struct parent *p, struct arena *a)
{
	struct config *c;
	str wanted, possible;

	TRY(config_read(p, a, &c));
	wanted = config_encode(a, c);
	keep_fixed(c, p->config);
	possible = config_encode(a, c);
	TRY(config_history_take(p->arena, &p->configs, possible, &p->config));
	if (!str_eq(wanted, possible))
		LOG(WARN, "parent.reload_partly",
		    LOG_CSTR("text",
			     "server.data, server.edges and [listen] change at the next start"));
	return NULL;
}

static void reload(struct parent *p)
{
	struct arena *a = arena_new(PARENT_ARENA);
	const struct fail *f = config_replace(p, a);

	if (f)
		LOG(ERROR, "parent.reload_refused", LOG_FAIL("why", f));
	arena_free(&a);
	if (f)
		return;
	process_log_level(p->config);
	for (size_t i = 0; i < p->children_n; i++) {
		p->children[i].reloaded = true;
		child_reload(p, &p->children[i]);
	}
	LOG(INFO, "parent.reloaded", LOG_STR("file", p->options->config_path));
}

static void renew_due_keys(struct parent *p)
{
	if (now_ms() < p->next_key)
		return;
	keys_renew(p);
	for (size_t i = 0; i < p->children_n; i++)
		if (role_is_edge(p->children[i].role))
			child_reload(p, &p->children[i]);
}

/* --- Upgrade ------------------------------------------------------------------------------------------------- */

/* True when it is time to stop, for another program to go on. */
static bool upgrade(struct parent *p)
{
	const struct fail *f =
	    p->options->upgrade ? upgrade_check(p)
				: fail_new(p->arena, FAIL_INVALID, "this instance is not upgraded");

	if (f)
		LOG(ERROR, "parent.upgrade_refused", LOG_FAIL("why", f));
	else
		LOG(INFO, "parent.upgrading", LOG_CSTR("program", p->path));
	p->upgrading = f == NULL;
	return p->upgrading;
}

/* --- The loop ------------------------------------------------------------------------------------------------ */

/* True when it is time to stop. */
static bool signals_read(struct parent *p)
{
	struct signalfd_siginfo s;
	bool stop = false;

	while (read(p->signals, &s, sizeof s) == sizeof s) {
		if (s.ssi_signo == SIGHUP)
			reload(p);
		if (s.ssi_signo == SIGCHLD)
			reap(p);
		if (s.ssi_signo == SIGUSR2 && !stop && !p->ending)
			stop |= upgrade(p);
		if (s.ssi_signo == SIGTERM || s.ssi_signo == SIGINT) {
			stop = true;
			p->upgrading = false;
		}
	}
	return stop;
}

static int until(u64 when)
{
	u64 now = now_ms();

	return when > now ? (int)(when - now) : 0;
}

static u64 next_timer(const struct parent *p)
{
	u64 next = p->next_key < p->next_look ? p->next_key : p->next_look;

	for (size_t i = 0; i < p->children_n; i++) {
		const struct child *c = &p->children[i];
		u64 at = c->pid == 0 ? c->again : c->ready ? next : c->started + READY_MS + 1;

		next = at < next ? at : next;
	}
	return next;
}

/* Handles what comes until `when`; true when told to stop. */
static bool events_handle(struct parent *p, u64 when)
{
	struct epoll_event e[EVENTS];
	int n = epoll_wait(p->epoll, e, EVENTS, until(when));
	bool stop = false;

	CHECK(n >= 0 || errno == EINTR);
	for (int i = 0; i < n; i++) {
		if (e[i].data.ptr)
			child_speaks(p, e[i].data.ptr);
		else
			stop = signals_read(p);
	}
	return stop;
}

static void parent_loop(struct parent *p)
{
	while (!p->failed) {
		start_due(p);
		look_for_hung(p);
		renew_due_keys(p);
		if (events_handle(p, next_timer(p)))
			return;
	}
}

/* --- The end ------------------------------------------------------------------------------------------------- */

/* Clients before their servers, so that what they have begun can be finished. */
static int stage_of(enum role role)
{
	switch (role) {
	case ROLE_MX:
	case ROLE_CLIENT:
		return 0;
	case ROLE_MDA:
		return 1;
	case ROLE_RELAY:
		return 2;
	case ROLE_OFFICE:
		return 3;
	case ROLE_SIGN:
	case ROLE_LOGIN:
	case ROLES:
		break;
	}
	return 4;
}

static bool stage_lives(const struct parent *p, int stage)
{
	for (size_t i = 0; i < p->children_n; i++)
		if (p->children[i].pid && stage_of(p->children[i].role) == stage)
			return true;
	return false;
}

static void stage_end(struct parent *p, int stage, u64 end)
{
	for (size_t i = 0; i < p->children_n; i++)
		if (stage_of(p->children[i].role) == stage)
			child_say(&p->children[i], CONTROL_STOP);
	while (stage_lives(p, stage) && now_ms() < end)
		events_handle(p, end);
	for (size_t i = 0; i < p->children_n; i++)
		if (stage_of(p->children[i].role) == stage)
			child_kill(&p->children[i]);
}

static void children_end(struct parent *p)
{
	u64 now = now_ms(), end = now + 2 * CONTROL_STOP_MS;

	stage_end(p, 0, now + EDGES_STOP_MS);
	for (int stage = 1; stage <= STAGE_LAST; stage++)
		stage_end(p, stage, now + STOP_MS - (u64)(STAGE_LAST - stage) * STAGE_LEAST_MS);
	for (int stage = 0; stage <= STAGE_LAST; stage++)
		while (stage_lives(p, stage) && now_ms() < end)
			events_handle(p, end);
}

static struct parent *parent_new(const struct parent_options *o)
{
	struct arena *a = arena_new(PARENT_ARENA);
	struct parent *p = arena_new_of(a, struct parent);

	p->arena = a;
	p->options = o;
	p->config = o->config;
	p->run_folder = p->address_fd = -1;
	for (int i = 0; i < ROLES; i++)
		p->ctl[i] = -1;
	return p;
}

int parent_run(struct arena *a, const struct parent_options *o)
{
	struct parent *p = parent_new(o);
	struct arena *mine = p->arena;
	const struct fail *f;
	bool in_use = false;
	sigset_t before;
	int status;

	log_name("parent", LOG_INFO);
	process_log_level(o->config);
	f = signals_take(p, &before);
	if (f == NULL)
		f = parent_prepare(p, &in_use);
	if (f == NULL) {
		parent_loop(p);
		p->ending = true;
		children_end(p);
	} else {
		fprintf(stderr, "postern: %.*s\n", STR_ARG(fail_chain(a, f)));
	}
	if (!in_use)
		folders_release(p);
	memory_release(p);
	if (p->upgrading) {
		upgrade_run(p);
		LOG(ERROR, "parent.upgrade_failed", LOG_U64("errno", (u64)errno));
		p->failed = true;
	}
	status = f && f->what == FAIL_CONFLICT ? STATUS_IN_USE : f != NULL || p->failed;
	arena_free(&mine);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return status;
}
