#include "config/config_history.h"

#include "base/arena.h"

const struct fail *config_history_take(struct arena *a, struct config_history *h, str encoded,
				       const struct config **out)
{
	struct config_known *new;
	struct config *config;

	for (const struct config_known *k = h->last; k; k = k->next)
		if (str_eq(k->encoded, encoded)) {
			*out = k->config;
			return NULL;
		}
	encoded = str_copy(a, encoded);
	TRY(config_decode(a, encoded, &config));
	new = arena_new_of(a, struct config_known);
	*new = (struct config_known){ .next = h->last, .encoded = encoded, .config = config };
	h->last = new;
	*out = config;
	return NULL;
}
