/* Fewer records: a reporter may send a hundred thousand of them, and most stand for one message each. */
#include <stdlib.h>

#include "report/aggregate_read.h"

static int most_first(const void *x, const void *y)
{
	const struct aggregate_record *a = x, *b = y;

	return a->count == b->count ? str_cmp(a->source, b->source) : a->count < b->count ? 1 : -1;
}

/* The verdict of a record as a number below AGGREGATE_SUMS. */
static size_t verdict_of(const struct aggregate_record *r)
{
	return (size_t)(r->disposition & 3) << 2 | (size_t)r->dkim << 1 | (size_t)r->spf;
}

static size_t detail_bytes(const struct aggregate_record *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->reasons_n; i++)
		n += 64 + r->reasons[i].comment.n;
	for (size_t i = 0; i < r->dkim_results_n; i++)
		n += 64 + r->dkim_results[i].domain.n + r->dkim_results[i].selector.n +
		     r->dkim_results[i].human_result.n;
	for (size_t i = 0; i < r->spf_results_n; i++)
		n += 64 + r->spf_results[i].domain.n + r->spf_results[i].human_result.n;
	return n;
}

/* Records beyond AGGREGATE_DETAIL bytes of reasons and results keep their counts alone. */
static void details_bound(struct aggregate_record *records, size_t n)
{
	size_t bytes = 0;

	for (size_t i = 0; i < n; i++) {
		bytes += detail_bytes(&records[i]);
		if (bytes <= AGGREGATE_DETAIL)
			continue;
		records[i].reasons_n = 0;
		records[i].dkim_results_n = 0;
		records[i].spf_results_n = 0;
	}
}

void aggregate_fold(struct arena *a, struct aggregate_report *r, size_t max)
{
	struct aggregate_record sums[AGGREGATE_SUMS] = { 0 }, *kept;
	size_t n = 0;

	kept = arena_array_of(a, r->records_n + AGGREGATE_SUMS, struct aggregate_record);
	for (size_t i = 0; i < r->records_n; i++)
		kept[i] = r->records[i];
	r->records = kept;
	if (r->records_n > max)
		qsort(kept, r->records_n, sizeof *kept, most_first);
	details_bound(kept, r->records_n < max ? r->records_n : max);
	if (r->records_n <= max)
		return;
	for (size_t i = max; i < r->records_n; i++) {
		struct aggregate_record *sum = &sums[verdict_of(&kept[i])];
		sum->disposition = kept[i].disposition;
		sum->dkim = kept[i].dkim;
		sum->spf = kept[i].spf;
		sum->header_from = r->policy.domain;
		sum->count += kept[i].count;
	}
	for (size_t i = 0; i < AGGREGATE_SUMS; i++) {
		if (sums[i].count)
			kept[max + n++] = sums[i];
	}
	r->records_n = max + n;
}
