#include "office/store/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "base/fd.h"
#include "office/store/segment_int.h"

enum { SEGMENTS_MAGIC = 0x53454753, SEGMENTS_ARENA = 1 << 20 };

/* A segment open for reading. */
struct reader {
	u32 number, users;
	int fd;
	u64 used; /* when, by a counter: the one longest ago makes room */
};

struct segments {
	u32 magic;
	struct arena *arena; /* holds this struct too */
	const struct env *env;
	int folder;

	/* The writer's thread only. The file holds [0, flushed), buffer what follows, synced is durable. */
	int fd;
	u32 number;
	u64 flushed, synced;
	u64 written; /* bytes of a write that failed may lie up to here */
	u64 room;    /* the file's length: zeros made ahead lie behind what is written */
	struct buf buffer;
	u64 roll_at;
	bool must_sync; /* something not lazy since the last sync */

	pthread_mutex_t lock; /* of what follows */
	struct reader readers[SEGMENT_OPEN];
	u64 clock;
	struct place good[SEGMENT_GOOD]; /* by their place */
};

static const struct fail bad_message = FAIL_STATIC(CORRUPT, "a damaged message in the mail store");

static u64 end_of(const struct segments *s)
{
	return s->flushed + s->buffer.n;
}

void segment_name(u32 number, char out[SEGMENT_NAME])
{
	snprintf(out, SEGMENT_NAME, "%08u.seg", number);
}

/* --- Files --- */

/* Nothing stays behind `end`. */
static bool cut(struct segments *s, u64 end)
{
	if (ftruncate(s->fd, (off_t)end) != 0)
		return false;
	s->written = s->room = end;
	return true;
}

static const struct fail *open_last(struct arena *a, struct segments *s)
{
	char name[SEGMENT_NAME];

	segment_name(s->number, name);
	s->fd = openat(s->folder, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->fd < 0)
		return fail_because(a, fail_errno(a, errno, "opening"), "mail segment %u",
				    s->number);
	if (env_fault(s->env, ENV_FAULT_FOLDER_SYNC) || fsync(s->folder) != 0)
		return fail_new(a, FAIL_INTERNAL, "the mail folder could not be synced");
	return NULL;
}

/* What lies beyond tail was never acknowledged; what is missing before it was. */
static const struct fail *cut_tail(struct arena *a, struct segments *s, u64 tail)
{
	struct stat st;

	if (fstat(s->fd, &st) != 0 || !S_ISREG(st.st_mode))
		return fail_new(a, FAIL_CORRUPT, "mail segment %u is not a file", s->number);
	if ((u64)st.st_size < tail)
		return fail_new(a, FAIL_CORRUPT,
				"mail segment %u has %llu bytes, %llu were acknowledged", s->number,
				(unsigned long long)st.st_size, (unsigned long long)tail);
	if ((u64)st.st_size > tail && segment_has_later(s->folder, s->number, tail))
		return fail_new(a, FAIL_CONFLICT,
				"segment %u is newer than the database; see postern salvage",
				s->number);
	if ((u64)st.st_size > tail && (!cut(s, tail) || fsync(s->fd) != 0))
		return fail_errno(a, errno, "cutting a torn mail segment");
	s->flushed = s->synced = s->written = s->room = tail;
	return NULL;
}

/* A later segment than the database knows of, with records in it: the database is an old copy. */
static const struct fail *refuse_newer(struct arena *a, int folder, u32 last)
{
	char name[SEGMENT_NAME];
	struct stat st;
	size_t n;
	u32 *numbers;

	TRY(segments_list(a, folder, &numbers, &n));
	for (size_t i = 0; i < n; i++) {
		segment_name(numbers[i], name);
		if (numbers[i] > last && fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    st.st_size > 0)
			return fail_new(
			    a, FAIL_CONFLICT,
			    "segment %u is newer than the database; see postern salvage",
			    numbers[i]);
	}
	return NULL;
}

void segments_open_reading(int folder, const struct env *env, struct segments **out)
{
	struct arena *own = arena_new(SEGMENTS_ARENA);
	struct segments *s = arena_new_of(own, struct segments);

	*s = (struct segments){
		.magic = SEGMENTS_MAGIC, .arena = own, .env = env, .folder = folder, .fd = -1
	};
	s->roll_at = SEGMENT_BYTES;
	buf_init(&s->buffer, (size_t)SEGMENT_BUFFER + SEGMENT_NOTE_BYTES + 2 * SEGMENT_COPY);
	CHECK(pthread_mutex_init(&s->lock, NULL) == 0);
	*out = s;
}

const struct fail *segments_open(struct arena *a, int folder, const struct env *env,
				 struct place tail, struct segments **out)
{
	struct segments *s;
	const struct fail *f;

	segments_open_reading(folder, env, &s);
	s->number = tail.segment ? tail.segment : 1;
	f = refuse_newer(a, folder, tail.segment);
	if (f == NULL)
		f = open_last(a, s);
	if (f == NULL)
		f = cut_tail(a, s, tail.offset);
	if (f) {
		segments_close(&s);
		return f;
	}
	*out = s;
	return NULL;
}

void segments_close(struct segments **at)
{
	struct segments *s = *at;
	struct arena *own;

	if (s == NULL)
		return;
	CHECK_MAGIC(s, SEGMENTS_MAGIC);
	for (size_t i = 0; i < ARRAY_LEN(s->readers); i++)
		if (s->readers[i].number)
			fd_close(&s->readers[i].fd);
	if (s->fd >= 0 && s->room > s->flushed)
		cut(s, s->flushed);
	fd_close(&s->fd);
	buf_free(&s->buffer);
	pthread_mutex_destroy(&s->lock);
	own = s->arena;
	*at = NULL;
	arena_free(&own);
}

/* --- Writing --- */

struct place segments_end(const struct segments *s)
{
	return (struct place){ s->number, end_of(s) };
}

void segments_rewind(struct segments *s, struct place end)
{
	CHECK(end.segment == s->number && end.offset <= end_of(s));
	s->buffer.full = false;
	if (s->synced > end.offset)
		s->synced = end.offset;
	if (end.offset >= s->flushed) {
		s->buffer.n = (size_t)(end.offset - s->flushed);
	} else {
		s->flushed = end.offset;
		s->buffer.n = 0;
	}
	/* Else they would hold room on a full disk, and stay behind the next record when that is shorter. */
	if (s->written > s->flushed)
		cut(s, s->flushed);
}

u64 segments_pending(const struct segments *s)
{
	return end_of(s) - s->synced;
}

void segments_roll_at(struct segments *s, u64 bytes)
{
	s->roll_at = bytes;
}

static const struct fail *write_at(struct arena *a, struct segments *s, str bytes, u64 at)
{
	int error = env_fault(s->env, ENV_FAULT_WRITE);

	if (s->written < at + bytes.n)
		s->written = at + bytes.n;
	if (error == 0 && !fd_pwrite_all(s->fd, bytes, at))
		error = errno;
	return error ? fail_errno(a, error, "writing mail") : NULL;
}

/* A sync of a file that became longer waits for the file system's journal too; within zeros that are durable already it does not. So when
 * the file grows, it grows by more than is asked. Where that cannot be, it is only slower. */
static void make_room(struct segments *s)
{
	static const u8 zeros[32 * 1024];
	u64 end = s->flushed + (s->flushed < SEGMENT_AHEAD ? s->flushed : SEGMENT_AHEAD);

	if (s->flushed <= s->room)
		return;
	for (s->room = s->flushed; s->room < end; s->room += sizeof zeros)
		if (!fd_pwrite_all(s->fd, str_from(zeros, sizeof zeros), s->room)) {
			cut(s, s->flushed);
			return;
		}
}

static const struct fail *flush(struct arena *a, struct segments *s)
{
	if (s->buffer.n == 0)
		return NULL;
	TRY(write_at(a, s, buf_str(&s->buffer), s->flushed));
	s->flushed += s->buffer.n;
	buf_reset(&s->buffer);
	make_room(s);
	return NULL;
}

static void pad(struct buf *b, const struct record *r)
{
	u64 bare = RECORD_HEADER + (u64)r->skeleton + r->summary + r->message;

	for (u64 i = bare; i < record_length(r); i++)
		buf_add_byte(b, 0);
}

const struct fail *segments_append(struct arena *a, struct segments *s, struct record *r, str small,
				   str message, bool lazy, struct place *out)
{
	u8 header[RECORD_HEADER];

	CHECK(small.n == (size_t)r->skeleton + r->summary && message.n == r->message);
	CHECK(small.n <= (size_t)SEGMENT_NOTE_BYTES && message.n <= SEGMENT_COPY);
	if (s->buffer.n >= SEGMENT_BUFFER)
		TRY(flush(a, s));
	*out = segments_end(s);
	r->small_crc = crc32c(0, small);
	r->message_crc = crc32c(0, message);
	r->header_crc = crc32c(0, str_slice(message, 0, r->header));
	record_encode(r, header);
	buf_add(&s->buffer, str_from(header, sizeof header));
	buf_add(&s->buffer, small);
	buf_add(&s->buffer, message);
	pad(&s->buffer, r);
	CHECK(!s->buffer.full);
	if (!lazy)
		s->must_sync = true;
	return NULL;
}

/* Bytes [at, at + n) of the source; `piece` has room for those of a file. */
static const struct fail *read_source(struct arena *a, const struct segment_source *from, u64 at,
				      size_t n, u8 *piece, str *out)
{
	errno = 0;
	*out =
	    from->fd < 0 ? str_slice(from->bytes, (size_t)at, (size_t)at + n) : str_from(piece, n);
	if (from->fd < 0 ? out->n == n : fd_pread_all(from->fd, piece, n, from->at + at))
		return NULL;
	if (errno == 0)
		return fail_new(a, FAIL_INVALID, "the message is shorter than was said");
	return fail_errno(a, errno, "reading a message");
}

static u8 *piece_for(struct arena *a, const struct segment_source *from, size_t n)
{
	return from->fd < 0 ? NULL : arena_alloc(a, n);
}

static const struct fail *append_small(struct arena *a, struct segments *s, struct record *r,
				       str small, const struct segment_source *from,
				       struct place *out)
{
	size_t n = (size_t)r->message;
	str bytes;

	TRY(read_source(a, from, 0, n, piece_for(a, from, n), &bytes));
	return segments_append(a, s, r, small, bytes, false, out);
}

/* The message goes straight to the file; its header, with the CRC, follows last. */
static const struct fail *append_large(struct arena *a, struct segments *s, struct record *r,
				       str small, const struct segment_source *from)
{
	u8 *piece = piece_for(a, from, SEGMENT_COPY);
	u8 header[RECORD_HEADER];
	u64 base = s->flushed + RECORD_HEADER + small.n;

	r->small_crc = crc32c(0, small);
	r->message_crc = r->header_crc = 0;
	for (u64 at = 0; at < r->message; at += SEGMENT_COPY) {
		u64 left = r->message - at;
		size_t n = left < SEGMENT_COPY ? (size_t)left : SEGMENT_COPY;
		str bytes;

		TRY(read_source(a, from, at, n, piece, &bytes));
		r->message_crc = crc32c(r->message_crc, bytes);
		if (at < r->header)
			r->header_crc =
			    crc32c(r->header_crc, str_slice(bytes, 0, (size_t)(r->header - at)));
		TRY(write_at(a, s, bytes, base + at));
	}
	record_encode(r, header);
	TRY(write_at(a, s, small, s->flushed + RECORD_HEADER));
	TRY(write_at(a, s, str_from(header, sizeof header), s->flushed));
	s->flushed = base + r->message;
	s->must_sync = true;
	pad(&s->buffer, r);
	return NULL;
}

const struct fail *segments_append_message(struct arena *a, struct segments *s, struct record *r,
					   str small, const struct segment_source *from,
					   struct place *out)
{
	struct arena *piece;
	const struct fail *f;

	if (r->message > SEGMENT_MESSAGE_BYTES)
		return fail_new(a, FAIL_TOO_LARGE, "message too large");
	piece = arena_new(SEGMENT_COPY);
	if (r->message <= SEGMENT_COPY) {
		f = append_small(piece, s, r, small, from, out);
	} else {
		f = flush(piece, s);
		*out = segments_end(s);
		if (f == NULL)
			f = append_large(piece, s, r, small, from);
	}
	if (f)
		f = fail_new(a, f->what, "%.*s", STR_ARG(f->text));
	arena_free(&piece);
	return f;
}

/* The next batch begins a new file. Nothing unsynced is left here. When the file cannot be made (a full disk), the
 * old one goes on and the next batch tries again; when the folder cannot be synced, all is over. */
static const struct fail *roll(struct arena *a, struct segments *s)
{
	int old = s->fd;
	const struct fail *f;

	cut(s, s->flushed);
	s->number++;
	f = open_last(a, s);
	if (s->fd < 0) {
		s->number--;
		s->fd = old;
		return NULL;
	}
	fd_close(&old);
	s->flushed = s->synced = s->written = s->room = 0;
	return f;
}

const struct fail *segments_sync(struct arena *a, struct segments *s, bool lazy_too, bool *synced)
{
	int error;

	*synced = false;
	TRY(flush(a, s));
	if (!s->must_sync && !(lazy_too && s->flushed > s->synced))
		return NULL;
	error = env_fault(s->env, ENV_FAULT_SYNC);
	if (error == 0 && fdatasync(s->fd) != 0)
		error = errno;
	if (error) {
		/* Never again: the kernel may have dropped the pages and forgotten the error (THREATS F09). */
		if (cut(s, s->synced))
			s->flushed = s->synced;
		return fail_new(a, FAIL_INTERNAL, "syncing mail: %s",
				strerrordesc_np(error) ?: "unknown error");
	}
	s->synced = s->flushed;
	s->must_sync = false;
	*synced = true;
	return s->flushed >= s->roll_at ? roll(a, s) : NULL;
}

/* --- Reading --- */

/* With the lock held: a place in the table that nobody uses, its old file closed; NULL when all are in use. */
static struct reader *free_reader(struct segments *s)
{
	struct reader *oldest = NULL;

	for (size_t i = 0; i < ARRAY_LEN(s->readers); i++) {
		struct reader *r = &s->readers[i];
		if (r->users == 0 && (oldest == NULL || r->used < oldest->used))
			oldest = r;
	}
	if (oldest && oldest->number)
		fd_close(&oldest->fd);
	if (oldest)
		*oldest = (struct reader){ .fd = -1 };
	return oldest;
}

static struct reader *find_reader(struct segments *s, u32 number)
{
	for (size_t i = 0; i < ARRAY_LEN(s->readers); i++)
		if (s->readers[i].number == number)
			return &s->readers[i];
	return NULL;
}

static const struct fail *reader_open(struct arena *a, struct segments *s, u32 number,
				      struct reader **out)
{
	char name[SEGMENT_NAME];
	struct reader *r = find_reader(s, number);

	if (r == NULL) {
		r = free_reader(s);
		if (r == NULL)
			return fail_new(a, FAIL_LIMIT, "too many mail segments open");
		segment_name(number, name);
		r->fd = openat(s->folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (r->fd < 0 && errno == ENOENT)
			return fail_new(a, FAIL_CORRUPT, "mail segment %u is missing", number);
		if (r->fd < 0)
			return fail_because(a, fail_errno(a, errno, "opening"), "mail segment %u",
					    number);
		r->number = number;
	}
	r->users++;
	r->used = ++s->clock;
	*out = r;
	return NULL;
}

static const struct fail *read_file(struct arena *a, struct segments *s, struct place p, void *out,
				    size_t n)
{
	struct reader *r = NULL;
	const struct fail *f;

	if (p.segment == 0)
		return fail_new(a, FAIL_CORRUPT, "no such mail segment");
	CHECK(pthread_mutex_lock(&s->lock) == 0);
	f = reader_open(a, s, p.segment, &r);
	CHECK(pthread_mutex_unlock(&s->lock) == 0);
	if (f || r == NULL)
		return f;
	errno = 0;
	if (!fd_pread_all(r->fd, out, n, p.offset))
		f = errno ? fail_errno(a, errno, "reading mail")
			  : fail_new(a, FAIL_CORRUPT, "mail segment %u ends early", p.segment);
	CHECK(pthread_mutex_lock(&s->lock) == 0);
	r->users--;
	CHECK(pthread_mutex_unlock(&s->lock) == 0);
	return f;
}

static const struct fail *read_at(struct arena *a, struct segments *s, struct place p, bool own,
				  void *out, size_t n)
{
	str pending;

	if (!own || p.segment != s->number || p.offset < s->flushed)
		return read_file(a, s, p, out, n);
	pending = buf_str(&s->buffer);
	if (p.offset - s->flushed > pending.n || n > pending.n - (p.offset - s->flushed))
		return fail_new(a, FAIL_CORRUPT, "mail segment %u ends early", p.segment);
	if (n)
		memcpy(out, pending.p + (p.offset - s->flushed), n);
	return NULL;
}

const struct fail *segments_read(struct arena *a, struct segments *s, struct place p, bool own,
				 struct record *r, str *small)
{
	static const struct fail bad = FAIL_STATIC(CORRUPT, "a damaged record in the mail store");
	u8 header[RECORD_HEADER];
	size_t n;
	u8 *bytes;

	TRY(read_at(a, s, p, own, header, sizeof header));
	if (!record_decode(header, r))
		return &bad;
	n = (size_t)r->skeleton + r->summary;
	bytes = arena_alloc(a, n);
	p.offset += RECORD_HEADER;
	TRY(read_at(a, s, p, own, bytes, n));
	*small = str_from(bytes, n);
	return crc32c(0, *small) == r->small_crc ? NULL : &bad;
}

const struct fail *segments_read_piece(struct arena *a, struct segments *s, struct place p,
				       bool own, const struct record *r, u64 from, size_t n,
				       u8 *out)
{
	if (from > r->message || n > r->message - from)
		return fail_new(a, FAIL_CORRUPT, "a message shorter than its row says");
	p.offset += record_message_at(r) + from;
	return read_at(a, s, p, own, out, n);
}

/* With `now`: it is from here on. */
static bool is_good(struct segments *s, struct place p, bool now)
{
	struct place *at = &s->good[(p.offset / RECORD_ALIGN + p.segment) % SEGMENT_GOOD];
	bool good;

	CHECK(pthread_mutex_lock(&s->lock) == 0);
	if (now)
		*at = p;
	good = at->segment == p.segment && at->offset == p.offset;
	CHECK(pthread_mutex_unlock(&s->lock) == 0);
	return good;
}

/* All of it, a piece at a time. */
static const struct fail *check_whole(struct arena *a, struct segments *s, struct place p, bool own,
				      const struct record *r)
{
	struct arena *piece;
	const struct fail *f = NULL;
	u32 crc = 0;
	u8 *bytes;

	if (!own && is_good(s, p, false))
		return NULL;
	piece = arena_new(SEGMENT_COPY);
	bytes = arena_alloc(piece, SEGMENT_COPY);
	for (u64 at = 0; at < r->message && !f; at += SEGMENT_COPY) {
		u64 left = r->message - at;
		size_t n = left < SEGMENT_COPY ? (size_t)left : SEGMENT_COPY;

		f = segments_read_piece(a, s, p, own, r, at, n, bytes);
		crc = crc32c(crc, str_from(bytes, n));
	}
	arena_free(&piece);
	if (f || crc != r->message_crc)
		return f ?: &bad_message;
	if (!own)
		is_good(s, p, true);
	return NULL;
}

const struct fail *segments_read_message(struct arena *a, struct segments *s, struct place p,
					 bool own, const struct record *r, u64 from, size_t n,
					 u8 *out)
{
	bool whole = n == r->message, header = from == 0 && n && n == r->header;

	if (n && !whole && !header)
		TRY(check_whole(a, s, p, own, r));
	TRY(segments_read_piece(a, s, p, own, r, from, n, out));
	if (whole || header)
		return crc32c(0, str_from(out, n)) == (whole ? r->message_crc : r->header_crc)
			   ? NULL
			   : &bad_message;
	return NULL;
}
