#include "keys/login/hashing.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"

enum { MAC = 32 };

struct memory {
	u64 account, generation, until;
	u8 mac[MAC];
};

struct hashing {
	const struct env *env;
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t filled;
	bool stopping;
	struct hashing_job *first, **last;
	unsigned waiting;
	pthread_t threads[HASHING_THREADS]; /* set once, before they run */
	u8 key[MAC];
	struct memory memory[HASHING_MEMORY]; /* by account modulo its size */
};

struct hashing *hashing_new(struct arena *a, const struct env *e)
{
	struct hashing *h = arena_new_of(a, struct hashing);

	h->env = e;
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->filled, NULL);
	h->last = &h->first;
	e->random(e->context, h->key, sizeof h->key);
	return h;
}

/* NULL: nothing is left, and it is time to go. */
static struct hashing_job *next_job(struct hashing *h)
{
	struct hashing_job *job;

	pthread_mutex_lock(&h->lock);
	while (h->first == NULL && !h->stopping)
		pthread_cond_wait(&h->filled, &h->lock);
	job = h->first;
	if (job) {
		h->first = job->next;
		if (h->first == NULL)
			h->last = &h->first;
		h->waiting--;
	}
	pthread_mutex_unlock(&h->lock);
	return job;
}

static void *work(void *context)
{
	struct hashing_job *job;

	while ((job = next_job(context)) != NULL)
		job->run(job);
	return NULL;
}

void hashing_start(struct hashing *h)
{
	for (int i = 0; i < HASHING_THREADS; i++)
		CHECK(pthread_create(&h->threads[i], NULL, work, h) == 0);
}

void hashing_stop(struct hashing *h)
{
	pthread_mutex_lock(&h->lock);
	h->stopping = true;
	pthread_cond_broadcast(&h->filled);
	pthread_mutex_unlock(&h->lock);
	for (int i = 0; i < HASHING_THREADS; i++)
		pthread_join(h->threads[i], NULL);
}

const struct fail *hashing_submit(struct hashing *h, struct hashing_job *job)
{
	static const struct fail busy = {
		.what = FAIL_BUSY,
		.kind = FAIL_TEMP,
		.code = { (const u8 *)"4.7.0", 5 },
		.text = { (const u8 *)"too many logins at once, try again", 34 },
	};
	bool full;

	pthread_mutex_lock(&h->lock);
	full = h->waiting >= HASHING_WAITING;
	if (!full) {
		job->next = NULL;
		*h->last = job;
		h->last = &job->next;
		h->waiting++;
		pthread_cond_signal(&h->filled);
	}
	pthread_mutex_unlock(&h->lock);
	return full ? &busy : NULL;
}

static void mac_of(struct hashing *h, str password, u8 out[MAC])
{
	unsigned n = MAC;

	CHECK(HMAC(EVP_sha256(), h->key, MAC, password.p, password.n, out, &n) && n == MAC);
}

bool hashing_remembers(struct hashing *h, u64 account, u64 generation, str password)
{
	struct memory *m = &h->memory[account % HASHING_MEMORY];
	u8 mac[MAC];
	bool same;

	mac_of(h, password, mac);
	pthread_mutex_lock(&h->lock);
	same = m->account == account && m->generation == generation &&
	       m->until > env_monotonic(h->env) && CRYPTO_memcmp(m->mac, mac, MAC) == 0;
	pthread_mutex_unlock(&h->lock);
	return same;
}

void hashing_remember(struct hashing *h, u64 account, u64 generation, str password)
{
	struct memory *m = &h->memory[account % HASHING_MEMORY];
	u8 mac[MAC];

	mac_of(h, password, mac);
	pthread_mutex_lock(&h->lock);
	*m = (struct memory){ .account = account,
			      .generation = generation,
			      .until = env_monotonic(h->env) + HASHING_MEMORY_MS };
	memcpy(m->mac, mac, MAC);
	pthread_mutex_unlock(&h->lock);
}
