#include "text/language.h"

#include "base/buf.h"
#include "base/scan.h"
#include "text/shown.h"

enum { SENTENCE_BYTES = 64 * 1024 };

static const char *const codes[LANGUAGES] = { "en", "nl" };

bool language_parse(str text, enum language *out)
{
	for (size_t i = 0; i < LANGUAGES; i++) {
		str rest = str_skip(text, 2);
		if (!str_eq_nocase(str_slice(text, 0, 2), str_cstr(codes[i])) ||
		    (rest.n && rest.p[0] != '_' && rest.p[0] != '.' && rest.p[0] != '@'))
			continue;
		*out = (enum language)i;
		return true;
	}
	return false;
}

const char *language_code(enum language l)
{
	return codes[l];
}

str sentence_fill(struct arena *a, str sentence, const struct sentence_values *values)
{
	struct buf *out = buf_new(a, SENTENCE_BYTES);
	str rest = sentence, name, value;

	while (sentence_place(&rest, &name)) {
		size_t text = (size_t)(name.p - 1 - sentence.p);
		buf_add(out, str_slice(sentence, 0, text));
		if (!values->get(values->context, name, &value) || value.n == 0)
			value = S("-");
		shown_add(out, value, '?', STR_NONE);
		sentence = rest;
	}
	buf_add(out, sentence);
	return buf_str(out);
}

bool sentence_place(str *sentence, str *name)
{
	struct scan s = scan_of(*sentence);
	str text;

	if (!(scan_until(&s, '{', &text) && scan_byte(&s, '{') && scan_until(&s, '}', name) &&
	      scan_byte(&s, '}')))
		return false;
	*sentence = s.rest;
	return true;
}

static size_t times(str sentence, str wanted)
{
	size_t n = 0;
	str name;

	while (sentence_place(&sentence, &name))
		n += str_eq(name, wanted);
	return n;
}

static bool has_places_of(str sentence, str other)
{
	str rest = other, name;

	while (sentence_place(&rest, &name))
		if (times(sentence, name) != times(other, name))
			return false;
	return true;
}

bool sentence_same_places(str a, str b)
{
	return has_places_of(a, b) && has_places_of(b, a);
}
