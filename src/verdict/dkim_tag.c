#include "verdict/dkim_tag.h"

#include "base/scan.h"
#include "verdict/dkim.h"

/* RFC 6376 3.2 tag-value: VALCHAR and blanks; bytes over 0x7F are UTF-8 (RFC 8616 2). */
static bool value_good(str v)
{
	for (size_t i = 0; i < v.n; i++)
		if (!char_is(v.p[i], CHAR_VCHAR | CHAR_8BIT | CHAR_WSP | CHAR_CRLF))
			return false;
	return true;
}

static bool name_good(str name)
{
	if (name.n == 0 || !char_is(name.p[0], CHAR_ALPHA))
		return false;
	for (size_t i = 1; i < name.n; i++)
		if (!char_is(name.p[i], CHAR_ALPHA | CHAR_DIGIT) && name.p[i] != '_')
			return false;
	return true;
}

static const char *read_tag(str spec, struct dkim_tags *known, struct dkim_tag *tag)
{
	size_t equals = str_find(spec, '=');
	str there;

	if (equals == SIZE_MAX)
		return "a tag without =";
	tag->name = str_trim(str_slice(spec, 0, equals));
	tag->value = str_trim(str_skip(spec, equals + 1));
	if (!name_good(tag->name))
		return "a bad tag name";
	if (!value_good(tag->value))
		return "a bad tag value";
	if (dkim_tags_find(known, tag->name, &there))
		return "a tag stands there twice";
	return NULL;
}

const char *dkim_tags_parse(struct arena *a, str text, struct dkim_tags *out)
{
	struct dkim_tag *list = arena_array_of(a, DKIM_TAGS, struct dkim_tag);
	str rest = text;

	*out = (struct dkim_tags){ list, 0 };
	while (str_trim(rest).n || out->n == 0) {
		size_t end = str_find(rest, ';');
		const char *why;
		if (out->n == DKIM_TAGS)
			return "too many tags";
		why = read_tag(str_slice(rest, 0, end), out, &list[out->n]);
		if (why)
			return why;
		out->n++;
		rest = end == SIZE_MAX ? STR_NONE : str_skip(rest, end + 1);
	}
	return NULL;
}

bool dkim_tags_find(const struct dkim_tags *t, str name, str *value)
{
	for (size_t i = 0; i < t->n; i++) {
		if (str_eq(t->list[i].name, name)) {
			*value = t->list[i].value;
			return true;
		}
	}
	return false;
}

str dkim_tag_squeeze(struct arena *a, str value)
{
	u8 *p = arena_alloc(a, value.n);
	size_t n = 0;

	for (size_t i = 0; i < value.n; i++)
		if (!char_is(value.p[i], CHAR_WSP | CHAR_CRLF))
			p[n++] = value.p[i];
	return str_from(p, n);
}

bool dkim_tag_item(str *rest, str *item)
{
	size_t end;

	if (rest->p == NULL)
		return false;
	end = str_find(*rest, ':');
	*item = str_trim(str_slice(*rest, 0, end));
	*rest = end == SIZE_MAX ? STR_NONE : str_from(rest->p + end + 1, rest->n - end - 1);
	return true;
}
