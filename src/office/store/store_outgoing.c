#include "office/store/store_outgoing.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/scan.h"

enum { DAY_MS = 86400000, HOUR_MS = 3600000, TEXT_MAX = 64 * 1024 };

#define REPORT_COLUMNS                                                                              \
	"id, domain, day, first, last, state, due, attempts, rows_n, messages, dropped, p, sp, np," \
	" fo, adkim, aspf, testing, rua, sent, message, why"

/* --- Lists as lines ---------------------------------------------------------------------------------------- */

static str lines_of(struct arena *a, const str *items, size_t n)
{
	struct buf *out = buf_new(a, TEXT_MAX);

	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_add_byte(out, '\n');
		buf_add(out, items[i]);
	}
	return buf_str(out);
}

static size_t count_lines(str text)
{
	size_t n = text.n > 0;

	for (size_t i = 0; i < text.n; i++)
		n += text.p[i] == '\n';
	return n;
}

static str take_line(str *rest)
{
	size_t end = str_find(*rest, '\n');
	str line = end == SIZE_MAX ? *rest : str_slice(*rest, 0, end);

	*rest = end == SIZE_MAX ? STR_NONE : str_skip(*rest, end + 1);
	return line;
}

static const str *list_of(struct arena *a, str text, size_t *n)
{
	str *items;

	*n = count_lines(text);
	items = arena_array_of(a, *n, str);
	for (size_t i = 0; i < *n; i++)
		items[i] = take_line(&text);
	return items;
}

static str signatures_text(struct arena *a, const struct dmarc_row *row)
{
	struct buf *out = buf_new(a, TEXT_MAX);

	for (size_t i = 0; i < row->signatures_n; i++) {
		const struct dmarc_signature *s = &row->signatures[i];
		buf_printf(out, "%s%u %.*s %.*s", i > 0 ? "\n" : "", s->result, STR_ARG(s->domain),
			   STR_ARG(s->selector));
	}
	return buf_str(out);
}

static bool read_signature(str line, struct dmarc_signature *out)
{
	struct scan s = scan_of(line);
	str result;
	u64 number;

	if (!scan_until(&s, ' ', &result) || !scan_byte(&s, ' ') ||
	    !scan_until(&s, ' ', &out->domain) || !scan_byte(&s, ' ') ||
	    !str_u64(result, &number) || number > UINT8_MAX)
		return false;
	out->result = (u8)number;
	out->selector = s.rest;
	return true;
}

static bool read_signatures(struct arena *a, str text, struct dmarc_row *row)
{
	size_t n = count_lines(text);
	struct dmarc_signature *list = arena_array_of(a, n, struct dmarc_signature);

	row->signatures = list;
	row->signatures_n = n;
	for (size_t i = 0; i < n; i++)
		if (!read_signature(take_line(&text), &list[i]))
			return false;
	return true;
}

/* --- Reports ----------------------------------------------------------------------------------------------- */

const struct fail *store_outgoing_add(struct tx *t, const struct outgoing_report *r)
{
	const struct dmarc_published *p = &r->published;

	return SQL_RUN(t->arena, t->db,
		       "INSERT INTO outgoing_report (" REPORT_COLUMNS ") VALUES"
		       " (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
		       SQL_U64(r->id), SQL_STR(p->domain), SQL_U64(r->day), SQL_U64(r->first),
		       SQL_U64(r->last), SQL_U64(r->state), SQL_U64(r->due), SQL_U64(r->attempts),
		       SQL_U64(r->rows), SQL_U64(r->messages), SQL_U64(r->dropped), SQL_U64(p->p),
		       SQL_U64(p->sp), SQL_U64(p->np), SQL_U64(p->fo), SQL_U64(p->strict_dkim),
		       SQL_U64(p->strict_spf), SQL_U64(p->testing),
		       SQL_STR(lines_of(t->arena, p->rua, p->rua_n)), SQL_U64(r->sent),
		       SQL_U64(r->message), SQL_STR(r->why));
}

const struct fail *store_outgoing_update(struct tx *t, const struct outgoing_report *r)
{
	const struct dmarc_published *p = &r->published;

	return SQL_RUN(t->arena, t->db,
		       "UPDATE outgoing_report SET last = ?, state = ?, due = ?, attempts = ?,"
		       " rows_n = ?, messages = ?, dropped = ?, p = ?, sp = ?, np = ?, fo = ?,"
		       " adkim = ?, aspf = ?, testing = ?, rua = ?, sent = ?, message = ?, why = ?"
		       " WHERE id = ?",
		       SQL_U64(r->last), SQL_U64(r->state), SQL_U64(r->due), SQL_U64(r->attempts),
		       SQL_U64(r->rows), SQL_U64(r->messages), SQL_U64(r->dropped), SQL_U64(p->p),
		       SQL_U64(p->sp), SQL_U64(p->np), SQL_U64(p->fo), SQL_U64(p->strict_dkim),
		       SQL_U64(p->strict_spf), SQL_U64(p->testing),
		       SQL_STR(lines_of(t->arena, p->rua, p->rua_n)), SQL_U64(r->sent),
		       SQL_U64(r->message), SQL_STR(r->why), SQL_U64(r->id));
}

static void read_published(struct tx *t, struct query *q, struct dmarc_published *p)
{
	p->p = (u8)sql_u32(q);
	p->sp = (u8)sql_u32(q);
	p->np = (u8)sql_u32(q);
	p->fo = (u8)sql_u32(q);
	p->strict_dkim = sql_bool(q);
	p->strict_spf = sql_bool(q);
	p->testing = sql_bool(q);
	p->rua = list_of(t->arena, sql_str(q, t->arena), &p->rua_n);
}

static void read_report(struct tx *t, struct query *q, struct outgoing_report *r)
{
	*r = (struct outgoing_report){ .id = sql_u64(q) };
	r->published.domain = sql_str(q, t->arena);
	r->day = sql_u64(q);
	r->first = sql_u64(q);
	r->last = sql_u64(q);
	r->state = (enum report_state)sql_u32(q);
	r->due = sql_u64(q);
	r->attempts = sql_u32(q);
	r->rows = sql_u64(q);
	r->messages = sql_u64(q);
	r->dropped = sql_u64(q);
	read_published(t, q, &r->published);
	r->sent = sql_u64(q);
	r->message = sql_u64(q);
	r->why = sql_str(q, t->arena);
}

static const struct fail *one_report(struct tx *t, struct query *q, struct outgoing_report *out)
{
	bool found = sql_row(q);

	if (found)
		read_report(t, q, out);
	TRY(sql_end(t->arena, q));
	return found ? NULL : fail_new(t->arena, FAIL_NOT_FOUND, "no such report");
}

const struct fail *store_outgoing_get(struct tx *t, u64 id, struct outgoing_report *out)
{
	return one_report(t,
			  SQL_QUERY(t->db,
				    "SELECT " REPORT_COLUMNS " FROM outgoing_report WHERE id = ?",
				    SQL_U64(id)),
			  out);
}

const struct fail *store_outgoing_newest(struct tx *t, u64 day, str domain,
					 struct outgoing_report *out)
{
	return one_report(t,
			  SQL_QUERY(t->db,
				    "SELECT " REPORT_COLUMNS " FROM outgoing_report"
				    " WHERE day = ? AND domain = ?"
				    " ORDER BY first DESC, id DESC LIMIT 1",
				    SQL_U64(day), SQL_STR(domain)),
			  out);
}

const struct fail *store_outgoing_due(struct tx *t, struct outgoing_report *out)
{
	return one_report(t,
			  SQL_QUERY(t->db,
				    "SELECT " REPORT_COLUMNS " FROM outgoing_report"
				    " WHERE state < 2 AND due <= ? ORDER BY due LIMIT 1",
				    SQL_U64(t->now)),
			  out);
}

static const struct fail *one_number(struct tx *t, struct query *q, u64 *out)
{
	bool found;

	return sql_one_u64(t->arena, q, out, &found);
}

const struct fail *store_outgoing_count(struct tx *t, u64 day, u64 *out)
{
	return one_number(
	    t, SQL_QUERY(t->db, "SELECT count(*) FROM outgoing_report WHERE day = ?", SQL_U64(day)),
	    out);
}

static struct report_info info_of(const struct outgoing_report *r)
{
	return (struct report_info){ .id = r->id,
				     .domain = r->published.domain,
				     .begin = r->first,
				     .end = r->last,
				     .state = (u8)r->state,
				     .due = r->due,
				     .attempts = r->attempts,
				     .rows = r->rows,
				     .messages = r->messages,
				     .dropped = r->dropped,
				     .rua = r->published.rua,
				     .rua_n = r->published.rua_n,
				     .sent = r->sent,
				     .message = r->message,
				     .why = r->why };
}

const struct fail *store_outgoing_list(struct tx *t, u64 day, struct report_info **out, size_t *n)
{
	struct query *q = SQL_QUERY(t->db,
				    "SELECT " REPORT_COLUMNS " FROM outgoing_report WHERE day = ?"
				    " ORDER BY domain, first LIMIT ?",
				    SQL_U64(day), SQL_U64(STORE_OUTGOING_LIST));
	size_t cap = 0;

	*out = NULL;
	*n = 0;
	while (sql_row(q)) {
		struct outgoing_report r;
		if (*n == cap) {
			struct report_info *more =
			    arena_array_of(t->arena, cap ? 2 * cap : 16, struct report_info);
			for (size_t i = 0; i < *n; i++)
				more[i] = (*out)[i];
			*out = more;
			cap = cap ? 2 * cap : 16;
		}
		read_report(t, q, &r);
		(*out)[(*n)++] = info_of(&r);
	}
	return sql_end(t->arena, q);
}

const struct fail *store_outgoing_hurry(struct tx *t, u64 day, u64 *count)
{
	u64 seconds = t->now / 1000;

	TRY(SQL_RUN(
	    t->arena, t->db,
	    "UPDATE outgoing_report SET last = CASE WHEN last < ?1 THEN last WHEN first < ?1 THEN ?1 ELSE first END,"
	    " state = 1, due = ?2, attempts = 0, why = '' WHERE day = ?3 AND state < 2",
	    SQL_U64(seconds), SQL_U64(t->now), SQL_U64(day)));
	*count = sql_changed(t->db);
	return NULL;
}

/* --- Rows -------------------------------------------------------------------------------------------------- */

#define ROW_VALUES(report, row)                                                                \
	SQL_U64(report), SQL_BLOB((row)->source), SQL_STR((row)->header_from),                 \
	    SQL_STR((row)->envelope_from), SQL_U64((row)->disposition),                        \
	    SQL_U64((row)->dkim_aligned), SQL_U64((row)->spf_aligned), SQL_U64((row)->reason), \
	    SQL_STR((row)->comment), SQL_U64((row)->has_spf), SQL_STR((row)->spf_domain),      \
	    SQL_U64((row)->spf_result), SQL_STR(signatures_text(t->arena, (row)))

const struct fail *store_outgoing_row_count(struct tx *t, u64 report, const struct dmarc_row *row,
					    bool *counted)
{
	TRY(SQL_RUN(t->arena, t->db,
		    "UPDATE outgoing_row SET count = count + 1 WHERE report_id = ? AND source = ?"
		    " AND header_from = ? AND envelope_from = ? AND disposition = ?"
		    " AND dkim_aligned = ? AND spf_aligned = ? AND reason = ? AND comment = ?"
		    " AND has_spf = ? AND spf_domain = ? AND spf_result = ? AND signatures = ?",
		    ROW_VALUES(report, row)));
	*counted = sql_changed(t->db) > 0;
	return NULL;
}

const struct fail *store_outgoing_row_add(struct tx *t, u64 report, const struct dmarc_row *row)
{
	return SQL_RUN(t->arena, t->db,
		       "INSERT INTO outgoing_row (report_id, source, header_from, envelope_from,"
		       " disposition, dkim_aligned, spf_aligned, reason, comment, has_spf,"
		       " spf_domain, spf_result, signatures, count)"
		       " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
		       ROW_VALUES(report, row), SQL_U64(row->count));
}

static void read_row(struct tx *t, struct query *q, struct dmarc_row *row)
{
	*row = (struct dmarc_row){ .source = sql_blob(q, t->arena) };
	row->header_from = sql_str(q, t->arena);
	row->envelope_from = sql_str(q, t->arena);
	row->disposition = (u8)sql_u32(q);
	row->dkim_aligned = sql_bool(q);
	row->spf_aligned = sql_bool(q);
	row->reason = (u8)sql_u32(q);
	row->comment = sql_str(q, t->arena);
	row->has_spf = sql_bool(q);
	row->spf_domain = sql_str(q, t->arena);
	row->spf_result = (u8)sql_u32(q);
	if (!read_signatures(t->arena, sql_str(q, t->arena), row))
		sql_bad(q);
	row->count = sql_u64(q);
}

const struct fail *store_outgoing_rows(struct tx *t, u64 report, struct dmarc_row **out, size_t *n)
{
	struct query *q;
	u64 most;

	TRY(one_number(t,
		       SQL_QUERY(t->db, "SELECT count(*) FROM outgoing_row WHERE report_id = ?",
				 SQL_U64(report)),
		       &most));
	*out = arena_array_of(t->arena, most, struct dmarc_row);
	*n = 0;
	q = SQL_QUERY(t->db,
		      "SELECT source, header_from, envelope_from, disposition, dkim_aligned,"
		      " spf_aligned, reason, comment, has_spf, spf_domain, spf_result, signatures,"
		      " count FROM outgoing_row WHERE report_id = ?",
		      SQL_U64(report));
	while (*n < most && sql_row(q))
		read_row(t, q, &(*out)[(*n)++]);
	return sql_end(t->arena, q);
}

const struct fail *store_outgoing_rows_remove(struct tx *t, u64 report)
{
	return SQL_RUN(t->arena, t->db, "DELETE FROM outgoing_row WHERE report_id = ?",
		       SQL_U64(report));
}

/* --- Failures ---------------------------------------------------------------------------------------------- */

const struct fail *store_failure_add(struct tx *t, const struct outgoing_failure *f)
{
	struct buf *bytes = buf_new(t->arena, TEXT_MAX);
	struct encoder e = { .bytes = bytes };

	encode_dmarc_fact(&e, &f->fact);
	if (bytes->full)
		return fail_new(t->arena, FAIL_TOO_LARGE, "too much about one message");
	return SQL_RUN(t->arena, t->db,
		       "INSERT INTO outgoing_failure (id, due, attempts, fact) VALUES (?,?,?,?)",
		       SQL_U64(f->id), SQL_U64(f->due), SQL_U64(f->attempts),
		       SQL_BLOB(buf_str(bytes)));
}

static const struct fail *one_failure(struct tx *t, struct query *q, struct outgoing_failure *out)
{
	struct decoder d = { .arena = t->arena };
	bool found = sql_row(q);

	*out = (struct outgoing_failure){ 0 };
	if (found) {
		out->id = sql_u64(q);
		out->due = sql_u64(q);
		out->attempts = sql_u32(q);
		d.rest = sql_blob(q, t->arena);
		decode_dmarc_fact(&d, &out->fact);
		if (!decoder_done(&d))
			out->fact = (struct dmarc_fact){ 0 };
	}
	TRY(sql_end(t->arena, q));
	return found ? NULL : fail_new(t->arena, FAIL_NOT_FOUND, "no such report");
}

const struct fail *store_failure_get(struct tx *t, u64 id, struct outgoing_failure *out)
{
	return one_failure(
	    t,
	    SQL_QUERY(t->db, "SELECT id, due, attempts, fact FROM outgoing_failure WHERE id = ?",
		      SQL_U64(id)),
	    out);
}

const struct fail *store_failure_due(struct tx *t, struct outgoing_failure *out)
{
	return one_failure(t,
			   SQL_QUERY(t->db,
				     "SELECT id, due, attempts, fact FROM outgoing_failure"
				     " WHERE due <= ? ORDER BY due LIMIT 1",
				     SQL_U64(t->now)),
			   out);
}

const struct fail *store_failure_update(struct tx *t, const struct outgoing_failure *f)
{
	return SQL_RUN(t->arena, t->db,
		       "UPDATE outgoing_failure SET due = ?, attempts = ? WHERE id = ?",
		       SQL_U64(f->due), SQL_U64(f->attempts), SQL_U64(f->id));
}

const struct fail *store_failure_remove(struct tx *t, u64 id)
{
	return SQL_RUN(t->arena, t->db, "DELETE FROM outgoing_failure WHERE id = ?", SQL_U64(id));
}

const struct fail *store_failure_count(struct tx *t, u64 *out)
{
	return one_number(t, SQL_QUERY0(t->db, "SELECT count(*) FROM outgoing_failure"), out);
}

const struct fail *store_rate_get(struct tx *t, str address, u64 *out)
{
	return one_number(t,
			  SQL_QUERY(t->db,
				    "SELECT sent FROM outgoing_rate WHERE hour = ? AND address = ?",
				    SQL_U64(t->now / HOUR_MS), SQL_STR(address)),
			  out);
}

const struct fail *store_rate_add(struct tx *t, str address)
{
	return SQL_RUN(t->arena, t->db,
		       "INSERT INTO outgoing_rate (hour, address, sent) VALUES (?, ?, 1)"
		       " ON CONFLICT (hour, address) DO UPDATE SET sent = sent + 1",
		       SQL_U64(t->now / HOUR_MS), SQL_STR(address));
}

/* --- The whole --------------------------------------------------------------------------------------------- */

const struct fail *store_outgoing_next(struct tx *t, u64 *due)
{
	u64 failure;
	bool found;

	TRY(sql_one_u64(t->arena,
			SQL_QUERY0(t->db, "SELECT min(due) FROM outgoing_report WHERE state < 2"),
			due, &found));
	if (!found)
		*due = UINT64_MAX;
	TRY(sql_one_u64(t->arena, SQL_QUERY0(t->db, "SELECT min(due) FROM outgoing_failure"),
			&failure, &found));
	if (found && failure < *due)
		*due = failure;
	return NULL;
}

const struct fail *store_outgoing_expire(struct tx *t, bool *more)
{
	u64 day = t->now / DAY_MS, old = day > STORE_OUTGOING_DAYS ? day - STORE_OUTGOING_DAYS : 0;

	TRY(SQL_RUN(t->arena, t->db, "DELETE FROM outgoing_rate WHERE hour < ?",
		    SQL_U64(t->now / HOUR_MS)));
	TRY(SQL_RUN(t->arena, t->db,
		    "DELETE FROM outgoing_row WHERE report_id IN"
		    " (SELECT id FROM outgoing_report WHERE day < ? ORDER BY day LIMIT ?)",
		    SQL_U64(old), SQL_U64(STORE_OUTGOING_SLICE)));
	TRY(SQL_RUN(t->arena, t->db,
		    "DELETE FROM outgoing_report WHERE id IN"
		    " (SELECT id FROM outgoing_report WHERE day < ? ORDER BY day LIMIT ?)",
		    SQL_U64(old), SQL_U64(STORE_OUTGOING_SLICE)));
	*more = sql_changed(t->db) == STORE_OUTGOING_SLICE;
	return NULL;
}
