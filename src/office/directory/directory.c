/* Names and their table; see directory.h. Expansion of aliases is in expand.c. */
#include "office/directory/directory_int.h"

#include "base/chars.h"
#include "base/check.h"

struct directory *directory_new(const struct env *e, str subaddress)
{
	struct arena *a = arena_new(DIRECTORY_ARENA);
	struct directory *d = arena_new_of(a, struct directory);

	d->magic = DIRECTORY_MAGIC;
	d->arena = a;
	table_init(&d->names, a, e);
	table_init(&d->by_id, a, e);
	CHECK(pthread_rwlock_init(&d->lock, NULL) == 0);
	directory_set_subaddress(d, subaddress);
	return d;
}

void directory_free(struct directory **d)
{
	struct arena *a;

	if (*d == NULL)
		return;
	CHECK_MAGIC(*d, DIRECTORY_MAGIC);
	(*d)->magic = 0;
	pthread_rwlock_destroy(&(*d)->lock);
	a = (*d)->arena;
	arena_free(&a);
	*d = NULL;
}

/* --- Names ------------------------------------------------------------------------------------------------- */

/* Lower case in a small buffer: the key of every name. False when it cannot be one. */
static bool key_make(struct name_key *key, str a, str b)
{
	key->n = 0;
	if (a.n + b.n > sizeof key->bytes)
		return false;
	for (size_t i = 0; i < a.n; i++)
		key->bytes[key->n++] = char_lower(a.p[i]);
	for (size_t i = 0; i < b.n; i++)
		key->bytes[key->n++] = char_lower(b.p[i]);
	return true;
}

struct name *name_find(const struct directory *d, enum name_kind kind, str a, str b)
{
	struct name_key key;
	struct table_node *node;
	str wanted;

	if (!key_make(&key, a, b))
		return NULL;
	wanted = str_from(key.bytes, key.n);
	node = table_first(&d->names, table_hash_str(&d->names, wanted));
	for (; node; node = table_next(node)) {
		struct name *name = table_object(node, struct name, by_name);
		if (name->kind == kind && str_eq(name->key, wanted))
			return name;
	}
	return NULL;
}

static struct name *name_get(struct directory *d, enum name_kind kind, str text)
{
	struct name *name = name_find(d, kind, text, STR_NONE);

	if (name)
		return name;
	name = arena_new_of(d->arena, struct name);
	name->kind = kind;
	name->key = str_lower(d->arena, text);
	table_add(&d->names, &name->by_name, table_hash_str(&d->names, name->key));
	return name;
}

/* The memory stays until the directory goes: removals are rare, and an office restarts now and then. */
static void name_remove(struct directory *d, enum name_kind kind, str text)
{
	struct name *name = name_find(d, kind, text, STR_NONE);

	if (name == NULL)
		return;
	table_remove(&d->names, &name->by_name);
	d->suspended_n -= name->suspended;
	if (kind == NAME_ACCOUNT) {
		table_remove(&d->by_id, &name->by_id);
		d->accounts--;
	}
}

static struct name *account_find(const struct directory *d, u64 id)
{
	struct table_node *node = table_first(&d->by_id, table_hash_u64(&d->by_id, id));

	for (; node; node = table_next(node)) {
		struct name *name = table_object(node, struct name, by_id);
		if (name->account.id == id)
			return name;
	}
	return NULL;
}

/* --- Changes ----------------------------------------------------------------------------------------------- */

static void lock_write(struct directory *d)
{
	CHECK_MAGIC(d, DIRECTORY_MAGIC);
	CHECK(pthread_rwlock_wrlock(&d->lock) == 0);
}

void lock_read(struct directory *d)
{
	CHECK_MAGIC(d, DIRECTORY_MAGIC);
	CHECK(pthread_rwlock_rdlock(&d->lock) == 0);
}

void unlock(struct directory *d)
{
	CHECK(pthread_rwlock_unlock(&d->lock) == 0);
}

void directory_add_domain(struct directory *d, str text)
{
	lock_write(d);
	if (d->first_domain.n == 0)
		d->first_domain = name_get(d, NAME_DOMAIN, text)->key;
	name_get(d, NAME_DOMAIN, text);
	unlock(d);
}

/* RFC 5321 4.5.1: postmaster of a domain falls to its first account when nobody has that name. */
static void domain_note_first(struct directory *d, const struct directory_account *account)
{
	str local, domain;
	struct name *name;

	if (!directory_split(account->address, &local, &domain))
		return;
	name = name_find(d, NAME_DOMAIN, domain, STR_NONE);
	if (name && (name->first_account == 0 || account->id < name->first_account))
		name->first_account = account->id;
}

static void domain_forget_first(struct directory *d, str address, u64 gone)
{
	str local, domain, other, ignored;
	struct name *name;

	if (!directory_split(address, &local, &domain))
		return;
	name = name_find(d, NAME_DOMAIN, domain, STR_NONE);
	if (name == NULL || name->first_account != gone)
		return;
	name->first_account = 0;
	for (size_t i = 0; i < d->by_id.slots_n; i++) {
		for (struct table_node *node = d->by_id.slots[i]; node; node = node->next) {
			struct name *account = table_object(node, struct name, by_id);
			if (directory_split(account->account.address, &ignored, &other) &&
			    str_eq(other, domain))
				domain_note_first(d, &account->account);
		}
	}
}

void directory_add_account(struct directory *d, const struct directory_account *account)
{
	struct name *name;
	bool is_new;

	lock_write(d);
	is_new = name_find(d, NAME_ACCOUNT, account->address, STR_NONE) == NULL;
	name = name_get(d, NAME_ACCOUNT, account->address);
	if (is_new) {
		name->account.address = str_copy(d->arena, account->address);
		table_add(&d->by_id, &name->by_id, table_hash_u64(&d->by_id, account->id));
		d->accounts++;
	}
	CHECK(is_new || name->account.id == account->id);
	name->account.id = account->id;
	name->account.generation = account->generation;
	name->account.quota = account->quota;
	name->account.suspended = account->suspended;
	domain_note_first(d, account);
	unlock(d);
}

static void alias_suspend(struct directory *d, struct name *name, bool suspended)
{
	d->suspended_n += suspended;
	d->suspended_n -= name->suspended;
	name->suspended = suspended;
}

void directory_add_alias(struct directory *d, str address, const str *targets, size_t n)
{
	struct name *name;
	str *copies;

	lock_write(d);
	name = name_get(d, NAME_ALIAS, address);
	copies = arena_array_of(d->arena, n, str);
	for (size_t i = 0; i < n; i++)
		copies[i] = str_copy(d->arena, targets[i]);
	name->targets = copies;
	name->targets_n = n;
	alias_suspend(d, name, false);
	unlock(d);
}

void directory_suspend_alias(struct directory *d, str address)
{
	struct name *name;

	lock_write(d);
	name = name_find(d, NAME_ALIAS, address, STR_NONE);
	if (name)
		alias_suspend(d, name, true);
	unlock(d);
}

static str any_domain(const struct directory *d)
{
	for (size_t i = 0; i < d->names.slots_n; i++) {
		for (struct table_node *node = d->names.slots[i]; node; node = node->next) {
			const struct name *name = table_object(node, struct name, by_name);
			if (name->kind == NAME_DOMAIN)
				return name->key;
		}
	}
	return STR_NONE;
}

void directory_remove_domain(struct directory *d, str text)
{
	lock_write(d);
	name_remove(d, NAME_DOMAIN, text);
	if (str_eq_nocase(d->first_domain, text))
		d->first_domain = any_domain(d);
	unlock(d);
}

void directory_remove_account(struct directory *d, str address)
{
	struct name *name;

	lock_write(d);
	name = name_find(d, NAME_ACCOUNT, address, STR_NONE);
	if (name) {
		name_remove(d, NAME_ACCOUNT, address);
		domain_forget_first(d, name->account.address, name->account.id);
	}
	unlock(d);
}

void directory_remove_alias(struct directory *d, str address)
{
	lock_write(d);
	name_remove(d, NAME_ALIAS, address);
	unlock(d);
}

/* --- Questions --------------------------------------------------------------------------------------------- */

static bool has(struct directory *d, enum name_kind kind, str text)
{
	bool found;

	lock_read(d);
	found = name_find(d, kind, text, STR_NONE) != NULL;
	unlock(d);
	return found;
}

bool directory_has_domain(struct directory *d, str name)
{
	return has(d, NAME_DOMAIN, name);
}

bool directory_has_account(struct directory *d, str address)
{
	return has(d, NAME_ACCOUNT, address);
}

bool directory_has_alias(struct directory *d, str address)
{
	return has(d, NAME_ALIAS, address);
}

static bool account_copy(struct arena *a, const struct name *name, struct directory_account *out)
{
	if (name == NULL)
		return false;
	*out = name->account;
	out->address = str_copy(a, name->account.address);
	return true;
}

bool directory_account_by_id(struct directory *d, struct arena *a, u64 id,
			     struct directory_account *out)
{
	bool found;

	lock_read(d);
	found = account_copy(a, account_find(d, id), out);
	unlock(d);
	return found;
}

bool directory_account_by_address(struct directory *d, struct arena *a, str address,
				  struct directory_account *out)
{
	bool found;

	lock_read(d);
	found = account_copy(a, name_find(d, NAME_ACCOUNT, address, STR_NONE), out);
	unlock(d);
	return found;
}

size_t directory_accounts(struct directory *d)
{
	size_t n;

	lock_read(d);
	n = d->accounts;
	unlock(d);
	return n;
}

/* user of user+tag; a quoted local part has no tag. */
bool without_tag(const struct directory *d, str local, str *user)
{
	size_t at = d->has_separator ? str_find(local, d->separator) : SIZE_MAX;

	if (at == SIZE_MAX || at == 0 || local.p[0] == '"')
		return false;
	*user = str_slice(local, 0, at);
	return true;
}

static struct name *name_at(const struct directory *d, str local, str at_domain)
{
	struct name *name = name_find(d, NAME_ACCOUNT, local, at_domain);

	return name ? name : name_find(d, NAME_ALIAS, local, at_domain);
}

static bool is_report_address(const struct directory *d, str address, str local)
{
	str user = local;

	without_tag(d, local, &user);
	for (size_t i = 0; i < d->reports_n; i++) {
		str one = d->reports[i];
		if (str_has(one, '@') ? str_eq_nocase(one, address) : str_eq_nocase(one, user))
			return true;
	}
	return false;
}

/* Whose affair it is when a domain has nobody of that name: its postmaster, or that of our first domain. */
static struct name *caretaker(const struct directory *d, const struct name *home)
{
	const struct name *first = home;

	if (first->first_account == 0)
		first = name_find(d, NAME_DOMAIN, d->first_domain, STR_NONE);
	return first && first->first_account ? account_find(d, first->first_account) : NULL;
}

static struct name *name_resolve_here(const struct directory *d, const struct name *home, str local,
				      str at_domain)
{
	struct name *name = name_at(d, local, at_domain);
	str user;

	if (name == NULL && without_tag(d, local, &user))
		name = name_at(d, user, at_domain);
	if (name == NULL && str_eq_nocase(local, S("postmaster")) && home->first_account)
		name = account_find(d, home->first_account);
	return name ? name : name_find(d, NAME_ALIAS, STR_NONE, at_domain);
}

enum recipient_result name_resolve(const struct directory *d, str address, struct name **out)
{
	str local, domain;
	struct name *home, *name;

	*out = NULL;
	if (!directory_split(address, &local, &domain))
		return RECIPIENT_UNKNOWN;
	home = name_find(d, NAME_DOMAIN, domain, STR_NONE);
	if (home == NULL)
		return RECIPIENT_REMOTE;
	name = name_resolve_here(d, home, local, str_from(domain.p - 1, domain.n + 1));
	if (name == NULL && is_report_address(d, address, local))
		name = caretaker(d, home);
	*out = name;
	if (name == NULL)
		return RECIPIENT_UNKNOWN;
	return name->suspended || name->account.suspended ? RECIPIENT_SUSPENDED : RECIPIENT_LOCAL;
}

void directory_set_subaddress(struct directory *d, str character)
{
	CHECK(pthread_rwlock_wrlock(&d->lock) == 0);
	d->has_separator = character.n == 1;
	d->separator = character.n == 1 ? character.p[0] : 0;
	unlock(d);
}

void directory_set_reports(struct directory *d, const str *addresses, size_t n)
{
	str *copy;

	CHECK(pthread_rwlock_wrlock(&d->lock) == 0);
	copy = arena_array_of(d->arena, n, str);
	for (size_t i = 0; i < n; i++)
		copy[i] = str_copy(d->arena, addresses[i]);
	d->reports = copy;
	d->reports_n = n;
	unlock(d);
}

bool directory_is_for_reports(struct directory *d, str address)
{
	str local, domain;
	struct name *home;
	bool is;

	if (!directory_split(address, &local, &domain))
		return false;
	lock_read(d);
	home = name_find(d, NAME_DOMAIN, domain, STR_NONE);
	is = home && is_report_address(d, address, local) &&
	     name_resolve_here(d, home, local, str_from(domain.p - 1, domain.n + 1)) == NULL;
	unlock(d);
	return is;
}

static str postmaster(struct directory *d, struct arena *a)
{
	str domain;

	lock_read(d);
	domain = str_copy(a, d->first_domain);
	unlock(d);
	return str_format(a, "postmaster@%.*s", STR_ARG(domain));
}

/* An alias that leads to one alone is as that one: its quota and its suspension hold for the alias too. */
static enum recipient_result follow(const struct directory *d, enum recipient_result result,
				    struct name **name)
{
	for (int i = 0; i < DIRECTORY_DEPTH && result == RECIPIENT_LOCAL &&
			(*name)->kind == NAME_ALIAS && (*name)->targets_n == 1;
	     i++) {
		struct name *next;
		enum recipient_result there = name_resolve(d, (*name)->targets[0], &next);

		if (next == NULL)
			break;
		*name = next;
		result = there;
	}
	return result;
}

enum recipient_result directory_resolve(struct directory *d, struct arena *a, str address,
					str *canonical, u64 *account)
{
	enum recipient_result result;
	struct name *name;
	str local, domain;

	*account = 0;
	*canonical = STR_NONE;
	if (str_eq_nocase(address, S("postmaster"))) /* RFC 5321 4.1.1.3 */
		address = postmaster(d, a);
	if (address.n > DIRECTORY_ADDRESS || !directory_split(address, &local, &domain))
		return RECIPIENT_UNKNOWN;
	*canonical = str_format(a, "%.*s@%.*s", STR_ARG(local), STR_ARG(str_lower(a, domain)));
	lock_read(d);
	result = follow(d, name_resolve(d, address, &name), &name);
	if (name && name->kind == NAME_ACCOUNT)
		*account = name->account.id;
	if (d->suspended_n && result == RECIPIENT_LOCAL && is_behind_suspended(d, a, address))
		result = RECIPIENT_SUSPENDED;
	unlock(d);
	return result;
}
