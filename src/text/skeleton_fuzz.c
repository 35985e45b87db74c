/* A message in two different cuts gives the same skeleton, and what is encoded decodes; the same
 * bytes as a skeleton. */
#include "text/skeleton.h"

#include "base/arena.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static const struct skeleton *parse(struct arena *a, str message, size_t step)
{
	struct skeleton_parser *p = skeleton_parser_new(a);
	const struct skeleton *s = NULL;

	for (; message.n; message = str_skip(message, step))
		if (skeleton_feed(p, str_slice(message, 0, step)))
			return NULL;
	return skeleton_finish(p, &s) ? NULL : s;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct arena *a = arena_new(256 * 1024 * 1024);
	str message = str_from(data, size);
	const struct skeleton *whole = parse(a, message, SIZE_MAX);
	const struct skeleton *cut = parse(a, message, size ? 1 + data[0] % 64 : 1);
	struct skeleton_envelope envelope;
	struct skeleton back;
	str found;

	CHECK((whole == NULL) == (cut == NULL));
	if (whole) {
		str bytes = skeleton_encode(a, whole);
		CHECK(str_eq(bytes, skeleton_encode(a, cut)));
		CHECK(skeleton_decode(a, bytes, &back) == NULL);
	}
	if (skeleton_envelope_find(a, message, &found) == NULL)
		CHECK(skeleton_envelope_decode(a, found, &envelope) == NULL);
	if (skeleton_decode(a, message, &back) == NULL)
		CHECK(str_eq(skeleton_encode(a, &back), message));
	arena_free(&a);
	return 0;
}
