/* Complaints and DMARC failure reports: taking and showing them. */
#include "base/id.h"
#include "office/store/store_received.h"
#include "report/feedback.h"
#include "report/incoming.h"

/* --- Taking -------------------------------------------------------------------------------------------------- */

static str domain_of(str address)
{
	size_t at = str_find_last(address, '@');

	return at == SIZE_MAX ? STR_NONE : str_skip(address, at + 1);
}

/* Which domain of ours it is about: what the report says, else the author, else the sender of the message. */
static const struct fail *domain_find(struct tx *t, const struct feedback_report *r, str *out)
{
	str candidates[FEEDBACK_LIST + 2];
	size_t n = 0;
	bool ours = false;

	for (size_t i = 0; i < r->domains_n && n < FEEDBACK_LIST; i++)
		candidates[n++] = r->domains[i];
	candidates[n++] = r->header_from;
	candidates[n++] = str_lower(t->arena, domain_of(r->original_from));
	*out = STR_NONE;
	for (size_t i = 0; i < n && !ours; i++) {
		if (candidates[i].n == 0)
			continue;
		TRY(received_domain_is_ours(t, candidates[i], &ours));
		if (ours || out->n == 0)
			*out = candidates[i];
	}
	return NULL;
}

static const struct fail *insert(struct tx *t, u64 message, const struct incoming_report *in,
				 str domain, u64 bytes)
{
	const struct feedback_report *r = &in->feedback;

	return SQL_RUN(
	    t->arena, t->db,
	    "INSERT OR IGNORE INTO feedback (id, received, message_id, sender, proof, domain, kind,"
	    " type, user_agent, original_from, recipients, envelope_id, arrival, source,"
	    " reporting_mta, incidents, auth_failure, alignment, dkim_domain, dkim_selector, delivery,"
	    " header_from, subject, header_id, bytes)"
	    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	    SQL_U64(store_id_now(t->store)), SQL_U64(t->now), SQL_U64(message),
	    SQL_STR(received_text(in->sender)), SQL_U64(in->proof), SQL_STR(received_text(domain)),
	    SQL_U64(r->kind), SQL_STR(received_text(r->type)),
	    SQL_STR(received_text(r->user_agent)), SQL_STR(received_text(r->original_from)),
	    SQL_STR(received_lines(t->arena, r->original_to, r->original_to_n, FEEDBACK_LIST)),
	    SQL_STR(received_text(r->envelope_id)), SQL_U64(r->arrival), SQL_BLOB(r->source),
	    SQL_STR(received_text(r->reporting_mta)), SQL_U64(r->incidents),
	    SQL_STR(received_text(r->auth_failure)), SQL_STR(received_text(r->alignment)),
	    SQL_STR(received_text(r->dkim_domain)), SQL_STR(received_text(r->dkim_selector)),
	    SQL_STR(received_text(r->delivery)), SQL_STR(received_text(r->header_from)),
	    SQL_STR(received_text(r->subject)), SQL_STR(received_text(r->message_id)),
	    SQL_U64(bytes));
}

const struct fail *store_feedback_add(struct tx *t, u64 message, const struct incoming_report *in,
				      struct received_outcome *out)
{
	const struct feedback_report *r = &in->feedback;
	str domain;

	if (r->kind > FEEDBACK_AUTH_FAILURE || !received_source_is_good(r->source) ||
	    r->arrival > INT64_MAX || r->incidents > INT64_MAX)
		return fail_new(t->arena, FAIL_INVALID, "no report that a reader makes");
	TRY(received_look_for_room(
	    t, in, SQL_QUERY(t->db, RECEIVED_DAY("feedback"), RECEIVED_DAY_VALUES(t, in)),
	    STORE_RECEIVED_DAY_DOMAIN, "complaints", out));
	if (out->what != RECEIVED_TAKEN_NOW)
		return NULL;
	TRY(domain_find(t, r, &domain));
	TRY(insert(t, message, in, domain, out->bytes));
	if (sql_changed(t->db) == 0)
		out->what = RECEIVED_HERE_ALREADY;
	return NULL;
}

/* --- Showing ------------------------------------------------------------------------------------------------- */

static void read_report(struct query *q, struct arena *a, struct feedback_report *r)
{
	r->kind = (u8)sql_u32(q);
	r->type = sql_str(q, a);
	r->user_agent = sql_str(q, a);
	r->original_from = sql_str(q, a);
	r->original_to_n = received_lines_split(a, sql_str(q, a), &r->original_to);
	r->envelope_id = sql_str(q, a);
	r->arrival = sql_u64(q);
	r->source = sql_blob(q, a);
	r->reporting_mta = sql_str(q, a);
	r->incidents = sql_u64(q);
	r->auth_failure = sql_str(q, a);
	r->alignment = sql_str(q, a);
	r->dkim_domain = sql_str(q, a);
	r->dkim_selector = sql_str(q, a);
	r->delivery = sql_str(q, a);
	r->header_from = sql_str(q, a);
	r->subject = sql_str(q, a);
	r->message_id = sql_str(q, a);
	if (!received_source_is_good(r->source))
		sql_bad(q);
}

static void read_info(struct query *q, struct arena *a, struct feedback_info *out)
{
	*out = (struct feedback_info){ .id = sql_u64(q) };
	out->received = sql_u64(q);
	out->message = sql_u64(q);
	out->sender = sql_str(q, a);
	out->proof = (u8)sql_u32(q);
	out->domain = sql_str(q, a);
	read_report(q, a, &out->report);
}

const struct fail *store_feedback_list(struct tx *t, const struct office_feedback_list_request *q,
				       struct office_feedback_list_answer *r)
{
	size_t max = received_page_max(&q->page);
	struct feedback_info *list = arena_array_of(t->arena, max, struct feedback_info);
	struct query *rows = SQL_QUERY(
	    t->db,
	    "SELECT id, received, message_id, sender, proof, domain, kind, type, user_agent,"
	    " original_from, recipients, envelope_id, arrival, source, reporting_mta,"
	    " incidents, auth_failure, alignment, dkim_domain, dkim_selector, delivery,"
	    " header_from, subject, header_id FROM feedback"
	    " WHERE " RECEIVED_PAGE("id", "received", "domain") " AND (kind = ?5) = ?6"
								" ORDER BY id DESC LIMIT ?4",
	    RECEIVED_PAGE_VALUES(&q->page), SQL_U64(max), SQL_U64(FEEDBACK_AUTH_FAILURE),
	    SQL_U64(q->failures));

	while (r->reports_n < max && sql_row(rows))
		read_info(rows, t->arena, &list[r->reports_n++]);
	r->reports = list;
	return sql_end(t->arena, rows);
}
