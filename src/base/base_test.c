/* The small pieces: strings, cursors, buffers, arenas, ids, checksums, fails. Data first. */
#include "base/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/chars.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "base/fd.h"
#include "base/id.h"
#include "base/log.h"
#include "base/scan.h"

static void test_utf8(void **state)
{
	static const struct {
		const char *text;
		bool good;
	} cases[] = {
		{ "", true },
		{ "plain", true },
		{ "\xc3\xa9", true },
		{ "\xe2\x82\xac", true },
		{ "\xf0\x9f\x98\x80", true },
		{ "\xf4\x8f\xbf\xbf", true },
		{ "\xc0\x80", false },         /* overlong NUL */
		{ "\xe0\x80\xaf", false },     /* overlong slash */
		{ "\xf0\x80\x80\xaf", false }, /* the same */
		{ "\xed\xa0\x80", false },     /* surrogate */
		{ "\xf4\x90\x80\x80", false }, /* beyond U+10FFFF */
		{ "\x80", false },
		{ "\xc3", false },
		{ "\xe2\x82", false },
		{ "\xff", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(str_is_utf8(str_cstr(cases[i].text)), cases[i].good);
}

static void test_numbers(void **state)
{
	u64 n;

	(void)state;
	assert_true(str_u64(S("18446744073709551615"), &n) && n == UINT64_MAX);
	assert_false(str_u64(S("18446744073709551616"), &n));
	assert_false(str_u64(S("99999999999999999999999"), &n));
	assert_false(str_u64(S(""), &n));
	assert_false(str_u64(S("-1"), &n));
	assert_false(str_u64(S("1 "), &n));
}

static void test_slices_never_pass_the_end(void **state)
{
	str s = S("abc");

	(void)state;
	assert_str(str_slice(s, 1, 99), S("bc"));
	assert_str(str_slice(s, 3, 99), S(""));
	assert_str(str_slice(s, 2, 1), S(""));
	assert_str(str_skip(s, SIZE_MAX), S(""));
	assert_int_equal(str_find(STR_NONE, 'a'), SIZE_MAX);
	assert_int_equal(str_find_last(S("a.b.c"), '.'), 3);
	assert_int_equal(str_find_str(S("one two"), S("two")), 4);
	assert_str(str_trim(S(" \t x y\r\n")), S("x y"));
	assert_true(str_starts_nocase(S("RCPT TO:"), S("rcpt ")));
	assert_true(str_ends_nocase(S("a.EXAMPLE"), S(".example")));
	assert_true(str_cmp(S("a"), S("ab")) < 0);
}

static void test_cstr_refuses_nul(void **state)
{
	struct arena *a = arena_new(1000);

	(void)state;
	assert_string_equal(cstr(a, S("abc")), "abc");
	assert_null(cstr(a, str_from("a\0b", 3)));
	arena_free(&a);
}

/* A step that fails leaves the cursor alone. */
static void test_scan(void **state)
{
	struct scan s = scan_of(S("TO:<a@b> SIZE=12"));
	str path = STR_NONE, word = STR_NONE;
	u64 n;
	u32 small;

	(void)state;
	assert_true(scan_lit(&s, S("to:<")) && scan_until(&s, '>', &path) && scan_byte(&s, '>'));
	assert_str(path, S("a@b"));
	assert_false(scan_lit(&s, S("SIZE")));
	assert_true(scan_sp(&s) && scan_span(&s, CHAR_ALPHA, &word));
	assert_str(word, S("SIZE"));
	assert_false(scan_u64(&s, &n));
	assert_true(scan_byte(&s, '=') && scan_u64(&s, &n) && n == 12 && scan_end(&s));
	s = scan_of(S("4294967296"));
	assert_false(scan_u32(&s, &small));
	assert_int_equal(s.rest.n, 10);
	assert_false(scan_take(&s, 11, &word));
	assert_int_equal(scan_peek(&s), '4');
}

static void test_char_table(void **state)
{
	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		bool alpha = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		bool digit = c >= '0' && c <= '9';
		const char *at = c ? strchr("!#$%&'*+-/=?^_`{|}~", (int)c) : NULL;
		const char *special = c ? strchr("()<>@,;:\\\"/[]?=", (int)c) : NULL;
		const char *atom = c ? strchr("(){%*\"\\]", (int)c) : NULL;
		bool visible = c > 32 && c < 127;
		assert_int_equal(char_is((u8)c, CHAR_ALPHA), alpha);
		assert_int_equal(char_is((u8)c, CHAR_DIGIT), digit);
		assert_int_equal(char_is((u8)c, CHAR_HEXDIG), char_hex((u8)c) >= 0);
		assert_int_equal(char_is((u8)c, CHAR_CTL), c < 32 || c == 127);
		assert_int_equal(char_is((u8)c, CHAR_ATEXT), alpha || digit || at);
		assert_int_equal(char_is((u8)c, CHAR_LDH), alpha || digit || c == '-');
		assert_int_equal(char_is((u8)c, CHAR_FTEXT), visible && c != ':');
		assert_int_equal(char_is((u8)c, CHAR_TOKEN), visible && !special);
		assert_int_equal(char_is((u8)c, CHAR_BASE64),
				 alpha || digit || c == '+' || c == '/');
		assert_int_equal(char_is((u8)c, CHAR_IMAP_ATOM), visible && !atom);
		assert_int_equal(char_is((u8)c, CHAR_XCHAR), visible && c != '+' && c != '=');
		assert_int_equal(char_is((u8)c, CHAR_8BIT), c > 127);
		assert_int_equal(char_is((u8)c, CHAR_WSP), c == ' ' || c == '\t');
		assert_int_equal(char_is((u8)c, CHAR_VCHAR), visible);
		assert_int_equal(char_is((u8)c, CHAR_PLAIN),
				 (visible || c == ' ') && c != '"' && c != '\\');
	}
}

static void test_buf_keeps_its_maximum(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 10);
	buf_add(&b, S("12345"));
	buf_add(&b, S("67890"));
	assert_false(b.full);
	assert_str(buf_str(&b), S("1234567890"));
	buf_add(&b, S("x"));
	assert_true(b.full);
	assert_int_equal(b.n, 10);
	assert_null(buf_room(&b, 0)); /* sticky */
	buf_reset(&b);
	buf_add_quoted(&b, S("a\"b\\"));
	assert_str(buf_str(&b), S("\"a\\\"b\\\\\""));
	buf_reset(&b);
	buf_printf(&b, "%d", 123456789);
	assert_false(b.full);
	buf_reset(&b);
	buf_printf(&b, "%s", "12345678901");
	assert_true(b.full && b.n == 0);
	buf_reset(&b);
	buf_add(&b, S("abcdef"));
	buf_drop(&b, 4);
	assert_str(buf_str(&b), S("ef"));
	buf_add_u64(&b, 0);
	assert_str(buf_str(&b), S("ef0"));
	buf_free(&b);
}

/* Around the sizes at which a second try is needed: below, at and above the room that is there. */
static void test_formats_of_any_length(void **state)
{
	char text[600];
	struct buf b;

	(void)state;
	memset(text, 'x', sizeof text);
	for (size_t n = 0; n < sizeof text; n++) {
		struct arena *a = arena_new(4096);
		str expected = str_from((u8 *)text, n);
		str made = str_format(a, "%.*s", (int)n, text);
		assert_str(made, expected);
		assert_int_equal(made.p[n], 0);
		buf_init(&b, 3 + n + (n % 2));
		buf_add(&b, S("abc"));
		buf_printf(&b, "%.*s", (int)n, text);
		assert_int_equal(b.full, n % 2 == 0); /* no room for the NUL */
		assert_str(str_skip(buf_str(&b), 3), n % 2 ? expected : STR_NONE);
		buf_free(&b);
		arena_free(&a);
	}
}

static void count_release(void *object)
{
	++*(int *)object;
}

static void test_arena_owns(void **state)
{
	struct arena *a = arena_new(1000);
	int released = 0, fd = dup(0), given = dup(0);

	(void)state;
	arena_own(a, count_release, &released);
	arena_own_fd(a, fd);
	arena_own_fd(a, given);
	assert_int_equal(arena_give_fd(a, given), given);
	arena_reset(a);
	assert_int_equal(released, 1);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_int_not_equal(fcntl(given, F_GETFD), -1);
	close(given);
	arena_own(a, count_release, &released);
	arena_free(&a);
	assert_int_equal(released, 2);
	assert_null(a);
}

static void test_arena_budget(void **state)
{
	struct arena *a = arena_new(1000);

	(void)state;
	assert_null(arena_check(a));
	memset(arena_alloc(a, 992), 1, 992); /* sums are of whole alignments */
	arena_alloc(a, 0);
	assert_ok(arena_check(a));
	arena_alloc(a, 500);
	assert_fail(arena_check(a), FAIL_LIMIT);
	arena_reset(a);
	assert_ok(arena_check(a));
	for (size_t i = 0; i < 60; i++) /* zeroed, also what was used before */
		assert_int_equal(((u8 *)arena_alloc(a, 1))[0], 0);
	arena_free(&a);
}

static u64 clock_ms;

static u64 fake_now(void *context)
{
	(void)context;
	return clock_ms;
}

struct taking {
	_Atomic u64 last;
	u64 ids[20000];
};

struct taker {
	struct taking *taking;
	u64 *ids;
};

static void *take_ids(void *at)
{
	const struct env e = { .now = fake_now };
	struct taker *t = at;

	for (size_t i = 0; i < 5000; i++)
		t->ids[i] = id_next_shared(&t->taking->last, 200, &e);
	return NULL;
}

static int by_value(const void *a, const void *b)
{
	const u64 *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Threads of one node get ids of that node, none twice, although the millisecond runs out of them. */
static void test_ids_shared(void **state)
{
	static struct taking t;
	struct taker takers[4];
	pthread_t threads[4];

	(void)state;
	clock_ms = 1763750000000;
	for (size_t i = 0; i < 4; i++) {
		takers[i] = (struct taker){ &t, &t.ids[i * 5000] };
		assert_int_equal(pthread_create(&threads[i], NULL, take_ids, &takers[i]), 0);
	}
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	qsort(t.ids, 20000, sizeof(u64), by_value);
	for (size_t i = 0; i < 20000; i++) {
		assert_int_equal(id_node(t.ids[i]), 200);
		assert_true(i == 0 || t.ids[i] != t.ids[i - 1]);
	}
}

static void test_ids_rise(void **state)
{
	struct arena *a = arena_new(1 << 20);
	const struct env e = { .now = fake_now };
	struct id_maker m = { .node = 7 };
	u64 last = 0, parsed;

	(void)state;
	clock_ms = 1763750000000;
	for (int i = 0; i < 40000; i++) {
		u64 id = id_next(&m, &e);
		assert_true(id > last);
		last = id;
		if (i == 20000)
			clock_ms -= 5000; /* the clock goes back */
	}
	assert_int_equal(id_node(last), 7);
	assert_true(id_time(last) >= 1763750000000 && id_time(last) < 1763750000010);
	assert_true(id_parse(id_text(a, last), &parsed) && parsed == last);
	assert_true(id_parse(S("fzzzzzzzzzzzz"), &parsed) && parsed == UINT64_MAX);
	assert_false(id_parse(S("gzzzzzzzzzzzz"), &parsed)); /* 65 bits */
	assert_false(id_parse(S("0000000000000"), &parsed));
	assert_false(id_parse(S("000000000001"), &parsed));
	assert_false(id_parse(S("00000000000il"), &parsed));
	arena_free(&a);
}

static void test_ids_of_attempts(void **state)
{
	struct arena *a = arena_new(1 << 20);
	const struct env e = { .now = fake_now };
	struct id_maker m = { 0 };
	u64 id, later, parsed;

	(void)state;
	clock_ms = 1763750000000;
	id = id_attempt(&e, 65, 8193); /* the sequence goes round */
	assert_true(id_is_attempt(id));
	assert_int_equal(id_edge(id), 65);
	assert_int_equal(id & 8191, 1);
	assert_int_equal(id_time(id), 1763750000000);
	assert_int_equal(id_text(a, id).n, ID_ATTEMPT_TEXT);
	assert_true(id_parse(id_text(a, id), &parsed) && parsed == id);
	assert_true(id >= id_first_attempt(clock_ms) && id < id_first_attempt(clock_ms + 1000));
	assert_false(id_parse(S("zzzzzzzzzz0"), &parsed));
	clock_ms += 1000;
	later = id_attempt(&e, 0, 0);
	assert_true(later > id);
	assert_false(id_is_attempt(id_next(&m, &e)));
	assert_true(m.last >= id_first_message(clock_ms) &&
		    m.last < id_first_message(clock_ms + 1));
	clock_ms = 0; /* a machine without a clock */
	assert_true(id_is_attempt(id_attempt(&e, 127, 0)));
	assert_false(id_is_attempt(0));
	arena_free(&a);
}

static void test_crc32c(void **state)
{
	u8 zeros[32] = { 0 };

	(void)state;
	assert_int_equal(crc32c(0, S("123456789")), 0xE3069283u);
	assert_int_equal(crc32c(0, str_from(zeros, 32)), 0x8A9136AAu); /* RFC 3720 B.4 */
	assert_int_equal(crc32c(crc32c(0, S("12345")), S("6789")), 0xE3069283u);
}

static void test_fail_table(void **state)
{
	static const struct fail statics[] = {
		FAIL_STATIC(LIMIT, ""),    FAIL_STATIC(UNAVAILABLE, ""), FAIL_STATIC(TIMEOUT, ""),
		FAIL_STATIC(INTERNAL, ""), FAIL_STATIC(DENIED, ""),      FAIL_STATIC(NOT_FOUND, ""),
		FAIL_STATIC(INVALID, ""),  FAIL_STATIC(SYNTAX, ""),      FAIL_STATIC(TOO_LARGE, ""),
		FAIL_STATIC(CORRUPT, ""),
	};
	struct arena *a = arena_new(10000);
	const struct fail *f;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(statics); i++) {
		assert_int_equal(statics[i].kind, fail_what_kind(statics[i].what));
		assert_str(statics[i].code, fail_what_code(statics[i].what));
	}
	f = fail_code(a, FAIL_INVALID, "5.1.8", "a\r\nb\x7f%d", 1);
	assert_str(f->text, S("a??b?1"));
	assert_int_equal(f->kind, FAIL_PERM);
	f = fail_because(a, fail_errno(a, ENOSPC, "writing"), "cannot keep it");
	assert_int_equal(f->what, FAIL_STORAGE);
	assert_str(fail_chain(a, f), S("cannot keep it: writing: No space left on device"));
	arena_free(&a);
}

static void test_sealed_files(void **state)
{
	struct arena *a = arena_new(10000);
	int fd, open_one = fd_memory("test");
	str bytes;

	(void)state;
	assert_ok(fd_from_str(a, S("hello"), &fd));
	assert_true(fd_is_sealed(fd, 5));
	assert_false(fd_is_sealed(fd, 4));
	assert_int_equal(write(fd, "x", 1), -1);
	assert_ok(fd_map(a, fd, 5, &bytes));
	assert_str(bytes, S("hello"));
	assert_fail(fd_map(a, fd, 6, &bytes), FAIL_CORRUPT);
	assert_ok(fd_read(a, fd, 1, 3, &bytes));
	assert_str(bytes, S("ell"));
	assert_fail(fd_read(a, fd, 3, 3, &bytes), FAIL_CORRUPT);
	assert_true(fd_write_all(open_one, S("x")));
	assert_fail(fd_map(a, open_one, 1, &bytes), FAIL_CORRUPT);
	close(open_one);
	arena_free(&a);
}

/* What a child says whose check fails right after it logged: the lines before it are what one looks for. */
static void test_log_before_a_failed_check(void **state)
{
	char said[1024];
	size_t n = 0;
	int ends[2], status;
	ssize_t got;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	pid = fork();
	if (pid == 0) {
		dup2(ends[1], STDERR_FILENO);
		log_start();
		LOG(INFO, "first");
		usleep(1000); /* written, and the log's thread rests */
		for (int i = 0; i < 10; i++)
			LOG(INFO, "then", LOG_U64("i", (u64)i));
		check_failed("a", 1, "b");
	}
	close(ends[1]);
	while ((got = read(ends[0], said + n, sizeof said - n)) > 0)
		n += (size_t)got;
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_int_not_equal(str_find_str(str_from(said, n), S("event=first")), SIZE_MAX);
	assert_int_not_equal(str_find_str(str_from(said, n), S("event=then i=9\n")), SIZE_MAX);
	assert_int_not_equal(str_find_str(str_from(said, n), S("what=\"b\"")), SIZE_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_slices_never_pass_the_end),
		cmocka_unit_test(test_cstr_refuses_nul),
		cmocka_unit_test(test_scan),
		cmocka_unit_test(test_char_table),
		cmocka_unit_test(test_buf_keeps_its_maximum),
		cmocka_unit_test(test_formats_of_any_length),
		cmocka_unit_test(test_arena_owns),
		cmocka_unit_test(test_arena_budget),
		cmocka_unit_test(test_ids_rise),
		cmocka_unit_test(test_ids_of_attempts),
		cmocka_unit_test(test_ids_shared),
		cmocka_unit_test(test_crc32c),
		cmocka_unit_test(test_fail_table),
		cmocka_unit_test(test_sealed_files),
		cmocka_unit_test(test_log_before_a_failed_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
