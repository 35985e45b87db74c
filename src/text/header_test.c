#include "text/text_test.h"

#include "text/header.h"

/* Names of all fields, each followed by its value in brackets; "?" for a malformed one. */
static str outline(str header)
{
	struct buf *out = buf_new(arena, 10000);
	struct header_field f;

	while (header_next(&header, &f)) {
		buf_add(out, f.name.n ? f.name : S("?"));
		buf_add_byte(out, '[');
		buf_add(out, f.value);
		buf_add_byte(out, ']');
	}
	buf_add_byte(out, '|');
	buf_add(out, header);
	return buf_str(out);
}

/* THREATS H06: one rule. */
static void splitting_has_one_rule(void **state)
{
	static const struct {
		str header, outline;
	} rows[] = {
		{ S(""), S("|") },
		{ S("\r\nbody"), S("|body") },
		{ S("A: b\r\n\r\nbody"), S("A[ b]|body") },
		{ S("A: b\r\n c\r\nD:e\r\n"), S("A[ b\r\n c]D[e]|") },
		{ S("A: b"), S("A[ b]|") },
		{ S("A : b\r\n"), S("A[ b]|") },
		{ S(" A: b\r\n"), S("?[ A: b]|") },
		{ S(" A: b\r\n c\r\nD: e\r\n"), S("?[ A: b\r\n c]D[ e]|") },
		{ S("nonsense\r\nA: b\r\n"), S("?[nonsense]A[ b]|") },
		{ S("From joe@x Mon: 1\r\nA: b\r\n"), S("?[From joe@x Mon: 1]A[ b]|") },
		{ S(": b\r\n"), S("?[: b]|") },
		{ S("A: b\r\n \r\nD: e\r\n\r\nx"), S("A[ b\r\n ]D[ e]|x") },
		{ S("A: b\nC: d\r\n"), S("A[ b\nC: d]|") },
		{ S("A: b\rC: d\r\n"), S("A[ b\rC: d]|") },
		{ S("A: b\n\nx\r\n"), S("A[ b\n\nx]|") },
		{ S("A\0B: c\r\n"), S("?[A\0B: c]|") },
		{ S("A\xC3\xA9: c\r\n"), S("?[A\xC3\xA9: c]|") },
		{ S("A:\r\n"), S("A[]|") },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_same(outline(rows[i].header), rows[i].outline);
}

static void fields_are_found(void **state)
{
	str header =
	    S("Received: 1\r\nTo: a\r\nreceived: 2\r\nReceived : 3\r\n\r\nReceived: 4\r\n");
	struct header_field f;

	(void)state;
	assert_int_equal(header_count(header, S("Received")), 3);
	assert_true(header_find(header, S("received"), 1, &f));
	assert_str(f.value, " 2");
	assert_str(f.raw, "received: 2\r\n");
	assert_false(header_find(header, S("Received"), 3, &f));
	assert_false(header_find(header, S(""), 0, &f));
	assert_int_equal(header_length(header), header.n - S("Received: 4\r\n").n);
	assert_int_equal(header_length(S("A: b\r\n")), 6);
	assert_int_equal(header_length(S("\r\nx")), 2);
}

/* However it is cut off, the fields together are the header's bytes. */
static void truncation_is_harmless(void **state)
{
	str whole = S("A: b\r\n c\r\n d\r\nxx\r\nE : f\r\n\r\nbody");

	(void)state;
	for (size_t n = 0; n <= whole.n; n++) {
		str rest = str_slice(whole, 0, n);
		size_t sum = 0;
		struct header_field f;
		while (header_next(&rest, &f))
			sum += f.raw.n;
		assert_true(sum + rest.n == n || sum + rest.n + 2 == n);
	}
}

static void values_are_unfolded(void **state)
{
	(void)state;
	assert_str(header_unfold(arena, S(" a\r\n b\r\n\tc ")), "a b c");
	assert_str(header_unfold(arena, S(" a\rb\nc\0d")), "a b c d");
	assert_str(header_text(arena, S(" =?utf-8?q?a?=\r\n =?utf-8?q?b?=\r\n c")), "ab c");
}

static struct header_builder builder(size_t max)
{
	struct header_builder h;

	header_builder_init(&h, buf_new(arena, max));
	return h;
}

static void builder_writes_fields(void **state)
{
	struct header_builder h = builder(10000);

	(void)state;
	header_put_text(&h, S("Subject"), S("plain  text"));
	header_put_text(&h, S("Subject"), S("een caf\xC3\xA9 hier"));
	header_start(&h, S("From"));
	header_add_address(&h, S("Joe (x) Q. \"P\""), S("joe@example.org"));
	header_add_close(&h, S(","));
	header_add_address(&h, S("Plain Name"), S("b@c"));
	header_add_close(&h, S(","));
	header_add_address(&h, STR_NONE, S("d@e"));
	header_end(&h);
	header_start(&h, S("Content-Disposition"));
	header_add(&h, S("attachment"));
	header_add_param(&h, S("filename"), S("a \"b\".txt"));
	header_add_param(&h, S("x"), S("caf\xC3\xA9"));
	header_end(&h);
	header_start(&h, S("X"));
	header_add_comment(&h, S("a(b)\r\nc"));
	header_end(&h);
	assert_false(h.bad);
	assert_str(
	    buf_str(h.out),
	    "Subject: plain text\r\n"
	    "Subject: een =?utf-8?q?caf=C3=A9?= hier\r\n"
	    "From: \"Joe (x) Q. \\\"P\\\"\" <joe@example.org>, Plain Name <b@c>, d@e\r\n"
	    "Content-Disposition: attachment; filename=\"a \\\"b\\\".txt\"; x*=utf-8''caf%C3%A9\r\n"
	    "X: (a\\(b\\)??c)\r\n");
}

/* THREATS H11: whatever a piece holds, no line is added, and the whole field is gone. */
static void builder_cannot_be_made_to_lie(void **state)
{
	static const str evil[] = { S("a\r\nBcc: x"), S("a\nb"),  S("a\rb"),
				    S("a\0b"),        S("a\x7F"), S("\xFF") };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(evil); i++) {
		struct header_builder h = builder(10000);
		header_put(&h, S("A"), S("good"));
		header_put(&h, S("B"), evil[i]);
		header_put_text(&h, S("C"), evil[i]);
		header_put(&h, evil[i], S("x"));
		header_start(&h, S("D"));
		header_add_address(&h, evil[i], S("a@b"));
		header_add_address(&h, S("x"), evil[i]);
		header_end(&h);
		header_start(&h, S("E"));
		header_add_param(&h, S("n"), evil[i]);
		header_end(&h);
		header_put(&h, S("F"), S("good"));
		assert_true(h.bad);
		assert_str(buf_str(h.out), "A: good\r\nF: good\r\n");
	}
}

static void builder_folds(void **state)
{
	struct header_builder h = builder(100000);
	struct buf *text = buf_new(arena, 100000);
	str rest;
	struct header_field f;

	(void)state;
	for (int i = 0; i < 400; i++)
		buf_printf(text, "%d\xC3\xA9 ", i);
	for (int i = 0; i < 400; i++)
		buf_printf(text, "word%d ", i);
	header_put_text(&h, S("Subject"), buf_str(text));
	assert_false(h.bad);
	for (rest = buf_str(h.out); rest.n;
	     rest = str_skip(rest, str_find_str(rest, S("\r\n")) + 2))
		assert_true(str_find_str(rest, S("\r\n")) <= 78);
	rest = buf_str(h.out);
	assert_true(header_next(&rest, &f));
	assert_int_equal(rest.n, 0);
	assert_same(header_text(arena, f.value), str_trim(buf_str(text)));
}

static void long_piece_is_refused(void **state)
{
	struct header_builder h = builder(100000);
	u8 long_word[2000];

	(void)state;
	memset(long_word, 'a', sizeof long_word);
	header_put(&h, S("A"), str_from(long_word, 900));
	assert_false(h.bad);
	header_put(&h, S("A"), str_from(long_word, 2000));
	assert_true(h.bad);
	h.bad = false;
	header_put_text(&h, S("A"), str_from(long_word, 2000)); /* as encoded words */
	assert_false(h.bad);
	header_start(&h, S("A"));
	header_add(&h, S("x"));
	header_add_param(&h, S("name"), str_from(long_word, 2000));
	header_end(&h);
	assert_false(h.bad);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(splitting_has_one_rule), TEST(fields_are_found),
		TEST(truncation_is_harmless), TEST(values_are_unfolded),
		TEST(builder_writes_fields),  TEST(builder_cannot_be_made_to_lie),
		TEST(builder_folds),          TEST(long_piece_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
