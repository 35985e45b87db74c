/*
 * From the recipients of an envelope to those who get the message. A work list, not a recursion: each item knows its depth, each
 * alias is opened once a message, so cycles end and the work is bounded by the targets there are (THREATS Q01, Q13).
 */
#include "office/directory/directory_int.h"

#include "base/check.h"

struct item {
	struct item *next;
	str address;
	size_t recipient;
	u32 depth;
};

/* What was met: an alias opened, an account or a remote address that is already a target. */
struct met {
	struct table_node node;
	const struct name *name; /* NULL: a remote address */
	str address;
};

struct expansion {
	struct arena *a;
	struct directory *d;
	const struct name *planned; /* an alias that is not there yet; NULL: none */
	struct table met;
	struct item *first, **last;
	size_t items;
	struct directory_target *targets;
	size_t targets_n, targets_cap;
};

static void item_add(struct expansion *x, str address, size_t recipient, u32 depth)
{
	struct item *item = arena_new_of(x->a, struct item);

	*item = (struct item){ .address = address, .recipient = recipient, .depth = depth };
	*x->last = item;
	x->last = &item->next;
	x->items++;
}

static bool met_before(struct expansion *x, const struct name *name, str address)
{
	u64 hash =
	    name ? table_hash_u64(&x->met, (u64)(uintptr_t)name) : table_hash_str(&x->met, address);
	struct met *met;

	for (struct table_node *node = table_first(&x->met, hash); node; node = table_next(node)) {
		met = table_object(node, struct met, node);
		if (met->name == name && (name || str_eq(met->address, address)))
			return true;
	}
	met = arena_new_of(x->a, struct met);
	met->name = name;
	met->address = address;
	table_add(&x->met, &met->node, hash);
	return false;
}

static void target_add(struct expansion *x, const struct item *item, u64 account)
{
	struct directory_target *target;
	str local;

	if (x->targets_n == x->targets_cap) {
		size_t cap = x->targets_cap ? x->targets_cap * 2 : 8;
		struct directory_target *grown = arena_array_of(x->a, cap, struct directory_target);
		for (size_t i = 0; i < x->targets_n; i++)
			grown[i] = x->targets[i];
		x->targets = grown;
		x->targets_cap = cap;
	}
	target = &x->targets[x->targets_n++];
	target->address = str_copy(x->a, item->address);
	target->account = account;
	target->recipient = item->recipient;
	if (directory_split(target->address, &local, &target->domain))
		target->domain = str_lower(x->a, target->domain);
	target->nobody =
	    account == 0 && name_find(x->d, NAME_DOMAIN, target->domain, STR_NONE) != NULL;
}

/* Would it be found before what is there: under its own name, with or without a tag? */
static bool is_planned(const struct expansion *x, str address, const struct name *now)
{
	str local, domain, user;

	if (x->planned == NULL || (now && str_eq_nocase(now->key, address)))
		return false;
	if (str_eq_nocase(x->planned->key, address))
		return true;
	return directory_split(address, &local, &domain) && without_tag(x->d, local, &user) &&
	       str_eq_nocase(x->planned->key,
			     str_format(x->a, "%.*s@%.*s", STR_ARG(user), STR_ARG(domain)));
}

static const struct fail *expand_one(struct expansion *x, const struct item *item)
{
	static const struct fail suspended =
	    FAIL_STATIC(UNAVAILABLE, "an alias on the way cannot be read");
	struct name *name;

	name_resolve(x->d, item->address, &name);
	if (is_planned(x, item->address, name))
		return NULL; /* it is being opened */
	if (met_before(x, name, item->address))
		return NULL;
	if (name && name->suspended)
		return &suspended;
	if (name == NULL || name->kind == NAME_ACCOUNT || item->depth >= DIRECTORY_DEPTH) {
		bool account = name && name->kind == NAME_ACCOUNT;
		target_add(x, item, account ? name->account.id : 0);
		return NULL;
	}
	for (size_t i = 0; i < name->targets_n; i++)
		item_add(x, name->targets[i], item->recipient, item->depth + 1);
	return NULL;
}

static const struct fail *expand_all(struct expansion *x)
{
	for (const struct item *item = x->first; item; item = item->next) {
		if (x->items > DIRECTORY_EXPANSION)
			return fail_code(x->a, FAIL_LIMIT, "4.5.3",
					 "too many recipients after aliases");
		TRY(arena_check(x->a));
		TRY(expand_one(x, item));
	}
	return NULL;
}

static void expansion_init(struct expansion *x, struct directory *d, struct arena *a)
{
	*x = (struct expansion){ .a = a, .d = d };
	x->last = &x->first;
	x->met = (struct table){ .arena = a, .slots_n = 64, .key = d->names.key };
	x->met.slots = arena_array_of(a, x->met.slots_n, struct table_node *);
}

bool is_behind_suspended(struct directory *d, struct arena *a, str address)
{
	struct expansion x;

	expansion_init(&x, d, a);
	item_add(&x, address, 0, 0);
	return expand_all(&x) != NULL;
}

const struct fail *directory_expand(struct directory *d, struct arena *a,
				    const struct recipient *recipients, size_t n,
				    const struct directory_target **out, size_t *out_n)
{
	struct expansion x;
	const struct fail *f;

	expansion_init(&x, d, a);
	for (size_t i = 0; i < n; i++)
		item_add(&x, recipients[i].address, i, 0);
	lock_read(d);
	f = expand_all(&x);
	unlock(d);
	*out = x.targets;
	*out_n = x.targets_n;
	return f;
}

const struct fail *directory_check_alias(struct directory *d, struct arena *a, str address,
					 const str *targets, size_t n)
{
	struct name planned = { .kind = NAME_ALIAS, .key = address };
	struct expansion x;
	const struct fail *f;
	size_t found = 0;

	expansion_init(&x, d, a);
	x.planned = &planned;
	for (size_t i = 0; i < n; i++)
		item_add(&x, targets[i], 0, 1);
	lock_read(d);
	f = expand_all(&x);
	unlock(d);
	for (size_t i = 0; i < x.targets_n; i++)
		found += !x.targets[i].nobody;
	if (f || found)
		return f;
	return fail_new(a, FAIL_INVALID, "the alias would lead to nobody");
}

/* --- Sending ----------------------------------------------------------------------------------------------- */

enum { SEND_NAMES = 256 }; /* aliases looked into for one question */

static bool seen(const struct name *const *names, size_t n, const struct name *name)
{
	for (size_t i = 0; i < n; i++) {
		if (names[i] == name)
			return true;
	}
	return false;
}

/* A catch-all leads to its owner, but is nobody's name to send as: "@domain" would be every address there is. */
static bool is_catch_all(const struct name *name)
{
	return name->kind == NAME_ALIAS && name->key.n && name->key.p[0] == '@';
}

static bool leads_to(const struct directory *d, const struct name *start, u64 account)
{
	const struct name *names[SEND_NAMES] = { start };
	size_t n = 1;

	for (size_t i = 0; i < n; i++) {
		if (names[i]->kind == NAME_ACCOUNT && names[i]->account.id == account)
			return true;
		for (size_t k = 0; k < names[i]->targets_n && n < SEND_NAMES; k++) {
			struct name *next;
			name_resolve(d, names[i]->targets[k], &next);
			if (next && !is_catch_all(next) && !seen(names, n, next))
				names[n++] = next;
		}
	}
	return false;
}

bool directory_may_send(struct directory *d, u64 account, str address)
{
	struct name *name;
	bool may;

	if (address.n > DIRECTORY_ADDRESS)
		return false;
	lock_read(d);
	name_resolve(d, address, &name);
	may = name && !is_catch_all(name) && leads_to(d, name, account);
	unlock(d);
	return may;
}
