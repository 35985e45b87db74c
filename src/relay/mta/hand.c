#include "relay/mta/hand.h"

#include <pthread.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/log.h"
#include "relay/mta/limit.h"

/* A result that was not told; lives in its own arena. */
struct untold {
	struct untold *next;
	struct arena *arena;
	u64 job;
	u32 attempts; /* of the job when it was given out: one more means that the office has heard of it after all */
	str bytes; /* struct office_attempt_done_request, encoded */
};

struct hands {
	pthread_mutex_t lock; /* protects all of it */
	struct hand *under_way;
	struct untold *first, **last; /* oldest first */
	size_t n, bytes;
};

struct hands *hands_new(struct arena *a)
{
	struct hands *h = arena_new_of(a, struct hands);

	CHECK(pthread_mutex_init(&h->lock, NULL) == 0);
	h->last = &h->first;
	return h;
}

bool hand_take(struct hands *h, struct hand *mine, u64 job)
{
	struct hand *other;

	pthread_mutex_lock(&h->lock);
	for (other = h->under_way; other && other->job != job; other = other->next)
		;
	if (other) {
		other->again = true;
	} else {
		*mine = (struct hand){ .next = h->under_way, .job = job };
		h->under_way = mine;
	}
	pthread_mutex_unlock(&h->lock);
	return other == NULL;
}

/* The lock is held by all that follow. */

static void under_way_remove(struct hands *h, const struct hand *mine)
{
	struct hand **at = &h->under_way;

	while (*at != mine)
		at = &(*at)->next;
	*at = mine->next;
}

static struct untold *untold_remove(struct hands *h, struct untold **at)
{
	struct untold *u = *at;

	*at = u->next;
	if (h->last == &u->next)
		h->last = at;
	h->n--;
	h->bytes -= u->bytes.n;
	return u;
}

static void untold_free(struct untold *u)
{
	struct arena *a = u->arena;

	arena_free(&a);
}

static void make_room(struct hands *h)
{
	while (h->n > MTA_UNTOLD || (h->bytes > MTA_UNTOLD_BYTES && h->n > 1)) {
		LOG(ERROR, "relay.result_lost", LOG_U64("job", h->first->job));
		untold_free(untold_remove(h, &h->first));
	}
}

static void untold_add(struct hands *h, u64 job, u32 attempts,
		       const struct office_attempt_done_request *done)
{
	struct arena *a = arena_new(BUS_BODY_MAX);
	struct untold *u = arena_new_of(a, struct untold);
	struct encoder e = { .bytes = buf_new(a, BUS_BODY_MAX) };

	encode_office_attempt_done_request(&e, done);
	*u = (struct untold){
		.arena = a, .job = job, .attempts = attempts, .bytes = buf_str(e.bytes)
	};
	*h->last = u;
	h->last = &u->next;
	h->n++;
	h->bytes += u->bytes.n;
	make_room(h);
}

/* The lock is free again. */

static struct untold *untold_take(struct hands *h, u64 job)
{
	struct untold **at, *u = NULL;

	pthread_mutex_lock(&h->lock);
	for (at = &h->first; *at && (*at)->job != job; at = &(*at)->next)
		;
	if (*at)
		u = untold_remove(h, at);
	pthread_mutex_unlock(&h->lock);
	return u;
}

bool hand_untold(struct hands *h, struct arena *a, const struct job *job,
		 struct office_attempt_done_request *done)
{
	struct untold *u = untold_take(h, job->id);
	struct decoder d = { .arena = a };
	bool good;

	if (u == NULL)
		return false;
	d.rest = str_copy(a, u->bytes);
	good = u->attempts == job->attempts;
	untold_free(u);
	if (good)
		decode_office_attempt_done_request(&d, done);
	return good && decoder_done(&d);
}

bool hand_give(struct hands *h, struct hand *mine)
{
	bool again;

	pthread_mutex_lock(&h->lock);
	under_way_remove(h, mine);
	again = mine->again;
	pthread_mutex_unlock(&h->lock);
	return again;
}

/* What delivered nothing is better tried again at once than told: it may have failed for the same reason as the telling. */
static bool is_worth_keeping(const struct office_attempt_done_request *done)
{
	bool delivered = false;

	for (size_t i = 0; i < done->results_n; i++)
		delivered = delivered || done->results[i].outcome == ATTEMPT_DELIVERED;
	return delivered;
}

bool hand_keep(struct hands *h, struct hand *mine, u32 attempts,
	       const struct office_attempt_done_request *done)
{
	bool again;

	pthread_mutex_lock(&h->lock);
	again = mine->again;
	mine->again = false;
	if (!again) {
		under_way_remove(h, mine);
		if (is_worth_keeping(done))
			untold_add(h, mine->job, attempts, done);
	}
	pthread_mutex_unlock(&h->lock);
	return again;
}
