/*
 * A checksum in every page of a database file, which SQLite itself has not: a bit that flipped on the disk is an error (SQLITE_CORRUPT)
 * where that page is read, and never an answer. The last SQL_PAGE_SUM bytes of a page are kept free for it: four zeros, then CRC-32C of
 * the page's number (u64, from 1) and all of the page before it, little-endian.
 *
 * It is a VFS over the default one. Pages get their sum as they are written to the database file, so those in the WAL, which has
 * checksums of its own, carry an old one. A file made without room for sums (byte 20 of it says so) is read and written as it is.
 */
#ifndef SQL_SQL_PAGE_H
#define SQL_SQL_PAGE_H

#include "base/str.h"

enum { SQL_PAGE = 4096, SQL_PAGE_SUM = 8 };

/* The name for sqlite3_open_v2. Any thread. */
const char *sql_page_vfs(void);

/* For tests of what happens without: sums are no longer looked at in this process. */
void sql_page_trust(bool trust);

/* What stands in the last four bytes of this page. */
u32 sql_page_sum(u64 number, const u8 page[SQL_PAGE]);

#endif
