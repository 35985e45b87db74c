/* What we sent: a count per hour, domain of ours, domain there, and host that took it. */
#include "base/arena.h"
#include "office/store/store_received.h"

static const u64 hour_ms = 60 * 60 * 1000;
static const u64 day_ms = 24 * 60 * 60 * 1000;

const struct fail *store_sent_add(struct tx *t, str from_domain, str to_domain, str mta)
{
	return SQL_RUN(t->arena, t->db,
		       "INSERT INTO sent (from_domain, hour, to_domain, mta, messages)"
		       " VALUES (?, ?, ?, ?, 1) ON CONFLICT (from_domain, hour, to_domain, mta)"
		       " DO UPDATE SET messages = messages + 1",
		       SQL_STR(str_lower(t->arena, from_domain)), SQL_U64(t->now / hour_ms),
		       SQL_STR(str_lower(t->arena, to_domain)), SQL_STR(str_lower(t->arena, mta)));
}

const struct fail *store_sent_count(struct tx *t, str from_domain, str there, u64 begin, u64 end,
				    u64 *sent, u64 *sent_all)
{
	struct query *q = SQL_QUERY(
	    t->db,
	    "SELECT coalesce(sum(messages), 0), coalesce(sum(messages * ("
	    " substr('.' || to_domain, -length(?1)) = ?1 OR substr('.' || mta, -length(?1)) = ?1)), 0)"
	    " FROM sent WHERE from_domain = ?2 AND hour >= ?3 AND hour < ?4",
	    SQL_STR(str_format(t->arena, ".%.*s", STR_ARG(there))), SQL_STR(from_domain),
	    SQL_U64(begin / hour_ms), SQL_U64((end + hour_ms - 1) / hour_ms));

	*sent = *sent_all = 0;
	if (sql_row(q)) {
		*sent_all = sql_u64(q);
		*sent = sql_u64(q);
	}
	return sql_end(t->arena, q);
}

/* Domain by domain, so that each finds its old hours at the front. */
const struct fail *store_sent_expire(struct tx *t)
{
	u64 before = store_ago(t, STORE_SENT_DAYS * day_ms) / hour_ms;
	str domain = STR_NONE;
	bool more = true;

	while (more) {
		struct query *q = SQL_QUERY(
		    t->db,
		    "SELECT from_domain FROM sent WHERE from_domain > ? ORDER BY from_domain LIMIT 1",
		    SQL_STR(domain));
		more = sql_row(q);
		if (more)
			domain = sql_str(q, t->arena);
		TRY(sql_end(t->arena, q));
		if (more)
			TRY(SQL_RUN(t->arena, t->db,
				    "DELETE FROM sent WHERE from_domain = ? AND hour < ?",
				    SQL_STR(domain), SQL_U64(before)));
	}
	return NULL;
}
