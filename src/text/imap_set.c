/* Sequence sets. Contract in imap_set.h. */
#include <stdlib.h>

#include "text/imap_scan.h"
#include "text/imap_set.h"

static bool scan_number(struct scan *s, u32 *out)
{
	*out = 0;
	return scan_byte(s, '*') || imap_scan_nz(s, out);
}

static bool scan_range(struct scan *s, struct imap_range *out)
{
	if (!scan_number(s, &out->low))
		return false;
	out->high = out->low;
	return !scan_byte(s, ':') || scan_number(s, &out->high);
}

/* A set has one more range than commas among the characters that sets are made of. */
static size_t count_ranges(str s)
{
	size_t n = 1;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == ',')
			n++;
		else if (!char_is(s.p[i], CHAR_DIGIT) && s.p[i] != ':' && s.p[i] != '*')
			break;
	}
	return n;
}

bool imap_scan_set(struct arena *a, struct scan *s, struct imap_set *out)
{
	struct scan saved = *s;

	out->n = 0;
	if (scan_peek(s) != '*' && (scan_peek(s) < '1' || scan_peek(s) > '9'))
		return false;
	out->ranges = arena_array_of(a, count_ranges(s->rest), struct imap_range);
	do {
		if (!scan_range(s, &out->ranges[out->n++])) {
			*s = saved;
			return false;
		}
	} while (scan_byte(s, ','));
	return true;
}

static int compare(const void *x, const void *y)
{
	const struct imap_range *a = x, *b = y;

	return a->low < b->low ? -1 : a->low > b->low;
}

void imap_set_resolve(struct imap_set *set, u32 largest)
{
	struct imap_range *r = set->ranges;
	size_t n = 0;

	for (size_t i = 0; i < set->n; i++) {
		u32 low = r[i].low ? r[i].low : largest, high = r[i].high ? r[i].high : largest;

		r[i] = low <= high ? (struct imap_range){ low, high }
				   : (struct imap_range){ high, low };
	}
	if (set->n > 1)
		qsort(r, set->n, sizeof(*r), compare);
	for (size_t i = 0; i < set->n; i++) {
		if (n > 0 && r[i].low <= (u64)r[n - 1].high + 1)
			r[n - 1].high = r[i].high > r[n - 1].high ? r[i].high : r[n - 1].high;
		else
			r[n++] = r[i];
	}
	set->n = n;
}

bool imap_set_has(const struct imap_set *set, u32 number)
{
	size_t low = 0, high = set->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (number > set->ranges[middle].high)
			low = middle + 1;
		else
			high = middle;
	}
	return low < set->n && number >= set->ranges[low].low;
}

u32 imap_set_last(const struct imap_set *set)
{
	return set->n ? set->ranges[set->n - 1].high : 0;
}
