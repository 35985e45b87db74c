/*
 * Descriptors: whole reads and writes, memory files, sealing, mapping.
 * Every descriptor made here is close-on-exec.
 */
#ifndef BASE_FD_H
#define BASE_FD_H

#include "base/str.h"

struct fail;

void fd_close(int *fd); /* and sets it to -1; does nothing on -1 */
/* All of s, whatever the write sizes and EINTR; *errno* tells on false. */
bool fd_write_all(int fd, str s) NODISCARD;
bool fd_pwrite_all(int fd, str s, u64 at) NODISCARD;
/* Exactly n bytes; false also at an early end (errno 0). */
bool fd_pread_all(int fd, void *out, size_t n, u64 at) NODISCARD;
bool fd_nonblock(int fd);

int fd_memory(const char *name); /* an empty memfd that can be sealed; -1 and errno */
/* No more change in size or bytes. Any writable map must be gone. */
bool fd_seal(int fd) NODISCARD;
/* True when fd is a memfd that nobody can change any more, of exactly n bytes. What another process
 * sent must pass this before it is mapped. */
bool fd_is_sealed(int fd, u64 n);
/* A sealed memory file with these bytes; the arena owns it. */
const struct fail *fd_from_str(struct arena *a, str bytes, int *out);
/* The first n bytes of a sealed memory file, mapped read-only; unmapped when the arena goes.
 * CORRUPT when it is not sealed or not at least n long. */
const struct fail *fd_map(struct arena *a, int fd, u64 n, str *out);
/* Bytes [at, at+n) of any file, read into the arena (bounded by its budget: check first). */
const struct fail *fd_read(struct arena *a, int fd, u64 at, size_t n, str *out);

#endif
