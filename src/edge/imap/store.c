/* STORE, RFC 3501 6.4.6; UNCHANGEDSINCE and MODIFIED of RFC 7162 3.1.3. */
#include "edge/imap/imap_int.h"
#include "text/imap_print.h"

struct change {
	enum flags_mode mode;
	bool silent, has_unchanged_since;
	u64 unchanged_since;
	struct imap_flags flags;
};

static bool take_mode(struct scan *s, struct change *c)
{
	c->mode = scan_byte(s, '+') ? FLAGS_ADD : scan_byte(s, '-') ? FLAGS_REMOVE : FLAGS_REPLACE;
	if (!scan_lit(s, S("FLAGS")))
		return false;
	c->silent = scan_lit(s, S(".SILENT"));
	return scan_sp(s);
}

static bool take_change(struct arena *a, struct scan *s, struct change *c)
{
	*c = (struct change){ 0 };
	if (scan_lit(s, S("(UNCHANGEDSINCE "))) {
		c->has_unchanged_since = true;
		if (!imap_scan_u63(s, &c->unchanged_since) || !scan_lit(s, S(") ")))
			return false;
	}
	return take_mode(s, c) &&
	       (imap_scan_flag_list(a, s, &c->flags) || imap_scan_flags_bare(a, s, &c->flags)) &&
	       scan_end(s);
}

/* The bits of its flags in this view; false when a keyword is new to it. */
static bool change_bits(const struct view *v, const struct imap_flags *f, u64 *bits)
{
	*bits = f->system;
	for (size_t k = 0; k < f->keywords_n; k++) {
		u32 bit = 0;

		while (bit < v->keywords_n && !str_eq_nocase(v->keywords[bit], f->keywords[k]))
			bit++;
		if (bit == v->keywords_n)
			return false;
		*bits |= 1ull << (FLAG_KEYWORD_FIRST + bit);
	}
	return true;
}

static u64 changed_flags(u64 flags, enum flags_mode mode, u64 bits)
{
	u64 marks = flags & VIEW_MARKS;

	if (mode == FLAGS_ADD)
		return flags | bits;
	return mode == FLAGS_REMOVE ? (flags & ~bits) | marks : bits | marks;
}

/* Ranges ascend, as the office gives them: each row of a large mailbox is looked for. */
static bool uid_in(const struct uid_range *ranges, size_t n, u32 uid)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (uid > ranges[middle].high)
			low = middle + 1;
		else
			high = middle;
	}
	return low < n && uid >= ranges[low].low;
}

/* Does to our own view what the office did to the mailbox, so that it is no news. */
static void apply(struct imap *i, const struct view_spans *spans, const struct change *c,
		  const struct office_message_flags_answer *r)
{
	struct view *v = i->view;
	u64 bits;
	bool known = change_bits(v, &c->flags, &bits);

	for (size_t k = 0; k < spans->n; k++)
		for (u32 row = spans->spans[k].from; row < spans->spans[k].to; row++) {
			if (v->rows[row].flags & VIEW_GONE ||
			    (r->modified_n && uid_in(r->modified, r->modified_n, v->rows[row].uid)))
				continue;
			if (known)
				v->rows[row].flags =
				    changed_flags(v->rows[row].flags, c->mode, bits);
			if (!c->silent)
				view_mark(v, row, VIEW_CHANGED);
			if (i->condstore)
				view_mark(v, row, VIEW_TOUCHED);
		}
}

static bool any_gone(const struct view *v, const struct view_spans *spans)
{
	for (size_t k = 0; k < spans->n && v->gone.n; k++)
		for (u32 row = spans->spans[k].from; row < spans->spans[k].to; row++)
			if (v->rows[row].flags & VIEW_GONE)
				return true;
	return false;
}

/* [MODIFIED set]: what was left alone, by number or by UID as the command has it. When that is too long: all from the first to the last,
 * for none of them may be believed to be stored. */
static str modified_code(struct imap *i, const struct office_message_flags_answer *r)
{
	struct buf *b = buf_new(imap_arena(i), IMAP_CODE_MAX);
	struct imap_set_printer p = { 0 };
	u32 first = 0, last = 0;

	if (r->modified_n == 0)
		return STR_NONE;
	buf_add(b, S("MODIFIED "));
	for (size_t k = 0; k < r->modified_n; k++) {
		u32 from = view_row_from(i->view, r->modified[k].low), row = from;

		for (; row < i->view->told && i->view->rows[row].uid <= r->modified[k].high;
		     row++) {
			u32 number = i->command->uid ? i->view->rows[row].uid : row + 1;

			imap_put_set_number(b, &p, number, number);
			first = first ? first : number;
			last = number;
		}
	}
	imap_put_set_end(b, &p);
	return b->full ? str_format(imap_arena(i), "MODIFIED %u:%u", first, last) : buf_str(b);
}

static const struct fail *store(struct imap *i, const struct view_spans *spans,
				const struct change *c, struct office_message_flags_answer *r)
{
	struct office_message_flags_request q = {
		.ticket = *imap_ticket(i),
		.mailbox = i->mailbox,
		.uids = view_uids(i->view, imap_arena(i), spans),
		.uids_n = spans->n,
		.mode = (u8)c->mode,
		.flags = c->flags.system,
		.keywords = c->flags.keywords,
		.keywords_n = c->flags.keywords_n,
		.has_unchanged_since = c->has_unchanged_since,
		.unchanged_since = c->unchanged_since,
	};

	*r = (struct office_message_flags_answer){ 0 };
	return spans->n ? office_message_flags(imap_arena(i), imap_office(i), &q, r) : NULL;
}

struct imap_reply imap_store(struct imap *i, struct scan *s)
{
	struct office_message_flags_answer r;
	struct view_spans spans;
	struct imap_set set;
	struct change c;
	const struct fail *f;

	if (!(scan_sp(s) && imap_scan_set(imap_arena(i), s, &set) && scan_sp(s) &&
	      take_change(imap_arena(i), s, &c)))
		return BAD_REPLY("expected a set, [+-]FLAGS[.SILENT] and flags");
	if (!view_spans(i->view, imap_arena(i), &set, i->command->uid, &spans))
		return BAD_REPLY("no such message");
	if (i->read_only)
		return REPLY(IMAP_NO, "READ-ONLY", "the mailbox is open for reading");
	if (c.has_unchanged_since)
		imap_condstore_on(i);
	f = store(i, &spans, &c, &r);
	i->dirty = true; /* a part may be done, whatever came of the rest */
	if (f)
		return imap_fail(f);
	apply(i, &spans, &c, &r);
	if (any_gone(i->view, &spans))
		return REPLY(IMAP_NO, "EXPUNGEISSUED", "some of the messages are gone");
	return (struct imap_reply){ IMAP_OK, modified_code(i, &r), S("flags stored") };
}
