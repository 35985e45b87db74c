/*
 * For tests and fuzzers of IMAP and POP3: an office (and a login, see fake_test.h) in this process. A mailbox is an array;
 * what the office promises (office.tbl) is kept in the simplest way.
 *
 * alice@example.test is the only account. The office runs on one thread, so the model needs no lock.
 */
#ifndef EDGE_MAILBOX_FAKE_TEST_H
#define EDGE_MAILBOX_FAKE_TEST_H

#include <stdlib.h>
#include <sys/time.h>

#include "base/log.h"
#include "bus/ticket.h"
#include "bus/view.h"
#include "edge/fake_test.h"
#include "text/skeleton.h"

enum { FAKE_MAILBOXES = 512, FAKE_MESSAGES = 65536, FAKE_PREFIX = 34 };
#define FAKE_PREFIX_TEXT "Return-Path: <joe@remote.example>\r\n"

struct fake_message {
	struct view_row row;
	u64 date;
	str bytes, skeleton, prefix;
	bool gone, damaged;
};

struct fake_mailbox {
	u64 id;
	str name;
	u32 special, uidnext, seen_recent;
	bool subscribed;
	struct fake_message *messages;
	u32 n, cap;
	str keywords[OFFICE_KEYWORDS];
	u32 keywords_n;
};

struct fake {
	struct fake_peers peers;
	struct fake_mailbox mailboxes[FAKE_MAILBOXES];
	u32 mailboxes_n;
	str subscribed_only;
	u64 modseq, next_id;
	atomic_uint fetches, changes, refusals; /* refusals: events */
	atomic_bool forgetful;                  /* the change log reaches back to nothing */
	atomic_bool full;
	atomic_bool
	    blind; /* a watch is kept, and not told of in time; of a message only the front is found in time */
	atomic_int watches;  /* that are kept */
	atomic_bool expired; /* the ticket: it was good once */
	bool locked;         /* the maildrop */
};

/* --- Model ------------------------------------------------------------------------------------------------------- */

static struct fake_mailbox *fake_find(struct fake *x, str name)
{
	for (u32 i = 0; i < x->mailboxes_n; i++)
		if (str_eq(x->mailboxes[i].name, name))
			return &x->mailboxes[i];
	return NULL;
}

static struct fake_mailbox *fake_by_id(struct fake *x, u64 id)
{
	for (u32 i = 0; i < x->mailboxes_n; i++)
		if (x->mailboxes[i].id == id)
			return &x->mailboxes[i];
	return NULL;
}

static struct fake_mailbox *fake_create(struct fake *x, str name, u32 special)
{
	struct fake_mailbox *m = &x->mailboxes[x->mailboxes_n++];

	CHECK(x->mailboxes_n < FAKE_MAILBOXES);
	*m = (struct fake_mailbox){ .id = ++x->next_id,
				    .name = str_copy(x->peers.arena, name),
				    .special = special,
				    .uidnext = 1,
				    .seen_recent = 1 };
	return m;
}

static u64 fake_keywords(struct fake *x, struct fake_mailbox *m, const str *names, size_t n)
{
	u64 bits = 0;

	for (size_t i = 0; i < n; i++) {
		u32 k = 0;

		while (k < m->keywords_n && !str_eq_nocase(m->keywords[k], names[i]))
			k++;
		if (k == OFFICE_KEYWORDS)
			continue;
		if (k == m->keywords_n)
			m->keywords[m->keywords_n++] = str_copy(x->peers.arena, names[i]);
		bits |= 1ull << (FLAG_KEYWORD_FIRST + k);
	}
	return bits;
}

static struct fake_message *fake_add(struct fake *x, struct fake_mailbox *m, str bytes,
				     str skeleton, u64 flags, u64 date)
{
	struct fake_message *e;

	if (m->n == m->cap) {
		m->cap = m->cap ? 2 * m->cap : 32;
		m->messages = realloc(m->messages, m->cap * sizeof(*m->messages));
	}
	CHECK(m->n < FAKE_MESSAGES && m->messages);
	e = &m->messages[m->n++];
	*e = (struct fake_message){ .date = date ? date : 1795289107000,
				    .bytes = bytes,
				    .skeleton = skeleton,
				    .prefix = S(FAKE_PREFIX_TEXT) };
	e->row =
	    (struct view_row){ ++x->modseq, flags, m->uidnext++, (u32)(bytes.n + e->prefix.n) };
	return e;
}

static struct mailbox_info fake_info(const struct fake *x, const struct fake_mailbox *m)
{
	struct mailbox_info r = { .id = m->id,
				  .name = m->name,
				  .special = m->special,
				  .subscribed = m->subscribed,
				  .uidvalidity = 7,
				  .uidnext = m->uidnext,
				  .modseq = x->modseq };

	for (u32 i = 0; i < m->n; i++) {
		r.messages += !m->messages[i].gone;
		r.unseen += !m->messages[i].gone && !(m->messages[i].row.flags & FLAG_SEEN);
		r.recent += !m->messages[i].gone && m->messages[i].row.uid >= m->seen_recent;
	}
	return r;
}

static bool fake_in(const struct uid_range *r, size_t n, u32 uid)
{
	for (size_t i = 0; i < n; i++)
		if (uid >= r[i].low && uid <= r[i].high)
			return true;
	return false;
}

/* --- Calls ------------------------------------------------------------------------------------------------------- */

#define FAKE_CALL(name)                                                                           \
	static const struct fail *fake_##name##_do(struct fake *x, struct arena *a,               \
						   const struct office_##name##_request *q,       \
						   struct office_##name##_answer *r);             \
	static const struct fail *fake_##name(struct bus_call *call)                              \
	{                                                                                         \
		return fake_##name##_do(call->context, call->arena, call->request, call->answer); \
	}                                                                                         \
	static const struct fail *fake_##name##_do(struct fake *x, struct arena *a,               \
						   const struct office_##name##_request *q,       \
						   struct office_##name##_answer *r)
#define FAKE_UNUSED ((void)x, (void)a, (void)q, (void)r)

static const struct fail fake_missing = FAIL_STATIC(NOT_FOUND, "no such mailbox");
static const struct fail fake_denied = FAIL_STATIC(DENIED, "not here");

FAKE_CALL(spool_file)
{
	FAKE_UNUSED;
	r->file = arena_own_fd(a, fd_memory("fake"));
	return NULL;
}

FAKE_CALL(mailbox_list)
{
	struct mailbox_info *list = arena_array_of(a, x->mailboxes_n, struct mailbox_info);

	FAKE_UNUSED;
	r->mailboxes = list;
	for (u32 i = 0; i < x->mailboxes_n; i++)
		if (q->name.n == 0 || str_eq(q->name, x->mailboxes[i].name))
			list[r->mailboxes_n++] = fake_info(x, &x->mailboxes[i]);
	if (q->name.n)
		return r->mailboxes_n ? NULL : &fake_missing;
	r->subscribed_only = &x->subscribed_only;
	r->subscribed_only_n = x->subscribed_only.n > 0;
	return NULL;
}

FAKE_CALL(mailbox_create)
{
	FAKE_UNUSED;
	if (fake_find(x, q->name))
		return fail_new(a, FAIL_EXISTS, "it exists");
	r->mailbox = fake_create(x, q->name, q->special)->id;
	return NULL;
}

FAKE_CALL(mailbox_delete)
{
	struct fake_mailbox *m = fake_find(x, q->name);

	FAKE_UNUSED;
	if (!m)
		return &fake_missing;
	free(m->messages);
	*m = x->mailboxes[--x->mailboxes_n];
	return NULL;
}

static void fake_move_all(struct fake *x, struct fake_mailbox *m, struct fake_mailbox *to)
{
	x->modseq++;
	for (u32 i = 0; i < m->n; i++) {
		struct fake_message *e = &m->messages[i];

		if (e->gone)
			continue;
		fake_add(x, to, e->bytes, e->skeleton, e->row.flags, e->date);
		e->gone = true;
		e->row.modseq = x->modseq;
	}
}

FAKE_CALL(mailbox_rename)
{
	struct fake_mailbox *m = fake_find(x, q->from);

	FAKE_UNUSED;
	if (!m)
		return &fake_missing;
	if (str_eq(q->from, S("INBOX")))
		fake_move_all(x, m, fake_create(x, q->to, 0));
	else
		m->name = str_copy(x->peers.arena, q->to);
	return NULL;
}

FAKE_CALL(mailbox_subscribe)
{
	struct fake_mailbox *m = fake_find(x, q->name);

	FAKE_UNUSED;
	if (m)
		m->subscribed = q->subscribed;
	else
		x->subscribed_only = q->subscribed ? str_copy(x->peers.arena, q->name) : STR_NONE;
	return NULL;
}

FAKE_CALL(mailbox_open)
{
	struct fake_mailbox *m = fake_find(x, q->name);
	struct view_row *rows;
	int *chunks;

	FAKE_UNUSED;
	if (!m)
		return &fake_missing;
	r->info = fake_info(x, m);
	rows = arena_array_of(a, m->n, struct view_row);
	for (u32 i = 0; i < m->n; i++)
		if (!m->messages[i].gone)
			rows[r->rows++] = m->messages[i].row;
	chunks = arena_array_of(a, 1, int);
	r->chunks = chunks;
	r->chunks_n = r->rows > 0;
	if (r->rows > 0)
		TRY(fd_from_str(a, str_from(rows, r->rows * sizeof(*rows)), chunks));
	r->modseq = x->modseq;
	r->recent_from = m->seen_recent;
	r->keywords = m->keywords;
	r->keywords_n = m->keywords_n;
	if (q->claim_recent)
		m->seen_recent = m->uidnext;
	return NULL;
}

static int fake_compare(const void *p, const void *q)
{
	const struct message_change *a = p, *b = q;

	return a->modseq < b->modseq ? -1 : a->modseq > b->modseq;
}

/* In pieces of 3, so that there are several. */
FAKE_CALL(mailbox_changes)
{
	struct fake_mailbox *m = fake_by_id(x, q->mailbox);
	struct message_change *c;
	size_t n = 0;

	x->changes++;
	if (!m)
		return &fake_missing;
	FAKE_UNUSED;
	r->info = fake_info(x, m);
	r->modseq = x->modseq;
	r->keywords = m->keywords;
	r->keywords_n = m->keywords_n;
	r->forgotten = x->forgetful && q->since < x->modseq;
	c = arena_array_of(a, m->n, struct message_change);
	for (u32 i = 0; i < m->n && !r->forgotten; i++) {
		const struct fake_message *e = &m->messages[i];

		if (e->row.modseq > q->since)
			c[n++] = (struct message_change){ e->row.uid,
							  e->gone ? 0 : e->row.size,
							  e->gone ? 0 : e->row.flags,
							  e->row.modseq,
							  e->gone,
							  0 };
	}
	qsort(c, n, sizeof(*c), fake_compare);
	if (n > 3) {
		for (n = 3; n < m->n && c[n].modseq == c[n - 1].modseq; n++)
			;
		r->modseq = c[n - 1].modseq;
	}
	r->changes = c;
	r->changes_n = n;
	return NULL;
}

FAKE_CALL(watch)
{
	FAKE_UNUSED;
	r->modseq = x->modseq;
	x->watches++;
	return x->blind ? fail_new(a, FAIL_TIMEOUT, "too slow") : NULL;
}

FAKE_CALL(unwatch)
{
	FAKE_UNUSED;
	x->watches--;
	return NULL;
}

FAKE_CALL(message_flags)
{
	struct fake_mailbox *m = fake_by_id(x, q->mailbox);
	struct uid_range *modified;
	u64 bits;

	FAKE_UNUSED;
	if (!m)
		return &fake_missing;
	bits = q->flags | fake_keywords(x, m, q->keywords, q->keywords_n);
	modified = arena_array_of(a, m->n, struct uid_range);
	r->modified = modified;
	x->modseq++;
	for (u32 i = 0; i < m->n; i++) {
		struct fake_message *e = &m->messages[i];

		if (e->gone || !fake_in(q->uids, q->uids_n, e->row.uid))
			continue;
		if (q->has_unchanged_since && e->row.modseq > q->unchanged_since) {
			modified[r->modified_n++] = (struct uid_range){ e->row.uid, e->row.uid, 0 };
			continue;
		}
		e->row.flags = q->mode == FLAGS_REPLACE ? bits
			       : q->mode == FLAGS_ADD   ? e->row.flags | bits
							: e->row.flags & ~bits;
		e->row.modseq = x->modseq;
	}
	r->modseq = x->modseq;
	return NULL;
}

FAKE_CALL(message_expunge)
{
	struct fake_mailbox *m = fake_by_id(x, q->mailbox);

	FAKE_UNUSED;
	if (!m)
		return &fake_missing;
	x->modseq++;
	for (u32 i = 0; i < m->n; i++) {
		struct fake_message *e = &m->messages[i];

		if (e->gone || !fake_in(q->uids, q->uids_n, e->row.uid) ||
		    (q->only_deleted && !(e->row.flags & FLAG_DELETED)))
			continue;
		e->gone = true;
		e->row.modseq = x->modseq;
	}
	return NULL;
}

FAKE_CALL(message_copy)
{
	struct fake_mailbox *m = fake_by_id(x, q->mailbox), *to = fake_find(x, q->target);
	u64 *source, *target;
	u32 n, rows = 0;

	FAKE_UNUSED;
	if (!m || !to)
		return &fake_missing;
	n = m->n;
	for (u32 i = 0; i < n; i++)
		rows += !m->messages[i].gone && fake_in(q->uids, q->uids_n, m->messages[i].row.uid);
	if (q->rows && rows != q->rows)
		return fail_new(a, FAIL_CONFLICT, "some went");
	r->source = source = arena_array_of(a, n, u64);
	r->target = target = arena_array_of(a, n, u64);
	for (u32 i = 0; i < n; i++) {
		struct fake_message e = m->messages[i]; /* m may be `to`, which grows */

		if (e.gone || !fake_in(q->uids, q->uids_n, e.row.uid))
			continue;
		source[r->source_n++] = e.row.uid;
		target[r->target_n++] =
		    fake_add(x, to, e.bytes, e.skeleton, e.row.flags, e.date)->row.uid;
		if (q->move) {
			m->messages[i].gone = true;
			m->messages[i].row.modseq = x->modseq;
		}
	}
	r->uidvalidity = 7;
	return NULL;
}

FAKE_CALL(message_append)
{
	struct fake_mailbox *m = fake_find(x, q->name);
	str bytes, skeleton;

	FAKE_UNUSED;
	if (!m)
		return &fake_missing;
	if (x->full)
		return fail_new(a, FAIL_QUOTA, "mailbox full");
	TRY(body_bytes(a, &q->body, &bytes, &skeleton));
	bytes = str_copy(x->peers.arena, bytes);
	skeleton = str_copy(x->peers.arena, skeleton);
	r->uidvalidity = 7;
	r->uid =
	    fake_add(x, m, bytes, skeleton,
		     q->flags | fake_keywords(x, m, q->keywords, q->keywords_n), q->internal_date)
		->row.uid;
	return NULL;
}

FAKE_CALL(message_fetch)
{
	struct fake_mailbox *m = fake_by_id(x, q->mailbox);
	struct buf *b = buf_new(a, 4 << 20);
	struct encoder e = { .bytes = b };

	FAKE_UNUSED;
	x->fetches++;
	if (!m)
		return &fake_missing;
	if (q->offset > 0 && x->blind)
		return fail_new(a, FAIL_TIMEOUT, "too slow");
	for (u32 i = 0; i < m->n; i++) {
		const struct fake_message *s = &m->messages[i];
		struct fetch_item item = { .uid = s->row.uid,
					   .internal_date = s->date,
					   .size = s->bytes.n,
					   .prefix = s->prefix };

		if (s->gone || !fake_in(q->uids, q->uids_n, s->row.uid))
			continue;
		if (s->damaged && q->want & FETCH_BYTES) {
			r->damaged++;
			continue;
		}
		if (q->want & FETCH_SKELETON)
			item.skeleton = s->skeleton;
		if (q->want & FETCH_ENVELOPE)
			CHECK(skeleton_envelope_find(a, s->skeleton, &item.skeleton) == NULL);
		if (q->want & FETCH_BYTES) {
			item.bytes = s->bytes;
			if (q->want & FETCH_HEADER_ONLY)
				item.bytes.n = str_find_str(s->bytes, S("\r\n\r\n")) + 4;
			item.bytes = str_slice(str_skip(item.bytes, (size_t)q->offset), 0,
					       (size_t)q->length);
		}
		if (r->count > 0 && b->n + item.bytes.n + item.skeleton.n > OFFICE_FETCH_BYTES) {
			r->next = item.uid;
			break;
		}
		encode_fetch_item(&e, &item);
		r->count++;
	}
	if (r->damaged && r->count == 0)
		return fail_new(a, FAIL_CORRUPT, "it cannot be read");
	r->bytes = b->n;
	return fd_from_str(a, buf_str(b), &r->data);
}

FAKE_CALL(quota_get)
{
	FAKE_UNUSED;
	return NULL;
}

FAKE_CALL(maildrop_lock)
{
	static const struct fail busy = { .what = FAIL_BUSY,
					  .kind = FAIL_TEMP,
					  .code = { (const u8 *)"4.4.5", 5 },
					  .text = { (const u8 *)"in use", 6 } };

	FAKE_UNUSED;
	if (x->locked)
		return &busy;
	x->locked = true;
	return NULL;
}

FAKE_CALL(maildrop_unlock)
{
	FAKE_UNUSED;
	x->locked = false;
	return NULL;
}

static const struct fail *fake_event_add(struct bus_call *call)
{
	const struct office_event_add_request *q = call->request;
	struct fake *x = call->context;

	for (size_t i = 0; i < q->events_n; i++)
		x->refusals += str_starts(q->events[i].code, S("refused_"));
	return NULL;
}

static void fake_office(void *context, struct bus_call *call)
{
	static const bus_serve_function table[] = {
		[5] = fake_event_add,          [6] = fake_spool_file,
		[20] = fake_mailbox_list,      [21] = fake_mailbox_create,
		[22] = fake_mailbox_delete,    [23] = fake_mailbox_rename,
		[24] = fake_mailbox_subscribe, [25] = fake_mailbox_open,
		[26] = fake_mailbox_changes,   [27] = fake_watch,
		[28] = fake_unwatch,           [40] = fake_message_flags,
		[41] = fake_message_expunge,   [42] = fake_message_copy,
		[43] = fake_message_append,    [44] = fake_message_fetch,
		[45] = fake_quota_get,         [46] = fake_maildrop_lock,
		[47] = fake_maildrop_unlock,
	};

	call->context = context;
	if (call->method->needs_ticket && ((struct fake *)context)->expired)
		bus_answer(&call, &ticket_void);
	else
		bus_serve(table, ARRAY_LEN(table), call);
}

/* --- Both -------------------------------------------------------------------------------------------------------- */

static void fake_create_first(struct fake *x)
{
	fake_create(x, S("INBOX"), SPECIAL_INBOX);
	fake_create(x, S("Sent"), SPECIAL_SENT);
	fake_create(x, S("Trash"), SPECIAL_TRASH);
}

/* As it was when it was new, for fuzzers. */
static inline void fake_empty(struct fake *x)
{
	for (u32 i = 0; i < x->mailboxes_n; i++)
		free(x->mailboxes[i].messages);
	x->mailboxes_n = 0;
	x->subscribed_only = STR_NONE;
	x->modseq = x->next_id = 0;
	x->locked = false;
	fake_create_first(x);
}

static struct fake *fake_new(void)
{
	struct arena *a = arena_new((size_t)1 << 30);
	struct fake *x = arena_new_of(a, struct fake);

	x->peers.arena = a;
	x->peers.delay_ms = 20;
	fake_create_first(x);
	fake_peers_start(&x->peers, a, S("imap.example.test"), fake_office);
	return x;
}

static void fake_free(struct fake **x)
{
	struct arena *a = (*x)->peers.arena;

	fake_peers_stop(&(*x)->peers);
	for (u32 i = 0; i < (*x)->mailboxes_n; i++)
		free((*x)->mailboxes[i].messages);
	*x = NULL;
	arena_free(&a);
}

static str fake_skeleton(struct arena *a, str bytes)
{
	struct skeleton_parser *p = skeleton_parser_new(a);
	const struct skeleton *k;

	CHECK(skeleton_feed(p, bytes) == NULL && skeleton_finish(p, &k) == NULL);
	return skeleton_encode(a, k);
}

enum { FAKE_FUZZ_ARENA = 4 << 20 };

/* For fuzzers, which want the same before each input: nobody waits, and INBOX has this mail so many times. What a fake is given adds up, so after
 * FAKE_FUZZ_ARENA it begins anew. x NULL: the first. The mail is the same each time: its skeleton is made once. */
static inline struct fake *fake_refill(struct fake *x, str mail, u32 times)
{
	static struct arena *a;
	static str skeleton;

	if (!a) {
		log_name("fuzz", LOG_ERROR + 1);
		a = arena_new(1 << 20);
		skeleton = fake_skeleton(a, mail);
	}
	if (x && arena_used(x->peers.arena) > FAKE_FUZZ_ARENA)
		fake_free(&x);
	if (x) {
		fake_empty(x);
	} else {
		x = fake_new();
		x->peers.config->limit_errors = 1000;
		x->peers.delay_ms = 1; /* of a wrong password */
	}
	for (u32 i = 0; i < times; i++)
		fake_add(x, fake_find(x, S("INBOX")), mail, skeleton, 0, 0);
	return x;
}

/* Puts a message in a mailbox before any session runs. */
static inline void fake_fill(struct fake *x, const char *mailbox, str bytes, u32 times)
{
	struct fake_mailbox *m = fake_find(x, str_cstr(mailbox));
	str encoded = fake_skeleton(x->peers.arena, bytes);

	for (u32 i = 0; i < times; i++)
		fake_add(x, m, bytes, encoded, 0, 0);
}

#endif
