/* dkim commands. */
#include "ctl/records.h"

static const char *const state_names[] = { "published", "active", "retiring", "removed" };

static str state_name(u8 state)
{
	return state < ARRAY_LEN(state_names) ? str_cstr(state_names[state]) : S("unknown");
}

static str argument_domain(struct ctl *c)
{
	return c->arguments_n ? str_lower(c->arena, c->arguments[0]) : STR_NONE;
}

static const struct fail *keys_of(struct ctl *c, struct sign_dkim_keys_list_answer *r)
{
	struct sign_dkim_keys_list_request q = { .domain = argument_domain(c) };

	TRY(ctl_connect(c));
	return sign_dkim_keys_list(c->arena, c->sign, &q, r);
}

static void list_keys(struct ctl *c, const struct dkim_key_info *keys, size_t n)
{
	static const char *const columns[] = { "domain", "selector", "algorithm", "state" };
	struct listing *l = listing_new(c, columns, ARRAY_LEN(columns));

	for (size_t i = 0; i < n; i++) {
		listing_str(l, keys[i].domain);
		listing_str(l, keys[i].selector);
		listing_str(l, keys[i].algorithm);
		listing_str(l, state_name(keys[i].state));
	}
	listing_print(l, "There are no DKIM keys.");
}

enum exit_status ctl_dkim_list(struct ctl *c)
{
	struct sign_dkim_keys_list_answer r;
	const struct fail *f = keys_of(c, &r);

	if (f)
		return ctl_fail(c, f, "list the DKIM keys");
	list_keys(c, r.keys, r.keys_n);
	return EXIT_OK;
}

/* --- making, turning, removing --- */

static const struct fail *known_domain(struct ctl *c)
{
	struct office_domain_list_request q = { 0 };
	struct office_domain_list_answer r;

	TRY(office_domain_list(c->arena, c->office, &q, &r));
	for (size_t i = 0; i < r.domains_n; i++)
		if (str_eq(r.domains[i].name, argument_domain(c)))
			return NULL;
	return fail_new(c->arena, FAIL_NOT_FOUND, "%.*s is not a domain of ours",
			STR_ARG(c->arguments[0]));
}

static const struct fail *make_keys(struct ctl *c, struct sign_dkim_keys_make_answer *r)
{
	struct sign_dkim_keys_make_request q = { .domain = argument_domain(c) };

	TRY(ctl_connect(c));
	TRY(known_domain(c));
	return sign_dkim_keys_make(c->arena, c->sign, &q, r);
}

enum exit_status ctl_dkim_new(struct ctl *c)
{
	struct sign_dkim_keys_make_answer r;
	const struct fail *f = make_keys(c, &r);
	struct records records = records_begin(c);

	if (f)
		return ctl_fail(c, f, "make DKIM keys");
	for (size_t i = 0; i < r.keys_n; i++)
		if (r.keys[i].state == DKIM_KEY_PUBLISHED)
			records_keys(&records, &r.keys[i], 1);
	records_end(&records);
	if (!c->json)
		ctl_print(S(
		    "\nPut these in DNS; when they are there, \"postern dkim rotate\" makes them sign.\n"));
	return EXIT_OK;
}

static const struct fail *set_state(struct ctl *c, const struct dkim_key_info *k,
				    enum dkim_key_state state)
{
	struct sign_dkim_key_state_request q = { k->domain, k->selector, (u8)state, .end_ = 0 };
	struct sign_dkim_key_state_answer r;

	return sign_dkim_key_state(c->arena, c->sign, &q, &r);
}

/* Active keys retire only when others can take their place: mail is never without a signature because of a rotation. */
static const struct fail *rotate(struct ctl *c)
{
	struct sign_dkim_keys_list_answer r;
	bool next = false;

	TRY(keys_of(c, &r));
	for (size_t i = 0; i < r.keys_n; i++)
		next = next || r.keys[i].state == DKIM_KEY_PUBLISHED;
	if (!next)
		return fail_new(c->arena, FAIL_CONFLICT,
				"no published key waits: say \"postern dkim new\" first");
	for (size_t i = 0; i < r.keys_n; i++)
		TRY(set_state(c, &r.keys[i], (enum dkim_key_state)(r.keys[i].state + 1)));
	return NULL;
}

enum exit_status ctl_dkim_rotate(struct ctl *c)
{
	const struct fail *f = rotate(c);

	return f ? ctl_fail(c, f, "rotate the DKIM keys") : ctl_dkim_list(c);
}

static const struct fail *remove_keys(struct ctl *c, size_t *n)
{
	struct sign_dkim_keys_list_answer r;

	TRY(keys_of(c, &r));
	for (size_t i = 0; i < r.keys_n; i++) {
		if (ctl_has(c, "selector") &&
		    !str_eq(r.keys[i].selector, ctl_option(c, "selector")))
			continue;
		TRY(set_state(c, &r.keys[i], DKIM_KEY_REMOVED));
		++*n;
	}
	return *n ? NULL : fail_new(c->arena, FAIL_NOT_FOUND, "there is no such DKIM key");
}

enum exit_status ctl_dkim_remove(struct ctl *c)
{
	const struct fail *f;
	size_t n = 0;

	if (!ctl_confirm(c, argument_domain(c), "remove these DKIM keys"))
		return EXIT_USAGE;
	f = remove_keys(c, &n);
	if (f)
		return ctl_fail(c, f, "remove the DKIM keys");
	ctl_print(c->json ? str_format(c->arena, "{\"count\":%zu}\n", n)
			  : str_format(c->arena, "removed: %zu\n", n));
	return EXIT_OK;
}
