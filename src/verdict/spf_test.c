/* SPF by the sections of RFC 7208, with a zone of our own; limits at and above; THREATS D07, D08, D09, D13, N06. */
#include "base/unit.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/buf.h"
#include "verdict/spf.h"
#include "verdict/spf_int.h"

static struct arena *a;

static int start(void **state)
{
	(void)state;
	a = arena_new(16 << 20);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	arena_free(&a);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

/* --- A zone ------------------------------------------------------------------------------------------------- */

/* type: A, AAAA, MX (preference 10), PTR, TXT ('|' between strings); SERVFAIL, BOGUS: every question fails; RAW: an A record of
 * these very bytes. */
struct row {
	const char *name, *type, *value;
};

struct zone {
	const struct row *rows;
	size_t n;
	unsigned asked;
};

static u32 type_of(const char *name)
{
	static const struct {
		const char *name;
		u32 type;
	} types[] = { { "A", DNS_TYPE_A },     { "AAAA", DNS_TYPE_AAAA }, { "MX", DNS_TYPE_MX },
		      { "PTR", DNS_TYPE_PTR }, { "TXT", DNS_TYPE_TXT },   { "RAW", DNS_TYPE_A } };

	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (strcmp(types[i].name, name) == 0)
			return types[i].type;
	return 0;
}

/* Pieces between separators, each behind its length. */
static void add_pieces(struct buf *b, str text, u8 separator)
{
	for (;;) {
		size_t n = str_find(text, separator);
		str piece = str_slice(text, 0, n);
		buf_add_byte(b, (u8)piece.n);
		buf_add(b, piece);
		if (n == SIZE_MAX)
			return;
		text = str_skip(text, n + 1);
	}
}

static str wire(const struct row *row)
{
	struct buf *b = buf_new(a, 65535);
	u8 bytes[16];

	switch (type_of(row->type)) {
	case DNS_TYPE_A:
		if (strcmp(row->type, "RAW") == 0)
			return str_cstr(row->value);
		assert_int_equal(inet_pton(AF_INET, row->value, bytes), 1);
		return str_copy(a, str_from(bytes, 4));
	case DNS_TYPE_AAAA:
		assert_int_equal(inet_pton(AF_INET6, row->value, bytes), 1);
		return str_copy(a, str_from(bytes, 16));
	case DNS_TYPE_TXT:
		add_pieces(b, str_cstr(row->value), '|');
		break;
	case DNS_TYPE_MX:
		buf_add(b, S("\0\12"));
		__attribute__((fallthrough));
	default:
		if (row->value[0])
			add_pieces(b, str_cstr(row->value), '.');
		buf_add_byte(b, 0);
	}
	return buf_str(b);
}

static void zone_query(void *context, struct arena *arena, str name, u32 type,
		       struct dns_answer *out)
{
	struct zone *z = context;
	str *records = arena_array_of(arena, z->n, str);

	*out = (struct dns_answer){ .status = DNS_NXDOMAIN, .records = records };
	z->asked++;
	assert_true(spf_name_is_possible(name));
	assert_true(type == DNS_TYPE_A || type == DNS_TYPE_AAAA || type == DNS_TYPE_MX ||
		    type == DNS_TYPE_TXT || type == DNS_TYPE_PTR);
	for (size_t i = 0; i < z->n; i++) {
		if (!str_eq_nocase(name, str_cstr(z->rows[i].name)))
			continue;
		if (out->status == DNS_NXDOMAIN)
			out->status = DNS_NODATA;
		if (strcmp(z->rows[i].type, "SERVFAIL") == 0)
			out->status = DNS_TEMPFAIL;
		if (strcmp(z->rows[i].type, "BOGUS") == 0)
			out->status = DNS_BOGUS;
		if (type_of(z->rows[i].type) == type) {
			out->status = DNS_OK;
			records[out->records_n++] = wire(&z->rows[i]);
		}
	}
}

static struct dns_address ip(const char *text)
{
	struct dns_address c = { .family = strchr(text, ':') ? ADDRESS_IPV6 : ADDRESS_IPV4 };

	assert_int_equal(inet_pton(c.family == ADDRESS_IPV6 ? AF_INET6 : AF_INET, text, c.bytes),
			 1);
	return c;
}

static struct spf_verdict ask(struct zone *z, const char *client, const char *helo,
			      const char *mail_from)
{
	struct dns_source source = { .context = z, .query = zone_query };
	struct spf_query q = { .client = ip(client),
			       .helo = str_cstr(helo),
			       .mail_from = str_cstr(mail_from),
			       .receiver = S("mx.here.example"),
			       .now = 1700000000 };
	struct spf_verdict v;

	z->asked = 0;
	spf_check(a, &source, &q, &v);
	assert_true(v.reason.n > 0);
	assert_int_equal(v.lookups_n, z->asked);
	assert_true(z->asked <= SPF_QUESTIONS);
	return v;
}

/* One record for e.example, and the names that the tables below use. */
static const struct row common[] = {
	{ "v4.example", "A", "192.0.2.1" },
	{ "v4.example", "A", "192.0.2.2" },
	{ "v6.example", "AAAA", "2001:db8::1" },
	{ "both.example", "A", "192.0.2.1" },
	{ "both.example", "AAAA", "2001:db8::1" },
	{ "e.example", "A", "198.51.100.1" },
	{ "e.example", "MX", "v4.example" },
	{ "mx.example", "MX", "nothing.example" },
	{ "mx.example", "MX", "both.example" },
	{ "nullmx.example", "MX", "" },
	{ "badmx.example", "MX", "a b.example" },
	{ "short.example", "RAW", "\1\2\3" },
	{ "down.example", "SERVFAIL", "" },
	{ "bogus.example", "BOGUS", "" },
	{ "downmx.example", "MX", "down.example" },
	{ "1.2.0.192.in-addr.arpa", "PTR", "forged.example" },
	{ "1.2.0.192.in-addr.arpa", "PTR", "host.e.example" },
	{ "1.2.0.192.in-addr.arpa", "PTR", "down.example" },
	{ "1.2.0.192.in-addr.arpa", "PTR", "both.example" },
	{ "host.e.example", "A", "192.0.2.1" },
	{ "forged.example", "A", "192.0.2.9" },
	{ "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", "PTR",
	  "both.example" },
	{ "9.2.0.192.in-addr.arpa", "SERVFAIL", "" },
	{ "pass.example", "TXT", "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 -all" },
	{ "softfail.example", "TXT", "v=spf1 ~all" },
	{ "neutral.example", "TXT", "v=spf1 ?all" },
	{ "fail.example", "TXT", "v=spf1 -all exp=why.example" },
	{ "broken.example", "TXT", "v=spf1 nonsense -all" },
	{ "empty.example", "TXT", "some text" },
	{ "two.example", "TXT", "v=spf1 +all" },
	{ "two.example", "TXT", "V=SPF1" },
	{ "similar.example", "TXT", "v=spf10 +all" },
	{ "similar.example", "TXT", "v=spf1 +all" },
	{ "similar.example", "TXT", "spf2.0/pra -all" },
	{ "split.example", "TXT", "v=spf1 ip4:192.0|.2.1 -a|ll" },
	{ "bare.example", "TXT", "v=spf1" },
	{ "tab.example", "TXT", "v=spf1\t+all" },
	{ "default.example", "TXT", "v=spf1 ip4:192.0.2.77" },
	{ "loop.example", "TXT", "v=spf1 include:loop.example -all" },
	{ "round.example", "TXT", "v=spf1 redirect=round.example" },
	{ "why.example", "TXT", "%{i} is not for %{d}|, said %{r} at %{t}; %{c}" },
};

static struct spf_verdict ask_record(const char *record, const char *client, const char *helo,
				     const char *mail_from)
{
	struct row *rows = arena_array_of(a, ARRAY_LEN(common) + 1, struct row);
	struct zone z = { rows, ARRAY_LEN(common) + 1, 0 };

	memcpy(rows, common, sizeof common);
	rows[ARRAY_LEN(common)] = (struct row){ "e.example", "TXT", record };
	return ask(&z, client, helo, mail_from);
}

static void check_result(const struct spf_verdict *v, enum spf_result want, const char *what)
{
	if (v->result != want)
		fail_msg("%s: got %.*s (%.*s), expected %.*s", what,
			 STR_ARG(spf_result_name(v->result)), STR_ARG(v->reason),
			 STR_ARG(spf_result_name(want)));
}

/* --- Names and records: RFC 7208 2.4, 4.3, 4.4, 4.5 --------------------------------------------------------- */

static void test_domains(void **state)
{
	(void)state;
	static const struct {
		const char *helo, *mail_from;
		enum spf_result result;
		enum spf_identity identity;
		const char *domain;
	} rows[] = {
		{ "x", "joe@pass.example", SPF_PASS, SPF_MAILFROM, "pass.example" },
		{ "x", "joe@PASS.Example.", SPF_PASS, SPF_MAILFROM, "pass.example" },
		{ "x", "@pass.example", SPF_PASS, SPF_MAILFROM, "pass.example" },
		{ "x", "\"a@b\"@pass.example", SPF_PASS, SPF_MAILFROM, "pass.example" },
		{ "pass.example", "", SPF_PASS, SPF_HELO, "pass.example" },
		{ "pass.example", "joe@fail.example", SPF_FAIL, SPF_MAILFROM, "fail.example" },
		{ "fail.example", "joe@pass.example", SPF_PASS, SPF_MAILFROM, "pass.example" },
		{ "[192.0.2.1]", "", SPF_NONE, SPF_HELO, "[192.0.2.1]" },
		{ "localhost", "", SPF_NONE, SPF_HELO, "localhost" },
		{ "", "", SPF_NONE, SPF_HELO, "" },
		{ "a..example", "", SPF_NONE, SPF_HELO, "a..example" },
		{ "a b.example", "", SPF_NONE, SPF_HELO, "a b.example" },
		{ "x", "joe@example", SPF_NONE, SPF_MAILFROM, "example" },
		{ "x", "joe@[192.0.2.1]", SPF_NONE, SPF_MAILFROM, "[192.0.2.1]" },
		{ "x", "joe@nowhere.example", SPF_NONE, SPF_MAILFROM, "nowhere.example" },
		{ "x", "joe@v4.example", SPF_NONE, SPF_MAILFROM, "v4.example" },
		{ "x", "joe@empty.example", SPF_NONE, SPF_MAILFROM, "empty.example" },
		{ "x", "joe@tab.example", SPF_NONE, SPF_MAILFROM, "tab.example" },
		{ "x", "joe@two.example", SPF_PERMERROR, SPF_MAILFROM, "two.example" },
		{ "x", "joe@similar.example", SPF_PASS, SPF_MAILFROM, "similar.example" },
		{ "x", "joe@split.example", SPF_PASS, SPF_MAILFROM, "split.example" },
		{ "x", "joe@bare.example", SPF_NEUTRAL, SPF_MAILFROM, "bare.example" },
		{ "x", "joe@default.example", SPF_NEUTRAL, SPF_MAILFROM, "default.example" },
		{ "x", "joe@down.example", SPF_TEMPERROR, SPF_MAILFROM, "down.example" },
		{ "x", "joe@bogus.example", SPF_TEMPERROR, SPF_MAILFROM, "bogus.example" },
		{ "x", "joe@broken.example", SPF_PERMERROR, SPF_MAILFROM, "broken.example" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct zone z = { common, ARRAY_LEN(common), 0 };
		struct spf_verdict v = ask(&z, "192.0.2.1", rows[i].helo, rows[i].mail_from);
		check_result(&v, rows[i].result, rows[i].mail_from);
		assert_int_equal(v.identity, rows[i].identity);
		assert_str(v.domain, str_cstr(rows[i].domain));
	}
}

/* A label of 63 and a name of 253 are good; one more is no domain. */
static void test_long_domains(void **state)
{
	(void)state;
	struct buf *label = buf_new(a, 64);
	struct spf_verdict v;

	while (label->n < 63)
		buf_add_byte(label, 'a');
	for (unsigned extra = 0; extra < 2; extra++) {
		str l = buf_str(label);
		str name = str_format(a, "%.*s.%.*s.%.*s.%.*s%s", STR_ARG(l), STR_ARG(l),
				      STR_ARG(l), (int)(61), (const char *)l.p, extra ? "a" : "");
		str one = str_format(a, "%.*s%s.example", STR_ARG(l), extra ? "a" : "");
		struct row rows[] = { { cstr(a, name), "TXT", "v=spf1 +all" },
				      { cstr(a, one), "TXT", "v=spf1 +all" } };
		struct zone z = { rows, 2, 0 };
		assert_int_equal(name.n, 253 + extra);
		v = ask(&z, "192.0.2.1", rows[0].name, "");
		assert_int_equal(v.result, extra ? SPF_NONE : SPF_PASS);
		v = ask(&z, "192.0.2.1", rows[1].name, "");
		assert_int_equal(v.result, extra ? SPF_NONE : SPF_PASS);
	}
}

static void test_idn(void **state)
{
	(void)state;
	static const struct row rows[] = { { "xn--bcher-kva.example", "TXT", "v=spf1 +all" } };
	struct zone z = { rows, 1, 0 };
	struct spf_verdict v = ask(&z, "192.0.2.1", "x", "joe@b\303\274cher.example");

	check_result(&v, SPF_PASS, "idn");
	assert_str(v.domain, S("xn--bcher-kva.example"));
	v = ask(&z, "192.0.2.1", "x", "joe@b\377cher.example");
	check_result(&v, SPF_NONE, "not UTF-8");
}

/* --- Syntax: RFC 7208 4.6.1, 12 ----------------------------------------------------------------------------- */

static const struct {
	const char *record;
	enum spf_result
	    result; /* with -all or the like at its end, so that what is good never passes */
} syntax[] = {
	{ "v=spf1 -all", SPF_FAIL },
	{ "V=sPf1 -ALL", SPF_FAIL },
	{ "v=spf1   -all   ", SPF_FAIL },
	{ "v=spf1 -all +all", SPF_FAIL },
	{ "v=spf1 ~all", SPF_SOFTFAIL },
	{ "v=spf1 ?all", SPF_NEUTRAL },
	{ "v=spf1 all", SPF_PASS },
	{ "v=spf1 -all nonsense", SPF_PERMERROR },
	{ "v=spf1 -all\t", SPF_PERMERROR },
	{ "v=spf1 -all\xA0", SPF_PERMERROR },
	{ "v=spf1 -all:x.example", SPF_PERMERROR },
	{ "v=spf1 -all/8", SPF_PERMERROR },
	{ "v=spf1 -all.", SPF_PERMERROR },
	{ "v=spf1 --all", SPF_PERMERROR },
	{ "v=spf1 - all", SPF_PERMERROR },
	{ "v=spf1 a: -all", SPF_PERMERROR },
	{ "v=spf1 a:/24 -all", SPF_PERMERROR },
	{ "v=spf1 a/ -all", SPF_PERMERROR },
	{ "v=spf1 a/33 -all", SPF_PERMERROR },
	{ "v=spf1 a/032 -all", SPF_PERMERROR },
	{ "v=spf1 a/0 -all", SPF_PASS },
	{ "v=spf1 a/00 -all", SPF_PERMERROR },
	{ "v=spf1 a//129 -all", SPF_PERMERROR },
	{ "v=spf1 a//128 -all", SPF_FAIL },
	{ "v=spf1 a/32//128 -all", SPF_FAIL },
	{ "v=spf1 a/32/128 -all", SPF_PERMERROR },
	{ "v=spf1 a///128 -all", SPF_PERMERROR },
	{ "v=spf1 a//-1 -all", SPF_PERMERROR },
	{ "v=spf1 a/99999999999999999999 -all", SPF_PERMERROR },
	{ "v=spf1 a:v6.example//64 -all", SPF_FAIL },
	{ "v=spf1 a:com -all", SPF_PERMERROR },
	{ "v=spf1 a:x.123 -all", SPF_PERMERROR },
	{ "v=spf1 a:x.12a -all", SPF_FAIL },
	{ "v=spf1 a:x.-a -all", SPF_PERMERROR },
	{ "v=spf1 a:x.a- -all", SPF_PERMERROR },
	{ "v=spf1 a:x.a-b -all", SPF_FAIL },
	{ "v=spf1 a:x.example. -all", SPF_FAIL },
	{ "v=spf1 a:x.example.. -all", SPF_PERMERROR },
	{ "v=spf1 a:.example -all", SPF_FAIL },
	{ "v=spf1 a:x..example -all", SPF_FAIL },
	{ "v=spf1 a:x/y.example -all", SPF_FAIL },
	{ "v=spf1 a:x.example/y -all", SPF_PERMERROR },
	{ "v=spf1 a.example -all", SPF_PERMERROR },
	{ "v=spf1 mx:1.2.3.4 -all", SPF_PERMERROR },
	{ "v=spf1 include -all", SPF_PERMERROR },
	{ "v=spf1 include: -all", SPF_PERMERROR },
	{ "v=spf1 include:fail.example/24 -all", SPF_PERMERROR },
	{ "v=spf1 exists -all", SPF_PERMERROR },
	{ "v=spf1 exists:x.example//64 -all", SPF_PERMERROR },
	{ "v=spf1 ptr/24 -all", SPF_PERMERROR },
	{ "v=spf1 ptr: -all", SPF_PERMERROR },
	{ "v=spf1 ip4 -all", SPF_PERMERROR },
	{ "v=spf1 ip4: -all", SPF_PERMERROR },
	{ "v=spf1 ip4:1.2.3 -all", SPF_PERMERROR },
	{ "v=spf1 ip4:1.2.3.256 -all", SPF_PERMERROR },
	{ "v=spf1 ip4:1.2.3.04 -all", SPF_PERMERROR },
	{ "v=spf1 ip4:1.2.3.4/33 -all", SPF_PERMERROR },
	{ "v=spf1 ip4:1.2.3.4/ -all", SPF_PERMERROR },
	{ "v=spf1 ip4:1.2.3.4//32 -all", SPF_PERMERROR },
	{ "v=spf1 ip4:1.2.3.4:25 -all", SPF_PERMERROR },
	{ "v=spf1 ip4:2001:db8::1 -all", SPF_PERMERROR },
	{ "v=spf1 ip6:1.2.3.4 -all", SPF_PERMERROR },
	{ "v=spf1 ip6:2001:db8:::1 -all", SPF_PERMERROR },
	{ "v=spf1 ip6:2001:db8::1/129 -all", SPF_PERMERROR },
	{ "v=spf1 ip6:[2001:db8::1] -all", SPF_PERMERROR },
	{ "v=spf1 ip6:::1.2.3.4/128 -all", SPF_FAIL },
	{ "v=spf1 IP6:2001:DB8::/32 -all", SPF_FAIL },
	{ "v=spf1 -all redirect=pass.example redirect=pass.example", SPF_PERMERROR },
	{ "v=spf1 -all exp=a.example EXP=b.example", SPF_PERMERROR },
	{ "v=spf1 redirect= -all", SPF_PERMERROR },
	{ "v=spf1 exp= -all", SPF_PERMERROR },
	{ "v=spf1 -exp=why.example -all", SPF_PERMERROR },
	{ "v=spf1 exp:why.example -all", SPF_PERMERROR },
	{ "v=spf1 future=anything%%goes%{d} also.f_u-1= -all", SPF_FAIL },
	{ "v=spf1 future=50% -all", SPF_PERMERROR },
	{ "v=spf1 1future=x -all", SPF_PERMERROR },
	{ "v=spf1 =x -all", SPF_PERMERROR },
	{ "v=spf1 a=x -all", SPF_FAIL },
	{ "v=spf1 v=spf1 -all", SPF_FAIL },
	{ "v=spf1 ipv4:192.0.2.1 -all", SPF_PERMERROR },
	/* Macros: RFC 7208 7.1. */
	{ "v=spf1 exists:%{d} -all", SPF_PASS },
	{ "v=spf1 exists:%%.x%_%-.example -all", SPF_FAIL },
	{ "v=spf1 exists:x%% -all", SPF_FAIL },
	{ "v=spf1 exists:%{d}.com -all", SPF_FAIL },
	{ "v=spf1 exists:%{d}com -all", SPF_PERMERROR },
	{ "v=spf1 exists:%{d}. -all", SPF_PERMERROR },
	{ "v=spf1 exists:% -all", SPF_PERMERROR },
	{ "v=spf1 exists:%(d).x.example -all", SPF_PERMERROR },
	{ "v=spf1 exists:%{d -all", SPF_PERMERROR },
	{ "v=spf1 exists:%{} -all", SPF_PERMERROR },
	{ "v=spf1 exists:%{q}.example -all", SPF_PERMERROR },
	{ "v=spf1 exists:%{d0}.example -all", SPF_PERMERROR },
	{ "v=spf1 exists:%{d1rr}.example -all", SPF_PERMERROR },
	{ "v=spf1 exists:%{dr1}.example -all", SPF_PERMERROR },
	{ "v=spf1 exists:%{d1R.-+,/_=}.example -all", SPF_PASS },
	{ "v=spf1 exists:%{d;}.example -all", SPF_PERMERROR },
	{ "v=spf1 exists:%{d.+-/=_r} -all", SPF_PERMERROR },
	{ "v=spf1 exists:%{l200} -all", SPF_FAIL },
	{ "v=spf1 exists:%{d99999999999999999999999} -all", SPF_PASS },
	{ "v=spf1 exists:%{c}.example -all", SPF_PERMERROR },
	{ "v=spf1 exists:%{r}.example -all", SPF_PERMERROR },
	{ "v=spf1 exists:%{t}.example -all", SPF_PERMERROR },
	{ "v=spf1 a:%{d}/32 -all", SPF_FAIL },
	{ "v=spf1 a:%{d}/abc -all", SPF_PERMERROR },
};

static void test_syntax(void **state)
{
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(syntax); i++) {
		struct spf_verdict v =
		    ask_record(syntax[i].record, "192.0.2.1", "h.example", "joe@e.example");
		check_result(&v, syntax[i].result, syntax[i].record);
	}
}

/* Every prefix of a record is a verdict, never trouble; the ASan build reads it from memory of its exact size. */
static void test_truncated(void **state)
{
	(void)state;
	const str whole =
	    S("v=spf1 +a:%{d2r.-}/24//64 mx/8 ip4:192.0.2.0/24 ip6:2001:db8::/32 exists:%{I}.x.y "
	      "include:pass.example ptr:e.example exp=%{s}.x redirect=%{o} f.o_o-1=%%%_%- ~all");

	for (size_t n = 0; n <= whole.n; n++) {
		u8 *bytes = test_malloc(n ? n : 1);
		memcpy(bytes, whole.p, n);
		str text = str_from(bytes, n);
		if (spf_record_is(text))
			(void)spf_record_read(text);
		assert_int_equal(spf_record_is(text), n == 6 || n > 6);
		(void)spf_macro_valid(text, SPF_MACRO_EXPLAIN);
		test_free(bytes);
	}
}

/* --- Mechanisms: RFC 7208 5 --------------------------------------------------------------------------------- */

static void test_mechanisms(void **state)
{
	(void)state;
	static const struct {
		const char *client, *record;
		enum spf_result result;
	} rows[] = {
		/* 5.3 a */
		{ "198.51.100.1", "v=spf1 a -all", SPF_PASS },
		{ "198.51.100.2", "v=spf1 a -all", SPF_FAIL },
		{ "198.51.100.2", "v=spf1 a/31 a/30 -all", SPF_PASS },
		{ "198.51.101.2", "v=spf1 a/24 -all", SPF_FAIL },
		{ "198.51.101.2", "v=spf1 a/23 -all", SPF_PASS },
		{ "192.0.2.2", "v=spf1 a:v4.example -all", SPF_PASS },
		{ "2001:db8::1", "v=spf1 a:both.example -all", SPF_PASS },
		{ "2001:db8::2", "v=spf1 a:both.example -all", SPF_FAIL },
		{ "2001:db8::2", "v=spf1 a:both.example/0 -all", SPF_FAIL },
		{ "2001:db8::2", "v=spf1 a:both.example//126 -all", SPF_PASS },
		{ "2001:db8::8", "v=spf1 a:both.example//125 -all", SPF_FAIL },
		{ "2001:db8::1", "v=spf1 a:v4.example//0 -all", SPF_FAIL },
		{ "::ffff:192.0.2.1", "v=spf1 a:v4.example -all", SPF_PASS },
		{ "::ffff:192.0.2.1", "v=spf1 ip4:192.0.2.1 -all", SPF_PASS },
		{ "::ffff:192.0.2.1", "v=spf1 ip6:::ffff:192.0.2.1 -all", SPF_FAIL },
		{ "192.0.2.1", "v=spf1 a:down.example -all", SPF_TEMPERROR },
		{ "192.0.2.1", "v=spf1 a:bogus.example -all", SPF_TEMPERROR },
		{ "192.0.2.1", "v=spf1 a:nowhere.example -all", SPF_FAIL },
		{ "192.0.2.1", "v=spf1 a:short.example/0 -all", SPF_FAIL },
		/* 5.4 mx */
		{ "192.0.2.2", "v=spf1 mx -all", SPF_PASS },
		{ "192.0.2.3", "v=spf1 mx/30 -all", SPF_PASS },
		{ "192.0.2.1", "v=spf1 mx:mx.example -all", SPF_PASS },
		{ "2001:db8::1", "v=spf1 mx:mx.example -all", SPF_PASS },
		{ "192.0.2.1", "v=spf1 mx:v4.example -all", SPF_FAIL }, /* no implicit MX */
		{ "192.0.2.1", "v=spf1 mx:nullmx.example -all", SPF_FAIL },
		{ "192.0.2.1", "v=spf1 mx:badmx.example -all", SPF_FAIL },
		{ "192.0.2.1", "v=spf1 mx:downmx.example -all", SPF_TEMPERROR },
		{ "192.0.2.1", "v=spf1 mx:down.example -all", SPF_TEMPERROR },
		/* 5.5 ptr */
		{ "192.0.2.1", "v=spf1 ptr -all", SPF_PASS },
		{ "192.0.2.1", "v=spf1 ptr:both.example -all", SPF_PASS },
		{ "192.0.2.1", "v=spf1 ptr:oth.example -all", SPF_FAIL },
		{ "192.0.2.1", "v=spf1 ptr:forged.example -all", SPF_FAIL },
		{ "2001:db8::1", "v=spf1 ptr:both.example -all", SPF_PASS },
		{ "192.0.2.2", "v=spf1 ptr -all", SPF_FAIL },
		{ "192.0.2.9", "v=spf1 ptr -all", SPF_FAIL }, /* trouble is no match */
		/* 5.6 ip4, ip6 */
		{ "192.0.2.1", "v=spf1 ip4:192.0.2.1 -all", SPF_PASS },
		{ "192.0.2.1", "v=spf1 ip4:192.0.2.0/31 -all", SPF_PASS },
		{ "192.0.2.1", "v=spf1 ip4:192.0.2.2/31 -all", SPF_FAIL },
		{ "192.0.2.1", "v=spf1 ip4:10.0.0.0/0 -all", SPF_PASS },
		{ "192.0.2.1", "v=spf1 ip6:::/0 -all", SPF_FAIL },
		{ "2001:db8::1", "v=spf1 ip4:0.0.0.0/0 -all", SPF_FAIL },
		{ "2001:db8::1", "v=spf1 ip6:2001:db8::1 -all", SPF_PASS },
		{ "2001:db8:1::", "v=spf1 ip6:2001:db8::/47 -all", SPF_PASS },
		{ "2001:db8:1::", "v=spf1 ip6:2001:db8::/48 -all", SPF_FAIL },
		/* 5.7 exists: A, whatever the client */
		{ "2001:db8::1", "v=spf1 exists:v4.example -all", SPF_PASS },
		{ "2001:db8::1", "v=spf1 exists:v6.example -all", SPF_FAIL },
		{ "192.0.2.1", "v=spf1 exists:nowhere.example -all", SPF_FAIL },
		{ "192.0.2.1", "v=spf1 exists:down.example -all", SPF_TEMPERROR },
		/* 5.2 include: each row of its table */
		{ "192.0.2.1", "v=spf1 include:pass.example -all", SPF_PASS },
		{ "192.0.2.1", "v=spf1 ~include:pass.example -all", SPF_SOFTFAIL },
		{ "192.0.2.1", "v=spf1 include:fail.example ~all", SPF_SOFTFAIL },
		{ "192.0.2.1", "v=spf1 include:softfail.example -all", SPF_FAIL },
		{ "192.0.2.1", "v=spf1 include:neutral.example -all", SPF_FAIL },
		{ "192.0.2.1", "v=spf1 include:default.example -all", SPF_FAIL },
		{ "192.0.2.1", "v=spf1 include:down.example -all", SPF_TEMPERROR },
		{ "192.0.2.1", "v=spf1 include:broken.example -all", SPF_PERMERROR },
		{ "192.0.2.1", "v=spf1 include:nowhere.example -all", SPF_PERMERROR },
		{ "192.0.2.1", "v=spf1 include:empty.example -all", SPF_PERMERROR },
		{ "192.0.2.1", "v=spf1 include:x..example -all", SPF_PERMERROR },
		{ "192.0.2.1", "v=spf1 include:%{d1} -all", SPF_PERMERROR },
		/* 6.1 redirect */
		{ "192.0.2.1", "v=spf1 redirect=pass.example", SPF_PASS },
		{ "192.0.2.9", "v=spf1 redirect=pass.example", SPF_FAIL },
		{ "192.0.2.9", "v=spf1 redirect=pass.example ?all", SPF_NEUTRAL },
		{ "192.0.2.1", "v=spf1 redirect=pass.example ip4:192.0.2.1", SPF_PASS },
		{ "192.0.2.1", "v=spf1 redirect=nowhere.example", SPF_PERMERROR },
		{ "192.0.2.1", "v=spf1 redirect=empty.example", SPF_PERMERROR },
		{ "192.0.2.1", "v=spf1 redirect=.example", SPF_PERMERROR },
		{ "192.0.2.1", "v=spf1 redirect=down.example", SPF_TEMPERROR },
		{ "192.0.2.1", "v=spf1 -ip4:192.0.2.1 redirect=pass.example", SPF_FAIL },
		/* What comes first decides; later trouble is never seen. */
		{ "192.0.2.1", "v=spf1 ip4:192.0.2.1 a:down.example -all", SPF_PASS },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct spf_verdict v =
		    ask_record(rows[i].record, rows[i].client, "h.example", "joe@e.example");
		check_result(&v, rows[i].result, rows[i].record);
	}
}

/* --- Macros: RFC 7208 7.2, 7.3, 7.4 ------------------------------------------------------------------------- */

static struct spf_run *macro_run(const char *client, const char *local, const char *domain)
{
	static const struct zone zone = { common, ARRAY_LEN(common), 0 };
	struct zone *z = arena_new_of(a, struct zone);
	struct dns_source *source = arena_new_of(a, struct dns_source);
	struct spf_query *q = arena_new_of(a, struct spf_query);
	struct spf_run *r = arena_new_of(a, struct spf_run);

	*z = zone;
	*source = (struct dns_source){ .context = z, .query = zone_query };
	*q = (struct spf_query){ .helo = S("h.e_x.example"),
				 .receiver = S("mx.here.example"),
				 .now = 1700000000 };
	*r = (struct spf_run){ .arena = a,
			       .source = source,
			       .query = q,
			       .verdict = arena_new_of(a, struct spf_verdict),
			       .client = ip(client),
			       .local = str_cstr(local),
			       .domain = str_cstr(domain) };
	return r;
}

static void test_macros(void **state)
{
	(void)state;
	static const struct {
		const char *client, *text, *want;
	} rows[] = {
		{ "192.0.2.3", "%{s}", "strong-bad@email.example.com" },
		{ "192.0.2.3", "%{o} %{d} %{h}",
		  "email.example.com sub.email.example.com h.e_x.example" },
		{ "192.0.2.3", "%{d4}", "sub.email.example.com" },
		{ "192.0.2.3", "%{d3}", "email.example.com" },
		{ "192.0.2.3", "%{d1}", "com" },
		{ "192.0.2.3", "%{d127}", "sub.email.example.com" },
		{ "192.0.2.3", "%{dr}", "com.example.email.sub" },
		{ "192.0.2.3", "%{d2r}", "email.sub" },
		{ "192.0.2.3", "%{l} %{l-} %{lr} %{lr-} %{l1r-}",
		  "strong-bad strong.bad strong-bad bad.strong strong" },
		{ "192.0.2.3", "%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com" },
		{ "192.0.2.3", "%{l1r-}.lp.%{ir}", "strong.lp.3.2.0.192" },
		{ "2001:db8::cb01", "%{ir}.%{v}",
		  "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6" },
		{ "2001:db8::cb01", "%{c}", "2001:db8::cb01" },
		{ "192.0.2.3", "%{c} %{r} %{t}", "192.0.2.3 mx.here.example 1700000000" },
		{ "192.0.2.3", "%%%_%-", "% %20" },
		{ "192.0.2.3", "%{S} %{L} %{H}",
		  "strong-bad%40email.example.com strong-bad h.e_x.example" },
		{ "192.0.2.3", "%{s-@} ", NULL },
		{ "192.0.2.3", "%{h_.}", "h.e.x.example" },
		{ "192.0.2.3", "%{p}", "unknown" },
		{ "192.0.2.1", "%{p}", "host.e.example" },
		{ "2001:db8::1", "%{p1r}", "both" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct spf_run *r = macro_run(rows[i].client, "strong-bad", "email.example.com");
		str text = str_cstr(rows[i].text), out;
		assert_int_equal(spf_macro_valid(text, SPF_MACRO_EXPLAIN), rows[i].want != NULL);
		if (rows[i].want == NULL)
			continue;
		assert_true(spf_macro_expand(r, S("sub.email.example.com"), text, &out));
		assert_str(out, str_cstr(rows[i].want));
	}
}

/* RFC 7208 7.3: the name of macro p is the domain itself, then one below, then any. */
static void test_macro_p(void **state)
{
	(void)state;
	struct spf_run *r = macro_run("192.0.2.1", "x", "e.example");

	assert_str(spf_ptr_name(r, S("both.example")), S("both.example"));
	assert_str(spf_ptr_name(r, S("E.example")), S("host.e.example"));
	assert_str(spf_ptr_name(r, S("other.example")), S("host.e.example"));
	assert_int_equal(r->verdict->lookups_n, 5); /* PTR and four names, once */
	assert_int_equal(r->verdict->voids, 0);
}

/* RFC 7208 7.3: too long a name loses labels at the left; a label that is too long matches nothing. */
static void test_macro_lengths(void **state)
{
	(void)state;
	struct buf *local = buf_new(a, 1024), *spec = buf_new(a, 65536);
	struct spf_run *r;
	str out;

	for (int i = 0; i < 64; i++)
		buf_add(local, S("a."));
	buf_add_byte(local, 'z');
	r = macro_run("192.0.2.1", cstr(a, str_slice(buf_str(local), 2, SIZE_MAX)), "e.example");
	assert_true(spf_macro_target(r, S("e.example"), S("%{l}.%{l}.%{d}"), &out));
	assert_int_equal(out.n, 253);
	assert_true(str_ends_nocase(out, S("a.z.e.example")));
	assert_true(spf_macro_target(r, S("e.example"), S("%{l127}.%{d}"), &out));
	assert_false(spf_macro_target(r, S("e.example"), S("%{l_}x..%{d}"), &out));
	while (spec->n < 65000)
		buf_add(spec, S("%{s}"));
	assert_true(spf_macro_valid(buf_str(spec), SPF_MACRO_DOMAIN));
	assert_false(spf_macro_target(r, S("e.example"), buf_str(spec), &out));
	r = macro_run("192.0.2.1", "\303\274", "e.example"); /* RFC 8616 4 */
	assert_false(spf_macro_target(r, S("e.example"), S("%{l}.%{d}"), &out));
}

/* --- Explanation: RFC 7208 6.2 ------------------------------------------------------------------------------ */

static void test_explanation(void **state)
{
	(void)state;
	static const struct row extra[] = {
		{ "e.example", "TXT", "" /* the record */ },
		{ "bad.example", "TXT", "50% more" },
		{ "eight.example", "TXT", "na\303\257ve" },
		{ "twice.example", "TXT", "one" },
		{ "twice.example", "TXT", "two" },
		{ "words.example", "TXT", "See http://%{d}/why?s=%{S}&i=%{i}" },
	};
	static const struct {
		const char *record, *want;
	} rows[] = {
		{ "v=spf1 -all exp=words.example",
		  "See http://e.example/why?s=jo%22e%40e.example&i=192.0.2.1" },
		{ "v=spf1 ~all exp=words.example", "" },
		{ "v=spf1 -all exp=bad.example", "" },
		{ "v=spf1 -all exp=eight.example", "" },
		{ "v=spf1 -all exp=twice.example", "" },
		{ "v=spf1 -all exp=nowhere.example", "" },
		{ "v=spf1 -all exp=down.example", "" },
		{ "v=spf1 -all exp=x..example", "" },
		{ "v=spf1 -all", "" },
		{ "v=spf1 -include:pass.example exp=words.example",
		  "See http://e.example/why?s=jo%22e%40e.example&i=192.0.2.1" },
		{ "v=spf1 include:fail.example -all", "" },
		{ "v=spf1 redirect=fail.example exp=words.example",
		  "192.0.2.1 is not for fail.example, said mx.here.example at 1700000000; "
		  "192.0.2.1" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct row all[ARRAY_LEN(common) + ARRAY_LEN(extra)];
		struct zone z = { all, ARRAY_LEN(all), 0 };
		memcpy(all, common, sizeof common);
		memcpy(all + ARRAY_LEN(common), extra, sizeof extra);
		all[ARRAY_LEN(common)].value = rows[i].record;
		struct spf_verdict v = ask(&z, "192.0.2.1", "h.example", "jo\"e@e.example");
		assert_str(v.explanation, str_cstr(rows[i].want));
	}
}

/* --- Limits: RFC 7208 4.6.4, THREATS D08 -------------------------------------------------------------------- */

struct world {
	struct row rows[400];
	struct zone zone;
};

static void add(struct world *w, const char *name, const char *type, const char *value)
{
	assert_true(w->zone.n < ARRAY_LEN(w->rows));
	w->rows[w->zone.n++] = (struct row){ name, type, value };
	w->zone.rows = w->rows;
}

static const char *numbered(const char *format, size_t n)
{
	return cstr(a, str_format(a, format, n));
}

/* n terms like this one, then +all. */
static const char *repeated(const char *format, size_t n)
{
	struct buf *b = buf_new(a, 65536);

	buf_add(b, S("v=spf1"));
	for (size_t i = 0; i < n; i++)
		buf_printf(b, " %s", numbered(format, i));
	buf_add(b, S(" +all"));
	return cstr(a, buf_str(b));
}

/* A TXT record of more than 255 octets: in strings. */
static const char *in_strings(const char *text)
{
	struct buf *b = buf_new(a, 65536);
	str rest = str_cstr(text);

	for (; rest.n; rest = str_skip(rest, 200)) {
		if (b->n)
			buf_add_byte(b, '|');
		buf_add(b, str_slice(rest, 0, 200));
	}
	return cstr(a, buf_str(b));
}

static struct spf_verdict judge(struct world *w, const char *record)
{
	add(w, "e.example", "TXT", in_strings(record));
	return ask(&w->zone, "192.0.2.1", "h.example", "joe@e.example");
}

static void test_term_limit(void **state)
{
	(void)state;
	static const char *const terms[] = { "a:n.example", "mx:n.example", "exists:n.example",
					     "include:n.example", "ptr:n.example" };

	for (size_t i = 0; i < ARRAY_LEN(terms); i++)
		for (size_t n = 10; n <= 11; n++) {
			struct world *w = arena_new_of(a, struct world);
			add(w, "n.example", "TXT", "v=spf1 -all");
			add(w, "n.example", "MX", "n.example");
			add(w, "n.example", i == 2 ? "AAAA" : "A", i == 2 ? "::1" : "192.0.2.99");
			add(w, "1.2.0.192.in-addr.arpa", "PTR", "x.example");
			struct spf_verdict v = judge(w, repeated(terms[i], i == 2 ? n - 8 : n));
			/* exists that does not match is void: two of them are the most */
			check_result(&v, n == 10 || i == 2 ? SPF_PASS : SPF_PERMERROR, terms[i]);
			if (i == 2)
				break;
		}
}

/* ip4, ip6, all and exp do not count. */
static void test_free_terms(void **state)
{
	(void)state;
	struct world *w = arena_new_of(a, struct world);
	struct spf_verdict v = judge(w, repeated("ip4:10.0.0.%zu", 100));

	check_result(&v, SPF_PASS, "ip4");
	assert_int_equal(v.terms, 0);
	assert_int_equal(v.lookups_n, 1);
}

/* A chain of n redirects, or of includes: the terms are counted over all records. */
static void test_chains(void **state)
{
	(void)state;
	static const char *const forms[] = { "v=spf1 redirect=c%zu.example",
					     "v=spf1 include:c%zu.example -all" };

	for (size_t form = 0; form < 2; form++)
		for (size_t n = 10; n <= 11; n++) {
			struct world *w = arena_new_of(a, struct world);
			for (size_t i = 1; i < n; i++)
				add(w, numbered("c%zu.example", i), "TXT",
				    numbered(forms[form], i + 1));
			add(w, numbered("c%zu.example", n), "TXT", "v=spf1 +all");
			struct spf_verdict v = judge(w, numbered(forms[form], 1));
			check_result(&v, n == 10 ? SPF_PASS : SPF_PERMERROR, forms[form]);
			assert_int_equal(v.terms, n);
		}
}

static void test_loops(void **state)
{
	(void)state;
	struct zone z = { common, ARRAY_LEN(common), 0 };
	struct spf_verdict v = ask(&z, "192.0.2.1", "x", "joe@loop.example");

	check_result(&v, SPF_PERMERROR, "include");
	assert_int_equal(z.asked, 11);
	v = ask(&z, "192.0.2.1", "x", "joe@round.example");
	check_result(&v, SPF_PERMERROR, "redirect");
	assert_int_equal(z.asked, 11);
}

static void test_void_limit(void **state)
{
	(void)state;
	static const char *const terms[] = { "a:x%zu.example", "mx:x%zu.example",
					     "exists:x%zu.example", "ptr:x%zu.example" };

	for (size_t i = 0; i < ARRAY_LEN(terms); i++)
		for (size_t n = 2; n <= 3; n++) {
			struct world *w = arena_new_of(a, struct world);
			struct spf_verdict v = judge(w, repeated(terms[i], n));
			check_result(&v, n == 2 ? SPF_PASS : SPF_PERMERROR, terms[i]);
			assert_int_equal(v.voids, n);
		}
}

static void test_mx_limits(void **state)
{
	(void)state;
	for (size_t n = 10; n <= 11; n++) {
		struct world *w = arena_new_of(a, struct world);
		for (size_t i = 0; i < n; i++) {
			add(w, "m.example", "MX", numbered("h%zu.example", i));
			add(w, numbered("h%zu.example", i), "A",
			    i + 1 == n ? "192.0.2.1" : "192.0.2.99");
		}
		struct spf_verdict v = judge(w, "v=spf1 mx:m.example -all");
		check_result(&v, n == 10 ? SPF_PASS : SPF_PERMERROR, "MX records");
	}
	for (size_t n = 10; n <= 11; n++) {
		struct world *w = arena_new_of(a, struct world);
		add(w, "m.example", "MX", "h.example");
		for (size_t i = 0; i < n; i++)
			add(w, "h.example", "A", numbered("192.0.2.%zu", n - i));
		struct spf_verdict v = judge(w, "v=spf1 mx:m.example -all");
		check_result(&v, n == 10 ? SPF_PASS : SPF_PERMERROR, "addresses");
	}
}

/* The eleventh PTR record and those behind it are not looked at. */
static void test_ptr_limit(void **state)
{
	(void)state;
	for (size_t n = 10; n <= 1000; n += n == 10 ? 1 : 989) {
		struct world *w = arena_new_of(a, struct world);
		for (size_t i = 0; i < n && i < 390; i++)
			add(w, "1.2.0.192.in-addr.arpa", "PTR",
			    i + 1 == (n < 390 ? n : 390) ? "last.example"
							 : numbered("p%zu.example", i));
		add(w, "last.example", "A", "192.0.2.1");
		struct spf_verdict v = judge(w, "v=spf1 ptr:last.example -all");
		check_result(&v, n == 10 ? SPF_PASS : SPF_FAIL, "PTR");
		assert_true(w->zone.asked <= 12);
	}
}

/* Never more than SPF_QUESTIONS, however the terms are made (ask() counts). */
static void test_question_limit(void **state)
{
	(void)state;
	struct world *w = arena_new_of(a, struct world);

	for (size_t k = 0; k < 4; k++)
		for (size_t i = 0; i < 10; i++)
			add(w, numbered("m%zu.example", k), "MX",
			    numbered("h%zu.example", 10 * k + i));
	for (size_t i = 0; i < 40; i++)
		add(w, numbered("h%zu.example", i), "A", "192.0.2.99");
	struct spf_verdict v = judge(w, repeated("mx:m%zu.example", 4));
	check_result(&v, SPF_PERMERROR, "questions");
	assert_int_equal(w->zone.asked, SPF_QUESTIONS);
	w->zone.n--;
	v = judge(w, repeated("mx:m%zu.example", 3));
	check_result(&v, SPF_PASS, "questions");
}

/* THREATS N06: addresses of every length from 0 to 32. */
static void test_rdata_lengths(void **state)
{
	(void)state;
	for (size_t n = 0; n <= 32; n++) {
		char bytes[40] = { 0 };
		struct world *w = arena_new_of(a, struct world);
		memset(bytes, 1, n);
		add(w, "r.example", "RAW", bytes);
		struct spf_verdict v = judge(w, "v=spf1 a:r.example/0 -all");
		check_result(&v, n == 4 ? SPF_PASS : SPF_FAIL, "length");
	}
}

/* A HELO or a local part of any length changes nothing for the domain. */
static void test_huge_identities(void **state)
{
	(void)state;
	struct buf *b = buf_new(a, 1 << 20);

	while (b->n < 100000)
		buf_add(b, S("a.-"));
	const char *huge = cstr(a, buf_str(b));
	buf_add(b, S("@e.example"));
	const char *sender = cstr(a, buf_str(b));
	struct spf_verdict v = ask_record("v=spf1 exists:%{h}.%{l.-}.%{d} -all exp=%{h}.%{lr-}.x",
					  "192.0.2.1", huge, sender);
	check_result(&v, SPF_FAIL, "huge");
	v = ask_record("v=spf1 -all", "192.0.2.1", huge, "");
	check_result(&v, SPF_NONE, "huge HELO");
}

/* --- What is told ------------------------------------------------------------------------------------------- */

static void test_told(void **state)
{
	(void)state;
	struct spf_verdict v = ask_record("v=spf1 ~include:pass.example -all", "192.0.2.1",
					  "h.example", "joe@e.example");

	assert_str(v.mechanism, S("~include:pass.example"));
	assert_str(v.reason,
		   S("\"ip4:192.0.2.1\" in the SPF record of pass.example matches 192.0.2.1"));
	assert_int_equal(v.lookups_n, 2);
	assert_str(v.lookups[1].name, S("pass.example"));
	assert_int_equal(v.lookups[1].type, DNS_TYPE_TXT);
	assert_int_equal(v.lookups[1].status, DNS_OK);
	v = ask_record("v=spf1 ip4:10.0.0.1", "192.0.2.1", "h.example", "joe@e.example");
	assert_str(v.mechanism, S("default"));
	v = ask_record("v=spf1 b\1d\377 -all", "192.0.2.1", "h.example", "joe@e.example");
	assert_str(v.reason,
		   S("the SPF record of e.example cannot be used: it is not as RFC 7208 has it, at "
		     "\"b?d?\""));
	assert_str(v.mechanism, S(""));
}

static void test_field(void **state)
{
	(void)state;
	struct buf *out = buf_new(a, 4096);
	struct header_builder h;
	struct spf_query q = { .client = ip("2001:db8::1"),
			       .helo = S("a\"b\\c\r\nX: y"),
			       .mail_from = S("joe@e.example"),
			       .receiver = S("mx.here.example") };
	struct spf_verdict v = { .result = SPF_PERMERROR,
				 .identity = SPF_MAILFROM,
				 .mechanism = S("a:x) (y"),
				 .reason = S("no) (good") };

	header_builder_init(&h, out);
	spf_put_received(a, &h, &q, &v);
	assert_false(h.bad);
	assert_str(header_unfold(a, buf_str(out)),
		   S("Received-SPF: permerror (no\\) \\(good) client-ip=\"2001:db8::1\"; "
		     "envelope-from=\"joe@e.example\"; helo=\"a\\\"b\\\\c??X: y\"; "
		     "problem=\"no) (good\"; mechanism=\"a:x) (y\"; receiver=mx.here.example; "
		     "identity=mailfrom"));
	assert_int_equal(header_count(buf_str(out), S("Received-SPF")), 1);
	assert_int_equal(header_count(buf_str(out), S("X")), 0);
}

/* THREATS D10: what matched lets in nearly everybody, wherever it stands. */
static void test_huge_sets(void **state)
{
	(void)state;
	static const struct {
		const char *record;
		enum spf_result result;
		bool huge;
	} rows[] = {
		{ "v=spf1 +all", SPF_PASS, true },
		{ "v=spf1 all", SPF_PASS, true },
		{ "v=spf1 ip4:192.0.2.1 +all", SPF_PASS, false }, /* what comes first matched */
		{ "v=spf1 ip4:192.0.0.0/8 -all", SPF_PASS, false },
		{ "v=spf1 ip4:192.0.0.0/7 -all", SPF_PASS, true },
		{ "v=spf1 ip4:0.0.0.0/0 -all", SPF_PASS, true },
		{ "v=spf1 a:far.example/7 -all", SPF_PASS, true },
		{ "v=spf1 a:far.example/16//0 -all", SPF_FAIL, true },
		{ "v=spf1 mx:far.example/0 -all", SPF_PASS, true },
		{ "v=spf1 exists:far.example -all", SPF_PASS, false },
		{ "v=spf1 include:open.example -all", SPF_PASS, true },
		{ "v=spf1 redirect=open.example", SPF_PASS, true },
		{ "v=spf1 -include:open.example ?all", SPF_FAIL, true },
		{ "v=spf1 ?ip4:10.0.0.0/8", SPF_NEUTRAL, false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world *w = arena_new_of(a, struct world);
		add(w, "far.example", "A", "193.0.0.1");
		add(w, "far.example", "MX", "far.example");
		add(w, "open.example", "TXT", "v=spf1 +all");
		struct spf_verdict v = judge(w, rows[i].record);
		check_result(&v, rows[i].result, rows[i].record);
		if (v.huge != rows[i].huge)
			fail_msg("%s: huge %d", rows[i].record, v.huge);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_domains),       TEST(test_long_domains),    TEST(test_idn),
		TEST(test_syntax),        TEST(test_truncated),       TEST(test_mechanisms),
		TEST(test_macros),        TEST(test_macro_p),         TEST(test_macro_lengths),
		TEST(test_explanation),   TEST(test_term_limit),      TEST(test_free_terms),
		TEST(test_chains),        TEST(test_loops),           TEST(test_void_limit),
		TEST(test_mx_limits),     TEST(test_ptr_limit),       TEST(test_question_limit),
		TEST(test_rdata_lengths), TEST(test_huge_identities), TEST(test_told),
		TEST(test_field),         TEST(test_huge_sets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
