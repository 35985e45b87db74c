/*
 * malloc that answers NULL at its n-th call, once or from then on (F12 of THREATS). As with faults.c a program's own functions come before
 * those of libc for its libraries too, so SQLite, OpenSSL, libunbound and libcrypt meet it as well. A file that the test and the process
 * have in memory together says when, and tells what came of it: a fault is armed anew by a few writes, without a signal or a start.
 */
#include "../crash/mallocs.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum mallocs_mode {
	MALLOCS_OFF,
	MALLOCS_COUNT, /* nothing fails */
	MALLOCS_ONCE,
	MALLOCS_ON, /* and all that follow, until the process ends */
	MALLOCS_PLANTED, /* for the control: nothing fails, but what is written next to a file is forgotten */
};

/* As tests/crash/malloc_test.py packs it. */
struct mallocs {
	_Atomic u64 mode;
	_Atomic u64 pid; /* whose calls count; 0: of who takes this file next */
	_Atomic u64 n, count, hits;
	char where[64];   /* the library that was first told NULL */
	char crashed[64]; /* and the one that fell */
};

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t count, size_t n);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t alignment, size_t n);

static struct mallocs *_Atomic shared;
static u64 self;
static _Atomic bool forgetful;

/* dladdr takes a lock that its own thread may hold, and allocates nothing. */
static void remember(char name[64], const void *address)
{
	Dl_info at = { 0 };

	if (dladdr(address, &at) && at.dli_fname)
		snprintf(name, 64, "%s",
			 strrchr(at.dli_fname, '/') ? strrchr(at.dli_fname, '/') + 1
						    : at.dli_fname);
}

/* Falls again, and for good, as soon as it returns. */
static void crashed(int signal, siginfo_t *info, void *context)
{
	const ucontext_t *c = context;

	(void)signal;
	(void)info;
#ifdef __x86_64__
	remember(shared->crashed, (const void *)(uintptr_t)c->uc_mcontext.gregs[REG_RIP]);
#else
	remember(shared->crashed, (const void *)(uintptr_t)c->uc_mcontext.pc);
#endif
}

void mallocs_share(str folder, const char *role)
{
	char path[4096];
	u64 nobody = 0;
	const struct sigaction a = { .sa_sigaction = crashed,
				     .sa_flags = (int)(SA_SIGINFO | SA_RESETHAND) };
	struct mallocs *m;
	int fd;

	snprintf(path, sizeof path, "%.*s/mallocs-%s", STR_ARG(folder), role);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	m = mmap(NULL, sizeof *m, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (m == MAP_FAILED)
		return;
	self = (u64)getpid();
	atomic_compare_exchange_strong(&m->pid, &nobody, self);
	shared = m;
	sigaction(SIGSEGV, &a, NULL);
}

bool mallocs_forgets(void)
{
	return atomic_exchange(&forgetful, false);
}

static bool fails(const void *caller)
{
	struct mallocs *m = shared;
	u64 mode, turn;

	if (m == NULL || (mode = m->mode) == MALLOCS_OFF || m->pid != self)
		return false;
	turn = atomic_fetch_add(&m->count, 1) + 1;
	if (mode == MALLOCS_COUNT || turn < m->n || (mode != MALLOCS_ON && turn > m->n))
		return false;
	if (atomic_fetch_add(&m->hits, 1) == 0)
		remember(m->where, caller);
	if (mode == MALLOCS_PLANTED) {
		forgetful = true;
		return false;
	}
	errno = ENOMEM;
	return true;
}

#define FAILS() fails(__builtin_return_address(0))
#define INSTEAD(type, name, ...)                         \
	type mallocs_##name(__VA_ARGS__) __asm__(#name); \
	type mallocs_##name(__VA_ARGS__)

INSTEAD(void *, malloc, size_t n)
{
	return FAILS() ? NULL : __libc_malloc(n);
}

INSTEAD(void *, calloc, size_t count, size_t n)
{
	return FAILS() ? NULL : __libc_calloc(count, n);
}

INSTEAD(void *, realloc, void *p, size_t n)
{
	return FAILS() ? NULL : __libc_realloc(p, n);
}

INSTEAD(void *, memalign, size_t alignment, size_t n)
{
	return FAILS() ? NULL : __libc_memalign(alignment, n);
}

INSTEAD(void *, aligned_alloc, size_t alignment, size_t n)
{
	return FAILS() ? NULL : __libc_memalign(alignment, n);
}

INSTEAD(int, posix_memalign, void **out, size_t alignment, size_t n)
{
	void *p = FAILS() ? NULL : __libc_memalign(alignment, n);

	if (p == NULL)
		return ENOMEM;
	*out = p;
	return 0;
}
