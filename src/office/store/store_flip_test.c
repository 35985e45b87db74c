/*
 * Flipped bits (THREATS F25): a store of every kind of row and record, one or more bits of one of its files changed, then opened and read as
 * the office would. What is handed out is what was put in, octet for octet, or it is not handed out; what is not there any more is told of,
 * by what was read or by verify; salvage brings back what lies in records that are whole. POSTERN_FLIPS: how many, POSTERN_SEED: which.
 */
#include "office/store/store_test_support.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "bus/view.h"
#include "office/store/store_directory.h"
#include "office/store/store_queue.h"
#include "sql/sql_page.h"

enum {
	USERS = 4,
	FLIPS = 100,
	LINES = 2048,
	PATH_BYTES = 400,
	FILES = 16,
	SEGMENTS = 9,
	SEGMENT_ROLLS = 24 * 1024,
	SALVAGE_EVERY = 8,
	FIRST_ROUND =
	    24, /* messages; those of the second round stand in the WAL that a crash leaves */
	SECOND_ROUND = 10,
	SECONDS = 60, /* for one trial: more is for ever */
};

/* --- What is in a store --- */

/* One thing that somebody may see: what it is, and its hash. */
struct line {
	u64 key, value;
	str what;
	bool content; /* of a message: salvage brings it back */
};

struct seen {
	struct arena *arena;
	struct line lines[LINES];
	size_t n;
	u32 fails; /* parts that were refused */
};

static u64 hash(u64 h, str s)
{
	u64 word;

	for (h ^= s.n; s.n >= 8; s = str_skip(s, 8)) {
		memcpy(&word, s.p, 8);
		h = (h ^ word) * 0x9E3779B97F4A7C15u;
		h ^= h >> 29;
	}
	for (size_t i = 0; i < s.n; i++)
		h = (h ^ s.p[i]) * 0x100000001B3u;
	return h;
}

static u64 hash_number(u64 h, u64 n)
{
	return hash(h, str_from(&n, sizeof n));
}

static struct line *see(struct seen *s, str what, u64 value)
{
	struct line *l = &s->lines[s->n];

	assert_true(s->n < LINES);
	s->n++;
	*l = (struct line){ .key = hash(1, what), .value = value, .what = what };
	return l;
}

static bool failed(struct seen *s, const struct fail *f)
{
	s->fails += f != NULL;
	return f != NULL;
}

static u64 hash_item(const struct fetch_item *i)
{
	return hash(hash(hash(hash_number(i->internal_date, i->size), i->prefix), i->skeleton),
		    i->bytes);
}

struct looker {
	struct tx *t;
	struct seen *seen;
	str address, mailbox;
	u64 account;
};

static void look_items(struct looker *l, struct office_message_fetch_request q, const char *what)
{
	struct uid_range range = { .low = 1, .high = UINT32_MAX };

	q.uids = &range;
	q.uids_n = 1;
	do {
		struct office_message_fetch_answer r;
		struct decoder d = { .arena = l->t->arena };

		if (failed(l->seen, store_message_fetch(l->t, l->account, &q, &r)))
			return;
		l->seen->fails += r.damaged;
		must(fd_map(l->t->arena, r.data, r.bytes, &d.rest));
		for (u32 i = 0; i < r.count; i++) {
			struct fetch_item item;

			decode_fetch_item(&d, &item);
			see(l->seen,
			    str_format(l->t->arena, "%s of %.*s %.*s %u", what, STR_ARG(l->address),
				       STR_ARG(l->mailbox), item.uid),
			    hash_item(&item))
			    ->content = q.want == FETCH_BYTES;
		}
		range.low = r.next;
	} while (range.low);
}

static void look_rows(struct looker *l, const struct office_mailbox_open_answer *box)
{
	for (size_t i = 0; i < box->chunks_n; i++) {
		struct stat st;
		str bytes;

		assert_int_equal(fstat(box->chunks[i], &st), 0);
		must(fd_map(l->t->arena, box->chunks[i], (u64)st.st_size, &bytes));
		for (; bytes.n >= sizeof(struct view_row);
		     bytes = str_skip(bytes, sizeof(struct view_row))) {
			struct view_row row;

			memcpy(&row, bytes.p, sizeof row);
			see(l->seen,
			    str_format(l->t->arena, "row of %.*s %.*s %u", STR_ARG(l->address),
				       STR_ARG(l->mailbox), row.uid),
			    hash_number(row.flags, row.size));
		}
	}
	for (size_t i = 0; i < box->keywords_n; i++)
		see(l->seen,
		    str_format(l->t->arena, "keyword %zu of %.*s %.*s", i, STR_ARG(l->address),
			       STR_ARG(l->mailbox)),
		    hash(0, box->keywords[i]));
}

static void look_mailbox(struct looker *l, const struct mailbox_info *m)
{
	struct office_mailbox_open_answer box;
	struct office_message_fetch_request q = { .mailbox = m->id };
	size_t before;

	l->mailbox = m->name;
	see(l->seen,
	    str_format(l->t->arena, "mailbox %.*s %.*s", STR_ARG(l->address), STR_ARG(m->name)),
	    hash_number(hash_number(m->uidvalidity, m->special), m->messages));
	before = l->seen->n;
	if (!failed(l->seen, store_mailbox_open(l->t, l->account, m->name, false, &box)))
		look_rows(l, &box);
	q.want = FETCH_BYTES;
	look_items(l, q, "message");
	if (l->seen->n == before) /* nothing more to find there */
		return;
	q.offset = OFFICE_FETCH_BYTES;
	q.want = FETCH_BYTES | FETCH_SKELETON;
	look_items(l, q, "end and structure");
	q.offset = 0;
	q.want = FETCH_HEADER_ONLY;
	look_items(l, q, "header");
	q.want = FETCH_SKELETON | FETCH_ENVELOPE;
	look_items(l, q, "envelope");
	q.want = FETCH_BYTES;
	q.offset = 70;
	q.length = 200;
	q.want |= FETCH_SKELETON; /* no message of its own */
	look_items(l, q, "part");
}

static void look_account(void *context, const struct store_account *account)
{
	struct looker *l = context;
	struct office_mailbox_list_answer list;

	l->account = account->id;
	l->address = account->address;
	see(l->seen, str_format(l->t->arena, "account %.*s", STR_ARG(account->address)),
	    hash_number(hash_number(account->id, account->suspended), account->quota));
	if (failed(l->seen, store_mailbox_list(l->t, account->id, &list)))
		return;
	for (size_t i = 0; i < list.mailboxes_n; i++)
		look_mailbox(l, &list.mailboxes[i]);
}

static void look_alias(void *context, str address, const str *targets, size_t n, bool suspended)
{
	struct looker *l = context;
	u64 value = suspended;

	for (size_t i = 0; i < n; i++)
		value = hash(value, targets[i]);
	see(l->seen, str_format(l->t->arena, "alias %.*s", STR_ARG(address)), value);
}

static void look_domain(void *context, str name)
{
	struct looker *l = context;

	see(l->seen, str_format(l->t->arena, "domain %.*s", STR_ARG(name)), 0);
}

static void look_bad(void *context, const char *kind, str name, const char *why)
{
	struct looker *l = context;

	(void)kind, (void)name, (void)why;
	l->seen->fails++;
}

static void look_queue(struct looker *l)
{
	struct queue_info *entries;
	u64 *jobs;
	size_t n;

	if (failed(l->seen, store_queue_list(l->t, 0, 1000, false, &entries, &jobs, &n)))
		return;
	for (size_t i = 0; i < n; i++) {
		u64 size, skeleton, value = hash(entries[i].status, entries[i].sender);
		int fd;
		str bytes;

		if (failed(l->seen,
			   store_body_get(l->t, entries[i].message, &fd, &size, &skeleton)))
			continue;
		must(fd_map(l->t->arena, fd, size + skeleton, &bytes));
		see(l->seen,
		    str_format(l->t->arena, "queued %llu for %.*s",
			       (unsigned long long)entries[i].message,
			       STR_ARG(entries[i].recipient)),
		    hash(hash_number(value, size), bytes));
	}
}

static void look(struct tx *t, struct seen *seen)
{
	struct looker l = { .t = t, .seen = seen };
	const struct store_directory_reader r = { .context = &l,
						  .domain = look_domain,
						  .account = look_account,
						  .alias = look_alias,
						  .bad = look_bad };

	failed(seen, store_directory_read(t, &r));
	look_queue(&l);
}

/* --- Stores to begin with --- */

struct image {
	char name[32];
	str bytes;
};

struct base {
	const char *name;
	struct image files[FILES];
	size_t n;
	struct seen seen;
	struct seen before;        /* the last mail came */
	struct place records[256]; /* begin and, as offset of the next, end */
	u64 ends[256];
	size_t records_n;
};

static void file_name(const struct world *w, const char *name, char out[PATH_BYTES])
{
	snprintf(out, PATH_BYTES, "%s/%s", w->folder, name);
}

static void keep_file(struct world *w, struct base *b, const char *name)
{
	struct image *i = &b->files[b->n];
	char path[PATH_BYTES];
	struct stat st;
	int fd;

	file_name(w, name, path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	assert_int_equal(fstat(fd, &st), 0);
	snprintf(i->name, sizeof i->name, "%s", name);
	must(fd_read(w->arena, fd, 0, (size_t)st.st_size, &i->bytes));
	close(fd);
	b->n++;
}

static void put_file(const struct world *w, const char *name, str bytes)
{
	char path[PATH_BYTES];
	int fd;

	file_name(w, name, path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes.n), 0);
	assert_true(fd_pwrite_all(fd, bytes, 0));
	close(fd);
}

static const char *const database_files[] = { "postern.db", "postern.db-wal", "postern.db-shm",
					      "lock" };

/* What SQLite and salvage made goes, and all else that a base puts there anew. */
static void clear(const struct world *w, const char *folder, const char *like)
{
	char path[PATH_BYTES], name[PATH_BYTES];
	const struct dirent *e;
	DIR *d;

	file_name(w, folder, path);
	d = opendir(path);
	assert_non_null(d);
	while ((e = readdir(d)))
		if (strstr(e->d_name, like)) {
			snprintf(name, sizeof name, "%.64s/%.256s", path, e->d_name);
			unlink(name);
		}
	closedir(d);
}

static void clear_all(const struct world *w)
{
	clear(w, "", "postern.db");
	clear(w, "mail", ".seg");
}

static void put_base(const struct world *w, const struct base *b)
{
	clear_all(w);
	for (size_t i = 0; i < b->n; i++)
		put_file(w, b->files[i].name, b->files[i].bytes);
}

static const struct fail *make_directory(struct tx *t, void *context)
{
	const str targets[] = { S("user1@example.test"), S("user2@example.test") };

	(void)context;
	TRY(store_domain_add(t, S("example.test")));
	for (u64 i = 1; i < USERS; i++) {
		struct store_account account = {
			.id = i, .generation = 1, .quota = i << 30, .domain = S("example.test")
		};

		account.address =
		    str_format(t->arena, "user%llu@example.test", (unsigned long long)i);
		TRY(store_account_add(t, &account));
	}
	return store_alias_add(t, S("info@example.test"), targets, ARRAY_LEN(targets));
}

/* A mail that comes: to one or two mailboxes, or into the queue. */
struct mail_call {
	struct body_draft draft;
	u64 id, first, second; /* accounts; 0: none */
	bool waits;
};

static const struct fail *mail_call(struct tx *t, void *context)
{
	struct mail_call *c = context;
	const str recipients[] = { S("user1@example.test") };
	const struct body_summary summary = { .sender = S("a@example.test"),
					      .recipients = recipients,
					      .recipients_n = 1 };
	struct placement p = { .body = c->id, .prefix = S("Return-Path: <a@example.test>\r\n") };
	const struct queue_message m = {
		.id = c->id, .arrived = t->now, .size = c->draft.size, .sender = S("a@example.test")
	};
	struct queue_entry e = { .message = c->id,
				 .job = c->id,
				 .id = c->id + 1,
				 .kind = JOB_RELAY,
				 .domain = S("elsewhere.test"),
				 .address = S("b@elsewhere.test"),
				 .original = S("b@elsewhere.test"),
				 .next_attempt = t->now };
	struct placed at;

	TRY(store_body_append(t, c->id, &c->draft, &summary));
	if (c->waits) {
		TRY(store_queue_add(t, &m));
		return store_queue_add_entry(t, &e);
	}
	if (c->second)
		TRY(store_deliver(t, c->second, SPECIAL_INBOX, &p, &at));
	p.takes_reference = true;
	return store_deliver(t, c->first, SPECIAL_INBOX, &p, &at);
}

static void make_mail(struct world *w, u32 mark)
{
	static const size_t sizes[] = { 300, 900, 3000, 300, 9000, 1500 };
	struct mail_call c = { .id = store_id_now(w->store),
			       .first = 1 + mark % (USERS - 1),
			       .waits = mark % 6 == 5 };
	u32 uid;

	if (mark % 4 == 3)
		c.second = 1 + (mark + 1) % (USERS - 1);
	if (mark % 8 == 6) {
		w->account = c.first;
		must(world_append(w, S("Archive"), 2000, mark, FLAG_SEEN, &uid));
		return;
	}
	make_draft(w, mark == FIRST_ROUND + 1 ? OFFICE_FETCH_BYTES + 100000 : sizes[mark % 6], mark,
		   &c.draft);
	must(world_write(w, false, mail_call, &c));
}

static void change_some(struct world *w, u64 account)
{
	struct office_mailbox_open_answer box;
	struct tx t;

	w->account = account;
	must(store_read_begin(w->store, w->arena, &t));
	must(store_mailbox_open(&t, account, S("INBOX"), false, &box));
	store_read_end(&t);
	world_flags(w, box.info.id, (struct uid_range){ .low = 1, .high = 2 }, FLAGS_ADD,
		    FLAG_SEEN);
	world_copy(w, box.info.id, (struct uid_range){ .low = 2, .high = 3 }, S("Archive"),
		   account == 2);
	world_expunge(w, box.info.id, (struct uid_range){ .low = 1, .high = 1 }, false);
}

static void keep_files(struct world *w, struct base *b, const char *name)
{
	char path[32];

	b->name = name;
	b->n = 0;
	for (size_t i = 0; i < ARRAY_LEN(database_files); i++)
		keep_file(w, b, database_files[i]);
	for (u32 i = 1; i <= SEGMENTS; i++) {
		snprintf(path, sizeof path, "mail/%08u.seg", i);
		keep_file(w, b, path);
	}
}

static void find_records(struct world *w, struct base *b)
{
	int folder;
	char path[PATH_BYTES];

	file_name(w, "mail", path);
	folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (u32 number = 1; number <= SEGMENTS; number++) {
		struct segment_walk walk;
		struct record r;
		str small;
		bool damaged;
		u64 at;

		if (segment_walk_open(w->arena, folder, number, &walk))
			continue;
		while (segment_walk_next(w->arena, &walk, &r, &at, &small, &damaged)) {
			assert_true(!damaged && b->records_n < ARRAY_LEN(b->records));
			b->records[b->records_n] = (struct place){ number, at };
			b->ends[b->records_n++] = at + record_length(&r);
		}
	}
	close(folder);
}

static void see_now(struct world *w, struct seen *s)
{
	struct tx t;

	must(store_read_begin(w->store, w->arena, &t));
	look(&t, s);
	store_read_end(&t);
	assert_int_equal(s->fails, 0);
}

static void see_base(struct world *w, struct base *b)
{
	put_base(w, b);
	world_open(w);
	see_now(w, &b->seen);
	store_close(&w->store);
	find_records(w, b);
}

/* One that was closed, and one as a crash leaves it. */
static void make_bases(struct world *w, struct base bases[2])
{
	must(world_write(w, false, make_directory, NULL));
	segments_roll_at(w->store->segments, SEGMENT_ROLLS);
	for (u32 mark = 0; mark < FIRST_ROUND; mark++)
		make_mail(w, mark);
	for (u64 account = 1; account < USERS; account++)
		change_some(w, account);
	store_close(&w->store);
	keep_files(w, &bases[0], "closed");
	world_open(w);
	for (u32 mark = 0; mark < SECOND_ROUND; mark++) {
		if (mark == SECOND_ROUND - 1)
			see_now(w, &bases[1].before);
		make_mail(w, FIRST_ROUND + mark);
	}
	keep_files(w, &bases[1], "crashed");
	store_close(&w->store);
	for (int i = 0; i < 2; i++)
		see_base(w, &bases[i]);
}

/* --- A trial --- */

struct trial {
	struct world *w;
	const struct base *base;
	const struct image *file;
	struct arena *arena; /* of this one */
	u64 low, high;       /* octets that changed lie in here */
	u64 seed;
	bool opened, told, quiet, last_gone;
	u32 missing, wrong;
};

struct tally {
	u64 trials, refused, told, harmless, last_gone, wrong, silent, unsaved, salvaged;
	bool quiet;
};

static void flip_bits(struct trial *r, u8 *bytes, u64 n)
{
	u64 kind = env_random_below(&r->w->env, 8), at = env_random_below(&r->w->env, n);
	u64 times = kind < 4 ? 1 : kind < 6 ? 1 + env_random_below(&r->w->env, 8) : 1;
	u64 run = kind == 7 ? 1 + env_random_below(&r->w->env, 512) : 1;

	r->low = n;
	r->high = 0;
	for (u64 i = 0; i < times; i++) {
		bytes[at] ^= (u8)(1 << env_random_below(&r->w->env, 8));
		r->low = at < r->low ? at : r->low;
		r->high = at > r->high ? at : r->high;
		at = env_random_below(&r->w->env, n);
	}
	if (kind < 6)
		return;
	for (u64 k = 0; k < run && at + k < n; k++) {
		bytes[at + k] = (u8)env_random_u64(&r->w->env);
		r->high = at + k > r->high ? at + k : r->high;
	}
	r->low = at < r->low ? at : r->low;
}

static const struct line *find(const struct seen *s, u64 key)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->lines[i].key == key)
			return &s->lines[i];
	return NULL;
}

static void say(const struct trial *r, const char *what, str detail)
{
	if (!r->quiet)
		print_message("seed %llu: %s, %s, octets %llu to %llu: %s %.*s\n",
			      (unsigned long long)r->seed, r->base->name, r->file->name,
			      (unsigned long long)r->low, (unsigned long long)r->high, what,
			      STR_ARG(detail));
}

/* How many lines are as they were. Both lists are in the same order but for what is missing, so most are found at once. */
static size_t count_same(struct trial *r, const struct seen *was, const struct seen *now, bool tell)
{
	size_t same = 0;

	for (size_t i = 0, at = 0; i < now->n; i++) {
		const struct line *l = &now->lines[i], *old = NULL;

		while (at < was->n && was->lines[at].key != l->key && at < i + 64)
			at++;
		old = at < was->n && was->lines[at].key == l->key ? &was->lines[at]
								  : find(was, l->key);
		if (old == NULL)
			at = i;
		if (old && old->value == l->value) {
			same++;
			continue;
		}
		if (!tell)
			continue;
		r->wrong++;
		say(r, old ? "another content:" : "never was:", l->what);
	}
	return same;
}

/* Of the WAL that a crash left the last commit may be gone: a bit that flipped in it, and a commit that power cut short, look the same. */
static void compare(struct trial *r, const struct seen *now)
{
	const struct seen *was = &r->base->seen, *before = &r->base->before;

	r->last_gone = strcmp(r->file->name, "postern.db-wal") == 0 && now->n == before->n &&
		       count_same(r, before, now, false) == before->n;
	if (!r->last_gone)
		r->missing = (u32)(was->n - count_same(r, was, now, true));
}

static struct seen *seen_new(struct arena *a)
{
	struct seen *s = arena_new_of(a, struct seen);

	*s = (struct seen){ .arena = a };
	return s;
}

static void open_and_look(struct trial *r)
{
	const struct store_options o = { .folder = r->w->folder, .env = &r->w->env, .readers = 1 };
	struct office_verify_answer v;
	struct seen *now = seen_new(r->arena);
	struct store *s;
	struct tx t;

	if (store_open(r->arena, &o, &s)) {
		r->told = true;
		return;
	}
	r->opened = true;
	if (store_read_begin(s, r->arena, &t)) {
		r->told = true;
	} else {
		look(&t, now);
		r->told = store_verify(&t, &v) || v.problem_count > 0;
		compare(r, now);
		store_read_end(&t);
	}
	atomic_store(&s->broken, true); /* nothing is settled at the end */
	store_close(&s);
}

/* How many records lie where something changed. */
static u32 records_hit(const struct trial *r)
{
	u32 number = (u32)(r->file->name[12] - '0'), n = 0;

	if (memcmp(r->file->name, "mail/", 5) != 0)
		return 0;
	for (size_t i = 0; i < r->base->records_n; i++)
		n += r->base->records[i].segment == number &&
		     r->base->records[i].offset <= r->high && r->base->ends[i] > r->low;
	return n;
}

/* Of messages, by what is in them: a lost note of a mailbox gives it another name, not another content. */
static u32 messages_missing(const struct seen *was, const struct seen *now)
{
	u32 n = 0;

	for (size_t i = 0; i < was->n; i++) {
		bool found = !was->lines[i].content;

		for (size_t k = 0; k < i && !found; k++) /* one in several mailboxes */
			found = was->lines[k].value == was->lines[i].value;
		for (size_t k = 0; k < now->n && !found; k++)
			found = now->lines[k].content && now->lines[k].value == was->lines[i].value;
		n += !found;
	}
	return n;
}

/* What lies in records that are whole comes back, and nothing else. */
static bool salvage_brings_back(struct trial *r)
{
	const struct store_options o = { .folder = r->w->folder, .env = &r->w->env, .readers = 1 };
	struct seen *now = seen_new(r->arena);
	struct salvage_report report;
	const struct fail *f = store_salvage(r->arena, r->w->folder, &report);
	struct store *s;
	struct tx t;
	u32 missing;

	if (!f)
		f = store_open(r->arena, &o, &s);
	if (f) {
		say(r, "salvage:", f->text);
		return false;
	}
	must(store_read_begin(s, r->arena, &t));
	look(&t, now);
	store_read_end(&t);
	store_close(&s);
	missing = messages_missing(&r->base->seen, now);
	if (missing > records_hit(r) || (now->fails && !records_hit(r)))
		say(r, "salvage:",
		    str_format(r->arena, "%u messages missing, %u records hit, %u parts refused",
			       missing, records_hit(r), now->fails));
	return missing <= records_hit(r) && (now->fails == 0 || records_hit(r));
}

static void judge(struct trial *r, struct tally *t)
{
	t->trials++;
	t->refused += !r->opened;
	t->told += r->told;
	t->harmless += !r->told && !r->missing && !r->wrong && !r->last_gone;
	t->last_gone += r->last_gone;
	t->wrong += r->wrong > 0;
	if (r->missing && !r->told) {
		t->silent++;
		say(r, "not told:", str_format(r->arena, "%u missing", r->missing));
	}
}

static void try_one(struct world *w, const struct base *bases, u64 seed, bool only_database,
		    struct tally *t)
{
	struct trial r = { .w = w, .seed = seed, .arena = arena_new(256 << 20), .quiet = t->quiet };
	str changed;

	w->seed = seed * 0x9E3779B97F4A7C15u + 12345;
	r.base = &bases[only_database ? 0 : env_random_below(&w->env, 2)];
	r.file = &r.base->files[only_database ? 0 : env_random_below(&w->env, r.base->n)];
	put_base(w, r.base);
	if (r.file->bytes.n) {
		changed = str_copy(r.arena, r.file->bytes);
		flip_bits(&r, (u8 *)(uintptr_t)changed.p, changed.n);
		put_file(w, r.file->name, changed);
	}
	alarm(SECONDS);
	open_and_look(&r);
	judge(&r, t);
	if (seed % SALVAGE_EVERY == 0 && !only_database) {
		t->salvaged++;
		put_base(w, r.base);
		if (r.file->bytes.n)
			put_file(w, r.file->name, changed);
		t->unsaved += !salvage_brings_back(&r);
	}
	alarm(0);
	arena_free(&r.arena);
}

static u64 number_of(const char *name, u64 otherwise)
{
	const char *text = getenv(name);
	u64 n;

	return text && str_u64(str_cstr(text), &n) ? n : otherwise;
}

/* In memory when there is some: each trial writes all files. */
static void move_to_memory(struct world *w)
{
	char path[PATH_BYTES];

	file_name(w, "mail", path);
	assert_int_equal(mkdir(path, 0700), 0);
}

struct flips {
	struct world w;
	struct base bases[2];
};

static struct flips *begin(void)
{
	struct flips *f = calloc(1, sizeof *f);
	char path[64] = "/dev/shm/store-flip-XXXXXX";

	assert_non_null(f);
	world_new(&f->w);
	make_bases(&f->w, f->bases);
	if (mkdtemp(path)) {
		struct world old = f->w;

		memcpy(f->w.folder, path, sizeof path);
		old.arena = arena_new(4096);
		world_free(&old);
		move_to_memory(&f->w);
	}
	return f;
}

static void end(struct flips *f)
{
	clear_all(&f->w);
	world_free(&f->w);
	free(f);
}

static void test_flips(void **state)
{
	struct tally t = { .trials = 0 };
	u64 n = number_of("POSTERN_FLIPS", FLIPS), seed = number_of("POSTERN_SEED", 1);
	struct flips *f = begin();

	(void)state;
	for (u64 i = 0; i < n; i++)
		try_one(&f->w, f->bases, seed + i, false, &t);
	print_message(
	    "# flips %llu, wrong %llu, silent %llu, unsaved %llu, told %llu, refused %llu,"
	    " harmless %llu, last %llu, salvaged %llu\n",
	    (unsigned long long)t.trials, (unsigned long long)t.wrong, (unsigned long long)t.silent,
	    (unsigned long long)t.unsaved, (unsigned long long)t.told,
	    (unsigned long long)t.refused, (unsigned long long)t.harmless,
	    (unsigned long long)t.last_gone, (unsigned long long)t.salvaged);
	end(f);
	assert_int_equal(t.wrong + t.silent + t.unsaved, 0);
	assert_true(t.told > t.trials / 4);
}

/* With no eye on the sums of pages there must be something wrong. */
static void test_control_without_sums(void **state)
{
	struct tally t = { .quiet = true };
	struct flips *f = begin();

	(void)state;
	sql_page_trust(true);
	for (u64 i = 0; i < FLIPS; i++)
		try_one(&f->w, f->bases, i, true, &t);
	sql_page_trust(false);
	print_message("# control: flips %llu, wrong %llu\n", (unsigned long long)t.trials,
		      (unsigned long long)t.wrong);
	end(f);
	assert_true(t.wrong > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_flips),
					    cmocka_unit_test(test_control_without_sums) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
