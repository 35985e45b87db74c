/* The fields are the bytes of the header; what the builder writes is read again as one field
 * with that text. */
#include "text/header.h"

#include "base/arena.h"
#include "base/check.h"
#include "text/encoding.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void split(struct arena *a, str bytes)
{
	str rest = bytes;
	size_t sum = 0, length = header_length(bytes);
	struct header_field f;

	while (header_next(&rest, &f)) {
		CHECK(f.raw.n > 0 && f.raw.p == bytes.p + sum);
		CHECK(f.value.n <= f.raw.n);
		sum += f.raw.n;
		header_text(a, f.value);
	}
	CHECK(sum == length || sum + 2 == length);
	CHECK(sum + rest.n == bytes.n || sum + rest.n + 2 == bytes.n);
}

/* No stray CR or LF, no NUL, no line over the limit. */
static void check_lines(str bytes)
{
	size_t column = 0;

	for (size_t i = 0; i < bytes.n; i++, column++) {
		CHECK(bytes.p[i] != 0 && column <= HEADER_LINE_HARD + 1);
		CHECK((bytes.p[i] == '\n') == (i > 0 && bytes.p[i - 1] == '\r'));
		if (bytes.p[i] == '\n')
			column = SIZE_MAX;
	}
	CHECK(bytes.n == 0 || bytes.p[bytes.n - 1] == '\n');
}

static void build(struct arena *a, str text)
{
	struct buf *out = buf_new(a, text.n * 16 + 4096);
	struct header_builder h;
	str rest;
	struct header_field f;
	size_t n = 0;

	header_builder_init(&h, out);
	header_put_text(&h, S("Subject"), text);
	header_start(&h, S("From"));
	header_add_address(&h, text, S("a@b"));
	header_end(&h);
	header_start(&h, S("Content-Type"));
	header_add(&h, S("text/plain"));
	header_add_param(&h, S("name"), text);
	header_end(&h);
	header_start(&h, S("X"));
	header_add_comment(&h, text);
	header_add(&h, text);
	header_end(&h);
	CHECK(!out->full);
	check_lines(buf_str(out));
	for (rest = buf_str(out); header_next(&rest, &f); n++)
		CHECK(f.name.n > 0);
	CHECK(n <= 4 && (h.bad || n == 4));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct arena *a = arena_new(256 * 1024 * 1024);

	split(a, str_from(data, size));
	build(a, str_from(data, size));
	arena_free(&a);
	return 0;
}
