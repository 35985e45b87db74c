/*
 * Where a message's bytes lie until the office takes them, behind room for fields that are written last (a hole costs nothing). Small: a memfd of ours, sealed at the end. From OFFICE_LARGE on: the
 * unlinked file that message_begin hands out, so that many large messages fill the disk and not the memory.
 *
 * When nothing was announced and the memfd passes OFFICE_LARGE, message_begin is asked again with a large hint, for its file
 * only; the first id stays (ids are cheap, and one that is never committed harms nobody).
 */
#include <errno.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/fd.h"
#include "edge/gate/gate_int.h"

enum { COPY_BYTES = 16 * 1024 };

static const struct fail no_file = FAIL_STATIC(INTERNAL, "no spool file for a large message");

static const struct fail *begin(struct spool *p, u64 size_hint, u64 *id, int *file)
{
	/* 0 would say "unknown" and cost a file for each small message. */
	struct office_message_begin_request q = { .size_hint = size_hint > 0 ? size_hint : 1 };
	struct office_message_begin_answer r;

	TRY(office_message_begin(p->arena, p->office, &q, &r));
	*id = r.id;
	*file = r.file;
	return NULL;
}

const struct fail *spool_open(struct spool *p, struct arena *a, struct bus *office, u64 size_hint,
			      u64 room, u64 *id)
{
	int file;

	*p = (struct spool){ .office = office, .arena = a, .fd = -1, .at = room };
	TRY(begin(p, size_hint, id, &file));
	p->file = file >= 0;
	p->fd = file >= 0 ? file : arena_own_fd(a, fd_memory("message"));
	return p->fd >= 0 ? NULL : &no_file;
}

static const struct fail *copy(struct spool *p, int to)
{
	u8 bytes[COPY_BYTES];

	u64 end = p->at + p->size;

	for (u64 at = p->at; at < end;) {
		size_t n = end - at < sizeof bytes ? (size_t)(end - at) : sizeof bytes;
		if (!fd_pread_all(p->fd, bytes, n, at) ||
		    !fd_pwrite_all(to, str_from(bytes, n), at))
			return fail_errno(p->arena, errno, "moving a large message to disk");
		at += n;
	}
	return NULL;
}

static const struct fail *move_to_file(struct spool *p)
{
	u64 unused_id;
	int file, memory;

	TRY(begin(p, OFFICE_LARGE, &unused_id, &file));
	if (file < 0)
		return &no_file;
	TRY(copy(p, file));
	memory = arena_give_fd(p->arena, p->fd);
	fd_close(&memory);
	p->fd = file;
	p->file = true;
	return NULL;
}

const struct fail *spool_write(struct spool *p, str bytes)
{
	if (!p->file && p->size + bytes.n > OFFICE_LARGE)
		TRY(move_to_file(p));
	if (!fd_pwrite_all(p->fd, bytes, p->at + p->size))
		return fail_errno(p->arena, errno, "keeping the message");
	p->size += bytes.n;
	return NULL;
}

const struct fail *spool_front(struct spool *p, str bytes)
{
	CHECK(bytes.n <= p->at);
	if (!fd_pwrite_all(p->fd, bytes, p->at - bytes.n))
		return fail_errno(p->arena, errno, "keeping the trace fields");
	p->at -= bytes.n;
	p->size += bytes.n;
	return NULL;
}

const struct fail *spool_close(struct spool *p, str tail)
{
	if (!fd_pwrite_all(p->fd, tail, p->at + p->size))
		return fail_errno(p->arena, errno, "keeping the skeleton");
	if (!p->file && !fd_seal(p->fd))
		return fail_errno(p->arena, errno, "sealing the message");
	return NULL;
}
