/*
 * Every profile of the jail, as root and as an ordinary user: what must be refused is, and what a process needs still works. Each
 * row runs in a child of its own that enters the jail for good.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <seccomp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/fd.h"
#include "bus/bus.h"
#include "bus/frame.h"
#include "serve/jail.h"

enum { NOBODY = 65534 };

static char folder[] = "/tmp/jail-test-XXXXXX", secret[64];
static int pair[2], program;
static pid_t parent;

#define MUST(what)                                                                      \
	do {                                                                            \
		if (!(what)) {                                                          \
			dprintf(2, "line %d: %s (errno %d)\n", __LINE__, #what, errno); \
			_exit(1);                                                       \
		}                                                                       \
	} while (0)
#define REFUSED(call) MUST((call) < 0)
/* By seccomp, not because it failed anyway. */
#define FORBIDDEN(call) MUST((call) < 0 && errno == EPERM)

/* --- What must not go ---------------------------------------------------------------------------------------- */

static void forbidden_everywhere(void)
{
	char *const argv[] = { (char *)(uintptr_t) "true", NULL };
	struct iovec v = { &parent, 1 };

	FORBIDDEN(execve("/bin/true", argv, NULL));
	FORBIDDEN((int)syscall(SYS_execveat, program, "", argv, NULL, AT_EMPTY_PATH));
	FORBIDDEN((int)syscall(SYS_fork));
	FORBIDDEN((int)syscall(SYS_vfork));
	MUST((int)syscall(SYS_clone3, NULL, 0) < 0 && errno == ENOSYS);
	FORBIDDEN((int)ptrace(PTRACE_ATTACH, parent, NULL, NULL));
	FORBIDDEN((int)process_vm_readv(parent, &v, 1, &v, 1, 0));
	FORBIDDEN((int)process_vm_writev(parent, &v, 1, &v, 1, 0));
	FORBIDDEN(kill(parent, 0));
	FORBIDDEN(kill(getpid(), SIGTERM));
	FORBIDDEN((int)syscall(SYS_tkill, parent, 0));
	FORBIDDEN(listen(pair[0], 1));
	FORBIDDEN(socket(AF_UNIX, SOCK_SEQPACKET, 0));
	FORBIDDEN(socket(AF_NETLINK, SOCK_RAW, 0));
	FORBIDDEN(socket(AF_INET, SOCK_RAW, 1));
	FORBIDDEN(setuid(0));
	FORBIDDEN(chroot("/"));
	FORBIDDEN((int)syscall(SYS_mount, "x", "/", "tmpfs", 0, NULL));
	FORBIDDEN((int)syscall(SYS_bpf, 0, NULL, 0));
	FORBIDDEN((int)syscall(SYS_io_uring_setup, 1, NULL));
	FORBIDDEN((int)syscall(SYS_userfaultfd, 0));
	FORBIDDEN((int)syscall(SYS_pidfd_open, parent, 0));
	FORBIDDEN(symlink("/etc", "etc"));
	MUST(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
	     MAP_FAILED);
}

static void forbidden_files(unsigned allow)
{
	REFUSED(open("/etc/passwd", O_RDONLY));
	REFUSED(open("/proc/self/mem", O_RDWR));
	REFUSED(open("/proc/1/environ", O_RDONLY));
	REFUSED(open(secret, O_RDONLY));
	REFUSED(open(secret, O_WRONLY));
	REFUSED(open("../jail-test-key", O_RDONLY));
	REFUSED(unlink(secret));
	if (allow & JAIL_FILES)
		return;
	FORBIDDEN(open("mail", O_RDONLY));
	FORBIDDEN(open("new", O_RDWR | O_CREAT, 0600));
	FORBIDDEN(mkdir("x", 0700));
	FORBIDDEN(unlink("mail"));
	FORBIDDEN(rename("mail", "x"));
}

static void forbidden_network(unsigned allow)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };

	if (!(allow & JAIL_ACCEPT))
		FORBIDDEN(accept4(pair[0], NULL, NULL, 0));
	if (allow & JAIL_CONNECT)
		return;
	FORBIDDEN(socket(AF_INET, SOCK_STREAM, 0));
	FORBIDDEN(socket(AF_INET6, SOCK_DGRAM, 0));
	FORBIDDEN(connect(pair[0], (struct sockaddr *)&at, sizeof at));
	FORBIDDEN(bind(pair[0], (struct sockaddr *)&at, sizeof at));
}

/* --- Every call there is ---------------------------------------------------------------------------------------- */

/* What no argument makes wrong. Said again here, name by name: who lets one more through must mean it. */
static const char always[] =
    "munmap mremap madvise brk futex futex_waitv set_robust_list rseq sched_yield sched_getaffinity membarrier exit exit_group "
    "restart_syscall rt_sigaction rt_sigprocmask rt_sigreturn rt_sigtimedwait sigaltstack clock_gettime clock_getres "
    "clock_nanosleep nanosleep gettimeofday time getrandom getpid gettid getuid geteuid getgid getegid uname sysinfo getrusage "
    "read write readv writev pread64 pwrite64 preadv pwritev close fstat lseek sendfile ftruncate fallocate fcntl dup dup3 pipe2 "
    "memfd_create poll ppoll epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd2 timerfd_create timerfd_settime "
    "timerfd_gettime sendmsg recvmsg sendto recvfrom shutdown getsockopt "
    /* some of these: of threads, of an open file; clone3 is said not to exist */
    "clone newfstatat clone3";
static const char to_accept[] = "accept4 getpeername getsockname setsockopt";
static const char to_connect[] =
    "connect bind getpeername getsockname setsockopt sendmmsg recvmmsg";
static const char to_files[] =
    "openat open stat lstat statx access faccessat faccessat2 getcwd readlink readlinkat rename renameat renameat2 unlink unlinkat "
    "mkdir mkdirat rmdir fsync fdatasync fchmod statfs fstatfs getdents64 truncate flock fadvise64 linkat utimensat "
    "sync_file_range copy_file_range";

/* uretprobe and uprobe: the kernel's own, which seccomp never sees (on x86-64; unused elsewhere). */
enum { CALLS = 512, URETPROBE = 335, UPROBE = 336 };

static void mark(bool may[CALLS], const char *names)
{
	str rest = str_cstr(names), name;

	while (rest.n) {
		char text[32];
		int number;

		name = str_slice(rest, 0, str_find(rest, ' '));
		rest = str_skip(rest, name.n + (name.n < rest.n));
		snprintf(text, sizeof text, "%.*s", STR_ARG(name));
		number = seccomp_syscall_resolve_name(text);
		if (number >= 0 && number < CALLS)
			may[number] = true;
	}
}

/* With arguments that are no good for anything: what is let through says another error, or none. */
static void forbidden_rest(unsigned allow)
{
	bool may[CALLS] = { [URETPROBE] = true, [UPROBE] = true };

	mark(may, always);
	if (allow & JAIL_ACCEPT)
		mark(may, to_accept);
	if (allow & JAIL_CONNECT)
		mark(may, to_connect);
	if (allow & JAIL_FILES)
		mark(may, to_files);
	for (long n = 0; n < CALLS; n++) {
		if (may[n])
			continue;
		errno = 0;
		if (syscall(n, -1L, -1L, -1L, -1L, -1L, -1L) != -1 || errno != EPERM) {
			dprintf(2, "call %ld goes through (errno %d)\n", n, errno);
			_exit(1);
		}
	}
}

/* --- What must go -------------------------------------------------------------------------------------------- */

static void *thread(void *p)
{
	void *memory = malloc(1 << 20);

	memset(memory, 1, 1 << 20);
	free(memory);
	*(int *)p = 1;
	return NULL;
}

static void works_threads(void)
{
	pthread_t threads[8];
	int done[8] = { 0 };

	for (int i = 0; i < 8; i++)
		MUST(pthread_create(&threads[i], NULL, thread, &done[i]) == 0);
	for (int i = 0; i < 8; i++)
		MUST(pthread_join(threads[i], NULL) == 0 && done[i]);
}

/* A memory file sent to ourselves as a frame of the bus, mapped again. */
static void works_descriptors(struct arena *a)
{
	static u8 scratch[BUS_FRAME];
	struct frame_out o;
	struct frame f;
	struct arena *got;
	int file;
	str text;

	MUST(fd_from_str(a, S("hello"), &file) == NULL);
	frame_begin(&o, 1, 2, FRAME_INLINE);
	encode_fd(&o.encoder, file);
	MUST(frame_end(&o) && frame_send(&o, pair[0]) == FRAME_OK);
	frame_free(&o);
	MUST(frame_receive(pair[1], scratch, &got, &f) == FRAME_OK && f.fds_n == 1);
	MUST(fd_map(got, f.fds[0], 5, &text) == NULL && str_eq(text, S("hello")));
	arena_free(&got);
}

static void works_rest(void)
{
	struct timespec t = { 0, 1000 };
	u8 bytes[16];

	MUST(syscall(SYS_getrandom, bytes, sizeof bytes, 0) == sizeof bytes);
	MUST(clock_gettime(CLOCK_REALTIME, &t) == 0);
	t = (struct timespec){ 0, 1000 };
	MUST(nanosleep(&t, NULL) == 0);
	MUST(write(2, "", 0) == 0);
}

static void works_files(void)
{
	static const char script[] =
	    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t(x);"
	    "INSERT INTO t VALUES(1),(2); PRAGMA wal_checkpoint(TRUNCATE); SELECT * FROM t";
	sqlite3 *db;
	int fd = open("mail", O_RDWR);

	MUST(fd >= 0 && write(fd, "x", 1) == 1 && fdatasync(fd) == 0 && close(fd) == 0);
	MUST((fd = open(".", O_RDONLY | O_DIRECTORY)) >= 0 && fsync(fd) == 0 && close(fd) == 0);
	MUST(mkdir("sub", 0700) == 0 && rename("mail", "sub/mail") == 0);
	MUST(sqlite3_open_v2("t.db", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) ==
	     SQLITE_OK);
	MUST(sqlite3_exec(db, script, NULL, NULL, NULL) == SQLITE_OK);
	MUST(sqlite3_close(db) == SQLITE_OK);
	MUST(unlink("sub/mail") == 0 && rmdir("sub") == 0 && unlink("t.db") == 0);
	MUST((fd = open("mail", O_WRONLY | O_CREAT, 0600)) >= 0);
	close(fd);
}

static void works_network(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t n = sizeof at;
	int a = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), b = socket(AF_INET, SOCK_STREAM, 0);

	MUST(a >= 0 && bind(a, (struct sockaddr *)&at, sizeof at) == 0);
	MUST(getsockname(a, (struct sockaddr *)&at, &n) == 0);
	MUST(connect(a, (struct sockaddr *)&at, n) == 0 && send(a, "x", 1, 0) == 1);
	MUST(b >= 0);
	at.sin_port = htons(9);
	REFUSED(connect(b, (struct sockaddr *)&at, sizeof at));
	MUST(errno == ECONNREFUSED);
	FORBIDDEN(listen(b, 1));
}

/* --- The children -------------------------------------------------------------------------------------------- */

static void child(unsigned allow, bool as_root)
{
	struct jail j = { .allow = allow,
			  .folder = allow & JAIL_FILES ? folder : NULL,
			  .uid = as_root ? NOBODY : 0,
			  .gid = as_root ? NOBODY : 0,
			  .files_max = 512 };
	struct arena *a = arena_new(1 << 16);
	const struct fail *f;

	if (!as_root)
		MUST(setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
		     setresuid(NOBODY, NOBODY, NOBODY) == 0);
	f = jail_enter(a, &j);
	if (f)
		dprintf(2, "%.*s\n", STR_ARG(f->text));
	MUST(f == NULL);
	MUST(geteuid() == NOBODY);
	works_threads();
	works_descriptors(a);
	works_rest();
	if (allow & JAIL_FILES)
		works_files();
	if (allow & JAIL_CONNECT)
		works_network();
	forbidden_everywhere();
	forbidden_files(allow);
	forbidden_network(allow);
	forbidden_rest(allow);
	works_threads();
	_exit(0);
}

static void in_child(unsigned allow, bool as_root)
{
	pid_t pid;
	int status;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	pid = fork();
	if (pid == 0)
		child(allow, as_root);
	close(pair[0]);
	close(pair[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void all_profiles(bool as_root)
{
	static const unsigned profiles[] = {
		JAIL_THREADS_AND_MEMORY,  JAIL_ACCEPT, JAIL_CONNECT, JAIL_FILES,
		JAIL_FILES | JAIL_ACCEPT,
	};

	if (geteuid() != 0)
		skip();
	for (size_t i = 0; i < ARRAY_LEN(profiles); i++)
		in_child(profiles[i], as_root);
}

static void test_as_root(void **state)
{
	(void)state;
	all_profiles(true);
}

static void test_as_user(void **state)
{
	(void)state;
	all_profiles(false);
}

/* Root that names no uid is refused: it would stay root. */
static void test_root_must_name_uid(void **state)
{
	struct jail j = { .files_max = 512 };
	struct arena *a = arena_new(1 << 12);
	int status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip();
	pid = fork();
	if (pid == 0)
		_exit(jail_enter(a, &j) == NULL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	arena_free(&a);
}

static void make_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0666);

	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, 0666), 0);
	close(fd);
}

static int setup(void **state)
{
	char mail[80];

	(void)state;
	parent = getpid();
	program = open("/bin/true", O_RDONLY | O_CLOEXEC);
	assert_non_null(mkdtemp(folder));
	assert_int_equal(chmod(folder, 0777), 0);
	snprintf(mail, sizeof mail, "%s/mail", folder);
	make_file(mail);
	snprintf(secret, sizeof secret, "/tmp/jail-test-key");
	make_file(secret);
	return 0;
}

static int teardown(void **state)
{
	char mail[80];

	(void)state;
	snprintf(mail, sizeof mail, "%s/mail", folder);
	unlink(mail);
	unlink(secret);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_root),
		cmocka_unit_test(test_as_user),
		cmocka_unit_test(test_root_must_name_uid),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
