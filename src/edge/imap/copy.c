/* COPY, RFC 3501 6.4.7, and MOVE, RFC 6851; COPYUID of RFC 4315 3. COPY is all or nothing, MOVE each message. */
#include "edge/imap/imap_int.h"
#include "text/imap_print.h"

static void put_uids(struct buf *b, const u64 *uids, size_t n)
{
	struct imap_set_printer p = { 0 };

	for (size_t k = 0; k < n; k++)
		imap_put_set_number(b, &p, (u32)uids[k], (u32)uids[k]);
	imap_put_set_end(b, &p);
}

/* Empty when nothing was copied, or when it would be too long (RFC 4315 3 lets us). */
static str copyuid(struct imap *i, const struct office_message_copy_answer *r)
{
	struct buf *b = buf_new(imap_arena(i), IMAP_CODE_MAX);

	if (r->source_n == 0 || r->source_n != r->target_n)
		return STR_NONE;
	buf_printf(b, "COPYUID %u ", r->uidvalidity);
	put_uids(b, r->source, r->source_n);
	buf_add_byte(b, ' ');
	put_uids(b, r->target, r->target_n);
	return b->full ? STR_NONE : buf_str(b);
}

/* RFC 3501 6.4.7, 6.4.8: a COPY by number is of every message it names, or of none; a UID that is no more is passed over. */
static u32 rows_to_copy(const struct imap *i, const struct view_spans *spans, bool move)
{
	u32 rows = 0;

	for (size_t k = 0; k < spans->n; k++)
		rows += spans->spans[k].to - spans->spans[k].from;
	return move || i->command->uid ? 0 : rows;
}

static const struct fail *copy(struct imap *i, const struct view_spans *spans, str target,
			       bool move, struct office_message_copy_answer *r)
{
	struct office_message_copy_request q = { .ticket = *imap_ticket(i),
						 .mailbox = i->mailbox,
						 .uids = view_uids(i->view, imap_arena(i), spans),
						 .uids_n = spans->n,
						 .target = target,
						 .move = move,
						 .rows = rows_to_copy(i, spans, move) };

	*r = (struct office_message_copy_answer){ 0 };
	return spans->n ? office_message_copy(imap_arena(i), imap_office(i), &q, r) : NULL;
}

static bool take_set(struct imap *i, struct scan *s, struct imap_set *set)
{
	return scan_sp(s) && imap_scan_set(imap_arena(i), s, set);
}

static struct imap_reply copy_or_move(struct imap *i, struct scan *s, bool move)
{
	struct office_message_copy_answer r;
	struct view_spans spans;
	struct imap_set set;
	struct imap_reply reply;
	const struct fail *f;
	str target, code;

	if (!take_set(i, s, &set))
		return BAD_REPLY("expected a set and a mailbox name");
	f = imap_take_mailbox(i, s, &target);
	if (!f && !scan_end(s))
		return BAD_REPLY("expected a set and a mailbox name");
	if (!f && !view_spans(i->view, imap_arena(i), &set, i->command->uid, &spans))
		return BAD_REPLY("no such message");
	if (move && i->read_only)
		return REPLY(IMAP_NO, "READ-ONLY", "the mailbox is open for reading");
	if (!f)
		f = copy(i, &spans, target, move, &r);
	i->dirty = true;
	if (f) {
		reply = imap_fail(f);
		if (f->what == FAIL_NOT_FOUND)
			reply.code = S("TRYCREATE");
		if (f->what == FAIL_CONFLICT)
			reply.code = S("EXPUNGEISSUED");
		return reply;
	}
	code = copyuid(i, &r);
	if (!move)
		return (struct imap_reply){ IMAP_OK, code, S("copied") };
	/* RFC 6851 4.3: before the EXPUNGEs, so untagged. */
	if (code.n > 0)
		imap_untagged(i, "OK", code, S("moved"));
	return OK_REPLY("done");
}

struct imap_reply imap_copy(struct imap *i, struct scan *s)
{
	return copy_or_move(i, s, false);
}

struct imap_reply imap_move(struct imap *i, struct scan *s)
{
	return copy_or_move(i, s, true);
}
