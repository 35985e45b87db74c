#include "office/store/segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/codec.h"
#include "base/crc32c.h"
#include "base/fd.h"
#include "office/store/segment_int.h"
#include "text/skeleton.h"

enum { WALK_ARENA = 4096 };

/* --- Record headers: offsets as in docs/format.md --- */

enum {
	AT_MAGIC = 0,
	AT_VERSION = 4,
	AT_KIND = 5,
	AT_ID = 8,
	AT_TIME = 16,
	AT_MESSAGE = 24,
	AT_SKELETON = 32,
	AT_SUMMARY = 36,
	AT_MESSAGE_CRC = 40,
	AT_SMALL_CRC = 44,
	AT_TEXT_HEADER = 48,
	AT_TEXT_HEADER_CRC = 52,
	AT_HEADER_CRC = 60,
};

static const u8 magic[4] = { 'P', 'S', 'T', 'R' };

static void put(u8 *out, u64 value, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = (u8)(value >> 8 * i);
}

static u64 get(const u8 *in, size_t n)
{
	u64 value = 0;

	for (size_t i = 0; i < n; i++)
		value |= (u64)in[i] << 8 * i;
	return value;
}

u64 record_message_at(const struct record *r)
{
	return RECORD_HEADER + (u64)r->skeleton + r->summary;
}

u64 record_length(const struct record *r)
{
	u64 n = record_message_at(r) + r->message;

	return (n + RECORD_ALIGN - 1) / RECORD_ALIGN * RECORD_ALIGN;
}

void record_encode(const struct record *r, u8 out[RECORD_HEADER])
{
	memset(out, 0, RECORD_HEADER);
	memcpy(out + AT_MAGIC, magic, sizeof magic);
	out[AT_VERSION] = RECORD_VERSION;
	out[AT_KIND] = r->kind;
	put(out + AT_ID, r->id, 8);
	put(out + AT_TIME, r->time, 8);
	put(out + AT_MESSAGE, r->message, 8);
	put(out + AT_SKELETON, r->skeleton, 4);
	put(out + AT_SUMMARY, r->summary, 4);
	put(out + AT_MESSAGE_CRC, r->message_crc, 4);
	put(out + AT_SMALL_CRC, r->small_crc, 4);
	put(out + AT_TEXT_HEADER, r->header, 4);
	put(out + AT_TEXT_HEADER_CRC, r->header_crc, 4);
	put(out + AT_HEADER_CRC, crc32c(0, str_from(out, AT_HEADER_CRC)), 4);
}

bool record_decode(const u8 in[RECORD_HEADER], struct record *out)
{
	*out = (struct record){ .kind = in[AT_KIND],
				.id = get(in + AT_ID, 8),
				.time = get(in + AT_TIME, 8),
				.message = get(in + AT_MESSAGE, 8),
				.skeleton = (u32)get(in + AT_SKELETON, 4),
				.summary = (u32)get(in + AT_SUMMARY, 4),
				.message_crc = (u32)get(in + AT_MESSAGE_CRC, 4),
				.small_crc = (u32)get(in + AT_SMALL_CRC, 4),
				.header = (u32)get(in + AT_TEXT_HEADER, 4),
				.header_crc = (u32)get(in + AT_TEXT_HEADER_CRC, 4) };
	return memcmp(in + AT_MAGIC, magic, sizeof magic) == 0 &&
	       in[AT_VERSION] == RECORD_VERSION &&
	       get(in + AT_HEADER_CRC, 4) == crc32c(0, str_from(in, AT_HEADER_CRC)) &&
	       out->message <= SEGMENT_MESSAGE_BYTES && out->skeleton <= SKELETON_BYTES &&
	       out->summary <= SEGMENT_NOTE_BYTES;
}

/* --- Walking --- */

const struct fail *segment_walk_open(struct arena *a, int folder, u32 number,
				     struct segment_walk *w)
{
	char name[SEGMENT_NAME];
	struct stat st;

	segment_name(number, name);
	w->fd = arena_own_fd(a, openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
	if (w->fd < 0 || fstat(w->fd, &st) != 0)
		return fail_because(a, fail_errno(a, errno, "opening"), "mail segment %u", number);
	if (!S_ISREG(st.st_mode))
		return fail_new(a, FAIL_CORRUPT, "mail segment %u is not a file", number);
	w->size = (u64)st.st_size;
	w->offset = 0;
	return NULL;
}

static bool header_at(const struct segment_walk *w, u64 at, struct record *r)
{
	u8 header[RECORD_HEADER];

	return w->size - at >= RECORD_HEADER && fd_pread_all(w->fd, header, sizeof header, at) &&
	       record_decode(header, r);
}

/* A header that holds, with a record that fits into the file. */
static bool record_at(const struct segment_walk *w, u64 at, struct record *r)
{
	return header_at(w, at, r) && record_length(r) <= w->size - at;
}

/* Looks for the next good header after damage, a page at a time, at multiples of RECORD_ALIGN. */
static void find_next(struct segment_walk *w)
{
	u8 page[4096];
	struct record r;
	u64 at = w->offset + RECORD_ALIGN;

	while (at < w->size) {
		size_t n = w->size - at < sizeof page ? (size_t)(w->size - at) : sizeof page;

		if (!fd_pread_all(w->fd, page, n, at))
			break;
		for (size_t i = 0; i + sizeof magic <= n; i += RECORD_ALIGN) {
			if (memcmp(page + i, magic, sizeof magic) == 0 &&
			    record_at(w, at + i, &r)) {
				w->offset = at + i;
				return;
			}
		}
		at += sizeof page;
	}
	w->offset = w->size;
}

/* A file that was cut within a record has nothing behind it: what is left is the record's own, and a message may hold what looks
 * like records, which its sender wrote. */
static void skip_damage(struct segment_walk *w)
{
	struct record r;

	if (header_at(w, w->offset, &r))
		w->offset = w->size;
	else
		find_next(w);
}

/* Room that was made ahead, and not yet written to. */
static bool only_zeros_follow(const struct segment_walk *w)
{
	static const u8 zeros[4096];
	u8 page[sizeof zeros];

	for (u64 at = w->offset; at < w->size; at += sizeof page) {
		size_t n = w->size - at < sizeof page ? (size_t)(w->size - at) : sizeof page;

		if (!fd_pread_all(w->fd, page, n, at) || memcmp(page, zeros, n) != 0)
			return false;
	}
	return true;
}

bool segment_walk_next(struct arena *a, struct segment_walk *w, struct record *r, u64 *at,
		       str *small, bool *damaged)
{
	size_t n;
	u8 *bytes;

	*at = w->offset;
	*damaged = false;
	*small = STR_NONE;
	if (w->offset >= w->size)
		return false;
	if (!record_at(w, w->offset, r)) {
		if (only_zeros_follow(w))
			return false;
		*damaged = true;
		skip_damage(w);
		return true;
	}
	n = (size_t)r->skeleton + r->summary;
	bytes = arena_alloc(a, n);
	*damaged = !fd_pread_all(w->fd, bytes, n, w->offset + RECORD_HEADER) ||
		   crc32c(0, str_from(bytes, n)) != r->small_crc;
	*small = str_from(bytes, n);
	w->offset += record_length(r);
	return true;
}

bool segment_walk_message_good(struct arena *a, const struct segment_walk *w,
			       const struct record *r, u64 at)
{
	u8 *piece = arena_alloc(a, r->message < SEGMENT_COPY ? (size_t)r->message : SEGMENT_COPY);
	u32 crc = 0;

	for (u64 done = 0; done < r->message; done += SEGMENT_COPY) {
		u64 left = r->message - done;
		size_t n = left < SEGMENT_COPY ? (size_t)left : SEGMENT_COPY;

		if (!fd_pread_all(w->fd, piece, n, at + record_message_at(r) + done))
			return false;
		crc = crc32c(crc, str_from(piece, n));
	}
	return crc == r->message_crc;
}

bool segment_has_later(int folder, u32 number, u64 tail)
{
	struct arena *own = arena_new(WALK_ARENA), *step = arena_new(SEGMENT_NOTE_BYTES * 2);
	struct segment_walk w;
	struct record r;
	str small;
	u64 at, first = 0;
	bool damaged, later = false;

	if (segment_walk_open(own, folder, number, &w) == NULL) {
		w.offset = tail;
		while (!later && segment_walk_next(step, &w, &r, &at, &small, &damaged) &&
		       !damaged) {
			arena_reset(step);
			if (r.kind == RECORD_FLAGS) /* lazy */
				continue;
			later = first && r.time > first;
			first = first ? first : r.time;
		}
	}
	arena_free(&step);
	arena_free(&own);
	return later;
}

static bool number_of(const char *name, u32 *number)
{
	str s = str_cstr(name);
	u64 value;

	if (s.n != 12 || !str_eq(str_skip(s, 8), S(".seg")) ||
	    !str_u64(str_slice(s, 0, 8), &value) || value == 0)
		return false;
	*number = (u32)value;
	return true;
}

static int by_number(const void *x, const void *y)
{
	const u32 *a = x, *b = y;

	return (*a > *b) - (*a < *b);
}

const struct fail *segments_list(struct arena *a, int folder, u32 **out, size_t *n)
{
	struct buf *found = buf_new(a, 1 << 24);
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	u32 number;

	if (d == NULL) {
		fd_close(&fd);
		return fail_errno(a, errno, "reading the mail folder");
	}
	while ((entry = readdir(d)) != NULL)
		if (number_of(entry->d_name, &number))
			buf_add(found, str_from(&number, sizeof number));
	closedir(d);
	*n = found->n / sizeof number;
	*out = arena_array_of(a, *n, u32);
	if (*n)
		memcpy(*out, found->p, found->n);
	qsort(*out, *n, sizeof number, by_number);
	return NULL;
}
