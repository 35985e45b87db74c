/* Finds the section of a FETCH in a message by its skeleton (RFC 3501 6.4.5). Contract in imap_fetch.h. */
#include <stdlib.h>

#include "base/chars.h"
#include "text/header.h"
#include "text/imap_fetch.h"

/* Where a path leads: a part seen as a body part, or as the message that it is. */
struct node {
	size_t part;
	bool message;
};

static bool is_multipart(const struct skeleton_part *p)
{
	return str_eq(p->type, S("MULTIPART"));
}

static bool is_message(const struct skeleton_part *p)
{
	return p->envelope_n > 0;
}

/* The n-th (1: first) child of a part. Children stand behind their parent. */
static bool find_child(const struct skeleton *k, size_t parent, u32 n, size_t *out)
{
	for (size_t i = parent + 1; i < k->parts_n && k->parts[i].depth > k->parts[parent].depth;
	     i++)
		if (k->parts[i].parent == parent && --n == 0) {
			*out = i;
			return true;
		}
	return false;
}

/* From a message/rfc822 part to the message in it. */
static bool enter_message(const struct skeleton *k, struct node *at)
{
	if (at->message)
		return true;
	at->message = true;
	return is_message(&k->parts[at->part]) && find_child(k, at->part, 1, &at->part);
}

static bool step(const struct skeleton *k, struct node *at, u32 number)
{
	if (!at->message && !is_multipart(&k->parts[at->part]) && !enter_message(k, at))
		return false;
	if (is_multipart(&k->parts[at->part])) {
		at->message = false;
		return find_child(k, at->part, number, &at->part);
	}
	/* A message that is not multipart has one part: its body. */
	at->message = false;
	return number == 1;
}

static struct imap_place place(u64 from, u64 to, bool prefix)
{
	return (struct imap_place){ from, to, prefix };
}

bool imap_section_find(const struct skeleton *k, const struct imap_attribute *t,
		       struct imap_place *out)
{
	struct node at = { 0, true };
	const struct skeleton_part *p;

	if (k->parts_n == 0)
		return false;
	for (size_t i = 0; i < t->path_n; i++)
		if (!step(k, &at, t->path[i]))
			return false;
	/* HEADER and TEXT are of a message; after a path that must be message/rfc822. */
	if (t->text != IMAP_WHOLE && t->text != IMAP_MIME && !enter_message(k, &at))
		return false;
	p = &k->parts[at.part];
	if (t->text == IMAP_TEXT || (t->text == IMAP_WHOLE && t->path_n > 0))
		*out = place(p->body_at, p->end, false);
	else if (t->text == IMAP_WHOLE)
		*out = place(0, k->size, true);
	else
		*out = place(p->header_at, p->body_at, t->path_n == 0);
	return true;
}

int imap_field_compare(const void *x, const void *y)
{
	const str *a = x, *b = y;

	if (a->n != b->n)
		return a->n < b->n ? -1 : 1;
	for (size_t i = 0; i < a->n; i++)
		if (char_lower(a->p[i]) != char_lower(b->p[i]))
			return char_lower(a->p[i]) < char_lower(b->p[i]) ? -1 : 1;
	return 0;
}

static bool is_wanted(const struct imap_attribute *t, str name)
{
	bool listed = name.n > 0 && t->fields_n > 0 &&
		      bsearch(&name, t->sorted, t->fields_n, sizeof name, imap_field_compare);

	return listed == (t->text == IMAP_HEADER_FIELDS);
}

void imap_put_fields(struct buf *b, str header, const struct imap_attribute *t)
{
	struct header_field f;

	while (header_next(&header, &f)) {
		if (!is_wanted(t, f.name))
			continue;
		buf_add(b, f.raw);
		if (!str_has(str_skip(f.raw, f.raw.n - 1), '\n'))
			buf_add(b, S("\r\n"));
	}
	buf_add(b, S("\r\n"));
}
