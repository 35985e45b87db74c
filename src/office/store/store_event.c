#include "office/store/store_event.h"

#include "base/arena.h"
#include "base/chars.h"
#include "base/id.h"

static const struct fail *event_insert(struct tx *t, u64 message, u64 time, str stage, str code,
				       str arguments)
{
	return SQL_RUN(t->arena, t->db,
		       "INSERT INTO event (message_id, id, time, stage, code, arguments)"
		       " VALUES (?, ?, ?, ?, ?, ?)",
		       SQL_U64(message), SQL_U64(store_id_now(t->store)), SQL_U64(time),
		       SQL_STR(stage), SQL_STR(code), SQL_STR(arguments));
}

const struct fail *store_event_add(struct tx *t, u64 message, str stage, enum event_code code,
				   str arguments)
{
	return event_insert(t, message, t->now, stage, event_code_name(code), arguments);
}

static bool is_word(str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!char_is(s.p[i], CHAR_LDH) && s.p[i] != '_' && s.p[i] != '.')
			return false;
	}
	return s.n > 0 && s.n <= EVENT_WORD;
}

/* Another process says when; it may be late, but not by much, and never early. */
static u64 time_of(const struct tx *t, const struct event_record *r)
{
	return r->time < t->now && t->now - r->time < STORE_EVENT_LATE_MS ? r->time : t->now;
}

const struct fail *store_event_add_record(struct tx *t, const struct event_record *r)
{
	bool good = r->arguments.n <= STORE_EVENT_ARGUMENTS && event_args_valid(r->arguments);

	if (!is_word(r->stage) || !is_word(r->code))
		return NULL;
	return event_insert(t, r->message, time_of(t, r), r->stage, r->code,
			    good ? r->arguments : S("{}"));
}

/* --- Words ------------------------------------------------------------------------------------------------- */

static str without_brackets(str s)
{
	s = str_trim(s);
	return s.n >= 2 && s.p[0] == '<' && s.p[s.n - 1] == '>' ? str_slice(s, 1, s.n - 1) : s;
}

/* The next run of letters, digits and bytes over 0x7F with at least three of them. */
static bool next_word(str *rest, str *word)
{
	size_t n;

	while (rest->n) {
		for (n = 0; n < rest->n; n++) {
			if (!char_is(rest->p[n], CHAR_ALPHA | CHAR_DIGIT | CHAR_8BIT))
				break;
		}
		*word = str_slice(*rest, 0, n);
		*rest = str_skip(*rest, n ? n : 1);
		if (word->n >= 3)
			return true;
	}
	return false;
}

/* --- Traces ------------------------------------------------------------------------------------------------ */

static str recipients_join(struct arena *a, const struct store_trace *trace)
{
	struct buf *out = buf_new(a, 64 * 1024);

	for (size_t i = 0; i < trace->recipients_n && i < STORE_TRACE_RECIPIENTS; i++) {
		buf_add(out, trace->recipients[i]);
		buf_add_byte(out, '\n');
	}
	return buf_str(out);
}

/* Header text as UTF-8 that any column and terminal can take. */
static str clean(struct arena *a, str s, size_t max)
{
	struct buf *out = buf_new(a, max);
	bool utf8;

	while (s.n > max || (s.n && !str_is_utf8(s) && s.n > max - 4 && s.p[s.n - 1] & 0x80))
		s.n = s.n > max ? max : s.n - 1;
	utf8 = str_is_utf8(s);
	for (size_t i = 0; i < s.n; i++) {
		bool bad = char_is(s.p[i], CHAR_CTL) || (s.p[i] >= 0x80 && !utf8);
		buf_add_byte(out, bad ? '?' : s.p[i]);
	}
	return buf_str(out);
}

const struct fail *store_trace_add(struct tx *t, const struct store_trace *given)
{
	struct store_trace trace = *given;

	trace.subject = clean(t->arena, trace.subject, 500);
	trace.message_id = clean(t->arena, trace.message_id, 300);
	return SQL_RUN(t->arena, t->db,
		       "INSERT INTO trace (message_id, time, sender, recipients, subject,"
		       " header_id, client, size) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		       SQL_U64(trace.message), SQL_U64(t->now), SQL_STR(trace.sender),
		       SQL_STR(recipients_join(t->arena, &trace)), SQL_STR(trace.subject),
		       SQL_STR(trace.message_id), SQL_STR(trace.client), SQL_U64(trace.size));
}

static bool next_line(str *rest, str *line)
{
	size_t end = str_find(*rest, '\n');

	if (end == SIZE_MAX)
		return false;
	*line = str_slice(*rest, 0, end);
	*rest = str_skip(*rest, end + 1);
	return true;
}

/* A row as it lies there: until the next one. */
struct trace_row {
	u64 message, time, size;
	str sender, recipients, subject, message_id, client;
};

static struct trace_row trace_row(struct query *q)
{
	struct trace_row row = { .message = sql_u64(q) };

	row.time = sql_u64(q);
	row.sender = sql_borrow(q);
	row.recipients = sql_borrow(q);
	row.subject = sql_borrow(q);
	row.message_id = sql_borrow(q);
	row.client = sql_borrow(q);
	row.size = sql_u64(q);
	return row;
}

static bool trace_has(const struct trace_row *row, str word)
{
	str rest = row->recipients, piece;

	if (str_eq_nocase(row->sender, word) || str_eq_nocase(row->client, word) ||
	    str_eq_nocase(without_brackets(row->message_id), word))
		return true;
	while (next_line(&rest, &piece))
		if (str_eq_nocase(piece, word))
			return true;
	rest = row->subject;
	while (next_word(&rest, &piece))
		if (str_eq_nocase(piece, word))
			return true;
	return false;
}

static struct trace_info trace_info(struct arena *a, const struct trace_row *row)
{
	str *recipients = arena_array_of(a, STORE_TRACE_RECIPIENTS, str);
	struct trace_info info = { .message = row->message,
				   .time = row->time,
				   .sender = str_copy(a, row->sender),
				   .recipients = recipients,
				   .subject = str_copy(a, row->subject),
				   .message_id = str_copy(a, row->message_id),
				   .size = row->size };
	str rest = str_copy(a, row->recipients);

	while (info.recipients_n < STORE_TRACE_RECIPIENTS &&
	       next_line(&rest, &recipients[info.recipients_n]))
		info.recipients_n++;
	return info;
}

/* Of the query's rows those that have the word; empty: all. One that cannot be read does not hide the others, here and below. */
static const struct fail *traces_by(struct tx *t, struct query *q, str word, u32 max,
				    struct office_trace_answer *r)
{
	struct trace_info *infos = arena_array_of(t->arena, max, struct trace_info);
	size_t n = 0;

	while (n < max && sql_row(q)) {
		struct trace_row row = trace_row(q);
		if (!sql_forgive(q) && (word.n == 0 || trace_has(&row, word)))
			infos[n++] = trace_info(t->arena, &row);
	}
	r->messages = infos;
	r->messages_n = n;
	return sql_end(t->arena, q);
}

static void event_row(struct query *q, struct arena *a, struct event_record *e)
{
	e->time = sql_u64(q);
	e->message = sql_u64(q);
	e->stage = sql_str(q, a);
	e->code = sql_str(q, a);
	e->arguments = sql_str(q, a);
}

static const struct fail *events_read(struct tx *t, struct query *q, struct event_record *out,
				      size_t max, size_t *n)
{
	while (*n < max && sql_row(q)) {
		event_row(q, t->arena, &out[*n]);
		*n += !sql_forgive(q);
	}
	return sql_end(t->arena, q);
}

/* What became no message has no index of words: the newest are looked through. */
static const struct fail *attempts_find(struct tx *t, str word, struct event_record *out,
					size_t max, size_t *n)
{
	word = str_lower(t->arena, word);
	TRY(events_read(t,
			SQL_QUERY(t->db,
				  "SELECT time, message_id, stage, code, arguments FROM ("
				  " SELECT * FROM event WHERE message_id > 0 AND message_id < ?"
				  " ORDER BY message_id DESC LIMIT ?)"
				  " WHERE instr(lower(arguments), ?) > 0",
				  SQL_U64(ID_ATTEMPT_END), SQL_U64(STORE_TRACE_SCAN),
				  SQL_STR(word)),
			out, max, n));
	return events_read(t,
			   SQL_QUERY(t->db,
				     "SELECT time, message_id, stage, code, arguments FROM ("
				     " SELECT * FROM event WHERE message_id = 0 ORDER BY id DESC"
				     " LIMIT ?) WHERE instr(lower(arguments), ?) > 0",
				     SQL_U64(STORE_TRACE_SCAN), SQL_STR(word)),
			   out, max, n);
}

static const struct fail *events_of(struct tx *t, u64 message, struct event_record *out, size_t max,
				    size_t *n)
{
	struct query *q = SQL_QUERY(t->db,
				    "SELECT time, message_id, stage, code, arguments FROM event"
				    " WHERE message_id = ? ORDER BY id",
				    SQL_U64(message));

	return events_read(t, q, out, max, n);
}

const struct fail *store_event_list(struct tx *t, u64 message, const struct event_record **out,
				    size_t *n)
{
	struct event_record *events =
	    arena_array_of(t->arena, STORE_EVENT_SHOWN, struct event_record);

	*n = 0;
	*out = events;
	return events_of(t, message, events, STORE_EVENT_SHOWN, n);
}

#define TRACE_COLUMNS                                                                    \
	"SELECT message_id, time, sender, recipients, subject, header_id, client, size " \
	"FROM trace "

/* There is no index of words: each message would change as many places of it as it has words, while one look through a million messages
 * takes a second or two. */
static const struct fail *trace_messages(struct tx *t, str word, u32 max,
					 struct office_trace_answer *r)
{
	u64 id;

	if (id_parse(word, &id))
		return traces_by(
		    t, SQL_QUERY(t->db, TRACE_COLUMNS "WHERE message_id = ?", SQL_U64(id)),
		    STR_NONE, max, r);
	word = without_brackets(word);
	if (word.n == 0)
		return NULL;
	return traces_by(t, SQL_QUERY0(t->db, TRACE_COLUMNS "ORDER BY message_id DESC"), word, max,
			 r);
}

const struct fail *store_trace_find(struct tx *t, str word, u32 max, struct office_trace_answer *r)
{
	struct event_record *events =
	    arena_array_of(t->arena, STORE_EVENT_SHOWN, struct event_record);
	size_t n = 0;
	u64 id;

	max = max > STORE_TRACE_MAX ? STORE_TRACE_MAX : max;
	TRY(trace_messages(t, word, max, r));
	for (size_t i = 0; i < r->messages_n; i++)
		TRY(events_of(t, r->messages[i].message, events, STORE_EVENT_SHOWN, &n));
	if (id_parse(word, &id) && id_is_attempt(id))
		TRY(events_of(t, id, events, STORE_EVENT_SHOWN, &n));
	if (n == 0 || !id_parse(word, &id))
		TRY(attempts_find(t, without_brackets(word), events, STORE_EVENT_SHOWN, &n));
	r->events = events;
	r->events_n = n;
	return NULL;
}

/* --- Expiry ------------------------------------------------------------------------------------------------ */

/* Ids rise in time, so the old rows are the first ones. */
static const struct fail *expire_traces(struct tx *t, u64 first_kept, u64 *n)
{
	TRY(SQL_RUN(t->arena, t->db,
		    "DELETE FROM trace WHERE message_id IN (SELECT message_id FROM trace"
		    " WHERE message_id < ? LIMIT ?)",
		    SQL_U64(first_kept), SQL_U64(STORE_EVENT_SLICE)));
	*n = sql_changed(t->db);
	return NULL;
}

/* Events of messages (from, below) or attempts, or of a message that has no trace: by the range of their ids, whatever they say. */
static const struct fail *expire_range(struct tx *t, u64 from, u64 first_kept, u64 *n)
{
	TRY(SQL_RUN(t->arena, t->db,
		    "DELETE FROM event WHERE (message_id, id) IN (SELECT message_id, id FROM event"
		    " WHERE message_id >= ? AND message_id < ? LIMIT ?)",
		    SQL_U64(from), SQL_U64(first_kept), SQL_U64(STORE_EVENT_SLICE)));
	*n = sql_changed(t->db);
	return NULL;
}

/* Of those too many, the oldest. */
static const struct fail *attempts_beyond(struct tx *t, u64 most, u64 *first_kept)
{
	bool found;
	u64 id = 0;

	TRY(sql_one_u64(t->arena,
			SQL_QUERY(t->db,
				  "SELECT message_id FROM event WHERE message_id > 0"
				  " AND message_id < ? ORDER BY message_id DESC LIMIT 1 OFFSET ?",
				  SQL_U64(ID_ATTEMPT_END), SQL_U64(most)),
			&id, &found));
	if (found && id >= *first_kept)
		*first_kept = id + 1;
	return NULL;
}

/* Of no message and no attempt: what the office and the administrator did. */
static const struct fail *expire_rest(struct tx *t, u64 first_kept, u64 *n)
{
	TRY(SQL_RUN(t->arena, t->db,
		    "DELETE FROM event WHERE message_id = 0 AND id IN (SELECT id FROM event"
		    " WHERE message_id = 0 AND id < ? LIMIT ?)",
		    SQL_U64(first_kept), SQL_U64(STORE_EVENT_SLICE)));
	*n = sql_changed(t->db);
	return NULL;
}

const struct fail *store_event_expire(struct tx *t, struct store_event_keep *keep, bool *more)
{
	u64 messages = id_first_message(store_ago(t, keep->messages_ms));
	u64 attempts = id_first_attempt(store_ago(t, keep->attempts_ms));
	u64 n[4];

	if (keep->attempts_first > attempts)
		attempts = keep->attempts_first;
	else if (keep->attempts_first == 0)
		TRY(attempts_beyond(t, keep->attempts_most, &attempts));
	keep->attempts_first = attempts;
	TRY(expire_traces(t, messages, &n[0]));
	TRY(expire_range(t, ID_ATTEMPT_END, messages, &n[1]));
	TRY(expire_range(t, 1, attempts, &n[2]));
	TRY(expire_rest(t, messages, &n[3]));
	*more = n[0] == STORE_EVENT_SLICE || n[1] == STORE_EVENT_SLICE ||
		n[2] == STORE_EVENT_SLICE || n[3] == STORE_EVENT_SLICE;
	return NULL;
}

const struct fail *store_event_count(struct tx *t, u64 *out)
{
	bool found;

	return sql_one_u64(t->arena, SQL_QUERY0(t->db, "SELECT count(*) FROM event"), out, &found);
}
