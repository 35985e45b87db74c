/*
 * LIST and LSUB, RFC 3501 6.3.8, 6.3.9; attributes of RFC 3348 and RFC 6154 2. Levels that exist only as the start of a deeper name are
 * shown as \Noselect.
 */
#include <stdlib.h>

#include "edge/imap/imap_int.h"
#include "text/imap_mailbox.h"
#include "text/imap_print.h"

struct entry {
	str name;
	const struct mailbox_info *info; /* NULL: no such mailbox, only a level or a subscription */
	bool level;                      /* only a level */
};

struct listing {
	struct entry *entries;
	size_t n, room;
};

/* '/' before every other byte: what is beneath a mailbox stands right behind it. */
static int compare_names(str a, str b)
{
	size_t n = a.n < b.n ? a.n : b.n, k = 0;

	while (k < n && a.p[k] == b.p[k])
		k++;
	if (k == n)
		return a.n < b.n ? -1 : a.n > b.n;
	if (a.p[k] == '/' || b.p[k] == '/')
		return a.p[k] == '/' ? -1 : 1;
	return a.p[k] < b.p[k] ? -1 : 1;
}

static int compare_entries(const void *x, const void *y)
{
	const struct entry *a = x, *b = y;

	return compare_names(a->name, b->name);
}

static bool is_beneath(str name, str level)
{
	return name.n > level.n && name.p[level.n] == '/' && str_starts(name, level);
}

static void add(struct arena *a, struct listing *l, struct entry e)
{
	struct entry *more;

	if (l->n == l->room) {
		l->room = 2 * l->room + 64;
		more = arena_array_of(a, l->room, struct entry);
		for (size_t k = 0; k < l->n; k++)
			more[k] = l->entries[k];
		l->entries = more;
	}
	l->entries[l->n++] = e;
}

/* Sorted, with the levels between added. */
static const struct fail *complete(struct arena *a, struct listing *in, struct listing *out)
{
	str before = STR_NONE;

	if (in->n > 0)
		qsort(in->entries, in->n, sizeof(*in->entries), compare_entries);
	for (size_t k = 0; k < in->n; k++) {
		str name = in->entries[k].name;

		for (size_t at = 0; at < name.n; at++) {
			str level = str_slice(name, 0, at);

			if (name.p[at] == '/' && !str_eq(before, level) &&
			    !is_beneath(before, level))
				add(a, out, (struct entry){ level, NULL, true });
		}
		add(a, out, in->entries[k]);
		before = name;
		TRY(arena_check(a));
	}
	return NULL;
}

static void put_entry(struct imap *i, const struct listing *l, size_t at, bool lsub)
{
	const struct entry *e = &l->entries[at];
	bool children = at + 1 < l->n && is_beneath(l->entries[at + 1].name, e->name);
	str special = e->info && !lsub ? imap_special_name(e->info->special) : STR_NONE;
	struct buf *out = imap_out(i);

	buf_printf(out, "* %s (", lsub ? "LSUB" : "LIST");
	if (!e->info)
		buf_add(out, lsub ? S("\\Noselect") : S("\\Noselect "));
	if (!lsub)
		buf_add(out, children ? S("\\HasChildren") : S("\\HasNoChildren"));
	if (special.n > 0)
		buf_printf(out, " %.*s", STR_ARG(special));
	buf_add(out, S(") \"/\" "));
	imap_put_mailbox(out, e->name);
	buf_add(out, S("\r\n"));
}

static const struct fail *check_work(const struct listing *l, str pattern)
{
	static const struct fail too_much =
	    FAIL_STATIC(LIMIT, "a pattern too long for so many mailboxes");
	u64 bytes = 0;

	for (size_t k = 0; k < l->n; k++)
		bytes += l->entries[k].name.n;
	return bytes * pattern.n > IMAP_LIST_STEPS ? &too_much : NULL;
}

static void put_matches(struct imap *i, const struct listing *l, str pattern, bool lsub)
{
	bool levels = !lsub || (pattern.n > 0 && pattern.p[pattern.n - 1] == '%');

	for (size_t k = 0; k < l->n; k++)
		if ((levels || !l->entries[k].level) &&
		    imap_pattern_matches(pattern, l->entries[k].name))
			put_entry(i, l, k, lsub);
}

static const struct fail *gather(struct imap *i, bool lsub, struct listing *out)
{
	struct office_mailbox_list_answer r;
	struct listing in = { 0 };

	TRY(imap_mailboxes(i, &r));
	for (size_t k = 0; k < r.mailboxes_n; k++)
		if (!lsub || r.mailboxes[k].subscribed)
			add(imap_arena(i), &in,
			    (struct entry){ r.mailboxes[k].name, &r.mailboxes[k], false });
	for (size_t k = 0; lsub && k < r.subscribed_only_n; k++)
		add(imap_arena(i), &in, (struct entry){ r.subscribed_only[k], NULL, false });
	return complete(imap_arena(i), &in, out);
}

static struct imap_reply list(struct imap *i, struct scan *s, bool lsub)
{
	struct arena *a = imap_arena(i);
	struct listing l = { 0 };
	str reference, pattern;
	const struct fail *f;

	if (!(scan_sp(s) && imap_scan_astring(a, s, &reference) && scan_sp(s) &&
	      imap_scan_pattern(a, s, &pattern) && scan_end(s)))
		return BAD_REPLY("expected a reference and a mailbox pattern");
	if (pattern.n == 0 && !lsub) {
		/* RFC 3501 6.3.8: only the delimiter is asked for. */
		buf_add(imap_out(i), S("* LIST (\\Noselect) \"/\" \"\"\r\n"));
		return OK_REPLY("that is the delimiter");
	}
	f = imap_pattern_decode(a, str_format(a, "%.*s%.*s", STR_ARG(reference), STR_ARG(pattern)),
				&pattern);
	if (!f)
		f = gather(i, lsub, &l);
	if (!f)
		f = check_work(&l, pattern);
	if (f)
		return imap_fail(f);
	put_matches(i, &l, pattern, lsub);
	return OK_REPLY("that is all");
}

struct imap_reply imap_list(struct imap *i, struct scan *s)
{
	return list(i, s, false);
}

struct imap_reply imap_lsub(struct imap *i, struct scan *s)
{
	return list(i, s, true);
}
