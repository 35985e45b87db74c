#include "office/store/store_directory.h"

#include "base/arena.h"
#include "office/directory/canonical.h"

/* --- Reading all ------------------------------------------------------------------------------------------- */

static const char not_a_name[] = "its name cannot be read";

static const struct fail *read_domains(struct tx *t, const struct store_directory_reader *r)
{
	struct query *q = SQL_QUERY0(t->db, "SELECT name FROM domain");

	while (sql_row(q)) {
		str name = sql_str(q, t->arena), good;

		if (sql_forgive(q) || directory_canonical_domain(t->arena, name, &good) ||
		    !str_eq(name, good))
			r->bad(r->context, "domain", name, not_a_name);
		else if (r->domain)
			r->domain(r->context, name);
	}
	return sql_end(t->arena, q);
}

static struct store_account account_row(struct query *q, struct arena *a)
{
	struct store_account account;

	account.id = sql_u64(q);
	account.address = sql_str(q, a);
	account.domain = sql_str(q, a);
	account.generation = sql_u64(q);
	account.suspended = sql_bool(q);
	account.quota = sql_u64(q);
	return account;
}

/* An address of accounts is in lower case as a whole. */
static bool account_has_name(struct arena *a, const struct store_account *account)
{
	str good, local, domain;

	return account->id && !directory_canonical(a, account->address, false, &good) &&
	       str_eq(account->address, str_lower(a, good)) &&
	       directory_split(good, &local, &domain);
}

static bool account_fits(const struct store_account *account)
{
	str local, domain;

	return account->generation && directory_split(account->address, &local, &domain) &&
	       str_eq(domain, account->domain);
}

static void account_tell(const struct store_directory_reader *r, struct store_account *account,
			 bool whole)
{
	if (!whole) {
		r->bad(r->context, "account", account->address,
		       "a part of its row cannot be read: suspended");
		account->suspended = true;
	}
	if (r->account)
		r->account(r->context, account);
}

/* Name by name: with a broken index one can be there twice. */
static const struct fail *read_accounts(struct tx *t, const struct store_directory_reader *r)
{
	struct query *q = SQL_QUERY0(t->db, "SELECT id, address, domain, generation, suspended,"
					    " quota_bytes FROM account ORDER BY +address, id");
	str last = STR_NONE;

	while (sql_row(q)) {
		struct store_account account = account_row(q, t->arena);
		bool whole = !sql_forgive(q) && account_fits(&account);

		if (!account_has_name(t->arena, &account)) {
			r->bad(r->context, "account", account.address, not_a_name);
		} else if (str_eq(account.address, last)) {
			r->bad(r->context, "account", account.address, "there is another");
		} else {
			last = account.address;
			account_tell(r, &account, whole);
		}
	}
	return sql_end(t->arena, q);
}

/* Rows of (address, target) in order become one call an address. */
struct alias_group {
	str address;
	str *targets;
	size_t n, cap;
};

static void group_add(struct arena *a, struct alias_group *g, str target)
{
	if (g->n == g->cap) {
		str *grown = arena_array_of(a, g->cap ? g->cap * 2 : 4, str);
		for (size_t i = 0; i < g->n; i++)
			grown[i] = g->targets[i];
		g->targets = grown;
		g->cap = g->cap ? g->cap * 2 : 4;
	}
	g->targets[g->n++] = target;
}

static const struct fail *each_alias(struct tx *t, struct query *q, void *context,
				     void (*alias)(void *, str, const str *, size_t))
{
	struct alias_group g = { 0 };

	while (sql_row(q)) {
		str address = sql_str(q, t->arena), target = sql_str(q, t->arena);

		if (sql_forgive(q)) /* what was no text reads as empty, and that is no address */
			target = STR_NONE;
		if (g.n && !str_eq(g.address, address)) {
			alias(context, g.address, g.targets, g.n);
			g = (struct alias_group){ 0 };
		}
		g.address = address;
		group_add(t->arena, &g, target);
	}
	if (g.n)
		alias(context, g.address, g.targets, g.n);
	return sql_end(t->arena, q);
}

/* The targets of an alias that are addresses. */
struct alias_check {
	const struct store_directory_reader *reader;
	struct arena *arena;
};

static void alias_tell(void *context, str address, const str *targets, size_t n)
{
	struct alias_check *c = context;
	const struct store_directory_reader *r = c->reader;
	str *good = arena_array_of(c->arena, n, str), ignored;
	size_t good_n = 0;

	if (directory_canonical(c->arena, address, true, &ignored)) {
		r->bad(r->context, "alias", address, not_a_name);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (directory_canonical(c->arena, targets[i], false, &ignored))
			r->bad(r->context, "alias", address, "a target is no address");
		else
			good[good_n++] = targets[i];
	}
	if (r->alias)
		r->alias(r->context, address, good, good_n, good_n < n);
}

const struct fail *store_directory_read(struct tx *t, const struct store_directory_reader *r)
{
	struct alias_check c = { .reader = r, .arena = t->arena };

	TRY(read_domains(t, r));
	TRY(read_accounts(t, r));
	return each_alias(
	    t, SQL_QUERY0(t->db, "SELECT address, target FROM alias ORDER BY address, target"), &c,
	    alias_tell);
}

static const struct fail *count(struct tx *t, struct query *q, u64 *out)
{
	bool found;

	return sql_one_u64(t->arena, q, out, &found);
}

/* --- Domains ----------------------------------------------------------------------------------------------- */

const struct fail *store_domain_add(struct tx *t, str name)
{
	TRY(SQL_RUN(t->arena, t->db, "INSERT OR IGNORE INTO domain (name) VALUES (?)",
		    SQL_STR(name)));
	if (sql_changed(t->db) == 0)
		return fail_new(t->arena, FAIL_EXISTS, "the domain exists already");
	return NULL;
}

/* Aliases of a domain are those whose address ends in it: "@" sorts before what may follow, so the domain is compared whole. */
static const struct fail *aliases_of(struct tx *t, str name, u64 *n)
{
	return count(t,
		     SQL_QUERY(t->db,
			       "SELECT count(DISTINCT address) FROM alias"
			       " WHERE substr(address, -length(?1) - 1) = '@' || ?1",
			       SQL_STR(name)),
		     n);
}

static const struct fail *accounts_of(struct tx *t, str name, u64 *n)
{
	return count(
	    t, SQL_QUERY(t->db, "SELECT count(*) FROM account WHERE domain = ?", SQL_STR(name)), n);
}

const struct fail *store_domain_remove(struct tx *t, str name)
{
	u64 accounts, aliases;

	TRY(accounts_of(t, name, &accounts));
	TRY(aliases_of(t, name, &aliases));
	if (accounts || aliases)
		return fail_new(t->arena, FAIL_CONFLICT,
				"the domain still has %llu accounts and %llu aliases",
				(unsigned long long)accounts, (unsigned long long)aliases);
	TRY(SQL_RUN(t->arena, t->db, "DELETE FROM domain WHERE name = ?", SQL_STR(name)));
	if (sql_changed(t->db) == 0)
		return fail_new(t->arena, FAIL_NOT_FOUND, "no such domain");
	return NULL;
}

const struct fail *store_domain_list(struct tx *t, struct office_domain_list_answer *r)
{
	struct query *q;
	struct domain_info *domains;
	u64 n;
	size_t i = 0;

	TRY(count(t, SQL_QUERY0(t->db, "SELECT count(*) FROM domain"), &n));
	domains = arena_array_of(t->arena, n, struct domain_info);
	q = SQL_QUERY0(t->db, "SELECT name FROM domain ORDER BY name");
	while (i < n && sql_row(q))
		domains[i++].name = sql_str(q, t->arena);
	TRY(sql_end(t->arena, q));
	for (size_t k = 0; k < i; k++) {
		TRY(accounts_of(t, domains[k].name, &domains[k].accounts));
		TRY(aliases_of(t, domains[k].name, &domains[k].aliases));
	}
	r->domains = domains;
	r->domains_n = i;
	return NULL;
}

/* --- Accounts ---------------------------------------------------------------------------------------------- */

/* Who asked before the write was told of the state before it (office_admin.c); others may have been faster: the domain may be gone, the
 * name given. */
static const struct fail *address_is_free(struct tx *t, str address)
{
	str domain = str_skip(address, str_find_last(address, '@') + 1);
	u64 n;

	TRY(count(t,
		  SQL_QUERY(t->db, "SELECT count(*) FROM domain WHERE name = ?", SQL_STR(domain)),
		  &n));
	if (n == 0)
		return fail_new(t->arena, FAIL_NOT_FOUND, "%.*s is not a domain of this server",
				STR_ARG(domain));
	TRY(count(t,
		  SQL_QUERY(t->db,
			    "SELECT (SELECT count(*) FROM account WHERE address = ?1)"
			    " + (SELECT count(*) FROM alias WHERE address = ?1)",
			    SQL_STR(address)),
		  &n));
	if (n)
		return fail_new(t->arena, FAIL_EXISTS, "%.*s exists already", STR_ARG(address));
	return NULL;
}

const struct fail *store_account_add(struct tx *t, const struct store_account *account)
{
	TRY(address_is_free(t, account->address));
	TRY(SQL_RUN(t->arena, t->db,
		    "INSERT OR IGNORE INTO account (id, address, domain, generation, suspended,"
		    " quota_bytes) VALUES (?, ?, ?, ?, ?, ?)",
		    SQL_U64(account->id), SQL_STR(account->address), SQL_STR(account->domain),
		    SQL_U64(account->generation), SQL_U64(account->suspended),
		    SQL_U64(account->quota)));
	if (sql_changed(t->db) == 0)
		return fail_new(t->arena, FAIL_EXISTS, "the account exists already");
	return store_account_furnish(t, account->id, account->address);
}

const struct fail *store_account_get(struct tx *t, str address, struct store_account *out)
{
	struct query *q = SQL_QUERY(t->db,
				    "SELECT id, address, domain, generation, suspended,"
				    " quota_bytes FROM account WHERE address = ?",
				    SQL_STR(address));
	bool found = sql_row(q);

	if (found)
		*out = account_row(q, t->arena);
	TRY(sql_end(t->arena, q));
	return found ? NULL : fail_new(t->arena, FAIL_NOT_FOUND, "no such account");
}

const struct fail *store_account_remove(struct tx *t, u64 id, u32 *next)
{
	TRY(store_account_clear(t, id, next));
	if (*next)
		return NULL;
	return SQL_RUN(t->arena, t->db, "DELETE FROM account WHERE id = ?", SQL_U64(id));
}

const struct fail *store_account_change(struct tx *t, const struct store_account *account)
{
	return SQL_RUN(t->arena, t->db,
		       "UPDATE account SET generation = ?, suspended = ?, quota_bytes = ?"
		       " WHERE id = ?",
		       SQL_U64(account->generation), SQL_U64(account->suspended),
		       SQL_U64(account->quota), SQL_U64(account->id));
}

const struct fail *store_account_list(struct tx *t, str domain,
				      struct office_account_list_answer *r)
{
	struct account_info *accounts;
	struct query *q;
	size_t i = 0;
	u64 n;

	TRY(count(t, SQL_QUERY0(t->db, "SELECT count(*) FROM account"), &n));
	accounts = arena_array_of(t->arena, n, struct account_info);
	q = SQL_QUERY(t->db,
		      "SELECT address, id, generation, suspended, used_bytes, quota_bytes,"
		      " used_messages FROM account WHERE ?1 = '' OR domain = ?1"
		      " ORDER BY domain, address",
		      SQL_STR(domain));
	while (i < n && sql_row(q)) {
		struct account_info *info = &accounts[i++];
		info->address = sql_str(q, t->arena);
		info->account = sql_u64(q);
		info->generation = sql_u64(q);
		info->suspended = sql_bool(q);
		info->used_bytes = sql_u64(q);
		info->quota_bytes = sql_u64(q);
		info->messages = sql_u64(q);
		if (sql_forgive(q)) /* as the directory has it */
			info->suspended = true;
	}
	r->accounts = accounts;
	r->accounts_n = i;
	return sql_end(t->arena, q);
}

/* --- Aliases ----------------------------------------------------------------------------------------------- */

const struct fail *store_alias_add(struct tx *t, str address, const str *targets, size_t n)
{
	TRY(address_is_free(t, address));
	for (size_t i = 0; i < n; i++)
		TRY(SQL_RUN(t->arena, t->db,
			    "INSERT OR IGNORE INTO alias (address, target) VALUES (?, ?)",
			    SQL_STR(address), SQL_STR(targets[i])));
	return NULL;
}

const struct fail *store_alias_remove(struct tx *t, str address)
{
	TRY(SQL_RUN(t->arena, t->db, "DELETE FROM alias WHERE address = ?", SQL_STR(address)));
	if (sql_changed(t->db) == 0)
		return fail_new(t->arena, FAIL_NOT_FOUND, "no such alias");
	return NULL;
}

struct alias_collector {
	struct alias_info *aliases;
	size_t n;
};

static void collect_alias(void *context, str address, const str *targets, size_t n)
{
	struct alias_collector *c = context;

	c->aliases[c->n++] =
	    (struct alias_info){ .address = address, .targets = targets, .targets_n = n };
}

const struct fail *store_alias_list(struct tx *t, str domain, struct office_alias_list_answer *r)
{
	struct alias_collector c = { 0 };
	u64 n;

	TRY(count(t, SQL_QUERY0(t->db, "SELECT count(DISTINCT address) FROM alias"), &n));
	c.aliases = arena_array_of(t->arena, n, struct alias_info);
	TRY(each_alias(t,
		       SQL_QUERY(t->db,
				 "SELECT address, target FROM alias WHERE ?1 = ''"
				 " OR substr(address, -length(?1) - 1) = '@' || ?1"
				 " ORDER BY address, target",
				 SQL_STR(domain)),
		       &c, collect_alias));
	r->aliases = c.aliases;
	r->aliases_n = c.n;
	return NULL;
}
