/*
 * The jail that every process but parent enters: own uid and empty root when started as root, no supplementary groups,
 * no_new_privs, rlimits, not dumpable, landlock (best effort, by ABI), seccomp allow-list. After it, threads.
 * Started as an ordinary user, uid and root stay; a rule-less landlock domain stands in for the empty root, seccomp also refuses
 * `kill`, and one log line says so.
 */
#ifndef SERVE_JAIL_H
#define SERVE_JAIL_H

#include "base/fail.h"

/* What a process may still do; everything else is refused with EPERM (a forbidden call is a bug or an intruder: it is logged by
 * the kernel's audit, and the process lives on, so that tests can show the refusal). */
enum jail_allow {
	JAIL_THREADS_AND_MEMORY =
	    0, /* always: memory, futex, clone of threads, clocks, inherited descriptors, sendmsg/recvmsg, memfd, epoll */
	JAIL_ACCEPT = 1 << 0,  /* accept4 on inherited sockets, getpeername, setsockopt */
	JAIL_CONNECT = 1 << 1, /* socket, connect, bind of UDP for DNS; never listen */
	JAIL_FILES =
	    1
	    << 2, /* open, rename, unlink, fsync ... beneath one folder, already the root or given by `folder` */
};

struct jail {
	unsigned allow; /* enum jail_allow bits */
	const char *
	    folder; /* JAIL_FILES: the only folder (becomes the root when we are root); NULL: an empty one.
				The current folder is it afterwards, either way: use relative paths */
	u32 uid; /* 0: stay who we are (not started as root) */
	u32 gid;
	u64 files_max; /* RLIMIT_NOFILE */
};

/* For good. Fails only when something that must hold cannot be had (seccomp, uid); landlock may be missing (logged). */
const struct fail *jail_enter(struct arena *a, const struct jail *j);

#endif
