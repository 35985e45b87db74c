#include "text/text_test.h"

#include "text/charset.h"
#include "text/encoding.h"

static void base64_knows_rfc_4648(void **state)
{
	static const struct {
		str plain, coded;
	} rows[] = { { S(""), S("") },
		     { S("f"), S("Zg==") },
		     { S("fo"), S("Zm8=") },
		     { S("foo"), S("Zm9v") },
		     { S("foob"), S("Zm9vYg==") },
		     { S("fooba"), S("Zm9vYmE=") },
		     { S("foobar"), S("Zm9vYmFy") } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf *out = buf_new(arena, 100);
		base64_encode(out, rows[i].plain);
		assert_same(buf_str(out), rows[i].coded);
		buf_reset(out);
		assert_true(base64_decode(out, rows[i].coded));
		assert_same(buf_str(out), rows[i].plain);
	}
}

static void base64_is_strict(void **state)
{
	static const str bad[] = { S("Z"),    S("Zg"),       S("Zg="),      S("Zh=="),
				   S("Zm9="), S("Zg==Zg=="), S("Zm9v\r\n"), S("Z==="),
				   S("===="), S("Zm 9"),     S("Zm9\x80") };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(base64_decode(buf_new(arena, 100), bad[i]));
}

static void base64_reader_takes_any_cut(void **state)
{
	str text = S("Zm9v\r\nYg==!Zm 8=\r\nZm9vYm");

	(void)state;
	for (size_t cut = 0; cut <= text.n; cut++) {
		struct base64_reader r = { 0 };
		struct buf *out = buf_new(arena, 100);
		base64_read(&r, str_slice(text, 0, cut), out);
		base64_read(&r, str_skip(text, cut), out);
		base64_finish(&r, out);
		assert_str(buf_str(out), "foobfofoob");
	}
}

static void base64_lines_are_short(void **state)
{
	struct buf *out = buf_new(arena, 1000);
	struct base64_reader r = { 0 };
	struct buf *back = buf_new(arena, 1000);
	u8 bytes[200];

	(void)state;
	memset(bytes, 0xFB, sizeof bytes);
	base64_encode_lines(out, str_from(bytes, sizeof bytes));
	assert_int_equal(str_find(buf_str(out), '\r'), 76);
	base64_read(&r, buf_str(out), back);
	base64_finish(&r, back);
	assert_same(buf_str(back), str_from(bytes, sizeof bytes));
}

static void qp_reads(void **state)
{
	static const struct {
		str coded, plain;
	} rows[] = {
		{ S("a=3Db"), S("a=b") },     { S("a=\r\nb"), S("ab") },
		{ S("a =\r\nb"), S("a b") },  { S("a  \r\nb"), S("a\r\nb") },
		{ S("a= \t\r\nb"), S("ab") }, { S("a=xb"), S("a=xb") },
		{ S("a=4xb"), S("a=4xb") },   { S("a="), S("a") },
		{ S("a=4"), S("a=4") },       { S("=c3=a9"), S("\xC3\xA9") },
		{ S("a=\rb"), S("a=\rb") },   { S("a==3D"), S("a==") },
		{ S("a=\nb"), S("ab") },      { S("a\t\tb  "), S("a\t\tb  ") },
		{ S("== \r\n"), S("=") },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (size_t cut = 0; cut <= rows[i].coded.n; cut++) {
			struct qp_reader r = { 0 };
			struct buf *out = buf_new(arena, 100);
			qp_read(&r, str_slice(rows[i].coded, 0, cut), out);
			qp_read(&r, str_skip(rows[i].coded, cut), out);
			qp_finish(&r, out);
			assert_same(buf_str(out), rows[i].plain);
		}
	}
}

static void qp_writes(void **state)
{
	struct buf *out = buf_new(arena, 1000), *back = buf_new(arena, 1000);
	struct qp_reader r = { 0 };
	u8 bytes[256];

	(void)state;
	qp_encode(out, S("a=b \r\n\tcaf\xC3\xA9\rx "));
	assert_str(buf_str(out), "a=3Db=20\r\n\tcaf=C3=A9=0Dx=20");
	buf_reset(out);
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (u8)i;
	qp_encode(out, str_from(bytes, sizeof bytes));
	for (str rest = buf_str(out); rest.n; rest = str_skip(rest, str_find(rest, '\n') + 1)) {
		assert_true(str_find(rest, '\r') <= 76 || rest.n <= 76);
		if (!str_has(rest, '\n'))
			break;
	}
	qp_read(&r, buf_str(out), back);
	qp_finish(&r, back);
	assert_same(buf_str(back), str_from(bytes, sizeof bytes));
}

static void xtext_refuses_controls(void **state)
{
	static const str bad[] = { S("a+00"), S("a+0D"),   S("+0A"), S("+7F"),
				   S("+4"),   S("+"),      S("+4g"), S("a b"),
				   S("a=b"),  S("+c3+a9"), S("+FF"), S("\xC3\xA9") };
	struct buf *out = buf_new(arena, 100);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(xtext_decode(buf_new(arena, 100), bad[i]));
	assert_true(xtext_decode(out, S("a+2Bb+3D+22+20+C3+A9")));
	assert_str(buf_str(out), "a+b=\" \xC3\xA9");
	buf_reset(out);
	xtext_encode(out, S("a+b=\" \xC3\xA9"));
	assert_str(buf_str(out), "a+2Bb+3D\"+20+C3+A9");
}

static void hex_goes_both_ways(void **state)
{
	struct buf *out = buf_new(arena, 100);

	(void)state;
	hex_encode(out, S("\x01\xAB"));
	assert_str(buf_str(out), "01ab");
	buf_reset(out);
	assert_true(hex_decode(out, S("01aB")));
	assert_str(buf_str(out), "\x01\xAB");
	assert_false(hex_decode(out, S("0")));
	assert_false(hex_decode(out, S("0g")));
}

static void utf7_goes_both_ways(void **state)
{
	static const struct {
		str utf8, utf7;
	} rows[] = {
		{ S("INBOX"), S("INBOX") },
		{ S("a&b"), S("a&-b") },
		{ S("~peter/mail/\xE5\x8F\xB0\xE5\x8C\x97/\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E"),
		  S("~peter/mail/&U,BTFw-/&ZeVnLIqe-") },
		{ S("Entw\xC3\xBCrfe"), S("Entw&APw-rfe") },
		{ S("\xF0\x9F\x98\x80"), S("&2D3eAA-") },
		{ S(""), S("") },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf *out = buf_new(arena, 200);
		assert_true(utf7_encode(out, rows[i].utf8));
		assert_same(buf_str(out), rows[i].utf7);
		buf_reset(out);
		assert_true(utf7_decode(out, rows[i].utf7));
		assert_same(buf_str(out), rows[i].utf8);
	}
}

static void utf7_is_strict(void **state)
{
	static const str bad[] = { S("a&"),       S("&APw"),       S("&APw-&APw-"), S("&AGE-"),
				   S("\xC3\xBC"), S("&2D0-"),      S("&3gA-"),      S("&APx-"),
				   S("&A-"),      S("&AP w-"),     S("&AAA-"),      S("a\x01"),
				   S("&AAo-"),    S("&Jjo-!&Jjo"), S("&+/-") };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(utf7_decode(buf_new(arena, 200), bad[i]));
	assert_false(utf7_encode(buf_new(arena, 200), S("\xFF")));
}

static void words_are_decoded(void **state)
{
	static const struct {
		str raw, text;
	} rows[] = {
		{ S("=?ISO-8859-1?Q?a?="), S("a") },
		{ S("=?ISO-8859-1?Q?a?= b"), S("a b") },
		{ S("=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?="), S("ab") },
		{ S("=?ISO-8859-1?Q?a?=  \t =?ISO-8859-1?Q?b?="), S("ab") },
		{ S("=?ISO-8859-1?Q?a_b?="), S("a b") },
		{ S("=?utf-8?q?=C3?= =?utf-8?q?=A9?="), S("\xC3\xA9") },
		{ S("=?utf-8*nl?b?w6k?="), S("\xC3\xA9") },
		{ S("=?iso-8859-1?q?=E9?= x =?x-nix?q?=E9?="), S("\xC3\xA9 x \xC3\xA9") },
		{ S("=?utf-8?q?=0D=0AX:=00?="), S("  X: ") },
		{ S("=?utf-8?x?abc?="), S("=?utf-8?x?abc?=") },
		{ S("=?utf-8?q?abc"), S("=?utf-8?q?abc") },
		{ S("=?=?=?=?"), S("=?=?=?=?") },
		{ S("a =?"), S("a =?") },
		{ S("=?utf-8?q?=?utf-8?q?a?=?="), S("=?utf-8?q?a?=") },
		{ S("plain \xC3\xA9"), S("plain \xC3\xA9") },
		{ S("plain \xE9"), S("plain \xC3\xA9") },
		{ S("=?us-ascii?q?a?= "), S("a ") },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_same(words_decode(arena, rows[i].raw), rows[i].text);
}

static void words_survive_the_way(void **state)
{
	str text = S(
	    "Caf\xC3\xA9 \xF0\x9F\x98\x80 en een h\xC3\xA9\xC3\xA9l lang onderwerp dat nooit op een enkele "
	    "regel past, \xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E");

	(void)state;
	for (size_t n = 0; n <= text.n; n++) {
		str part = utf8_cut(text, n);
		struct buf *out = buf_new(arena, 1000);
		words_encode(out, part, S("\r\n "));
		for (str rest = buf_str(out); rest.n > 76;
		     rest = str_skip(rest, str_find(rest, '\n') + 1))
			assert_true(str_find(rest, '\r') <= 76);
		for (size_t i = 0; i + 1 < out->n; i++)
			if (out->p[i] == '\r')
				out->p[i] = out->p[i + 1] = ' ';
		assert_same(words_decode(arena, buf_str(out)), part);
	}
}

static void params_are_read(void **state)
{
	struct param_list l;
	str head, value;

	(void)state;
	param_list_parse(arena,
			 S(" text/plain (c;d) ; charset = \"us-ascii\" (x); Format=flowed;x; =y;"
			   "name=\"a\\\"b;\r\n c\";two=x y"),
			 10, &head, &l);
	assert_str(head, "text/plain");
	assert_true(l.broken);
	assert_int_equal(l.n, 4);
	assert_true(param_find(&l, S("CHARSET"), &value));
	assert_str(value, "us-ascii");
	assert_true(param_find(&l, S("name"), &value));
	assert_str(value, "a\"b; c");
	assert_true(param_find(&l, S("two"), &value));
	assert_str(value, "x y");
	assert_false(param_find(&l, S("x"), &value));
	param_list_parse(arena, S("a;b=1;b=2;c=3"), 2, &head, &l);
	assert_true(l.cut);
	assert_int_equal(l.n, 2);
	param_list_parse(arena, S("a;b=\"unended"), 2, &head, &l);
	assert_true(l.broken);
}

static void params_are_joined(void **state)
{
	static const struct {
		str field, text;
	} rows[] = {
		{ S("a;f*=utf-8'nl'caf%C3%A9"), S("caf\xC3\xA9") },
		{ S("a;f*=iso-8859-1''caf%e9"), S("caf\xC3\xA9") },
		{ S("a;f*0*=utf-8''a%20;f*1=b%20;f*2*=%63"), S("a b%20c") },
		{ S("a;f*1=b;f*0=a"), S("ab") },
		{ S("a;f*0=a;f*2=c"), S("a") },
		{ S("a;f*0=a;f*0=x;f*1=b"), S("ab") },
		{ S("a;f*00=a;f=plain"), S("plain") },
		{ S("a;f*99999=z;f=plain;f*1=b"), S("plain") },
		{ S("a;f=plain;f*=utf-8''better"), S("better") },
		{ S("a;f=\"=?utf-8?q?caf=C3=A9?=\""), S("caf\xC3\xA9") },
		{ S("a;f*=nothing%00here"), S("nothing here") },
		{ S("a;f*0*=utf-8''%C3;f*1*=%A9"), S("\xC3\xA9") },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct param_list l;
		str head, text;
		param_list_parse(arena, rows[i].field, 10, &head, &l);
		assert_true(param_text(arena, &l, S("f"), &text));
		assert_same(text, rows[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(base64_knows_rfc_4648),
		TEST(base64_is_strict),
		TEST(base64_reader_takes_any_cut),
		TEST(base64_lines_are_short),
		TEST(qp_reads),
		TEST(qp_writes),
		TEST(xtext_refuses_controls),
		TEST(hex_goes_both_ways),
		TEST(utf7_goes_both_ways),
		TEST(utf7_is_strict),
		TEST(words_are_decoded),
		TEST(words_survive_the_way),
		TEST(params_are_read),
		TEST(params_are_joined),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
