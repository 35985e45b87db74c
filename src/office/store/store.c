#include "office/store/store_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fd.h"
#include "office/store/schema.h"

enum { LOCK_STEP_MS = 50 };

/* --- Files --- */

static const struct fail *open_folder(struct arena *a, int at, const char *name, int *out)
{
	if (mkdirat(at, name, 0700) == 0) {
		if (fsync(at) != 0)
			return fail_errno(a, errno, "syncing the store's folder");
	} else if (errno != EEXIST) {
		return fail_errno(a, errno, "making the mail folder");
	}
	*out = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return *out < 0 ? fail_errno(a, errno, "opening the mail folder") : NULL;
}

static const struct fail *take_lock(struct arena *a, struct store *s)
{
	const struct timespec step = { .tv_nsec = LOCK_STEP_MS * 1000000L };

	s->lock = openat(s->folder, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->lock < 0)
		return fail_errno(a, errno, "opening the store's lock file");
	for (u32 waited = 0; flock(s->lock, LOCK_EX | LOCK_NB) != 0; waited += LOCK_STEP_MS) {
		if (waited >= s->options.patience_ms)
			return fail_new(a, FAIL_CONFLICT, "the store is in use by another process");
		nanosleep(&step, NULL);
	}
	return NULL;
}

void store_remove_database(int folder, const char *name)
{
	static const char *const ends[] = { "", "-wal", "-shm" };
	char path[64];

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		snprintf(path, sizeof path, "%s%s", name, ends[i]);
		unlinkat(folder, path, 0);
	}
}

static const struct fail *open_database(struct arena *a, struct store *s, const char *name)
{
	str path = str_format(a, "%s/%s", s->options.folder, name);
	const char *text = cstr(a, path);
	int made = openat(s->folder, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	/* SQLite would make it readable for all; its WAL gets the mode of the file. */
	if (made < 0)
		return fail_because(a, fail_errno(a, errno, "opening"), "%s", name);
	fd_close(&made);
	TRY(sql_open(a, text, SQL_WRITER, &s->db));
	TRY(s->options.only_reads ? schema_check(a, s->db) : schema_bring_up(a, s->db));
	for (size_t i = 0; i < s->readers_n; i++)
		TRY(sql_open(a, text, SQL_READER, &s->readers[i]));
	s->readers_free = s->readers_n;
	return NULL;
}

/* Where acknowledged records end; a new store says "segment 1, nothing yet" before the first one is written. */
static const struct fail *open_segments(struct arena *a, struct store *s)
{
	u64 tail, first = (u64)1 << 32;

	TRY(meta_get(a, s->db, "tail", &tail));
	TRY(segments_open(a, s->mail, s->env,
			  (struct place){ (u32)(tail >> 32), tail & UINT32_MAX }, &s->segments));
	return tail ? NULL : meta_set(a, s->db, "tail", first);
}

const struct fail *store_open_files(struct arena *a, const struct store_options *o,
				    const char *database, struct store **out)
{
	struct arena *own = arena_new(STORE_ARENA);
	struct store *s = arena_new_of(own, struct store);
	const struct fail *f = NULL;

	*s = (struct store){ .magic = STORE_MAGIC,
			     .arena = own,
			     .options = *o,
			     .folder = -1,
			     .mail = -1,
			     .lock = -1 };
	s->env = o->env ? o->env : env_system();
	s->ids.node = o->node;
	s->readers_n = o->readers ? o->readers : STORE_READERS;
	CHECK(s->readers_n <= STORE_READERS);
	CHECK(pthread_mutex_init(&s->readers_lock, NULL) == 0);
	CHECK(pthread_mutex_init(&s->ids_lock, NULL) == 0);
	CHECK(pthread_cond_init(&s->reader_free, NULL) == 0);
	s->views = views_new();
	writer_make(s);
	*out = s;
	s->folder = open(o->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->folder < 0)
		f = fail_errno(a, errno, "opening the store's folder");
	if (f == NULL)
		f = take_lock(a, s);
	if (f == NULL)
		f = open_folder(a, s->folder, "mail", &s->mail);
	if (f == NULL && strcmp(database, "postern.db") != 0)
		store_remove_database(s->folder, database);
	if (f == NULL)
		f = open_database(a, s, database);
	if (f)
		store_close(out);
	return f;
}

/* Ids rise over restarts too, also when the clock went back meanwhile, and when what they named is gone. A store of a program
 * that kept no meta.ids: above its bodies at least. */
static const struct fail *last_id(struct arena *a, struct store *s)
{
	u64 body;
	bool found;

	TRY(meta_get(a, s->db, "ids", &s->ids_kept));
	TRY(sql_one_u64(a, SQL_QUERY0(s->db, "SELECT max(id) FROM body"), &body, &found));
	s->ids.last = s->ids_kept > body ? s->ids_kept : body;
	return NULL;
}

/* On a full disk SQLite cannot even make the index of its WAL (it says that of any trouble with it): reading and deleting go on with
 * what the reserve gives. */
static const struct fail *open_with_reserve(struct arena *a, const struct store_options *o,
					    struct store **out)
{
	const struct fail *f = store_open_files(a, o, "postern.db", out);
	struct stat st;
	int fd;

	if (!f || (f->what != FAIL_INTERNAL && f->what != FAIL_STORAGE))
		return f;
	fd = open(cstr(a, str_format(a, "%s/reserve", o->folder)), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return f;
	if (fstat(fd, &st) == 0 && st.st_size > 0 && ftruncate(fd, 0) == 0)
		f = store_open_files(a, o, "postern.db", out);
	fd_close(&fd);
	return f;
}

const struct fail *store_open(struct arena *a, const struct store_options *o, struct store **out)
{
	const struct fail *f;

	TRY(open_with_reserve(a, o, out));
	f = open_segments(a, *out);
	if (!f)
		f = last_id(a, *out);
	if (f) {
		store_close(out);
		return f;
	}
	(*out)->writer.full = !store_reserve_make(*out);
	return NULL;
}

void store_close(struct store **at)
{
	struct store *s = *at;
	struct arena *own;

	if (s == NULL)
		return;
	CHECK_MAGIC(s, STORE_MAGIC);
	CHECK(s->readers_free == s->readers_n || s->readers[s->readers_n - 1] == NULL);
	writer_settle(s);
	writer_free(s);
	views_free(&s->views);
	segments_close(&s->segments);
	for (size_t i = 0; i < ARRAY_LEN(s->readers); i++)
		sql_close(&s->readers[i]);
	sql_close(&s->db);
	fd_close(&s->mail);
	fd_close(&s->lock);
	fd_close(&s->folder);
	pthread_mutex_destroy(&s->readers_lock);
	pthread_mutex_destroy(&s->ids_lock);
	pthread_cond_destroy(&s->reader_free);
	own = s->arena;
	*at = NULL;
	arena_free(&own);
}

const struct env *store_env(const struct store *s)
{
	return s->env;
}

bool store_is_broken(const struct store *s)
{
	return atomic_load(&s->broken);
}

u64 store_id_now(struct store *s)
{
	u64 id;

	CHECK(pthread_mutex_lock(&s->ids_lock) == 0);
	id = id_next(&s->ids, s->env);
	CHECK(pthread_mutex_unlock(&s->ids_lock) == 0);
	return id;
}

/* --- The reserve --- */

bool store_reserve_make(struct store *s)
{
	int fd = openat(s->folder, "reserve", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool made;

	if (fd < 0)
		return false;
	made = env_fault(s->env, ENV_FAULT_WRITE) == 0 &&
	       posix_fallocate(fd, 0, WRITER_RESERVE_BYTES) == 0;
	close(fd);
	return made;
}

void store_reserve_give_up(struct store *s)
{
	int fd = openat(s->folder, "reserve", O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return;
	if (ftruncate(fd, 0) != 0) /* then there is nothing to win */
		unlinkat(s->folder, "reserve", 0);
	close(fd);
}

/* --- Reading transactions --- */

static void give_back(struct store *s, struct sql *db)
{
	CHECK(pthread_mutex_lock(&s->readers_lock) == 0);
	s->readers[s->readers_free++] = db;
	pthread_cond_signal(&s->reader_free);
	CHECK(pthread_mutex_unlock(&s->readers_lock) == 0);
}

const struct fail *store_read_begin(struct store *s, struct arena *a, struct tx *t)
{
	struct sql *db;
	const struct fail *f;

	CHECK_MAGIC(s, STORE_MAGIC);
	CHECK(pthread_mutex_lock(&s->readers_lock) == 0);
	while (s->readers_free == 0)
		pthread_cond_wait(&s->reader_free, &s->readers_lock);
	db = s->readers[--s->readers_free];
	CHECK(pthread_mutex_unlock(&s->readers_lock) == 0);
	f = SQL_RUN0(a, db, "BEGIN");
	if (f) {
		give_back(s, db);
		return f;
	}
	*t = (struct tx){ .store = s, .db = db, .arena = a, .now = env_now(s->env) };
	return NULL;
}

void store_read_end(struct tx *t)
{
	/* A transaction that only read has nothing to lose when its end fails. */
	const struct fail *f = SQL_RUN0(t->arena, t->db, "COMMIT");

	CHECK(f == NULL || !sql_in_transaction(t->db));
	give_back(t->store, t->db);
	t->db = NULL;
}
