/* A log that takes no more (THREATS F08): nobody waits, and what is missing is counted and told, with the thread and without. */
#include "base/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

enum { LINES = 20 };

static char path[] = "/tmp/log-test-XXXXXX";

static void to(const char *name)
{
	int fd = open(name, O_WRONLY | O_APPEND | O_CLOEXEC);

	if (fd < 0 || dup2(fd, STDERR_FILENO) < 0)
		_exit(2);
	close(fd);
}

static void say(u64 n)
{
	for (u64 i = 0; i < n; i++)
		LOG(INFO, "test.line", LOG_U64("n", i));
	log_flush();
}

/* The file as text after a child did what `life` says. */
static const char *log_of(void (*life)(bool threaded), bool threaded)
{
	static char text[1 << 16];
	ssize_t n;
	int status, fd;
	pid_t pid;

	memcpy(path, "/tmp/log-test-XXXXXX", sizeof path);
	fd = mkstemp(path);
	assert_true(fd >= 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (threaded)
			log_start();
		life(threaded);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	n = pread(fd, text, sizeof text - 1, 0);
	assert_true(n >= 0);
	text[n] = 0;
	close(fd);
	unlink(path);
	return text;
}

static u32 count(const char *text, const char *word)
{
	u32 n = 0;

	for (; (text = strstr(text, word)); text++)
		n++;
	return n;
}

static void full_twice(bool threaded)
{
	(void)threaded;
	to("/dev/full");
	say(LINES);
	say(LINES);
	to(path);
	say(1);
	to("/dev/full");
	say(LINES);
	to(path);
	say(1);
}

static void test_full(void **state)
{
	(void)state;
	for (int threaded = 0; threaded < 2; threaded++) {
		const char *text = log_of(full_twice, threaded);

		assert_int_equal(count(text, "event=test.line n=0\n"), 2);
		assert_int_equal(count(text, "event=log.dropped"), 2);
		if (threaded)
			continue; /* what was dropped together with a note counts it too */
		assert_int_equal(count(text, "lines=40\n"), 1);
		assert_int_equal(count(text, "lines=60\n"), 1);
	}
}

static void ends_within_a_line(bool threaded)
{
	const struct rlimit most = { 130, RLIM_INFINITY }, none = { RLIM_INFINITY, RLIM_INFINITY };

	(void)threaded;
	signal(SIGXFSZ, SIG_IGN);
	to(path);
	setrlimit(RLIMIT_FSIZE, &most);
	say(2);
	setrlimit(RLIMIT_FSIZE, &none);
	say(1);
}

/* Part of a line was written when the disk was full: what follows begins a new one. */
static void test_torn(void **state)
{
	(void)state;
	for (int threaded = 0; threaded < 2; threaded++) {
		const char *text = log_of(ends_within_a_line, threaded);

		assert_int_equal(count(text, "\nts="), 3);
		assert_int_equal(count(text, "event=log.dropped"), 1);
		assert_int_equal(count(text, "\n"), 4);
	}
}

static void nobody_reads(bool threaded)
{
	int ends[2];

	if (pipe(ends) != 0 || dup2(ends[1], STDERR_FILENO) < 0)
		_exit(2);
	say(10000);
	to(path);
	if (!threaded)
		say(1);
}

/* It comes to its end; the lines that the pipe did not take were counted. */
static void test_nobody_reads(void **state)
{
	(void)state;
	log_of(nobody_reads, true);
	assert_int_equal(count(log_of(nobody_reads, false), "event=log.dropped"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_full),
					    cmocka_unit_test(test_torn),
					    cmocka_unit_test(test_nobody_reads) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
