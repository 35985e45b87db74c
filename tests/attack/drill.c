/*
 * A process taken over: only in a build with -Ddrill=true (serve/drill.h), told by a signal what to do. Whoever has the code of
 * a process may make any call to the kernel and send anything on any descriptor, so that is what is done here, in every role alike.
 *
 * SIGRTMIN + 1 with the value stage | index << 8; each try gives one line on stderr:
 *	drill ROLE STAGE TRY refused|DONE|works DETAIL
 * and the stage ends with `drill ROLE STAGE end`. DONE is a hole; `works` is what must go, as a control of the drill.
 */
#include "serve/drill.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../attack/drill_calls.h"
#include "../crash/faults.h"
#include "../crash/mallocs.h"
#include "base/fd.h"
#include "bus/frame.h"
#include "serve/process_control.h"

enum {
	DRILL_STACK = 1 << 20,
	FDS = 4096,
	NEIGHBOURS = 40,
};

enum stage {
	STAGE_SYSTEM = 1, /* files, network, other processes, privileges */
	STAGE_AUTHORITY,  /* calls that are ours to make, about what is not ours */
	STAGE_GARBAGE,    /* nonsense to every process that listens */
	STAGE_OVERSIZED,
	STAGE_DESCRIPTORS,
	STAGE_FLOOD,     /* calls whose answers nobody reads */
	STAGE_FORBIDDEN, /* one call that is not ours to make; index says which */
	STAGE_SHORT,     /* and the other faults; index is their amount */
	STAGE_INTERRUPT,
	STAGE_SLOW,
	STAGE_CLOCK,
};

struct process *drill_self;
static const char *stage_name;

/* --- Saying ------------------------------------------------------------------------------------------------- */

void drill_say(const char *try, const char *result, const char *detail)
{
	dprintf(2, "drill %s %s %s %s %s\n", process_roles[drill_self->role].name, stage_name, try,
		result, detail);
}

static void tell(const char *try, bool done)
{
	char detail[32];

	snprintf(detail, sizeof detail, "errno=%d", done ? 0 : errno);
	drill_say(try, done ? "DONE" : "refused", detail);
}

/* --- Files -------------------------------------------------------------------------------------------------- */

static bool can_read(const char *path)
{
	char byte;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool done = fd >= 0 && read(fd, &byte, 1) == 1;

	fd_close(&fd);
	return done;
}

static bool can_write(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	bool done = fd >= 0;

	fd_close(&fd);
	return done;
}

/* Below the data folder, by its full name and by the way up from where we are. */
static void try_file(const char *try, const char *name, bool (*can)(const char *path))
{
	char path[4096];
	static const char *const ups[] = { "../", "../../", "/../", "/proc/1/root/",
					   "/proc/self/cwd/../" };
	bool done;

	snprintf(path, sizeof path, "%.*s/%s", STR_ARG(drill_self->config->server_data), name);
	done = can(path);
	for (size_t i = 0; i < ARRAY_LEN(ups) && !done; i++) {
		snprintf(path, sizeof path, "%s%s", ups[i], name);
		done = can(path);
	}
	tell(try, done);
}

/* A folder's descriptor is a way out of any root; a file's is a file more than we should see. */
static bool holds_way_out(void)
{
	for (int fd = 0; fd < FDS; fd++) {
		int out = openat(fd, "../../../../../../etc/passwd", O_RDONLY | O_CLOEXEC);
		if (out >= 0 && (close(out), true))
			return true;
	}
	return false;
}

static bool holds_file(void)
{
	for (int fd = 3; fd < FDS; fd++) {
		struct stat s;
		if (fstat(fd, &s) == 0 && s.st_nlink && (S_ISREG(s.st_mode) || S_ISDIR(s.st_mode)))
			return true;
	}
	return false;
}

static void try_files(void)
{
	const char *folder = process_roles[drill_self->role].folder;

	if (folder == NULL || strcmp(folder, "store") != 0) {
		try_file("read_database", "store/postern.db", can_read);
		try_file("read_segment", "store/mail/00000001.seg", can_read);
		try_file("write_segment", "store/mail/00000001.seg", can_write);
	}
	if (folder == NULL || strcmp(folder, "login") != 0)
		try_file("read_passwords", "login/login.db", can_read);
	if (folder == NULL || strcmp(folder, "keys") != 0) {
		try_file("read_key", "keys/selfsigned.key", can_read);
		try_file("write_key", "keys/drill.key", can_write);
	}
	if (folder == NULL)
		try_file("write_data", "drill", can_write);
	tell("read_etc", can_read("/etc/passwd"));
	tell("read_proc", can_read("/proc/1/status") || can_read("/proc/self/maps"));
	tell("write_tmp", can_write("/tmp/postern-drill"));
	tell("holds_way_out", holds_way_out());
	if (folder == NULL)
		tell("holds_file", holds_file());
}

/* --- Network ------------------------------------------------------------------------------------------------ */

static bool can_connect(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr = { htonl(INADDR_LOOPBACK) },
				  .sin_port = htons(9) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* Nobody is there: refused by the peer is as good as connected, it went out. */
	bool done = fd >= 0 && (connect(fd, (struct sockaddr *)&at, sizeof at) == 0 ||
				errno == ECONNREFUSED || errno == EADDRNOTAVAIL);

	fd_close(&fd);
	return done;
}

static bool can_listen(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool done =
	    fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 1) == 0;

	fd_close(&fd);
	return done;
}

static bool can_send_udp(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr = { htonl(INADDR_LOOPBACK) },
				  .sin_port = htons(9) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool done = fd >= 0 && sendto(fd, "x", 1, 0, (struct sockaddr *)&at, sizeof at) == 1;

	fd_close(&fd);
	return done;
}

static bool can_administer(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	bool done;

	snprintf(at.sun_path, sizeof at.sun_path, "%.*s/run/office.ctl",
		 STR_ARG(drill_self->config->server_data));
	done = fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0;
	fd_close(&fd);
	return done;
}

static bool can_make_socket(int family, int type)
{
	int fd = socket(family, type | SOCK_CLOEXEC, 0);
	bool done = fd >= 0;

	fd_close(&fd);
	return done;
}

static void try_network(void)
{
	if (!(process_roles[drill_self->role].allow & JAIL_CONNECT)) {
		tell("connect", can_connect());
		tell("send_udp", can_send_udp());
	}
	tell("listen", can_listen());
	tell("administer", can_administer());
	tell("socket_unix", can_make_socket(AF_UNIX, SOCK_STREAM));
	tell("socket_netlink", can_make_socket(AF_NETLINK, SOCK_RAW));
	tell("socket_raw", can_make_socket(AF_INET, SOCK_RAW));
	tell("socket_packet", can_make_socket(AF_PACKET, SOCK_RAW));
}

/* --- Other processes ---------------------------------------------------------------------------------------- */

static bool is_other(pid_t pid)
{
	return pid > 1 && pid != getpid();
}

/* Parent and children of one start have numbers near to each other. */
static bool any_neighbour(bool (*can)(pid_t pid))
{
	pid_t me = getpid();

	for (pid_t pid = me - NEIGHBOURS; pid < me + NEIGHBOURS; pid++)
		if (is_other(pid) && can(pid))
			return true;
	return is_other(getppid()) && can(getppid());
}

static bool can_signal(pid_t pid)
{
	return kill(pid, 0) == 0 || syscall(SYS_tgkill, pid, pid, 0) == 0 ||
	       syscall(SYS_tkill, pid, 0) == 0;
}

static bool can_trace(pid_t pid)
{
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) != 0)
		return false;
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
	return true;
}

static bool can_look_into(pid_t pid)
{
	char byte;
	struct iovec v = { &byte, 1 }, there = { (void *)(uintptr_t)&is_other, 1 };

	/* The same program: often the same place; EFAULT says that we may. */
	return process_vm_readv(pid, &v, 1, &there, 1, 0) == 1 || errno == EFAULT;
}

static bool can_take_descriptor(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0), taken = -1;

	if (fd >= 0)
		taken = (int)syscall(SYS_pidfd_getfd, fd, 3, 0);
	fd_close(&fd);
	return taken >= 0 && (close(taken), true);
}

static void try_exec(void)
{
	char *const argv[] = { (char *)(uintptr_t) "true", NULL };
	pid_t child = (pid_t)syscall(SYS_fork);
	int status = -1;

	if (child == 0) {
		execve("/bin/true", argv, NULL);
		_exit(9);
	}
	tell("fork", child > 0);
	if (child > 0) {
		waitpid(child, &status, 0);
		tell("exec", WIFEXITED(status) && WEXITSTATUS(status) == 0);
	} else {
		execve("/bin/true", argv, NULL);
		tell("exec", false);
	}
}

static void try_processes(void)
{
	tell("kill", any_neighbour(can_signal));
	tell("ptrace", any_neighbour(can_trace));
	tell("read_memory", any_neighbour(can_look_into));
	tell("take_descriptor", any_neighbour(can_take_descriptor));
	try_exec();
}

/* --- Privileges --------------------------------------------------------------------------------------------- */

static bool can_map_code(void)
{
	u8 *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return page != MAP_FAILED && mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0;
}

static void try_privileges(void)
{
	struct rlimit more = { 1 << 20, 1 << 20 };

	tell("code", can_map_code());
	tell("chroot", chroot("/") == 0);
	tell("mount",
	     mount("x", "/mnt", "tmpfs", MS_RDONLY, "size=4k") == 0 && umount("/mnt") == 0);
	tell("unshare", syscall(SYS_unshare, CLONE_NEWUSER) == 0);
	tell("setuid", setuid(0) == 0);
	tell("setns", syscall(SYS_setns, 0, 0) == 0 || errno == EINVAL);
	tell("bpf", syscall(SYS_bpf, 1, NULL, 0) == 0 || errno == EINVAL || errno == EFAULT);
	tell("io_uring", syscall(SYS_io_uring_setup, 1, NULL) == 0 || errno == EFAULT);
	tell("keyring", syscall(SYS_keyctl, 0, -3, 0) >= 0);
	tell("userfaultfd", syscall(SYS_userfaultfd, 1) >= 0);
	tell("limit", setrlimit(RLIMIT_NOFILE, &more) == 0);
	tell("dumpable", prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0);
}

static void drill_system(u32 index)
{
	(void)index;
	try_files();
	try_network();
	try_privileges();
	try_processes();
}

/* --- Nonsense to everybody ----------------------------------------------------------------------------------- */

static bool is_pair(int fd)
{
	int type = 0, listening = 0;
	socklen_t n = sizeof type;

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_SEQPACKET &&
	       getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &n) == 0 && !listening;
}

static bool put(int fd, const void *bytes, size_t n, int with, unsigned copies)
{
	union {
		char room[CMSG_SPACE(sizeof(int) * 253)];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec v = { (void *)(uintptr_t)bytes, n };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };

	if (copies) {
		m.msg_control = control.room;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * copies);
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		*c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int) * copies),
				       .cmsg_level = SOL_SOCKET,
				       .cmsg_type = SCM_RIGHTS };
		for (unsigned i = 0; i < copies; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &with, sizeof with);
	}
	return sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

static void everywhere(bool (*act)(int fd, u32 index), u32 index)
{
	u32 pairs = 0;
	char detail[32];

	for (int fd = FDS; fd > CONTROL_FD; fd--)
		if (is_pair(fd)) {
			pairs++;
			act(fd, index);
		}
	snprintf(detail, sizeof detail, "pairs=%u", pairs);
	drill_say("sent", pairs ? "works" : "FAILS", detail);
	act(CONTROL_FD, index); /* the last thing we do: parent ends who speaks nonsense to it */
}

/* A head with numbers of real calls, and a body of anything. */
static bool act_garbage(int fd, u32 index)
{
	u8 bytes[512];
	u64 state = index * 0x9E3779B97F4A7C15u + 1;

	for (int round = 0; round < 64; round++) {
		size_t n = 1 + (size_t)(state >> 33) % sizeof bytes;
		for (size_t i = 0; i < n; i++) {
			state = state * 6364136223846793005u + 1442695040888963407u;
			bytes[i] = (u8)(state >> 56);
		}
		if (n > FRAME_HEAD && round % 2)
			memset(bytes + 9, 0, 3), bytes[8] = (u8)(state >> 40) % 96, bytes[12] %= 4;
		put(fd, bytes, n, -1, 0);
	}
	return true;
}

static bool act_oversized(int fd, u32 index)
{
	static u8 large[256 * 1024];
	u8 file[FRAME_HEAD + 8] = { [12] = FRAME_FILE };
	int empty = memfd_create("drill", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	memset(large, 0xFF, sizeof large);
	memset(file + FRAME_HEAD, index % 2 ? 0xFF : 0x01, 8);
	file[8] = 1;
	for (size_t n = BUS_FRAME - 1; n <= sizeof large; n += n < BUS_FRAME + 1 ? 1 : 16384)
		put(fd, large, n, -1, 0);
	put(fd, file, sizeof file, empty, 1); /* says more than is in it; not sealed */
	fd_close(&empty);
	return true;
}

static bool act_descriptors(int fd, u32 index)
{
	u8 head[FRAME_HEAD] = { [8] = (u8)(1 + index % 5) };

	for (int round = 0; round < 2000; round++)
		if (!put(fd, head, sizeof head, 2, round % 2 ? 253 : 16))
			break;
	return true;
}

static bool act_flood(int fd, u32 index)
{
	u8 call[FRAME_HEAD + 64] = { [8] = 1 };

	(void)index;
	for (u64 i = 0; i < 100000; i++) {
		memcpy(call, &i, sizeof i);
		if (!put(fd, call, sizeof call - i % 64, -1, 0) && errno != EAGAIN)
			break;
	}
	return true;
}

static void drill_garbage(u32 index)
{
	everywhere(act_garbage, index);
}

static void drill_oversized(u32 index)
{
	everywhere(act_oversized, index);
}

static void drill_descriptors(u32 index)
{
	everywhere(act_descriptors, index);
}

static void drill_flood(u32 index)
{
	everywhere(act_flood, index);
}

/* --- Faults: for tests/crash --------------------------------------------------------------------------------- */

static void drill_short(u32 amount)
{
	fault_set(FAULT_SHORT, amount);
}

static void drill_interrupt(u32 amount)
{
	fault_set(FAULT_INTERRUPT, amount);
}

static void drill_slow(u32 amount)
{
	fault_set(FAULT_SLOW, amount);
}

static void drill_clock(u32 amount)
{
	fault_set(FAULT_CLOCK, amount);
}

/* --- Told --------------------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	void (*run)(u32 index);
} stages[] = {
	[STAGE_SYSTEM] = { "system", drill_system },
	[STAGE_AUTHORITY] = { "authority", drill_authority },
	[STAGE_GARBAGE] = { "garbage", drill_garbage },
	[STAGE_OVERSIZED] = { "oversized", drill_oversized },
	[STAGE_DESCRIPTORS] = { "descriptors", drill_descriptors },
	[STAGE_FLOOD] = { "flood", drill_flood },
	[STAGE_FORBIDDEN] = { "forbidden", drill_forbidden },
	[STAGE_SHORT] = { "short", drill_short },
	[STAGE_INTERRUPT] = { "interrupt", drill_interrupt },
	[STAGE_SLOW] = { "slow", drill_slow },
	[STAGE_CLOCK] = { "clock", drill_clock },
};

static sigset_t orders(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	return set;
}

void drill_prepare(void)
{
	sigset_t set = orders();

	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

void drill_configured(const struct process *p)
{
	mallocs_share(p->config->server_data, process_roles[p->role].name);
}

bool drill_without_jail(const struct process *p)
{
	char path[4096];

	snprintf(path, sizeof path, "%.*s/drill-without-jail", STR_ARG(p->config->server_data));
	return access(path, F_OK) == 0;
}

static void *wait_for_orders(void *unused)
{
	sigset_t set = orders();
	siginfo_t info;

	(void)unused;
	for (;;) {
		u32 value, stage;

		if (sigwaitinfo(&set, &info) < 0)
			continue;
		value = (u32)info.si_value.sival_int;
		stage = value & 0xFF;
		if (stage == 0 || stage >= ARRAY_LEN(stages))
			continue;
		stage_name = stages[stage].name;
		stages[stage].run(value >> 8);
		drill_say("end", "works", "-");
	}
	return NULL;
}

void drill_start(struct process *p)
{
	pthread_attr_t attributes;
	pthread_t thread;

	drill_self = p;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, DRILL_STACK);
	pthread_create(&thread, &attributes, wait_for_orders, NULL);
	pthread_attr_destroy(&attributes);
}
