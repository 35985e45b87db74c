/*
 * The simulator's world: clock, chance and disk of many lives of one office. It lies in memory that parent and lives share; a life is a
 * process, so that a kill is a kill: nothing is closed, undone or written behind it.
 *
 * Every question to the clock, to chance and to the disk is a call; the life that reaches call `die_at` ends there, in the
 * midst of a write when it is one of the database. SQLite's disk is its own VFS for Unix with ours in front.
 */
#ifndef OFFICE_QUEUE_SIM_DISK_TEST_H
#define OFFICE_QUEUE_SIM_DISK_TEST_H

#include <fcntl.h>
#include <sqlite3.h>
#include <stdarg.h>

#include "office/queue/queue_test_support.h"

/* How a life ends. */
enum sim_end { SIM_DONE = 0, SIM_FAILED = 66, SIM_KILLED, SIM_RESTART };

/* Where the disk may fail: those of enum env_fault, and SQLite's. */
enum sim_place {
	PLACE_DB_WRITE = ENV_FAULT_FOLDER_SYNC + 1,
	PLACE_DB_SYNC,
	PLACE_DB_TRUNCATE,
	PLACE_RESERVE,
	PLACES
};

/* A rule that is broken on purpose, so that the simulator can be seen to notice. */
enum sim_break {
	BREAK_NOTHING,
	BREAK_PROMISE,  /* "250" before the commit */
	BREAK_SCHEDULE, /* a message is accepted and never scheduled */
	BREAK_ONCE,     /* a delivery and its removal are two transactions */
	BREAK_UID,      /* a start gives UIDs again */
	BREAK_WAIT,     /* no back-off */
	BREAK_DISK,     /* the disk says "written" and forgets */
	BREAKS
};

struct sim_world {
	u64 chance;                   /* the driver's */
	u64 random;                   /* what the program is given */
	u64 clock, latest, monotonic; /* latest: the clock at its highest */
	u64 calls, die_at;            /* UINT64_MAX: lives on */
	int fault_at, fault_error;
	u32 fault_in, fault_for; /* the how manieth such call, and how many from it on */
	u32 faults, kills;
	enum sim_break broken;
	char failure[400];
};

static struct sim_world
    *sim_world; /* of this process; SQLite's functions have no better way to it */

static inline u64 sim_below(struct sim_world *w, u64 n)
{
	w->chance = w->chance * 6364136223846793005u + 1442695040888963407u;
	return (w->chance >> 33) % n;
}

/* A promise was broken: the life ends, the parent tells. */
__attribute__((format(printf, 1, 2), noreturn)) static inline void sim_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(sim_world->failure, sizeof sim_world->failure, format, args);
	va_end(args);
	_exit(SIM_FAILED);
}

#define SIM_CHECK(good, ...)                   \
	do {                                   \
		if (!(good))                   \
			sim_fail(__VA_ARGS__); \
	} while (0)

/* --- Calls --- */

static inline bool sim_call_is_last(void)
{
	return ++sim_world->calls >= sim_world->die_at;
}

static inline void sim_call(void)
{
	if (sim_call_is_last())
		_exit(SIM_KILLED);
}

/* 0, or the errno that this call is to fail with. */
static inline int sim_fault(int place)
{
	struct sim_world *w = sim_world;

	if (place != w->fault_at || w->fault_in == 0)
		return 0;
	if (w->fault_in > 1) {
		w->fault_in--;
		return 0;
	}
	if (--w->fault_for == 0)
		w->fault_in = 0;
	w->faults++;
	return w->fault_error;
}

static u64 sim_now(void *context)
{
	(void)context;
	sim_call();
	sim_world->monotonic++;
	if (sim_world->latest < sim_world->clock)
		sim_world->latest = sim_world->clock;
	return sim_world->clock++;
}

static u64 sim_monotonic(void *context)
{
	(void)context;
	sim_call();
	return sim_world->monotonic++;
}

static void sim_random(void *context, void *out, size_t n)
{
	u8 *p = out;

	(void)context;
	sim_call();
	for (size_t i = 0; i < n; i++) {
		sim_world->random = sim_world->random * 6364136223846793005u + 1442695040888963407u;
		p[i] = (u8)(sim_world->random >> 56);
	}
}

static int sim_env_fault(void *context, enum env_fault where)
{
	(void)context;
	sim_call();
	return sim_fault((int)where);
}

static const struct env sim_env = { .now = sim_now,
				    .monotonic = sim_monotonic,
				    .random = sim_random,
				    .fault = sim_env_fault };

/* The reserve: its 16 MiB would be most of a history's time. The program's own is called in place of libc's. */
int posix_fallocate(int fd, off_t at, off_t n)
{
	(void)fd;
	(void)at;
	(void)n;
	sim_call();
	return sim_fault(PLACE_RESERVE);
}

/* --- SQLite's disk --- */

struct sim_file {
	sqlite3_file base;
	sqlite3_file *real; /* behind this struct */
};

static inline sqlite3_file *sim_real(sqlite3_file *f)
{
	return ((struct sim_file *)(void *)f)->real;
}

static int sim_sqlite_error(int error, int otherwise)
{
	return error == ENOSPC ? SQLITE_FULL : otherwise;
}

static int sim_write(sqlite3_file *f, const void *bytes, int n, sqlite3_int64 at)
{
	sqlite3_file *real = sim_real(f);
	int error;

	if (sim_call_is_last()) {
		real->pMethods->xWrite(real, bytes, n / 2, at);
		_exit(SIM_KILLED);
	}
	error = sim_fault(PLACE_DB_WRITE);
	if (error)
		return sim_sqlite_error(error, SQLITE_IOERR_WRITE);
	if (sim_world->broken == BREAK_DISK && n > 1000 && sim_below(sim_world, 100) == 0)
		return SQLITE_OK;
	return real->pMethods->xWrite(real, bytes, n, at);
}

static int sim_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	int error;

	sim_call();
	error = sim_fault(PLACE_DB_TRUNCATE);
	return error ? SQLITE_IOERR_TRUNCATE : sim_real(f)->pMethods->xTruncate(sim_real(f), size);
}

static int sim_sync(sqlite3_file *f, int flags)
{
	int error;

	sim_call();
	error = sim_fault(PLACE_DB_SYNC);
	return error ? SQLITE_IOERR_FSYNC : sim_real(f)->pMethods->xSync(sim_real(f), flags);
}

static int sim_close(sqlite3_file *f)
{
	return sim_real(f)->pMethods->xClose(sim_real(f));
}

static int sim_read(sqlite3_file *f, void *out, int n, sqlite3_int64 at)
{
	return sim_real(f)->pMethods->xRead(sim_real(f), out, n, at);
}

static int sim_size(sqlite3_file *f, sqlite3_int64 *size)
{
	return sim_real(f)->pMethods->xFileSize(sim_real(f), size);
}

static int sim_lock(sqlite3_file *f, int level)
{
	return sim_real(f)->pMethods->xLock(sim_real(f), level);
}

static int sim_unlock(sqlite3_file *f, int level)
{
	return sim_real(f)->pMethods->xUnlock(sim_real(f), level);
}

static int sim_is_locked(sqlite3_file *f, int *out)
{
	return sim_real(f)->pMethods->xCheckReservedLock(sim_real(f), out);
}

static int sim_control(sqlite3_file *f, int op, void *arg)
{
	return sim_real(f)->pMethods->xFileControl(sim_real(f), op, arg);
}

static int sim_sector(sqlite3_file *f)
{
	return sim_real(f)->pMethods->xSectorSize(sim_real(f));
}

static int sim_traits(sqlite3_file *f)
{
	return sim_real(f)->pMethods->xDeviceCharacteristics(sim_real(f));
}

static int sim_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
	return sim_real(f)->pMethods->xShmMap(sim_real(f), page, size, extend, out);
}

static int sim_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
	return sim_real(f)->pMethods->xShmLock(sim_real(f), offset, n, flags);
}

static void sim_shm_barrier(sqlite3_file *f)
{
	sim_real(f)->pMethods->xShmBarrier(sim_real(f));
}

static int sim_shm_unmap(sqlite3_file *f, int remove)
{
	return sim_real(f)->pMethods->xShmUnmap(sim_real(f), remove);
}

static int sim_fetch(sqlite3_file *f, sqlite3_int64 at, int n, void **out)
{
	return sim_real(f)->pMethods->xFetch(sim_real(f), at, n, out);
}

static int sim_unfetch(sqlite3_file *f, sqlite3_int64 at, void *p)
{
	return sim_real(f)->pMethods->xUnfetch(sim_real(f), at, p);
}

static const sqlite3_io_methods sim_methods = { .iVersion = 3,
						.xClose = sim_close,
						.xRead = sim_read,
						.xWrite = sim_write,
						.xTruncate = sim_truncate,
						.xSync = sim_sync,
						.xFileSize = sim_size,
						.xLock = sim_lock,
						.xUnlock = sim_unlock,
						.xCheckReservedLock = sim_is_locked,
						.xFileControl = sim_control,
						.xSectorSize = sim_sector,
						.xDeviceCharacteristics = sim_traits,
						.xShmMap = sim_shm_map,
						.xShmLock = sim_shm_lock,
						.xShmBarrier = sim_shm_barrier,
						.xShmUnmap = sim_shm_unmap,
						.xFetch = sim_fetch,
						.xUnfetch = sim_unfetch };

static int sim_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *given)
{
	struct sim_file *file = (struct sim_file *)(void *)f;
	int error;

	(void)vfs;
	file->real = (sqlite3_file *)(void *)(file + 1);
	error = sqlite3_vfs_find("unix")->xOpen(sqlite3_vfs_find("unix"), name, file->real, flags,
						given);
	f->pMethods = error ? NULL : &sim_methods;
	return error;
}

/* Once per process, before a store is opened in it. */
static inline void sim_disk_begin(void)
{
	static sqlite3_vfs vfs;

	assert_int_equal(sqlite3_initialize(), SQLITE_OK);
	vfs = *sqlite3_vfs_find("unix");
	vfs.zName = "sim";
	vfs.szOsFile += (int)sizeof(struct sim_file);
	vfs.xOpen = sim_open;
	assert_int_equal(sqlite3_vfs_register(&vfs, 1), SQLITE_OK);
}

#endif
