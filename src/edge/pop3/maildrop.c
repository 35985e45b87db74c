/* Commands that look at the maildrop or mark in it: STAT, LIST, UIDL, DELE, RSET, NOOP, QUIT (RFC 1939 5 to 7). */
#include <string.h>

#include "edge/pop3/pop3_int.h"

bool pop3_take_number(const struct pop3 *p, struct scan *s, u32 *number)
{
	return scan_u32(s, number) && *number >= 1 && *number <= p->drop.n &&
	       !pop3_is_deleted(p, *number);
}

enum turn pop3_stat(struct pop3 *p, struct scan *s)
{
	u64 bytes = 0;
	u32 count = 0;

	(void)s;
	for (u32 i = 1; i <= p->drop.n; i++) {
		if (pop3_is_deleted(p, i))
			continue;
		count++;
		bytes += pop3_row(p, i)->size;
	}
	return pop3_ok(p, "%u %llu", count, (unsigned long long)bytes);
}

/* What LIST and UIDL say of one message, after its number. */
static void add_size(struct buf *out, const struct pop3 *p, u32 number)
{
	buf_add_u64(out, pop3_row(p, number)->size);
}

/* Never the same for another message of this maildrop: a UID is not used twice within a UIDVALIDITY. */
static void add_unique_id(struct buf *out, const struct pop3 *p, u32 number)
{
	buf_printf(out, "%08x%08x", p->drop.uidvalidity, pop3_row(p, number)->uid);
}

/* Lines of a listing from list_next on, a stretch at a time. */
static enum turn list_go(struct pop3 *p, void (*add)(struct buf *, const struct pop3 *, u32),
			 enum turn (*resume)(struct pop3 *))
{
	struct buf *out = session_out(p->session);

	for (u32 told = 0; p->list_next <= p->drop.n && told < POP3_LIST_LINES; p->list_next++) {
		if (pop3_is_deleted(p, p->list_next))
			continue;
		told++;
		buf_add_u64(out, p->list_next);
		buf_add(out, S(" "));
		add(out, p, p->list_next);
		buf_add(out, S("\r\n"));
	}
	p->resume = p->list_next <= p->drop.n ? resume : NULL;
	if (p->resume)
		session_continue(p->session);
	else
		buf_add(out, S(".\r\n"));
	return TURN_MORE;
}

static enum turn listing(struct pop3 *p, struct scan *s,
			 void (*add)(struct buf *, const struct pop3 *, u32),
			 enum turn (*resume)(struct pop3 *))
{
	struct buf *out = session_out(p->session);
	u32 number;

	if (!scan_end(s)) {
		if (!pop3_take_number(p, s, &number) || !scan_end(s))
			return pop3_error(p, "no such message");
		buf_printf(out, "+OK %u ", number);
		add(out, p, number);
		buf_add(out, S("\r\n"));
		return TURN_MORE;
	}
	buf_add(out, S("+OK\r\n"));
	p->list_next = 1;
	return list_go(p, add, resume);
}

static enum turn list_resume(struct pop3 *p)
{
	return list_go(p, add_size, list_resume);
}

enum turn pop3_list(struct pop3 *p, struct scan *s)
{
	return listing(p, s, add_size, list_resume);
}

static enum turn uidl_resume(struct pop3 *p)
{
	return list_go(p, add_unique_id, uidl_resume);
}

enum turn pop3_uidl(struct pop3 *p, struct scan *s)
{
	return listing(p, s, add_unique_id, uidl_resume);
}

enum turn pop3_dele(struct pop3 *p, struct scan *s)
{
	u32 number;

	if (!pop3_take_number(p, s, &number) || !scan_end(s))
		return pop3_error(p, "no such message");
	p->drop.deleted[(number - 1) / 8] |= (u8)(1u << (number - 1) % 8);
	return pop3_ok(p, "message %u will be deleted", number);
}

enum turn pop3_rset(struct pop3 *p, struct scan *s)
{
	(void)s;
	memset(p->drop.deleted, 0, (p->drop.n + 7) / 8);
	return pop3_ok(p, "no message will be deleted");
}

enum turn pop3_noop(struct pop3 *p, struct scan *s)
{
	(void)s;
	return pop3_ok(p, "still here");
}

static size_t count_runs(const struct pop3 *p)
{
	size_t n = 0;

	for (u32 i = 1; i <= p->drop.n; i++)
		n += pop3_is_deleted(p, i) && (i == 1 || !pop3_is_deleted(p, i - 1));
	return n;
}

/* The marked messages as ranges of UIDs; ranges may span UIDs that are not in this maildrop's snapshot only when these lie
 * between two marked neighbours, that is when they were gone at login. */
static size_t marked_ranges(struct pop3 *p, struct arena *a, const struct uid_range **out)
{
	struct uid_range *ranges = arena_array_of(a, count_runs(p), struct uid_range);
	size_t n = 0;
	bool open = false;

	for (u32 i = 1; i <= p->drop.n; i++) {
		u32 uid = pop3_row(p, i)->uid;
		if (!pop3_is_deleted(p, i)) {
			open = false;
			continue;
		}
		if (!open)
			ranges[n++].low = uid;
		ranges[n - 1].high = uid;
		open = true;
	}
	*out = ranges;
	return n;
}

/* RFC 1939 6: in the TRANSACTION state QUIT enters UPDATE: one office call. What fails on its way may leave a part done, which the answer says. */
enum turn pop3_quit(struct pop3 *p, struct scan *s)
{
	struct arena *a = session_turn_arena(p->session);
	struct office_message_expunge_request q = { .ticket = p->ticket,
						    .mailbox = p->drop.mailbox };
	struct office_message_expunge_answer r;
	const struct fail *f = NULL;

	(void)s;
	if (p->state == TRANSACTION) {
		q.uids_n = marked_ranges(p, a, &q.uids);
		if (q.uids_n)
			f = office_message_expunge(a, session_process(p->session)->office, &q, &r);
	}
	pop3_release(p); /* before the answer: whoever has heard it may come again at once */
	if (f)
		pop3_fail(p, fail_because(a, f, "some deleted messages were not removed"));
	else
		pop3_ok(p, "goodbye");
	return TURN_CLOSE;
}
