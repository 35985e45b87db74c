/*
 * What happened to one mail or attempt, told from its events: one sentence first, then the time line, then what would have made it pass.
 * Pure: events and a language in, texts out of why.tbl, fact.tbl, phrase.tbl and office/event.tbl.
 */
#ifndef CTL_STORY_H
#define CTL_STORY_H

#include "bus/office.h"
#include "text/language.h"
#include "verdict/decision.h"

enum story_limit { STORY_ADVICE = 16 };

enum phrase {
#define PHRASE(NAME, en, nl) PHRASE_##NAME,
#include "ctl/phrase.tbl"
#undef PHRASE
	PHRASES
};

struct story {
	u64 id;              /* of the message or attempt */
	const char *outcome; /* "refused"; never translated */
	str sentence;
	const struct event_record *events; /* all of this id, oldest first */
	size_t events_n;
	bool decided;
	struct decision decision; /* when decided */
	str advice[STORY_ADVICE];
	size_t advice_n;
};

/* events: of one id, at least one. Borrows them. */
void story_tell(struct arena *a, const struct event_record *events, size_t n, enum language l,
		struct story *out);
/* "SPF of good.example: pass by ip4:192.0.2.1 (...)". */
str story_fact(struct arena *a, const struct fact *f, enum language l);
/* "sum 6 of 10 points: junk, decided by dnsbl". */
str story_sum(struct arena *a, const struct decision *d, enum language l);
/* values: NULL when the phrase has no places. */
str story_phrase(struct arena *a, enum phrase p, enum language l,
		 const struct sentence_values *values);
/* For tests: do all tables say the same in all languages? The first row that does not; NULL: they do. */
const char *story_untranslated(void);

#endif
