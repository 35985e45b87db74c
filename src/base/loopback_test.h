/*
 * For fuzzers: the sockets and memory files of this program, in memory. Takes the place of libc's functions, so that the code under test stays as it
 * is: its calls come here instead of to the kernel, with descriptors from LOOPBACK_FIRST; all others go on to the kernel. Include it
 * in one file of the program.
 *
 * There is one thread and nobody to wait for: when poll finds nothing, loopback_idle is asked to let the others do something; when it has
 * nothing either, the clock (CLOCK_MONOTONIC is ours) jumps to the end of the wait, and a wait without end is a bug. So a run is the same
 * each time. What is read was sent at once: a recv gives bytes of one send only.
 */
#ifndef BASE_LOOPBACK_TEST_H
#define BASE_LOOPBACK_TEST_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/str.h"

enum {
	LOOPBACK_FIRST = 1 << 20,
	LOOPBACK_MAX = 1024,
	LOOPBACK_WATCHED = 16, /* by one epoll */
	LOOPBACK_PASSED = 8,   /* descriptors with one packet */
};

enum loopback_kind {
	LOOPBACK_STREAM,
	LOOPBACK_PACKETS,
	LOOPBACK_EPOLL,
	LOOPBACK_EVENT,
	LOOPBACK_FILE
};

struct loopback_packet {
	struct loopback_packet *next;
	size_t n, at; /* at: what a stream has read */
	int fds[LOOPBACK_PASSED];
	u32 fds_n;
	u8 bytes[];
};

struct loopback_watch {
	int fd;
	u32 events;
	epoll_data_t data;
};

/* What descriptors lead to. */
struct loopback_file {
	enum loopback_kind kind;
	u32 users;
	struct loopback_file *peer; /* NULL: it is gone */
	struct loopback_packet *first, **last;
	bool ended; /* nothing more will come */
	u64 count;  /* of an eventfd */
	u8 *bytes;  /* of a memory file */
	size_t n, cap, at;
	int seals;
	struct loopback_watch watched[LOOPBACK_WATCHED];
	u32 watched_n;
};

static struct loopback_file *loopback_files[LOOPBACK_MAX];
static int loopback_free[LOOPBACK_MAX]; /* a stack of numbers */
static u32 loopback_free_n, loopback_used;
static u64 loopback_clock = 1000000; /* ms */
/* The last to be asked: lets the peers of what is tested say something. False: they have nothing to say. */
static bool (*loopback_idle)(void);

/* Who is run when packets wait at fd. */
struct loopback_resident {
	int fd;
	void *(*run)(void *);
	void *context;
};

enum { LOOPBACK_RESIDENTS = 4 };
static struct loopback_resident loopback_residents[LOOPBACK_RESIDENTS];

/* --- Descriptors --------------------------------------------------------------------------------------------------- */

static struct loopback_file *loopback_of(int fd)
{
	return fd >= LOOPBACK_FIRST && fd < LOOPBACK_FIRST + LOOPBACK_MAX
		   ? loopback_files[fd - LOOPBACK_FIRST]
		   : NULL;
}

static int loopback_fd(struct loopback_file *f)
{
	int at = loopback_free_n ? loopback_free[--loopback_free_n] : (int)loopback_used++;

	CHECK(at < LOOPBACK_MAX);
	loopback_files[at] = f;
	f->users++;
	return LOOPBACK_FIRST + at;
}

static struct loopback_file *loopback_file_new(enum loopback_kind kind)
{
	struct loopback_file *f = calloc(1, sizeof *f);

	CHECK(f != NULL);
	f->kind = kind;
	f->last = &f->first;
	return f;
}

static int loopback_again(int error)
{
	errno = error;
	return -1;
}

static int loopback_copy(int fd)
{
	struct loopback_file *f = loopback_of(fd);

	return f ? loopback_fd(f) : (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 0);
}

static void loopback_packets_free(struct loopback_file *f)
{
	while (f->first) {
		struct loopback_packet *p = f->first;
		f->first = p->next;
		for (u32 i = 0; i < p->fds_n; i++)
			close(p->fds[i]);
		free(p);
	}
	f->last = &f->first;
}

static void loopback_unwatch(struct loopback_file *epoll, int fd)
{
	u32 n = 0;

	for (u32 i = 0; i < epoll->watched_n; i++)
		if (epoll->watched[i].fd != fd)
			epoll->watched[n++] = epoll->watched[i];
	epoll->watched_n = n;
}

/* An epoll forgets it, or would take the next file of that number for this one. */
static void loopback_forget(int fd)
{
	for (u32 i = 0; i < loopback_used; i++)
		if (loopback_files[i] && loopback_files[i]->kind == LOOPBACK_EPOLL)
			loopback_unwatch(loopback_files[i], fd);
	loopback_files[fd - LOOPBACK_FIRST] = NULL;
}

int close(int fd)
{
	struct loopback_file *f = loopback_of(fd);

	if (!f)
		return (int)syscall(SYS_close, fd);
	loopback_forget(fd);
	loopback_free[loopback_free_n++] = fd - LOOPBACK_FIRST;
	if (--f->users > 0)
		return 0;
	loopback_packets_free(f);
	if (f->peer) {
		f->peer->peer = NULL;
		f->peer->ended = true;
	}
	free(f->bytes);
	free(f);
	return 0;
}

int dup(int fd)
{
	return loopback_of(fd) ? loopback_copy(fd) : (int)syscall(SYS_dup, fd);
}

int fcntl(int fd, int what, ...)
{
	struct loopback_file *f = loopback_of(fd);
	va_list list;
	long value;

	va_start(list, what);
	value = va_arg(list, long);
	va_end(list);
	if (!f)
		return (int)syscall(SYS_fcntl, fd, what, value);
	if (what == F_DUPFD_CLOEXEC)
		return loopback_copy(fd);
	if (what == F_ADD_SEALS)
		f->seals |= (int)value;
	return what == F_GET_SEALS ? f->seals : 0;
}

/* --- Sockets ------------------------------------------------------------------------------------------------------- */

int socketpair(int domain, int type, int protocol, int pair[2])
{
	enum loopback_kind kind = (type & 0xFF) == SOCK_STREAM ? LOOPBACK_STREAM : LOOPBACK_PACKETS;
	struct loopback_file *a = loopback_file_new(kind), *b = loopback_file_new(kind);

	CHECK(domain == AF_UNIX && protocol == 0);
	a->peer = b;
	b->peer = a;
	pair[0] = loopback_fd(a);
	pair[1] = loopback_fd(b);
	return 0;
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t n)
{
	return loopback_of(fd) ? 0 : (int)syscall(SYS_setsockopt, fd, level, name, value, n);
}

int getpeername(int fd, struct sockaddr *out, socklen_t *n)
{
	if (!loopback_of(fd))
		return (int)syscall(SYS_getpeername, fd, out, n);
	*n = sizeof out->sa_family;
	out->sa_family = AF_UNIX;
	return 0;
}

int shutdown(int fd, int how)
{
	struct loopback_file *f = loopback_of(fd);

	if (!f)
		return (int)syscall(SYS_shutdown, fd, how);
	if (how != SHUT_RD && f->peer)
		f->peer->ended = true;
	if (how != SHUT_WR)
		f->ended = true;
	return 0;
}

static ssize_t loopback_send(struct loopback_file *f, const struct iovec *v, size_t v_n,
			     const int *fds, u32 fds_n)
{
	struct loopback_packet *p;
	size_t n = 0;

	for (size_t i = 0; i < v_n; i++)
		n += v[i].iov_len;
	if (!f->peer || f->peer->ended)
		return loopback_again(EPIPE);
	CHECK(fds_n <= LOOPBACK_PASSED);
	p = malloc(sizeof *p + n);
	CHECK(p != NULL);
	*p = (struct loopback_packet){ .n = n, .fds_n = fds_n };
	for (size_t i = 0, at = 0; i < v_n; at += v[i++].iov_len)
		if (v[i].iov_len)
			memcpy(p->bytes + at, v[i].iov_base, v[i].iov_len);
	for (u32 i = 0; i < fds_n; i++)
		p->fds[i] = loopback_copy(fds[i]);
	*f->peer->last = p;
	f->peer->last = &p->next;
	return (ssize_t)n;
}

ssize_t send(int fd, const void *bytes, size_t n, int flags)
{
	struct loopback_file *f = loopback_of(fd);
	struct iovec v = { (void *)(uintptr_t)bytes, n };

	return f ? loopback_send(f, &v, 1, NULL, 0)
		 : syscall(SYS_sendto, fd, bytes, n, flags, NULL, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	struct loopback_file *f = loopback_of(fd);
	struct cmsghdr *h = CMSG_FIRSTHDR(m);
	int fds[LOOPBACK_PASSED];
	size_t n = 0;

	if (!f)
		return syscall(SYS_sendmsg, fd, m, flags);
	if (h) {
		n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		CHECK(n <= LOOPBACK_PASSED);
		memcpy(fds, CMSG_DATA(h), n * sizeof(int));
	}
	return loopback_send(f, m->msg_iov, m->msg_iovlen, fds, (u32)n);
}

static ssize_t loopback_recv(struct loopback_file *f, void *out, size_t n, int flags, bool *cut)
{
	struct loopback_packet *p = f->first;
	size_t have = p ? p->n - p->at : 0;

	if (!p)
		return f->ended ? 0 : loopback_again(EAGAIN);
	*cut = have > n && f->kind == LOOPBACK_PACKETS;
	have = have < n ? have : n;
	if (have)
		memcpy(out, p->bytes + p->at, have);
	if (flags & MSG_PEEK)
		return (ssize_t)have;
	p->at += have;
	if (p->at < p->n && f->kind == LOOPBACK_STREAM)
		return (ssize_t)have;
	f->first = p->next;
	if (!f->first)
		f->last = &f->first;
	free(p); /* its descriptors are the reader's now */
	return (ssize_t)have;
}

ssize_t recv(int fd, void *out, size_t n, int flags)
{
	struct loopback_file *f = loopback_of(fd);
	bool cut;

	return f ? loopback_recv(f, out, n, flags, &cut)
		 : syscall(SYS_recvfrom, fd, out, n, flags, NULL, NULL);
}

ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
	struct loopback_file *f = loopback_of(fd);
	u32 n = f && f->first ? f->first->fds_n : 0;
	struct cmsghdr *h;
	bool cut = false;
	ssize_t got;

	if (!f)
		return syscall(SYS_recvmsg, fd, m, flags);
	if (n) {
		CHECK(m->msg_controllen >= CMSG_SPACE(n * sizeof(int)));
		h = CMSG_FIRSTHDR(m);
		*h = (struct cmsghdr){ CMSG_LEN(n * sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
		memcpy(CMSG_DATA(h), f->first->fds, n * sizeof(int));
	}
	m->msg_controllen = n ? CMSG_SPACE(n * sizeof(int)) : 0;
	got = loopback_recv(f, m->msg_iov->iov_base, m->msg_iov->iov_len, flags, &cut);
	m->msg_flags = cut ? MSG_TRUNC : 0;
	return got;
}

/* --- Residents ----------------------------------------------------------------------------------------------------- */

static inline void loopback_reside(int fd, void *(*run)(void *), void *context)
{
	u32 i = 0;

	while (i < LOOPBACK_RESIDENTS && loopback_residents[i].run)
		i++;
	CHECK(i < LOOPBACK_RESIDENTS);
	loopback_residents[i] = (struct loopback_resident){ fd, run, context };
}

static inline void loopback_leave(const void *context)
{
	for (u32 i = 0; i < LOOPBACK_RESIDENTS; i++)
		if (loopback_residents[i].context == context)
			loopback_residents[i].run = NULL;
}

static bool loopback_residents_work(void)
{
	bool worked = false;

	for (struct loopback_resident *r = loopback_residents;
	     r < loopback_residents + LOOPBACK_RESIDENTS; r++) {
		struct loopback_file *f = loopback_of(r->fd);
		if (r->run && f && f->first) {
			r->run(r->context);
			worked = true;
		}
	}
	return worked;
}

/* --- Waiting ------------------------------------------------------------------------------------------------------- */

int clock_gettime(clockid_t which, struct timespec *out)
{
	if (which != CLOCK_MONOTONIC)
		return (int)syscall(SYS_clock_gettime, which, out);
	*out = (struct timespec){ (time_t)(loopback_clock / 1000),
				  (long)(loopback_clock % 1000) * 1000000 };
	return 0;
}

static u32 loopback_ready(const struct loopback_file *f)
{
	switch (f->kind) {
	case LOOPBACK_STREAM:
	case LOOPBACK_PACKETS:
		return (f->first || f->ended ? EPOLLIN : 0U) |
		       (f->peer && f->ended && f->peer->ended ? EPOLLHUP : 0U) |
		       (f->peer ? EPOLLOUT : EPOLLOUT | EPOLLHUP);
	case LOOPBACK_EVENT:
		return f->count ? EPOLLIN : 0;
	case LOOPBACK_EPOLL:
	case LOOPBACK_FILE:
		break;
	}
	return EPOLLIN | EPOLLOUT;
}

static int loopback_poll_once(struct pollfd *p, nfds_t n)
{
	int ready = 0;

	for (nfds_t i = 0; i < n; i++) {
		struct loopback_file *f = loopback_of(p[i].fd);

		/* POLLIN, POLLOUT and POLLHUP are epoll's numbers too */
		p[i].revents = f ? (short)(loopback_ready(f) & ((u32)p[i].events | EPOLLHUP)) : 0;
		ready += p[i].revents != 0;
	}
	return ready;
}

int poll(struct pollfd *p, nfds_t n, int ms)
{
	int ready;

	if (n > 0 && p->fd >= 0 && p->fd < LOOPBACK_FIRST)
		return (int)syscall(SYS_poll, p, n, ms);
	while ((ready = loopback_poll_once(p, n)) == 0 && ms != 0 &&
	       (loopback_residents_work() || (loopback_idle && loopback_idle())))
		;
	if (ready == 0) {
		CHECK(ms >= 0); /* or nobody will ever come */
		loopback_clock += (u64)ms;
	}
	return ready;
}

int epoll_create1(int flags)
{
	(void)flags;
	return loopback_fd(loopback_file_new(LOOPBACK_EPOLL));
}

int eventfd(unsigned count, int flags)
{
	struct loopback_file *f = loopback_file_new(LOOPBACK_EVENT);

	(void)flags;
	f->count = count;
	return loopback_fd(f);
}

int eventfd_write(int fd, eventfd_t add)
{
	loopback_of(fd)->count += add;
	return 0;
}

int epoll_ctl(int epoll, int how, int fd, struct epoll_event *e)
{
	struct loopback_file *f = loopback_of(epoll);
	struct loopback_watch *w = f->watched;

	while (w < f->watched + f->watched_n && w->fd != fd)
		w++;
	CHECK(w < f->watched + LOOPBACK_WATCHED && how != EPOLL_CTL_DEL);
	if (w == f->watched + f->watched_n)
		f->watched_n++;
	*w = (struct loopback_watch){ fd, e->events, e->data };
	return 0;
}

static int loopback_epoll_once(struct loopback_file *f, struct epoll_event *out, u32 kinds)
{
	int n = 0;

	for (u32 i = 0; i < f->watched_n; i++) {
		const struct loopback_file *g = loopback_of(f->watched[i].fd);
		u32 ready = g ? loopback_ready(g) & (f->watched[i].events | EPOLLHUP) : 0;

		if (g && g->kind == LOOPBACK_EVENT && kinds == LOOPBACK_EVENT)
			ready = EPOLLIN;
		if (ready)
			out[n++] = (struct epoll_event){ ready, f->watched[i].data };
	}
	return n;
}

/* With nothing to do, an eventfd is ready: a server that is run until it is told to stop has done its work. */
int epoll_wait(int epoll, struct epoll_event *out, int max, int ms)
{
	struct loopback_file *f = loopback_of(epoll);
	int n;

	CHECK(max >= LOOPBACK_WATCHED && ms == -1);
	n = loopback_epoll_once(f, out, 0);
	return n ? n : loopback_epoll_once(f, out, LOOPBACK_EVENT);
}

/* --- Memory files -------------------------------------------------------------------------------------------------- */

int memfd_create(const char *name, unsigned flags)
{
	(void)name;
	(void)flags;
	return loopback_fd(loopback_file_new(LOOPBACK_FILE));
}

static ssize_t loopback_write(struct loopback_file *f, const void *bytes, size_t n, size_t at)
{
	CHECK(f->kind == LOOPBACK_FILE && !(f->seals & F_SEAL_WRITE));
	if (at + n > f->cap) {
		f->cap = 2 * (at + n);
		f->bytes = realloc(f->bytes, f->cap);
		CHECK(f->bytes != NULL);
	}
	if (at > f->n)
		memset(f->bytes + f->n, 0, at - f->n);
	if (n)
		memcpy(f->bytes + at, bytes, n);
	f->n = f->n > at + n ? f->n : at + n;
	return (ssize_t)n;
}

ssize_t write(int fd, const void *bytes, size_t n)
{
	struct loopback_file *f = loopback_of(fd);
	struct iovec v = { (void *)(uintptr_t)bytes, n };

	if (!f)
		return syscall(SYS_write, fd, bytes, n);
	if (f->kind != LOOPBACK_FILE)
		return loopback_send(f, &v, 1, NULL, 0);
	f->at += n;
	return loopback_write(f, bytes, n, f->at - n);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
	struct loopback_file *f = loopback_of(fd);

	return f ? loopback_write(f, bytes, n, (size_t)at)
		 : syscall(SYS_pwrite64, fd, bytes, n, at);
}

ssize_t pread(int fd, void *out, size_t n, off_t at)
{
	struct loopback_file *f = loopback_of(fd);
	size_t have = f && f->n > (size_t)at ? f->n - (size_t)at : 0;

	if (!f)
		return syscall(SYS_pread64, fd, out, n, at);
	have = have < n ? have : n;
	if (have)
		memcpy(out, f->bytes + at, have);
	return (ssize_t)have;
}

int fstat(int fd, struct stat *out)
{
	struct loopback_file *f = loopback_of(fd);

	if (!f)
		return (int)syscall(SYS_fstat, fd, out);
	*out = (struct stat){ .st_mode = S_IFREG | 0600, .st_size = (off_t)f->n };
	return 0;
}

enum { LOOPBACK_MAPS = 64 };
static void *loopback_maps[LOOPBACK_MAPS];

/* A memory file is sealed before it is mapped: a copy is as good, and AddressSanitizer knows where it ends. */
void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
	struct loopback_file *f = loopback_of(fd);
	u32 i = 0;

	if (!f)
		return (void *)syscall(SYS_mmap, at, n, protection, flags, fd, offset); /* NOLINT */
	CHECK((f->seals & F_SEAL_WRITE) && (flags & MAP_PRIVATE) && offset == 0 && n <= f->n);
	if (flags & MAP_FIXED)
		return memcpy(at, f->bytes, n);
	while (i < LOOPBACK_MAPS && loopback_maps[i])
		i++;
	CHECK(i < LOOPBACK_MAPS);
	loopback_maps[i] = malloc(n);
	CHECK(loopback_maps[i] != NULL);
	return memcpy(loopback_maps[i], f->bytes, n);
}

int munmap(void *at, size_t n)
{
	for (u32 i = 0; i < LOOPBACK_MAPS; i++) {
		if (loopback_maps[i] == at) {
			free(at);
			loopback_maps[i] = NULL;
			return 0;
		}
	}
	return (int)syscall(SYS_munmap, at, n);
}

#endif
