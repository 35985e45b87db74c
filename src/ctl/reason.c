#include "ctl/reason.h"

enum { REASON_PLACES = 4 };

static const str rows[][LANGUAGES] = {
#define REASON(en, nl) { S(en), S(nl) },
#include "ctl/reason.tbl"
#undef REASON
};

/* What stood in the places of a row. */
struct fit {
	str names[REASON_PLACES], values[REASON_PLACES];
	size_t n;
	enum language language;
};

/* The text before the next place, and the place; without one all of it. */
static str next_part(str *row, str *place)
{
	str all = *row;

	if (sentence_place(row, place))
		return str_slice(all, 0, (size_t)(place->p - 1 - all.p));
	*place = *row = STR_NONE;
	return all;
}

static bool fits(str row, str text, struct fit *out)
{
	str name, place, part = next_part(&row, &place);

	if (!str_starts(text, part))
		return false;
	text = str_skip(text, part.n);
	while (place.n) {
		size_t end;
		name = place;
		part = next_part(&row, &place);
		if (place.n == 0 && !str_ends_nocase(text, part))
			return false;
		end = place.n ? str_find_str(text, part) : text.n - part.n;
		if (end == SIZE_MAX || end == 0 || out->n == REASON_PLACES)
			return false;
		out->names[out->n] = name;
		out->values[out->n++] = str_slice(text, 0, end);
		text = str_skip(text, end + part.n);
	}
	return text.n == 0;
}

/* A reason within another. */
static str inner(str text, enum language l)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (str_eq(rows[i][LANGUAGE_EN], text))
			return rows[i][l];
	return text;
}

static bool get(void *context, str name, str *value)
{
	static const str reasons[] = { S("why"), S("how"), S("passed") };
	const struct fit *f = context;

	*value = STR_NONE;
	for (size_t i = 0; i < f->n; i++)
		if (str_eq(f->names[i], name))
			*value = f->values[i];
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		if (str_eq(name, reasons[i]))
			*value = inner(*value, f->language);
	return value->n > 0;
}

str reason_in(struct arena *a, str reason, enum language l)
{
	for (size_t i = 0; l != LANGUAGE_EN && i < ARRAY_LEN(rows); i++) {
		struct fit f = { .language = l };
		const struct sentence_values values = { get, &f };
		if (fits(rows[i][LANGUAGE_EN], reason, &f))
			return sentence_fill(a, rows[i][l], &values);
	}
	return reason;
}

const char *reason_untranslated(void)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t l = 0; l < LANGUAGES; l++)
			if (!rows[i][l].n || !sentence_same_places(rows[i][0], rows[i][l]))
				return (const char *)rows[i][0].p;
	return NULL;
}
