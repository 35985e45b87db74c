/* Where reports go: which URIs are taken, and what their limits mean. */
#include "base/unit.h"

#include "base/buf.h"
#include "report/uri.h"

static const struct {
	const char *uri, *address, *host; /* address NULL: refused */
	u64 limit;
} rows[] = {
	{ "mailto:a@b.example", "a@b.example", "b.example", 0 },
	{ "MAILTO:A@B.Example", "A@b.example", "b.example", 0 },
	{ "mailto:a@b.example!10m", "a@b.example", "b.example", 10 << 20 },
	{ "mailto:a@b.example!10M", "a@b.example", "b.example", 10 << 20 },
	{ "mailto:a@b.example!1", "a@b.example", "b.example", 1 },
	{ "mailto:a@b.example!3k", "a@b.example", "b.example", 3072 },
	{ "mailto:a@b.example!2g", "a@b.example", "b.example", 2147483648 },
	{ "mailto:a@b.example!1t", "a@b.example", "b.example", 1099511627776 },
	{ "mailto:a%2Bb@b.example", "a+b@b.example", "b.example", 0 },
	{ "mailto:a%21b@b.example", "a!b@b.example", "b.example", 0 },
	{ "mailto:a%2cb@b.example", NULL, NULL, 0 }, /* a comma makes it two */
	{ "mailto:a@b.example?subject=x", "a@b.example", "b.example", 0 },
	{ "mailto:a@b.example?bcc=v%40victim.example", "a@b.example", "b.example", 0 },
	{ "mailto:a@b\xC3\xBC.example", NULL, NULL, 0 },
	{ "mailto:a@b.example,c@d.example", NULL, NULL, 0 },
	{ "mailto:a@b.example%0d%0aBcc:x", NULL, NULL, 0 },
	{ "mailto:%00a@b.example", NULL, NULL, 0 },
	{ "mailto:a%4@b.example", NULL, NULL, 0 },
	{ "mailto:a%zz@b.example", NULL, NULL, 0 },
	{ "mailto:a%", NULL, NULL, 0 },
	{ "mailto:a@[192.0.2.1]", NULL, NULL, 0 },
	{ "mailto:a@localhost", NULL, NULL, 0 },
	{ "mailto:a@", NULL, NULL, 0 },
	{ "mailto:@b.example", NULL, NULL, 0 },
	{ "mailto:", NULL, NULL, 0 },
	{ "mailto:a@b.example!", NULL, NULL, 0 },
	{ "mailto:a@b.example!0", NULL, NULL, 0 },
	{ "mailto:a@b.example!10x", NULL, NULL, 0 },
	{ "mailto:a@b.example!10mm", NULL, NULL, 0 },
	{ "mailto:a@b.example!-1", NULL, NULL, 0 },
	{ "mailto:a@b.example!18446744073709551615t", NULL, NULL, 0 },
	{ "mailto:a@b.example!99999999999999999999", NULL, NULL, 0 },
	{ "https://b.example/report", NULL, NULL, 0 },
	{ "a@b.example", NULL, NULL, 0 },
	{ "", NULL, NULL, 0 },
};

static void test_uris(void **state)
{
	struct arena *a = arena_new(1 << 20);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct report_uri out;
		bool good = report_uri_parse(a, str_cstr(rows[i].uri), &out);
		if (good != (rows[i].address != NULL))
			fail_msg("%s: %s", rows[i].uri, good ? "taken" : "refused");
		if (!good)
			continue;
		assert_str(out.address, str_cstr(rows[i].address));
		assert_str(out.host, str_cstr(rows[i].host));
		assert_int_equal(out.limit, rows[i].limit);
	}
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_uris) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
