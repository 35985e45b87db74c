/*
 * Another program in the place of this one, under load (SIGUSR2; THREATS F29): asked first whether it takes the configuration; then all
 * children end in order, as at a stop, while the listening sockets stay open; then it is executed in this process, with the command
 * line this one has, and finds the sockets by POSTERN_LISTENERS. Whoever connects between waits in the kernel's queue: nobody is refused.
 * The signals parent takes stay blocked all the while, so that none is lost.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/fd.h"
#include "parent/parent_int.h"

enum {
	CHECK_MS = 5000,
	CHECK_STEP_MS = 20,
	ARGUMENTS_MAX = 1 << 17,
	FD_DIGITS = 12,
};

#define LISTENERS_NAME "POSTERN_LISTENERS"

const struct fail *upgrade_remember(struct parent *p)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);

	if (n < 0)
		return fail_errno(p->arena, errno, "finding our own program");
	p->path = cstr(p->arena, str_copy(p->arena, str_from(path, (size_t)n)));
	return NULL;
}

/* --- Before: is it any good? ---------------------------------------------------------------------------------- */

static _Noreturn void ask(struct parent *p)
{
	str option = str_format(p->arena, "--config=%.*s", STR_ARG(p->options->config_path));
	char *argv[] = { (char *)(uintptr_t) "postern", (char *)(uintptr_t) "config",
			 (char *)(uintptr_t) "check", (char *)(uintptr_t)cstr(p->arena, option),
			 NULL },
	     *environment[] = { NULL };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int program = open(p->path, O_RDONLY | O_CLOEXEC);
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (program >= 0 && dup2(null, 0) == 0 && dup2(null, 1) == 1)
		fexecve(program, argv, environment);
	_exit(127);
}

const struct fail *upgrade_check(struct parent *p)
{
	const struct timespec step = { .tv_nsec = CHECK_STEP_MS * 1000000L };
	int status = 0;
	pid_t pid = fork(), ended = 0;

	if (pid < 0)
		return fail_errno(p->arena, errno, "fork");
	if (pid == 0)
		ask(p);
	for (int waited = 0; ended == 0 && waited < CHECK_MS; waited += CHECK_STEP_MS) {
		ended = waitpid(pid, &status, WNOHANG);
		if (ended == 0)
			nanosleep(&step, NULL);
	}
	if (ended == 0) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
	if (ended == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return NULL;
	return fail_new(p->arena, FAIL_INVALID, "%s does not take the configuration", p->path);
}

/* --- The change ------------------------------------------------------------------------------------------------ */

/* The command line of this process, as the kernel has it. */
static char **arguments(struct arena *a)
{
	int fd = arena_own_fd(a, open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC));
	char *bytes = arena_alloc(a, ARGUMENTS_MAX);
	ssize_t got = fd < 0 ? -1 : read(fd, bytes, ARGUMENTS_MAX - 1);
	size_t n = got > 0 ? (size_t)got : 0, count = 0, at = 0;
	char **argv;

	for (size_t i = 0; i < n; i++)
		count += bytes[i] == '\0';
	argv = arena_array_of(a, count + 1, char *);
	for (size_t i = 0; i < count; i++) {
		argv[i] = bytes + at;
		at += strlen(bytes + at) + 1;
	}
	return argv;
}

void upgrade_run(struct parent *p)
{
	struct buf *list = buf_new(p->arena, p->listeners_n * FD_DIGITS + 1);
	int program = arena_own_fd(p->arena, open(p->path, O_RDONLY | O_CLOEXEC));
	const char *text;

	for (size_t i = 0; i < p->listeners_n; i++) {
		int fd = p->listeners[i].fd;

		buf_printf(list, "%d,", fd);
		CHECK(fcntl(fd, F_SETFD, 0) == 0);
	}
	text = cstr(p->arena, buf_str(list));
	CHECK(text && setenv(LISTENERS_NAME, text, 1) == 0);
	if (program >= 0)
		fexecve(program, arguments(p->arena), environ);
}

/* --- After: what the one before left us ------------------------------------------------------------------------ */

static bool listens(int fd)
{
	int on = 0;
	socklen_t n = sizeof on;

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &n) == 0 && on;
}

void upgrade_inherit(struct parent *p)
{
	str list = str_cstr(getenv(LISTENERS_NAME) ?: "");
	size_t end;

	p->inherited = arena_array_of(p->arena, list.n / 2 + 1, int);
	for (; (end = str_find(list, ',')) != SIZE_MAX; list = str_skip(list, end + 1)) {
		u64 fd;

		if (!str_u64(str_slice(list, 0, end), &fd) || fd > INT32_MAX || !listens((int)fd))
			continue;
		CHECK(fcntl((int)fd, F_SETFD, FD_CLOEXEC) == 0);
		p->inherited[p->inherited_n++] = (int)fd;
	}
	unsetenv(LISTENERS_NAME);
}

int upgrade_adopt(struct parent *p, const struct sockaddr_storage *wanted, socklen_t n)
{
	for (size_t i = 0; i < p->inherited_n; i++) {
		struct sockaddr_storage at = { 0 };
		socklen_t size = sizeof at;
		int fd = p->inherited[i];

		if (fd < 0 || getsockname(fd, (struct sockaddr *)&at, &size) != 0 || size != n ||
		    memcmp(&at, wanted, n) != 0)
			continue;
		p->inherited[i] = -1;
		return fd;
	}
	return -1;
}

void upgrade_close_rest(struct parent *p)
{
	for (size_t i = 0; i < p->inherited_n; i++)
		fd_close(&p->inherited[i]);
}
