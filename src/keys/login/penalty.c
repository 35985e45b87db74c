#include "keys/login/penalty.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"

enum { WAYS = 8, SETS = PENALTY_SLOTS / WAYS };
enum kind { KIND_ADDRESS = 1, KIND_NAME = 2, KIND_KNOWN = 3 };

struct slot {
	u64 key; /* 0: free */
	u64 at;  /* when count was last right, monotonic milliseconds */
	u32 count;
};

struct penalty {
	const struct env *env;
	u8 seed[16];          /* nobody can choose names that meet in one set */
	pthread_mutex_t lock; /* guards slots */
	struct slot slots[SETS][WAYS];
};

struct penalty *penalty_new(struct arena *a, const struct env *e)
{
	struct penalty *p = arena_new_of(a, struct penalty);

	p->env = e;
	e->random(e->context, p->seed, sizeof p->seed);
	pthread_mutex_init(&p->lock, NULL);
	return p;
}

static u64 key_of(const struct penalty *p, enum kind kind, str address, str name)
{
	u8 input[16 + 1 + 16 + 256], digest[32];
	size_t n = 0;
	u64 key;

	if (address.n == 16)
		address.n = 8; /* the /64 */
	if (address.n > 16)
		address.n = 16;
	if (name.n > 256)
		name.n = 256;
	memcpy(input, p->seed, 16);
	n = 16;
	input[n++] = (u8)kind;
	if (address.n)
		memcpy(input + n, address.p, address.n);
	n += address.n;
	if (name.n)
		memcpy(input + n, name.p, name.n);
	n += name.n;
	CHECK(EVP_Digest(input, n, digest, NULL, EVP_sha256(), NULL));
	memcpy(&key, digest, sizeof key);
	return key ? key : 1;
}

/* Brings the count up to date: halved for each period that went by. */
static void decay(struct slot *s, u64 now)
{
	while (s->count && now - s->at >= PENALTY_HALF_MS) {
		s->count /= 2;
		s->at += PENALTY_HALF_MS;
	}
	if (s->count == 0)
		s->at = now;
}

/* The key's slot; make: takes the place of the smallest count in its set when there is none. */
static struct slot *slot_find(struct penalty *p, u64 key, bool make)
{
	struct slot *set = p->slots[key % SETS], *least = &set[0];
	u64 now = env_monotonic(p->env);

	for (size_t i = 0; i < WAYS; i++) {
		decay(&set[i], now);
		if (set[i].key == key)
			return &set[i];
		if (set[i].count < least->count)
			least = &set[i];
	}
	if (!make)
		return NULL;
	*least = (struct slot){ .key = key, .at = now };
	return least;
}

static u32 count_of(struct penalty *p, enum kind kind, str address, str name)
{
	struct slot *s = slot_find(p, key_of(p, kind, address, name), false);

	return s ? s->count : 0;
}

static u32 delay_for(u32 count)
{
	u32 delay = PENALTY_FIRST_MS;

	if (count < PENALTY_FREE)
		return 0;
	for (count -= PENALTY_FREE; count && delay < PENALTY_MOST_MS; count--)
		delay *= 2;
	return delay < PENALTY_MOST_MS ? delay : PENALTY_MOST_MS;
}

u32 penalty_delay(struct penalty *p, str address, str name, bool *refuse)
{
	u32 from_address, on_name;
	bool known;

	pthread_mutex_lock(&p->lock);
	from_address = count_of(p, KIND_ADDRESS, address, STR_NONE);
	on_name = count_of(p, KIND_NAME, STR_NONE, name);
	known = count_of(p, KIND_KNOWN, address, name) > 0;
	pthread_mutex_unlock(&p->lock);
	*refuse = from_address >= PENALTY_REFUSE && !(known && on_name < PENALTY_REFUSE);
	if (known)
		on_name = 0;
	return delay_for(from_address > on_name ? from_address : on_name);
}

static void add(struct penalty *p, enum kind kind, str address, str name, u32 most)
{
	struct slot *s = slot_find(p, key_of(p, kind, address, name), true);

	if (s->count < most)
		s->count++;
}

void penalty_failed(struct penalty *p, str address, str name)
{
	pthread_mutex_lock(&p->lock);
	add(p, KIND_ADDRESS, address, STR_NONE, PENALTY_REFUSE * 2);
	add(p, KIND_NAME, STR_NONE, name, PENALTY_REFUSE * 2);
	pthread_mutex_unlock(&p->lock);
}

void penalty_succeeded(struct penalty *p, str address, str name)
{
	pthread_mutex_lock(&p->lock);
	/* A count that takes long to decay: the pair stays known for hours of silence. */
	slot_find(p, key_of(p, KIND_KNOWN, address, name), true)->count = UINT32_MAX;
	pthread_mutex_unlock(&p->lock);
}
