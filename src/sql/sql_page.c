#include "sql/sql_page.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/log.h"

enum {
	HEADER = 100, /* of the file; SQLite reads parts of it by themselves */
	RESERVED_AT = 20,
	BASE_ROOM = 1024, /* for the struct of the VFS below */
	SUM_AT = SQL_PAGE - 4,
};

/* Calls functions of libsqlite3, of whose types clang's CFI knows nothing. */
#ifdef __clang__
#define TO_SQLITE __attribute__((no_sanitize("cfi-icall")))
#else
#define TO_SQLITE
#endif

struct page_file {
	sqlite3_file base;
	bool sums;                      /* pages have them */
	alignas(8) u8 below[BASE_ROOM]; /* SQLite gives no more than that */
};

static atomic_bool trusting;

void sql_page_trust(bool trust)
{
	atomic_store(&trusting, trust);
}

static sqlite3_file *below(sqlite3_file *f)
{
	return (sqlite3_file *)(void *)((struct page_file *)f)->below;
}

u32 sql_page_sum(u64 number, const u8 page[SQL_PAGE])
{
	u8 text[8];

	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (u8)(number >> 8 * i);
	return crc32c(crc32c(0, str_from(text, sizeof text)), str_from(page, SUM_AT));
}

static u32 sum_in(const u8 *page)
{
	const u8 *p = page + SUM_AT;

	return p[0] | (u32)p[1] << 8 | (u32)p[2] << 16 | (u32)p[3] << 24;
}

static u64 number_at(sqlite3_int64 at)
{
	return (u64)at / SQL_PAGE + 1;
}

static bool is_page(int n, sqlite3_int64 at)
{
	return n == SQL_PAGE && at % SQL_PAGE == 0;
}

/* Whole pages and parts of the header are all that is ever read, unless the header lies about the length of a page. */
static int check(const u8 *bytes, int n, sqlite3_int64 at)
{
	if (atomic_load(&trusting) || at + n <= HEADER)
		return SQLITE_OK;
	if (is_page(n, at) && sum_in(bytes) == sql_page_sum(number_at(at), bytes))
		return SQLITE_OK;
	LOG(ERROR, "sql.page_damaged", LOG_U64("page", number_at(at)));
	return SQLITE_CORRUPT;
}

TO_SQLITE static int page_read(sqlite3_file *f, void *out, int n, sqlite3_int64 at)
{
	int error = below(f)->pMethods->xRead(below(f), out, n, at);

	return error || !((struct page_file *)f)->sums ? error : check(out, n, at);
}

/* SQLite keeps the last bytes for us, in its own copy of the page too: so this may write there. */
TO_SQLITE static int page_write(sqlite3_file *f, const void *bytes, int n, sqlite3_int64 at)
{
	struct page_file *file = (struct page_file *)f;
	u8 *page = (u8 *)(uintptr_t)bytes;

	if (at == 0 && n == SQL_PAGE)
		file->sums = page[RESERVED_AT] == SQL_PAGE_SUM;
	if (file->sums && is_page(n, at)) {
		u32 sum;

		memset(page + SQL_PAGE - SQL_PAGE_SUM, 0, SQL_PAGE_SUM);
		sum = sql_page_sum(number_at(at), page);
		for (int i = 0; i < 4; i++)
			page[SUM_AT + i] = (u8)(sum >> 8 * i);
	}
	return below(f)->pMethods->xWrite(below(f), bytes, n, at);
}

/* A page where it lies in the page cache. What is mapped is looked at each time as well: it may have come from the disk again. */
static int page_fetch(sqlite3_file *f, sqlite3_int64 at, int n, void **out)
{
	int error = below(f)->pMethods->xFetch(below(f), at, n, out);

	if (error || *out == NULL || !((struct page_file *)f)->sums)
		return error;
	error = check(*out, n, at);
	if (error) {
		below(f)->pMethods->xUnfetch(below(f), at, *out);
		*out = NULL;
	}
	return error;
}

/* --- What goes down as it is --- */

TO_SQLITE static int page_close(sqlite3_file *f)
{
	return below(f)->pMethods->xClose(below(f));
}

TO_SQLITE static int page_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	return below(f)->pMethods->xTruncate(below(f), size);
}

TO_SQLITE static int page_sync(sqlite3_file *f, int flags)
{
	return below(f)->pMethods->xSync(below(f), flags);
}

TO_SQLITE static int page_size(sqlite3_file *f, sqlite3_int64 *size)
{
	return below(f)->pMethods->xFileSize(below(f), size);
}

TO_SQLITE static int page_lock(sqlite3_file *f, int level)
{
	return below(f)->pMethods->xLock(below(f), level);
}

TO_SQLITE static int page_unlock(sqlite3_file *f, int level)
{
	return below(f)->pMethods->xUnlock(below(f), level);
}

TO_SQLITE static int page_is_locked(sqlite3_file *f, int *out)
{
	return below(f)->pMethods->xCheckReservedLock(below(f), out);
}

TO_SQLITE static int page_control(sqlite3_file *f, int op, void *arg)
{
	return below(f)->pMethods->xFileControl(below(f), op, arg);
}

TO_SQLITE static int page_sector(sqlite3_file *f)
{
	return below(f)->pMethods->xSectorSize(below(f));
}

TO_SQLITE static int page_traits(sqlite3_file *f)
{
	return below(f)->pMethods->xDeviceCharacteristics(below(f));
}

TO_SQLITE static int page_shm_map(sqlite3_file *f, int page, int size, int extend,
				  void volatile **out)
{
	return below(f)->pMethods->xShmMap(below(f), page, size, extend, out);
}

TO_SQLITE static int page_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
	return below(f)->pMethods->xShmLock(below(f), offset, n, flags);
}

TO_SQLITE static void page_shm_barrier(sqlite3_file *f)
{
	below(f)->pMethods->xShmBarrier(below(f));
}

TO_SQLITE static int page_shm_unmap(sqlite3_file *f, int remove)
{
	return below(f)->pMethods->xShmUnmap(below(f), remove);
}

static int page_unfetch(sqlite3_file *f, sqlite3_int64 at, void *page)
{
	return below(f)->pMethods->xUnfetch(below(f), at, page);
}

static const sqlite3_io_methods methods = { .iVersion = 3,
					    .xClose = page_close,
					    .xRead = page_read,
					    .xWrite = page_write,
					    .xTruncate = page_truncate,
					    .xSync = page_sync,
					    .xFileSize = page_size,
					    .xLock = page_lock,
					    .xUnlock = page_unlock,
					    .xCheckReservedLock = page_is_locked,
					    .xFileControl = page_control,
					    .xSectorSize = page_sector,
					    .xDeviceCharacteristics = page_traits,
					    .xShmMap = page_shm_map,
					    .xShmLock = page_shm_lock,
					    .xShmBarrier = page_shm_barrier,
					    .xShmUnmap = page_shm_unmap,
					    .xFetch = page_fetch,
					    .xUnfetch = page_unfetch };

/* Byte 20 says so, unless that is what flipped: then the sum of the first page is good when it is put right. */
TO_SQLITE static bool has_sums(sqlite3_file *f)
{
	u8 page[SQL_PAGE];

	if (f->pMethods->xRead(f, page, sizeof page, 0) != SQLITE_OK)
		return false;
	if (page[RESERVED_AT] == SQL_PAGE_SUM)
		return true;
	page[RESERVED_AT] = SQL_PAGE_SUM;
	return sum_in(page) == sql_page_sum(1, page);
}

TO_SQLITE static int page_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags,
			       int *given)
{
	sqlite3_vfs *base = sqlite3_vfs_find(NULL);
	struct page_file *file = (struct page_file *)f;
	int error;

	(void)vfs;
	if (!(flags & SQLITE_OPEN_MAIN_DB))
		return base->xOpen(base, name, f, flags, given);
	*file = (struct page_file){ .base = { .pMethods = NULL } };
	error = base->xOpen(base, name, below(f), flags, given);
	if (error != SQLITE_OK) {
		if (below(f)->pMethods)
			page_close(f);
		return error;
	}
	CHECK(below(f)->pMethods->iVersion >= methods.iVersion);
	file->sums = has_sums(below(f));
	f->pMethods = &methods;
	return SQLITE_OK;
}

static void make(void)
{
	static sqlite3_vfs vfs;
	const sqlite3_vfs *base;

	CHECK(sqlite3_initialize() == SQLITE_OK);
	base = sqlite3_vfs_find(NULL);
	CHECK(base && base->szOsFile <= BASE_ROOM);
	vfs = *base;
	vfs.szOsFile = sizeof(struct page_file);
	vfs.zName = "postern";
	vfs.xOpen = page_open;
	CHECK(sqlite3_vfs_register(&vfs, 0) == SQLITE_OK);
}

const char *sql_page_vfs(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make);
	return "postern";
}
