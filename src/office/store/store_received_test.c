/* Reports that came: what is kept once, what is not kept, what goes first, and lists that end. */
#include "office/store/store_test_support.h"

#include "base/id.h"
#include "office/store/store_event.h"
#include "office/store/store_received.h"
#include "report/aggregate_read.h"
#include "report/feedback.h"
#include "report/incoming.h"
#include "report/tlsrpt.h"

static const u64 day_ms = 24 * 60 * 60 * 1000;

static struct incoming_report aggregate(struct world *w, const char *sender, const char *domain,
					unsigned number)
{
	struct aggregate_record *row = arena_new_of(w->arena, struct aggregate_record);

	*row = (struct aggregate_record){ .source = S("\xC0\0\2\1"),
					  .count = 3,
					  .disposition = AGGREGATE_REJECT,
					  .dkim = true,
					  .header_from = str_cstr(domain) };
	return (struct incoming_report){ .kind = INCOMING_AGGREGATE,
					 .sender = str_cstr(sender),
					 .aggregate = { .org = S("Org"),
							.report_id =
							    str_format(w->arena, "id-%u", number),
							.begin = w->clock - day_ms,
							.end = w->clock,
							.policy = { .domain = str_cstr(domain) },
							.records = row,
							.records_n = 1 } };
}

static struct incoming_report tls(struct world *w, unsigned number)
{
	static const struct tlsrpt_policy policies[] = {
		{ .domain = S("example.test"), .failed = 1 },
		{ .domain = S("sub.example.test"), .successful = 5 }
	};

	return (
	    struct incoming_report){ .kind = INCOMING_TLS,
				     .sender = S("tls.example"),
				     .tls = { .org = S("Org"),
					      .report_id = str_format(w->arena, "id-%u", number),
					      .end = 1,
					      .policies = policies,
					      .policies_n = ARRAY_LEN(policies) } };
}

static struct incoming_report complaint(const char *sender)
{
	return (struct incoming_report){ .kind = INCOMING_FEEDBACK,
					 .sender = str_cstr(sender),
					 .feedback = { .kind = FEEDBACK_ABUSE,
						       .type = S("abuse"),
						       .header_from = S("example.test"),
						       .incidents = 1 } };
}

static const struct fail *domain_run(struct tx *t, void *context)
{
	(void)context;
	return SQL_RUN0(t->arena, t->db, "INSERT INTO domain (name) VALUES ('example.test')");
}

static void begin(struct world *w)
{
	world_new(w);
	must(world_write(w, false, domain_run, NULL));
}

struct adding {
	const struct incoming_report *in;
	u64 message;
	struct received_outcome out;
	bool why; /* was one given */
};

static const struct fail *add_run(struct tx *t, void *context)
{
	struct adding *x = context;

	TRY(store_received_add(t, x->message, x->in, &x->out));
	x->why = x->out.why.n > 0;
	return NULL;
}

static int add(struct world *w, const struct incoming_report *in)
{
	static u64 message;
	struct adding x = { .in = in, .message = ++message };

	must(world_write(w, false, add_run, &x));
	assert_int_equal(x.why, x.out.what == RECEIVED_NOT_KEPT);
	return (int)x.out.what;
}

static void must_be_invalid(struct world *w, const struct incoming_report *in)
{
	struct adding x = { .in = in };

	must_fail(world_write(w, false, add_run, &x), FAIL_INVALID);
}

static const struct fail *expire_run(struct tx *t, void *context)
{
	(void)context;
	return store_received_expire(t);
}

static size_t reports_of(struct world *w, const char *domain)
{
	struct office_received_list_request q = { .page = { .domain = str_cstr(domain),
							    .max = 500 } };
	struct office_received_list_answer r = { 0 };
	struct tx t;

	must(store_read_begin(w->store, w->arena, &t));
	must(store_received_list(&t, &q, &r));
	store_read_end(&t);
	return r.reports_n;
}

static size_t tls_page(struct world *w, u64 before, u32 max, u64 *last)
{
	struct office_tlsrpt_list_request q = { .page = { .before = before, .max = max } };
	struct office_tlsrpt_list_answer r = { 0 };
	struct tx t;

	must(store_read_begin(w->store, w->arena, &t));
	must(store_tlsrpt_list(&t, &q, &r));
	store_read_end(&t);
	if (r.reports_n)
		*last = r.reports[r.reports_n - 1].id;
	return r.reports_n;
}

static size_t complaints(struct world *w)
{
	struct office_feedback_list_request q = { .page = { .max = 500 } };
	struct office_feedback_list_answer r = { 0 };
	struct tx t;

	must(store_read_begin(w->store, w->arena, &t));
	must(store_feedback_list(&t, &q, &r));
	store_read_end(&t);
	return r.reports_n;
}

/* --- Tests --------------------------------------------------------------------------------------------------- */

static void test_once(void **state)
{
	struct incoming_report one, other;
	struct world w;

	(void)state;
	begin(&w);
	one = other = aggregate(&w, "a.example", "example.test", 1);
	assert_int_equal(add(&w, &one), RECEIVED_TAKEN_NOW);
	assert_int_equal(add(&w, &one), RECEIVED_HERE_ALREADY);
	other.proof =
	    INCOMING_FORGED; /* does not keep the true one out, and is not kept out by it */
	assert_int_equal(add(&w, &other), RECEIVED_TAKEN_NOW);
	other = tls(&w, 1);
	assert_int_equal(add(&w, &other), RECEIVED_TAKEN_NOW);
	assert_int_equal(add(&w, &other), RECEIVED_HERE_ALREADY);
	world_reopen(&w);
	assert_int_equal(add(&w, &one), RECEIVED_HERE_ALREADY);
	assert_int_equal(reports_of(&w, ""), 2);
	assert_int_equal(reports_of(&w, "test"), 2);
	assert_int_equal(reports_of(&w, "ample.test"), 0);
	world_free(&w);
}

static unsigned taken_of(struct world *w, unsigned n, const char *sender, const char *domain,
			 u8 proof)
{
	static unsigned number;
	unsigned taken = 0;

	for (unsigned i = 0; i < n; i++) {
		struct incoming_report r = aggregate(w, sender, domain, ++number);
		r.proof = proof;
		taken += add(w, &r) == RECEIVED_TAKEN_NOW;
	}
	return taken;
}

static void test_day(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	assert_int_equal(taken_of(&w, STORE_RECEIVED_DAY_SENDER + 1, "a.example", "example.test",
				  INCOMING_PROVEN),
			 STORE_RECEIVED_DAY_SENDER);
	/* Who forges his name does not take his place, and has a smaller one. */
	assert_int_equal(taken_of(&w, STORE_RECEIVED_DAY_FORGED + 1, "a.example", "example.test",
				  INCOMING_FORGED),
			 STORE_RECEIVED_DAY_FORGED);
	assert_int_equal(taken_of(&w, 1, "b.example", "example.test", INCOMING_UNPROVEN), 1);
	assert_int_equal(taken_of(&w, STORE_RECEIVED_DAY_STRANGE + 1, "b.example",
				  "not-ours.example", INCOMING_PROVEN),
			 STORE_RECEIVED_DAY_STRANGE);
	w.clock += day_ms + 60 * 1000;
	assert_int_equal(taken_of(&w, 1, "a.example", "example.test", INCOMING_PROVEN), 1);
	world_free(&w);
}

static void test_day_of_complaints(void **state)
{
	struct incoming_report one = complaint("a.example"), forged = one,
			       other = complaint("b.example");
	struct world w;

	(void)state;
	begin(&w);
	forged.proof = INCOMING_FORGED;
	for (int i = 0; i < STORE_RECEIVED_DAY_DOMAIN; i++)
		assert_int_equal(add(&w, &one), RECEIVED_TAKEN_NOW);
	assert_int_equal(add(&w, &one), RECEIVED_NOT_KEPT);
	assert_int_equal(add(&w, &forged), RECEIVED_TAKEN_NOW);
	assert_int_equal(add(&w, &other), RECEIVED_TAKEN_NOW);
	world_free(&w);
}

/* n TLS reports of about a megabyte each, all of other senders. */
static unsigned taken_large(struct world *w, unsigned n, u8 proof)
{
	static unsigned number;
	struct tlsrpt_failure *failures =
	    arena_array_of(w->arena, STORE_RECEIVED_FAILURES, struct tlsrpt_failure);
	struct tlsrpt_policy policies[4];
	u8 *text = arena_alloc(w->arena, 512);
	unsigned taken = 0;

	for (size_t i = 0; i < 512; i++)
		text[i] = 'x';
	for (size_t i = 0; i < STORE_RECEIVED_FAILURES; i++)
		failures[i] = (struct tlsrpt_failure){ .type = str_from(text, 512) };
	for (size_t i = 0; i < ARRAY_LEN(policies); i++)
		policies[i] = (struct tlsrpt_policy){ .domain = S("example.test"),
						      .failures = failures,
						      .failures_n = STORE_RECEIVED_FAILURES };
	for (unsigned i = 0; i < n; i++) {
		struct incoming_report r = tls(w, ++number);
		r.sender = str_format(w->arena, "s%u.example", number);
		r.proof = proof;
		r.tls.policies = policies;
		r.tls.policies_n = ARRAY_LEN(policies);
		taken += add(w, &r) == RECEIVED_TAKEN_NOW;
	}
	return taken;
}

/* Long reports fill a day's bytes long before its number; half of them is for those whose mail was proven theirs. */
static void test_bytes(void **state)
{
	struct incoming_report small;
	unsigned taken, rows = 0;
	struct world w;
	u64 last = 0;
	size_t n;

	(void)state;
	begin(&w);
	taken = taken_large(&w, 50, INCOMING_UNPROVEN);
	assert_in_range(taken, 20, 40);
	small = tls(&w, 999999);
	small.proof = INCOMING_PROVEN;
	assert_int_equal(add(&w, &small), RECEIVED_TAKEN_NOW);
	/* A page ends where it would become too large, between two reports, and nothing is left out. */
	while ((n = tls_page(&w, last, 500, &last)) > 0) {
		assert_in_range(n, 1, 40);
		rows += (unsigned)n;
	}
	assert_int_equal(rows, taken * 4 + 2);
	world_free(&w);
}

static void test_too_large(void **state)
{
	struct incoming_report r;
	struct tlsrpt_policy *policies;
	str *strings;
	struct world w;

	(void)state;
	begin(&w);
	r = tls(&w, 1);
	policies = arena_array_of(w.arena, TLSRPT_POLICIES, struct tlsrpt_policy);
	strings = arena_array_of(w.arena, TLSRPT_STRINGS, str);
	for (size_t i = 0; i < TLSRPT_STRINGS; i++)
		strings[i] = str_from(arena_alloc(w.arena, 800), 800);
	for (size_t i = 0; i < TLSRPT_POLICIES; i++)
		policies[i] = (struct tlsrpt_policy){ .domain = S("example.test"),
						      .strings = strings,
						      .strings_n = TLSRPT_STRINGS };
	r.tls.policies = policies;
	r.tls.policies_n = TLSRPT_POLICIES;
	assert_int_equal(add(&w, &r), RECEIVED_NOT_KEPT);
	r.tls.policies_n = 1;
	assert_int_equal(add(&w, &r), RECEIVED_TAKEN_NOW);
	world_free(&w);
}

static void test_expiry(void **state)
{
	struct incoming_report r;
	struct world w;
	u64 last;

	(void)state;
	begin(&w);
	taken_of(&w, STORE_RECEIVED_SLICE + 1, "a.example", "example.test", INCOMING_PROVEN);
	r = tls(&w, 1);
	add(&w, &r);
	r = complaint("a.example");
	add(&w, &r);
	w.clock += STORE_FEEDBACK_DAYS * day_ms + day_ms;
	must(world_write(&w, false, expire_run, NULL));
	assert_int_equal(complaints(&w), 0);
	assert_int_equal(reports_of(&w, ""), STORE_RECEIVED_SLICE + 1);
	w.clock += (STORE_RECEIVED_DAYS - STORE_FEEDBACK_DAYS) * day_ms;
	r = aggregate(&w, "a.example", "example.test", 999999);
	add(&w, &r);
	must(world_write(&w, false, expire_run, NULL));
	assert_int_equal(reports_of(&w, ""), 2); /* one slice went */
	must(world_write(&w, false, expire_run, NULL));
	assert_int_equal(reports_of(&w, ""), 1);
	must(world_write(&w, false, expire_run, NULL));
	assert_int_equal(reports_of(&w, ""), 1);
	assert_int_equal(tls_page(&w, 0, 500, &last), 0);
	world_free(&w);
}

static const struct fail *events_expire_run(struct tx *t, void *context)
{
	struct store_event_keep keep = { .messages_ms = 30 * day_ms,
					 .attempts_ms = 30 * day_ms,
					 .attempts_most = 100 };
	bool more;

	(void)context;
	return store_event_expire(t, &keep, &more);
}

static const struct fail *sent_run(struct tx *t, void *context)
{
	(void)context;
	return store_sent_add(t, S("example.test"), S("a.example"), S("mx.a.example"));
}

static const struct fail *sent_expire_run(struct tx *t, void *context)
{
	(void)context;
	return store_sent_expire(t);
}

/* A clock that begins anew in 1970 makes nothing old. */
static void test_clock_at_its_begin(void **state)
{
	struct world w;
	u64 rows;
	bool found;

	(void)state;
	begin(&w);
	taken_of(&w, 1, "a.example", "example.test", INCOMING_PROVEN);
	must(world_write(&w, false, sent_run, NULL));
	must(sql_script(w.arena, w.store->db,
			"INSERT INTO event VALUES (123 << 20, 1, 1, 'mx', 'refused', '{}')"));
	w.clock = 2 * day_ms;
	must(world_write(&w, false, expire_run, NULL));
	must(world_write(&w, false, events_expire_run, NULL));
	must(world_write(&w, false, sent_expire_run, NULL));
	assert_int_equal(reports_of(&w, ""), 1);
	must(sql_one_u64(w.arena,
			 SQL_QUERY0(w.store->db, "SELECT (SELECT count(*) FROM sent)"
						 " + (SELECT count(*) FROM event)"),
			 &rows, &found));
	assert_int_equal(rows, 2);
	world_free(&w);
}

/* A page of TLS reports holds whole ones: the next goes on behind the last. */
static void test_pages(void **state)
{
	struct incoming_report r;
	struct world w;
	u64 last = 0;

	(void)state;
	begin(&w);
	for (unsigned i = 0; i < 3; i++) {
		r = tls(&w, i);
		add(&w, &r);
	}
	assert_int_equal(tls_page(&w, 0, 0, &last), 0);
	assert_int_equal(tls_page(&w, 0, 1, &last), 2);
	assert_int_equal(tls_page(&w, last, 3, &last), 4);
	assert_int_equal(tls_page(&w, last, 3, &last), 0);
	world_free(&w);
}

/* What no reader makes comes from an mda that was taken over. */
static void test_invalid(void **state)
{
	struct aggregate_record rows[2] = { { .count = 1 }, { .count = 1 } };
	struct incoming_report good, r;
	struct world w;

	(void)state;
	begin(&w);
	good = aggregate(&w, "a.example", "example.test", 1);
#define BAD(change) \
	r = good;   \
	change;     \
	must_be_invalid(&w, &r)
	BAD(r.kind = 9);
	BAD(r.kind = INCOMING_NOTHING);
	BAD(r.proof = INCOMING_FORGED + 1);
	BAD(r.aggregate.report_id = STR_NONE);
	BAD(r.aggregate.policy.domain = STR_NONE);
	BAD(r.aggregate.policy.p = AGGREGATE_POLICY_REJECT + 1);
	BAD(r.aggregate.begin = r.aggregate.end + 1);
	BAD(r.aggregate.end = UINT64_MAX);
	r = good;
	r.aggregate.records = rows;
	r.aggregate.records_n = 2;
	rows[0].source = S("abc");
	must_be_invalid(&w, &r);
	rows[0] = rows[1];
	rows[0].count = aggregate_messages_most; /* together one too many */
	must_be_invalid(&w, &r);
	rows[0].count--;
	assert_int_equal(add(&w, &r), RECEIVED_TAKEN_NOW);
	good = complaint("a.example");
	BAD(r.feedback.kind = FEEDBACK_AUTH_FAILURE + 1);
	BAD(r.feedback.source = S("abc"));
	BAD(r.feedback.incidents = UINT64_MAX);
	good = tls(&w, 1);
	BAD(r.tls.policies_n = 0);
	BAD(r.tls.report_id = STR_NONE);
	BAD(r.tls.begin = 2);
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_day),
		cmocka_unit_test(test_day_of_complaints),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_clock_at_its_begin),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_invalid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
