#include "text/text_test.h"

#include "text/date.h"

static void dates_are_read(void **state)
{
	static const struct {
		str text;
		i64 ms;
		int zone;
	} rows[] = {
		{ S("Thu, 1 Jan 1970 00:00:00 +0000"), 0, 0 },
		{ S("Sat, 21 Nov 2026 19:25:07 +0000"), 1795289107000, 0 },
		{ S("21 Nov 2026 20:25:07 +0100"), 1795289107000, 60 },
		{ S("21 Nov 2026 12:55:07 -0630"), 1795289107000, -390 },
		{ S(" Sat (day) ,\r\n 21 (x(y)) NOV 26 14:25:07 EST (Eastern)"), 1795289107000,
		  -300 },
		{ S("21 Nov 2026 19:25 GMT"), 1795289100000, 0 },
		{ S("21 Nov 126 19 : 25 : 07 UT"), 1795289107000, 0 },
		{ S("21 Nov 2026 19:25:07 A"), 1795289107000, 0 },
		{ S("21 Nov 2026 19:25:07"), 1795289107000, 0 },
		{ S("Sat 21 Nov 2026 9:05:07 Z"), 1795251907000, 0 },
		{ S("29 Feb 2000 00:00:00 -0000"), 951782400000, 0 },
		{ S("31 Dec 1969 23:59:60 +0000"), 0, 0 },
		{ S("1 Jan 1900 00:00:00 +0000"), -2208988800000, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		i64 ms;
		int zone;
		assert_true(date_parse(rows[i].text, &ms, &zone));
		assert_int_equal(ms, rows[i].ms);
		assert_int_equal(zone, rows[i].zone);
	}
}

static void bad_dates_are_refused(void **state)
{
	static const str bad[] = { S(""),
				   S("Sat,"),
				   S("29 Feb 2001 00:00:00 +0000"),
				   S("31 Apr 2001 00:00:00 +0000"),
				   S("0 Jan 2001 00:00:00 +0000"),
				   S("1 Foo 2001 00:00:00 +0000"),
				   S("1 Jan 2001 24:00:00 +0000"),
				   S("1 Jan 2001 00:60:00 +0000"),
				   S("1 Jan 2001 00:00:61 +0000"),
				   S("1 Jan 2001 00:00:00 +1500"),
				   S("1 Jan 2001 00:00:00 +0060"),
				   S("1 Jan 1899 00:00:00 +0000"),
				   S("1 Jan 20010 00:00:00 +0000"),
				   S("99999999999999999999 Jan 2001 00:00:00 +0000"),
				   S("1 Jan 2001 (00:00:00 +0000") };
	i64 ms;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(date_parse(bad[i], &ms, NULL));
}

static void truncated_dates_do_no_harm(void **state)
{
	str text = S("Sat, 21 Nov 2026 19:25:07 +0000");
	i64 ms;

	(void)state;
	for (size_t n = 0; n < text.n; n++)
		(void)!date_parse(str_copy(arena, str_slice(text, 0, n)), &ms, NULL);
}

static void dates_are_printed(void **state)
{
	(void)state;
	assert_str(date_print(arena, 1795289107000, 0), "Sat, 21 Nov 2026 19:25:07 +0000");
	assert_str(date_print(arena, 1795289107000, -390), "Sat, 21 Nov 2026 12:55:07 -0630");
	assert_str(date_print(arena, -1, 0), "Wed, 31 Dec 1969 23:59:59 +0000");
	assert_str(date_print(arena, INT64_MIN, 0), "Mon, 1 Jan 1900 00:00:00 +0000");
	assert_str(date_print(arena, INT64_MAX, 0), "Fri, 31 Dec 9999 23:59:59 +0000");
	assert_str(date_print_imap(arena, 0, 60), " 1-Jan-1970 01:00:00 +0100");
	assert_str(date_print_imap_day(arena, 0, 0), "1-Jan-1970");
	assert_str(date_print_iso(arena, 1795289107123), "2026-11-21T19:25:07.123Z");
}

static void imap_dates_are_read(void **state)
{
	static const str bad[] = { S(""),
				   S("21-Nov-2026"),
				   S("21-Nov-2026 19:25:07"),
				   S("21-Nov-26 19:25:07 +0000"),
				   S("21-Nov-2026 19:25:07 +0000x"),
				   S("21-Nov-2026 9:25:07 +0000") };
	i64 ms;
	int zone;

	(void)state;
	assert_true(date_parse_imap(S("21-nov-2026 20:25:07 +0100"), &ms, &zone));
	assert_int_equal(ms, 1795289107000);
	assert_int_equal(zone, 60);
	assert_true(date_parse_imap(S(" 1-Jan-1970 00:00:00 +0000"), &ms, NULL));
	assert_int_equal(ms, 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(date_parse_imap(bad[i], &ms, NULL));
	assert_true(date_parse_imap_day(S("1-Feb-1970"), &ms));
	assert_int_equal(ms, (i64)31 * 86400000);
	assert_false(date_parse_imap_day(S("30-Feb-1970"), &ms));
}

/* Every day from 1900 to 2200, and each month's ends to 9999. */
static void calendar_goes_both_ways(void **state)
{
	(void)state;
	for (i64 day = -25567; day < 84000; day++) {
		struct date d = date_split(day * 86400000, 0);
		i64 ms;
		assert_true(date_join(&d, 0, &ms));
		assert_int_equal(ms, day * 86400000);
		assert_int_equal(d.weekday, (day + 25567 + 1) % 7);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(dates_are_read),
		TEST(bad_dates_are_refused),
		TEST(truncated_dates_do_no_harm),
		TEST(dates_are_printed),
		TEST(imap_dates_are_read),
		TEST(calendar_goes_both_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
