/*
 * The jail: see jail.h. In this order, because each step takes away what the one before needed: rlimits, root, groups and uid,
 * not dumpable, no_new_privs, landlock, seccomp.
 *
 * RLIMIT_NPROC is left alone: it counts all threads of a uid, and no process can be made in here anyway (clone without CLONE_THREAD
 * is refused). RLIMIT_FSIZE too: it would bind memory files.
 */
#include "serve/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/log.h"

/* --- Limits, root, uid --------------------------------------------------------------------------------------- */

/* As many descriptors as asked for, or as many as we may have. */
static bool limit_files(u64 most)
{
	struct rlimit files = { most, most }, now;

	if (setrlimit(RLIMIT_NOFILE, &files) == 0)
		return true;
	if (getrlimit(RLIMIT_NOFILE, &now) != 0 || now.rlim_max >= most)
		return false;
	files.rlim_cur = files.rlim_max = now.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &files) == 0;
}

static const struct fail *limits(struct arena *a, const struct jail *j)
{
	struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &none) != 0 || !limit_files(j->files_max))
		return fail_errno(a, errno, "jail: setrlimit");
	return NULL;
}

/* A folder that is removed while we stand in it: nothing can ever be in there again. */
static bool enter_empty_folder(void)
{
	char run[] = "/run/postern-XXXXXX", tmp[] = "/tmp/postern-XXXXXX";
	const char *made = mkdtemp(run);

	if (made == NULL)
		made = mkdtemp(tmp);
	return made && chdir(made) == 0 && rmdir(made) == 0;
}

/* Both started as root and not, `folder` is where we stand afterwards. */
static const struct fail *root(struct arena *a, const struct jail *j)
{
	if (j->folder ? chdir(j->folder) != 0 : (j->uid != 0 && !enter_empty_folder()))
		return fail_errno(a, errno, "jail: entering the folder");
	if (j->uid != 0 && chroot(".") != 0)
		return fail_errno(a, errno, "jail: chroot");
	if (j->folder == NULL && j->uid == 0 && chdir("/") != 0)
		return fail_errno(a, errno, "jail: chdir");
	return NULL;
}

static const struct fail *identity(struct arena *a, const struct jail *j)
{
	if (j->uid == 0)
		return geteuid() == 0 ? fail_new(a, FAIL_INTERNAL, "jail: root has to name a uid")
				      : NULL;
	if (j->gid == 0 || setgroups(0, NULL) != 0 || setresgid(j->gid, j->gid, j->gid) != 0 ||
	    setresuid(j->uid, j->uid, j->uid) != 0)
		return fail_errno(a, errno, "jail: changing uid");
	if (setresuid((uid_t)-1, 0, (uid_t)-1) == 0)
		return fail_new(a, FAIL_INTERNAL, "jail: root could be had again");
	return NULL;
}

static const struct fail *privileges(struct arena *a)
{
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return fail_errno(a, errno, "jail: prctl");
	return NULL;
}

/* --- Landlock: by ABI, for headers older than the kernel ----------------------------------------------------- */

struct landlock_attributes {
	u64 files, network, scoped;
};
struct landlock_beneath {
	u64 allowed;
	int fd;
} __attribute__((packed));

enum {
	LANDLOCK_CREATE = 444,
	LANDLOCK_ADD_RULE = 445,
	LANDLOCK_RESTRICT_SELF = 446,
	LANDLOCK_VERSION = 1,
	LANDLOCK_PATH_BENEATH = 1,

	/* Rights to files, by the ABI that brought them. */
	FILES_ABI_1 = (1 << 13) - 1,
	FILES_ABI_2 = (1 << 14) - 1, /* refer */
	FILES_ABI_3 = (1 << 15) - 1, /* truncate */
	FILES_ABI_5 = (1 << 16) - 1, /* ioctl of devices */
	/* What a folder of ours needs: write, read, list, remove folder and file, make folder and file, refer, truncate. */
	FILES_OURS =
	    1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 13 | 1 << 14,
	NETWORK_BIND_TCP = 1 << 0,    /* ABI 4 */
	NETWORK_CONNECT_TCP = 1 << 1, /* ABI 4 */
	SCOPE_ALL = 3,                /* ABI 6: abstract sockets and signals */
};

static struct landlock_attributes landlock_for(int abi, unsigned allow)
{
	struct landlock_attributes l = { .files = FILES_ABI_1 };

	if (abi >= 2)
		l.files = FILES_ABI_2;
	if (abi >= 3)
		l.files = FILES_ABI_3;
	if (abi >= 5)
		l.files = FILES_ABI_5;
	if (abi >= 4)
		l.network = NETWORK_BIND_TCP | (allow & JAIL_CONNECT ? 0 : NETWORK_CONNECT_TCP);
	if (abi >= 6)
		l.scoped = SCOPE_ALL;
	return l;
}

static bool landlock_allow_here(int ruleset, u64 handled)
{
	struct landlock_beneath b = { .allowed = FILES_OURS & handled };
	bool done;

	b.fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	done = b.fd >= 0 && syscall(LANDLOCK_ADD_RULE, ruleset, LANDLOCK_PATH_BENEATH, &b, 0) == 0;
	close(b.fd);
	return done;
}

/* Best effort: an old kernel has less of it, or none; seccomp stands without it. */
static void landlock(const struct jail *j)
{
	int abi = (int)syscall(LANDLOCK_CREATE, NULL, 0, LANDLOCK_VERSION), ruleset;
	struct landlock_attributes l = landlock_for(abi, j->allow);
	size_t size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
	bool done;

	if (abi < 1) {
		LOG(WARN, "jail.no_landlock", LOG_U64("errno", (u64)errno));
		return;
	}
	ruleset = (int)syscall(LANDLOCK_CREATE, &l, size, 0);
	done = ruleset >= 0;
	if (done && j->allow & JAIL_FILES)
		done = landlock_allow_here(ruleset, l.files);
	done = done && syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0) == 0;
	if (!done)
		LOG(WARN, "jail.no_landlock", LOG_U64("errno", (u64)errno));
	close(ruleset);
}

/* --- Seccomp ------------------------------------------------------------------------------------------------- */

/* Every name is looked up when it is used: not every libseccomp and machine has all of them. */
static const char *const always[] = {
	/* memory, threads, time */
	"munmap",
	"mremap",
	"madvise",
	"brk",
	"futex",
	"futex_waitv",
	"set_robust_list",
	"rseq",
	"sched_yield",
	"sched_getaffinity",
	"membarrier",
	"exit",
	"exit_group",
	"restart_syscall",
	"rt_sigaction",
	"rt_sigprocmask",
	"rt_sigreturn",
	"rt_sigtimedwait",
	"sigaltstack",
	"clock_gettime",
	"clock_getres",
	"clock_nanosleep",
	"nanosleep",
	"gettimeofday",
	"time",
	"getrandom",
	"getpid",
	"gettid",
	"getuid",
	"geteuid",
	"getgid",
	"getegid",
	"uname",
	"sysinfo",
	"getrusage",
	/* descriptors that we have, and memory files */
	"read",
	"write",
	"readv",
	"writev",
	"pread64",
	"pwrite64",
	"preadv",
	"pwritev",
	"close",
	"fstat",
	"lseek",
	"sendfile",
	"ftruncate",
	"fallocate",
	"fcntl",
	"dup",
	"dup3",
	"pipe2",
	"memfd_create",
	"poll",
	"ppoll",
	"epoll_create1",
	"epoll_ctl",
	"epoll_wait",
	"epoll_pwait",
	"epoll_pwait2",
	"eventfd2",
	"timerfd_create",
	"timerfd_settime",
	"timerfd_gettime",
	"sendmsg",
	"recvmsg",
	"sendto",
	"recvfrom",
	"shutdown",
	"getsockopt",
};

static const char *const for_accept[] = { "accept4", "getpeername", "getsockname", "setsockopt" };

static const char *const for_connect[] = {
	"connect", "bind", "getpeername", "getsockname", "setsockopt", "sendmmsg", "recvmmsg",
};

static const char *const for_files[] = {
	"openat",          "open",       "stat",      "lstat",
	"newfstatat",      "statx",      "access",    "faccessat",
	"faccessat2",      "getcwd",     "readlink",  "readlinkat",
	"rename",          "renameat",   "renameat2", "unlink",
	"unlinkat",        "mkdir",      "mkdirat",   "rmdir",
	"fsync",           "fdatasync",  "fchmod",    "statfs",
	"fstatfs",         "getdents64", "truncate",  "flock",
	"fadvise64",       "linkat",     "utimensat", "sync_file_range",
	"copy_file_range",
};

static int allow_names(scmp_filter_ctx f, const char *const *names, size_t n)
{
	int error = 0;

	for (size_t i = 0; i < n && error == 0; i++) {
		int number = seccomp_syscall_resolve_name(names[i]);
		if (number != __NR_SCMP_ERROR)
			error = seccomp_rule_add(f, SCMP_ACT_ALLOW, number, 0);
	}
	return error;
}

/* What is allowed with some arguments only. */
static int allow_some(scmp_filter_ctx f)
{
	const struct scmp_arg_cmp no_exec = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	const struct scmp_arg_cmp thread = SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD);
	const struct scmp_arg_cmp this_process = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0);
	const struct scmp_arg_cmp self = SCMP_A0(SCMP_CMP_EQ, 0, 0);
	const struct scmp_arg_cmp no_change = SCMP_A2(SCMP_CMP_EQ, 0, 0);
	const struct scmp_arg_cmp set_name = SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME, 0);
	/* How glibc spells fstat. */
	const struct scmp_arg_cmp of_fd = SCMP_A3(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH);
	int error = 0;

	error |= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, no_exec);
	error |= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, no_exec);
	error |= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, thread);
	error |= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, this_process);
	error |= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2, self, no_change);
	error |= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, set_name);
	error |= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1, of_fd);
	/* Flags of clone3 lie in memory, where no filter looks: glibc then takes clone. */
	error |= seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	return error;
}

static int allow_sockets(scmp_filter_ctx f)
{
	static const int families[] = { AF_INET, AF_INET6 }, types[] = { SOCK_STREAM, SOCK_DGRAM };
	int error = 0;

	for (size_t i = 0; i < ARRAY_LEN(families); i++)
		for (size_t k = 0; k < ARRAY_LEN(types); k++)
			error |= seccomp_rule_add(
			    f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
			    SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i], 0),
			    SCMP_A1(SCMP_CMP_MASKED_EQ, 0xF, (scmp_datum_t)types[k]));
	return error | allow_names(f, for_connect, ARRAY_LEN(for_connect));
}

static const struct fail *filter(struct arena *a, const struct jail *j)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int error;

	if (f == NULL)
		return fail_new(a, FAIL_INTERNAL, "jail: seccomp");
	error = allow_names(f, always, ARRAY_LEN(always)) | allow_some(f);
	if (j->allow & JAIL_ACCEPT)
		error |= allow_names(f, for_accept, ARRAY_LEN(for_accept));
	if (j->allow & JAIL_CONNECT)
		error |= allow_sockets(f);
	if (j->allow & JAIL_FILES)
		error |= allow_names(f, for_files, ARRAY_LEN(for_files));
	/* A tree of comparisons: the last call in the list is as near as the first. */
	error |= seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (error == 0)
		error = seccomp_load(f);
	seccomp_release(f);
	return error == 0 ? NULL : fail_new(a, FAIL_INTERNAL, "jail: seccomp: error %d", error);
}

const struct fail *jail_enter(struct arena *a, const struct jail *j)
{
	TRY(limits(a, j));
	TRY(root(a, j));
	TRY(identity(a, j));
	TRY(privileges(a));
	landlock(j);
	if (j->uid == 0)
		LOG(INFO, "jail.ordinary_user",
		    LOG_CSTR("text", "not started as root: no uid and no empty root of its own"));
	return filter(a, j);
}
