/*
 * Calls that do less than they were asked for, are interrupted, or take long, and a clock that jumps: what strace cannot make (F10,
 * F14, F16 of THREATS). A program's own functions come before those of libc, for its libraries too, so SQLite and OpenSSL meet
 * these as well. Part of no build but that of the drill; nothing happens until fault_set.
 */
#include "../crash/faults.h"
#include "../crash/mallocs.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include "../crash/mallocs.h"

static _Atomic u32 amounts[FAULTS];
static _Atomic u64 turns;

void fault_set(enum fault what, u32 amount)
{
	amounts[what] = amount;
}

/* SplitMix64: the calls are numbered, the number decides. */
static u64 chance(void)
{
	u64 x = atomic_fetch_add(&turns, 1) * 0x9E3779B97F4A7C15u;

	x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
	x = (x ^ x >> 27) * 0x94D049BB133111EBu;
	return x ^ x >> 31;
}

static bool hit(enum fault what)
{
	return amounts[what] && chance() % 100 < amounts[what];
}

static bool interrupted(void)
{
	if (!hit(FAULT_INTERRUPT))
		return false;
	errno = EINTR;
	return true;
}

static size_t shorter(size_t n)
{
	return n > 1 && hit(FAULT_SHORT) ? 1 + chance() % n : n;
}

static void slow(u32 ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	if (ms)
		syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &t, NULL);
}

static time_t ahead(void)
{
	u32 amount = amounts[FAULT_CLOCK];

	return amount ? ((time_t)amount - FAULT_CLOCK_NOW) * 3600 : 0;
}

/* By other names here, so that no header's declaration and no checked variant of it is meant. */
#define INSTEAD(type, name, ...)                       \
	type fault_##name(__VA_ARGS__) __asm__(#name); \
	type fault_##name(__VA_ARGS__)

INSTEAD(ssize_t, write, int fd, const void *p, size_t n)
{
	return interrupted() ? -1 : syscall(SYS_write, fd, p, shorter(n));
}

INSTEAD(ssize_t, read, int fd, void *p, size_t n)
{
	return interrupted() ? -1 : syscall(SYS_read, fd, p, shorter(n));
}

INSTEAD(ssize_t, pwrite64, int fd, const void *p, size_t n, off_t at)
{
	slow(amounts[FAULT_SLOW] / 10);
	if (mallocs_forgets())
		return (ssize_t)n;
	return interrupted() ? -1 : syscall(SYS_pwrite64, fd, p, shorter(n), at);
}

INSTEAD(ssize_t, pread64, int fd, void *p, size_t n, off_t at)
{
	return interrupted() ? -1 : syscall(SYS_pread64, fd, p, shorter(n), at);
}

/* Only the first piece, and of that a part. */
INSTEAD(ssize_t, writev, int fd, const struct iovec *v, int n)
{
	return interrupted()           ? -1
	       : n && hit(FAULT_SHORT) ? syscall(SYS_write, fd, v->iov_base, shorter(v->iov_len))
				       : syscall(SYS_writev, fd, v, n);
}

INSTEAD(ssize_t, pwritev64, int fd, const struct iovec *v, int n, off_t at)
{
	slow(amounts[FAULT_SLOW] / 10);
	return interrupted() ? -1
	       : n && hit(FAULT_SHORT)
		   ? syscall(SYS_pwrite64, fd, v->iov_base, shorter(v->iov_len), at)
		   : syscall(SYS_pwritev, fd, v, n, at, 0);
}

INSTEAD(ssize_t, recv, int fd, void *p, size_t n, int flags)
{
	return interrupted() ? -1
			     : syscall(SYS_recvfrom, fd, p, flags & MSG_PEEK ? n : shorter(n),
				       flags, NULL, NULL);
}

INSTEAD(ssize_t, send, int fd, const void *p, size_t n, int flags)
{
	return interrupted() ? -1 : syscall(SYS_sendto, fd, p, shorter(n), flags, NULL, 0);
}

INSTEAD(ssize_t, sendmsg, int fd, const struct msghdr *m, int flags)
{
	return interrupted() ? -1 : syscall(SYS_sendmsg, fd, m, flags);
}

INSTEAD(ssize_t, recvmsg, int fd, struct msghdr *m, int flags)
{
	return interrupted() ? -1 : syscall(SYS_recvmsg, fd, m, flags);
}

INSTEAD(int, poll, struct pollfd *at, nfds_t n, int ms)
{
	return interrupted() ? -1 : (int)syscall(SYS_poll, at, n, ms);
}

INSTEAD(int, epoll_wait, int fd, struct epoll_event *events, int n, int ms)
{
	return interrupted() ? -1 : (int)syscall(SYS_epoll_wait, fd, events, n, ms);
}

INSTEAD(int, accept4, int fd, struct sockaddr *at, socklen_t *n, int flags)
{
	return interrupted() ? -1 : (int)syscall(SYS_accept4, fd, at, n, flags);
}

INSTEAD(int, fsync, int fd)
{
	slow(amounts[FAULT_SLOW]);
	return (int)syscall(SYS_fsync, fd);
}

INSTEAD(int, fdatasync, int fd)
{
	slow(amounts[FAULT_SLOW]);
	return (int)syscall(SYS_fdatasync, fd);
}

INSTEAD(int, clock_gettime, clockid_t clock, struct timespec *t)
{
	int r = (int)syscall(SYS_clock_gettime, clock, t);

	if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
		t->tv_sec += ahead();
	return r;
}

INSTEAD(int, gettimeofday, struct timeval *t, void *zone)
{
	int r = (int)syscall(SYS_gettimeofday, t, zone);

	t->tv_sec += ahead();
	return r;
}

INSTEAD(time_t, time, time_t *out)
{
	struct timespec t;

	fault_clock_gettime(CLOCK_REALTIME, &t);
	if (out)
		*out = t.tv_sec;
	return t.tv_sec;
}
