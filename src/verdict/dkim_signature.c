#include "verdict/dkim_signature.h"

#include <stdlib.h>

#include "base/scan.h"
#include "text/address.h"
#include "text/encoding.h"
#include "verdict/dkim_tag.h"

/* --- the field --- */

/* What reads one signature; a step that fails leaves the result and the reason and ends the reading. */
struct reading {
	struct arena *arena;
	struct dkim_tags tags;
	struct dkim_signature *s;
	enum dkim_result result;
	str reason;
};

static bool refuse(struct reading *r, enum dkim_result result, str reason)
{
	r->result = result;
	r->reason = reason;
	return false;
}

static bool need(struct reading *r, const char *tag, str *value)
{
	if (dkim_tags_find(&r->tags, str_cstr(tag), value) && value->n)
		return true;
	return refuse(r, DKIM_NEUTRAL, str_format(r->arena, "the signature has no %s=", tag));
}

/* RFC 6376 3.5 v=: exactly "1". An ARC-Message-Signature has none. */
static bool read_version(struct reading *r, enum dkim_flavour flavour)
{
	str v;

	if (flavour == DKIM_FLAVOUR_ARC_MESSAGE)
		return true;
	return need(r, "v", &v) &&
	       (str_eq(v, S("1")) ||
		refuse(r, DKIM_NEUTRAL, S("the signature is not of version 1")));
}

static bool read_algorithm(struct reading *r)
{
	str v;

	if (!need(r, "a", &v))
		return false;
	for (enum dkim_algorithm g = DKIM_RSA_SHA1; g <= DKIM_ED25519_SHA256; g++)
		if (str_eq(v, dkim_algorithm_name(g)))
			r->s->algorithm = g;
	return r->s->algorithm != DKIM_ALGORITHM_OTHER ||
	       refuse(r, DKIM_NEUTRAL, S("the signature uses an unknown algorithm"));
}

static bool canon_of(str name, enum dkim_canon *out)
{
	*out = str_eq(name, S("relaxed")) ? DKIM_RELAXED : DKIM_SIMPLE;
	return str_eq(name, dkim_canon_name(*out));
}

/* "header/body", each simple when not said (RFC 6376 3.5 c=). */
static bool read_canon(struct reading *r)
{
	str v, body = S("simple");
	size_t slash;

	if (!dkim_tags_find(&r->tags, S("c"), &v))
		return true;
	slash = str_find(v, '/');
	if (slash != SIZE_MAX)
		body = str_skip(v, slash + 1);
	return (canon_of(str_slice(v, 0, slash), &r->s->header_canon) &&
		canon_of(body, &r->s->body_canon)) ||
	       refuse(r, DKIM_NEUTRAL, S("the signature uses an unknown canonicalization"));
}

/* A name for DNS: labels of letters, digits, '-', '_' or UTF-8 (RFC 8616 4). */
static bool name_good(str name, bool two_labels)
{
	return name.n <= 253 && name.p[name.n - 1] != '.' && (!two_labels || str_has(name, '.')) &&
	       domain_is_valid(name, true, true);
}

static bool read_names(struct reading *r)
{
	str d, s;

	if (!need(r, "d", &d) || !need(r, "s", &s))
		return false;
	if (!name_good(d, true))
		return refuse(r, DKIM_NEUTRAL, S("d= is not a domain name"));
	r->s->domain = str_lower(r->arena, d);
	if (!name_good(s, false))
		return refuse(r, DKIM_NEUTRAL, S("s= is not a selector"));
	r->s->selector = str_lower(r->arena, s);
	return true;
}

/* RFC 6376 3.5 i=: its domain is d= or beneath it; "@d" when not given. */
static bool read_auid(struct reading *r)
{
	str i, domain;
	size_t at;

	r->s->auid = str_format(r->arena, "@%.*s", STR_ARG(r->s->domain));
	if (!dkim_tags_find(&r->tags, S("i"), &i))
		return true;
	i = dkim_tag_squeeze(r->arena, i);
	at = str_find_last(i, '@');
	if (at == SIZE_MAX || !str_is_utf8(i))
		return refuse(r, DKIM_NEUTRAL, S("i= is not an address"));
	domain = str_lower(r->arena, str_skip(i, at + 1));
	r->s->auid =
	    str_format(r->arena, "%.*s@%.*s", STR_ARG(str_slice(i, 0, at)), STR_ARG(domain));
	if (str_eq(domain, r->s->domain))
		return true;
	if (!str_ends_nocase(domain, str_format(r->arena, ".%.*s", STR_ARG(r->s->domain))))
		return refuse(r, DKIM_PERMERROR, S("i= is not in the domain of d="));
	return name_good(domain, true) || refuse(r, DKIM_NEUTRAL, S("i= is not an address"));
}

static bool read_instance(struct reading *r)
{
	str i;
	u64 n;

	if (!need(r, "i", &i))
		return false;
	if (!str_u64(i, &n) || n < 1 || n > UINT32_MAX)
		return refuse(r, DKIM_NEUTRAL, S("i= is not an instance number"));
	r->s->instance = (u32)n;
	return true;
}

/* RFC 6376 3.5 q=: methods we do not know are passed over. */
static bool read_query(struct reading *r)
{
	str rest, item;

	if (!dkim_tags_find(&r->tags, S("q"), &rest))
		return true;
	while (dkim_tag_item(&rest, &item))
		if (str_eq(item, S("dns/txt")) || str_eq(item, S("dns")))
			return true;
	return refuse(r, DKIM_NEUTRAL, S("the key is not in DNS"));
}

static bool read_number(struct reading *r, const char *tag, u64 *out)
{
	str v;

	if (!dkim_tags_find(&r->tags, str_cstr(tag), &v))
		return true;
	return str_u64(v, out) ||
	       refuse(r, DKIM_NEUTRAL, str_format(r->arena, "%s= is not a number", tag));
}

static bool read_times(struct reading *r)
{
	struct dkim_signature *s = r->s;

	s->length = DKIM_WHOLE;
	if (!read_number(r, "t", &s->signed_at) || !read_number(r, "x", &s->expires_at) ||
	    !read_number(r, "l", &s->length))
		return false;
	return s->expires_at == 0 || s->expires_at > s->signed_at ||
	       refuse(r, DKIM_NEUTRAL, S("x= is not later than t="));
}

static bool is_field_name(str name)
{
	for (size_t i = 0; i < name.n; i++)
		if (!char_is(name.p[i], CHAR_FTEXT))
			return false;
	return name.n != 0;
}

/* RFC 6376 3.5 h=; From must be in it (5.4). */
static bool read_signed_fields(struct reading *r)
{
	str v, rest, item;
	size_t n = 1;
	bool from = false;
	str *names;

	if (!need(r, "h", &v))
		return false;
	for (size_t i = 0; i < v.n; i++)
		n += v.p[i] == ':';
	if (n > DKIM_NAMES)
		return refuse(r, DKIM_NEUTRAL, S("h= names too many fields"));
	r->s->names = names = arena_array_of(r->arena, n, str);
	for (rest = v; dkim_tag_item(&rest, &item);) {
		if (!is_field_name(item))
			return refuse(r, DKIM_NEUTRAL, S("h= is not a list of field names"));
		from = from || str_eq_nocase(item, S("From"));
		names[r->s->names_n++] = item;
	}
	return from || refuse(r, DKIM_PERMERROR, S("the signature does not cover From"));
}

/* base64 with blanks between, its padding perhaps missing (RFC 6376 2.10). */
static bool decode(struct arena *a, str squeezed, str *out)
{
	struct base64_reader reader = { 0 };
	struct buf *bytes = buf_new(a, squeezed.n + 3);
	size_t n = squeezed.n;

	while (n && squeezed.n - n < 2 && squeezed.p[n - 1] == '=')
		n--;
	for (size_t i = 0; i < n; i++)
		if (!char_is(squeezed.p[i], CHAR_BASE64))
			return false;
	base64_read(&reader, str_slice(squeezed, 0, n), bytes);
	base64_finish(&reader, bytes);
	*out = buf_str(bytes);
	return n % 4 != 1 && out->n;
}

static bool read_hashes(struct reading *r)
{
	str b, bh;

	if (!need(r, "b", &b) || !need(r, "bh", &bh))
		return false;
	r->s->b = dkim_tag_squeeze(r->arena, b);
	if (!decode(r->arena, r->s->b, &r->s->signature))
		return refuse(r, DKIM_NEUTRAL, S("b= is not base64"));
	if (!decode(r->arena, dkim_tag_squeeze(r->arena, bh), &r->s->body_hash))
		return refuse(r, DKIM_NEUTRAL, S("bh= is not base64"));
	return r->s->algorithm == DKIM_RSA_SHA1 || r->s->body_hash.n == DKIM_DIGEST ||
	       refuse(r, DKIM_NEUTRAL, S("bh= has the wrong length"));
}

enum dkim_result dkim_signature_parse(struct arena *a, str value, enum dkim_flavour flavour,
				      struct dkim_signature *out, str *reason)
{
	struct reading r = { .arena = a, .s = out, .result = DKIM_NONE };
	bool is_arc = flavour == DKIM_FLAVOUR_ARC_MESSAGE;
	const char *why;

	*out = (struct dkim_signature){ .length = DKIM_WHOLE };
	*reason = STR_NONE;
	if (value.n > DKIM_FIELD) {
		*reason = S("the signature field is too long");
		return DKIM_NEUTRAL;
	}
	why = dkim_tags_parse(a, value, &r.tags);
	if (why)
		(void)refuse(&r, DKIM_NEUTRAL,
			     str_format(a, "the signature is not a tag list: %s", why));
	else
		(void)(read_version(&r, flavour) && read_names(&r) &&
		       (is_arc ? read_instance(&r) : read_auid(&r)) && read_algorithm(&r) &&
		       read_canon(&r) && read_query(&r) && read_times(&r) && read_hashes(&r) &&
		       read_signed_fields(&r));
	*reason = r.reason;
	return r.result;
}

/* --- selection, RFC 6376 5.4.2 --- */

struct field_entry {
	struct header_field field;
	u32 position;
	u32 taken; /* of the first entry of a name: how many of that name are used up */
};

struct dkim_fields {
	struct field_entry *list; /* by name, then from the bottom up */
	size_t n;
};

static int entry_order(const void *left, const void *right)
{
	const struct field_entry *l = left, *r = right;
	int order = str_cmp_nocase(l->field.name, r->field.name);

	if (order)
		return order;
	return l->position > r->position ? -1 : l->position < r->position;
}

/* No header has more fields than lines. */
static size_t lines_of(str header)
{
	size_t n = 1, at;

	for (str rest = header; (at = str_find(rest, '\n')) != SIZE_MAX; n++)
		rest = str_skip(rest, at + 1);
	return n;
}

struct dkim_fields *dkim_fields_new(struct arena *a, str header)
{
	struct dkim_fields *f = arena_new_of(a, struct dkim_fields);
	size_t room = lines_of(header);
	struct header_field field;
	str rest = header;

	if (room > DKIM_FIELDS)
		room = DKIM_FIELDS;
	f->list = arena_array_of(a, room, struct field_entry);
	while (header_next(&rest, &field)) {
		if (f->n == room)
			return NULL;
		f->list[f->n] = (struct field_entry){ .field = field, .position = (u32)f->n };
		f->n++;
	}
	if (f->n)
		qsort(f->list, f->n, sizeof f->list[0], entry_order);
	return f;
}

/* The first entry of this name, or n. */
static size_t entry_find(const struct dkim_fields *f, str name)
{
	size_t low = 0, high = f->n;

	while (low < high) {
		size_t middle = (low + high) / 2;
		if (str_cmp_nocase(f->list[middle].field.name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The lowest field of this name that was not used yet; none is no fault: it was signed as absent. */
static bool entry_take(struct dkim_fields *f, str name, str *raw)
{
	size_t first = entry_find(f, name), at;

	if (first == f->n)
		return false;
	at = first + f->list[first].taken;
	if (at >= f->n || !str_eq_nocase(f->list[at].field.name, name))
		return false;
	f->list[first].taken++;
	*raw = f->list[at].field.raw;
	return true;
}

void dkim_fields_hash(struct dkim_fields *f, struct dkim_hash *hash, enum dkim_canon canon,
		      const str *names, size_t names_n, str signature_raw, u8 digest[DKIM_DIGEST])
{
	struct dkim_sink sink = dkim_hash_sink(hash);
	str raw;

	for (size_t i = 0; i < f->n; i++)
		f->list[i].taken = 0;
	for (size_t i = 0; i < names_n; i++)
		if (entry_take(f, names[i], &raw))
			dkim_canon_field(canon, raw, false, sink);
	dkim_canon_signature(canon, signature_raw, sink);
	dkim_hash_finish(hash, digest);
}
