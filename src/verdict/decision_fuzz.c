/*
 * The record of a decision, read out of any bytes (an edge that was taken over writes what it likes into an event). What is read is within
 * its bounds; printed and read again it stays the same.
 */
#include "base/arena.h"
#include "base/check.h"
#include "verdict/decision.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t n);

static void check_bounds(const struct decision *d)
{
	CHECK(d->n <= DECISION_FACTS && d->action <= DECISION_REJECT);
	for (size_t i = 0; i < d->n; i++)
		CHECK(d->facts[i].weight <= DECISION_WEIGHT &&
		      d->facts[i].weight >= -DECISION_WEIGHT);
}

static str print_and_read(struct arena *a, struct decision *d)
{
	str printed = decision_print(a, d);

	CHECK(printed.n <= DECISION_BYTES && str_is_utf8(printed));
	CHECK(decision_read(a, printed, d));
	check_bounds(d);
	return printed;
}

/* What is no UTF-8 is cut before it is replaced by something longer, so only the second time nothing is cut any more. */
int LLVMFuzzerTestOneInput(const u8 *data, size_t n)
{
	struct arena *a = arena_new(1 << 22);
	struct decision *d = arena_new_of(a, struct decision);

	if (decision_read(a, str_from(data, n), d)) {
		str printed;
		check_bounds(d);
		print_and_read(a, d);
		printed = print_and_read(a, d);
		CHECK(str_eq(decision_print(a, d), printed));
	}
	arena_free(&a);
	return 0;
}
