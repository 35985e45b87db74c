#include "base/arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fail.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN
#endif
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#endif

enum {
	ARENA_MAGIC = 0x41524E41,
	CHUNK_FIRST =
	    944, /* with its heads 1,024: what glibc keeps for each thread, without a lock, ends at 1,032 */
	CHUNK_MAX = 256 * 1024,
	SCRIBBLE = 0xDB,
};

struct chunk {
	struct chunk *next;
	size_t size, used;
	alignas(max_align_t) u8 bytes[];
};

/* One thing to release: a descriptor, or an object with its function. */
struct owned {
	struct owned *next;
	void (*release)(void *);
	void *object;
	int fd;
};

struct arena {
	u32 magic;
	size_t budget, used;
	struct chunk *chunk; /* newest first; the last one is kept by arena_reset */
	struct owned *owned; /* newest first; the nodes lie in the arena itself */
};

/* What the arena itself takes of its first chunk. */
#define ARENA_ROOM ((sizeof(struct arena) + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1))

static void *heap(size_t n)
{
	void *p = malloc(n);

	CHECK(p != NULL); /* out of heap: abort (STYLE rule 12) */
	return p;
}

/* --- What a lifetime left behind -------------------------------------------------------------------------------------- */

/* With tests (meson: tests, fuzz) all that was given out is overwritten at the end of its lifetime: what somebody kept too long is seen to be wrong. */
static void scribble(struct chunk *c, size_t from)
{
#ifdef POSTERN_SCRIBBLE
	memset(c->bytes + from, SCRIBBLE, c->used - from);
#else
	(void)c;
	(void)from;
#endif
}

/* What is not given out now, for AddressSanitizer. */
static void poison(const void *p, size_t n)
{
#ifdef ARENA_ASAN
	ASAN_POISON_MEMORY_REGION(p, n);
#else
	(void)p;
	(void)n;
#endif
}

static void unpoison(const void *p, size_t n)
{
#ifdef ARENA_ASAN
	ASAN_UNPOISON_MEMORY_REGION(p, n);
#else
	(void)p;
	(void)n;
#endif
}

static void chunk_free(struct chunk *c)
{
	scribble(c, 0);
	unpoison(c->bytes, c->size);
	free(c);
}

static struct chunk *chunk_new(size_t size, struct chunk *next)
{
	struct chunk *c = heap(sizeof *c + size);

	c->next = next;
	c->size = size;
	c->used = 0;
	poison(c->bytes, size);
	return c;
}

/* The arena lies in its first chunk: one allocation for both. */
struct arena *arena_new(size_t budget)
{
	struct chunk *c = chunk_new(ARENA_ROOM + CHUNK_FIRST, NULL);
	struct arena *a = (struct arena *)c->bytes;

	unpoison(a, ARENA_ROOM);
	*a = (struct arena){ .magic = ARENA_MAGIC, .budget = budget, .chunk = c };
	c->used = ARENA_ROOM;
	return a;
}

static void release_all(struct arena *a)
{
	while (a->owned) {
		struct owned *o = a->owned;
		a->owned = o->next;
		if (o->release)
			o->release(o->object);
		else if (o->fd >= 0)
			close(o->fd);
	}
}

static void chunks_free(struct chunk *c)
{
	while (c) {
		struct chunk *next = c->next;
		chunk_free(c);
		c = next;
	}
}

void arena_reset(struct arena *a)
{
	CHECK_MAGIC(a, ARENA_MAGIC);
	release_all(a);
	while (a->chunk->next) {
		struct chunk *c = a->chunk;
		a->chunk = c->next;
		chunk_free(c);
	}
	scribble(a->chunk, ARENA_ROOM);
	poison(a->chunk->bytes + ARENA_ROOM, a->chunk->size - ARENA_ROOM);
	a->chunk->used = ARENA_ROOM;
	a->used = 0;
}

void arena_free(struct arena **at)
{
	struct arena *a = *at;

	if (a == NULL)
		return;
	CHECK_MAGIC(a, ARENA_MAGIC);
	release_all(a);
	a->magic = 0;
	chunks_free(a->chunk);
	*at = NULL;
}

static size_t chunk_size_for(const struct arena *a, size_t n)
{
	size_t size = a->chunk->size * 2;

	if (size > CHUNK_MAX)
		size = CHUNK_MAX;
	return size < n ? n : size;
}

void *arena_alloc(struct arena *a, size_t n)
{
	size_t rounded;
	void *p;

	CHECK_MAGIC(a, ARENA_MAGIC);
	CHECK(size_add(n, alignof(max_align_t) - 1, &rounded));
	rounded &= ~(alignof(max_align_t) - 1);
	CHECK(size_add(a->used, rounded, &a->used));
	CHECK(a->used / ARENA_HARD <= a->budget);
	if (a->chunk->size - a->chunk->used < rounded)
		a->chunk = chunk_new(chunk_size_for(a, rounded), a->chunk);
	p = a->chunk->bytes + a->chunk->used;
	a->chunk->used += rounded;
	unpoison(p, rounded);
	memset(p, 0, rounded);
	return p;
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
	size_t n;

	CHECK(size_mul(count, size, &n));
	return arena_alloc(a, n);
}

const struct fail *arena_check(const struct arena *a)
{
	static const struct fail over = FAIL_STATIC(LIMIT, "out of memory for this request");

	return a->used > a->budget ? &over : NULL;
}

size_t arena_used(const struct arena *a)
{
	return a->used;
}

size_t arena_left(const struct arena *a)
{
	return a->used < a->budget ? a->budget - a->used : 0;
}

static struct owned *owned_new(struct arena *a)
{
	struct owned *o = arena_new_of(a, struct owned);

	o->next = a->owned;
	o->fd = -1;
	a->owned = o;
	return o;
}

int arena_own_fd(struct arena *a, int fd)
{
	if (fd >= 0)
		owned_new(a)->fd = fd;
	return fd;
}

int arena_give_fd(struct arena *a, int fd)
{
	for (struct owned *o = a->owned; o; o = o->next) {
		if (!o->release && o->fd == fd) {
			o->fd = -1;
			return fd;
		}
	}
	check_failed(__FILE__, __LINE__, "the arena owns this descriptor");
}

void arena_own(struct arena *a, void (*release)(void *), void *object)
{
	struct owned *o = owned_new(a);

	o->release = release;
	o->object = object;
}
