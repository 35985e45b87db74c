#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/fail.h"

enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

bool fd_write_all(int fd, str s)
{
	while (s.n) {
		ssize_t n = write(fd, s.p, s.n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		s = str_skip(s, (size_t)n);
	}
	return true;
}

bool fd_pwrite_all(int fd, str s, u64 at)
{
	while (s.n) {
		ssize_t n = pwrite(fd, s.p, s.n, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		s = str_skip(s, (size_t)n);
		at += (u64)n;
	}
	return true;
}

bool fd_pread_all(int fd, void *out, size_t n, u64 at)
{
	u8 *p = out;

	while (n) {
		ssize_t got = pread(fd, p, n, (off_t)at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got == 0)
			errno = 0;
		if (got <= 0)
			return false;
		p += got;
		n -= (size_t)got;
		at += (u64)got;
	}
	return true;
}

bool fd_nonblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

int fd_memory(const char *name)
{
	return memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

bool fd_seal(int fd)
{
	return fcntl(fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL) == 0;
}

bool fd_is_sealed(int fd, u64 n)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	return seals >= 0 && (seals & SEALS) == SEALS && fstat(fd, &st) == 0 && st.st_size >= 0 &&
	       (u64)st.st_size == n;
}

const struct fail *fd_from_str(struct arena *a, str bytes, int *out)
{
	int fd = fd_memory("postern");

	if (fd < 0)
		return fail_errno(a, errno, "memory file");
	arena_own_fd(a, fd);
	if (!fd_write_all(fd, bytes) || !fd_seal(fd))
		return fail_errno(a, errno, "memory file");
	*out = fd;
	return NULL;
}

struct map {
	void *p;
	size_t n;
};

static void map_release(void *object)
{
	struct map *m = object;

	munmap(m->p, m->n);
}

const struct fail *fd_map(struct arena *a, int fd, u64 n, str *out)
{
	static const struct fail bad = FAIL_STATIC(CORRUPT, "a descriptor that is not sealed");
	struct stat st;
	struct map *m;
	void *p;

	*out = STR_NONE;
	if (fstat(fd, &st) != 0 || st.st_size < 0 || (u64)st.st_size < n ||
	    !fd_is_sealed(fd, (u64)st.st_size))
		return &bad;
	if (n == 0)
		return NULL;
	p = mmap(NULL, (size_t)n, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return fail_errno(a, errno, "mapping a memory file");
	m = arena_new_of(a, struct map);
	*m = (struct map){ p, (size_t)n };
	arena_own(a, map_release, m);
	*out = str_from(p, (size_t)n);
	return NULL;
}

const struct fail *fd_read(struct arena *a, int fd, u64 at, size_t n, str *out)
{
	u8 *p = arena_alloc(a, n);

	if (!fd_pread_all(fd, p, n, at)) {
		if (errno == 0)
			return fail_new(a, FAIL_CORRUPT, "the file ends early");
		return fail_errno(a, errno, "reading");
	}
	*out = str_from(p, n);
	return NULL;
}
