/*
 * Parent with small children of our own: they come up, a crashed server comes back with new pairs, a second instance is refused, the
 * end is orderly. This program re-executes itself, as postern does.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/env.h"
#include "bus/login.h"
#include "bus/office.h"
#include "bus/relay.h"
#include "bus/sign.h"
#include "parent/parent.h"
#include "serve/process.h"
#include "serve/process_control.h"

enum { UID_BASE = 61200, NOBODY = 65534 };

/* --- The children -------------------------------------------------------------------------------------------- */

static struct bus_server *server;
static atomic_uint mda_calls, peers_with_notices;

static void dispatch(void *context, struct bus_call *call)
{
	struct process *p = context;

	if (p->role == ROLE_OFFICE && call->method->number == 94) /* verify: crash, please */
		abort();
	if (p->role == ROLE_OFFICE && call->method->number == 95) {
		struct office_status_answer *r = call->answer;
		r->queued = (u64)getpid();
		r->accounts = mda_calls;
		r->messages = peers_with_notices;
		r->events = p->config->mail_hops;
	}
	mda_calls += call->peer.role == CALLER_MDA;
	bus_answer(&call, NULL);
}

static void fake_peer(struct process *p, u32 role, u32 instance, int fd, int notices)
{
	(void)p;
	peers_with_notices += notices >= 0;
	if (notices >= 0)
		close(notices);
	bus_server_add(server, fd, role, instance);
}

static void fake_reload(struct process *p, const struct config *config)
{
	p->config = config;
}

static void fake_stop(struct process *p)
{
	(void)p;
	bus_server_stop(server);
}

static const struct fail *fake_before(struct process *p)
{
	(void)p;
	return NULL;
}

static const struct fail *serve(struct process *p, const struct bus_method *methods, size_t n)
{
	server = bus_server_new(methods, n, dispatch, NULL, p);
	if (p->ctl >= 0)
		bus_server_listen(server, p->ctl, CALLER_CTL);
	p->peer = fake_peer;
	p->reload = fake_reload;
	p->stop = fake_stop;
	process_ready(p);
	bus_server_run(server);
	return NULL;
}

static const struct fail *office_fake(struct process *p)
{
	return serve(p, office_methods, office_methods_n);
}

static const struct fail *login_fake(struct process *p)
{
	return serve(p, login_methods, login_methods_n);
}

static const struct fail *sign_fake(struct process *p)
{
	return serve(p, sign_methods, sign_methods_n);
}

static const struct fail *relay_fake(struct process *p)
{
	return serve(p, relay_methods, relay_methods_n);
}

/* Asks the office for work again and again, whether it is there or not. */
static const struct fail *mda_fake(struct process *p)
{
	struct office_next_job_request q = { .max = 1 };
	struct office_next_job_answer r;

	process_ready(p);
	while (!p->stopping) {
		struct arena *a = arena_new(1 << 16);

		(void)!office_next_job(a, p->office, &q, &r);
		arena_free(&a);
		poll(NULL, 0, 5);
	}
	return NULL;
}

static const struct fail *edge_fake(struct process *p)
{
	bool complete = p->office && p->sign && p->relay && p->address_table >= 0 &&
			(p->role == ROLE_MX || (p->login && p->notices >= 0));

	if (!complete || p->listeners_n != (p->role == ROLE_MX ? 1 : 0))
		return fail_new(p->arena, FAIL_INTERNAL, "something was not handed over");
	process_ready(p);
	while (!p->stopping)
		poll(NULL, 0, 5);
	return NULL;
}

#define mx_fake edge_fake
#define client_fake edge_fake

const struct process_role process_roles[ROLES] = {
#define ROLE_ROW(ROLE, name_, caller_, allow_, folder_)    \
	[ROLE_##ROLE] = { .name = #name_,                  \
			  .caller = (caller_),             \
			  .allow = (allow_) | JAIL_ACCEPT, \
			  .folder = (folder_),             \
			  .before_jail = fake_before,      \
			  .after_jail = name_##_fake },
#include "serve/process_roles.tbl"
#undef ROLE_ROW
};

/* --- The tests ----------------------------------------------------------------------------------------------- */

struct fixture {
	char folder[32];
	struct arena *arena;
	struct config *config;
	struct parent_options options;
	pid_t pid;
	int ready[2];
	bool as_user;
};

static void say_ready(void *context)
{
	assert_int_equal(write(((struct fixture *)context)->ready[1], "r", 1), 1);
}

static int setup_as(void **state, bool as_user)
{
	struct fixture *x = calloc(1, sizeof *x);

	snprintf(x->folder, sizeof x->folder, "/tmp/parent-test-XXXXXX");
	assert_non_null(mkdtemp(x->folder));
	x->as_user = as_user && geteuid() == 0;
	if (x->as_user)
		assert_int_equal(chown(x->folder, NOBODY, NOBODY), 0);
	x->arena = arena_new(1 << 22);
	x->config = config_default(x->arena);
#define SETTING(section, name, type, default_, low, high, help) \
	if (str_eq(S(#section), S("listen")))                   \
		assert_null(config_set(x->arena, x->config, S(#section "." #name "=")));
#include "config/config.tbl"
#undef SETTING
	assert_null(config_set(x->arena, x->config, S("listen.smtp=127.0.0.1:18425")));
	assert_null(
	    config_set(x->arena, x->config, str_format(x->arena, "server.data=%s", x->folder)));
	assert_int_equal(pipe2(x->ready, O_CLOEXEC), 0);
	x->options = (struct parent_options){ .config = x->config,
					      .uid_base = as_user ? 0 : UID_BASE,
					      .ready = say_ready,
					      .context = x };
	*state = x;
	return 0;
}

static int setup(void **state)
{
	return setup_as(state, false);
}

static int setup_user(void **state)
{
	return setup_as(state, true);
}

static pid_t start(struct fixture *x)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	if (x->as_user && (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY)))
		_exit(99);
	prctl(PR_SET_DUMPABLE, 1); /* as one that never was another user */
	_exit(parent_run(x->arena, &x->options));
}

static void wait_ready(struct fixture *x)
{
	struct pollfd at = { .fd = x->ready[0], .events = POLLIN };
	char byte;

	assert_int_equal(poll(&at, 1, 20000), 1);
	assert_int_equal(read(x->ready[0], &byte, 1), 1);
}

static int end(struct fixture *x)
{
	u64 from = env_monotonic(env_system());
	int status;

	kill(x->pid, SIGTERM);
	assert_int_equal(waitpid(x->pid, &status, 0), x->pid);
	assert_true(env_monotonic(env_system()) - from < 5000);
	x->pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static int teardown(void **state)
{
	static const char *const inside[] = { "run", "store", "login", "keys" };
	struct fixture *x = *state;
	char path[80];

	if (x->pid)
		end(x);
	for (size_t i = 0; i < ARRAY_LEN(inside); i++) {
		snprintf(path, sizeof path, "%s/%s", x->folder, inside[i]);
		rmdir(path);
	}
	snprintf(path, sizeof path, "%s/lock", x->folder);
	unlink(path);
	assert_int_equal(rmdir(x->folder), 0); /* nothing was left, no socket either */
	arena_free(&x->arena);
	free(x);
	return 0;
}

static struct bus *connect_office(struct fixture *x)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(at.sun_path, sizeof at.sun_path, "%s/run/office.ctl", x->folder);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
	return bus_new(fd);
}

/* Until the office answers and has heard of mda; its answer. */
static struct office_status_answer status_of(struct fixture *x)
{
	struct office_status_request q = { 0 };
	struct office_status_answer r = { 0 };
	struct bus *b = connect_office(x);

	for (int i = 0; i < 400 && (r.accounts == 0 || r.messages == 0); i++) {
		if (office_status(x->arena, b, &q, &r) != NULL) {
			bus_free(&b);
			b = connect_office(x);
		}
		poll(NULL, 0, 20);
	}
	bus_free(&b);
	return r;
}

static void crash_office(struct fixture *x)
{
	struct office_verify_request q = { 0 };
	struct office_verify_answer r;
	struct bus *b = connect_office(x);
	const struct fail *f = office_verify(x->arena, b, &q, &r);

	assert_non_null(f);
	assert_int_equal(f->what, FAIL_UNAVAILABLE);
	bus_free(&b);
}

static void test_life(void **state)
{
	struct fixture *x = *state;
	struct office_status_answer first, second;
	struct stat st;
	char path[80];
	int status;
	pid_t other;

	x->pid = start(x);
	wait_ready(x);
	first = status_of(x);
	assert_true(first.accounts > 0);
	assert_int_equal(first.messages, 1); /* the notice pair of the one client edge */

	snprintf(path, sizeof path, "%s/store", x->folder);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	if (geteuid() == 0 && !x->as_user)
		assert_int_equal(st.st_uid, UID_BASE + ROLE_OFFICE);
	snprintf(path, sizeof path, "%s/run/office.ctl", x->folder);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);

	crash_office(x);
	second = status_of(x);
	assert_int_not_equal(first.queued, second.queued); /* another process */
	assert_true(second.accounts > 0);                  /* mda has a new pair */
	assert_int_equal(second.messages, 1);

	other = start(x);
	assert_int_equal(waitpid(other, &status, 0), other);
	assert_int_equal(WEXITSTATUS(status), 7);
	assert_true(status_of(x).accounts > 0); /* the first did not feel it */
	assert_int_equal(end(x), 0);
}

/* A good file is pushed to the children; a bad one changes nothing. */
static void test_reload(void **state)
{
	struct fixture *x = *state;
	char path[] = "/tmp/parent-test-conf";
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644), tries;

	x->options.config_path = S("/tmp/parent-test-conf");
	x->pid = start(x);
	wait_ready(x);
	assert_int_equal(status_of(x).events, 50);
	assert_true(write(fd, "[mail]\nhops = 77\n", 17) == 17);
	kill(x->pid, SIGHUP);
	for (tries = 0; tries < 100 && status_of(x).events != 77; tries++)
		poll(NULL, 0, 20);
	assert_int_equal(status_of(x).events, 77);
	assert_true(write(fd, "hops = 5\n", 9) == 9);
	kill(x->pid, SIGHUP);
	poll(NULL, 0, 200);
	assert_int_equal(status_of(x).events, 77);
	close(fd);
	unlink(path);
	assert_int_equal(end(x), 0);
}

/* How many of the children that parent had at the start it still has; the first call lists them. */
static int children_left(struct fixture *x, pid_t *children, int *n)
{
	char path[64];
	int left = 0;
	FILE *f;

	if (*n == 0) {
		snprintf(path, sizeof path, "/proc/%d/task/%d/children", x->pid, x->pid);
		f = fopen(path, "re");
		assert_non_null(f);
		while (*n < ROLES && fscanf(f, "%d", &children[*n]) == 1)
			++*n;
		fclose(f);
	}
	for (int i = 0; i < *n; i++)
		left += kill(children[i], 0) == 0;
	return left;
}

/* One that stands still is killed and comes anew; the others, who only have nothing to do, stay. */
static void test_hung(void **state)
{
	struct fixture *x = *state;
	struct office_status_answer first, second;
	pid_t children[ROLES];
	int n = 0;

	x->options.silence_ms = 15000; /* they speak every five seconds */
	x->pid = start(x);
	wait_ready(x);
	first = status_of(x);
	assert_int_equal(children_left(x, children, &n), ROLES);
	kill((pid_t)first.queued, SIGSTOP);
	second = status_of(x);
	assert_true(second.queued != 0 && second.queued != first.queued);
	assert_int_equal(second.messages, 1);
	assert_int_equal(children_left(x, children, &n), ROLES - 1);
	assert_int_equal(end(x), 0);
}

static int oom_score_adj(pid_t pid)
{
	char path[64], text[16] = "";
	int fd;

	snprintf(path, sizeof path, "/proc/%d/oom_score_adj", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && read(fd, text, sizeof text - 1) > 0);
	close(fd);
	return (int)strtol(text, NULL, 10);
}

/* Memory runs out: parent is not the first to go, whoever started it; its children are what it was told to be, also those that come later. */
static void test_out_of_memory(void **state)
{
	struct fixture *x = *state;
	int given = oom_score_adj(getpid());
	pid_t office;

	x->pid = start(x);
	wait_ready(x);
	for (int i = 0; i < 2; i++) {
		office = (pid_t)status_of(x).queued;
		assert_true(oom_score_adj(x->pid) < oom_score_adj(office));
		if (oom_score_adj(x->pid) < given) /* containers often may not */
			assert_int_equal(oom_score_adj(office), given);
		crash_office(x);
	}
	assert_int_equal(end(x), 0);
}

/* When parent is killed outright, its children end by themselves. */
static void test_parent_killed(void **state)
{
	struct fixture *x = *state;
	pid_t office;
	char path[80];
	int i;

	x->pid = start(x);
	wait_ready(x);
	office = (pid_t)status_of(x).queued;
	kill(x->pid, SIGKILL);
	waitpid(x->pid, NULL, 0);
	x->pid = 0;
	for (i = 0; i < 300 && kill(office, 0) == 0; i++)
		poll(NULL, 0, 20);
	assert_true(i < 300);
	static const char *const names[] = { "office", "login", "sign" };
	for (i = 0; i < 3; i++) {
		snprintf(path, sizeof path, "%s/run/%s.ctl", x->folder, names[i]);
		unlink(path);
	}
}

static void test_port_taken(void **state)
{
	struct fixture *x = *state;
	int status;
	pid_t pid;

	assert_null(config_set(x->arena, x->config, S("listen.smtp=192.0.2.1:25")));
	pid = start(x);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 1);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_life, setup, teardown),
		cmocka_unit_test_setup_teardown(test_life, setup_user, teardown),
		cmocka_unit_test_setup_teardown(test_reload, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hung, setup, teardown),
		cmocka_unit_test_setup_teardown(test_out_of_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_out_of_memory, setup_user, teardown),
		cmocka_unit_test_setup_teardown(test_parent_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_port_taken, setup, teardown),
	};
	u64 instance;

	if (argc != 3 || argv[1][0] != '@')
		return cmocka_run_group_tests(tests, NULL, NULL);
	for (int role = 0; role < ROLES; role++)
		if (strcmp(argv[1] + 1, process_roles[role].name) == 0 &&
		    str_u64(str_cstr(argv[2]), &instance))
			return process_main((enum role)role, (u32)instance, CONTROL_FD);
	return 2;
}
