/* dkim commands, and the DNS records that a domain needs. */
#include "ctl/ctl_int.h"

enum { DNS_TTL = 3600, DNS_STRING = 255 };

static const char *const state_names[] = { "published", "active", "retiring", "removed" };

static str state_name(u8 state)
{
	return state < ARRAY_LEN(state_names) ? str_cstr(state_names[state]) : S("unknown");
}

static str key_name(struct ctl *c, const struct dkim_key_info *k)
{
	return str_format(c->arena, "%.*s._domainkey.%.*s", STR_ARG(k->selector),
			  STR_ARG(k->domain));
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

/* --- records --- */

/* A TXT value in a zone file: strings of at most 255 bytes, in quotes. What we write holds no quote and no backslash. */
static str zone_text(struct ctl *c, str text)
{
	struct buf *out = buf_new(c->arena, text.n * 2 + 16);

	for (str rest = text; rest.n; rest = str_skip(rest, DNS_STRING)) {
		if (out->n)
			buf_add_byte(out, ' ');
		buf_add_byte(out, '"');
		buf_add(out, str_slice(rest, 0, DNS_STRING));
		buf_add_byte(out, '"');
	}
	return buf_str(out);
}

/* Collects records: as rows for JSON, as zone file lines for people. */
struct records {
	struct ctl *c;
	struct listing *rows;
};

static void record_add(struct records *r, str name, const char *type, str value)
{
	bool is_text = str_eq(str_cstr(type), S("TXT"));

	if (!r->c->json) {
		str shown = is_text ? zone_text(r->c, value) : value;
		ctl_print(str_format(r->c->arena, "%.*s. %d IN %s %.*s\n", STR_ARG(name), DNS_TTL,
				     type, STR_ARG(shown)));
		return;
	}
	listing_str(r->rows, name);
	listing_str(r->rows, str_cstr(type));
	listing_str(r->rows, value);
}

static struct records records_new(struct ctl *c)
{
	static const char *const columns[] = { "name", "type", "value" };

	return (struct records){ c, listing_new(c, columns, ARRAY_LEN(columns)) };
}

static void records_end(struct records *r)
{
	if (r->c->json)
		listing_print(r->rows, "");
}

static void add_keys(struct records *r, const struct dkim_key_info *keys, size_t n)
{
	for (size_t i = 0; i < n; i++)
		record_add(r, key_name(r->c, &keys[i]), "TXT", keys[i].record);
}

enum exit_status ctl_dns_records(struct ctl *c)
{
	struct arena *a = c->arena;
	struct sign_dkim_keys_list_answer keys;
	const struct fail *f = keys_of(c, &keys);
	str domain = argument_domain(c);
	struct records r = records_new(c);

	if (f)
		return ctl_fail(c, f, "list the DNS records");
	record_add(&r, domain, "MX",
		   str_format(a, "10 %.*s.", STR_ARG(c->config->server_hostname)));
	record_add(&r, domain, "TXT", S("v=spf1 mx -all"));
	add_keys(&r, keys.keys, keys.keys_n);
	record_add(&r, str_format(a, "_dmarc.%.*s", STR_ARG(domain)), "TXT",
		   str_format(a, "v=DMARC1; p=none; rua=mailto:postmaster@%.*s", STR_ARG(domain)));
	record_add(&r, str_format(a, "_smtp._tls.%.*s", STR_ARG(domain)), "TXT",
		   str_format(a, "v=TLSRPTv1; rua=mailto:postmaster@%.*s", STR_ARG(domain)));
	records_end(&r);
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
	struct records records = records_new(c);

	if (f)
		return ctl_fail(c, f, "make DKIM keys");
	for (size_t i = 0; i < r.keys_n; i++)
		if (r.keys[i].state == DKIM_KEY_PUBLISHED)
			add_keys(&records, &r.keys[i], 1);
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
