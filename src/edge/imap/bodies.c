/* Messages from the office: batches in sealed memory files, and windows of large ones. */
#include "base/codec.h"
#include "base/env.h"
#include "base/fd.h"
#include "edge/imap/imap_int.h"

enum { BODIES_MAX = 8 * OFFICE_FETCH_BYTES };

static const struct fail nonsense = FAIL_STATIC(CORRUPT, "messages cannot be read");

static const struct fail *decode(struct arena *a, const struct office_message_fetch_answer *r,
				 struct imap_bodies *out)
{
	struct decoder d = { .arena = a, .rest = out->bytes };
	struct fetch_item *items;

	/* An item takes more than one byte, so its count is bounded by them. */
	if (r->count > out->bytes.n)
		return &nonsense;
	items = arena_array_of(a, r->count, struct fetch_item);
	for (u32 k = 0; k < r->count && !d.bad; k++)
		decode_fetch_item(&d, &items[k]);
	if (!decoder_done(&d))
		return &nonsense;
	out->items = items;
	out->n = r->count;
	return NULL;
}

struct bus_pending *imap_bodies_ask(struct imap *i, struct arena *a, const struct uid_range *uids,
				    size_t n, u32 want, u64 offset, u64 length)
{
	struct office_message_fetch_request q = { .ticket = *imap_ticket(i),
						  .mailbox = i->mailbox,
						  .uids = uids,
						  .uids_n = n,
						  .want = want,
						  .offset = offset,
						  .length = length };

	return office_message_fetch_start(a, imap_office(i), &q);
}

const struct fail *imap_bodies_take(struct arena *a, struct bus_pending *p, struct imap_bodies *out)
{
	struct office_message_fetch_answer r;

	*out = (struct imap_bodies){ .fd = -1 };
	TRY(office_message_fetch_take(p, &r));
	out->next = r.next;
	out->damaged = r.damaged > 0;
	if (r.count == 0)
		return NULL;
	if (r.bytes > BODIES_MAX)
		return &nonsense;
	out->fd = r.data;
	TRY(fd_map(a, r.data, r.bytes, &out->bytes));
	return decode(a, &r, out);
}

const struct fail *imap_bodies(struct imap *i, struct arena *a, const struct uid_range *uids,
			       size_t n, u32 want, u64 offset, u64 length, struct imap_bodies *out)
{
	u64 until = env_monotonic(env_system()) + BUS_RESTART_MS;
	const struct fail *f;

	/* An office that begins anew costs a part of an answer that is half said its time, not its rest. */
	do
		f = imap_bodies_take(a, imap_bodies_ask(i, a, uids, n, want, offset, length), out);
	while (f && f->what == FAIL_UNAVAILABLE && bus_wait(imap_office(i), until));
	return f;
}

const struct fail *imap_body_read(struct imap *i, struct arena *a, u32 uid, u64 from, u64 to,
				  size_t max, str *out)
{
	const struct uid_range one = { uid, uid, 0 };
	struct imap_bodies b;
	struct buf *bytes;

	if (to - from > max)
		to = from + max;
	bytes = buf_new(a, (size_t)(to - from) + 1);
	while (from < to) {
		u64 n = to - from < IMAP_WINDOW ? to - from : IMAP_WINDOW;

		TRY(imap_bodies(i, a, &one, 1, FETCH_BYTES, from, n, &b));
		if (b.n != 1 || b.items[0].bytes.n == 0)
			break; /* gone meanwhile */
		buf_add(bytes, str_slice(b.items[0].bytes, 0, (size_t)n));
		from += b.items[0].bytes.n;
	}
	*out = buf_str(bytes);
	return NULL;
}
