/* The gate alone: what it adds, what it refuses, and that the cut of the input changes nothing. */
#include "base/unit.h"
#include "edge/smtp/fake_test.h"
#include "edge/gate/gate.h"

static const struct gate_trace trace = { .helo = S("[192.0.2.7]"),
					 .address = S("2001:db8::1"),
					 .address_is_ipv6 = true,
					 .by = S("mx.example.test"),
					 .with = S("ESMTPS"),
					 .tls = S("TLSv1.3 TLS_AES_256_GCM_SHA384"),
					 .recipient = S("a@b.example") };

/* What came out: the fail, or the bytes as they are stored. */
struct outcome {
	const struct fail *fail;
	str bytes, tail;
	struct gate_message message;
};

static struct outcome pass(struct arena *a, struct fake *x, const struct gate_rules *rules,
			   str input, size_t step)
{
	struct outcome o = { 0 };
	struct gate *g;

	o.fail = gate_new(a, x->peers.process.office, rules, &g);
	while (!o.fail && input.n > 0) {
		o.fail = gate_sink(g)->write(gate_sink(g), a, str_slice(input, 0, step));
		input = str_skip(input, step);
	}
	if (!o.fail)
		o.fail = gate_finish(g, &o.message);
	if (!o.fail)
		assert_ok(body_bytes(a, &o.message.body, &o.bytes, &o.tail));
	return o;
}

static str fill(struct arena *a, str before, size_t n, str after)
{
	struct buf *b = buf_new(a, n + 1024);

	buf_add(b, before);
	for (size_t i = 0; i < n; i++)
		buf_add_byte(b, 'x');
	buf_add(b, after);
	return buf_str(b);
}

struct row {
	str in;
	str code;  /* empty: taken */
	str store; /* "%" stands for the fields that were added */
};

static const struct row rows[] = {
	{ S(""), S(""), S("%") },
	{ S("\r\n"), S(""), S("%\r\n") },
	{ S("A: b"), S(""), S("A: b\r\n%") },
	{ S("A: b\r\n"), S(""), S("A: b\r\n%") },
	{ S("A: b\r\n\r\n"), S(""), S("A: b\r\n%\r\n") },
	{ S("A: b\r\n\r\nc\r\n\r\nd"), S(""), S("A: b\r\n%\r\nc\r\n\r\nd") },
	{ S("A: b\r\n c\r\n \r\n\r\nc"), S(""), S("A: b\r\n c\r\n \r\n%\r\nc") },
	{ S("DATE : x\r\nmessage-id:y\r\n\r\nc"), S(""), S("DATE : x\r\nmessage-id:y\r\n\r\nc") },
	{ S("A: b\r\n\r\n\0c"), S(""), S("A: b\r\n%\r\n\0c") },
	{ S("A: \0b\r\n\r\nc"), S("5.6.0"), S("") },
	{ S("A: b\n\r\nc"), S("5.6.0"), S("") },
	{ S("A: b\r\r\n\r\nc"), S("5.6.0"), S("") },
	{ S("A: b\r\n\r\nc\r"), S("5.6.0"), S("") },
	{ S("A: b\r\n\r\n\n"), S("5.6.0"), S("") },
	{ S("A: b\r\n\r\n\rx"), S("5.6.0"), S("") },
	{ S("\r\n\r"), S("5.6.0"), S("") },
};

/* Of our own people: fields in our name go out, and what is missing comes in. */
static const struct row own_rows[] = {
	{ S("A: b\r\n\r\nc"), S(""), S("A: b\r\n%\r\nc") },
	{ S("Authentication-Results: mx.example.test; dmarc=pass\r\nA: b\r\n\r\nc"), S(""),
	  S("A: b\r\n%\r\nc") },
	{ S("A: b\r\nAuthentication-results:\r\n (x) \"MX.example.test\" 1;\r\n dmarc=pass\r\n\r\nc"),
	  S(""), S("A: b\r\n%\r\nc") },
	{ S("Authentication-Results: mx.example.test; none\r\n\r\nAuthentication-Results: mx.example.test; none"),
	  S(""), S("%\r\nAuthentication-Results: mx.example.test; none") },
	{ S("Authentication-Results: mx.example.test; dmarc=pass"), S(""), S("%") },
	{ S("A: b\r\nAuthentication-Results: mx.example.test\r\n ;"), S(""), S("A: b\r\n%") },
	{ S("Date: x\r\nReturn-Path: <>\r\nMessage-ID: y\r\nX-Postern-A: b\r\n\r\nc"), S(""),
	  S("Date: x\r\nMessage-ID: y\r\n\r\nc") },
	{ S("Authentication-Results: other.example; none\r\nARC-Authentication-Results: i=1; mx.example.test; none\r\n"
	    "X-Authentication-Results: mx.example.test; none\r\n\r\nc"),
	  S(""),
	  S("Authentication-Results: other.example; none\r\nARC-Authentication-Results: i=1; mx.example.test; none\r\n"
	    "X-Authentication-Results: mx.example.test; none\r\n%\r\nc") },
};

/* The stored bytes are the expected ones around two fields of a known shape. */
static void check_stored(str stored, str expected)
{
	size_t at = str_find(expected, '%');

	if (at == SIZE_MAX) {
		assert_str(stored, expected);
		return;
	}
	str after = str_skip(expected, at + 1);
	assert_str(str_slice(stored, 0, at), str_slice(expected, 0, at));
	assert_true(str_starts(str_skip(stored, at), S("Date: ")));
	assert_str(str_skip(stored, stored.n - after.n), after);
	assert_true(str_find_str(stored, S("@mx.example.test>\r\n")) != SIZE_MAX);
}

static void pass_row(struct fake *x, const struct gate_rules *rules, const struct row *row)
{
	for (size_t step = 1; step <= row->in.n + 1; step++) {
		struct arena *a = arena_new(1 << 24);
		struct outcome o = pass(a, x, rules, row->in, step);
		if (row->code.n > 0) {
			assert_non_null(o.fail);
			assert_str(o.fail->code, row->code);
		} else {
			assert_ok(o.fail);
			check_stored(o.bytes, row->store);
			assert_int_equal(o.message.skeleton->size, o.message.body.size);
		}
		arena_free(&a);
	}
}

static void test_rows(void **state)
{
	struct gate_rules rules = { .size_max = 1000,
				    .complete = true,
				    .domain = S("mx.example.test") };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		pass_row(*state, &rules, &rows[i]);
	rules.names = &trace.by;
	rules.names_n = 1;
	for (size_t i = 0; i < ARRAY_LEN(own_rows); i++)
		pass_row(*state, &rules, &own_rows[i]);
}

static void test_trace(void **state)
{
	struct arena *a = arena_new(1 << 24);
	struct gate_rules rules = { .size_max = 1000, .trace = &trace, .hops = 1 };
	struct outcome o = pass(a, *state, &rules, S("A: b\r\n\r\nc\r\n"), 3);

	assert_ok(o.fail);
	assert_true(str_starts(o.bytes, S("Received: from [192.0.2.7] ([IPv6:2001:db8::1])")));
	assert_true(str_find_str(o.bytes, S("(TLSv1.3 TLS_AES_256_GCM_SHA384)")) != SIZE_MAX);
	assert_true(str_ends_nocase(o.bytes, S("\r\nA: b\r\n\r\nc\r\n")));
	assert_int_equal(o.message.skeleton->received, 1);
	assert_ok(pass(a, *state, &rules, S("Received: x\r\n\r\n"), 100).fail);
	o = pass(a, *state, &rules, S("Received: x\r\nReceived: y\r\n\r\n"), 100);
	assert_str(o.fail->code, S("5.4.6"));
	o = pass(a, *state, &rules, S("\tA: b\r\n\r\n"), 100);
	assert_str(o.fail->code, S("5.6.0"));
	arena_free(&a);
}

/* The skeleton that was moved behind our fields is the one that a parser finds in what is stored. */
static void check_skeleton(struct arena *a, const struct outcome *o)
{
	struct skeleton_parser *parser = skeleton_parser_new(a);
	const struct skeleton *again;

	assert_ok(skeleton_feed(parser, o->bytes));
	assert_ok(skeleton_finish(parser, &again));
	assert_str(skeleton_encode(a, o->message.skeleton), skeleton_encode(a, again));
}

struct seen {
	struct arena *arena;
	struct buf *header, *body;
};

static const struct fail *see_header(void *context, str header)
{
	struct seen *seen = context;

	assert_int_equal(seen->header->n + seen->body->n, 0);
	buf_add(seen->header, header);
	return NULL;
}

static void see_body(void *context, str piece)
{
	struct seen *seen = context;

	buf_add(seen->body, piece);
}

/* What came, and what is left of it behind our own fields. */
static const struct stranger {
	str header, body, kept;
} strangers[] = {
	{ S(""), S(""), S("") },
	{ S("\r\n"), S(""), S("\r\n") },
	{ S("\r\n"), S("b\r\n"), S("\r\n") },
	{ S("A: b"), S(""), S("A: b") },
	{ S("A: b\r\n"), S(""), S("A: b\r\n") },
	{ S("A: b\r\n\r\n"), S("c\r\n\r\nd"), S("A: b\r\n\r\n") },
	{ S("Return-Path: <x>\r\nA: b\r\n\r\n"), S("c"), S("A: b\r\n\r\n") },
	{ S("A: b\r\nAuthentication-Results:\r\n (x) MX.example.test;\r\n dmarc=pass\r\n\r\n"),
	  S("c"), S("A: b\r\n\r\n") },
	{ S("Authentication-Results: mx.example.test; none"), S(""), S("") },
	{ S("From: a@b.example\r\nContent-Type: multipart/mixed; boundary=x\r\nReceived: y\r\n\r\n"),
	  S("--x\r\n\r\none\r\n--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\ntwo\r\n--x--\r\n"),
	  S("From: a@b.example\r\nContent-Type: multipart/mixed; boundary=x\r\nReceived: y\r\n\r\n") },
};

static void pass_stranger(struct fake *x, const struct stranger *m, size_t step)
{
	struct arena *a = arena_new(1 << 24);
	struct seen seen = { .header = buf_new(a, 4096), .body = buf_new(a, 4096) };
	struct gate_watch watch = { .context = &seen, .header = see_header, .body = see_body };
	struct gate_rules rules = {
		.size_max = 1000, .trace = &trace, .names = &trace.by, .names_n = 1, .watch = &watch
	};
	str whole = str_format(a, "%.*s%.*s", STR_ARG(m->header), STR_ARG(m->body));
	str rest = str_format(a, "%.*s%.*s", STR_ARG(m->kept), STR_ARG(m->body));
	struct outcome o = pass(a, x, &rules, whole, step);

	assert_ok(o.fail);
	assert_str(buf_str(seen.header), m->header);
	assert_str(buf_str(seen.body), m->body);
	assert_true(str_starts(o.bytes, S("Received: from [192.0.2.7]")));
	assert_str(str_skip(o.bytes, o.bytes.n - rest.n), rest);
	check_skeleton(a, &o);
	arena_free(&a);
}

static void test_strangers(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(strangers); i++)
		for (size_t step = 1; step <= strangers[i].header.n + strangers[i].body.n + 1;
		     step++)
			pass_stranger(*state, &strangers[i], step);
}

static void test_above(void **state)
{
	struct arena *a = arena_new(1 << 24);
	struct gate_rules rules = { .size_max = 1000, .trace = &trace };
	const struct skeleton *skeleton;
	struct outcome o = { 0 };
	struct gate *g;

	assert_ok(gate_new(a, ((struct fake *)*state)->peers.process.office, &rules, &g));
	assert_ok(gate_sink(g)->write(gate_sink(g), a, S("A: b\r\n\r\nc\r\n")));
	assert_ok(gate_end(g, &skeleton));
	assert_int_equal(skeleton->size, 11);
	assert_ok(gate_seal(g, S("X: y\r\n"), &o.message));
	assert_ok(body_bytes(a, &o.message.body, &o.bytes, &o.tail));
	assert_true(str_starts(o.bytes, S("X: y\r\nReceived: from ")));
	assert_true(str_ends_nocase(o.bytes, S("\r\nA: b\r\n\r\nc\r\n")));
	check_skeleton(a, &o);
	arena_free(&a);
}

static void test_held_header(void **state)
{
	struct arena *a = arena_new(1 << 26);
	struct gate_rules rules = { .size_max = 10 << 20, .names = &trace.by, .names_n = 1 };
	struct buf *header = buf_new(a, 1 << 20);

	while (header->n < SKELETON_HEADER_BYTES)
		buf_add(header, S("A: 0123456789012345678901234567890123456789\r\n"));
	assert_fail(pass(a, *state, &rules, buf_str(header), 16000).fail, FAIL_TOO_LARGE);
	arena_free(&a);
}

/* At, above and far above. */
static void test_limits(void **state)
{
	struct arena *a = arena_new(1 << 26);
	struct gate_rules rules = { .size_max = 10 << 20 };
	struct outcome o;

	assert_ok(pass(a, *state, &rules, fill(a, S("\r\n"), GATE_LINE, S("\r\n")), 4096).fail);
	o = pass(a, *state, &rules, fill(a, S("\r\n"), GATE_LINE + 1, S("\r\n")), 4096);
	assert_str(o.fail->code, S("5.6.0"));
	o = pass(a, *state, &rules, fill(a, S("\r\n"), 20 * GATE_LINE, S("\r\n")), 4096);
	assert_str(o.fail->code, S("5.6.0"));
	rules.size_max = 100;
	assert_ok(pass(a, *state, &rules, fill(a, S("\r\n"), 98, S("")), 7).fail);
	assert_fail(pass(a, *state, &rules, fill(a, S("\r\n"), 99, S("")), 7).fail, FAIL_TOO_LARGE);
	assert_fail(pass(a, *state, &rules, fill(a, S("\r\n"), 9999, S("")), 7).fail,
		    FAIL_TOO_LARGE);
	arena_free(&a);
}

static void test_large(void **state)
{
	struct arena *a = arena_new((size_t)1 << 28);
	struct gate_rules rules = { .size_max = 10 << 20 };
	struct buf *text = buf_new(a, 4 << 20);
	struct outcome o;

	buf_add(text, S("A: b\r\n\r\n"));
	while (text->n < OFFICE_LARGE + 5000)
		buf_add(text, S("0123456789012345678901234567890123456789\r\n"));
	o = pass(a, *state, &rules, buf_str(text),
		 16000); /* nothing announced: moves from memory to a file */
	assert_ok(o.fail);
	assert_str(o.bytes, buf_str(text));
	assert_true(o.message.body.file >= 0);
	rules.size_hint = text->n;
	o = pass(a, *state, &rules, buf_str(text), 16000);
	assert_ok(o.fail);
	assert_str(o.bytes, buf_str(text));
	o = pass(a, *state, &rules, S("A: b\r\n\r\n"), 16000); /* SIZE= lied */
	assert_ok(o.fail);
	arena_free(&a);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)
	const struct CMUnitTest tests[] = { T(test_rows),  T(test_trace),       T(test_strangers),
					    T(test_above), T(test_held_header), T(test_limits),
					    T(test_large) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
