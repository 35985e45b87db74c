/*
 * RETR and TOP (RFC 1939 5, 7): a message goes out in windows, dots doubled, so that one of any size costs one window of memory.
 * When the peer lags, the session parks and goes on when its output is taken.
 */
#include "base/env.h"
#include "base/fd.h"
#include "base/log.h"
#include "edge/pop3/pop3_int.h"

/* One window: prefix (the first time) and bytes of the body from transfer.offset on. */
static const struct fail *fetch_window(struct pop3 *p, struct arena *a, struct fetch_item *item)
{
	struct pop3_transfer *t = &p->transfer;
	struct uid_range range = { .low = t->uid, .high = t->uid };
	struct office_message_fetch_request q = { .ticket = p->ticket,
						  .mailbox = p->drop.mailbox,
						  .uids = &range,
						  .uids_n = 1,
						  .want = FETCH_BYTES,
						  .offset = t->offset,
						  .length = POP3_WINDOW };
	struct bus *office = session_process(p->session)->office;
	u64 until = env_monotonic(env_system()) + BUS_RESTART_MS;
	struct office_message_fetch_answer r;
	const struct fail *f;
	struct decoder d;
	str data;

	/* An office that begins anew costs a message that is half sent its time, not its rest. */
	do
		f = office_message_fetch(a, office, &q, &r);
	while (f && f->what == FAIL_UNAVAILABLE && bus_wait(office, until));
	TRY(f);
	if (r.count != 1)
		return fail_new(a, FAIL_NOT_FOUND, "this message was removed by another session");
	TRY(fd_map(a, r.data, r.bytes, &data));
	d = (struct decoder){ .arena = a, .rest = data };
	decode_fetch_item(&d, item);
	if (!decoder_done(&d) || item->uid != t->uid)
		return fail_new(a, FAIL_CORRUPT, "this message cannot be read");
	return NULL;
}

/* Bytes of s that still belong to what was asked: all, or (TOP) those up to the last line wanted. Counts lines as it goes. */
static str take_wanted(struct pop3_transfer *t, str s)
{
	if (!t->limited)
		return s;
	for (size_t i = 0; i < s.n; i++) {
		if (!t->in_header && t->lines_left == 0)
			return str_slice(s, 0, i);
		if (s.p[i] == '\n') {
			if (t->in_header && t->line_empty)
				t->in_header = false;
			else if (!t->in_header)
				t->lines_left--;
			t->line_empty = true;
		} else if (s.p[i] != '\r') {
			t->line_empty = false;
		}
	}
	return s;
}

/* RFC 1939 3: a line that begins with the termination octet gets another one in front. */
static void add_stuffed(struct pop3_transfer *t, struct buf *out, str s)
{
	while (s.n) {
		size_t end = str_find(s, '\n');
		str line = str_slice(s, 0, end == SIZE_MAX ? s.n : end + 1);
		if (t->at_line_start && line.p[0] == '.')
			buf_add(out, S("."));
		buf_add(out, line);
		t->at_line_start = end != SIZE_MAX;
		s = str_skip(s, line.n);
	}
}

static enum turn finish(struct pop3 *p)
{
	struct buf *out = session_out(p->session);

	if (!p->transfer.at_line_start)
		buf_add(out, S("\r\n"));
	buf_add(out, S(".\r\n"));
	p->resume = NULL;
	return TURN_MORE;
}

static enum turn transfer_go(struct pop3 *p);

/* Puts a window out and says what comes next. */
static enum turn send_window(struct pop3 *p, const struct fetch_item *item)
{
	struct pop3_transfer *t = &p->transfer;
	struct buf *out = session_out(p->session);
	str wanted;

	if (!t->prefix_sent)
		add_stuffed(t, out, take_wanted(t, item->prefix));
	t->prefix_sent = true;
	wanted = take_wanted(t, item->bytes);
	add_stuffed(t, out, wanted);
	t->offset += item->bytes.n;
	if (wanted.n < item->bytes.n || t->offset >= t->size)
		return finish(p);
	if (item->bytes.n ==
	    0) { /* the end would say that this is all, and the client might delete it */
		LOG(WARN, "pop3.transfer_short", LOG_U64("at", t->offset));
		return TURN_ABORT;
	}
	p->resume = transfer_go;
	session_continue(p->session);
	return TURN_MORE;
}

static enum turn transfer_go(struct pop3 *p)
{
	struct fetch_item item;
	const struct fail *f;

	f = fetch_window(p, session_turn_arena(p->session), &item);
	if (f) { /* after +OK there is no way to say that it went wrong but to break off */
		LOG(WARN, "pop3.transfer", LOG_FAIL("why", f));
		return TURN_ABORT;
	}
	return send_window(p, &item);
}

static enum turn transfer_start(struct pop3 *p, u32 number, bool limited, u32 lines)
{
	struct pop3_transfer *t = &p->transfer;
	struct fetch_item item;
	const struct fail *f;

	*t = (struct pop3_transfer){ .uid = pop3_row(p, number)->uid,
				     .limited = limited,
				     .lines_left = lines,
				     .in_header = true,
				     .at_line_start = true,
				     .line_empty = true };
	f = fetch_window(p, session_turn_arena(p->session), &item);
	if (f)
		return pop3_fail(p, f);
	t->size = item.size;
	pop3_ok(p, "%llu octets", (unsigned long long)item.prefix.n + item.size);
	return send_window(p, &item);
}

enum turn pop3_retr(struct pop3 *p, struct scan *s)
{
	u32 number;

	if (!pop3_take_number(p, s, &number) || !scan_end(s))
		return pop3_error(p, "no such message");
	return transfer_start(p, number, false, 0);
}

enum turn pop3_top(struct pop3 *p, struct scan *s)
{
	u32 number, lines;

	if (!pop3_take_number(p, s, &number))
		return pop3_error(p, "no such message");
	if (!(scan_sp(s) && scan_u32(s, &lines) && scan_end(s)))
		return pop3_error(p, "syntax: TOP message lines");
	return transfer_start(p, number, true, lines);
}
