/* The readers: the first byte chooses how the rest is cut; the units and the sink's bytes must be those of the uncut input. */

#include "base/check.h"
#include "base/crc32c.h"
#include "serve/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { FUZZ_LINE_MAX = 64 };

struct trail {
	struct sink sink;
	u32 crc;   /* of all that was handed out, units and bytes in order */
	u64 bytes; /* of sinks */
};

static const struct fail *trail_write(struct sink *k, struct arena *turn, str bytes)
{
	struct trail *t = (struct trail *)(void *)k;

	(void)turn;
	t->bytes += bytes.n;
	t->crc = crc32c(t->crc, bytes);
	return NULL;
}

static void trail_unit(struct trail *t, struct reader *r, enum reader_unit u)
{
	u8 what[2] = { (u8)u, u == READER_BAD ? r->bad : 0 };

	t->crc = crc32c(t->crc, str_from(what, sizeof what));
	if (u != READER_LINE)
		return;
	CHECK(r->line.n <= FUZZ_LINE_MAX && !str_has(r->line, '\r') && !str_has(r->line, '\n') &&
	      !str_has(r->line, '\0'));
	t->crc = crc32c(t->crc, r->line);
	if (str_starts(r->line, S("D")))
		reader_dotted(r, &t->sink);
	else if (str_starts(r->line, S("C")))
		reader_counted(r, r->line.n, &t->sink);
}

/* step 0: all at once; else pieces of 1 to step bytes. */
static struct trail walk(str input, size_t step)
{
	struct trail t = { .sink.write = trail_write };
	struct reader r;
	size_t have = step ? 0 : input.n, piece = 0;

	reader_init(&r, FUZZ_LINE_MAX);
	for (;;) {
		size_t used;
		enum reader_unit u = reader_next(&r, NULL, str_slice(input, 0, have), &used);
		input = str_skip(input, used);
		have -= used;
		if (u == READER_LOST)
			break;
		if (u != READER_NONE)
			trail_unit(&t, &r, u);
		else if (used == 0 || have == 0) {
			if (have == input.n)
				break;
			have += 1 + piece++ % step;
			have = have > input.n ? input.n : have;
		}
	}
	return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct trail whole, cut;
	str input;

	if (n < 1)
		return 0;
	input = str_from(data + 1, n - 1);
	whole = walk(input, 0);
	cut = walk(input, 1 + data[0] % 32);
	CHECK(whole.crc == cut.crc && whole.bytes == cut.bytes);
	return 0;
}
