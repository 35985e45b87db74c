/* Bodies: from an edge's descriptor into a segment, shared by reference, out again in sealed memory files. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/fd.h"
#include "office/store/record.h"
#include "office/store/store_int.h"

static const struct fail not_ours = FAIL_STATIC(INVALID, "not a message that we can read");
/* An edge that began anew while the clock was set back made it again; the next one will be another. */
static const struct fail used_id = FAIL_STATIC(UNAVAILABLE, "try again");
static const struct fail bad_body = FAIL_STATIC(CORRUPT, "a message that the store has lost");

/* --- In --- */

/* A file that has no name any more, on our own disk: no edge can make one, so store_spool_file did. Its bytes may
 * still change under us: it is read, never mapped. */
static bool is_our_spool(const struct store *s, int fd, u64 n)
{
	struct stat file, folder;

	return fstat(fd, &file) == 0 && fstat(s->folder, &folder) == 0 && S_ISREG(file.st_mode) &&
	       file.st_nlink == 0 && file.st_dev == folder.st_dev && file.st_size >= 0 &&
	       (u64)file.st_size == n;
}

/* Where the bytes are, if they are all there. */
static bool is_complete(const struct store *s, const struct message_body *b)
{
	u64 all = b->at + b->size + b->skeleton;

	if (b->at > SEGMENT_MESSAGE_BYTES || b->skeleton > SKELETON_BYTES)
		return false;
	if (b->file < 0)
		return b->at == 0 && b->bytes.n == all;
	return b->bytes.n == 0 && is_our_spool(s, b->file, all);
}

static const struct fail *take_skeleton(struct arena *a, const struct message_body *b, str *out)
{
	if (b->file >= 0)
		return fd_read(a, b->file, b->at + b->size, (size_t)b->skeleton, out);
	*out = str_skip(b->bytes, (size_t)b->size);
	return NULL;
}

const struct fail *store_body_check(struct arena *a, struct store *s, const struct message_body *b,
				    struct body_draft *out)
{
	struct skeleton *parsed = arena_new_of(a, struct skeleton);

	*out = (struct body_draft){ .message = { .fd = b->file, .at = b->at },
				    .size = b->size,
				    .parsed = parsed };
	if (b->size > SEGMENT_MESSAGE_BYTES)
		return fail_new(a, FAIL_TOO_LARGE, "message too large");
	if (!is_complete(s, b))
		return &not_ours;
	out->message.bytes = str_slice(b->bytes, 0, b->file < 0 ? (size_t)b->size : 0);
	TRY(take_skeleton(a, b, &out->skeleton));
	TRY(skeleton_decode(a, out->skeleton, parsed));
	if (parsed->size != b->size)
		return &not_ours;
	out->header_size = parsed->parts_n ? parsed->parts[0].body_at : b->size;
	return out->header_size <= b->size ? NULL : &not_ours;
}

const struct fail *store_spool_file(struct arena *a, struct store *s, int *out)
{
	*out = openat(s->folder, ".", O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	if (*out < 0)
		return fail_errno(a, errno, "making a spool file");
	arena_own_fd(a, *out);
	return NULL;
}

/* As many recipients as fit. */
static void encode_summary(struct buf *bytes, const struct body_summary *s)
{
	struct encoder e = { .bytes = bytes };
	struct body_note note = { .sender = s->sender, .recipients = s->recipients };
	size_t room = SEGMENT_SUMMARY_BYTES - 8;

	if (note.sender.n > room / 2)
		note.sender = STR_NONE;
	room -= note.sender.n;
	while (note.recipients_n < s->recipients_n &&
	       s->recipients[note.recipients_n].n + 4 <= room)
		room -= s->recipients[note.recipients_n++].n + 4;
	encode_body_note(&e, &note);
}

static const struct fail *append(struct tx *t, u64 id, const struct body_draft *d,
				 const struct body_summary *s, struct record *r, struct place *at)
{
	struct buf small;
	const struct fail *f;

	buf_init(&small, SKELETON_BYTES + SEGMENT_SUMMARY_BYTES);
	buf_add(&small, d->skeleton);
	encode_summary(&small, s);
	*r = (struct record){ .kind = RECORD_MESSAGE,
			      .id = id,
			      .time = t->now,
			      .message = d->size,
			      .header = (u32)d->header_size,
			      .skeleton = (u32)d->skeleton.n,
			      .summary = (u32)(small.n - d->skeleton.n) };
	f = segments_append_message(t->arena, t->store->segments, r, buf_str(&small), &d->message,
				    at);
	buf_free(&small);
	return f;
}

const struct fail *store_body_append(struct tx *t, u64 id, const struct body_draft *d,
				     const struct body_summary *s)
{
	const struct fail *f;
	struct record r;
	struct place at;

	TRY(append(t, id, d, s, &r, &at));
	f = SQL_RUN(t->arena, t->db,
		    "INSERT INTO body (id, segment, offset, size, skeleton_size, header_size,"
		    " length, references_n) VALUES (?, ?, ?, ?, ?, ?, ?, 1)",
		    SQL_U64(id), SQL_U64(at.segment), SQL_U64(at.offset), SQL_U64(d->size),
		    SQL_U64(d->skeleton.n), SQL_U64(d->header_size), SQL_U64(record_length(&r)));
	return f && f->what == FAIL_EXISTS ? &used_id : f;
}

/* --- References --- */

const struct fail *store_body_hold(struct tx *t, u64 id)
{
	TRY(SQL_RUN(t->arena, t->db, "UPDATE body SET references_n = references_n + 1 WHERE id = ?",
		    SQL_U64(id)));
	return sql_changed(t->db) == 1 ? NULL : &bad_body;
}

static const struct fail *bury(struct tx *t, u64 id, u64 segment, u64 length)
{
	TRY(SQL_RUN(t->arena, t->db, "DELETE FROM body WHERE id = ?", SQL_U64(id)));
	return SQL_RUN(t->arena, t->db,
		       "INSERT INTO segment (number, dead) VALUES (?, ?)"
		       " ON CONFLICT (number) DO UPDATE SET dead = dead + excluded.dead",
		       SQL_U64(segment), SQL_U64(length));
}

/* A body whose row is lost is no reason to keep what refers to it: deleting must work on a damaged store. No UPDATE .. RETURNING:
 * SQLite runs that in a savepoint of its own, whose end costs the more the more the job has changed before. */
const struct fail *store_body_release(struct tx *t, u64 id)
{
	struct query *q = SQL_QUERY(
	    t->db, "SELECT references_n, segment, length FROM body WHERE id = ?", SQL_U64(id));
	bool found = sql_row(q);
	u64 references = sql_u64(q), segment = sql_u64(q), length = sql_u64(q);

	TRY(sql_end(t->arena, q));
	if (!found)
		return NULL;
	if (references == 1)
		return bury(t, id, segment, length);
	return SQL_RUN(t->arena, t->db,
		       "UPDATE body SET references_n = references_n - 1 WHERE id = ?", SQL_U64(id));
}

/* --- Out --- */

const struct fail *body_row_get(struct tx *t, u64 id, struct body_row *out)
{
	struct query *q = SQL_QUERY(
	    t->db,
	    "SELECT segment, offset, size, skeleton_size, header_size, length, references_n"
	    " FROM body WHERE id = ?",
	    SQL_U64(id));
	bool found = sql_row(q);

	*out = (struct body_row){ .id = id };
	if (found) {
		out->place.segment = sql_u32(q);
		out->place.offset = sql_u64(q);
		out->size = sql_u64(q);
		out->skeleton = sql_u32(q);
		out->header_size = sql_u64(q);
		out->length = sql_u64(q);
		out->references = sql_u64(q);
		if (out->size > SEGMENT_MESSAGE_BYTES || out->skeleton > SKELETON_BYTES ||
		    out->header_size > out->size || out->place.offset > INT64_MAX / 2)
			sql_bad(q);
	}
	TRY(sql_end(t->arena, q));
	return found ? NULL : &bad_body;
}

const struct fail *body_skeleton(struct tx *t, const struct body_row *b, struct record *r,
				 str *skeleton)
{
	TRY(segments_read(t->arena, t->store->segments, b->place, t->writes, r, skeleton));
	*skeleton = str_slice(*skeleton, 0, r->skeleton);
	if (r->kind != RECORD_MESSAGE || r->id != b->id || r->message != b->size ||
	    r->skeleton != b->skeleton)
		return &bad_body;
	return NULL;
}

static const struct fail *copy_out(struct tx *t, const struct body_row *b, const struct record *r,
				   int fd)
{
	struct arena *piece = arena_new(SEGMENT_COPY);
	u8 *bytes = arena_alloc(piece, SEGMENT_COPY);
	const struct fail *f = NULL;
	u32 crc = 0;

	for (u64 at = 0; at < b->size && !f; at += SEGMENT_COPY) {
		u64 left = b->size - at;
		size_t n = left < SEGMENT_COPY ? (size_t)left : SEGMENT_COPY;

		f = segments_read_piece(t->arena, t->store->segments, b->place, t->writes, r, at, n,
					bytes);
		crc = crc32c(crc, str_from(bytes, n));
		if (!f && !fd_write_all(fd, str_from(bytes, n)))
			f = fail_errno(t->arena, errno, "memory file");
	}
	arena_free(&piece);
	return f || crc == r->message_crc ? f : &bad_body;
}

const struct fail *store_body_get(struct tx *t, u64 id, int *fd, u64 *size, u64 *skeleton)
{
	struct body_row b;
	struct record r;
	str bytes;

	TRY(body_row_get(t, id, &b));
	TRY(body_skeleton(t, &b, &r, &bytes));
	*fd = arena_own_fd(t->arena, fd_memory("postern-message"));
	if (*fd < 0)
		return fail_errno(t->arena, errno, "memory file");
	TRY(copy_out(t, &b, &r, *fd));
	if (!fd_write_all(*fd, bytes) || !fd_seal(*fd))
		return fail_errno(t->arena, errno, "memory file");
	*size = b.size;
	*skeleton = bytes.n;
	return NULL;
}
