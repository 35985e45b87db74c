/* Evidence in Dutch: each form is found again, what is inside it is kept, what others said stays as it is. */
#include "base/unit.h"

#include "ctl/reason.h"

static void test_translated(void **state)
{
	static const struct {
		const char *en, *nl;
	} cases[] = {
		{ "the signature has expired", "de handtekening is verlopen" },
		{ "the signature has no bh=", "de handtekening heeft geen bh=" },
		{ "s= is not a selector", "s= is geen selector" },
		{ "x= is not later than t=", "x= is niet later dan t=" },
		{ "\"ip4:192.0.2.1\" in the SPF record of a.example matches 192.0.2.1",
		  "\"ip4:192.0.2.1\" in het SPF-record van a.example past bij 192.0.2.1" },
		{ "the SPF record of a.example cannot be used: it has exp= twice, at \"exp=b\"",
		  "het SPF-record van a.example is niet te gebruiken: exp= staat er twee keer in, bij \"exp=b\"" },
		{ "the key record is not a tag list: too many tags",
		  "het sleutelrecord is geen lijst van tags: te veel tags" },
		{ "a DKIM signature passed for b.example, which belongs to the same organization as the "
		  "author's domain a.b.example",
		  "een DKIM-handtekening slaagde voor b.example, van dezelfde organisatie als het domein "
		  "a.b.example van de schrijver" },
		{ "neither SPF nor DKIM vouches for the author's domain a.example (passed: nothing); "
		  "a.example asks for \"reject\", while it tests its policy",
		  "SPF noch DKIM staat in voor het domein a.example van de schrijver (geslaagd: niets); "
		  "a.example vraagt om \"reject\", terwijl het dat beleid uitprobeert" },
		{ "neither SPF nor DKIM vouches for the author's domain a.example (passed: SPF for "
		  "b.example); a.example asks for \"reject\"",
		  "SPF noch DKIM staat in voor het domein a.example van de schrijver (geslaagd: SPF for "
		  "b.example); a.example vraagt om \"reject\"" },
	};
	struct arena *a = arena_new(1 << 20);

	(void)state;
	assert_null(reason_untranslated());
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		str en = str_cstr(cases[i].en);
		assert_str(reason_in(a, en, LANGUAGE_NL), str_cstr(cases[i].nl));
		assert_str(reason_in(a, en, LANGUAGE_EN), en);
	}
	arena_free(&a);
}

static void test_left_alone(void **state)
{
	static const char *const cases[] = {
		"",
		"127.0.0.2: we do not like it",
		"no such mailbox",
		"the signature has expired!",
		"= is not a selector", /* a place holds something */
		"neither SPF nor DKIM vouches for the author's domain a.exam", /* cut */
	};
	struct arena *a = arena_new(1 << 20);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_str(reason_in(a, str_cstr(cases[i]), LANGUAGE_NL), str_cstr(cases[i]));
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_translated),
					    cmocka_unit_test(test_left_alone) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
