/* Messages from a table: what goes in comes out; what is cut, changed or lengthened is refused. */
#include "base/unit.h"

#include "base/codec.h"

#define TABLE                                                                           \
	MESSAGE(inner, U32(number) STR(text))                                           \
	MESSAGE(outer, U8(small) BOOL(yes) U64(large) SUB(inner, one) LIST(inner, many) \
			   LIST_STR(words) LIST_U64(numbers) FD(file))

#define MESSAGE_STRUCTS
#include "base/message.h"
TABLE
#include "base/message_end.h"
#define MESSAGE_PROTOTYPES
#include "base/message.h"
TABLE
#include "base/message_end.h"
#define MESSAGE_ENCODERS
#include "base/message.h"
TABLE
#include "base/message_end.h"
#define MESSAGE_DECODERS
#include "base/message.h"
TABLE
#include "base/message_end.h"

static const struct inner inners[] = { { .number = 1, .text = { (const u8 *)"a", 1 } },
				       { .number = 2, .text = { NULL, 0 } } };
static const u64 numbers[] = { 1, UINT64_MAX };
static const struct outer example = { .small = 255,
				      .yes = true,
				      .large = 1ull << 63,
				      .one = { .number = 7, .text = { (const u8 *)"x\0y", 3 } },
				      .many = inners,
				      .many_n = 2,
				      .numbers = numbers,
				      .numbers_n = 2,
				      .file = 0 };

static struct encoder encode_example(struct arena *a)
{
	struct encoder e = { .bytes = buf_new(a, 10000) };

	encode_outer(&e, &example);
	assert_false(e.bytes->full);
	assert_int_equal(e.fds_n, 1);
	return e;
}

static bool decodes(struct arena *a, str bytes, u32 fds_n, struct outer *out)
{
	static const int fds[] = { 0, 1 };
	struct decoder d = { .arena = a, .rest = bytes, .fds = fds, .fds_n = fds_n };

	decode_outer(&d, out);
	return decoder_done(&d);
}

static void test_round_trip(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct encoder e = encode_example(a);
	struct outer out;

	(void)state;
	assert_true(decodes(a, buf_str(e.bytes), 1, &out));
	assert_int_equal(out.small, 255);
	assert_true(out.yes);
	assert_true(out.large == 1ull << 63);
	assert_str(out.one.text, str_from("x\0y", 3));
	assert_int_equal(out.many_n, 2);
	assert_str(out.many[0].text, S("a"));
	assert_int_equal(out.words_n, 0);
	assert_true(out.numbers[1] == UINT64_MAX);
	assert_int_equal(out.file, 0);
	arena_free(&a);
}

static void test_refuses(void **state)
{
	struct arena *a = arena_new(16 << 20);
	struct encoder e = encode_example(a);
	str whole = buf_str(e.bytes);
	struct outer out;

	(void)state;
	for (size_t n = 0; n < whole.n; n++)
		assert_false(decodes(a, str_slice(whole, 0, n), 1, &out));
	assert_false(decodes(a, whole, 0, &out)); /* a descriptor is missing */
	assert_false(decodes(a, whole, 2, &out)); /* one too many */
	buf_add(e.bytes, S("\0"));
	assert_false(decodes(a, buf_str(e.bytes), 1, &out)); /* a byte too many */
	/* Any byte changed: never a crash, never a count beyond the bytes. */
	for (size_t i = 0; i < whole.n; i++) {
		for (unsigned v = 0; v < 256; v += 17) {
			str copy = str_copy(a, whole);
			((u8 *)(uintptr_t)copy.p)[i] = (u8)v;
			if (decodes(a, copy, 1, &out))
				assert_true(out.many_n <= whole.n);
		}
	}
	arena_free(&a);
}

/* A count that the bytes would allow, but the budget does not. */
static void test_list_beyond_budget(void **state)
{
	struct arena *small = arena_new(4096), *a = arena_new(1 << 20);
	struct buf *bytes = buf_new(a, 100000);
	struct encoder e = { .bytes = bytes };
	struct decoder d;
	size_t n;

	(void)state;
	encode_u32(&e, 2000);
	for (int i = 0; i < 2000; i++)
		encode_u8(&e, 0);
	d = (struct decoder){ .arena = small, .rest = buf_str(bytes) };
	decode_list(&d, sizeof(struct inner), &n);
	assert_true(d.bad && n == 0);
	d = (struct decoder){ .arena = a, .rest = buf_str(bytes) };
	decode_list(&d, sizeof(struct inner), &n);
	assert_true(!d.bad && n == 2000);
	arena_free(&small);
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_list_beyond_budget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
