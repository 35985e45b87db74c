/*
 * Password checks cost 20 to 30 ms of CPU each, so that they run on a few threads of their own, in order, and no more than
 * HASHING_WAITING wait (THREATS A03): the rest is told to try again. Here is also the short memory that spares a mail program
 * which logs in every minute the whole check: HMACs of passwords that were right, under a key that this process made up.
 */
#ifndef KEYS_LOGIN_HASHING_H
#define KEYS_LOGIN_HASHING_H

#include "base/env.h"
#include "base/fail.h"

enum hashing_limit {
	HASHING_THREADS = 2,
	HASHING_WAITING = 200, /* 200 * 25 ms / 2 threads: 2.5 s of wait at most */
	HASHING_MEMORY = 1024, /* accounts remembered */
	HASHING_MEMORY_MS = 10 * 60 * 1000,
};

struct hashing;

/* One thing to do on a hashing thread. Lives with its owner until run() was called. */
struct hashing_job {
	void (*run)(struct hashing_job *job);
	struct hashing_job *next;
};

struct hashing *hashing_new(struct arena *a, const struct env *e);
void hashing_start(struct hashing *h); /* after the jail */
void hashing_stop(struct hashing *h);  /* what waits is still done; then the threads are gone */
/* BUSY when too many wait. */
const struct fail *hashing_submit(struct hashing *h, struct hashing_job *job);

/* Was this password right for this account (of this generation) lately? Thread-safe, like hashing_remember. */
bool hashing_remembers(struct hashing *h, u64 account, u64 generation, str password);
void hashing_remember(struct hashing *h, u64 account, u64 generation, str password);

#endif
