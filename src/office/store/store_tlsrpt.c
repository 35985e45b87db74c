/* TLS reports: taking and showing them. */
#include "base/id.h"
#include "office/store/store_received.h"
#include "report/incoming.h"
#include "report/tlsrpt.h"

/* --- Taking -------------------------------------------------------------------------------------------------- */

static const struct fail *check(struct tx *t, const struct tlsrpt_report *r)
{
	bool good = r->policies_n && r->policies_n <= TLSRPT_POLICIES && r->begin <= r->end &&
		    r->end <= INT64_MAX && r->report_id.n;

	for (size_t i = 0; good && i < r->policies_n; i++) {
		const struct tlsrpt_policy *p = &r->policies[i];
		good = p->type <= TLSRPT_POLICY_NONE && p->domain.n && p->successful <= INT64_MAX &&
		       p->failed <= INT64_MAX && p->failures_n <= TLSRPT_FAILURES;
		for (size_t k = 0; good && k < p->failures_n; k++)
			good = p->failures[k].count <= INT64_MAX;
	}
	return good ? NULL : fail_new(t->arena, FAIL_INVALID, "no report that a reader makes");
}

static const struct fail *failures_add(struct tx *t, u64 report, size_t policy,
				       const struct tlsrpt_policy *p)
{
	for (size_t i = 0; i < p->failures_n && i < STORE_RECEIVED_FAILURES; i++) {
		const struct tlsrpt_failure *f = &p->failures[i];
		TRY(SQL_RUN(t->arena, t->db,
			    "INSERT INTO tls_failure (report, policy, n, type, sending_mta,"
			    " receiving_mx, receiving_helo, receiving_ip, sessions, info, reason)"
			    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			    SQL_U64(report), SQL_U64(policy), SQL_U64(i),
			    SQL_STR(received_text(f->type)), SQL_STR(received_text(f->sending_mta)),
			    SQL_STR(received_text(f->receiving_mx)),
			    SQL_STR(received_text(f->receiving_helo)),
			    SQL_STR(received_text(f->receiving_ip)), SQL_U64(f->count),
			    SQL_STR(received_text(f->info)), SQL_STR(received_text(f->reason))));
	}
	return arena_check(t->arena);
}

static const struct fail *policy_add(struct tx *t, u64 report, size_t n,
				     const struct tlsrpt_policy *p)
{
	TRY(SQL_RUN(
	    t->arena, t->db,
	    "INSERT INTO tls_policy (report, n, type, domain, strings, mx_hosts, successful,"
	    " failed) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
	    SQL_U64(report), SQL_U64(n), SQL_U64(p->type), SQL_STR(received_text(p->domain)),
	    SQL_STR(received_lines(t->arena, p->strings, p->strings_n, TLSRPT_STRINGS)),
	    SQL_STR(received_lines(t->arena, p->mx_hosts, p->mx_hosts_n, TLSRPT_STRINGS)),
	    SQL_U64(p->successful), SQL_U64(p->failed)));
	return failures_add(t, report, n, p);
}

const struct fail *store_tlsrpt_add(struct tx *t, const struct incoming_report *in,
				    struct received_outcome *out)
{
	const struct tlsrpt_report *r = &in->tls;
	u64 id = store_id_now(t->store);

	TRY(check(t, r));
	TRY(received_look_for_room(
	    t, in, SQL_QUERY(t->db, RECEIVED_DAY("tls_report"), RECEIVED_DAY_VALUES(t, in)),
	    STORE_RECEIVED_DAY_SENDER, "TLS reports", out));
	if (out->what != RECEIVED_TAKEN_NOW)
		return NULL;
	TRY(SQL_RUN(t->arena, t->db,
		    "INSERT OR IGNORE INTO tls_report (id, received, sender, proof, org, contact,"
		    " report_id, begin, end, bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		    SQL_U64(id), SQL_U64(t->now), SQL_STR(received_text(in->sender)),
		    SQL_U64(in->proof), SQL_STR(received_text(r->org)),
		    SQL_STR(received_text(r->contact)), SQL_STR(received_text(r->report_id)),
		    SQL_U64(r->begin), SQL_U64(r->end), SQL_U64(out->bytes)));
	if (sql_changed(t->db) == 0) {
		out->what = RECEIVED_HERE_ALREADY;
		return NULL;
	}
	for (size_t i = 0; i < r->policies_n; i++)
		TRY(policy_add(t, id, i, &r->policies[i]));
	return NULL;
}

/* --- Showing ------------------------------------------------------------------------------------------------- */

static u64 read_policy(struct query *q, struct arena *a, struct tlsrpt_info *out, u64 *bytes)
{
	u64 n;

	*bytes = sql_u64(q);
	*out = (struct tlsrpt_info){ .id = sql_u64(q) };
	out->received = sql_u64(q);
	out->sender = sql_str(q, a);
	out->proof = (u8)sql_u32(q);
	out->org = sql_str(q, a);
	out->report_id = sql_str(q, a);
	out->begin = sql_u64(q);
	out->end = sql_u64(q);
	n = sql_u64(q);
	out->policy.type = (u8)sql_u32(q);
	out->policy.domain = sql_str(q, a);
	out->policy.strings_n = received_lines_split(a, sql_str(q, a), &out->policy.strings);
	out->policy.mx_hosts_n = received_lines_split(a, sql_str(q, a), &out->policy.mx_hosts);
	out->policy.successful = sql_u64(q);
	out->policy.failed = sql_u64(q);
	return n;
}

static void read_failure(struct query *q, struct arena *a, struct tlsrpt_failure *out)
{
	out->type = sql_str(q, a);
	out->sending_mta = sql_str(q, a);
	out->receiving_mx = sql_str(q, a);
	out->receiving_helo = sql_str(q, a);
	out->receiving_ip = sql_str(q, a);
	out->count = sql_u64(q);
	out->info = sql_str(q, a);
	out->reason = sql_str(q, a);
}

static const struct fail *read_failures(struct tx *t, u64 report, u64 policy,
					struct tlsrpt_policy *out)
{
	struct tlsrpt_failure *failures =
	    arena_array_of(t->arena, STORE_RECEIVED_FAILURES, struct tlsrpt_failure);
	struct query *q = SQL_QUERY(t->db,
				    "SELECT type, sending_mta, receiving_mx, receiving_helo,"
				    " receiving_ip, sessions, info, reason FROM tls_failure"
				    " WHERE report = ? AND policy = ? ORDER BY n",
				    SQL_U64(report), SQL_U64(policy));

	while (out->failures_n < STORE_RECEIVED_FAILURES && sql_row(q))
		read_failure(q, t->arena, &failures[out->failures_n++]);
	out->failures = failures;
	return sql_end(t->arena, q);
}

/* By report, newest first; a page holds whole reports, so that `before` can go on behind it. */
const struct fail *store_tlsrpt_list(struct tx *t, const struct office_tlsrpt_list_request *q,
				     struct office_tlsrpt_list_answer *r)
{
	size_t wanted = received_page_max(&q->page), max = wanted + TLSRPT_POLICIES;
	struct tlsrpt_info *list = arena_array_of(t->arena, max, struct tlsrpt_info), one;
	u64 *numbers = arena_array_of(t->arena, max, u64), last = 0, bytes, sum = 0;
	struct query *rows = SQL_QUERY(
	    t->db,
	    "SELECT r.bytes, r.id, r.received, r.sender, r.proof, r.org, r.report_id, r.begin, r.end,"
	    " p.n, p.type, p.domain, p.strings, p.mx_hosts, p.successful, p.failed"
	    " FROM tls_report r JOIN tls_policy p ON p.report = r.id"
	    " WHERE " RECEIVED_PAGE("r.id", "r.received",
				    "p.domain") " ORDER BY r.id DESC, p.n LIMIT ?4",
	    RECEIVED_PAGE_VALUES(&q->page), SQL_U64(max));

	while (r->reports_n < max && sql_row(rows)) {
		numbers[r->reports_n] = read_policy(rows, t->arena, &one, &bytes);
		if (one.id != last &&
		    (r->reports_n >= wanted || (sum += bytes) > STORE_RECEIVED_PAGE_BYTES))
			break;
		last = one.id;
		list[r->reports_n++] = one;
	}
	TRY(sql_end(t->arena, rows));
	for (size_t i = 0; i < r->reports_n; i++) {
		TRY(read_failures(t, list[i].id, numbers[i], &list[i].policy));
		TRY(arena_check(t->arena));
	}
	r->reports = list;
	return NULL;
}
