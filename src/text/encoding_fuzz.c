/* Strict decoders and their encoders undo each other; readers give the same in any cut; charsets
 * give UTF-8. */
#include "text/encoding.h"

#include "base/arena.h"
#include "base/check.h"
#include "text/charset.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static struct buf *room(struct arena *a, str text)
{
	return buf_new(a, text.n * 8 + 256);
}

static void strict(struct arena *a, str text, bool (*decode)(struct buf *, str),
		   void (*encode)(struct buf *, str), bool canonical)
{
	struct buf *plain = room(a, text), *coded = room(a, text), *again = room(a, text);

	if (!decode(plain, text))
		return;
	encode(coded, buf_str(plain));
	CHECK(!canonical || str_eq(buf_str(coded), text));
	CHECK(decode(again, buf_str(coded)) && str_eq(buf_str(again), buf_str(plain)));
}

static void utf7_encode_good(struct buf *out, str text)
{
	CHECK(utf7_encode(out, text));
}

static void streams(struct arena *a, str text, size_t cut)
{
	struct base64_reader b1 = { 0 }, b2 = { 0 };
	struct qp_reader q1 = { 0 }, q2 = { 0 };
	struct buf *whole = room(a, text), *parts = room(a, text);

	base64_read(&b1, text, whole);
	base64_finish(&b1, whole);
	base64_read(&b2, str_slice(text, 0, cut), parts);
	base64_read(&b2, str_skip(text, cut), parts);
	base64_finish(&b2, parts);
	qp_read(&q1, text, whole);
	qp_finish(&q1, whole);
	qp_read(&q2, str_slice(text, 0, cut), parts);
	qp_read(&q2, str_skip(text, cut), parts);
	qp_finish(&q2, parts);
	CHECK(!whole->full && str_eq(buf_str(whole), buf_str(parts)));
}

static void qp_round(struct arena *a, str text)
{
	struct buf *coded = room(a, text), *plain = room(a, text);
	struct qp_reader r = { 0 };

	qp_encode(coded, text);
	qp_read(&r, buf_str(coded), plain);
	qp_finish(&r, plain);
	CHECK(str_eq(buf_str(plain), text));
}

/* C0, DEL, C1. */
static bool has_controls(str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < 0x20 || s.p[i] == 0x7F ||
		    (s.p[i] == 0xC2 && i + 1 < s.n && s.p[i + 1] < 0xA0))
			return true;
	return false;
}

static void texts(struct arena *a, str text)
{
	struct param_list l;
	struct buf *out = room(a, text);
	str head, value;

	CHECK(str_is_utf8(words_decode(a, text)));
	param_list_parse(a, text, 32, &head, &l);
	CHECK(l.n <= 32);
	for (size_t i = 0; i < l.n; i++)
		if (param_text(a, &l,
			       str_slice(l.params[i].name, 0, str_find(l.params[i].name, '*')),
			       &value))
			CHECK(str_is_utf8(value) && value.n <= ENCODING_PARAM);
	if (str_is_utf8(text) && !has_controls(text)) { /* they become SP */
		words_encode(out, text, S(" "));
		CHECK(str_eq(words_decode(a, buf_str(out)), text));
	}
}

static void charsets(struct arena *a, str text)
{
	size_t label_n = str_find(text, '\n');
	str label = str_slice(text, 0, label_n), rest = str_skip(text, label.n + 1);
	struct buf *out = buf_new(a, rest.n * 3 + 7);

	charset_to_utf8(label, rest, out);
	CHECK(str_is_utf8(buf_str(out)));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct arena *a = arena_new(256 * 1024 * 1024);
	str text = str_from(data, size);

	strict(a, text, base64_decode, base64_encode, true);
	strict(a, text, hex_decode, hex_encode, false);
	strict(a, text, xtext_decode, xtext_encode, false);
	strict(a, text, utf7_decode, utf7_encode_good, true);
	streams(a, text, size ? data[0] % size : 0);
	qp_round(a, text);
	texts(a, text);
	charsets(a, text);
	arena_free(&a);
	return 0;
}
