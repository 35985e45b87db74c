/* Sets of UIDs. */
#include <stdlib.h>
#include <string.h>

#include "office/store/store_int.h"

static int by_low(const void *x, const void *y)
{
	const struct uid_range *a = x, *b = y;

	return (a->low > b->low) - (a->low < b->low);
}

const struct fail *store_ranges(struct arena *a, const struct uid_range *in, size_t n,
				struct uid_range **out, size_t *out_n)
{
	struct uid_range *r = arena_array_of(a, n, struct uid_range);
	size_t last = 0;

	*out = r;
	*out_n = 0;
	TRY(arena_check(a));
	for (size_t i = 0; i < n; i++) {
		if (in[i].low == 0 || in[i].low > in[i].high)
			return fail_new(a, FAIL_INVALID, "a UID range that makes no sense");
		r[i] = in[i];
	}
	if (n == 0)
		return NULL;
	qsort(r, n, sizeof *r, by_low);
	for (size_t i = 1; i < n; i++) {
		if (r[last].high != UINT32_MAX && r[i].low > r[last].high + 1)
			r[++last] = r[i];
		else if (r[i].high > r[last].high)
			r[last].high = r[i].high;
	}
	*out_n = last + 1;
	return NULL;
}

void range_list_add(struct range_list *l, u32 uid)
{
	if (l->n && l->items[l->n - 1].high + 1 == uid) {
		l->items[l->n - 1].high = uid;
		return;
	}
	if (l->n == l->cap) {
		struct uid_range *old = l->items;

		l->cap = l->cap ? l->cap * 2 : 16;
		l->items = arena_array_of(l->arena, l->cap, struct uid_range);
		if (l->n)
			memcpy(l->items, old, l->n * sizeof *old);
	}
	l->items[l->n++] = (struct uid_range){ .low = uid, .high = uid };
}
