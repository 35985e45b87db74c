/*
 * Where a message's bytes lie until the office takes them, behind room for fields that are written last. Small: in memory, from where they
 * travel in the call itself: cheaper than a descriptor up to any size that is small, and nobody else can change them. From OFFICE_LARGE
 * on: the unlinked file that message_begin hands out, so that many large messages fill the disk and not the memory.
 *
 * When nothing was announced and memory passes OFFICE_LARGE, message_begin is asked again with a large hint, for its file
 * only; the first id stays (ids are cheap, and one that is never committed harms nobody).
 */
#include <errno.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/fd.h"
#include "edge/gate/gate_int.h"

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
	*p = (struct spool){ .office = office, .arena = a, .at = room };
	TRY(begin(p, size_hint, id, &p->file));
	if (p->file >= 0)
		return NULL;
	p->memory = buf_new(a, room + OFFICE_LARGE + SKELETON_BYTES);
	if (room > 0 && buf_room(p->memory, room))
		buf_added(p->memory, room);
	return NULL;
}

static const struct fail *write_file(struct spool *p, str bytes, u64 at)
{
	return fd_pwrite_all(p->file, bytes, at)
		   ? NULL
		   : fail_errno(p->arena, errno, "keeping the message");
}

static const struct fail *move_to_file(struct spool *p)
{
	u64 unused_id;

	TRY(begin(p, OFFICE_LARGE, &unused_id, &p->file));
	if (p->file < 0)
		return &no_file;
	TRY(write_file(p, str_skip(buf_str(p->memory), p->at), p->at));
	buf_free(p->memory);
	p->memory = NULL;
	return NULL;
}

const struct fail *spool_write(struct spool *p, str bytes)
{
	if (p->memory && p->size + bytes.n > OFFICE_LARGE)
		TRY(move_to_file(p));
	if (p->memory)
		buf_add(p->memory, bytes);
	else
		TRY(write_file(p, bytes, p->at + p->size));
	p->size += bytes.n;
	return NULL;
}

const struct fail *spool_front(struct spool *p, str bytes)
{
	CHECK(bytes.n <= p->at);
	p->at -= bytes.n;
	p->size += bytes.n;
	if (p->memory == NULL)
		return write_file(p, bytes, p->at);
	memcpy(p->memory->p + p->at, bytes.p, bytes.n);
	return NULL;
}

const struct fail *spool_read(const struct spool *p, u64 at, size_t n, u8 *window, str *out)
{
	*out = str_from(window, n);
	if (p->memory)
		*out = str_slice(buf_str(p->memory), p->at + at, p->at + at + n);
	else if (!fd_pread_all(p->file, window, n, p->at + at))
		return fail_errno(p->arena, errno, "reading the message again");
	return NULL;
}

const struct fail *spool_close(struct spool *p, str tail, struct message_body *out)
{
	*out = (struct message_body){ .file = p->file, .size = p->size, .skeleton = tail.n };
	if (p->memory) {
		buf_add(p->memory, tail);
		CHECK(!p->memory->full);
		out->bytes = str_skip(buf_str(p->memory), p->at);
		return NULL;
	}
	out->at = p->at;
	return write_file(p, tail, p->at + p->size);
}
