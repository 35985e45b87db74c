/*
 * The gate: the first byte chooses rules, the second the cut of the input. What is taken must be byte for byte what came behind and
 * between our fields, without a CR or LF alone, and its skeleton must decode.
 */
#include "base/loopback_test.h"

#include "edge/smtp/fake_test.h"
#include "edge/gate/gate.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void check(struct arena *a, const struct gate_message *m)
{
	struct skeleton skeleton;
	str bytes, tail;

	CHECK(body_bytes(a, &m->body, &bytes, &tail) == NULL);
	for (size_t i = 0; i < bytes.n; i++) {
		if (bytes.p[i] == '\n')
			CHECK(i > 0 && bytes.p[i - 1] == '\r');
		if (bytes.p[i] == '\r')
			CHECK(i + 1 < bytes.n && bytes.p[i + 1] == '\n');
	}
	CHECK(skeleton_decode(a, tail, &skeleton) == NULL);
	CHECK(skeleton.size == m->body.size);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct fake *x;
	static const struct gate_trace trace = { .helo = S("c.example"),
						 .address = S("192.0.2.1"),
						 .by = S("mx.example.test"),
						 .with = S("ESMTP") };
	struct gate_rules rules = { .size_max = 100000,
				    .hops = 20,
				    .domain = S("mx.example.test") };
	struct gate_message m;
	struct arena *a;
	struct gate *g;

	if (!x)
		x = fake_new();
	if (size < 2)
		return 0;
	rules.complete = data[0] & 1;
	rules.names = &trace.by;
	rules.names_n = (data[0] & 4) != 0;
	rules.trace = data[0] & 2 ? &trace : NULL;
	a = arena_new(1 << 26);
	if (!gate_new(a, x->peers.process.office, &rules, &g)) {
		str input = str_from(data + 2, size - 2);
		size_t step = data[1] ? data[1] : 100000;
		const struct fail *f = NULL;
		for (; !f && input.n > 0; input = str_skip(input, step))
			f = gate_sink(g)->write(gate_sink(g), a, str_slice(input, 0, step));
		if (!f && !gate_finish(g, &m))
			check(a, &m);
	}
	arena_free(&a);
	return 0;
}
