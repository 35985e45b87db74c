/* A session's view of its mailbox. Contract in view.h. */
#include "edge/imap/view.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/fd.h"

enum { VIEW_MAGIC = 0x56494557 };

static const struct fail chunk_bad = FAIL_STATIC(CORRUPT, "the mailbox index is damaged");
static const struct fail too_large = FAIL_STATIC(LIMIT, "the mailbox is too large to open");

/* --- Memory ----------------------------------------------------------------------------------------------------- */

static struct view_row *rows_map(u32 room)
{
	void *p = mmap(NULL, (size_t)room * sizeof(struct view_row), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void rows_unmap(struct view_row *rows, u32 room)
{
	if (rows)
		munmap(rows, (size_t)room * sizeof(*rows));
}

static void view_release(void *object)
{
	struct view *v = object;

	rows_unmap(v->rows, v->room);
	v->rows = NULL;
}

/* Room for n rows in all. */
static const struct fail *view_grow(struct view *v, u64 n)
{
	struct view_row *rows;
	u32 room;

	if (n <= v->room)
		return NULL;
	if (n > VIEW_ROWS)
		return &too_large;
	room = (u32)(n + n / 4 + VIEW_SLACK);
	rows = rows_map(room);
	if (!rows)
		return &too_large;
	memcpy(rows, v->rows, v->n * sizeof(*rows));
	rows_unmap(v->rows, v->room);
	v->rows = rows;
	v->room = room;
	return NULL;
}

static bool map_chunk(struct view *v, int fd, u32 at, u32 rows)
{
	size_t bytes = rows * sizeof(struct view_row);
	struct stat st;

	if (rows == 0)
		return true;
	return fstat(fd, &st) == 0 && st.st_size >= (off_t)bytes &&
	       fd_is_sealed(fd, (u64)st.st_size) &&
	       mmap(v->rows + at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0) !=
		   MAP_FAILED;
}

const struct fail *view_open(const int *chunks, size_t chunks_n, u32 rows, struct view **out)
{
	struct arena *a;
	struct view *v;

	if (rows > VIEW_ROWS)
		return &too_large;
	if ((u64)chunks_n * VIEW_CHUNK_ROWS < rows)
		return &chunk_bad;
	a = arena_new(VIEW_ARENA);
	v = arena_new_of(a, struct view);
	*v = (struct view){
		.magic = VIEW_MAGIC, .arena = a, .n = rows, .told = rows, .recent_from = UINT32_MAX
	};
	v->room = rows + VIEW_SLACK;
	v->rows = rows_map(v->room);
	arena_own(a, view_release, v);
	for (u32 at = 0, i = 0; v->rows && at < rows; at += VIEW_CHUNK_ROWS, i++) {
		u32 n = rows - at < VIEW_CHUNK_ROWS ? rows - at : VIEW_CHUNK_ROWS;

		if (!map_chunk(v, chunks[i], at, n)) {
			arena_free(&a);
			return &chunk_bad;
		}
	}
	*out = v;
	if (v->rows)
		return NULL;
	arena_free(&a);
	return &too_large;
}

void view_close(struct view **v)
{
	struct arena *a;

	if (!*v)
		return;
	CHECK_MAGIC(*v, VIEW_MAGIC);
	a = (*v)->arena;
	*v = NULL;
	arena_free(&a);
}

bool view_keywords(struct view *v, const str *keywords, size_t n)
{
	bool same = n == v->keywords_n;
	str *copy;

	for (size_t i = 0; i < n && same; i++)
		same = str_eq(keywords[i], v->keywords[i]);
	if (same || n > OFFICE_KEYWORDS)
		return false;
	copy = arena_array_of(v->arena, n, str);
	for (size_t i = 0; i < n; i++)
		copy[i] = i < v->keywords_n && str_eq(keywords[i], v->keywords[i])
			      ? v->keywords[i]
			      : str_copy(v->arena, keywords[i]);
	v->keywords = copy;
	v->keywords_n = (u32)n;
	return true;
}

/* --- Rows ------------------------------------------------------------------------------------------------------- */

u32 view_row_from(const struct view *v, u32 uid)
{
	u32 low = 0, high = v->n;

	while (low < high) {
		u32 middle = low + (high - low) / 2;

		if (v->rows[middle].uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool view_find(const struct view *v, u32 uid, u32 *row)
{
	*row = view_row_from(v, uid);
	return *row < v->n && v->rows[*row].uid == uid;
}

u32 view_recent(const struct view *v)
{
	return v->n - view_row_from(v, v->recent_from);
}

bool view_is_recent(const struct view *v, u32 row)
{
	return v->rows[row].uid >= v->recent_from;
}

static void marks_add(struct view_marks *m, u32 row)
{
	if (m->n++ == 0)
		*m = (struct view_marks){ 1, row, row + 1 };
	if (row < m->low)
		m->low = row;
	if (row >= m->high)
		m->high = row + 1;
}

static void marks_remove(struct view_marks *m)
{
	if (--m->n == 0)
		*m = (struct view_marks){ 0 };
}

void view_mark(struct view *v, u32 row, u64 mark)
{
	u64 *flags = &v->rows[row].flags;

	if (*flags & VIEW_GONE)
		return;
	if (!(*flags & (VIEW_CHANGED | VIEW_TOUCHED)))
		marks_add(&v->changed, row);
	*flags |= mark;
}

void view_unmark(struct view *v, u32 row)
{
	u64 *flags = &v->rows[row].flags;

	if (!(*flags & (VIEW_CHANGED | VIEW_TOUCHED)))
		return;
	*flags &= ~(VIEW_CHANGED | VIEW_TOUCHED);
	marks_remove(&v->changed);
}

static void row_gone(struct view *v, u32 row)
{
	if (v->rows[row].flags & VIEW_GONE)
		return;
	view_unmark(v, row);
	v->rows[row].flags |= VIEW_GONE;
	marks_add(&v->gone, row);
}

static void row_change(struct view *v, u32 row, u64 flags, u64 modseq)
{
	struct view_row *r = &v->rows[row];
	u64 marks = r->flags & VIEW_MARKS;

	if (marks & VIEW_GONE || modseq <= r->modseq)
		return;
	r->modseq = modseq;
	if ((r->flags ^ flags) & ~VIEW_MARKS) {
		r->flags = (flags & ~VIEW_MARKS) | marks;
		view_mark(v, row, VIEW_CHANGED);
	}
	view_mark(v, row, VIEW_TOUCHED);
}

void view_compact(struct view *v)
{
	u32 to = v->gone.low, told = v->told;

	if (v->gone.n == 0)
		return;
	for (u32 from = v->gone.low; from < v->gone.high; from++) {
		if (v->rows[from].flags & VIEW_GONE)
			told -= from < v->told;
		else
			v->rows[to++] = v->rows[from];
	}
	memmove(v->rows + to, v->rows + v->gone.high, (v->n - v->gone.high) * sizeof(*v->rows));
	if (v->changed.n > 0) { /* they only moved down */
		v->changed.low = v->changed.low > v->gone.n ? v->changed.low - v->gone.n : 0;
	}
	v->n -= v->gone.n;
	if (v->changed.high > v->n)
		v->changed.high = v->n;
	v->told = told;
	v->gone = (struct view_marks){ 0 };
}

/* --- Changes ---------------------------------------------------------------------------------------------------- */

static int compare_arrivals(const void *x, const void *y)
{
	const struct message_change *a = *(const struct message_change *const *)x;
	const struct message_change *b = *(const struct message_change *const *)y;

	if (a->uid != b->uid)
		return a->uid < b->uid ? -1 : 1;
	return a->modseq < b->modseq ? -1 : a->modseq > b->modseq;
}

/* Puts arrivals behind the rows. Of several changes to one, the last counts; what came and went was never here. */
static const struct fail *append(struct view *v, const struct message_change **arrivals, size_t n)
{
	TRY(view_grow(v, (u64)v->n + n));
	if (n > 1)
		qsort(arrivals, n, sizeof(*arrivals), compare_arrivals);
	for (size_t i = 0; i < n; i++) {
		const struct message_change *c = arrivals[i];

		if ((i + 1 < n && arrivals[i + 1]->uid == c->uid) || c->gone)
			continue;
		v->rows[v->n++] =
		    (struct view_row){ c->modseq, c->flags & ~VIEW_MARKS, c->uid, c->size };
	}
	return NULL;
}

const struct fail *view_apply(struct view *v, struct arena *turn,
			      const struct message_change *changes, size_t n)
{
	const struct message_change **arrivals =
	    arena_array_of(turn, n, const struct message_change *);
	u32 last = v->n ? v->rows[v->n - 1].uid : 0, row;
	size_t arrivals_n = 0;

	for (size_t i = 0; i < n; i++) {
		const struct message_change *c = &changes[i];

		/* A UID at or below the last that has no row went before we knew of it. */
		if (c->uid > last)
			arrivals[arrivals_n++] = c;
		else if (view_find(v, c->uid, &row) && c->gone)
			row_gone(v, row);
		else if (row < v->n && v->rows[row].uid == c->uid)
			row_change(v, row, c->flags, c->modseq);
	}
	return append(v, arrivals, arrivals_n);
}

const struct fail *view_replace(struct view *v, const struct view *fresh)
{
	u32 old_n = v->n, j = 0;

	for (u32 i = 0; i < old_n; i++) {
		while (j < fresh->n && fresh->rows[j].uid < v->rows[i].uid)
			j++;
		if (j == fresh->n || fresh->rows[j].uid != v->rows[i].uid)
			row_gone(v, i);
		else
			row_change(v, i, fresh->rows[j].flags, fresh->rows[j].modseq);
	}
	j = view_row_from(fresh, old_n ? v->rows[old_n - 1].uid + 1 : 0);
	TRY(view_grow(v, (u64)v->n + (fresh->n - j)));
	memcpy(v->rows + v->n, fresh->rows + j, (fresh->n - j) * sizeof(*v->rows));
	v->n += fresh->n - j;
	return NULL;
}

/* --- Sets ------------------------------------------------------------------------------------------------------- */

static struct view_span range_rows(const struct view *v, struct imap_range r, bool uid)
{
	u32 from = uid ? view_row_from(v, r.low) : r.low - 1;
	u32 to = !uid ? r.high : r.high == UINT32_MAX ? v->n : view_row_from(v, r.high + 1);

	return (struct view_span){ from, to < v->told ? to : v->told };
}

bool view_spans(const struct view *v, struct arena *a, struct imap_set *set, bool uid,
		struct view_spans *out)
{
	u32 largest = !uid ? v->told : v->told ? v->rows[v->told - 1].uid : 0;
	bool star = false;

	for (size_t i = 0; i < set->n; i++)
		star = star || set->ranges[i].low == 0 || set->ranges[i].high == 0;
	imap_set_resolve(set, largest);
	*out = (struct view_spans){ arena_array_of(a, set->n, struct view_span), 0 };
	/* not: RFC 3501 has no number in an empty mailbox; `1:*` there names nothing, since clients ask it. */
	if (v->told == 0)
		return uid || star;
	if (!uid && imap_set_last(set) > v->told)
		return false;
	for (size_t i = 0; i < set->n; i++) {
		struct view_span span = range_rows(v, set->ranges[i], uid);

		if (span.from < span.to)
			out->spans[out->n++] = span;
	}
	return true;
}

const struct uid_range *view_uids(const struct view *v, struct arena *a,
				  const struct view_spans *spans)
{
	struct uid_range *uids = arena_array_of(a, spans->n, struct uid_range);

	for (size_t i = 0; i < spans->n; i++) {
		uids[i].low = v->rows[spans->spans[i].from].uid;
		uids[i].high = v->rows[spans->spans[i].to - 1].uid;
	}
	return uids;
}

void view_check(const struct view *v)
{
	u32 gone = 0, changed = 0;

	CHECK_MAGIC(v, VIEW_MAGIC);
	CHECK(v->n <= v->room && v->told <= v->n);
	for (u32 i = 0; i < v->n; i++) {
		u64 flags = v->rows[i].flags;

		CHECK(i == 0 || v->rows[i - 1].uid < v->rows[i].uid);
		if (flags & VIEW_GONE) {
			CHECK(i >= v->gone.low && i < v->gone.high);
			gone++;
		}
		if (flags & (VIEW_CHANGED | VIEW_TOUCHED)) {
			CHECK(i >= v->changed.low && i < v->changed.high);
			changed++;
		}
	}
	CHECK(gone == v->gone.n && changed == v->changed.n);
}
