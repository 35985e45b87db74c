#include "base/unit.h"

#include "ctl/story.h"

static struct event_record event(const char *code, const char *arguments)
{
	return (struct event_record){ .time = 1795288091000,
				      .message = 5,
				      .stage = S("mx"),
				      .code = str_cstr(code),
				      .arguments = str_cstr(arguments) };
}

static void test_translated(void **state)
{
	const char *missing = story_untranslated();

	(void)state;
	if (missing)
		fail_msg("not the same in all languages: %s", missing);
}

/* Each row: an event, and how its sentence goes in both languages, and a word of the advice in English. */
static void test_endings(void **state)
{
	static const struct {
		const char *code, *arguments, *outcome, *en, *nl, *advice;
	} cases[] = {
		{ "refused_recipient",
		  "{\"recipient\":\"x@y\",\"reply\":\"550 5.1.1 no such mailbox\"}", "refused",
		  "Refused on 2026-11-21 19:08:11 UTC: there is no mailbox x@y here.",
		  "Geweigerd op 2026-11-21 19:08:11 UTC: we kunnen het postvak x@y hier niet vinden.",
		  "postern user add x@y" },
		{ "deferred_recipient",
		  "{\"recipient\":\"x@y\",\"reply\":\"452 4.2.2 mailbox full\"}", "put_off",
		  "Put off on 2026-11-21 19:08:11 UTC: the mailbox of x@y is full.",
		  "Uitgesteld op 2026-11-21 19:08:11 UTC: het postvak van x@y is vol.",
		  "quota x@y" },
		{ "refused_command",
		  "{\"command\":\"MAIL\",\"reply\":\"530 5.7.0 STARTTLS first\",\"action\":\"reject\",\"decided\":\"command\"}",
		  "refused",
		  "Refused on 2026-11-21 19:08:11 UTC: passwords and mail of people are taken only over TLS.",
		  "Geweigerd op 2026-11-21 19:08:11 UTC: wachtwoorden en mail van mensen worden alleen over TLS aangenomen.",
		  "465" },
		{ "failed",
		  "{\"recipient\":\"x@y\",\"code\":\"5.1.1\",\"text\":\"550 5.1.1 unknown\"}",
		  "failed",
		  "Not delivered, given up on 2026-11-21 19:08:11 UTC: there is no mailbox x@y.",
		  "Niet bezorgd, opgegeven op 2026-11-21 19:08:11 UTC: het postvak x@y is niet te vinden.",
		  "typing error" },
		{ "failed", "{\"recipient\":\"x@y\",\"code\":\"5.1.10\",\"text\":\"null MX\"}",
		  "failed",
		  "Not delivered, given up on 2026-11-21 19:08:11 UTC: the domain of x@y takes no mail.",
		  "Niet bezorgd, opgegeven op 2026-11-21 19:08:11 UTC: het domein van x@y neemt geen mail aan.",
		  "null MX" },
		{ "delivered", "{\"recipient\":\"x@y\"}", "delivered",
		  "Delivered on 2026-11-21 19:08:11 UTC: it is in the mailbox of x@y.",
		  "Bezorgd op 2026-11-21 19:08:11 UTC: het ligt in het postvak van x@y.", NULL },
		{ "nonsense", "{}", "recorded", "On 2026-11-21 19:08:11 UTC: nonsense {}.",
		  "Op 2026-11-21 19:08:11 UTC: nonsense {}.", NULL },
	};
	struct arena *a = arena_new(1 << 22);
	struct story s;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct event_record e = event(cases[i].code, cases[i].arguments);
		story_tell(a, &e, 1, LANGUAGE_EN, &s);
		assert_string_equal(s.outcome, cases[i].outcome);
		assert_str(s.sentence, str_cstr(cases[i].en));
		assert_int_equal(s.advice_n, cases[i].advice ? 1 : 0);
		if (cases[i].advice)
			assert_true(str_find_str(s.advice[0], str_cstr(cases[i].advice)) !=
				    SIZE_MAX);
		story_tell(a, &e, 1, LANGUAGE_NL, &s);
		assert_str(s.sentence, str_cstr(cases[i].nl));
	}
	arena_free(&a);
}

/* What came later to the same recipient counts; of several recipients the one who got nothing. */
static void test_several_events(void **state)
{
	struct arena *a = arena_new(1 << 22);
	const struct event_record events[] = {
		event("accepted", "{\"sender\":\"s@t\"}"),
		event("deferred",
		      "{\"recipient\":\"a@b\",\"code\":\"4.4.1\",\"text\":\"no answer\"}"),
		event("relayed", "{\"recipient\":\"c@d\"}"),
		event("relayed", "{\"recipient\":\"a@b\"}"),
		event("failed", "{\"recipient\":\"e@f\",\"code\":\"5.2.2\",\"text\":\"full\"}"),
	};
	struct story s;

	(void)state;
	story_tell(a, events, 1, LANGUAGE_EN, &s);
	assert_string_equal(s.outcome, "waiting");
	story_tell(a, events, 2, LANGUAGE_EN, &s);
	assert_string_equal(s.outcome, "delayed");
	story_tell(a, events, 3, LANGUAGE_EN, &s);
	assert_string_equal(s.outcome, "delayed");
	story_tell(a, events, 4, LANGUAGE_EN, &s);
	assert_string_equal(s.outcome, "relayed");
	story_tell(a, events, 5, LANGUAGE_EN, &s);
	assert_string_equal(s.outcome, "failed");
	arena_free(&a);
}

/* DMARC: what SPF and the signatures lack is said, for the domain that was judged. */
static void test_dmarc_advice(void **state)
{
	struct arena *a = arena_new(1 << 22);
	struct decision d = { .n = 0 };
	struct event_record e;
	struct story s;

	(void)state;
	decision_add(
	    &d, &(struct fact){ S("spf"), S("other.example"), S("pass"), S("ip4"), STR_NONE, 0 });
	decision_add(&d, &(struct fact){ S("dkim"), S("bank.example"), S("fail"), S("s"),
					 S("the body was changed"), 0 });
	decision_add(&d, &(struct fact){ S("dmarc"), S("bank.example"), S("fail"),
					 S("p=reject; bank.example"), STR_NONE, 0 });
	decision_want(&d, DECISION_REJECT, S("dmarc"));
	e = event("refused_message", cstr(a, decision_print(a, &d)));
	story_tell(a, &e, 1, LANGUAGE_EN, &s);
	assert_str(s.sentence,
		   S("Refused on 2026-11-21 19:08:11 UTC: the sender could not prove that it comes "
		     "from bank.example (DMARC, p=reject; bank.example)."));
	assert_int_equal(s.advice_n, 3);
	assert_true(str_starts(s.advice[0], S("Send with a MAIL FROM of bank.example")));
	assert_true(str_starts(s.advice[1], S("The DKIM signature of bank.example did not verify "
					      "(the body was changed)")));
	assert_true(str_find_str(s.advice[2], S("auth.mailing_lists")) != SIZE_MAX);
	d.action = DECISION_JUNK;
	e = event("accepted", cstr(a, decision_print(a, &d)));
	story_tell(a, &e, 1, LANGUAGE_NL, &s);
	assert_string_equal(s.outcome, "junk");
	assert_int_equal(s.advice_n, 3);
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_translated),
		cmocka_unit_test(test_endings),
		cmocka_unit_test(test_several_events),
		cmocka_unit_test(test_dmarc_advice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
