/* DMARC aggregate reports: showing them, by report and by source. */
#include "office/store/store_received.h"

/* --- Reports ------------------------------------------------------------------------------------------------- */

#define REPORT_COLUMNS                                                                          \
	"id, received, sender, proof, org, email, report_id, generator, errors, domain, begin," \
	" end, p, sp, np, testing, messages, passed, dkim, spf, quarantined, rejected, rows"

static void read_report(struct query *q, struct arena *a, struct received_report *out)
{
	*out = (struct received_report){ .id = sql_u64(q) };
	out->received = sql_u64(q);
	out->sender = sql_str(q, a);
	out->proof = (u8)sql_u32(q);
	out->org = sql_str(q, a);
	out->email = sql_str(q, a);
	out->report_id = sql_str(q, a);
	out->generator = sql_str(q, a);
	out->errors = sql_str(q, a);
	out->domain = sql_str(q, a);
	out->begin = sql_u64(q);
	out->end = sql_u64(q);
	out->p = (u8)sql_u32(q);
	out->sp = (u8)sql_u32(q);
	out->np = (u8)sql_u32(q);
	out->testing = sql_bool(q);
	out->messages = sql_u64(q);
	out->passed = sql_u64(q);
	out->dkim = sql_u64(q);
	out->spf = sql_u64(q);
	out->quarantined = sql_u64(q);
	out->rejected = sql_u64(q);
	out->rows = sql_u32(q);
	out->accepted = out->messages - out->quarantined - out->rejected;
}

const struct fail *store_received_list(struct tx *t, const struct office_received_list_request *q,
				       struct office_received_list_answer *r)
{
	size_t max = received_page_max(&q->page);
	struct received_report *reports = arena_array_of(t->arena, max, struct received_report);
	struct query *rows = SQL_QUERY(
	    t->db,
	    "SELECT " REPORT_COLUMNS " FROM dmarc_report"
	    " WHERE " RECEIVED_PAGE("id", "received", "domain") " ORDER BY id DESC LIMIT ?4",
	    RECEIVED_PAGE_VALUES(&q->page), SQL_U64(max));

	while (r->reports_n < max && sql_row(rows))
		read_report(rows, t->arena, &reports[r->reports_n++]);
	r->reports = reports;
	return sql_end(t->arena, rows);
}

/* --- One report ---------------------------------------------------------------------------------------------- */

static void read_row(struct query *q, struct arena *a, struct received_row *out)
{
	*out = (struct received_row){ .source = sql_blob(q, a) };
	out->count = sql_u64(q);
	out->disposition = (u8)sql_u32(q);
	out->dkim = sql_bool(q);
	out->spf = sql_bool(q);
	out->header_from = sql_str(q, a);
	out->envelope_from = sql_str(q, a);
	out->envelope_to = sql_str(q, a);
	out->reasons = sql_str(q, a);
	out->dkim_results = sql_str(q, a);
	out->spf_results = sql_str(q, a);
	if (!received_source_is_good(out->source))
		sql_bad(q);
}

static const struct fail *read_rows(struct tx *t, const struct received_report *report,
				    struct office_received_show_answer *r)
{
	struct received_row *rows = arena_array_of(t->arena, report->rows, struct received_row);
	struct query *q =
	    SQL_QUERY(t->db,
		      "SELECT source, messages, disposition, dkim, spf, header_from,"
		      " envelope_from, envelope_to, reasons, dkim_results, spf_results"
		      " FROM dmarc_row WHERE report = ? ORDER BY messages DESC, n",
		      SQL_U64(report->id));

	while (r->rows_n < report->rows && sql_row(q))
		read_row(q, t->arena, &rows[r->rows_n++]);
	TRY(sql_end(t->arena, q));
	for (size_t i = 0; i < r->rows_n; i++) {
		str there = rows[i].envelope_to.n ? rows[i].envelope_to : report->sender;
		TRY(store_sent_count(t, rows[i].header_from, there, report->begin, report->end,
				     &rows[i].sent, &rows[i].sent_all));
	}
	r->rows = rows;
	return NULL;
}

const struct fail *store_received_show(struct tx *t, u64 id, struct office_received_show_answer *r)
{
	struct query *q = SQL_QUERY(
	    t->db, "SELECT " REPORT_COLUMNS " FROM dmarc_report WHERE id = ?", SQL_U64(id));
	bool found = sql_row(q);

	if (found)
		read_report(q, t->arena, &r->report);
	TRY(sql_end(t->arena, q));
	if (!found)
		return fail_new(t->arena, FAIL_NOT_FOUND, "there is no such report");
	if (r->report.rows > STORE_RECEIVED_ROWS * 2)
		return fail_new(t->arena, FAIL_CORRUPT,
				"the report has more rows than it can have");
	return read_rows(t, &r->report, r);
}

/* --- Sources ------------------------------------------------------------------------------------------------- */

static void read_source(struct query *q, struct arena *a, struct received_source *out)
{
	*out = (struct received_source){ .source = sql_blob(q, a) };
	out->header_from = sql_str(q, a);
	out->messages = sql_u64(q);
	out->passed = sql_u64(q);
	out->dkim = sql_u64(q);
	out->spf = sql_u64(q);
	out->quarantined = sql_u64(q);
	out->rejected = sql_u64(q);
	out->reports = sql_u32(q);
	out->first = sql_u64(q);
	out->last = sql_u64(q);
	out->accepted = out->messages - out->quarantined - out->rejected;
	if (!received_source_is_good(out->source))
		sql_bad(q);
}

static const struct fail *read_sources(struct tx *t,
				       const struct office_received_sources_request *q,
				       struct office_received_sources_answer *r)
{
	size_t max = q->max < STORE_RECEIVED_SOURCES ? q->max : STORE_RECEIVED_SOURCES;
	struct received_source *sources = arena_array_of(t->arena, max, struct received_source);
	struct query *rows = SQL_QUERY(
	    t->db,
	    "SELECT w.source, w.header_from, sum(w.messages) AS total,"
	    " sum(w.messages * (w.dkim OR w.spf)), sum(w.messages * w.dkim),"
	    " sum(w.messages * w.spf), sum(w.messages * (w.disposition = 2)),"
	    " sum(w.messages * (w.disposition = 3)), count(DISTINCT w.report),"
	    " min(r.begin), max(r.end)"
	    " FROM dmarc_report r JOIN dmarc_row w ON w.report = r.id"
	    " WHERE r.received >= ?1 AND (r.proof <> 2 OR ?2) AND " RECEIVED_BELOW(
		"r.domain", "?3") " GROUP BY w.source, w.header_from ORDER BY total DESC LIMIT ?4",
	    SQL_U64(q->since), SQL_U64(q->forged), SQL_STR(q->domain), SQL_U64(max));

	while (r->sources_n < max && sql_row(rows))
		read_source(rows, t->arena, &sources[r->sources_n++]);
	r->sources = sources;
	return sql_end(t->arena, rows);
}

/* In the periods of the reports that have such a row: to the reporters; and to all. Each hour counts once. */
static const struct fail *count_sent(struct tx *t, const struct office_received_sources_request *q,
				     struct received_source *s)
{
	struct query *rows = SQL_QUERY(
	    t->db,
	    "SELECT coalesce(sum(messages), 0), coalesce(sum(messages * there), 0) FROM ("
	    " SELECT s.messages AS messages, max("
	    "  substr('.' || s.to_domain, -length(r.sender) - 1) = '.' || r.sender OR"
	    "  substr('.' || s.mta, -length(r.sender) - 1) = '.' || r.sender) AS there"
	    " FROM dmarc_report r JOIN dmarc_row w ON w.report = r.id"
	    " JOIN sent s ON s.from_domain = ?2 AND s.hour >= r.begin / 3600000"
	    "  AND s.hour < (r.end + 3599999) / 3600000"
	    " WHERE w.source = ?1 AND w.header_from = ?2 AND r.received >= ?3"
	    "  AND (r.proof <> 2 OR ?4)"
	    " GROUP BY s.hour, s.to_domain, s.mta)",
	    SQL_BLOB(s->source), SQL_STR(s->header_from), SQL_U64(q->since), SQL_U64(q->forged));

	if (sql_row(rows)) {
		s->sent_all = sql_u64(rows);
		s->sent = sql_u64(rows);
	}
	return sql_end(t->arena, rows);
}

static bool is_own(const struct office_received_sources_request *q, str source)
{
	for (size_t i = 0; i < q->own_n; i++) {
		if (source.n && str_eq(q->own[i], source))
			return true;
	}
	return false;
}

const struct fail *store_received_sources(struct tx *t,
					  const struct office_received_sources_request *q,
					  struct office_received_sources_answer *r)
{
	bool found;

	TRY(read_sources(t, q, r));
	for (size_t i = 0; i < r->sources_n; i++) {
		struct received_source *s = (struct received_source *)(uintptr_t)&r->sources[i];
		if (is_own(q, s->source))
			TRY(count_sent(t, q, s));
	}
	return sql_one_u64(
	    t->arena,
	    SQL_QUERY(t->db,
		      "SELECT count(*) FROM dmarc_report WHERE received >= ?1 AND proof = 2"
		      " AND NOT ?2 AND " RECEIVED_BELOW("domain", "?3"),
		      SQL_U64(q->since), SQL_U64(q->forged), SQL_STR(q->domain)),
	    &r->left_out, &found);
}
