/* FETCH attributes: parser and names. Contract in imap_fetch.h. */
#include <stdlib.h>

#include "text/imap_fetch.h"
#include "text/imap_print.h"
#include "text/imap_scan.h"

/* Longer names stand before their own beginnings. */
static const struct {
	str word;
	struct imap_attribute is;
} simple_attributes[] = {
#define SIMPLE(word, ...)                               \
	{                                               \
		{ (const u8 *)word, sizeof(word) - 1 }, \
		{                                       \
			__VA_ARGS__                     \
		}                                       \
	}
	SIMPLE("ENVELOPE", .kind = IMAP_ENVELOPE),
	SIMPLE("FLAGS", .kind = IMAP_FLAGS),
	SIMPLE("INTERNALDATE", .kind = IMAP_INTERNALDATE),
	SIMPLE("RFC822.SIZE", .kind = IMAP_SIZE),
	SIMPLE("RFC822.HEADER", .kind = IMAP_SECTION, .text = IMAP_HEADER, .peek = true),
	SIMPLE("RFC822.TEXT", .kind = IMAP_SECTION, .text = IMAP_TEXT),
	SIMPLE("RFC822", .kind = IMAP_SECTION, .text = IMAP_WHOLE),
	SIMPLE("BODYSTRUCTURE", .kind = IMAP_BODYSTRUCTURE),
	SIMPLE("UID", .kind = IMAP_UID),
	SIMPLE("MODSEQ", .kind = IMAP_MODSEQ),
#undef SIMPLE
};

static bool scan_simple(struct scan *s, struct imap_attribute *out)
{
	for (size_t i = 0; i < ARRAY_LEN(simple_attributes); i++) {
		if (!imap_scan_word(s, simple_attributes[i].word))
			continue;
		*out = simple_attributes[i].is;
		if (out->kind == IMAP_SECTION)
			out->name = simple_attributes[i].word;
		return true;
	}
	return false;
}

/* section-part: numbers with dots between. Leaves the cursor at what follows, a dot before it eaten. */
static bool scan_path(struct arena *a, struct scan *s, struct imap_attribute *out, bool *dot)
{
	u32 *path = arena_array_of(a, IMAP_PATH, u32);

	*dot = false;
	out->path = path;
	while (scan_peek(s) >= '0' && scan_peek(s) <= '9') {
		if (out->path_n == IMAP_PATH || !imap_scan_nz(s, &path[out->path_n]))
			return false;
		out->path_n++;
		*dot = scan_byte(s, '.');
		if (!*dot)
			break;
	}
	return true;
}

/* Looked up by name: so many names cost a message no more than a few. */
static void sort_fields(struct arena *a, struct imap_attribute *t)
{
	str *sorted = arena_array_of(a, t->fields_n, str);

	for (size_t i = 0; i < t->fields_n; i++)
		sorted[i] = t->fields[i];
	qsort(sorted, t->fields_n, sizeof *sorted, imap_field_compare);
	t->sorted = sorted;
}

static bool scan_fields(struct arena *a, struct scan *s, struct imap_attribute *out)
{
	str *fields = arena_array_of(a, IMAP_FIELDS, str);

	out->fields = fields;
	if (!scan_byte(s, ' ') || !scan_byte(s, '('))
		return false;
	do {
		if (out->fields_n == IMAP_FIELDS ||
		    !imap_scan_astring(a, s, &fields[out->fields_n]))
			return false;
		out->fields_n++;
	} while (scan_sp(s));
	sort_fields(a, out);
	return scan_byte(s, ')');
}

/* section-text, RFC 3501 9. */
static bool scan_section_text(struct arena *a, struct scan *s, struct imap_attribute *out)
{
	if (scan_lit(s, S("HEADER.FIELDS.NOT"))) {
		out->text = IMAP_HEADER_FIELDS_NOT;
		return scan_fields(a, s, out);
	}
	if (scan_lit(s, S("HEADER.FIELDS"))) {
		out->text = IMAP_HEADER_FIELDS;
		return scan_fields(a, s, out);
	}
	if (scan_lit(s, S("HEADER")))
		out->text = IMAP_HEADER;
	else if (scan_lit(s, S("TEXT")))
		out->text = IMAP_TEXT;
	else if (out->path_n > 0 && scan_lit(s, S("MIME")))
		out->text = IMAP_MIME;
	else
		return false;
	return true;
}

static bool scan_partial(struct scan *s, struct imap_attribute *out)
{
	if (!scan_byte(s, '<'))
		return true;
	out->partial = true;
	return scan_u32(s, &out->from) && scan_byte(s, '.') && imap_scan_nz(s, &out->count) &&
	       scan_byte(s, '>');
}

static bool scan_section(struct arena *a, struct scan *s, struct imap_attribute *out)
{
	bool dot;

	out->kind = IMAP_SECTION;
	out->text = IMAP_WHOLE;
	if (!scan_path(a, s, out, &dot))
		return false;
	if (out->path_n == 0 ? scan_peek(s) != ']' : dot)
		if (!scan_section_text(a, s, out))
			return false;
	return scan_byte(s, ']') && scan_partial(s, out);
}

static bool scan_attribute(struct arena *a, struct scan *s, struct imap_attribute *out)
{
	*out = (struct imap_attribute){ 0 };
	if (scan_lit(s, S("BODY.PEEK["))) {
		out->peek = true;
		return scan_section(a, s, out);
	}
	if (scan_lit(s, S("BODY[")))
		return scan_section(a, s, out);
	if (imap_scan_word(s, S("BODY"))) {
		out->kind = IMAP_BODY;
		return true;
	}
	return scan_simple(s, out);
}

static bool scan_macro(struct scan *s, struct imap_fetch *out)
{
	static const enum imap_attribute_kind all[] = { IMAP_FLAGS, IMAP_INTERNALDATE, IMAP_SIZE,
							IMAP_ENVELOPE, IMAP_BODY };

	if (imap_scan_word(s, S("FAST")))
		out->n = 3;
	else if (imap_scan_word(s, S("ALL")))
		out->n = 4;
	else if (imap_scan_word(s, S("FULL")))
		out->n = 5;
	for (size_t i = 0; i < out->n; i++)
		out->attributes[i] = (struct imap_attribute){ .kind = all[i] };
	return out->n > 0;
}

static bool scan_attributes(struct arena *a, struct scan *s, struct imap_fetch *out)
{
	size_t fields = 0;

	if (scan_macro(s, out))
		return true;
	if (!scan_byte(s, '(')) {
		out->n = 1;
		return scan_attribute(a, s, &out->attributes[0]);
	}
	do {
		if (out->n == IMAP_ATTRIBUTES || !scan_attribute(a, s, &out->attributes[out->n]))
			return false;
		fields += out->attributes[out->n++].fields_n;
	} while (fields <= IMAP_FIELDS && scan_sp(s));
	return fields <= IMAP_FIELDS && scan_byte(s, ')');
}

static bool scan_modifiers(struct scan *s, struct imap_fetch *out)
{
	if (scan_end(s))
		return true;
	out->has_changed_since = true;
	return scan_lit(s, S(" (CHANGEDSINCE ")) && imap_scan_u63(s, &out->changed_since) &&
	       scan_byte(s, ')') && scan_end(s);
}

bool imap_scan_fetch(struct arena *a, struct scan *s, struct imap_fetch *out)
{
	*out = (struct imap_fetch){ 0 };
	out->attributes = arena_array_of(a, IMAP_ATTRIBUTES, struct imap_attribute);
	return scan_attributes(a, s, out) && scan_modifiers(s, out) && !arena_check(a);
}

static void put_section_text(struct buf *b, const struct imap_attribute *t)
{
	static const char *const words[] = { "",     "HEADER", "HEADER.FIELDS", "HEADER.FIELDS.NOT",
					     "TEXT", "MIME" };

	buf_add(b, str_cstr(words[t->text]));
	if (t->fields_n == 0)
		return;
	buf_add(b, S(" ("));
	for (size_t i = 0; i < t->fields_n; i++) {
		if (i > 0)
			buf_add_byte(b, ' ');
		imap_put_string(b, t->fields[i]);
	}
	buf_add_byte(b, ')');
}

void imap_put_attribute_name(struct buf *b, const struct imap_attribute *t)
{
	if (t->name.n > 0) {
		buf_add(b, t->name);
		return;
	}
	buf_add(b, S("BODY["));
	for (size_t i = 0; i < t->path_n; i++) {
		if (i > 0)
			buf_add_byte(b, '.');
		buf_add_u64(b, t->path[i]);
	}
	if (t->path_n > 0 && t->text != IMAP_WHOLE)
		buf_add_byte(b, '.');
	put_section_text(b, t);
	buf_add_byte(b, ']');
	if (t->partial)
		buf_printf(b, "<%u>", t->from);
}
