/* DMARC: records, authors, and about eighty outcomes over a table of DNS (THREATS D11). */
#include "base/unit_arena.h"

#include "verdict/dmarc.h"
#include "verdict/zone_test.h"

/* --- DNS --------------------------------------------------------------------------------------------------------- */

struct zone_row {
	const char *name, *text; /* text NULL: the status is the answer */
	enum dns_status status;
};

/* What is not here: NXDOMAIN below "gone", else NODATA. */
static const struct zone_row zone[] = {
	{ "_dmarc.reject.example", "v=DMARC1; p=reject", 0 },
	{ "_dmarc.quarantine.example", "v=DMARC1; p=quarantine; rua=mailto:r@q.example", 0 },
	{ "_dmarc.none.example", "v=DMARC1; p=none", 0 },
	{ "_dmarc.strict.example", "v=DMARC1; p=reject; adkim=s; aspf=s", 0 },
	{ "_dmarc.sdkim.example", "v=DMARC1; p=reject; adkim=s", 0 },
	{ "_dmarc.sspf.example", "v=DMARC1; p=reject; aspf=s", 0 },
	{ "_dmarc.sub.example", "v=DMARC1; p=none; sp=reject; np=quarantine", 0 },
	{ "_dmarc.np.example", "v=DMARC1; p=none; np=reject", 0 },
	{ "_dmarc.test.example", "v=DMARC1; p=reject; t=y", 0 },
	{ "_dmarc.testq.example", "v=DMARC1; p=quarantine; t=y", 0 },
	{ "_dmarc.nop.example", "v=DMARC1; rua=mailto:r@nop.example", 0 },
	{ "_dmarc.nothing.example", "v=DMARC1", 0 },
	{ "_dmarc.badsp.example", "v=DMARC1; p=reject; sp=maybe; rua=mailto:r@x.example", 0 },
	{ "_dmarc.badp.example", "v=DMARC1; p=maybe", 0 },
	{ "_dmarc.two.example", "v=DMARC1; p=reject", 0 },
	{ "_dmarc.two.example", "v=DMARC1; p=none", 0 },
	{ "_dmarc.noise.example", "verification=1", 0 },
	{ "_dmarc.noise.example", "v=DMARC1; p=reject", 0 },
	{ "_dmarc.dkim.example", "v=DKIM1; p=reject", 0 },
	{ "_dmarc.busy.example", NULL, DNS_TEMPFAIL },
	{ "_dmarc.forged.example", NULL, DNS_BOGUS },
	{ "_dmarc.org.example", "v=DMARC1; p=reject", 0 },
	{ "_dmarc.dept.org.example", "v=DMARC1; p=quarantine; psd=n", 0 },
	{ "_dmarc.psd", "v=DMARC1; p=none; np=reject; psd=y", 0 },
	{ "_dmarc.member.psd", "v=DMARC1; p=reject", 0 },
	{ "_dmarc.up.busy.test2", "v=DMARC1; p=reject", 0 },
	{ "_dmarc.busy.test2", NULL, DNS_TEMPFAIL },
	{ "_dmarc.xn--bcher-kva.example", "v=DMARC1; p=reject", 0 },
	{ "_dmarc.tld", "v=DMARC1; p=reject", 0 },
	{ "_dmarc.g.h.i.j.mail.long.example", "v=DMARC1; p=reject", 0 },
	{ "_dmarc.deep.example", "v=DMARC1; p=quarantine", 0 },
	{ "_dmarc.loud.deep.example", "v=DMARC1; p=reject", 0 },
};

static unsigned asked;

static void query(void *context, struct arena *to, str name, u32 type, struct dns_answer *out)
{
	str *records = arena_array_of(to, ARRAY_LEN(zone), str);

	(void)context;
	asked++;
	assert_true(name.n <= 253);
	*out = (struct dns_answer){ .status = DNS_NODATA, .records = records };
	if (str_ends_nocase(name, S("gone.example")) || str_find_str(name, S("gone.")) < 20)
		out->status = DNS_NXDOMAIN;
	for (size_t i = 0; type == DNS_TYPE_TXT && i < ARRAY_LEN(zone); i++) {
		if (!str_eq(name, str_cstr(zone[i].name)))
			continue;
		out->status = zone[i].status;
		if (zone[i].text)
			records[out->records_n++] = zone_txt(to, str_cstr(zone[i].text));
	}
}

static const struct dns_source dns = { .query = query };

/* --- Records ------------------------------------------------------------------------------------------------------ */

static void test_records(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool good;
		enum dmarc_policy p, sp, np;
		bool inapplicable;
	} rows[] = {
		{ "v=DMARC1", true, 0, 0, 0, true },
		{ "v=DMARC1;", true, 0, 0, 0, true },
		{ " v = DMARC1 ; p = reject ", true, 2, 2, 2, false },
		{ "V=DMARC1;P=REJECT", true, 2, 2, 2, false },
		{ "v=dmarc1; p=reject", false, 0, 0, 0, false },
		{ "v=DMARC12; p=reject", false, 0, 0, 0, false },
		{ "v=DMARC1 p=reject", false, 0, 0, 0, false },
		{ "p=reject; v=DMARC1", false, 0, 0, 0, false },
		{ "", false, 0, 0, 0, false },
		{ "v=DMARC1; p=reject; sp=none", true, 2, 0, 0, false },
		{ "v=DMARC1; p=reject; sp=none; np=quarantine", true, 2, 0, 1, false },
		{ "v=DMARC1; p=none; np=reject", true, 0, 0, 2, false },
		{ "v=DMARC1; p=none; p=reject", true, 0, 0, 0, false },
		{ "v=DMARC1; p=reject; pct=0; rf=afrf; ri=86400", true, 2, 2, 2, false },
		{ "v=DMARC1; foo; =; ;; p=quarantine", true, 1, 1, 1, false },
		{ "v=DMARC1; p=reject; sp=bad", true, 0, 0, 0, true },
		{ "v=DMARC1; p=reject; np=bad; rua=mailto:a@b", true, 0, 0, 0, false },
		{ "v=DMARC1; p=reject; np=bad; rua=nonsense", true, 0, 0, 0, true },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct dmarc_record r;
		bool good = dmarc_record_parse(str_cstr(rows[i].text), &r);
		if (good != rows[i].good ||
		    (good && (r.p != rows[i].p || r.sp != rows[i].sp || r.np != rows[i].np ||
			      r.inapplicable != rows[i].inapplicable)))
			fail_msg("row %zu: %s", i, rows[i].text);
	}
}

static void test_record_details(void **state)
{
	(void)state;
	struct dmarc_record r;

	assert_true(dmarc_record_parse(
	    S("v=DMARC1; p=none; fo=1:d:s; psd=n; t=y; adkim=s; aspf=r; "
	      "rua=mailto:a@b.example , https://x.example/r,bad uri; ruf=mailto:c@d.example!10m"),
	    &r));
	assert_int_equal(r.fo, DMARC_FO_ANY | DMARC_FO_DKIM | DMARC_FO_SPF);
	assert_int_equal(r.psd, DMARC_PSD_NO);
	assert_true(r.testing && r.strict_dkim && !r.strict_spf);
	assert_int_equal(r.rua_n, 2);
	assert_str(r.rua[1], S("https://x.example/r"));
	assert_int_equal(r.ruf_n, 1);
}

/* --- Authors ------------------------------------------------------------------------------------------------------ */

static void test_authors(void **state)
{
	(void)state;
	static const struct {
		const char *header;
		enum dmarc_author_kind kind;
		const char *domain;
	} rows[] = {
		{ "From: a@b.example\r\n", DMARC_AUTHOR_ONE, "b.example" },
		{ "From: A <a@B.Example.>\r\n", DMARC_AUTHOR_ONE, "b.example" },
		{ "From : a@b.example\r\n", DMARC_AUTHOR_ONE, "b.example" },
		{ "From:\r\n a@b.example\r\n", DMARC_AUTHOR_ONE, "b.example" },
		{ "From: a@b.example, c@b.example\r\n", DMARC_AUTHOR_ONE, "b.example" },
		{ "From: a@b\xc3\xbc"
		  "cher.example\r\n",
		  DMARC_AUTHOR_ONE, "xn--bcher-kva.example" },
		{ "From: a@b.example, c@d.example\r\n", DMARC_AUTHOR_SEVERAL, "b.example" },
		{ "From: <@r.example,@s.example:a@b.example>\r\n", DMARC_AUTHOR_ONE, "b.example" },
		{ "From: team: a@b.example, c@b.example;\r\n", DMARC_AUTHOR_ONE, "b.example" },
		{ "From: nobody:;\r\n", DMARC_AUTHOR_EMPTY, NULL },
		{ "From: \r\n", DMARC_AUTHOR_EMPTY, NULL },
		{ "From: root\r\n", DMARC_AUTHOR_NO_DOMAIN, NULL },
		{ "From: a@[192.0.2.1]\r\n", DMARC_AUTHOR_LITERAL, NULL },
		{ "From: a@[192.0.2.1], b@c.example\r\n", DMARC_AUTHOR_BROKEN, NULL },
		{ "From: a@b_c.example\r\n", DMARC_AUTHOR_BAD_DOMAIN, NULL },
		{ "From: a@-b.example\r\n", DMARC_AUTHOR_BAD_DOMAIN, NULL },
		{ "From: a@b..example\r\n", DMARC_AUTHOR_BAD_DOMAIN, NULL },
		{ "To: a@b.example\r\n", DMARC_AUTHOR_ABSENT, NULL },
		{ " From: a@b.example\r\n", DMARC_AUTHOR_ABSENT, NULL },
		{ "From: a@b.example\r\nFrom: a@b.example\r\n", DMARC_AUTHOR_FIELDS, NULL },
		{ "From: a@b.example\r\nFROM : c@d.example\r\n", DMARC_AUTHOR_FIELDS, NULL },
		{ "From: <a@b.example>c@d.example\r\n", DMARC_AUTHOR_SEVERAL, "b.example" },
		{ "From: <a@b.example>\\,<c@d.example>\r\n", DMARC_AUTHOR_BROKEN, NULL },
		{ "From: a@b.example,a@c.example,a@d.example,a@e.example,a@f.example\r\n",
		  DMARC_AUTHOR_TOO_MANY, NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct dmarc_author author;
		dmarc_author_find(a, str_cstr(rows[i].header), &author);
		if (author.kind != rows[i].kind)
			fail_msg("%s: kind %d", rows[i].header, author.kind);
		assert_int_equal(author.domains_n > 0, rows[i].domain != NULL);
		if (rows[i].domain)
			assert_str(author.domains[0], str_cstr(rows[i].domain));
	}
}

/* --- Outcomes ----------------------------------------------------------------------------------------------------- */

/* identifiers: words "s:domain" (SPF passed), "d:domain" (DKIM passed), with '?' behind the letter: undecided. */
struct outcome {
	const char *from, *identifiers;
	enum dmarc_result result;
	enum dmarc_disposition disposition;
	const char *organization; /* NULL: not looked at */
};

static const struct outcome outcomes[] = {
	/* Exact names. */
	{ "a@reject.example", "", DMARC_FAIL, DMARC_REFUSE, NULL },
	{ "a@reject.example", "s:reject.example", DMARC_PASS, DMARC_ACCEPT, NULL },
	{ "a@reject.example", "d:reject.example", DMARC_PASS, DMARC_ACCEPT, NULL },
	{ "a@reject.example", "d:reject.example s:reject.example", DMARC_PASS, DMARC_ACCEPT, NULL },
	{ "a@reject.example", "s:other.example", DMARC_FAIL, DMARC_REFUSE, NULL },
	{ "a@reject.example", "d:other.example", DMARC_FAIL, DMARC_REFUSE, NULL },
	{ "a@reject.example", "d:other.example d:reject.example", DMARC_PASS, DMARC_ACCEPT, NULL },
	{ "a@reject.example", "s:notreject.example", DMARC_FAIL, DMARC_REFUSE, NULL },
	{ "a@reject.example", "s:reject.example.evil.example", DMARC_FAIL, DMARC_REFUSE, NULL },
	{ "a@reject.example", "d:example", DMARC_FAIL, DMARC_REFUSE, NULL },
	{ "a@quarantine.example", "", DMARC_FAIL, DMARC_JUNK, NULL },
	{ "a@quarantine.example", "d:quarantine.example", DMARC_PASS, DMARC_ACCEPT, NULL },
	{ "a@none.example", "", DMARC_FAIL, DMARC_ACCEPT, NULL },
	{ "a@none.example", "s:none.example", DMARC_PASS, DMARC_ACCEPT, NULL },
	{ "a@nowhere.example", "", DMARC_NONE, DMARC_ACCEPT, "nowhere.example" },
	{ "a@nowhere.example", "s:nowhere.example", DMARC_NONE, DMARC_ACCEPT, NULL },
	/* Relaxed and strict. */
	{ "a@reject.example", "d:mail.reject.example", DMARC_PASS, DMARC_ACCEPT, "reject.example" },
	{ "a@reject.example", "s:bounce.mail.reject.example", DMARC_PASS, DMARC_ACCEPT, NULL },
	{ "a@mail.reject.example", "d:reject.example", DMARC_PASS, DMARC_ACCEPT, "reject.example" },
	{ "a@mail.reject.example", "d:news.reject.example", DMARC_PASS, DMARC_ACCEPT, NULL },
	{ "a@mail.reject.example", "", DMARC_FAIL, DMARC_REFUSE, NULL },
	{ "a@strict.example", "d:mail.strict.example", DMARC_FAIL, DMARC_REFUSE, NULL },
	{ "a@strict.example", "s:mail.strict.example", DMARC_FAIL, DMARC_REFUSE, NULL },
	{ "a@strict.example", "s:strict.example", DMARC_PASS, DMARC_ACCEPT, NULL },
	{ "a@strict.example", "d:strict.example", DMARC_PASS, DMARC_ACCEPT, NULL },
	{ "a@mail.strict.example", "d:strict.example", DMARC_FAIL, DMARC_REFUSE, NULL },
	{ "a@sdkim.example", "d:mail.sdkim.example", DMARC_FAIL, DMARC_REFUSE, NULL },
	{ "a@sdkim.example", "s:mail.sdkim.example", DMARC_PASS, DMARC_ACCEPT, NULL },
	{ "a@sspf.example", "s:mail.sspf.example", DMARC_FAIL, DMARC_REFUSE, NULL },
	{ "a@sspf.example", "d:mail.sspf.example", DMARC_PASS, DMARC_ACCEPT, NULL },
	/* sp, np, t. */
	{ "a@sub.example", "", DMARC_FAIL, DMARC_ACCEPT, NULL },
	{ "a@x.sub.example", "", DMARC_FAIL, DMARC_REFUSE, NULL },
	{ "a@gone.sub.example", "", DMARC_FAIL, DMARC_JUNK, NULL },
	{ "a@gone.sub.example", "d:sub.example", DMARC_PASS, DMARC_ACCEPT, NULL },
	{ "a@np.example", "", DMARC_FAIL, DMARC_ACCEPT, NULL },
	{ "a@x.np.example", "", DMARC_FAIL, DMARC_ACCEPT, NULL },
	{ "a@gone.np.example", "", DMARC_FAIL, DMARC_REFUSE, NULL },
	{ "a@gone.reject.example", "", DMARC_FAIL, DMARC_REFUSE, NULL },
	{ "a@test.example", "", DMARC_FAIL, DMARC_JUNK, NULL },
	{ "a@test.example", "d:test.example", DMARC_PASS, DMARC_ACCEPT, NULL },
	{ "a@testq.example", "", DMARC_FAIL, DMARC_ACCEPT, NULL },
	/* Records that are wrong. */
	{ "a@nop.example", "", DMARC_FAIL, DMARC_ACCEPT, NULL },
	{ "a@nothing.example", "", DMARC_NONE, DMARC_ACCEPT, NULL },
	{ "a@badsp.example", "", DMARC_FAIL, DMARC_ACCEPT, NULL },
	{ "a@x.badsp.example", "", DMARC_FAIL, DMARC_ACCEPT, NULL },
	{ "a@badp.example", "", DMARC_NONE, DMARC_ACCEPT, NULL },
	{ "a@two.example", "", DMARC_NONE, DMARC_ACCEPT, NULL },
	{ "a@noise.example", "", DMARC_FAIL, DMARC_REFUSE, NULL },
	{ "a@dkim.example", "", DMARC_NONE, DMARC_ACCEPT, NULL },
	/* DNS that does not answer. */
	{ "a@busy.example", "", DMARC_TEMPERROR, DMARC_ACCEPT, NULL },
	{ "a@busy.example", "s:busy.example", DMARC_TEMPERROR, DMARC_ACCEPT, NULL },
	{ "a@x.busy.example", "", DMARC_TEMPERROR, DMARC_ACCEPT, NULL },
	{ "a@forged.example", "", DMARC_TEMPERROR, DMARC_ACCEPT, NULL },
	{ "a@up.busy.test2", "", DMARC_FAIL, DMARC_REFUSE, NULL },
	{ "a@up.busy.test2", "d:up.busy.test2", DMARC_PASS, DMARC_ACCEPT, NULL },
	{ "a@up.busy.test2", "d:x.up.busy.test2", DMARC_TEMPERROR, DMARC_DEFER, NULL },
	{ "a@reject.example", "s?:reject.example", DMARC_TEMPERROR, DMARC_DEFER, NULL },
	{ "a@reject.example", "d?:mail.reject.example", DMARC_TEMPERROR, DMARC_DEFER, NULL },
	{ "a@reject.example", "d?:reject.example s:reject.example", DMARC_PASS, DMARC_ACCEPT,
	  NULL },
	{ "a@reject.example", "d?:other.example", DMARC_FAIL, DMARC_REFUSE, NULL },
	{ "a@none.example", "d?:none.example", DMARC_TEMPERROR, DMARC_ACCEPT, NULL },
	{ "a@strict.example", "d?:mail.strict.example", DMARC_FAIL, DMARC_REFUSE, NULL },
	/* Organizations. */
	{ "a@dept.org.example", "d:org.example", DMARC_FAIL, DMARC_JUNK, "dept.org.example" },
	{ "a@org.example", "d:dept.org.example", DMARC_FAIL, DMARC_REFUSE, "org.example" },
	{ "a@x.dept.org.example", "s:y.dept.org.example", DMARC_PASS, DMARC_ACCEPT,
	  "dept.org.example" },
	{ "a@x.dept.org.example", "s:org.example", DMARC_FAIL, DMARC_JUNK, NULL },
	{ "a@x.org.example", "s:y.org.example", DMARC_PASS, DMARC_ACCEPT, "org.example" },
	{ "a@member.psd", "", DMARC_FAIL, DMARC_REFUSE, NULL },
	{ "a@x.member.psd", "d:member.psd", DMARC_PASS, DMARC_ACCEPT, "member.psd" },
	{ "a@x.member.psd", "d:other.psd", DMARC_FAIL, DMARC_REFUSE, NULL },
	{ "a@stranger.psd", "", DMARC_FAIL, DMARC_ACCEPT, "stranger.psd" },
	{ "a@gone.psd", "", DMARC_FAIL, DMARC_REFUSE, "gone.psd" },
	{ "a@stranger.psd", "d:mail.stranger.psd", DMARC_PASS, DMARC_ACCEPT, "stranger.psd" },
	{ "a@stranger.psd", "d:psd", DMARC_FAIL, DMARC_ACCEPT, NULL },
	{ "a@psd", "", DMARC_FAIL, DMARC_ACCEPT, NULL },
	{ "a@x.tld", "d:y.tld", DMARC_PASS, DMARC_ACCEPT, "tld" },
	{ "a@x.deep.example", "", DMARC_FAIL, DMARC_JUNK, "deep.example" },
	{ "a@loud.deep.example", "", DMARC_FAIL, DMARC_REFUSE, NULL },
	{ "a@y.loud.deep.example", "d:loud.deep.example", DMARC_PASS, DMARC_ACCEPT,
	  "deep.example" },
	{ "a@a.b.c.d.e.f.g.h.i.j.mail.long.example", "", DMARC_FAIL, DMARC_REFUSE,
	  "g.h.i.j.mail.long.example" },
	{ "a@c.d.e.f.g.h.reject.example", "d:reject.example", DMARC_PASS, DMARC_ACCEPT, NULL },
	/* Names. */
	{ "a@b\xc3\xbc"
	  "cher.example",
	  "", DMARC_FAIL, DMARC_REFUSE, NULL },
	{ "a@b\xc3\xbc"
	  "cher.example",
	  "d:reject.example", DMARC_FAIL, DMARC_REFUSE, NULL },
	{ "a@bücher.example", "d:xn--bcher-kva.example", DMARC_PASS, DMARC_ACCEPT, NULL },
	{ "a@REJECT.Example", "d:reject.example", DMARC_PASS, DMARC_ACCEPT, NULL },
	{ "a@example", "", DMARC_NONE, DMARC_ACCEPT, NULL },
	/* No author, or several. */
	{ "a@[192.0.2.1]", "", DMARC_NONE, DMARC_ACCEPT, NULL },
	{ "group:;", "", DMARC_PERMERROR, DMARC_JUNK, NULL },
	{ "root", "s:reject.example", DMARC_PERMERROR, DMARC_JUNK, NULL },
	{ "a@reject.example, b@none.example", "d:none.example", DMARC_FAIL, DMARC_REFUSE, NULL },
	{ "a@none.example, b@reject.example", "d:none.example", DMARC_FAIL, DMARC_REFUSE, NULL },
	{ "a@none.example, b@reject.example", "d:none.example d:reject.example", DMARC_PASS,
	  DMARC_ACCEPT, NULL },
	{ "a@none.example, b@nowhere.example", "d:none.example", DMARC_NONE, DMARC_JUNK, NULL },
	{ "a@none.example\r\nFrom: a@none.example", "d:none.example", DMARC_PERMERROR, DMARC_REFUSE,
	  NULL },
};

static size_t identifiers_of(const char *words, struct dmarc_identifier *out)
{
	str rest = str_cstr(words);
	size_t n = 0;

	while (rest.n > 0) {
		size_t space = str_find(rest, ' ');
		str word = str_slice(rest, 0, space);
		rest = space == SIZE_MAX ? STR_NONE : str_skip(rest, space + 1);
		out[n].spf = word.p[0] == 's';
		out[n].undecided = word.p[1] == '?';
		out[n++].domain = str_skip(word, str_find(word, ':') + 1);
	}
	return n;
}

static void judge(const char *from, const char *words, struct dmarc_verdict *v)
{
	struct dmarc_identifier identifiers[16] = { 0 };
	size_t n = identifiers_of(words, identifiers);
	struct dmarc_author author;

	dmarc_author_find(a, str_format(a, "From: %s\r\n", from), &author);
	asked = 0;
	dmarc_check(a, &dns, &author, identifiers, n, v);
}

static void test_outcomes(void **state)
{
	(void)state;
	assert_true(ARRAY_LEN(outcomes) >= 80);
	for (size_t i = 0; i < ARRAY_LEN(outcomes); i++) {
		const struct outcome *o = &outcomes[i];
		struct dmarc_verdict v;
		judge(o->from, o->identifiers, &v);
		if (v.result != o->result || v.disposition != o->disposition)
			fail_msg("%s [%s]: %s, %s: %.*s", o->from, o->identifiers,
				 dmarc_result_name(v.result), dmarc_disposition_name(v.disposition),
				 STR_ARG(v.reason));
		assert_true(v.reason.n > 0);
		if (o->organization)
			assert_str(v.organizational, str_cstr(o->organization));
	}
}

/* Each of SPF and DKIM is told apart, also when the other has already made the message pass. */
static void test_aligned(void **state)
{
	(void)state;
	static const struct {
		const char *from, *identifiers;
		bool spf, dkim;
	} rows[] = {
		{ "a@reject.example", "s:reject.example", true, false },
		{ "a@reject.example", "d:reject.example", false, true },
		{ "a@reject.example", "d:reject.example s:reject.example", true, true },
		{ "a@reject.example", "s:bounce.reject.example d:reject.example", true, true },
		{ "a@reject.example", "s:reject.example d:mail.reject.example", true, true },
		{ "a@reject.example", "s:other.example d:reject.example", false, true },
		{ "a@reject.example", "s?:bounce.reject.example d:reject.example", false, true },
		{ "a@mail.reject.example", "s:reject.example d:mail.reject.example", true, true },
		{ "a@strict.example", "s:bounce.strict.example d:strict.example", false, true },
		{ "a@sspf.example", "s:sspf.example d:mail.sspf.example", true, true },
		{ "a@org.example", "s:dept.org.example d:org.example", false, true },
		{ "a@up.busy.test2", "s:x.up.busy.test2 d:up.busy.test2", false, true },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct dmarc_verdict v;
		judge(rows[i].from, rows[i].identifiers, &v);
		if (v.result != DMARC_PASS || v.disposition != DMARC_ACCEPT ||
		    v.spf_aligned != rows[i].spf || v.dkim_aligned != rows[i].dkim)
			fail_msg("%s [%s]: %s, SPF %d, DKIM %d", rows[i].from, rows[i].identifiers,
				 dmarc_result_name(v.result), v.spf_aligned, v.dkim_aligned);
	}
	judge("a@reject.example", "d:reject.example s:bounce.mailer.test2",
	      &(struct dmarc_verdict){ 0 });
	assert_int_equal(asked, 1); /* no walk for names that have nothing in common */
}

/* However the names are chosen, a walk has 8 queries and no name is asked twice. */
static void test_bounds(void **state)
{
	(void)state;
	struct dmarc_verdict v;
	struct buf *name = buf_new(a, 300), *words = buf_new(a, 8192);

	for (int i = 0; i < 100; i++)
		buf_add(name, S("a."));
	judge(cstr(a, str_format(a, "a@%.*sreject.example", STR_ARG(buf_str(name)))), "", &v);
	assert_int_equal(v.result, DMARC_FAIL);
	assert_int_equal(asked, 8);
	for (int i = 0; i < 16; i++)
		buf_printf(words, "%sd:%d.a.b.c.d.e.f.g.h.reject.example", i ? " " : "", i);
	judge("a@x.reject.example", cstr(a, buf_str(words)), &v);
	assert_int_equal(v.result, DMARC_PASS);
	assert_true(asked <= DMARC_LOOKUPS);
}

static void test_override(void **state)
{
	(void)state;
	struct dmarc_verdict v;

	judge("a@reject.example", "", &v);
	dmarc_override(&v, DMARC_OVERRIDE_MAILING_LIST, S("a list we know"));
	assert_int_equal(v.disposition, DMARC_ACCEPT);
	assert_int_equal(v.result, DMARC_FAIL);
	judge("x\r\nFrom: y", "", &v);
	dmarc_override(&v, DMARC_OVERRIDE_MAILING_LIST, S("a list we know"));
	assert_int_equal(v.disposition, DMARC_REFUSE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT_TEST(test_records),  UNIT_TEST(test_record_details), UNIT_TEST(test_authors),
		UNIT_TEST(test_outcomes), UNIT_TEST(test_aligned),        UNIT_TEST(test_bounds),
		UNIT_TEST(test_override),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
