/* unpack: every form, every cut, every limit. Packed data is made here with zlib, so that what is expected is known. */
#include "base/unit_arena.h"

#define ZLIB_CONST
#include <zlib.h>

#include "base/buf.h"
#include "report/unpack.h"

/* window: as of deflateInit2; 31 makes gzip, -15 raw deflate. */
static str deflated(str text, int window)
{
	z_stream z = { 0 };
	size_t max = text.n / 2 + 4096;
	u8 *out = arena_alloc(a, max);

	assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, window, 9, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = text.p;
	z.avail_in = (uInt)text.n;
	z.next_out = out;
	z.avail_out = (uInt)max;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return str_from(out, max - z.avail_out);
}

static str repeated(str text, size_t bytes)
{
	u8 *out = arena_alloc(a, bytes);

	for (size_t i = 0; i < bytes; i++)
		out[i] = text.p[i % text.n];
	return str_from(out, bytes);
}

/* Text that packs about four to one, as a report does. */
static str plausible(size_t bytes)
{
	u8 *out = arena_alloc(a, bytes);
	u32 seed = 1;

	for (size_t i = 0; i < bytes; i++) {
		seed = seed * 1664525 + 1013904223;
		out[i] = (u8)('a' + (seed >> 30));
	}
	return str_from(out, bytes);
}

/* --- zip ----------------------------------------------------------------------------------------------------- */

struct member {
	const char *name;
	str text;
	int method;
	u32 flags;
};

static void put(struct buf *b, u32 value, int bytes)
{
	for (int i = 0; i < bytes; i++)
		buf_add_byte(b, (u8)(value >> 8 * i));
}

static str data_of(const struct member *m)
{
	return m->method ? deflated(m->text, -15) : m->text;
}

static void put_common(struct buf *b, const struct member *m)
{
	put(b, m->flags, 2);
	put(b, (u32)m->method, 2);
	put(b, 0, 4); /* time */
	put(b, (u32)crc32(0, m->text.p, (uInt)m->text.n), 4);
	put(b, (u32)data_of(m).n, 4);
	put(b, (u32)m->text.n, 4);
	put(b, (u32)str_cstr(m->name).n, 2);
	put(b, 0, 2);
}

static str zip(const struct member *members, u32 n)
{
	struct buf *b = buf_new(a, 64 << 20);
	u32 *at = arena_array_of(a, n, u32), directory;

	for (u32 i = 0; i < n; i++) {
		at[i] = (u32)b->n;
		put(b, 0x04034B50, 4);
		put(b, 20, 2);
		put_common(b, &members[i]);
		buf_add(b, str_cstr(members[i].name));
		buf_add(b, data_of(&members[i]));
	}
	directory = (u32)b->n;
	for (u32 i = 0; i < n; i++) {
		put(b, 0x02014B50, 4);
		put(b, 20, 2);
		put(b, 20, 2);
		put_common(b, &members[i]);
		put(b, 0, 4); /* comment, disk, attributes */
		put(b, 0, 4);
		put(b, 0, 2);
		put(b, at[i], 4);
		buf_add(b, str_cstr(members[i].name));
	}
	put(b, 0x06054B50, 4);
	put(b, 0, 4);
	put(b, n, 2);
	put(b, n, 2);
	put(b, (u32)b->n - 12 - directory, 4);
	put(b, directory, 4);
	put(b, 0, 2);
	return buf_str(b);
}

static void forms_are_known_by_their_bytes(void **state)
{
	str text = S("<feedback/>"), out;
	struct member one = { "r.xml", text, 8, 0 }, stored = { "r.xml", text, 0, 0 };
	struct member many[] = { { "folder/", STR_NONE, 0, 0 },
				 { "readme.txt", S("hello"), 8, 0 },
				 { "R.XML", text, 8, 0 },
				 { "other.xml", S("no"), 8, 0 } };

	(void)state;
	assert_ok(unpack(a, text, &out));
	assert_str(out, text);
	assert_ok(unpack(a, STR_NONE, &out));
	assert_int_equal(out.n, 0);
	assert_ok(unpack(a, deflated(text, 31), &out));
	assert_str(out, text);
	assert_ok(unpack(a, zip(&one, 1), &out));
	assert_str(out, text);
	assert_ok(unpack(a, zip(&stored, 1), &out));
	assert_str(out, text);
	assert_ok(unpack(a, zip(many, 4), &out));
	assert_str(out, text);
	assert_ok(unpack(a, zip(many, 2), &out)); /* none is called so: the first */
	assert_str(out, S("hello"));
}

static void gzip_members_follow_each_other(void **state)
{
	str one = deflated(S("<feed"), 31), other = deflated(S("back/>"), 31), out;
	struct buf *joined = buf_new(a, 4096);

	(void)state;
	buf_add(joined, one);
	buf_add(joined, other);
	buf_add(joined, S("\0\0\0\0 what tar left"));
	assert_ok(unpack(a, buf_str(joined), &out));
	assert_str(out, S("<feedback/>"));
}

static void bombs_are_refused(void **state)
{
	str spaces = repeated(S(" "), 64 << 20), out;
	str fits = plausible(UNPACK_BYTES), over = plausible(UNPACK_BYTES + 1);
	struct member bomb = { "r.xml", spaces, 8, 0 };

	(void)state;
	assert_fail(unpack(a, deflated(spaces, 31), &out), FAIL_TOO_LARGE);
	assert_fail(unpack(a, zip(&bomb, 1), &out), FAIL_TOO_LARGE);
	assert_ok(unpack(a, deflated(fits, 31), &out));
	assert_int_equal(out.n, UNPACK_BYTES);
	assert_fail(unpack(a, deflated(over, 31), &out), FAIL_TOO_LARGE);
	assert_fail(unpack(a, over, &out), FAIL_TOO_LARGE);
	assert_ok(unpack(a, deflated(repeated(S(" "), UNPACK_RATIO_FREE), 31), &out));
	assert_fail(unpack(a, deflated(repeated(S(" "), 2 << 20), 31), &out), FAIL_TOO_LARGE);
}

static void strange_zips_are_refused(void **state)
{
	str text = S("<feedback/>"), out, good;
	struct member secret = { "r.xml", text, 8, 1 }, odd = { "r.xml", text, 12, 0 };
	struct member plain = { "r.xml", text, 0, 0 }, folder = { "x/", STR_NONE, 0, 0 };
	struct member *crowd = arena_array_of(a, UNPACK_ENTRIES + 1, struct member);
	struct member nested = { "r.xml", deflated(text, 31), 0, 0 };
	u8 *bytes;

	(void)state;
	assert_fail(unpack(a, zip(&secret, 1), &out), FAIL_SYNTAX);
	assert_fail(unpack(a, zip(&odd, 1), &out), FAIL_SYNTAX);
	assert_fail(unpack(a, zip(&folder, 1), &out), FAIL_SYNTAX);
	assert_fail(unpack(a, zip(&folder, 0), &out), FAIL_SYNTAX);
	assert_fail(unpack(a, zip(&nested, 1), &out), FAIL_SYNTAX);
	for (size_t i = 0; i <= UNPACK_ENTRIES; i++)
		crowd[i] = plain;
	assert_ok(unpack(a, zip(crowd, UNPACK_ENTRIES), &out));
	assert_fail(unpack(a, zip(crowd, UNPACK_ENTRIES + 1), &out), FAIL_TOO_LARGE);
	good = zip(&plain, 1);
	bytes = (u8 *)(uintptr_t)str_copy(a, good).p;
	bytes[30 + 5] ^= 1; /* the content no longer has its CRC */
	assert_fail(unpack(a, str_from(bytes, good.n), &out), FAIL_SYNTAX);
}

static void cut_and_changed_at_every_byte(void **state)
{
	str text = plausible(3000), out;
	struct member one = { "r.xml", text, 8, 0 };
	str files[] = { deflated(text, 31), zip(&one, 1) };

	(void)state;
	for (size_t f = 0; f < 2; f++) {
		for (size_t n = 4; n < files[f].n; n++)
			assert_non_null(unpack(a, str_slice(files[f], 0, n), &out));
		for (size_t n = 0; n < files[f].n; n++) {
			u8 *bytes = (u8 *)(uintptr_t)str_copy(a, files[f]).p;
			bytes[n] ^= 0x41; /* refused, or the same: never something else */
			if (unpack(a, str_from(bytes, files[f].n), &out) == NULL && n >= 4)
				assert_str(out, text);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT_TEST(forms_are_known_by_their_bytes),
		UNIT_TEST(gzip_members_follow_each_other),
		UNIT_TEST(bombs_are_refused),
		UNIT_TEST(strange_zips_are_refused),
		UNIT_TEST(cut_and_changed_at_every_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
