/*
 * Dates of mail. Times are i64 milliseconds since 1970-01-01 UTC, leap seconds not counted; zones
 * are minutes east of UTC. No locale, no time zone of the machine. Years 1900 to 9999. Source: RFC
 * 5322 3.3 and 4.3, RFC 3501 9 (date-time, date).
 */
#ifndef TEXT_DATE_H
#define TEXT_DATE_H

#include "base/str.h"

enum date_limit { DATE_ZONE_MAX = 14 * 60, DATE_TEXT = 40 };

struct date {
	int year, month, day; /* month and day from 1 */
	int hour, minute, second;
	int weekday; /* 0: Sunday */
};

/* The civil date of ms in a zone; ms is cut to the years 1900 to 9999. */
struct date date_split(i64 ms, int zone);
/* False when a field is out of range (a second may be 60: RFC 5322 3.3) or the day is not in the
 * calendar. */
bool date_join(const struct date *d, int zone, i64 *ms) NODISCARD;

/* With comments, folding, two-digit years and named zones; a day of the week is not compared.
 * zone may be NULL. "-0000" and unknown zones count as UTC. */
bool date_parse(str text, i64 *ms, int *zone) NODISCARD;
/* "Sat, 21 Nov 2026 19:25:07 +0000" */
str date_print(struct arena *a, i64 ms, int zone);

/* "21-Nov-2026 19:25:07 +0000", the day also as " 1" (date-day-fixed). */
bool date_parse_imap(str text, i64 *ms, int *zone) NODISCARD;
str date_print_imap(struct arena *a, i64 ms, int zone);
/* "1-Nov-2026": its midnight in UTC. Without quotes. */
bool date_parse_imap_day(str text, i64 *ms) NODISCARD;
str date_print_imap_day(struct arena *a, i64 ms, int zone);

/* "2026-11-21T19:25:07.123Z", RFC 3339. */
str date_print_iso(struct arena *a, i64 ms);
/* The same with a zone ("+01:00"), and a blank or a "t" where the T is; fractions are cut to milliseconds; without a zone it is UTC. */
bool date_parse_iso(str text, i64 *ms) NODISCARD;

#endif
