/* The binary heap of waiting jobs, earliest due first. Each job knows its place, so it can leave from the middle. */
#include "office/queue/schedule_int.h"

#include <string.h>

#include "base/check.h"

static void place(struct schedule *s, size_t at, struct job_row *row)
{
	s->heap[at] = row;
	row->heap_at = at;
}

/* Among jobs of one moment the older goes first. */
static bool before(const struct job_row *a, const struct job_row *b)
{
	return a->job.due != b->job.due ? a->job.due < b->job.due : a->job.id < b->job.id;
}

static void sift_up(struct schedule *s, size_t at)
{
	struct job_row *row = s->heap[at];

	for (; at > 0; at = (at - 1) / 2) {
		struct job_row *parent = s->heap[(at - 1) / 2];
		if (!before(row, parent))
			break;
		place(s, at, parent);
	}
	place(s, at, row);
}

static void sift_down(struct schedule *s, size_t at)
{
	struct job_row *row = s->heap[at];

	for (size_t child; (child = at * 2 + 1) < s->heap_n; at = child) {
		if (child + 1 < s->heap_n && before(s->heap[child + 1], s->heap[child]))
			child++;
		if (!before(s->heap[child], row))
			break;
		place(s, at, s->heap[child]);
	}
	place(s, at, row);
}

static void heap_grow(struct schedule *s)
{
	size_t cap = s->heap_cap ? s->heap_cap * 2 : 256;
	struct job_row **grown = arena_array_of(s->arena, cap, struct job_row *);

	if (s->heap_n)
		memcpy(grown, s->heap, s->heap_n * sizeof *grown);
	s->heap = grown;
	s->heap_cap = cap;
}

void heap_add(struct schedule *s, struct job_row *row)
{
	if (s->heap_n == s->heap_cap)
		heap_grow(s);
	place(s, s->heap_n++, row);
	sift_up(s, row->heap_at);
}

void heap_remove(struct schedule *s, struct job_row *row)
{
	size_t at = row->heap_at;
	struct job_row *last;

	CHECK(at < s->heap_n && s->heap[at] == row);
	last = s->heap[--s->heap_n];
	if (last == row)
		return;
	place(s, at, last);
	sift_up(s, at);
	sift_down(s, last->heap_at);
}
