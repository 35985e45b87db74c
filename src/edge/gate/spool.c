/*
 * Where a message's bytes lie until the office takes them, behind room for fields that are written last. Small: in memory, from where they
 * travel in the call itself: cheaper than a descriptor up to any size that is small, and nobody else can change them. From OFFICE_LARGE
 * on: the unlinked file that spool_file hands out, so that many large messages fill the disk and not the memory.
 */
#include <errno.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/fd.h"
#include "edge/gate/gate_int.h"

static const struct fail no_file = FAIL_STATIC(INTERNAL, "no spool file for a large message");

static const struct fail *ask_file(struct spool *p)
{
	struct office_spool_file_request q = { 0 };
	struct office_spool_file_answer r;

	TRY(office_spool_file(p->arena, p->office, &q, &r));
	p->file = r.file;
	return p->file < 0 ? &no_file : NULL;
}

const struct fail *spool_open(struct spool *p, struct arena *a, struct bus *office, u64 size_hint,
			      u64 room)
{
	*p = (struct spool){ .office = office, .arena = a, .file = -1, .at = room };
	if (size_hint >= OFFICE_LARGE)
		return ask_file(p);
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
	TRY(ask_file(p));
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
