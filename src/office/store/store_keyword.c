/* Keywords: names of a mailbox's flag bits from FLAG_KEYWORD_FIRST on. A bit, once given, keeps its name. */
#include "office/store/store_int.h"

const struct fail *keywords_load(struct tx *t, u64 account, u64 mailbox, struct keywords *k)
{
	struct query *q = SQL_QUERY(
	    t->db,
	    "SELECT bit, name FROM keyword WHERE account_id = ? AND mailbox_id = ? ORDER BY bit",
	    SQL_U64(account), SQL_U64(mailbox));

	*k = (struct keywords){ .n = 0 };
	while (sql_row(q)) {
		if (sql_u64(q) != FLAG_KEYWORD_FIRST + k->n || k->n == OFFICE_KEYWORDS)
			sql_bad(q);
		else
			k->names[k->n++] = sql_str(q, t->arena);
	}
	return sql_end(t->arena, q);
}

/* An atom, RFC 3501 9 "flag-keyword": what edges parsed; they are not trusted. */
static bool good_name(str name)
{
	if (name.n == 0 || name.n > OFFICE_KEYWORD_NAME)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= ' ' || name.p[i] >= 0x7F || str_has(S("(){%*\"\\]"), name.p[i]))
			return false;
	return true;
}

/* Of a call, whether the mailbox knows them or not: they are noted in the segment, which no quota bounds. */
const struct fail *keywords_check(struct arena *a, const str *names, size_t n)
{
	if (n > OFFICE_KEYWORDS)
		return fail_new(a, FAIL_LIMIT, "too many keywords at once");
	for (size_t i = 0; i < n; i++)
		if (!good_name(names[i]))
			return fail_new(a, FAIL_INVALID, "not a keyword");
	return NULL;
}

static const struct fail *make_keyword(struct tx *t, u64 account, u64 mailbox, struct keywords *k,
				       str name)
{
	if (!good_name(name))
		return fail_new(t->arena, FAIL_INVALID, "not a keyword");
	if (k->n == OFFICE_KEYWORDS)
		return fail_code(t->arena, FAIL_LIMIT, "4.3.1",
				 "too many keywords in this mailbox");
	TRY(SQL_RUN(t->arena, t->db,
		    "INSERT INTO keyword (account_id, mailbox_id, bit, name) VALUES (?, ?, ?, ?)",
		    SQL_U64(account), SQL_U64(mailbox), SQL_U64(FLAG_KEYWORD_FIRST + k->n),
		    SQL_STR(name)));
	k->names[k->n++] = name;
	return NULL;
}

const struct fail *keywords_bits(struct tx *t, u64 account, u64 mailbox, struct keywords *k,
				 const str *names, size_t n, bool make, u64 *bits)
{
	*bits = 0;
	for (size_t i = 0; i < n; i++) {
		u32 bit = 0;

		while (bit < k->n && !str_eq_nocase(k->names[bit], names[i]))
			bit++;
		if (bit == k->n && !make)
			continue;
		if (bit == k->n)
			TRY(make_keyword(t, account, mailbox, k, names[i]));
		*bits |= (u64)1 << (FLAG_KEYWORD_FIRST + bit);
	}
	return NULL;
}

void keywords_list(struct arena *a, const struct keywords *k, u64 bits, const str **out, size_t *n)
{
	str *names = arena_array_of(a, k->n, str);

	*n = 0;
	for (u32 i = 0; i < k->n; i++)
		if (bits >> (FLAG_KEYWORD_FIRST + i) & 1)
			names[(*n)++] = k->names[i];
	*out = names;
}
