/* Authentication-Results: what we write cannot be broken out of, what others write in our name is found (THREATS H12, D01 a3-a7). */
#include "base/unit_arena.h"

#include "base/buf.h"
#include "verdict/authres.h"

static const str ids[] = { S("mx.example.test") };

static void test_ours(void **state)
{
	(void)state;
	static const char *const rows[] = {
		" mx.example.test; spf=pass",
		"mx.example.test;spf=pass",
		" MX.Example.TEST; spf=pass",
		" mx.example.test 1; spf=pass",
		" mx.example.test/1; spf=pass",
		" (c) mx.example.test (d(e)) 1 (f); spf=pass",
		"\r\n mx.example.test\r\n ; spf=pass",
		"\r\n (x)\r\n\tmx.example.test\r\n\t1; spf=pass",
		" \"mx.example.test\"; spf=pass",
		" \"mx.example\\.test\"; spf=pass",
		" \"mx.\"example.\"test\"; spf=pass",
		" mx.example.test.; spf=pass",
		" mx.example.test",
		" mx.example.test none",
		" mx . example . test; spf=pass",
		" mx.(a)example(b).test; spf=pass",
		" mx.exa\r\n mple.test; spf=pass",
		" mx.example\\.test; spf=pass",
		" =?utf-8?q?mx=2Eexample.test?=; spf=pass",
		" (unclosed\\) mx.example.test) mx.example.test; spf=pass",
		" (\xc3\xa9) mx.example.test; spf=pass", /* 8-bit, good and bad UTF-8 */
		" (\xff) mx.example.test; spf=pass",
		" \xc2\xa0mx.example.test; spf=pass",
		" mx.example.test\xff; spf=pass",
		" mx.exam\xe2\x80\x8bple.test; spf=pass", /* a space of no width */
		" mx.exam\xc2\xadple.test; spf=pass",
		" \xef\xbd\x8d\xef\xbd\x98.example.test; spf=pass", /* full width: IDNA makes it ours */
		" mx。example。test; spf=pass",                     /* ideographic full stops */
		" mx.example.test\v; spf=pass",
		" \x7fmx.example.test\f; spf=pass",
		" mx.example.test 1.0; spf=pass",
		" mx.example.test(1)1(1); spf=pass",
		" mx.example.test 99999999999999999999999; spf=pass",
		" mx.example.test\t1\t; spf=pass",
		" 1 mx.example.test; spf=pass",
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (!authres_is_from(a, str_cstr(rows[i]), ids[0]))
			fail_msg("not found: %s", rows[i]);
}

static void test_others(void **state)
{
	(void)state;
	static const char *const rows[] = {
		" mx.example.org; spf=pass",
		" amx.example.test; spf=pass",
		" mx.example.test.evil.example; spf=pass",
		" example.test; spf=pass",
		" other; x=\"mx.example.test\"",
		" (mx.example.test) other; spf=pass",
		" ; mx.example.test",
		" mx.bücher.test; spf=pass",
		" \xff\xfe; mx.example.test",
		" mx-example.test 1; spf=pass",
		"",
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (authres_is_from(a, str_cstr(rows[i]), ids[0]))
			fail_msg("taken for ours: %s", rows[i]);
}

/* A host with a name in another script may be named either way (RFC 8601 2.5). */
static void test_international(void **state)
{
	static const str id = S("mx.xn--bcher-kva.test");

	(void)state;
	assert_true(authres_is_from(a, S(" mx.xn--bcher-kva.test; spf=pass"), id));
	assert_true(authres_is_from(a, S(" mx.XN--Bcher-kva.test 1; spf=pass"), id));
	assert_true(authres_is_from(a,
				    S(" mx.b\xc3\xbc"
				      "cher.test; spf=pass"),
				    id));
	assert_true(authres_is_from(a,
				    S(" mx.B\xc3\x9c"
				      "CHER.test; spf=pass"),
				    id));
	assert_true(authres_is_from(a, S(" =?iso-8859-1?q?mx.b=FCcher.test?=; spf=pass"), id));
	assert_false(authres_is_from(a, S(" mx.bucher.test; spf=pass"), id));
}

static str without(str header)
{
	size_t n, at = 0;
	const struct authres_range *r = authres_forbidden(a, header, ids, 1, &n);
	struct buf *out = buf_new(a, 1 << 16);

	for (size_t i = 0; i < n; i++) {
		buf_add(out, str_slice(header, at, r[i].from));
		at = r[i].to;
	}
	buf_add(out, str_skip(header, at));
	return buf_str(out);
}

static void test_entry(void **state)
{
	(void)state;
	static const struct {
		str in, out;
	} rows[] = {
		{ S("A: b\r\n\r\n"), S("A: b\r\n\r\n") },
		{ S("authentication-RESULTS : mx.example.test; spf=pass\r\nA: b\r\n\r\n"),
		  S("A: b\r\n\r\n") },
		{ S("A: b\r\nAuthentication-Results:\r\n mx.example.test;\r\n spf=pass\r\n\r\n"),
		  S("A: b\r\n\r\n") },
		{ S("A: b\r\nAuthentication-Results: mx.example.test; spf=pass"), S("A: b\r\n") },
		{ S("Authentication-Results: other; spf=pass\r\nA: b\r\n"),
		  S("Authentication-Results: other; spf=pass\r\nA: b\r\n") },
		{ S("ARC-Authentication-Results: i=1; mx.example.test; spf=pass\r\n"),
		  S("ARC-Authentication-Results: i=1; mx.example.test; spf=pass\r\n") },
		{ S("Authentication-Results\r\n : mx.example.test; spf=pass\r\nA: b\r\n"),
		  S("A: b\r\n") },
		{ S(" Authentication-Results: mx.example.test; spf=pass\r\nA: b\r\n"),
		  S("A: b\r\n") },
		{ S("A: b\r\nAuthentication-Results:mx.example.test;x=y\r\nAuthentication-Results: (\xff)"
		    "mx.example.test\r\n\t2;x=y\r\nC: d\r\n"),
		  S("A: b\r\nC: d\r\n") },
		{ S("ARC-Seal: i=1; cv=none; d=mx.example.test; s=s; b=AA==\r\n"
		    "ARC-Message-Signature: i=1; d=mx.example.test; s=s; h=from;\r\n bh=AA==; b=AA==\r\n"
		    "ARC-Authentication-Results: i=1;\r\n mx.example.test 1; dmarc=pass\r\n"
		    "DKIM-Signature: d=mx.example.test; h=Authentication-Results; b=AA==\r\n"
		    "Authentication-Results: (mx.example.test) other.example; spf=pass (mx.example.test)\r\n"
		    "X-Authentication-Results: mx.example.test; spf=pass\r\n"
		    "Received: from mx.example.test by other.example; x\r\n\r\n"),
		  S("ARC-Seal: i=1; cv=none; d=mx.example.test; s=s; b=AA==\r\n"
		    "ARC-Message-Signature: i=1; d=mx.example.test; s=s; h=from;\r\n bh=AA==; b=AA==\r\n"
		    "ARC-Authentication-Results: i=1;\r\n mx.example.test 1; dmarc=pass\r\n"
		    "DKIM-Signature: d=mx.example.test; h=Authentication-Results; b=AA==\r\n"
		    "Authentication-Results: (mx.example.test) other.example; spf=pass (mx.example.test)\r\n"
		    "X-Authentication-Results: mx.example.test; spf=pass\r\n"
		    "Received: from mx.example.test by other.example; x\r\n\r\n") },
		{ S("Return-Path: <x@y>\r\nReturn-path: <>\r\nA: b\r\nX-Postern-Junk: no\r\n\r\n"),
		  S("A: b\r\n\r\n") },
		{ S("Received-SPF: pass (MX.example.test: x) receiver=mx.example.test;\r\nA: b\r\n"),
		  S("A: b\r\n") },
		{ S("Received-SPF: pass (o: x) receiver=other;\r\nA: b\r\n"),
		  S("Received-SPF: pass (o: x) receiver=other;\r\nA: b\r\n") },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_str(without(rows[i].in), rows[i].out);
}

static str print(str value)
{
	struct buf *out = buf_new(a, 1 << 16);
	struct header_builder h;
	struct authres_printer p;

	header_builder_init(&h, out);
	authres_start(&p, &h, ids[0]);
	authres_result(&p, "spf", S("pass"), STR_NONE, STR_NONE);
	authres_property(&p, "smtp.mailfrom", value);
	authres_end(&p);
	assert_false(h.bad);
	return header_unfold(a, buf_str(out));
}

static void test_values(void **state)
{
	(void)state;
	static const struct {
		str value, printed;
	} rows[] = {
		{ S("a@b.example"), S("a@b.example") },
		{ S("b.example"), S("b.example") },
		{ S("@b.example"), S("@b.example") },
		{ S("j\xc3\xb6@b.example"), S("@b.example") },
		{ S("any@legitimate.example(a.attack.example"),
		  S("\"any@legitimate.example(a.attack.example\"") },
		{ S("any@legitimate.example'@any.attack.example"),
		  S("\"any@legitimate.example'@any.attack.example\"") },
		{ S("legitimate.example'a.attack.example"),
		  S("\"legitimate.example'a.attack.example\"") },
		{ S("a\"; dkim=pass header.d=b.example; x=\"@c.example"),
		  S("\"a\\\"; dkim=pass header.d=b.example; x=\\\"@c.example\"") },
		{ S("attack.example.\0.any"), S("\"attack.example.?.any\"") },
		{ S("a\r\nFrom: b@c"), S("\"a??From: b@c\"") },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_str(
		    print(rows[i].value),
		    str_format(
			a, "Authentication-Results: mx.example.test; spf=pass smtp.mailfrom=%.*s",
			STR_ARG(rows[i].printed)));
	assert_str(print(STR_NONE), S("Authentication-Results: mx.example.test; spf=pass"));
}

static void test_none(void **state)
{
	(void)state;
	struct buf *out = buf_new(a, 1 << 16);
	struct header_builder h;
	struct authres_printer p;

	header_builder_init(&h, out);
	authres_start(&p, &h, ids[0]);
	authres_end(&p);
	assert_str(buf_str(out), S("Authentication-Results: mx.example.test; none\r\n"));
}

static void test_read(void **state)
{
	(void)state;
	struct authres r;

	authres_parse(
	    a,
	    S(" mx.example.test 1; spf=fail (no) smtp.mailfrom=a@b.example reason=\"be cause\";\r\n"
	      " dkim=pass header.d = c.example header.s=s1"),
	    &r);
	assert_false(r.broken);
	assert_str(r.id, S("mx.example.test"));
	assert_int_equal(r.results_n, 2);
	assert_str(r.results[0].reason, S("be cause"));
	assert_str(r.results[0].properties[0].value, S("a@b.example"));
	assert_str(r.results[1].method, S("dkim"));
	assert_int_equal(r.results[1].properties_n, 2);
	authres_parse(a, S("x; none"), &r);
	assert_int_equal(r.results_n, 0);
	authres_parse(a, S("x; =; spf; ("), &r);
	assert_true(r.broken);
}

/* A field of any length is read up to AUTHRES_RESULTS, and one of few results takes no room for all of them. */
static void test_room(void **state)
{
	struct buf *many = buf_new(a, 1 << 16);
	struct authres r;
	size_t before;

	(void)state;
	buf_add(many, S("x"));
	for (int i = 0; i < AUTHRES_RESULTS + 3; i++)
		buf_printf(many, "; m=r%d", i);
	authres_parse(a, buf_str(many), &r);
	assert_int_equal(r.results_n, AUTHRES_RESULTS);
	assert_str(r.results[AUTHRES_RESULTS - 1].result, S("r99"));
	before = arena_used(a);
	authres_parse(a, S("x; spf=pass; dkim=pass;"), &r);
	assert_int_equal(r.results_n, 2);
	assert_true(arena_used(a) - before <= 4 * sizeof(struct authres_result_read));
	authres_parse(a, S("x"), &r);
	assert_int_equal(r.results_n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT_TEST(test_ours),          UNIT_TEST(test_others), UNIT_TEST(test_entry),
		UNIT_TEST(test_values),        UNIT_TEST(test_none),   UNIT_TEST(test_read),
		UNIT_TEST(test_international), UNIT_TEST(test_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
