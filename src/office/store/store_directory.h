/* The rows of domains, accounts and aliases. Who may be what is office/directory's affair; this reads and writes. */
#ifndef OFFICE_STORE_STORE_DIRECTORY_H
#define OFFICE_STORE_STORE_DIRECTORY_H

#include "office/store/store.h"

/* Generation of an account that salvage found: login alone knows which it is, and gives tickets of no other. */
#define ACCOUNT_GENERATION_ANY ((u64)INT64_MAX)

struct store_account {
	u64 id, generation, quota;
	str address, domain;
	bool suspended;
};

/*
 * Rows of one kind, each in a call; strings live as long as t->arena; NULL: not wanted. A row that makes no sense is told
 * to `bad` instead, and the rest is read on: one spoiled row must not take the office from everybody else. What is told
 * of keeps the directory's own rules: canonical names, no account twice. An account or an alias whose name can be read and the
 * rest not is told as suspended (and to `bad`), so that its mail waits at the senders until somebody has looked.
 */
struct store_directory_reader {
	void *context;
	void (*domain)(void *context, str name);
	void (*account)(void *context, const struct store_account *account);
	void (*alias)(void *context, str address, const str *targets, size_t n, bool suspended);
	void (*bad)(void *context, const char *kind, str name, const char *why);
};
const struct fail *store_directory_read(struct tx *t, const struct store_directory_reader *r);

/* EXISTS when it is there. */
const struct fail *store_domain_add(struct tx *t, str name);
/* NOT_FOUND; CONFLICT while it has accounts or aliases. */
const struct fail *store_domain_remove(struct tx *t, str name);
const struct fail *store_domain_list(struct tx *t, struct office_domain_list_answer *r);

/* Makes the row and the six mailboxes. EXISTS when an account or an alias has the address; NOT_FOUND without its domain. */
const struct fail *store_account_add(struct tx *t, const struct store_account *account);
const struct fail *store_account_get(struct tx *t, str address, struct store_account *out);
/* Its mail goes with it, a piece at a time: as long as *next is not 0, it is still there. */
const struct fail *store_account_remove(struct tx *t, u64 id, u32 *next);
const struct fail *store_account_change(struct tx *t, const struct store_account *account);
/* domain empty: all. */
const struct fail *store_account_list(struct tx *t, str domain,
				      struct office_account_list_answer *r);

/* Fails as store_account_add does. */
const struct fail *store_alias_add(struct tx *t, str address, const str *targets, size_t n);
const struct fail *store_alias_remove(struct tx *t, str address);
const struct fail *store_alias_list(struct tx *t, str domain, struct office_alias_list_answer *r);

#endif
