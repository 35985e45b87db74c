#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"

enum { BUF_FIRST = 256 };

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){ .max = max };
}

void buf_free(struct buf *b)
{
	free(b->p);
	buf_init(b, b->max);
}

void buf_reset(struct buf *b)
{
	b->n = 0;
	b->full = false;
}

static void release(void *object)
{
	buf_free(object);
}

struct buf *buf_new(struct arena *a, size_t max)
{
	struct buf *b = arena_new_of(a, struct buf);

	buf_init(b, max);
	arena_own(a, release, b);
	return b;
}

u8 *buf_room(struct buf *b, size_t n)
{
	size_t need, cap = b->cap ? b->cap : b->max < BUF_FIRST ? b->max : BUF_FIRST;

	if (b->full || !size_add(b->n, n, &need) || need > b->max) {
		b->full = true;
		return NULL;
	}
	if (need > b->cap || b->p == NULL) {
		while (cap < need)
			cap = cap > b->max / 2 ? b->max : cap * 2;
		b->p = realloc(b->p, cap);
		CHECK(b->p != NULL);
		b->cap = cap;
	}
	return b->p + b->n;
}

void buf_added(struct buf *b, size_t n)
{
	CHECK(n <= b->cap - b->n);
	b->n += n;
}

void buf_add_u64(struct buf *b, u64 value)
{
	u8 digits[20];
	size_t i = sizeof digits;

	do {
		digits[--i] = (u8)('0' + value % 10);
		value /= 10;
	} while (value);
	buf_add(b, str_from(digits + i, sizeof digits - i));
}

void buf_add_quoted(struct buf *b, str s)
{
	buf_add_byte(b, '"');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			buf_add_byte(b, '\\');
		buf_add_byte(b, s.p[i]);
	}
	buf_add_byte(b, '"');
}

/* Into the room that is there; a second time only when that was too small. vsnprintf also writes a NUL, which must fit below max. */
void buf_printf(struct buf *b, const char *format, ...)
{
	size_t room;
	va_list args;
	int n;
	u8 *at;

	if (b->p == NULL && buf_room(b, 0) == NULL)
		return;
	room = b->cap - b->n;
	va_start(args, format);
	n = vsnprintf((char *)b->p + b->n, room, format, args);
	va_end(args);
	CHECK(n >= 0);
	if (b->full || b->max - b->n <= (size_t)n) {
		b->full = true;
		return;
	}
	if ((size_t)n >= room) {
		at = buf_room(b, (size_t)n + 1);
		if (at == NULL)
			return;
		va_start(args, format);
		vsnprintf((char *)at, (size_t)n + 1, format, args);
		va_end(args);
	}
	b->n += (size_t)n;
}

void buf_drop(struct buf *b, size_t n)
{
	CHECK(n <= b->n);
	b->n -= n;
	if (b->n)
		memmove(b->p, b->p + n, b->n);
}

str buf_str(const struct buf *b)
{
	return str_from(b->p, b->n);
}
