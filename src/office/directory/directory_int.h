/* The directory's own parts. Only directory.c and expand.c include this. */
#ifndef OFFICE_DIRECTORY_DIRECTORY_INT_H
#define OFFICE_DIRECTORY_DIRECTORY_INT_H

#include <pthread.h>

#include "office/directory/directory.h"

enum { DIRECTORY_MAGIC = 0x44495245, DIRECTORY_ARENA = 1 << 30 };

enum name_kind { NAME_DOMAIN, NAME_ACCOUNT, NAME_ALIAS };

/* One entry of the table, of any kind; the key is the whole name in lower case. */
struct name {
	struct table_node by_name, by_id; /* by_id: accounts */
	enum name_kind kind;
	str key;
	struct directory_account account;
	u64 first_account;  /* domains: of the lowest number, 0: none */
	const str *targets; /* aliases */
	size_t targets_n;
	bool suspended; /* an alias of which not all could be read */
};

struct name_key {
	size_t n;
	u8 bytes[DIRECTORY_ADDRESS];
};

struct directory {
	u32 magic;
	pthread_rwlock_t lock; /* everything below */
	struct arena *arena;
	struct table names, by_id;
	size_t accounts;
	str first_domain;   /* to which <Postmaster> without a domain belongs */
	const str *reports; /* addresses for reports, as configured */
	size_t reports_n;
	size_t suspended_n; /* aliases of which not all could be read */
	bool has_separator;
	u8 separator;
};

void lock_read(struct directory *d);
void unlock(struct directory *d);
/* The name a followed by b. */
struct name *name_find(const struct directory *d, enum name_kind kind, str a, str b);
bool without_tag(const struct directory *d, str local, str *user);
/* Does a suspended alias stand on the way to those who get mail for it (expand.c)? The lock is held. */
bool is_behind_suspended(struct directory *d, struct arena *a, str address);
/* Whom the address leads to, in one step; *out NULL when REMOTE or UNKNOWN. */
enum recipient_result name_resolve(const struct directory *d, str address, struct name **out);

#endif
