/*
 * The languages of texts for people, and sentences with places in them: "delivered to {recipient}" has the same places in every
 * language. Texts stand in tables, one column a language (office/event.tbl, ctl/phrase.tbl); ids and JSON names are always English.
 */
#ifndef TEXT_LANGUAGE_H
#define TEXT_LANGUAGE_H

#include "base/str.h"

enum language { LANGUAGE_EN, LANGUAGE_NL, LANGUAGES };

/* "nl", or a locale as in LANG: "nl_NL.UTF-8". False: none of ours, "C" too. */
bool language_parse(str text, enum language *out);
const char *language_code(enum language l); /* "nl" */

/* What fills a place, as text/shown.h shows it; false: nothing does, and it reads as "-". */
struct sentence_values {
	bool (*get)(void *context, str name, str *value);
	void *context;
};
str sentence_fill(struct arena *a, str sentence, const struct sentence_values *values);
/* The next "{name}" of a sentence, which moves past it. */
bool sentence_place(str *sentence, str *name);
/* Have both the same places, in any order? Tests hold the columns of a table to it. */
bool sentence_same_places(str a, str b);

#endif
