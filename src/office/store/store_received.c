/* DMARC aggregate reports: taking them. What all kinds share stands here too. */
#include "office/store/store_received.h"

#include "base/id.h"
#include "report/aggregate_read.h"
#include "report/incoming.h"
#include "text/charset.h"

/* --- Shared -------------------------------------------------------------------------------------------------- */

str received_text(str s)
{
	return utf8_cut(s, STORE_RECEIVED_TEXT);
}

bool received_source_is_good(str source)
{
	return source.n == 0 || source.n == 4 || source.n == 16;
}

str received_lines(struct arena *a, const str *items, size_t n, size_t max)
{
	struct buf *out = buf_new(a, (STORE_RECEIVED_TEXT + 1) * max + 1);

	for (size_t i = 0; i < n && i < max; i++) {
		if (i)
			buf_add_byte(out, '\n');
		buf_add(out, received_text(items[i]));
	}
	return buf_str(out);
}

size_t received_lines_split(struct arena *a, str text, const str **out)
{
	str *lines = arena_array_of(a, STORE_RECEIVED_SPLIT, str);
	size_t n = 0, end;

	while (text.n && n < STORE_RECEIVED_SPLIT) {
		end = str_find(text, '\n');
		lines[n++] = str_slice(text, 0, end);
		text = end == SIZE_MAX ? STR_NONE : str_skip(text, end + 1);
	}
	*out = lines;
	return n;
}

size_t received_page_max(const struct received_page *page)
{
	return page->max < STORE_RECEIVED_PAGE ? page->max : STORE_RECEIVED_PAGE;
}

bool received_is_full(const struct incoming_report *in, u64 bytes,
		      const struct received_outcome *out)
{
	u64 most = STORE_RECEIVED_DAY_BYTES;

	return bytes + out->bytes > (in->proof == INCOMING_PROVEN ? most : most / 2);
}

const struct fail *received_look_for_room(struct tx *t, const struct incoming_report *in,
					  struct query *day, u64 most, const char *kind,
					  struct received_outcome *out)
{
	u64 all = 0, bytes = 0, sender = 0;
	bool full;

	if (sql_row(day)) {
		all = sql_u64(day);
		bytes = sql_u64(day);
		sender = sql_u64(day);
	}
	TRY(sql_end(t->arena, day));
	full = all >= STORE_RECEIVED_DAY || received_is_full(in, bytes, out);
	if (!full && sender < most)
		return NULL;
	out->what = RECEIVED_NOT_KEPT;
	out->why =
	    str_format(t->arena, "too many %s%s came today", kind, full ? "" : " of this sender");
	return NULL;
}

const struct fail *received_domain_is_ours(struct tx *t, str domain, bool *ours)
{
	u64 n;
	bool found;

	TRY(sql_one_u64(t->arena,
			SQL_QUERY(t->db,
				  "SELECT count(*) FROM domain WHERE name = ?1"
				  " OR substr(?1, -length(name) - 1) = '.' || name"
				  " OR substr(name, -length(?1) - 1) = '.' || ?1",
				  SQL_STR(domain)),
			&n, &found));
	*ours = n > 0;
	return NULL;
}

/* As it crosses the bus; from STORE_RECEIVED_BYTES on just more than that. */
static u64 bytes_of(struct arena *a, const struct incoming_report *in)
{
	struct encoder e = { .bytes = buf_new(a, STORE_RECEIVED_BYTES) };

	encode_incoming_report(&e, in);
	return e.bytes->full ? STORE_RECEIVED_BYTES + 1 : e.bytes->n;
}

const struct fail *store_received_add(struct tx *t, u64 message, const struct incoming_report *in,
				      struct received_outcome *out)
{
	*out = (struct received_outcome){ .what = RECEIVED_TAKEN_NOW };
	if (in->proof > INCOMING_FORGED)
		return fail_new(t->arena, FAIL_INVALID, "no such proof");
	out->bytes = bytes_of(t->arena, in);
	if (out->bytes > STORE_RECEIVED_BYTES) {
		out->what = RECEIVED_NOT_KEPT;
		out->why = S("it is too long to be kept");
		return NULL;
	}
	switch (in->kind) {
	case INCOMING_AGGREGATE:
		return store_aggregate_add(t, in, out);
	case INCOMING_TLS:
		return store_tlsrpt_add(t, in, out);
	case INCOMING_FEEDBACK:
		return store_feedback_add(t, message, in, out);
	}
	return fail_new(t->arena, FAIL_INVALID, "no such kind of report");
}

/* --- Limits -------------------------------------------------------------------------------------------------- */

struct day {
	u64 all, rows, bytes, domain, sender, forged;
};

static const struct fail *day_count(struct tx *t, const struct incoming_report *in, struct day *d)
{
	str domain = in->aggregate.policy.domain;
	struct query *q = SQL_QUERY(
	    t->db,
	    "SELECT count(*), coalesce(sum(rows), 0), coalesce(sum(bytes), 0),"
	    " coalesce(sum(domain = ?1), 0),"
	    " coalesce(sum(domain = ?1 AND sender = ?2 AND proof <> 2), 0),"
	    " coalesce(sum(domain = ?1 AND proof = 2), 0)"
	    " FROM dmarc_report WHERE id >= ?3",
	    SQL_STR(domain), SQL_STR(in->sender), SQL_U64(id_first(store_ago(t, received_day_ms))));

	*d = (struct day){ 0 };
	if (sql_row(q)) {
		d->all = sql_u64(q);
		d->rows = sql_u64(q);
		d->bytes = sql_u64(q);
		d->domain = sql_u64(q);
		d->sender = sql_u64(q);
		d->forged = sql_u64(q);
	}
	return sql_end(t->arena, q);
}

/* Half of the day's room is for domains of ours alone. */
static const struct fail *look_for_room(struct tx *t, const struct incoming_report *in,
					struct received_outcome *out)
{
	struct day d;
	bool ours;

	TRY(day_count(t, in, &d));
	TRY(received_domain_is_ours(t, in->aggregate.policy.domain, &ours));
	if (d.all >= STORE_RECEIVED_DAY ||
	    d.rows + in->aggregate.records_n > STORE_RECEIVED_DAY_ROWS ||
	    received_is_full(in, d.bytes, out))
		out->why = S("too many reports came today");
	else if (!ours &&
		 (d.domain >= STORE_RECEIVED_DAY_STRANGE || d.all >= STORE_RECEIVED_DAY / 2))
		out->why = S("too many reports about domains that are not ours came today");
	else if (d.domain - d.forged >= STORE_RECEIVED_DAY_DOMAIN)
		out->why = S("too many reports about this domain came today");
	else if (in->proof == INCOMING_FORGED && d.forged >= STORE_RECEIVED_DAY_FORGED)
		out->why = S("too many forged reports came today");
	else if (in->proof != INCOMING_FORGED && d.sender >= STORE_RECEIVED_DAY_SENDER)
		out->why = S("too many reports of this sender came today");
	if (out->why.n)
		out->what = RECEIVED_NOT_KEPT;
	return NULL;
}

/* --- Rows ---------------------------------------------------------------------------------------------------- */

struct sums {
	u64 messages, passed, dkim, spf, quarantined, rejected;
};

static const struct fail *check(struct tx *t, const struct aggregate_report *r)
{
	bool good = r->records_n <= STORE_RECEIVED_ROWS + AGGREGATE_SUMS && r->policy.domain.n &&
		    r->report_id.n && r->begin <= r->end &&
		    r->policy.p <= AGGREGATE_POLICY_REJECT &&
		    r->policy.sp <= AGGREGATE_POLICY_REJECT &&
		    r->policy.np <= AGGREGATE_POLICY_REJECT && r->end <= INT64_MAX;
	u64 messages = 0;

	for (size_t i = 0; good && i < r->records_n; i++) {
		u64 count = r->records[i].count;
		good = received_source_is_good(r->records[i].source) &&
		       r->records[i].disposition <= AGGREGATE_REJECT &&
		       count <= aggregate_messages_most - messages;
		messages += count;
	}
	return good ? NULL : fail_new(t->arena, FAIL_INVALID, "no report that a reader makes");
}

static void sums_add(struct sums *s, const struct aggregate_record *r)
{
	s->messages += r->count;
	s->passed += r->dkim || r->spf ? r->count : 0;
	s->dkim += r->dkim ? r->count : 0;
	s->spf += r->spf ? r->count : 0;
	s->quarantined += r->disposition == AGGREGATE_QUARANTINE ? r->count : 0;
	s->rejected += r->disposition == AGGREGATE_REJECT ? r->count : 0;
}

static str reasons_text(struct arena *a, const struct aggregate_record *r)
{
	str lines[STORE_RECEIVED_LINES];
	size_t n = 0;

	for (; n < r->reasons_n && n < STORE_RECEIVED_LINES; n++)
		lines[n] = str_format(a, "%s %.*s", aggregate_override_name(r->reasons[n].type),
				      STR_ARG(r->reasons[n].comment));
	return received_lines(a, lines, n, STORE_RECEIVED_LINES);
}

/* "pass example.org selector: why" */
static str dkim_text(struct arena *a, const struct aggregate_record *r)
{
	str lines[STORE_RECEIVED_LINES];
	size_t n = 0;

	for (; n < r->dkim_results_n && n < STORE_RECEIVED_LINES; n++) {
		const struct aggregate_dkim *d = &r->dkim_results[n];
		lines[n] = str_format(a, "%s %.*s %.*s%s%.*s", aggregate_result_name(d->result),
				      STR_ARG(d->domain), STR_ARG(d->selector),
				      d->human_result.n ? ": " : "", STR_ARG(d->human_result));
	}
	return received_lines(a, lines, n, STORE_RECEIVED_LINES);
}

static str spf_text(struct arena *a, const struct aggregate_record *r)
{
	str lines[STORE_RECEIVED_LINES];
	size_t n = 0;

	for (; n < r->spf_results_n && n < STORE_RECEIVED_LINES; n++) {
		const struct aggregate_spf *s = &r->spf_results[n];
		lines[n] = str_format(a, "%s %.*s %s%s%.*s", aggregate_result_name(s->result),
				      STR_ARG(s->domain), s->helo ? "helo" : "mfrom",
				      s->human_result.n ? ": " : "", STR_ARG(s->human_result));
	}
	return received_lines(a, lines, n, STORE_RECEIVED_LINES);
}

static const struct fail *row_add(struct tx *t, u64 report, size_t n,
				  const struct aggregate_record *r)
{
	return SQL_RUN(
	    t->arena, t->db,
	    "INSERT INTO dmarc_row (report, n, source, messages, disposition, dkim, spf,"
	    " header_from, envelope_from, envelope_to, reasons, dkim_results, spf_results)"
	    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	    SQL_U64(report), SQL_U64(n), SQL_BLOB(r->source), SQL_U64(r->count),
	    SQL_U64(r->disposition), SQL_U64(r->dkim), SQL_U64(r->spf),
	    SQL_STR(received_text(r->header_from)), SQL_STR(received_text(r->envelope_from)),
	    SQL_STR(received_text(r->envelope_to)), SQL_STR(reasons_text(t->arena, r)),
	    SQL_STR(dkim_text(t->arena, r)), SQL_STR(spf_text(t->arena, r)));
}

static const struct fail *report_add(struct tx *t, u64 id, const struct incoming_report *in,
				     const struct sums *s, u64 bytes)
{
	const struct aggregate_report *r = &in->aggregate;

	return SQL_RUN(
	    t->arena, t->db,
	    "INSERT OR IGNORE INTO dmarc_report (id, received, sender, proof, org, email, report_id,"
	    " generator, errors, domain, begin, end, p, sp, np, testing, messages, passed, dkim, spf,"
	    " quarantined, rejected, rows, bytes)"
	    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	    SQL_U64(id), SQL_U64(t->now), SQL_STR(received_text(in->sender)), SQL_U64(in->proof),
	    SQL_STR(received_text(r->org)), SQL_STR(received_text(r->email)),
	    SQL_STR(received_text(r->report_id)), SQL_STR(received_text(r->generator)),
	    SQL_STR(received_lines(t->arena, r->errors, r->errors_n, STORE_RECEIVED_LINES)),
	    SQL_STR(received_text(r->policy.domain)), SQL_U64(r->begin), SQL_U64(r->end),
	    SQL_U64(r->policy.p), SQL_U64(r->policy.sp), SQL_U64(r->policy.np),
	    SQL_U64(r->policy.testing), SQL_U64(s->messages), SQL_U64(s->passed), SQL_U64(s->dkim),
	    SQL_U64(s->spf), SQL_U64(s->quarantined), SQL_U64(s->rejected), SQL_U64(r->records_n),
	    SQL_U64(bytes));
}

const struct fail *store_aggregate_add(struct tx *t, const struct incoming_report *in,
				       struct received_outcome *out)
{
	const struct aggregate_report *r = &in->aggregate;
	u64 id = store_id_now(t->store);
	struct sums s = { 0 };

	TRY(check(t, r));
	TRY(look_for_room(t, in, out));
	if (out->what != RECEIVED_TAKEN_NOW)
		return NULL;
	for (size_t i = 0; i < r->records_n; i++)
		sums_add(&s, &r->records[i]);
	TRY(report_add(t, id, in, &s, out->bytes));
	if (sql_changed(t->db) == 0) {
		out->what = RECEIVED_HERE_ALREADY;
		return NULL;
	}
	for (size_t i = 0; i < r->records_n; i++) {
		TRY(row_add(t, id, i, &r->records[i]));
		TRY(arena_check(t->arena));
	}
	return NULL;
}

/* --- Expiry -------------------------------------------------------------------------------------------------- */

struct old {
	u64 ids[STORE_RECEIVED_SLICE];
	size_t n;
};

/* The first reports of a table, when they are too old or all together too much. front: their id and bytes, and the bytes of all. */
static const struct fail *find_old(struct tx *t, struct query *front, u64 days, struct old *out)
{
	u64 before = id_first(store_ago(t, days * received_day_ms)), removed = 0;

	out->n = 0;
	while (out->n < STORE_RECEIVED_SLICE && removed < STORE_RECEIVED_SLICE_BYTES &&
	       sql_row(front)) {
		u64 id = sql_u64(front), bytes = sql_u64(front), all = sql_u64(front);
		if (id >= before && all - removed <= STORE_RECEIVED_ALL_BYTES)
			break;
		removed += bytes;
		out->ids[out->n++] = id;
	}
	return sql_end(t->arena, front);
}

#define FRONT(t, table)                                                                        \
	SQL_QUERY0((t)->db, "SELECT id, bytes, (SELECT sum(bytes) FROM " table ") FROM " table \
			    " ORDER BY id")

static const struct fail *aggregate_remove(struct tx *t, u64 id)
{
	TRY(SQL_RUN(t->arena, t->db, "DELETE FROM dmarc_row WHERE report = ?", SQL_U64(id)));
	return SQL_RUN(t->arena, t->db, "DELETE FROM dmarc_report WHERE id = ?", SQL_U64(id));
}

static const struct fail *tlsrpt_remove(struct tx *t, u64 id)
{
	TRY(SQL_RUN(t->arena, t->db, "DELETE FROM tls_failure WHERE report = ?", SQL_U64(id)));
	TRY(SQL_RUN(t->arena, t->db, "DELETE FROM tls_policy WHERE report = ?", SQL_U64(id)));
	return SQL_RUN(t->arena, t->db, "DELETE FROM tls_report WHERE id = ?", SQL_U64(id));
}

static const struct fail *feedback_remove(struct tx *t, u64 id)
{
	return SQL_RUN(t->arena, t->db, "DELETE FROM feedback WHERE id = ?", SQL_U64(id));
}

static const struct fail *remove_all(struct tx *t, const struct old *old,
				     const struct fail *(*remove)(struct tx *t, u64 id))
{
	for (size_t i = 0; i < old->n; i++)
		TRY(remove(t, old->ids[i]));
	return NULL;
}

const struct fail *store_received_expire(struct tx *t)
{
	struct old old;

	TRY(find_old(t, FRONT(t, "dmarc_report"), STORE_RECEIVED_DAYS, &old));
	TRY(remove_all(t, &old, aggregate_remove));
	TRY(find_old(t, FRONT(t, "tls_report"), STORE_RECEIVED_DAYS, &old));
	TRY(remove_all(t, &old, tlsrpt_remove));
	TRY(find_old(t, FRONT(t, "feedback"), STORE_FEEDBACK_DAYS, &old));
	TRY(remove_all(t, &old, feedback_remove));
	return store_sent_expire(t);
}
