#include "office/store/schema.h"

#include "base/arena.h"

struct ddl {
	u64 since;
	const char *text;
};

static const struct ddl ddls[] = {
#define DDL(since, text) { since, text },
#include "office/store/schema.tbl"
#include "office/store/schema_queue.tbl"
#include "office/store/schema_outgoing.tbl"
#include "office/store/schema_received.tbl"
#undef DDL
};

const struct fail *meta_get(struct arena *a, struct sql *db, const char *name, u64 *out)
{
	bool found;

	return sql_one_u64(
	    a, SQL_QUERY(db, "SELECT value FROM meta WHERE name = ?", SQL_STR(str_cstr(name))), out,
	    &found);
}

const struct fail *meta_set(struct arena *a, struct sql *db, const char *name, u64 value)
{
	return SQL_RUN(a, db, "INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)",
		       SQL_STR(str_cstr(name)), SQL_U64(value));
}

static const struct fail *format_of(struct arena *a, struct sql *db, u64 *format)
{
	u64 tables, ours;
	bool found;

	*format = 0;
	TRY(sql_one_u64(a, SQL_QUERY0(db, "SELECT count(*) FROM sqlite_schema"), &tables, &found));
	if (tables == 0)
		return NULL;
	TRY(sql_one_u64(a, SQL_QUERY0(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'meta'"),
			&ours, &found));
	if (ours)
		TRY(meta_get(a, db, "format", format));
	if (*format == 0)
		return fail_new(a, FAIL_CONFLICT, "the database is not one of ours");
	return NULL;
}

static const struct fail *newer(struct arena *a, u64 format)
{
	return fail_new(a, FAIL_CONFLICT, "the store has format %llu, this program knows up to %d",
			(unsigned long long)format, SCHEMA_FORMAT);
}

static const struct fail *upgrade(struct arena *a, struct sql *db, u64 from)
{
	for (size_t i = 0; i < ARRAY_LEN(ddls); i++)
		if (ddls[i].since > from)
			TRY(sql_script(a, db, ddls[i].text));
	return meta_set(a, db, "format", SCHEMA_FORMAT);
}

const struct fail *schema_check(struct arena *a, struct sql *db)
{
	u64 format;

	TRY(format_of(a, db, &format));
	if (format == SCHEMA_FORMAT)
		return NULL;
	if (format > SCHEMA_FORMAT)
		return newer(a, format);
	return fail_new(a, FAIL_CONFLICT,
			"the store has format %llu: `postern serve` brings it to %d when it starts",
			(unsigned long long)format, SCHEMA_FORMAT);
}

const struct fail *schema_bring_up(struct arena *a, struct sql *db)
{
	const struct fail *f;
	u64 format;

	TRY(format_of(a, db, &format));
	if (format > SCHEMA_FORMAT)
		return newer(a, format);
	if (format == SCHEMA_FORMAT)
		return NULL;
	TRY(SQL_RUN0(a, db, "BEGIN IMMEDIATE"));
	f = upgrade(a, db, format);
	if (f == NULL)
		f = SQL_RUN0(a, db, "COMMIT");
	if (f && SQL_RUN0(a, db, "ROLLBACK"))
		return fail_because(a, f, "the tables could not be made, nor undone");
	return f;
}
