/*
 * For the tests of src/office/store: a throwaway folder, an env with a clock, a seed and planned faults, and jobs as
 * plain calls. Header-only: each test is a program of its own.
 */
#ifndef OFFICE_STORE_TEST_SUPPORT_H
#define OFFICE_STORE_TEST_SUPPORT_H

#include "base/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "office/store/store.h"
#include "office/store/store_int.h"

struct world {
	struct env env;
	u64 clock, seed;
	int fault_error;         /* what the planned fault says */
	enum env_fault fault_at; /* which kind */
	u64 fault_in;            /* the how manieth of that kind; 0: none */
	bool fault_stays;        /* and all after it */
	char folder[64];
	struct arena *arena;
	struct store *store;
	u64 account;
};

static u64 world_now(void *context)
{
	struct world *w = context;
	return w->clock++;
}

static void world_random(void *context, void *out, size_t n)
{
	struct world *w = context;
	u8 *p = out;

	for (size_t i = 0; i < n; i++) {
		w->seed = w->seed * 6364136223846793005u + 1442695040888963407u;
		p[i] = (u8)(w->seed >> 56);
	}
}

static int world_fault(void *context, enum env_fault where)
{
	struct world *w = context;

	if (where != w->fault_at || w->fault_in == 0)
		return 0;
	if (w->fault_in == 1) {
		w->fault_in = w->fault_stays;
		return w->fault_error;
	}
	w->fault_in--;
	return 0;
}

static inline void must(const struct fail *f)
{
	if (f)
		fail_msg("%.*s%s%.*s", STR_ARG(f->text), f->cause ? ": " : "",
			 f->cause ? (int)f->cause->text.n : 0,
			 f->cause ? (const char *)f->cause->text.p : "");
}

static inline void must_fail(const struct fail *f, enum fail_what what)
{
	assert_non_null(f);
	if (f->what != what)
		fail_msg("wanted %.*s, got: %.*s", STR_ARG(fail_what_name(what)), STR_ARG(f->text));
}

static inline void world_open(struct world *w)
{
	const struct store_options o = { .folder = w->folder, .env = &w->env };

	must(store_open(w->arena, &o, &w->store));
}

static inline void world_reopen(struct world *w)
{
	store_close(&w->store);
	world_open(w);
}

/* A job as a call: CALL_STORE(w, store_mailbox_create(t, w->account, S("a"), 0, &id)) */
struct call_job {
	struct write_job job;
	const struct fail *(*call)(struct tx *t, void *context);
	void *context;
};

static inline const struct fail *call_run(struct tx *t, struct write_job *job)
{
	struct call_job *c = (struct call_job *)job;
	return c->call(t, c->context);
}

static inline const struct fail *world_write(struct world *w, bool frees,
					     const struct fail *(*call)(struct tx *, void *),
					     void *context)
{
	struct call_job c = { .job = { .run = call_run, .arena = w->arena, .frees = frees },
			      .call = call,
			      .context = context };

	return writer_do(w->store, &c.job);
}

static inline const struct fail *make_account(struct tx *t, void *context)
{
	struct world *w = context;
	str address = str_format(t->arena, "user%llu@example.test", (unsigned long long)w->account);

	TRY(SQL_RUN(t->arena, t->db,
		    "INSERT INTO account (id, address, domain, generation, suspended, quota_bytes)"
		    " VALUES (?, ?, 'example.test', 1, 0, 0)",
		    SQL_U64(w->account), SQL_STR(address)));
	return store_account_furnish(t, w->account, address);
}

static inline void world_new(struct world *w)
{
	*w = (struct world){ .clock = 1790000000000, .seed = 1, .account = 7 };
	w->env = (struct env){ .context = w,
			       .now = world_now,
			       .monotonic = world_now,
			       .random = world_random,
			       .fault = world_fault };
	snprintf(w->folder, sizeof w->folder, "/tmp/store-test-XXXXXX");
	assert_non_null(mkdtemp(w->folder));
	w->arena = arena_new(256 << 20);
	world_open(w);
	must(world_write(w, false, make_account, w));
}

static inline void world_free(struct world *w)
{
	static const char *const names[] = { "postern.db",
					     "postern.db-wal",
					     "postern.db-shm",
					     "postern.db.before-salvage",
					     "lock",
					     "reserve",
					     "postern.db.before-salvage-2" };
	char path[128];

	if (w->store)
		store_close(&w->store);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof path, "%s/%s", w->folder, names[i]);
		unlink(path);
	}
	for (int i = 1; i < 40; i++) {
		snprintf(path, sizeof path, "%s/mail/%08d.seg", w->folder, i);
		unlink(path);
	}
	snprintf(path, sizeof path, "%s/mail", w->folder);
	rmdir(path);
	assert_int_equal(rmdir(w->folder), 0);
	arena_free(&w->arena);
}

/* A message of about `size` bytes as an edge hands it over, with its skeleton. */
static inline void make_draft(struct world *w, size_t size, u32 mark, struct body_draft *d)
{
	struct buf *b = buf_new(w->arena, 64 << 20);
	struct skeleton_parser *p = skeleton_parser_new(w->arena);
	const struct skeleton *s;
	size_t n;
	str encoded;

	buf_printf(b, "From: a@example.test\r\nTo: b@example.test\r\nSubject: message %u\r\n\r\n",
		   mark);
	while (b->n < size)
		buf_add(b, S("0123456789 0123456789 0123456789 0123456789 0123456789\r\n"));
	n = b->n;
	must(skeleton_feed(p, buf_str(b)));
	must(skeleton_finish(p, &s));
	encoded = skeleton_encode(w->arena, s);
	buf_add(b, encoded);
	must(store_body_check(
	    w->arena, w->store,
	    &(struct message_body){
		.bytes = buf_str(b), .file = -1, .size = n, .skeleton = encoded.n },
	    d));
}

struct append_call {
	u64 account;
	str name;
	u64 flags;
	str keyword;
	struct body_draft draft;
	struct office_message_append_answer answer;
};

static inline const struct fail *append_call(struct tx *t, void *context)
{
	struct append_call *c = context;
	const struct office_message_append_request q = { .name = c->name,
							 .flags = c->flags,
							 .keywords = &c->keyword,
							 .keywords_n = c->keyword.n > 0 };

	return store_message_append(t, c->account, &q, &c->draft, &c->answer);
}

static inline const struct fail *world_append(struct world *w, str name, size_t size, u32 mark,
					      u64 flags, u32 *uid)
{
	struct append_call c = { .account = w->account, .name = name, .flags = flags };

	make_draft(w, size, mark, &c.draft);
	TRY(world_write(w, false, append_call, &c));
	*uid = c.answer.uid;
	return NULL;
}

/* Requests that change messages, their answers, and the jobs for world_write. */
struct change_call {
	u64 account;
	u32 *from; /* NULL: all at once */
	struct office_message_flags_request flags;
	struct office_message_flags_answer flagged;
	struct office_message_expunge_request expunge;
	struct office_message_expunge_answer expunged;
	struct office_message_copy_request copy;
	struct office_message_copy_answer copied;
};

static inline const struct fail *flags_call(struct tx *t, void *context)
{
	struct change_call *c = context;
	return store_message_flags(t, c->account, &c->flags, c->from, &c->flagged);
}

static inline const struct fail *expunge_call(struct tx *t, void *context)
{
	struct change_call *c = context;
	return store_message_expunge(t, c->account, &c->expunge, c->from, &c->expunged);
}

static inline const struct fail *copy_call(struct tx *t, void *context)
{
	struct change_call *c = context;
	return store_message_copy(t, c->account, &c->copy, c->from, &c->copied);
}

/* The three for one range of uids, whole in one call; what the call says is in what they return. */
static inline struct change_call world_flags(struct world *w, u64 mailbox, struct uid_range range,
					     u8 mode, u64 flags)
{
	struct change_call c = { .account = w->account,
				 .flags = { .mailbox = mailbox,
					    .uids = &range,
					    .uids_n = 1,
					    .mode = mode,
					    .flags = flags } };

	must(world_write(w, false, flags_call, &c));
	return c;
}

static inline struct change_call world_expunge(struct world *w, u64 mailbox, struct uid_range range,
					       bool only_deleted)
{
	struct change_call c = { .account = w->account,
				 .expunge = { .mailbox = mailbox,
					      .uids = &range,
					      .uids_n = 1,
					      .only_deleted = only_deleted } };

	must(world_write(w, true, expunge_call, &c));
	return c;
}

static inline struct change_call world_copy(struct world *w, u64 mailbox, struct uid_range range,
					    str target, bool move)
{
	struct change_call c = { .account = w->account,
				 .copy = { .mailbox = mailbox,
					   .uids = &range,
					   .uids_n = 1,
					   .target = target,
					   .move = move } };

	must(world_write(w, false, copy_call, &c));
	return c;
}

/* Messages in a mailbox, as SELECT counts them. */
static inline u64 world_rows(struct world *w, const char *name)
{
	struct office_mailbox_open_answer box;
	struct tx t;

	must(store_read_begin(w->store, w->arena, &t));
	must(store_mailbox_open(&t, w->account, str_cstr(name), false, &box));
	store_read_end(&t);
	return box.rows;
}

#endif
