/* Every parser of IMAP arguments, on anything. The first byte chooses. */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "text/imap_fetch.h"
#include "text/imap_mailbox.h"
#include "text/imap_print.h"
#include "text/imap_scan.h"
#include "text/imap_search.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum imap_truth leaf(void *context, const struct imap_search_node *n)
{
	(void)context;
	return (enum imap_truth)(n->key % 3);
}

static void parse_search(struct arena *a, struct scan *s)
{
	struct imap_search p;

	if (!imap_search_parse(a, s, &p))
		CHECK(imap_search_run(&p, leaf, NULL) <= IMAP_UNKNOWN);
}

static void parse_fetch(struct arena *a, struct scan *s)
{
	struct buf *b = buf_new(a, 1 << 20);
	struct imap_fetch f, again;
	struct scan back;

	if (!imap_scan_fetch(a, s, &f))
		return;
	for (size_t i = 0; i < f.n; i++) {
		buf_reset(b);
		if (f.attributes[i].kind != IMAP_SECTION || f.attributes[i].partial || b->full)
			continue;
		/* The name of an answer asks for the same again. */
		imap_put_attribute_name(b, &f.attributes[i]);
		back = scan_of(buf_str(b));
		CHECK(imap_scan_fetch(a, &back, &again) &&
		      again.attributes[0].text == f.attributes[i].text);
	}
}

static void parse_set(struct arena *a, struct scan *s)
{
	struct imap_set set;

	if (!imap_scan_set(a, s, &set))
		return;
	imap_set_resolve(&set, 100);
	for (size_t i = 0; i < set.n; i++)
		CHECK(set.ranges[i].low <= set.ranges[i].high &&
		      (i == 0 || set.ranges[i].low > (u64)set.ranges[i - 1].high + 1));
}

static void parse_name(struct arena *a, str s)
{
	struct buf *b = buf_new(a, 65536);
	str name;

	if (imap_mailbox_decode(a, s, &name))
		return;
	CHECK(str_is_utf8(name) && name.n <= IMAP_MAILBOX_NAME && !str_has(name, 0));
	imap_put_mailbox(b, name);
	CHECK(imap_pattern_matches(name, name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(64 << 20);
	struct scan s = scan_of(str_from(data, size));
	struct imap_flags flags;
	struct imap_literal l;
	str out, choice;

	(void)imap_literal_announced(s.rest, &l);
	if (!scan_take(&s, 1, &choice))
		choice = S("0");
	switch (choice.p[0] % 6) {
	case 0:
		parse_search(a, &s);
		break;
	case 1:
		parse_fetch(a, &s);
		break;
	case 2:
		parse_set(a, &s);
		break;
	case 3:
		parse_name(a, s.rest);
		break;
	case 4:
		(void)imap_scan_flag_list(a, &s, &flags);
		break;
	default:
		(void)imap_scan_astring(a, &s, &out);
	}
	arena_free(&a);
	return 0;
}
