/* How wide a record is, and each warning (THREATS D10): what gives it, and the nearest that does not. */
#include "base/unit.h"

#include <arpa/inet.h>
#include <string.h>

#include "text/dns_rdata.h"
#include "verdict/spf_width.h"
#include "verdict/zone_test.h"

struct row {
	const char *name;
	u32 type;
	const char
	    *data; /* TXT: the text; A, AAAA: an address; MX: any, the host is of no matter */
};

static struct arena *a;
static const struct row *rows;
static size_t rows_n, asked;

static str rdata_of(const struct row *r)
{
	u8 bytes[16];

	if (r->type == DNS_TYPE_TXT)
		return zone_txt(a, str_cstr(r->data));
	if (r->type == DNS_TYPE_MX)
		return S("\0\012\1m\0");
	assert_int_equal(inet_pton(r->type == DNS_TYPE_A ? AF_INET : AF_INET6, r->data, bytes), 1);
	return str_copy(a, str_from(bytes, r->type == DNS_TYPE_A ? 4 : 16));
}

static void query(void *context, struct arena *arena, str name, u32 type, struct dns_answer *out)
{
	str *list = arena_array_of(arena, rows_n + 1, str);

	(void)context;
	asked++;
	*out = (struct dns_answer){ .status = DNS_NXDOMAIN, .records = list };
	if (str_ends_nocase(name, S("busy.example")))
		out->status = DNS_TEMPFAIL;
	for (size_t i = 0; i < rows_n; i++)
		if (rows[i].type == type && str_eq_nocase(str_cstr(rows[i].name), name)) {
			list[out->records_n++] = rdata_of(&rows[i]);
			out->status = DNS_OK;
		}
}

static void look(const struct row *zone, size_t n, struct spf_width *out)
{
	const struct dns_source source = { NULL, query };

	rows = zone;
	rows_n = n;
	asked = 0;
	spf_width_of(a, &source, S("Example.ORG"), out);
	assert_true(asked <= SPF_QUESTIONS);
}

static str codes(const struct spf_width *w)
{
	struct buf *out = buf_new(a, 1000);

	for (size_t i = 0; i < w->findings_n; i++)
		buf_printf(out, "%s%s", i ? " " : "", spf_warning_code(w->findings[i].warning));
	return buf_str(out);
}

/* One record, with the domains that it may name. */
static const struct row others[] = {
	{ "small.example", DNS_TYPE_TXT, "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/48 -all" },
	{ "big.example", DNS_TYPE_TXT, "v=spf1 ip4:10.0.0.0/8 ~all" },
	{ "deep.example", DNS_TYPE_TXT, "v=spf1 include:big.example ?all" },
	{ "open.example", DNS_TYPE_TXT, "v=spf1 +all" },
	{ "vague.example", DNS_TYPE_TXT, "v=spf1 ip4:192.0.2.1 ?all" },
	{ "broken.example", DNS_TYPE_TXT, "v=spf1 ipv4:192.0.2.1 -all" },
	{ "twice.example", DNS_TYPE_TXT, "v=spf1 -all" },
	{ "twice.example", DNS_TYPE_TXT, "v=spf1 ~all" },
	{ "round.example", DNS_TYPE_TXT, "v=spf1 include:round.example -all" },
	{ "three.example", DNS_TYPE_TXT, "v=spf1 a:h.example a:h.example a:h.example -all" },
	{ "example.org", DNS_TYPE_A, "192.0.2.1" },
	{ "example.org", DNS_TYPE_AAAA, "2001:db8::1" },
	{ "example.org", DNS_TYPE_MX, "" },
	{ "h.example", DNS_TYPE_A, "192.0.2.1" },
	{ "h.example", DNS_TYPE_A, "192.0.2.2" },
};

static void look_at(const char *record, struct spf_width *out)
{
	struct row zone[ARRAY_LEN(others) + 1];

	memcpy(zone, others, sizeof others);
	zone[ARRAY_LEN(others)] = (struct row){ "example.org", DNS_TYPE_TXT, record };
	look(zone, ARRAY_LEN(zone), out);
}

static void test_records(void **state)
{
	static const struct {
		const char *record;
		u64 ipv4, ipv6;
		unsigned lookups;
		const char *codes;
	} cases[] = {
		{ "v=spf1 -all", 0, 0, 0, "" },
		{ "v=spf1 mx -all", 1, 1, 1, "" },
		{ "v=spf1 a mx ~all", 2, 2, 2, "" },
		{ "v=spf1 a:h.example/24 -all", 512, 0, 1, "" },
		{ "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 -all", 1, 1, 0, "" },
		{ "v=spf1 ip6:2001:db8::/63 -all", 0, 2, 0, "" },
		{ "v=spf1 +all", 0, 0, 0, "everybody" },
		{ "v=spf1 ALL", 0, 0, 0, "everybody" },
		{ "v=spf1 ?all", 0, 0, 0, "no_end" },
		{ "v=spf1 mx", 1, 1, 1, "no_end" },
		{ "v=spf1", 0, 0, 0, "no_end" },
		{ "v=spf1 -all ip4:0.0.0.0/0", 0, 0, 0, "" }, /* behind all */
		{ "v=spf1 ip4:10.0.0.0/16 -all", 65536, 0, 0, "" },
		{ "v=spf1 ip4:10.0.0.0/16 ip4:192.0.2.1 -all", 65537, 0, 0, "wide" },
		{ "v=spf1 ip4:0.0.0.0/1 ip4:128.0.0.0/1 -all", (u64)1 << 32, 0, 0, "wide" },
		{ "v=spf1 ip4:0.0.0.0/0 ip4:0.0.0.0/0 ip6:::/0 ip6:::/0 -all", (u64)1 << 32,
		  (u64)1 << 63, 0, "wide" },
		{ "v=spf1 -ip4:10.0.0.0/8 ?ip4:11.0.0.0/8 ~ip4:12.0.0.0/8 -all", 0, 0, 0, "" },
		{ "v=spf1 ip6:2001:db8::/47 -all", 0, 131072, 0, "wide" },
		{ "v=spf1 include:small.example -all", 256, 65536, 1, "" },
		{ "v=spf1 include:big.example -all", 1 << 24, 0, 1, "shared" },
		{ "v=spf1 include:deep.example -all", 1 << 24, 0, 2, "shared" },
		{ "v=spf1 include:big.example ip4:10.0.0.0/8 -all", 2 << 24, 0, 1, "shared wide" },
		{ "v=spf1 ?include:big.example -all", 0, 0, 1, "" },
		{ "v=spf1 redirect=big.example", 1 << 24, 0, 1, "shared" },
		{ "v=spf1 redirect=small.example", 256, 65536, 1, "" },
		{ "v=spf1 redirect=vague.example", 1, 0, 1, "no_end" },
		{ "v=spf1 include:vague.example -all", 1, 0, 1, "" },
		{ "v=spf1 include:open.example -all", 0, 0, 1, "everybody" },
		{ "v=spf1 ?include:open.example -all", 0, 0, 1, "" },
		{ "v=spf1 include:gone.example -all", 0, 0, 1, "no_include" },
		{ "v=spf1 include:broken.example -all", 0, 0, 1, "broken" },
		{ "v=spf1 include:twice.example -all", 0, 0, 1, "several" },
		{ "v=spf1 include:busy.example -all", 0, 0, 1, "trouble" },
		{ "v=spf1 ipv4:192.0.2.1 -all", 0, 0, 0, "broken" },
		{ "v=spf1 a:g1.example a:g2.example -all", 0, 0, 2, "" },
		{ "v=spf1 a:g1.example a:g2.example mx:g3.example -all", 0, 0, 3, "voids" },
		{ "v=spf1 ptr -all", 0, 0, 1, "ptr" },
		{ "v=spf1 exists:%{i}.x.example include:%{d}.x.example a:%{o}.x -all", 0, 0, 3,
		  "" },
		{ "v=spf1 include:three.example include:three.example a:h.example a:h.example -all",
		  16, 0, 10, "" },
		{ "v=spf1 include:three.example include:three.example a:h.example a:h.example mx -all",
		  17, 1, 11, "lookups" },
		{ "v=spf1 include:round.example -all", 0, 0, 32, "lookups" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct spf_width w;
		look_at(cases[i].record, &w);
		if (!str_eq(codes(&w), str_cstr(cases[i].codes)) || w.ipv4 != cases[i].ipv4 ||
		    w.ipv6 != cases[i].ipv6 || w.lookups != cases[i].lookups)
			fail_msg("%s: %llu %llu %u \"%.*s\"", cases[i].record,
				 (unsigned long long)w.ipv4, (unsigned long long)w.ipv6, w.lookups,
				 STR_ARG(codes(&w)));
		arena_reset(a);
	}
}

static void test_uncounted(void **state)
{
	struct spf_width w;

	(void)state;
	look_at("v=spf1 mx include:small.example -all", &w);
	assert_false(w.uncounted);
	look_at("v=spf1 exists:%{i}.x.example -all", &w);
	assert_true(w.uncounted);
	look_at("v=spf1 include:%{d}.x.example -all", &w);
	assert_true(w.uncounted);
}

static void test_no_record(void **state)
{
	static const struct row two[] = { { "example.org", DNS_TYPE_TXT, "v=spf1 -all" },
					  { "example.org", DNS_TYPE_TXT, "v=spf1 mx" } };
	static const struct row other[] = { { "example.org", DNS_TYPE_TXT, "v=spf10 -all" } };
	static struct row mx[12] = { { "example.org", DNS_TYPE_TXT, "v=spf1 mx -all" } };
	struct spf_width w;

	(void)state;
	look(other, 1, &w);
	assert_str(codes(&w), S("none"));
	look(two, 2, &w);
	assert_str(codes(&w), S("several"));
	for (size_t i = 1; i < ARRAY_LEN(mx); i++)
		mx[i] = (struct row){ "example.org", DNS_TYPE_MX, "" };
	look(mx, ARRAY_LEN(mx) - 1, &w);
	assert_str(codes(&w), STR_NONE);
	look(mx, ARRAY_LEN(mx), &w);
	assert_str(codes(&w), S("many_mx"));
}

/* Who is it that lets them in, and the sentence. */
static void test_parts(void **state)
{
	struct spf_width w;

	(void)state;
	look_at("v=spf1 mx include:small.example include:deep.example -all", &w);
	assert_int_equal(w.parts_n, 3);
	assert_int_equal(w.parts[0].ipv4, 1);
	assert_str(w.parts[1].term, S("include:small.example"));
	assert_int_equal(w.parts[1].ipv4, 256);
	assert_str(w.parts[2].term, S("include:deep.example"));
	assert_int_equal(w.parts[2].ipv4, 1 << 24);
	assert_int_equal(w.findings_n, 1);
	assert_true(str_starts(spf_warning_text(a, &w.findings[0]),
			       S("include:deep.example lets in many addresses that others use as "
				 "well (IPv4: 16777216, IPv6: 0 of /64)")));
}

/* As many includes as a record can hold, each with as many: it ends. */
static void test_bounds(void **state)
{
	static struct row zone[8];
	struct buf *text = buf_new(a, 1 << 16);
	struct spf_width w;

	(void)state;
	buf_add(text, S("v=spf1"));
	for (int i = 0; i < 2000; i++)
		buf_printf(text, " include:i%d.example a:x%d.busy.example", i % 7, i);
	for (size_t i = 0; i < 7; i++)
		zone[i] = (struct row){ cstr(a, str_format(a, "i%zu.example", i)), DNS_TYPE_TXT,
					cstr(a, buf_str(text)) };
	zone[7] = (struct row){ "example.org", DNS_TYPE_TXT, cstr(a, buf_str(text)) };
	look(zone, ARRAY_LEN(zone), &w);
	assert_true(w.parts_n <= SPF_WIDTH_PARTS && w.findings_n <= SPF_WIDTH_FINDINGS);
	assert_true(w.lookups > SPF_TERMS);
}

static int start(void **state)
{
	(void)state;
	a = arena_new(64 << 20);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	arena_free(&a);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records),   cmocka_unit_test(test_uncounted),
		cmocka_unit_test(test_no_record), cmocka_unit_test(test_parts),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
