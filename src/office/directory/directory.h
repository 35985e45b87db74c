/*
 * directory: who lives here. Domains, accounts, aliases, all in memory, so that recipient_check costs microseconds; the rows
 * in the database are the truth (store_directory.h), loaded at start and changed here after each commit.
 *
 * Any thread may ask; a rwlock is inside. What is answered is copied into the caller's arena.
 *
 * Addresses come in canonical form (text/address.h: local part quoted only when it must be, domain in lower-case A-labels);
 * the office does not parse them anew, it splits at the last '@'. Local parts are compared without regard to ASCII case: RFC 5321 2.4
 * leaves that to us, and two people who differ in case alone are a trap. An address is what stands in the table, or nothing: '%', '!' and '|' have no
 * meaning (THREATS S17, H03).
 *
 * Order of look-up for local@domain: account, alias; without the tag (user+tag), account, alias; postmaster (RFC 5321 4.5.1);
 * catch-all "@domain"; the addresses for reports (reports.addresses), which lead to the postmaster's account: for what is no report.
 */
#ifndef OFFICE_DIRECTORY_DIRECTORY_H
#define OFFICE_DIRECTORY_DIRECTORY_H

#include "base/fail.h"
#include "bus/office.h"
#include "office/directory/canonical.h"
#include "office/table.h"

enum directory_limit {
	DIRECTORY_ADDRESS = 320,      /* bytes: 64 + 1 + 255 */
	DIRECTORY_DEPTH = 10,         /* alias of an alias of ...; THREATS Q13 */
	DIRECTORY_TARGETS = 10000,    /* of one alias */
	DIRECTORY_EXPANSION = 100000, /* recipients that one message may become */
};

struct directory;

struct directory_account {
	u64 id, generation, quota; /* quota 0: none */
	str address;               /* its own */
	bool suspended;
};

/* One who gets the message: an account, an address elsewhere (account 0), or nobody: then delivery fails and says so. */
struct directory_target {
	str address; /* canonical; with the tag that was written */
	u64 account;
	bool nobody;      /* of a domain of ours, but gone since; or an alias too deep */
	str domain;       /* lower case */
	size_t recipient; /* index of the envelope's recipient it came from */
};

struct directory *directory_new(const struct env *e, str subaddress);
void directory_free(struct directory **d);

/* mail.subaddress: one character, or empty. */
void directory_set_subaddress(struct directory *d, str character);
/* reports.addresses: whole addresses, or local parts of every domain here. Replaces those of before. */
void directory_set_reports(struct directory *d, const str *addresses, size_t n);
/* Is there nobody at this address but for reports? What is one need not be kept. */
bool directory_is_for_reports(struct directory *d, str address);

/* Changes, after the commit (or while loading). Adding what is there replaces it. */
void directory_add_domain(struct directory *d, str name);
void directory_add_account(struct directory *d, const struct directory_account *account);
void directory_add_alias(struct directory *d, str address, const str *targets, size_t n);
/* A target could not be read: its mail waits, here and behind other aliases, until the alias is added anew. */
void directory_suspend_alias(struct directory *d, str address);
void directory_remove_domain(struct directory *d,
			     str name); /* its accounts and aliases are gone already */
void directory_remove_account(struct directory *d, str address);
void directory_remove_alias(struct directory *d, str address);

bool directory_has_domain(struct directory *d, str name);
bool directory_has_account(struct directory *d, str address);
bool directory_has_alias(struct directory *d, str address);
bool directory_account_by_id(struct directory *d, struct arena *a, u64 id,
			     struct directory_account *out);
bool directory_account_by_address(struct directory *d, struct arena *a, str address,
				  struct directory_account *out);
size_t directory_accounts(struct directory *d);

/* What recipient_check answers, but for quota: RECIPIENT_LOCAL, _REMOTE, _UNKNOWN, _SUSPENDED. canonical: as it is to be written.
 * account: when the address leads to exactly that one, else 0. */
enum recipient_result directory_resolve(struct directory *d, struct arena *a, str address,
					str *canonical, u64 *account);

/* All who get a message for these recipients, each once, in order of first mention. LIMIT when it becomes too many, UNAVAILABLE
 * when a suspended alias is among what was opened. */
const struct fail *directory_expand(struct directory *d, struct arena *a,
				    const struct recipient *recipients, size_t n,
				    const struct directory_target **out, size_t *out_n);

/* Does an alias that is to be added lead to anybody at all (INVALID)? One that does not would make mail vanish in a circle. */
const struct fail *directory_check_alias(struct directory *d, struct arena *a, str address,
					 const str *targets, size_t n);

/* May this account send as this address: its own, with or without a tag, or an alias that leads to it alone or among others. */
bool directory_may_send(struct directory *d, u64 account, str address);

#endif
