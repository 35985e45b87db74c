/* domain, user and alias commands. An account has two halves: its mail in the office, its password in login. */
#include "ctl/ctl_int.h"
#include "text/address.h"

static str domain_of(str address)
{
	size_t at = str_find_last(address, '@');

	return at == SIZE_MAX ? STR_NONE : str_skip(address, at + 1);
}

static enum exit_status done(struct ctl *c, const char *what, str name)
{
	ctl_print(c->json ? S("{}\n") : str_format(c->arena, "%s %.*s\n", what, STR_ARG(name)));
	return EXIT_OK;
}

/* --- Names ------------------------------------------------------------------------------------------------- */

/* Mail comes for names in the form that the edge gives them (text/address.h); under any other, nobody would ever be found. */
static const struct fail *as_mail_has_it(struct ctl *c, str given, str canonical)
{
	if (str_eq_nocase(given, canonical))
		return NULL;
	return fail_new(c->arena, FAIL_SYNTAX, "%.*s is written %.*s", STR_ARG(given),
			STR_ARG(canonical));
}

static const struct fail *check_domain(struct ctl *c, str name)
{
	str canonical;

	if (domain_to_ascii(c->arena, name, &canonical))
		return fail_new(c->arena, FAIL_SYNTAX, "\"%.*s\" is not a domain name",
				STR_ARG(name));
	return as_mail_has_it(c, name, canonical);
}

static const struct fail *check_address(struct ctl *c, str address)
{
	struct address parsed;
	str canonical;

	if (address_parse(c->arena, address, ADDRESS_UTF8, &parsed) ||
	    address_canonical(c->arena, &parsed, &canonical))
		return fail_new(c->arena, FAIL_SYNTAX, "\"%.*s\" is not an address of mail",
				STR_ARG(address));
	return as_mail_has_it(c, address, canonical);
}

/* --- domain ------------------------------------------------------------------------------------------------ */

static const struct fail *domain_add(struct ctl *c)
{
	struct office_domain_add_request q = { .name = c->arguments[0] };
	struct office_domain_add_answer r;

	TRY(check_domain(c, c->arguments[0]));
	TRY(ctl_connect(c));
	return office_domain_add(c->arena, c->office, &q, &r);
}

enum exit_status ctl_domain_add(struct ctl *c)
{
	const struct fail *f = domain_add(c);

	if (f)
		return ctl_fail(c, f, "add the domain");
	return done(c, "added", c->arguments[0]);
}

static const struct fail *domain_list(struct ctl *c, struct office_domain_list_answer *r)
{
	struct office_domain_list_request q = { 0 };

	TRY(ctl_connect(c));
	return office_domain_list(c->arena, c->office, &q, r);
}

enum exit_status ctl_domain_list(struct ctl *c)
{
	static const char *const columns[] = { "domain", "accounts", "aliases" };
	struct listing *l = listing_new(c, columns, ARRAY_LEN(columns));
	struct office_domain_list_answer r;
	const struct fail *f = domain_list(c, &r);

	if (f)
		return ctl_fail(c, f, "list the domains");
	for (size_t i = 0; i < r.domains_n; i++) {
		listing_str(l, r.domains[i].name);
		listing_u64(l, r.domains[i].accounts);
		listing_u64(l, r.domains[i].aliases);
	}
	listing_print(l, "No domains yet: postern domain add DOMAIN");
	return EXIT_OK;
}

static const struct fail *account_list(struct ctl *c, str domain,
				       struct office_account_list_answer *r)
{
	struct office_account_list_request q = { .domain = domain };

	return office_account_list(c->arena, c->office, &q, r);
}

static const struct fail *alias_list(struct ctl *c, str domain, struct office_alias_list_answer *r)
{
	struct office_alias_list_request q = { .domain = domain };

	return office_alias_list(c->arena, c->office, &q, r);
}

static void show_domain(struct ctl *c, str name, const struct office_account_list_answer *accounts,
			const struct office_alias_list_answer *aliases)
{
	static const char *const columns[] = { "domain", "accounts", "aliases" };
	struct listing *l = listing_new(c, columns, ARRAY_LEN(columns));
	str *users = arena_array_of(c->arena, accounts->accounts_n, str);
	str *others = arena_array_of(c->arena, aliases->aliases_n, str);

	for (size_t i = 0; i < accounts->accounts_n; i++)
		users[i] = accounts->accounts[i].address;
	for (size_t i = 0; i < aliases->aliases_n; i++)
		others[i] = aliases->aliases[i].address;
	listing_str(l, name);
	listing_list(l, users, accounts->accounts_n);
	listing_list(l, others, aliases->aliases_n);
	listing_print_one(l);
}

static const struct fail *domain_show(struct ctl *c)
{
	struct office_domain_list_answer domains;
	struct office_account_list_answer accounts;
	struct office_alias_list_answer aliases;

	TRY(domain_list(c, &domains));
	for (size_t i = 0; i < domains.domains_n; i++) {
		str name = domains.domains[i].name;
		if (!str_eq_nocase(name, c->arguments[0]))
			continue;
		TRY(account_list(c, name, &accounts));
		TRY(alias_list(c, name, &aliases));
		show_domain(c, name, &accounts, &aliases);
		return NULL;
	}
	return fail_new(c->arena, FAIL_NOT_FOUND, "%.*s is not a domain here",
			STR_ARG(c->arguments[0]));
}

enum exit_status ctl_domain_show(struct ctl *c)
{
	const struct fail *f = domain_show(c);

	return f ? ctl_fail(c, f, "show the domain") : EXIT_OK;
}

static const struct fail *domain_remove(struct ctl *c)
{
	struct office_domain_remove_request q = { .name = c->arguments[0] };
	struct office_domain_remove_answer r;

	TRY(ctl_connect(c));
	return office_domain_remove(c->arena, c->office, &q, &r);
}

enum exit_status ctl_domain_remove(struct ctl *c)
{
	const struct fail *f;

	if (!ctl_confirm(c, c->arguments[0], "refuse all mail for this domain from now on"))
		return EXIT_USAGE;
	f = domain_remove(c);
	if (f)
		return ctl_fail(c, f, "remove the domain");
	return done(c, "removed", c->arguments[0]);
}

/* --- user -------------------------------------------------------------------------------------------------- */

/* account: as the office has it. *there: the generation that login has now; when it is greater, somebody was faster. */
static const struct fail *set_password(struct ctl *c, str address,
				       const struct office_account_change_answer *account,
				       str password, u64 *there)
{
	struct login_password_set_request q = { .address = address,
						.account = account->account,
						.generation = account->generation,
						.suspended = account->suspended,
						.password = password };
	struct login_password_set_answer r;

	TRY(login_password_set(c->arena, c->login, &q, &r));
	*there = r.generation;
	return NULL;
}

/* The same, and the password stays. */
static const struct fail *keep_password(struct ctl *c, str address,
					const struct office_account_change_answer *account,
					u64 *there)
{
	struct login_account_change_request q = { .address = address,
						  .account = account->account,
						  .generation = account->generation,
						  .suspended = account->suspended };
	struct login_account_change_answer r;

	TRY(login_account_change(c->arena, c->login, &q, &r));
	*there = r.generation;
	return NULL;
}

static const struct fail *remove_account(struct ctl *c, str address)
{
	struct login_account_remove_request half = { .address = address };
	struct login_account_remove_answer half_done;
	struct office_account_remove_request q = { .address = address };
	struct office_account_remove_answer r;
	const struct fail *f = login_account_remove(c->arena, c->login, &half, &half_done);

	/* An account whose password was never set has no half there. */
	if (f && f->what != FAIL_NOT_FOUND)
		return f;
	return office_account_remove(c->arena, c->office, &q, &r);
}

const struct fail *ctl_add_user(struct ctl *c, str address, str password, u64 quota)
{
	struct office_account_add_request q = { .address = address, .quota_bytes = quota };
	struct office_account_add_answer r;
	struct office_account_change_answer made = { 0 };
	const struct fail *f;
	u64 there; /* greater: it has another password by now */

	TRY(check_address(c, address));
	TRY(office_account_add(c->arena, c->office, &q, &r));
	made.account = r.account;
	made.generation = r.generation;
	f = set_password(c, address, &made, password, &there);
	if (f) {
		const struct fail *undo = remove_account(c, address);
		if (undo)
			return fail_because(c->arena, f,
					    "%.*s has no password now (postern user passwd): %.*s",
					    STR_ARG(address), STR_ARG(f->text));
	}
	return f;
}

static const struct fail *user_add(struct ctl *c)
{
	u64 quota = UINT64_MAX; /* as mail.quota says */
	str password;

	TRY(ctl_connect(c));
	if (ctl_has(c, "quota"))
		TRY(ctl_size(c, ctl_option(c, "quota"), &quota));
	TRY(ctl_password(c, &password));
	return ctl_add_user(c, c->arguments[0], password, quota);
}

enum exit_status ctl_user_add(struct ctl *c)
{
	const struct fail *f = user_add(c);

	if (f)
		return ctl_fail(c, f, "add the account");
	return done(c, "added", c->arguments[0]);
}

static const char *const user_columns[] = { "address", "state", "messages", "used", "quota" };

static void list_user(struct listing *l, const struct account_info *u)
{
	listing_str(l, u->address);
	listing_str(l, u->suspended ? S("suspended") : S("active"));
	listing_u64(l, u->messages);
	listing_size(l, u->used_bytes);
	listing_size(l, u->quota_bytes);
}

static const struct fail *user_list(struct ctl *c, str domain, struct office_account_list_answer *r)
{
	TRY(ctl_connect(c));
	return account_list(c, domain, r);
}

enum exit_status ctl_user_list(struct ctl *c)
{
	struct listing *l = listing_new(c, user_columns, ARRAY_LEN(user_columns));
	struct office_account_list_answer r;
	const struct fail *f = user_list(c, c->arguments_n ? c->arguments[0] : STR_NONE, &r);

	if (f)
		return ctl_fail(c, f, "list the accounts");
	for (size_t i = 0; i < r.accounts_n; i++)
		list_user(l, &r.accounts[i]);
	listing_print(l, "No accounts yet: postern user add ADDRESS");
	return EXIT_OK;
}

static const struct fail *user_find(struct ctl *c, struct account_info *out)
{
	struct office_account_list_answer r;

	TRY(user_list(c, domain_of(c->arguments[0]), &r));
	for (size_t i = 0; i < r.accounts_n; i++) {
		if (str_eq_nocase(r.accounts[i].address, c->arguments[0])) {
			*out = r.accounts[i];
			return NULL;
		}
	}
	return fail_new(c->arena, FAIL_NOT_FOUND, "there is no account %.*s",
			STR_ARG(c->arguments[0]));
}

enum exit_status ctl_user_show(struct ctl *c)
{
	struct listing *l = listing_new(c, user_columns, ARRAY_LEN(user_columns));
	struct account_info u;
	const struct fail *f = user_find(c, &u);

	if (f)
		return ctl_fail(c, f, "show the account");
	list_user(l, &u);
	listing_print_one(l);
	return EXIT_OK;
}

/*
 * Tickets of before are void in the office before login gives new ones: nobody keeps a door open by being quick. password NULL: it stays.
 * When login has seen a later change of somebody else, ours goes behind it.
 */
static const struct fail *change_both(struct ctl *c, struct office_account_change_request *q,
				      const str *password, struct office_account_change_answer *r)
{
	u64 there = 0;

	for (int i = 0; i < CTL_CHANGES; i++) {
		TRY(office_account_change(c->arena, c->office, q, r));
		TRY(password ? set_password(c, q->address, r, *password, &there)
			     : keep_password(c, q->address, r, &there));
		if (there <= r->generation)
			return NULL;
		q->above = there;
	}
	return fail_new(c->arena, FAIL_BUSY, "others change %.*s all the time",
			STR_ARG(q->address));
}

/* When the new one is none that can be, the old one goes on: login must know that its tickets are of another generation now. */
static const struct fail *user_passwd(struct ctl *c)
{
	struct office_account_change_request q = { .raise_generation = true,
						   .quota_bytes = UINT64_MAX };
	struct office_account_change_answer r = { 0 };
	const struct fail *f, *undo;
	struct account_info u;
	str password;
	u64 there;

	TRY(user_find(c, &u));
	TRY(ctl_password(c, &password));
	q.address = u.address;
	f = change_both(c, &q, &password, &r);
	if (f == NULL || r.account == 0)
		return f;
	undo = keep_password(c, u.address, &r, &there);
	if (undo == NULL || undo->what == FAIL_NOT_FOUND)
		return f;
	return fail_because(c->arena, f, "%.*s cannot log in before this works: %.*s",
			    STR_ARG(u.address), STR_ARG(f->text));
}

enum exit_status ctl_user_passwd(struct ctl *c)
{
	const struct fail *f = user_passwd(c);

	if (f)
		return ctl_fail(c, f, "set the password");
	return done(c, "password set for", c->arguments[0]);
}

static const struct fail *user_quota(struct ctl *c)
{
	struct office_account_change_request q = { .state = ACCOUNT_KEEP };
	struct office_account_change_answer r;
	struct account_info u;

	TRY(user_find(c, &u));
	q.address = u.address;
	TRY(ctl_size(c, c->arguments[1], &q.quota_bytes));
	return office_account_change(c->arena, c->office, &q, &r);
}

enum exit_status ctl_user_quota(struct ctl *c)
{
	const struct fail *f = user_quota(c);

	if (f)
		return ctl_fail(c, f, "set the quota");
	return done(c, "quota set for", c->arguments[0]);
}

static const struct fail *set_state(struct ctl *c, enum account_state_change state)
{
	struct office_account_change_request q = { .raise_generation = true,
						   .state = (u8)state,
						   .quota_bytes = UINT64_MAX };
	struct office_account_change_answer r;
	struct account_info u;

	TRY(user_find(c, &u));
	q.address = u.address;
	return change_both(c, &q, NULL, &r);
}

enum exit_status ctl_user_suspend(struct ctl *c)
{
	const struct fail *f = set_state(c, ACCOUNT_SUSPEND);

	if (f)
		return ctl_fail(c, f, "suspend the account");
	return done(c, "suspended", c->arguments[0]);
}

enum exit_status ctl_user_resume(struct ctl *c)
{
	const struct fail *f = set_state(c, ACCOUNT_RESUME);

	if (f)
		return ctl_fail(c, f, "resume the account");
	return done(c, "active again:", c->arguments[0]);
}

static const struct fail *user_remove(struct ctl *c)
{
	struct account_info u;

	TRY(user_find(c, &u));
	return remove_account(c, u.address);
}

enum exit_status ctl_user_remove(struct ctl *c)
{
	const struct fail *f;

	if (!ctl_confirm(c, c->arguments[0], "remove this account and all its mail"))
		return EXIT_USAGE;
	f = user_remove(c);
	if (f)
		return ctl_fail(c, f, "remove the account");
	return done(c, "removed", c->arguments[0]);
}

/* --- alias ------------------------------------------------------------------------------------------------- */

static const struct fail *alias_add(struct ctl *c)
{
	struct office_alias_add_request q = { .address = c->arguments[0],
					      .targets = c->arguments + 1,
					      .targets_n = c->arguments_n - 1 };
	struct office_alias_add_answer r;

	if (str_starts(q.address, S("@")))
		TRY(check_domain(c, domain_of(q.address)));
	else
		TRY(check_address(c, q.address));
	for (size_t i = 0; i < q.targets_n; i++)
		TRY(check_address(c, q.targets[i]));
	TRY(ctl_connect(c));
	return office_alias_add(c->arena, c->office, &q, &r);
}

enum exit_status ctl_alias_add(struct ctl *c)
{
	const struct fail *f = alias_add(c);

	if (f)
		return ctl_fail(c, f, "add the alias");
	return done(c, "added", c->arguments[0]);
}

static const char *const alias_columns[] = { "address", "targets" };

static const struct fail *aliases_get(struct ctl *c, str domain, struct office_alias_list_answer *r)
{
	TRY(ctl_connect(c));
	return alias_list(c, domain, r);
}

enum exit_status ctl_alias_list(struct ctl *c)
{
	struct listing *l = listing_new(c, alias_columns, ARRAY_LEN(alias_columns));
	struct office_alias_list_answer r;
	const struct fail *f = aliases_get(c, c->arguments_n ? c->arguments[0] : STR_NONE, &r);

	if (f)
		return ctl_fail(c, f, "list the aliases");
	for (size_t i = 0; i < r.aliases_n; i++) {
		listing_str(l, r.aliases[i].address);
		listing_list(l, r.aliases[i].targets, r.aliases[i].targets_n);
	}
	listing_print(l, "No aliases yet: postern alias add ADDRESS TARGET");
	return EXIT_OK;
}

static const struct fail *alias_show(struct ctl *c)
{
	struct listing *l = listing_new(c, alias_columns, ARRAY_LEN(alias_columns));
	struct office_alias_list_answer r;

	TRY(aliases_get(c, domain_of(c->arguments[0]), &r));
	for (size_t i = 0; i < r.aliases_n; i++) {
		if (!str_eq_nocase(r.aliases[i].address, c->arguments[0]))
			continue;
		listing_str(l, r.aliases[i].address);
		listing_list(l, r.aliases[i].targets, r.aliases[i].targets_n);
		listing_print_one(l);
		return NULL;
	}
	return fail_new(c->arena, FAIL_NOT_FOUND, "there is no alias %.*s",
			STR_ARG(c->arguments[0]));
}

enum exit_status ctl_alias_show(struct ctl *c)
{
	const struct fail *f = alias_show(c);

	return f ? ctl_fail(c, f, "show the alias") : EXIT_OK;
}

static const struct fail *alias_remove(struct ctl *c)
{
	struct office_alias_remove_request q = { .address = c->arguments[0] };
	struct office_alias_remove_answer r;

	TRY(ctl_connect(c));
	return office_alias_remove(c->arena, c->office, &q, &r);
}

enum exit_status ctl_alias_remove(struct ctl *c)
{
	const struct fail *f = alias_remove(c);

	if (f)
		return ctl_fail(c, f, "remove the alias");
	return done(c, "removed", c->arguments[0]);
}
