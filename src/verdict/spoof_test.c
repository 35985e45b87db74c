/*
 * Forged senders, in the manner of "Composition Kills" (22) and "Weak Links" (14), written by ourselves (THREATS D01, D02). The attacker owns
 * attack.example, whose SPF lets him send; legitimate.example says p=reject. Each message is judged with its From fields in both orders.
 * DMARC never passes while legitimate.example is shown anywhere in From, such mail is never simply accepted, and what is judged is
 * exactly what the skeleton (IMAP ENVELOPE) shows.
 */
#include "base/unit.h"

#include "text/skeleton.h"
#include "verdict/auth.h"
#include "verdict/zone_test.h"

static struct arena *a;

static int start(void **state)
{
	(void)state;
	a = arena_new(1 << 26);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	arena_free(&a);
	return 0;
}

static const struct zone_record records[] = {
	{ "legitimate.example", "v=spf1 -all" },
	{ "_dmarc.legitimate.example", "v=DMARC1; p=reject" },
	{ "attack.example", "v=spf1 +all" },
	{ "_dmarc.attack.example", "v=DMARC1; p=none" },
	{ "any.attack.example", "v=spf1 +all" },
	{ "_dmarc.xn--legitimte-66g.example", "v=DMARC1; p=none" },
	{ "list.example", "v=spf1 +all" },
};

/* one, two: fields that are put in both orders (two may be empty). */
struct forgery {
	const char *sender; /* MAIL FROM, with brackets */
	const char *helo, *one, *two;
};

#define ATTACK "<any@attack.example>"
#define LEGIT "From: admin@legitimate.example\r\n"

static const struct forgery composition[] = {
	{ "<any@no.such.legitimate.example>", "attack.example", LEGIT, "" },
	{ "<(any@legitimate.example>", "attack.example", LEGIT, "" },
	{ ATTACK, "x",
	  "DKIM-Signature: v=1; a=rsa-sha256; d=legitimate.example; s=attack.example.\x01.any; h=from; bh=AA==; b=AA==\r\n",
	  LEGIT },
	{ ATTACK, "x",
	  "DKIM-Signature: v=1; a=rsa-sha256; d=legitimate.example'a.attack.example; s=s; h=from; bh=AA==; b=AA==\r\n",
	  LEGIT },
	{ "<any@legitimate.example(a.attack.example>", "attack.example", LEGIT, "" },
	{ "<any@legitimate.example'@any.attack.example>", "attack.example", LEGIT, "" },
	{ "<@legitimate.example,@any.example:'any@attack.example>", "attack.example", LEGIT, "" },
	{ ATTACK, "x", "From: any@attack.example\r\n", LEGIT },
	{ ATTACK, "x", " From: any@attack.example\r\n", LEGIT },
	{ ATTACK, "x", "From : any@attack.example\r\n", LEGIT },
	{ ATTACK, "x", "From\r\n : any@attack.example\r\n", LEGIT },
	{ ATTACK, "x", "From:\r\n any@attack.example\r\n", "Sender: admin@legitimate.example\r\n" },
	{ ATTACK, "x", "From:\r\n any@attack.example\r\n",
	  "Resent-From: admin@legitimate.example\r\n" },
	{ ATTACK, "x", "From: <any@attack.example>, <admin@legitimate.example>\r\n", "" },
	{ ATTACK, "x",
	  "From: =?utf-8?B?PGFkbWluQGxlZ2l0aW1hdGUuZXhhbXBsZT4=?=, <second@attack.example>\r\n",
	  "" },
	{ ATTACK, "x", "From: <@attack.example,@any.example:admin@legitimate.example>\r\n", "" },
	{ ATTACK, "x", "From: <admin@legitimate.example>\\,<second@attack.example>\r\n", "" },
	{ ATTACK, "x", "From: admin@legitimate.example,<second@attack.example>\r\n", "" },
	{ ATTACK, "x", "From: <any@attack.example>admin@legitimate.example\r\n", "" },
	{ ATTACK, "x", "From: any@attack.example\r\nFrom: admin@legitimate.example\r\n",
	  "X: y\r\n" },
	{ ATTACK, "x", "From: any@attack.example, admin@legitimate.example\r\n", "X: y\r\n" },
	{ ATTACK, "x", LEGIT, "Reply-To: any@attack.example\r\n" },
};

static const struct forgery weak_links[] = {
	{ ATTACK, "x", "From: admin@legitimate.example\r\n", "To: x@y.example\r\n" },
	{ ATTACK, "x", "From: admin@legitim\xd0\xb0te.example\r\n", "" }, /* homograph */
	{ ATTACK, "x",
	  "From: \xe2\x80\xae"
	  "admin@legitimate.example\r\n",
	  "" }, /* RTLO */
	{ ATTACK, "x", "From: admin@LEGITIMATE.example\r\n", "" },
	{ ATTACK, "x", "From: admin@legitimate.example.\r\n", "" },
	{ ATTACK, "x", "From: \"any@attack.example\" <admin@legitimate.example>\r\n", "" },
	{ ATTACK, "x", "From: admin@legitimate.example (any@attack.example)\r\n", "" },
	{ ATTACK, "x", "From: any@attack.example;admin@legitimate.example\r\n", "" },
	{ ATTACK, "x", "From: team:admin@legitimate.example;, any@attack.example\r\n", "" },
	{ ATTACK, "x", "From: admin @ legitimate . example\r\n", "" },
	{ "<bounce@list.example>", "list.example", LEGIT, "List-Id: <l.list.example>\r\n" },
	{ ATTACK, "x",
	  "ARC-Seal: i=1; a=rsa-sha256; cv=none; d=attack.example; s=s; b=AAAA\r\n"
	  "ARC-Message-Signature: i=1; a=rsa-sha256; d=attack.example; s=s; h=from; bh=AAAA; b=AAAA\r\n"
	  "ARC-Authentication-Results: i=1; mx.attack.example; dmarc=pass header.from=legitimate.example\r\n",
	  LEGIT },
	{ ATTACK, "x", "Authentication-Results: mx.example.test; dmarc=pass\r\n", LEGIT },
	{ "<>", "attack.example", LEGIT, "" },
};

static bool shows(const struct skeleton *s, const char *domain)
{
	for (size_t i = 0; i < s->envelope.from_n; i++) {
		str host = s->envelope.from[i].host, ascii;
		if (host.n > 0 && domain_to_ascii(a, host, &ascii) == NULL &&
		    str_eq(ascii, str_cstr(domain)))
			return true;
	}
	return false;
}

static const struct skeleton *skeleton_of(str message)
{
	struct skeleton_parser *parser = skeleton_parser_new(a);
	const struct skeleton *s;

	assert_ok(skeleton_feed(parser, message));
	assert_ok(skeleton_finish(parser, &s));
	return s;
}

/* What is judged is what is shown. */
static void check_shown(const struct auth_verdict *v, const struct skeleton *s)
{
	for (size_t i = 0; i < v->author.domains_n; i++)
		assert_true(shows(s, cstr(a, v->author.domains[i])));
	if (v->author.address.n > 0) {
		const struct skeleton_address *first = s->envelope.from;
		while (first->host.n == 0)
			first++;
		assert_str(
		    v->author.address,
		    str_format(a, "%.*s@%.*s", STR_ARG(first->mailbox),
			       STR_ARG(str_eq(first->host, S("MISSING_DOMAIN")) ? STR_NONE
										: first->host)));
	}
}

static void judge(const struct forgery *f, str message, str sender)
{
	struct zone zone = { records, ARRAY_LEN(records), DNS_NXDOMAIN, 0 };
	const struct dns_source dns = { &zone, zone_query };
	const struct auth_rules rules = {
		.spf = true, .dkim = true, .arc = true, .dmarc = true, .dns = &dns
	};
	struct spf_query q = { .client = { .bytes = { 192, 0, 2, 1 } },
			       .helo = str_cstr(f->helo),
			       .mail_from = sender,
			       .now = 1790000000 };
	size_t header = header_length(message);
	struct auth_check *c = auth_check_new(a, &rules, str_slice(message, 0, header));
	const struct skeleton *s = skeleton_of(message);
	struct auth_verdict v;

	auth_check_body(c, str_skip(message, header));
	auth_check_finish(c, &q, &v);
	check_shown(&v, s);
	if (!shows(s, "legitimate.example"))
		return;
	if (v.dmarc.result == DMARC_PASS || v.dmarc.disposition == DMARC_ACCEPT)
		fail_msg("%.*s\n%s, %s: %.*s", STR_ARG(message), dmarc_result_name(v.dmarc.result),
			 dmarc_disposition_name(v.dmarc.disposition), STR_ARG(v.dmarc.reason));
}

/* As the session reads MAIL FROM; false: refused there. */
static bool read_sender(const char *path, str *out)
{
	struct scan s = scan_of(str_cstr(path));
	struct address m;

	if (address_scan_path(a, &s, ADDRESS_NULL, &m) || !scan_end(&s))
		return false;
	*out = STR_NONE;
	return m.null || address_canonical(a, &m, out) == NULL;
}

static void run(const struct forgery *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct forgery *f = &list[i];
		str sender;
		if (!read_sender(f->sender, &sender))
			sender = S("any@attack.example"); /* he tries again without the trick */
		assert_false(str_ends_nocase(sender, S("@legitimate.example")));
		judge(f, str_format(a, "%s%sSubject: x\r\n\r\nbody\r\n", f->one, f->two), sender);
		judge(f, str_format(a, "%s%sSubject: x\r\n\r\nbody\r\n", f->two, f->one), sender);
	}
}

static void test_composition(void **state)
{
	(void)state;
	assert_int_equal(ARRAY_LEN(composition), 22);
	run(composition, ARRAY_LEN(composition));
}

static void test_weak_links(void **state)
{
	(void)state;
	assert_int_equal(ARRAY_LEN(weak_links), 14);
	run(weak_links, ARRAY_LEN(weak_links));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_composition),
					    cmocka_unit_test(test_weak_links) };

	return cmocka_run_group_tests(tests, start, stop);
}
