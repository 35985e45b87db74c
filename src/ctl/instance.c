#include "ctl/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void say_ready(void *context)
{
	int *pipe_end = context;

	if (write(*pipe_end, "r", 1) < 0)
		return; /* the command is gone: PR_SET_PDEATHSIG ends us */
	close(*pipe_end);
	*pipe_end = -1;
}

static void block_signals(sigset_t *set, bool block)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);  /* of a terminal that was closed */
	sigaddset(set, SIGPIPE); /* whoever read what we print is gone */
	sigaddset(set, SIGCHLD);
	sigprocmask(block ? SIG_BLOCK : SIG_UNBLOCK, set, NULL);
}

static _Noreturn void run_child(struct arena *a, const struct parent_options *o, int pipe_end)
{
	struct parent_options mine = *o;
	sigset_t set;

	block_signals(&set, false);
	/* Its own group: Ctrl-C comes to the command, which then stops us in order. */
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	mine.ready = say_ready;
	mine.context = &pipe_end;
	_exit(parent_run(a, &mine));
}

void instance_hold_signals(void)
{
	sigset_t set;

	block_signals(&set, true);
}

const struct fail *instance_start(struct arena *a, const struct parent_options *o,
				  struct instance *out)
{
	int ends[2], status;
	ssize_t n;
	char byte;

	if (pipe2(ends, O_CLOEXEC) != 0)
		return fail_errno(a, errno, "pipe");
	instance_hold_signals();
	out->pid = fork();
	if (out->pid < 0)
		return fail_errno(a, errno, "fork");
	if (out->pid == 0) {
		close(ends[0]);
		run_child(a, o, ends[1]);
	}
	close(ends[1]);
	do
		n = read(ends[0], &byte, 1);
	while (n < 0 && errno == EINTR);
	close(ends[0]);
	if (n == 1)
		return NULL;
	waitpid(out->pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_CONFLICT)
		return fail_new(a, FAIL_CONFLICT, "something is in use, said above");
	return fail_new(a, FAIL_INTERNAL, "it did not start; the log above says why");
}

int instance_stop(struct instance *i)
{
	int status = 0;

	kill(i->pid, SIGTERM);
	while (waitpid(i->pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILED;
}

int instance_wait(struct instance *i)
{
	sigset_t set;
	siginfo_t info;
	int status;

	block_signals(&set, true);
	for (;;) {
		if (sigwaitinfo(&set, &info) < 0)
			continue;
		if (info.si_signo != SIGCHLD)
			return instance_stop(i);
		if (waitpid(i->pid, &status, WNOHANG) == i->pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILED;
	}
}
