/* postern dmarc send: the DMARC reports that this server owes to other domains, seen and hurried. */
#include <unistd.h>

#include "base/env.h"
#include "base/scan.h"
#include "ctl/ctl_int.h"
#include "text/date.h"

enum { DAY_MS = 86400000, SEND_WAIT_MS = 90 * 1000, SEND_LOOK_MS = 200 };

static const char *const columns[] = { "domain", "from", "until", "state", "messages", "missing",
				       "rows",   "asks", "due",   "sent",  "id",       "why" };

static str state_name(u8 state)
{
	switch ((enum report_state)state) {
	case REPORT_GATHERING:
		return S("gathering");
	case REPORT_CLOSED:
		return S("waiting");
	case REPORT_SENT:
		return S("sent");
	case REPORT_UNSENT:
		return S("unsent");
	}
	return S("unknown");
}

static void list_one(struct listing *l, const struct report_info *r)
{
	bool open = r->state == REPORT_GATHERING || r->state == REPORT_CLOSED;

	listing_str(l, r->domain.n ? r->domain : S("(others)"));
	listing_time(l, r->begin * 1000);
	listing_time(l, r->end * 1000);
	listing_str(l, state_name(r->state));
	listing_u64(l, r->messages);
	listing_u64(l, r->dropped);
	listing_u64(l, r->rows);
	listing_list(l, r->rua, r->rua_n);
	listing_time(l, open ? r->due : 0);
	listing_time(l, r->sent);
	if (r->message)
		listing_id(l, r->message);
	else
		listing_str(l, S("-"));
	listing_str(l, r->why);
}

/* "2026-11-20" as milliseconds. */
static bool read_day(str text, u64 *out)
{
	struct scan s = scan_of(text);
	str year, month, day;
	u64 y, m, d;
	i64 ms;

	if (!scan_span(&s, CHAR_DIGIT, &year) || !scan_byte(&s, '-') ||
	    !scan_span(&s, CHAR_DIGIT, &month) || !scan_byte(&s, '-') ||
	    !scan_span(&s, CHAR_DIGIT, &day) || !scan_end(&s) || !str_u64(year, &y) ||
	    !str_u64(month, &m) || !str_u64(day, &d) || y < 1970 || y > 9999 || m > 12 || d > 31)
		return false;
	if (!date_join(&(struct date){ .year = (int)y, .month = (int)m, .day = (int)d }, 0, &ms))
		return false;
	*out = (u64)ms / DAY_MS;
	return true;
}

static const struct fail *day_of(struct ctl *c, u64 *out)
{
	str text = ctl_option(c, "day");
	u64 today = env_now(env_system()) / DAY_MS;

	*out = today - 1;
	if (text.p == NULL || str_eq(text, S("yesterday")))
		return NULL;
	if (str_eq(text, S("today")))
		*out = today;
	else if (!read_day(text, out) || *out > today)
		return fail_new(c->arena, FAIL_INVALID,
				"\"%.*s\" is no day: 2026-11-20, yesterday or today",
				STR_ARG(text));
	return NULL;
}

/* A report is settled when it went or will never go, or when its attempt now did not end well: "why" says it. */
static bool all_settled(const struct office_report_list_answer *r)
{
	for (size_t i = 0; i < r->reports_n; i++)
		if (r->reports[i].state == REPORT_CLOSED && r->reports[i].why.n == 0)
			return false;
	return true;
}

static const struct fail *send_now(struct ctl *c, u64 day, struct office_report_list_answer *list)
{
	struct office_report_send_request q = { .day = day };
	struct office_report_list_request look = { .day = day };
	struct office_report_send_answer r;

	TRY(office_report_send(c->arena, c->office, &q, &r));
	for (unsigned waited = 0; waited < SEND_WAIT_MS; waited += SEND_LOOK_MS) {
		TRY(office_report_list(c->arena, c->office, &look, list));
		if (all_settled(list))
			break;
		usleep(SEND_LOOK_MS * 1000);
	}
	return NULL;
}

static const struct fail *run(struct ctl *c, struct listing *l)
{
	struct office_report_list_request q;
	struct office_report_list_answer r;

	TRY(day_of(c, &q.day));
	TRY(ctl_connect(c));
	if (ctl_has(c, "dry-run"))
		TRY(office_report_list(c->arena, c->office, &q, &r));
	else
		TRY(send_now(c, q.day, &r));
	for (size_t i = 0; i < r.reports_n; i++)
		list_one(l, &r.reports[i]);
	return NULL;
}

enum exit_status ctl_dmarc_send(struct ctl *c)
{
	struct listing *l = listing_new(c, columns, ARRAY_LEN(columns));
	const struct fail *f = run(c, l);

	if (f)
		return ctl_fail(c, f, "send the DMARC reports");
	listing_print(l, "Nobody asked for a report about that day.");
	return EXIT_OK;
}
