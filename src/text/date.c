#include "text/date.h"

#include <string.h>

#include "base/arena.h"
#include "base/scan.h"
#include "text/token.h"

enum { SECOND = 1000, MINUTE = 60 * SECOND, DAY_MINUTES = 24 * 60 };
static const i64 day_ms = (i64)DAY_MINUTES * MINUTE;
static const i64 first_ms = -2208988800000, last_ms = 253402300799999; /* 1900 and 9999 */

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char weekdays[] = "SunMonTueWedThuFriSat";

/* RFC 5322 4.3. Military zones count as -0000, as it says. */
static const struct {
	str name;
	int zone;
} zones[] = {
	{ S("UT"), 0 },     { S("GMT"), 0 },    { S("UTC"), 0 },    { S("Z"), 0 },
	{ S("EST"), -300 }, { S("EDT"), -240 }, { S("CST"), -360 }, { S("CDT"), -300 },
	{ S("MST"), -420 }, { S("MDT"), -360 }, { S("PST"), -480 }, { S("PDT"), -420 },
};

static bool is_leap(int year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int month_days(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

/* Days since 1970-01-01, counting years from March so that the leap day is the last. */
static i64 days_of(int year, int month, int day)
{
	i64 y = month > 2 ? year : year - 1;
	i64 m = month > 2 ? month - 3 : month + 9;
	i64 era = y / 400, of_era = y % 400;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * m + 2) / 5 + day -
	       1 - 719468;
}

static void date_of_days(i64 days, struct date *d)
{
	i64 z = days + 719468, era = z / 146097, of_era = z % 146097;
	i64 year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	i64 of_year = of_era - (365 * year + year / 4 - year / 100);
	i64 m = (5 * of_year + 2) / 153;

	d->day = (int)(of_year - (153 * m + 2) / 5 + 1);
	d->month = (int)(m < 10 ? m + 3 : m - 9);
	d->year = (int)(era * 400 + year + (d->month <= 2));
	d->weekday = (int)((days + 25571 * 7 + 4) % 7);
}

struct date date_split(i64 ms, int zone)
{
	struct date d;
	i64 days, rest;

	ms = ms < first_ms ? first_ms : ms > last_ms ? last_ms : ms;
	ms += (i64)zone * MINUTE;
	days = ms / day_ms - (ms % day_ms < 0);
	rest = (ms - days * day_ms) / SECOND;
	date_of_days(days, &d);
	d.hour = (int)(rest / 3600);
	d.minute = (int)(rest / 60 % 60);
	d.second = (int)(rest % 60);
	return d;
}

bool date_join(const struct date *d, int zone, i64 *ms)
{
	if (d->year < 1900 || d->year > 9999 || d->month < 1 || d->month > 12 || d->day < 1 ||
	    d->day > month_days(d->year, d->month) || d->hour < 0 || d->hour > 23 ||
	    d->minute < 0 || d->minute > 59 || d->second < 0 || d->second > 60)
		return false;
	*ms = days_of(d->year, d->month, d->day) * day_ms +
	      ((i64)d->hour * 3600 + d->minute * 60 + d->second) * SECOND - (i64)zone * MINUTE;
	return true;
}

/* --- steps --- */

static bool scan_digits(struct scan *s, size_t least, size_t most, int *out)
{
	struct scan saved = *s;
	str digits;
	u64 value;

	if (scan_span(s, CHAR_DIGIT, &digits) && digits.n >= least && digits.n <= most &&
	    str_u64(digits, &value)) {
		*out = (int)value;
		return true;
	}
	*s = saved;
	return false;
}

/* One of the names of three letters, its index in *out. */
static bool scan_name(struct scan *s, const char *names, size_t n, int *out)
{
	for (size_t i = 0; i < n; i++)
		if (scan_lit(s, str_from(names + i * 3, 3))) {
			*out = (int)i;
			return true;
		}
	return false;
}

static bool scan_month(struct scan *s, int *month)
{
	if (!scan_name(s, months, 12, month))
		return false;
	++*month;
	return true;
}

/* ("+" / "-") 4DIGIT */
static bool scan_offset(struct scan *s, int *zone)
{
	struct scan saved = *s;
	bool minus = scan_peek(s) == '-';
	int value;

	if ((scan_byte(s, '+') || scan_byte(s, '-')) && scan_digits(s, 4, 4, &value) &&
	    value % 100 < 60 && value / 100 * 60 + value % 100 <= DATE_ZONE_MAX) {
		*zone = value / 100 * 60 + value % 100;
		if (minus)
			*zone = -*zone;
		return true;
	}
	*s = saved;
	return false;
}

static bool gap(struct scan *s)
{
	bool broken = false;

	token_cfws0(s, &broken);
	return !broken;
}

/* RFC 5322 4.3: two digits mean 1950 to 2049, three are counted from 1900. */
static bool scan_year(struct scan *s, int *year)
{
	size_t before = s->rest.n;

	if (!scan_digits(s, 2, 4, year))
		return false;
	if (before - s->rest.n == 2)
		*year += *year < 50 ? 2000 : 1900;
	if (before - s->rest.n == 3)
		*year += 1900;
	return true;
}

/* hour ":" minute [":" second], blanks anywhere (obs-time-of-day); one digit is seen often. */
static bool scan_time(struct scan *s, struct date *d)
{
	if (!(scan_digits(s, 1, 2, &d->hour) && gap(s) && scan_byte(s, ':') && gap(s) &&
	      scan_digits(s, 1, 2, &d->minute) && gap(s)))
		return false;
	return !scan_byte(s, ':') || (gap(s) && scan_digits(s, 1, 2, &d->second));
}

static bool scan_zone(struct scan *s, int *zone)
{
	str name;

	if (scan_offset(s, zone))
		return true;
	*zone = 0;
	if (!scan_span(s, CHAR_ALPHA, &name))
		return scan_end(s); /* seen often: no zone at all */
	for (size_t i = 0; i < ARRAY_LEN(zones); i++)
		if (str_eq_nocase(zones[i].name, name))
			*zone = zones[i].zone;
	return true;
}

bool date_parse(str text, i64 *ms, int *zone)
{
	struct scan s = scan_of(text);
	struct date d = { 0 };
	int offset;

	if (!gap(&s))
		return false;
	if (scan_name(&s, weekdays, 7, &d.weekday) &&
	    !(gap(&s) && (scan_byte(&s, ',') || true) && gap(&s)))
		return false;
	if (!(scan_digits(&s, 1, 2, &d.day) && gap(&s) && scan_month(&s, &d.month) && gap(&s) &&
	      scan_year(&s, &d.year) && gap(&s) && scan_time(&s, &d) && gap(&s) &&
	      scan_zone(&s, &offset) && date_join(&d, offset, ms)))
		return false;
	if (zone)
		*zone = offset;
	return true;
}

static char sign(int zone)
{
	return zone < 0 ? '-' : '+';
}

/* hhmm */
static int clock_of(int zone)
{
	int minutes = zone < 0 ? -zone : zone;

	return minutes / 60 * 100 + minutes % 60;
}

str date_print(struct arena *a, i64 ms, int zone)
{
	struct date d = date_split(ms, zone);

	return str_format(a, "%.3s, %d %.3s %04d %02d:%02d:%02d %c%04d", weekdays + d.weekday * 3,
			  d.day, months + (d.month - 1) * 3, d.year, d.hour, d.minute, d.second,
			  sign(zone), clock_of(zone));
}

/* date-day "-" date-month "-" date-year, RFC 3501 9. */
static bool scan_imap_day(struct scan *s, struct date *d)
{
	return scan_digits(s, 1, 2, &d->day) && scan_byte(s, '-') && scan_month(s, &d->month) &&
	       scan_byte(s, '-') && scan_digits(s, 4, 4, &d->year);
}

bool date_parse_imap(str text, i64 *ms, int *zone)
{
	struct scan s = scan_of(text);
	struct date d = { 0 };
	int offset;

	scan_sp(&s);
	if (!(scan_imap_day(&s, &d) && scan_sp(&s) && scan_digits(&s, 2, 2, &d.hour) &&
	      scan_byte(&s, ':') && scan_digits(&s, 2, 2, &d.minute) && scan_byte(&s, ':') &&
	      scan_digits(&s, 2, 2, &d.second) && scan_sp(&s) && scan_offset(&s, &offset) &&
	      scan_end(&s) && date_join(&d, offset, ms)))
		return false;
	if (zone)
		*zone = offset;
	return true;
}

/* So many digits, then a byte. */
static u8 *put_digits(u8 *at, int digits, int value, char behind)
{
	for (int i = digits; i-- > 0; value /= 10)
		at[i] = (u8)('0' + value % 10);
	at[digits] = (u8)behind;
	return at + digits + 1;
}

/* Without printf: the listing of a large mailbox has one of these a message. */
str date_print_imap(struct arena *a, i64 ms, int zone)
{
	struct date d = date_split(ms, zone);
	u8 *text = arena_alloc(a, DATE_TEXT), *at;

	at = put_digits(text, 2, d.day, '-');
	if (text[0] == '0')
		text[0] = ' ';
	memcpy(at, months + (d.month - 1) * 3, 3);
	at[3] = '-';
	at = put_digits(at + 4, 4, d.year, ' ');
	at = put_digits(at, 2, d.hour, ':');
	at = put_digits(at, 2, d.minute, ':');
	at = put_digits(at, 2, d.second, ' ');
	*at = (u8)sign(zone);
	at = put_digits(at + 1, 4, clock_of(zone), 0);
	return str_from(text, (size_t)(at - 1 - text));
}

bool date_parse_imap_day(str text, i64 *ms)
{
	struct scan s = scan_of(text);
	struct date d = { 0 };

	return scan_imap_day(&s, &d) && scan_end(&s) && date_join(&d, 0, ms);
}

str date_print_imap_day(struct arena *a, i64 ms, int zone)
{
	struct date d = date_split(ms, zone);

	return str_format(a, "%d-%.3s-%04d", d.day, months + (d.month - 1) * 3, d.year);
}

str date_print_iso(struct arena *a, i64 ms)
{
	struct date d = date_split(ms, 0);
	int milli = (int)((ms % SECOND + SECOND) % SECOND);

	return str_format(a, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", d.year, d.month, d.day, d.hour,
			  d.minute, d.second, milli);
}

/* RFC 3339 5.6: [ "." 1*DIGIT ] */
static i64 scan_fraction(struct scan *s)
{
	str digits = STR_NONE;
	i64 ms = 0, unit = 100;

	if (scan_byte(s, '.'))
		scan_span(s, CHAR_DIGIT, &digits);
	for (size_t i = 0; i < digits.n && unit; i++, unit /= 10)
		ms += unit * (digits.p[i] - '0');
	return ms;
}

/* RFC 3339 5.6: time-offset; nothing is UTC. */
static bool scan_iso_zone(struct scan *s, int *zone)
{
	int hours, minutes, direction = scan_peek(s) == '-' ? -1 : 1;

	*zone = 0;
	if (scan_end(s) || scan_lit(s, S("Z")))
		return true;
	if (!(scan_byte(s, '+') || scan_byte(s, '-')) || !scan_digits(s, 2, 2, &hours) ||
	    !scan_byte(s, ':') || !scan_digits(s, 2, 2, &minutes) || minutes > 59)
		return false;
	*zone = direction * (hours * 60 + minutes);
	return hours * 60 + minutes <= DATE_ZONE_MAX;
}

bool date_parse_iso(str text, i64 *ms)
{
	struct scan s = scan_of(text);
	struct date d = { 0 };
	i64 fraction;
	int zone;

	if (!(scan_digits(&s, 4, 4, &d.year) && scan_byte(&s, '-') &&
	      scan_digits(&s, 2, 2, &d.month) && scan_byte(&s, '-') &&
	      scan_digits(&s, 2, 2, &d.day) && (scan_lit(&s, S("T")) || scan_sp(&s)) &&
	      scan_digits(&s, 2, 2, &d.hour) && scan_byte(&s, ':') &&
	      scan_digits(&s, 2, 2, &d.minute) && scan_byte(&s, ':') &&
	      scan_digits(&s, 2, 2, &d.second)))
		return false;
	fraction = scan_fraction(&s);
	if (!scan_iso_zone(&s, &zone) || !scan_end(&s) || !date_join(&d, zone, ms))
		return false;
	*ms += fraction;
	return true;
}
