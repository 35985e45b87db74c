/* A header of any bytes: what is taken out must be whole fields; what is written must stay one field, whatever the values. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "verdict/authres.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void check_ranges(struct arena *a, str header)
{
	static const str ids[] = { S("mx.example.test") };
	size_t n, end = 0;
	const struct authres_range *r = authres_forbidden(a, header, ids, 1, &n);

	for (size_t i = 0; i < n; i++) {
		CHECK(r[i].from < r[i].to && r[i].to <= header.n && (i == 0 || r[i].from > end));
		CHECK(r[i].from == 0 || header.p[r[i].from - 1] == '\n');
		end = r[i].to;
	}
}

static void check_printer(struct arena *a, str value)
{
	struct buf *out = buf_new(a, 1 << 16);
	struct header_builder h;
	struct authres_printer p;
	struct header_field field;
	struct authres read;
	str rest;

	header_builder_init(&h, out);
	authres_start(&p, &h, S("mx.example.test"));
	authres_result(&p, "spf", S("fail"), value, value);
	authres_property(&p, "smtp.mailfrom", value);
	authres_end(&p);
	CHECK(!h.bad);
	rest = buf_str(out);
	CHECK(header_next(&rest, &field) && rest.n == 0);
	authres_parse(a, field.value, &read);
	CHECK(!read.broken && str_eq(read.id, S("mx.example.test")) && read.results_n == 1);
	CHECK(str_eq(read.results[0].method, S("spf")) &&
	      str_eq(read.results[0].result, S("fail")));
	CHECK(read.results[0].properties_n <= 1);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct arena *a = arena_new(1 << 26);
	str input = str_from(data, size);
	struct authres read;

	check_ranges(a, input);
	check_printer(a, input);
	authres_parse(a, input, &read);
	CHECK(read.results_n <= AUTHRES_RESULTS);
	arena_free(&a);
	return 0;
}
