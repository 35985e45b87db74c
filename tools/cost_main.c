/*
 * The oracle "cost is linear in size" for a fuzzer's harness: linked with the harness in the place of libFuzzer (tools/cost.py does it), it
 * counts the comparisons that our code makes, which is what -fsanitize=fuzzer-no-link tells libFuzzer anyway. Counted, not timed: the
 * same on any machine.
 *
 * cost_main (PREFIX UNIT TAIL)...: files. The input is PREFIX, then UNIT again and again up to a size, then TAIL. Prints the counts at
 * each size, a line a case; ends with 1 when four times the size costs more than eight times as much. With no arguments: the control, a
 * loop in a loop, which must be found.
 */
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIZES = 4, SMALLEST = 2048, FILE_MAX = 65536, CHEAP = 200000, TOO_MUCH = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static atomic_ulong work;

/* What the compiler calls: each comparison, switch and indirect call. */
#define COUNT(name, type)                \
	void name(type a, type b);       \
	void name(type a, type b)        \
	{                                \
		(void)a;                 \
		(void)b;                 \
		atomic_fetch_add(&work, 1); \
	}
COUNT(__sanitizer_cov_trace_cmp1, uint8_t)
COUNT(__sanitizer_cov_trace_cmp2, uint16_t)
COUNT(__sanitizer_cov_trace_cmp4, uint32_t)
COUNT(__sanitizer_cov_trace_cmp8, uint64_t)
COUNT(__sanitizer_cov_trace_const_cmp1, uint8_t)
COUNT(__sanitizer_cov_trace_const_cmp2, uint16_t)
COUNT(__sanitizer_cov_trace_const_cmp4, uint32_t)
COUNT(__sanitizer_cov_trace_const_cmp8, uint64_t)

void __sanitizer_cov_trace_switch(uint64_t value, uint64_t *cases);
void __sanitizer_cov_trace_switch(uint64_t value, uint64_t *cases)
{
	(void)value;
	(void)cases;
	atomic_fetch_add(&work, 1);
}

static size_t load(const char *path, uint8_t *out)
{
	FILE *f = fopen(path, "rb");
	size_t n = f ? fread(out, 1, FILE_MAX, f) : 0;

	if (f)
		fclose(f);
	return n;
}

static unsigned long cost(const uint8_t *data, size_t n)
{
	unsigned long before = atomic_load(&work);

	LLVMFuzzerTestOneInput(data, n);
	return atomic_load(&work) - before;
}

/* What must be found: each byte beside each other. */
static unsigned long control(const uint8_t *data, size_t n)
{
	unsigned long same = 0;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n; k++)
			same += data[i] == data[k];
	return same + n * n;
}

struct text {
	uint8_t bytes[FILE_MAX];
	size_t n;
};

/* Whether more than linear. */
static int grow(const struct text *prefix, const struct text *unit, const struct text *tail, int is_control)
{
	unsigned long counts[SIZES];
	size_t size = SMALLEST;

	for (int i = 0; i < SIZES; i++, size *= 2) {
		uint8_t *data = malloc(prefix->n + size + unit->n + tail->n);
		size_t n = prefix->n;

		memcpy(data, prefix->bytes, n);
		for (; n < prefix->n + size; n += unit->n)
			memcpy(data + n, unit->bytes, unit->n);
		memcpy(data + n, tail->bytes, tail->n);
		n += tail->n;
		if (!is_control && i == 0)
			cost(data, n); /* what only the first call does */
		counts[i] = is_control ? control(data, n) : cost(data, n);
		printf("%lu ", counts[i]);
		free(data);
	}
	return counts[SIZES - 1] > CHEAP && counts[SIZES - 1] > TOO_MUCH * counts[SIZES - 3];
}

int main(int argc, char **argv)
{
	static struct text prefix, unit = { { 'a' }, 1 }, tail;
	int bad = 0, more = argc < 4 && grow(&prefix, &unit, &tail, 1);

	if (argc < 4)
		return more;
	for (int i = 1; i + 2 < argc; i += 3) {
		prefix.n = load(argv[i], prefix.bytes);
		unit.n = load(argv[i + 1], unit.bytes);
		tail.n = load(argv[i + 2], tail.bytes);
		if (unit.n == 0)
			return 2;
		more = grow(&prefix, &unit, &tail, 0);
		printf("%s\n", more ? "MORE" : "linear");
		bad |= more;
	}
	return bad;
}
