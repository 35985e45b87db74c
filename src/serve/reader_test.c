/* Readers: every input whole, byte by byte, cut at each place, and cut at random; all short strings of what smugglers use. */
#include "base/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/env.h"
#include "serve/reader.h"

enum { LINE_MAX_ = 10, TRANSCRIPT = 1 << 16 };

/* A sink that writes down what it gets, and how a run went, as text. */
struct note {
	struct sink sink;
	struct buf text;
};

static const struct fail *note_write(struct sink *k, struct arena *turn, str bytes)
{
	struct note *n = (struct note *)(void *)k;
	static const struct fail no = FAIL_STATIC(INVALID, "no");

	(void)turn;
	buf_add(&n->text, bytes);
	return str_has(bytes, '!') ? &no : NULL;
}

/* "D" begins a dotted stretch, "Cn" a counted one of n bytes; everything else is only a line. */
static void command(struct reader *r, struct note *n)
{
	if (str_eq(r->line, S("D")))
		reader_dotted(r, &n->sink);
	else if (r->line.n == 2 && r->line.p[0] == 'C')
		reader_counted(r, (u64)(r->line.p[1] - '0'), &n->sink);
}

static bool unit(struct reader *r, struct note *n, enum reader_unit u)
{
	static const char *const bads[] = { "long", "bare", "nul" };

	switch (u) {
	case READER_NONE:
		return false;
	case READER_LINE:
		buf_printf(&n->text, "[%.*s]", STR_ARG(r->line));
		command(r, n);
		return true;
	case READER_STRETCH:
		buf_printf(&n->text, "<end%s>", r->fail ? " fail" : "");
		return true;
	case READER_BAD:
		buf_printf(&n->text, "<%s>", bads[r->bad]);
		return true;
	case READER_LOST:
		buf_add(&n->text, S("<lost>"));
		return false;
	}
	return false;
}

/* Feeds input in pieces, as session.c does: what a unit leaves stays in front of the next piece. */
struct feed {
	struct reader reader;
	struct note note;
	struct buf in;
	bool lost;
};

static void feed_init(struct feed *f)
{
	memset(f, 0, sizeof *f);
	reader_init(&f->reader, LINE_MAX_);
	f->note.sink.write = note_write;
	buf_init(&f->note.text, TRANSCRIPT);
	buf_init(&f->in, TRANSCRIPT);
}

static void feed_piece(struct feed *f, str piece)
{
	buf_add(&f->in, piece);
	for (;;) {
		size_t used;
		enum reader_unit u =
		    f->lost ? READER_NONE : reader_next(&f->reader, NULL, buf_str(&f->in), &used);
		if (f->lost)
			return;
		f->lost = u == READER_LOST;
		bool more = unit(&f->reader, &f->note, u);
		buf_drop(&f->in, used);
		if (!more && !(u == READER_NONE && used && f->in.n))
			return;
	}
}

static void feed_free(struct feed *f)
{
	buf_free(&f->note.text);
	buf_free(&f->in);
}

/* Cuts at each bit of mask that is set. */
static void run_cut(str input, u64 mask, struct feed *f)
{
	size_t from = 0;

	feed_init(f);
	for (size_t i = 1; i <= input.n; i++) {
		if (i < input.n && i < 64 && !(mask >> i & 1))
			continue;
		feed_piece(f, str_slice(input, from, i));
		from = i;
	}
}

static void assert_any_cut(str input, str expected)
{
	struct feed f;

	for (size_t cut = 0; cut <= input.n + 12; cut++) {
		u64 mask = cut == 0                     ? 0
			   : cut <= input.n && cut < 64 ? 1ULL << cut
							: env_random_u64(env_system());
		if (cut == input.n + 1)
			mask = UINT64_MAX;
		run_cut(input, mask, &f);
		assert_str(buf_str(&f.note.text), expected);
		feed_free(&f);
	}
}

static void test_any_cut(void **state)
{
	static const struct {
		str input, expected;
	} rows[] = {
		{ { (const u8 *)"", 0 }, { (const u8 *)"", 0 } },
#define ROW(in, out)                                    \
	{                                               \
		{ (const u8 *)in, sizeof in - 1 },      \
		{                                       \
			(const u8 *)out, sizeof out - 1 \
		}                                       \
	}
		ROW("a\r\nbc\r\n\r\n", "[a][bc][]"),
		ROW("1234567890\r\n12345678901\r\nx\r\n", "[1234567890]<long>[x]"),
		ROW("123456789012\nx\r\n", "<long><bare>[x]"),
		ROW("1234567890123456789\r\rfoo\r\nx\r\n", "<long>[x]"),
		ROW("12345678901\nx\r\n", "<bare>[x]"),
		ROW("1234567890123456\nx\r\n", "<long><bare>[x]"),
		ROW("12345678901\r\nx\r\n", "<long>[x]"),
		ROW("a\nb\r\nc\rd\r\ne\r\r\n\n\r\n", "<bare>[b]<bare><bare><bare>[]"),
		ROW("a\0b\r\n\0\nc\r\n", "<nul><bare>[c]"),
		ROW("C3\r\nabcC0\r\nC5\r\n\r\n.\r\nx\r\n",
		    "[C3]abc<end>[C0]<end>[C5]\r\n.\r\n<end>[x]"),
		ROW("C4\r\na\0\nbx\r\n", "[C4]a\0\nb<end>[x]"),
		ROW("D\r\n.\r\nx\r\n", "[D]<end>[x]"),
		ROW("D\r\na\r\n.\r\nx\r\n", "[D]a\r\n<end>[x]"),
		ROW("D\r\n..\r\n.a\r\n...\r\n.\r\nx\r\n", "[D].\r\na\r\n..\r\n<end>[x]"),
		ROW("D\r\n\r\n\r\n.\r\n", "[D]\r\n\r\n<end>"),
		ROW("D\r\na\0b\r\n.\r\n", "[D]a\0b\r\n<end>"),
		ROW("D\r\na\n.\r\nx\r\n", "[D]a<bare><lost>"),
		ROW("D\r\na\r\n.\nx\r\n.\r\n", "[D]a\r\n<bare><lost>"),
		ROW("D\r\na\r\n.\r\r\n.\r\n", "[D]a\r\n<bare><lost>"),
		ROW("D\r\na\r.\r\n", "[D]a<bare><lost>"),
		ROW("D\r\na\r\r\n.\r\n", "[D]a<bare><lost>"),
		ROW("D\r\n.\nx\r\n", "[D]<bare><lost>"),
#undef ROW
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_any_cut(rows[i].input, rows[i].expected);
}

/* A sink that failed gets no more, and the stretch is read to its end. */
static void test_sink_fails(void **state)
{
	struct feed f;

	(void)state;
	run_cut(S("C9\r\nab!defghix\r\n"), UINT64_MAX, &f);
	assert_str(buf_str(&f.note.text), S("[C9]ab!<end fail>[x]"));
	feed_free(&f);
	run_cut(S("D\r\n!\r\ny\r\n.\r\nx\r\n"), UINT64_MAX, &f);
	assert_str(buf_str(&f.note.text), S("[D]!<end fail>[x]"));
	feed_free(&f);
}

/* THREATS S10: the rest of an endless line is dropped within a budget. */
static void test_endless(void **state)
{
	static u8 block[4096];
	struct feed f;
	size_t sent = 0;

	(void)state;
	memset(block, 'x', sizeof block);
	feed_init(&f);
	while (!f.lost) {
		feed_piece(&f, str_from(block, sizeof block));
		sent += sizeof block;
		assert_true(f.in.n <= sizeof block);
	}
	assert_in_range(sent, SESSION_DISCARD, SESSION_DISCARD + 2 * sizeof block);
	assert_str(buf_str(&f.note.text), S("<long><lost>"));
	feed_free(&f);
}

/* THREATS S01: all strings of at most 7 bytes over five, between a line of text and a command that must not be seen. */
static void test_smuggling(void **state)
{
	static const u8 alphabet[5] = { '\r', '\n', '\0', '.', ' ' };
	u32 ended = 0;

	(void)state;
	for (u32 n = 1, all = 5; n <= 7; n++, all *= 5) {
		for (u32 code = 0; code < all; code++) {
			u8 text[32] = "D\r\na";
			size_t at = 4, found;
			struct feed f, bytewise;
			str input, middle;

			for (u32 i = 0, c = code; i < n; i++, c /= 5)
				text[at++] = alphabet[c % 5];
			middle = str_from(text + 4, n);
			memcpy(text + at, "z\r\n", 3);
			input = str_from(text, at + 3);
			run_cut(input, 0, &f);
			run_cut(input, UINT64_MAX, &bytewise);
			assert_str(buf_str(&bytewise.note.text), buf_str(&f.note.text));
			feed_free(&bytewise);
			found = str_find_str(buf_str(&f.note.text), S("<end>"));
			if (str_find_str(middle, S("\r\n.\r\n")) == SIZE_MAX)
				assert_true(found == SIZE_MAX);
			else
				ended += found != SIZE_MAX;
			feed_free(&f);
		}
	}
	/* The end itself, of 5 bytes; with one byte before (3 are not bare) or after (any); with two, and "\r\n" before. */
	assert_int_equal(ended, 1 + (3 + 5) + (3 * 3 + 1 + 3 * 5 + 5 * 5));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_cut),
		cmocka_unit_test(test_sink_fails),
		cmocka_unit_test(test_endless),
		cmocka_unit_test(test_smuggling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
