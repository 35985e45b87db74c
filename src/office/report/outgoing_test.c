/* Facts become rows, rows a report, a report one message: counted once, sent once, whatever dies when. */
#include "base/unit.h"

#include "office/queue/queue_test_support.h"
#include "office/report/outgoing.h"
#include "report/aggregate.h"

enum { HOUR = 3600 * 1000, DAY = 24 * HOUR };

static const str rua[] = { { (const u8 *)"mailto:dmarc@remote.example!10m", 31 } };
static const str to_remote[] = { { (const u8 *)"dmarc@remote.example", 20 } };
static const str to_remote_loud[] = { { (const u8 *)"DMARC@Remote.Example", 20 } };

static struct dmarc_fact fact_of(const char *domain, u8 last_byte)
{
	static u8 sources[256][4];
	struct dmarc_fact f = { .published = { .domain = str_cstr(domain),
					       .p = 2,
					       .sp = 2,
					       .np = 2,
					       .fo = 1,
					       .rua = rua,
					       .rua_n = 1 },
				.row = { .header_from = str_cstr(domain),
					 .envelope_from = S("bounce.example"),
					 .disposition = AGGREGATE_REJECT,
					 .has_spf = true,
					 .spf_domain = S("bounce.example"),
					 .count = 1 } };

	sources[last_byte][0] = 192;
	sources[last_byte][3] = last_byte;
	f.row.source = str_from(sources[last_byte], 4);
	return f;
}

struct noting {
	const struct dmarc_fact *facts;
	size_t n;
	u64 due;
};

static const struct fail *note_run(struct tx *t, void *context)
{
	struct noting *x = context;

	x->due = UINT64_MAX;
	return outgoing_note(t, 2, x->facts, x->n, &x->due);
}

static u64 note(struct desk *d, const struct dmarc_fact *facts, size_t n)
{
	struct noting x = { .facts = facts, .n = n };

	must(outgoing_check(d->w.arena, facts, n));
	must(world_write(&d->w, false, note_run, &x));
	return x.due;
}

struct taking {
	struct office_report_next_answer answer;
	u64 due;
	struct arena *keep;
};

/* The answer lives in the job's arena; the test keeps what it looks at. */
static const struct fail *take_run(struct tx *t, void *context)
{
	struct taking *x = context;
	struct dmarc_row *rows;

	TRY(outgoing_take(t, &x->answer, &x->due));
	rows = arena_array_of(x->keep, x->answer.rows_n, struct dmarc_row);
	for (size_t i = 0; i < x->answer.rows_n; i++) {
		rows[i] = x->answer.rows[i];
		rows[i].source = str_copy(x->keep, rows[i].source);
	}
	x->answer.rows = rows;
	return NULL;
}

static struct taking take(struct desk *d)
{
	struct taking x = { .keep = d->w.arena };

	must(world_write(&d->w, false, take_run, &x));
	return x;
}

struct committing {
	struct desk *desk;
	struct office_report_commit_request q;
	struct body_draft body;
	struct queue_changes changes;
};

static const struct fail *commit_run(struct tx *t, void *context)
{
	struct committing *x = context;

	queue_changes_init(&x->changes, t->arena);
	return outgoing_commit(t, x->desk->queue, 2, &x->q, &x->body, &x->changes);
}

/* The address is spelled in two ways by turns: it is one. */
static const struct fail *commit(struct desk *d, u64 id, u32 attempt, enum report_outcome outcome)
{
	static unsigned turn;
	struct committing x = { .desk = d,
				.q = { .id = id,
				       .attempt = attempt,
				       .outcome = (u8)outcome,
				       .why = S("because"),
				       .recipients = turn++ % 2 ? to_remote : to_remote_loud,
				       .recipients_n = 1 } };

	make_draft(&d->w, 300, 1, &x.body);
	TRY(world_write(&d->w, false, commit_run, &x));
	queue_apply(d->queue, &x.changes);
	return NULL;
}

static void list(struct desk *d, u64 day, struct report_info **out, size_t *n)
{
	struct tx t;

	must(store_read_begin(d->w.store, d->w.arena, &t));
	must(store_outgoing_list(&t, day, out, n));
	store_read_end(&t);
}

static const struct fail *hurry_run(struct tx *t, void *context)
{
	u64 count;

	TRY(store_outgoing_hurry(t, *(const u64 *)context, &count));
	assert_int_equal(count, 1);
	return NULL;
}

static u64 messages_queued(struct desk *d)
{
	return desk_number(d, ask_queued, 0, 0);
}

/* A desk at midnight of some day, which is returned. */
static u64 day_new(struct desk *d)
{
	desk_new(d);
	d->w.clock = d->w.clock / DAY * DAY;
	return d->w.clock / DAY;
}

/* When all reports of the day are due. */
static void day_is_over(struct desk *d, u64 day)
{
	d->w.clock = (day + 1) * DAY + OUTGOING_SPREAD_MS;
}

/* One fact about a domain, whose report is then due. */
static u64 day_with(struct desk *d, const struct dmarc_fact *fact)
{
	u64 day = day_new(d);

	note(d, fact, 1);
	day_is_over(d, day);
	return day;
}

/* Sends the report that is due; the number of its rows, 0 when there is none. */
static size_t send_next(struct desk *d)
{
	struct taking x = take(d);

	if (x.answer.id)
		must(commit(d, x.answer.id, x.answer.attempt, REPORT_OUTCOME_SEND));
	return x.answer.id ? x.answer.rows_n : 0;
}

/* The first report of a day. */
static struct report_info first_report(struct desk *d, u64 day)
{
	struct report_info *reports;
	size_t n;

	list(d, day, &reports, &n);
	assert_int_equal(n, 1);
	return reports[0];
}

static void test_counts(void **state)
{
	struct dmarc_fact facts[] = { fact_of("a.example", 1), fact_of("a.example", 1),
				      fact_of("a.example", 2), fact_of("b.example", 1) };
	struct dmarc_signature signature = { S("a.example"), S("s1"), 1, 0 };
	struct report_info *reports;
	struct taking x;
	struct desk d;
	u64 day, due;
	size_t n;

	(void)state;
	day = day_new(&d);
	due = note(&d, facts, ARRAY_LEN(facts));
	assert_in_range(due, (day + 1) * DAY, (day + 1) * DAY + OUTGOING_SPREAD_MS);
	facts[0].row.signatures = &signature;
	facts[0].row.signatures_n = 1;
	facts[0].published.p = 1; /* changed during the day: the last one is told */
	note(&d, facts, 1);
	assert_int_equal(take(&d).answer.id, 0);
	list(&d, day, &reports, &n);
	assert_int_equal(n, 2);
	assert_int_equal(reports[0].rows, 3);
	assert_int_equal(reports[0].messages, 4);
	day_is_over(&d, day);
	for (int i = 0; i < 2; i++) {
		u64 sum = 0;
		x = take(&d);
		assert_int_not_equal(x.answer.id, 0);
		assert_int_equal(x.answer.begin, day * 86400);
		assert_int_equal(x.answer.end, day * 86400 + 86399);
		for (size_t r = 0; r < x.answer.rows_n; r++)
			sum += x.answer.rows[r].count;
		assert_int_equal(sum, x.answer.rows_n == 3 ? 4 : 1);
		assert_int_equal(x.answer.published.p, x.answer.rows_n == 3 ? 1 : 2);
	}
	assert_int_equal(take(&d).answer.id, 0);
	desk_free(&d);
}

/* Between writing and commit anything may die: the same report again later, from another attempt, and the first one is void. */
static void test_once(void **state)
{
	struct dmarc_fact fact = fact_of("a.example", 1);
	struct report_info report;
	struct taking first, second;
	struct desk d;
	u64 day;

	(void)state;
	day = day_with(&d, &fact);
	first = take(&d);
	desk_restart(&d); /* mda wrote it, everything died */
	assert_int_equal(take(&d).answer.id, 0);
	d.w.clock += OUTGOING_AGAIN_MS;
	second = take(&d);
	assert_int_equal(second.answer.id, first.answer.id);
	assert_int_equal(second.answer.rows_n, 1);
	must_fail(commit(&d, first.answer.id, first.answer.attempt, REPORT_OUTCOME_SEND),
		  FAIL_DENIED);
	assert_int_equal(messages_queued(&d), 0);
	must(commit(&d, second.answer.id, second.answer.attempt, REPORT_OUTCOME_SEND));
	assert_int_equal(messages_queued(&d), 1);
	must_fail(commit(&d, second.answer.id, second.answer.attempt, REPORT_OUTCOME_SEND),
		  FAIL_DENIED);
	desk_restart(&d);
	must_fail(commit(&d, second.answer.id, second.answer.attempt, REPORT_OUTCOME_SEND),
		  FAIL_DENIED);
	d.w.clock += DAY;
	assert_int_equal(take(&d).answer.id, 0);
	assert_int_equal(messages_queued(&d), 1);
	report = first_report(&d, day);
	assert_int_equal(report.state, REPORT_SENT);
	assert_int_not_equal(report.message, 0);
	assert_true(desk_has_event(&d, report.message, EVENT_REPORT_SENT));
	desk_free(&d);
}

/* A commit that the disk refuses leaves neither message nor state; the office starts anew and the report is due again. */
static void test_disk_fails(void **state)
{
	struct dmarc_fact fact = fact_of("a.example", 1);
	struct taking x;
	struct desk d;
	u64 day;

	(void)state;
	day = day_with(&d, &fact);
	x = take(&d);
	d.w.fault_at = ENV_FAULT_COMMIT;
	d.w.fault_error = EIO;
	d.w.fault_in = 1;
	assert_non_null(commit(&d, x.answer.id, x.answer.attempt, REPORT_OUTCOME_SEND));
	desk_restart(&d);
	assert_int_equal(messages_queued(&d), 0);
	assert_int_equal(first_report(&d, day).state, REPORT_CLOSED);
	d.w.clock += OUTGOING_AGAIN_MS;
	assert_int_equal(send_next(&d), 1);
	assert_int_equal(messages_queued(&d), 1);
	desk_free(&d);
}

/* Whoever keeps dying over a report, or gets no answer from DNS, does so a bounded number of times. */
static void test_given_up(void **state)
{
	struct dmarc_fact fact = fact_of("a.example", 1);
	struct report_info report;
	struct desk d;
	unsigned tries = 0;
	u64 day;

	(void)state;
	day = day_with(&d, &fact);
	for (int i = 0; i < 1000; i++) {
		struct taking x = take(&d);
		tries += x.answer.id != 0;
		if (x.answer.id)
			must(commit(&d, x.answer.id, x.answer.attempt, REPORT_OUTCOME_LATER));
		d.w.clock += OUTGOING_AGAIN_MS;
	}
	assert_int_equal(tries, OUTGOING_TRIES);
	report = first_report(&d, day);
	assert_int_equal(report.state, REPORT_UNSENT);
	assert_str(report.why, S("because"));
	assert_true(desk_has_event(&d, 0, EVENT_REPORT_UNSENT));
	desk_free(&d);
}

/* What comes after an early report is another report of the same day; each message is in one. */
static void test_early(void **state)
{
	struct dmarc_fact fact = fact_of("a.example", 1);
	struct report_info *reports;
	struct taking x, y;
	struct desk d;
	size_t n;
	u64 day;

	(void)state;
	day = day_new(&d);
	note(&d, &fact, 1);
	d.w.clock += HOUR;
	must(world_write(&d.w, false, hurry_run, &day));
	x = take(&d);
	assert_int_equal(x.answer.end, day * 86400 + 3600);
	note(&d, &fact, 1); /* while it is written */
	note(&d, &fact, 1);
	must(commit(&d, x.answer.id, x.answer.attempt, REPORT_OUTCOME_SEND));
	list(&d, day, &reports, &n);
	assert_int_equal(n, 2);
	assert_int_equal(reports[1].begin, x.answer.end + 1);
	day_is_over(&d, day);
	y = take(&d);
	assert_int_not_equal(y.answer.id, x.answer.id);
	assert_int_equal(y.answer.rows_n, 1);
	assert_int_equal(y.answer.rows[0].count, 2);
	desk_free(&d);
}

/* THREATS R05: many domains, one address. */
static void test_rate(void **state)
{
	struct report_info *reports;
	struct desk d;
	unsigned sent = 0;
	size_t n;
	u64 day;

	(void)state;
	day = day_new(&d);
	for (unsigned i = 0; i < OUTGOING_RATE + 5; i++) {
		char name[32];
		struct dmarc_fact fact;
		snprintf(name, sizeof name, "d%u.example", i);
		fact = fact_of(name, 1);
		note(&d, &fact, 1);
	}
	d.w.clock = (day + 1) * DAY + 12 * (u64)HOUR;
	while (send_next(&d))
		;
	list(&d, day, &reports, &n);
	for (size_t i = 0; i < n; i++)
		sent += reports[i].state == REPORT_SENT;
	assert_int_equal(sent, OUTGOING_RATE);
	assert_int_equal(messages_queued(&d), OUTGOING_RATE);
	d.w.clock += HOUR;
	for (int i = 0; i < 5; i++)
		assert_int_equal(send_next(&d), 1);
	assert_int_equal(messages_queued(&d), OUTGOING_RATE + 5);
	desk_free(&d);
}

static void test_overflow(void **state)
{
	struct report_info report;
	char names[OUTGOING_ROWS + 10][32];
	struct desk d;

	(void)state;
	desk_new(&d);
	for (int i = 0; i < OUTGOING_ROWS + 10; i++) {
		struct dmarc_fact fact = fact_of("a.example", 1);
		snprintf(names[i], sizeof names[i], "x%d.a.example", i);
		fact.row.header_from = str_cstr(names[i]);
		note(&d, &fact, 1);
	}
	report = first_report(&d, d.w.clock / DAY);
	assert_int_equal(report.rows, OUTGOING_ROWS);
	assert_int_equal(report.messages, OUTGOING_ROWS + 10);
	assert_int_equal(report.dropped, 10);
	desk_free(&d);
}

/* Two an hour for an address, whoever fails how often; the rest is forgotten. */
static void test_failures(void **state)
{
	struct dmarc_failure failure = { .time = 1, .header = S("Subject: x\r\n") };
	struct dmarc_fact fact = fact_of("a.example", 1);
	unsigned written = 0;
	struct desk d;

	(void)state;
	desk_new(&d);
	d.w.clock = d.w.clock / HOUR * HOUR;
	fact.published.rua_n = 0;
	fact.published.ruf = rua;
	fact.published.ruf_n = 1;
	fact.failures = &failure;
	fact.failures_n = 1;
	for (int i = 0; i < 50; i++)
		note(&d, &fact, 1);
	for (int i = 0; i < 50; i++) {
		struct taking x = take(&d);
		if (x.answer.id == 0)
			break;
		assert_int_equal(x.answer.failures_n, 1);
		written++;
		must(commit(&d, x.answer.id, x.answer.attempt, REPORT_OUTCOME_SEND));
	}
	assert_int_equal(written, 2 * OUTGOING_FAILURES_ALL);
	assert_int_equal(messages_queued(&d), 2);
	d.w.clock += HOUR;
	note(&d, &fact, 1);
	assert_int_equal(send_next(&d), 1);
	assert_int_equal(messages_queued(&d), 3);
	desk_free(&d);
}

static void test_facts_checked(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct dmarc_fact good = fact_of("a.example", 1), f;
	static const str bad_uri[] = { { (const u8 *)"mailto:a b", 10 } };

	(void)state;
	assert_ok(outgoing_check(a, &good, 1));
#define BAD(change) \
	f = good;   \
	change;     \
	assert_fail(outgoing_check(a, &f, 1), FAIL_INVALID)
	BAD(f.published.domain = S("a/b.example"));
	BAD(f.published.domain = STR_NONE);
	BAD(f.published.domain = S("a.example\r\nBcc: x"));
	BAD(f.published.p = 3);
	BAD(f.published.fo = 16);
	BAD(f.published.rua = bad_uri);
	BAD(f.published.rua_n = OUTGOING_URIS + 1);
	BAD(f.row.source = S("abc"));
	BAD(f.row.header_from = S("\xC3\xA9.example"));
	BAD(f.row.disposition = AGGREGATE_REJECT + 1);
	BAD(f.row.reason = AGGREGATE_FORWARDED);
	BAD(f.row.comment = S("a\nb"));
	BAD(f.row.count = 2);
	BAD(f.row.signatures_n = OUTGOING_SIGNATURES + 1);
	BAD(f.failures_n = 2);
	assert_fail(outgoing_check(a, &good, OUTGOING_FACTS + 1), FAIL_INVALID);
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),        cmocka_unit_test(test_once),
		cmocka_unit_test(test_disk_fails),    cmocka_unit_test(test_given_up),
		cmocka_unit_test(test_early),         cmocka_unit_test(test_rate),
		cmocka_unit_test(test_overflow),      cmocka_unit_test(test_failures),
		cmocka_unit_test(test_facts_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
