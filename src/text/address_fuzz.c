/* A mailbox that parses prints to one that parses to the same; its canonical form is its own
 * canonical form. */
#include "text/address.h"

#include "base/arena.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void check_mailbox(struct arena *a, str text)
{
	struct address m, again;
	str printed, canonical, twice;

	if (address_parse(a, text, ADDRESS_UTF8, &m))
		return;
	printed = address_print(a, &m);
	CHECK(address_parse(a, printed, ADDRESS_UTF8, &again) == NULL);
	CHECK(str_eq(m.local, again.local) && str_eq(m.domain, again.domain));
	for (size_t i = 0; i < printed.n; i++)
		CHECK(!char_is(printed.p[i], CHAR_CTL));
	if (address_canonical(a, &m, &canonical))
		return;
	if (address_parse(a, canonical, ADDRESS_UTF8, &again)) /* an A-label may be longer */
		return;
	CHECK(address_canonical(a, &again, &twice) == NULL);
	CHECK(str_eq(canonical, twice));
	CHECK(address_for_people(a, &again, &twice) == NULL);
}

static void check_line_safe(str s)
{
	for (size_t i = 0; i < s.n; i++)
		CHECK(s.p[i] != '\r' && s.p[i] != '\n' && s.p[i] != 0);
}

static void check_list(struct arena *a, str value)
{
	struct address_list l;
	bool in_group = false;

	address_list_parse(a, value, 100, &l);
	CHECK(l.n <= 100);
	for (size_t i = 0; i < l.n; i++) {
		const struct address_entry *e = &l.entries[i];
		CHECK((e->kind == ADDRESS_GROUP_END) <= in_group);
		CHECK(!(e->kind == ADDRESS_GROUP && in_group));
		if (e->kind != ADDRESS_MEMBER)
			in_group = e->kind == ADDRESS_GROUP;
		check_line_safe(e->name);
		check_line_safe(e->route);
		check_line_safe(e->mailbox);
		check_line_safe(e->host);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct arena *a = arena_new(256 * 1024 * 1024);
	str text = str_from(data, size);
	struct scan s = scan_of(text);
	struct address path;
	str domain;

	(void)!address_scan_path(a, &s, ADDRESS_UTF8 | ADDRESS_NULL | ADDRESS_POSTMASTER, &path);
	check_mailbox(a, text);
	check_list(a, text);
	(void)!domain_to_unicode(a, text, &domain);
	arena_free(&a);
	return 0;
}
