/* A segment of any bytes: the walk ends and reads nothing it should not. Then the same bytes as each kind of note. */
#include "base/arena.h"
#include "base/check.h"
#include "base/codec.h"
#include "base/fd.h"
#include "office/store/record.h"
#include "office/store/segment.h"

static void walk(struct arena *a, str bytes)
{
	int fd = arena_own_fd(a, fd_memory("fuzz"));
	struct segment_walk w = { .fd = fd, .size = bytes.n };
	struct record r;
	str small;
	bool damaged;
	u64 at;

	CHECK(fd >= 0 && fd_write_all(fd, bytes));
	while (segment_walk_next(a, &w, &r, &at, &small, &damaged)) {
		CHECK(w.offset > at && w.offset <= bytes.n);
		if (!damaged)
			segment_walk_message_good(a, &w, &r, at);
	}
}

#define DECODE(name)                                              \
	{                                                         \
		struct decoder d = { .arena = a, .rest = bytes }; \
		struct name##_note note;                          \
		decode_##name##_note(&d, &note);                  \
		(void)!decoder_done(&d);                          \
		arena_reset(a);                                   \
	}

int LLVMFuzzerTestOneInput(const u8 *data, size_t n);

int LLVMFuzzerTestOneInput(const u8 *data, size_t n)
{
	struct arena *a = arena_new(64 << 20);
	str bytes = str_from(data, n);

	walk(a, bytes);
	arena_reset(a);
	DECODE(body)
	DECODE(account)
	DECODE(mailbox)
	DECODE(placed)
	DECODE(flags)
	DECODE(expunged)
	arena_free(&a);
	return 0;
}
