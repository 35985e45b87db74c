/* The skeleton as bytes, and the check of one that comes from a process that is not trusted. */
#include "text/skeleton.h"

#include "base/arena.h"
#include "base/check.h"

#define MESSAGE_ENCODERS
#include "base/message.h"
#include "text/skeleton.tbl"
#include "base/message_end.h"
#define MESSAGE_DECODERS
#include "base/message.h"
#include "text/skeleton.tbl"
#include "base/message_end.h"

static const struct fail corrupt = FAIL_STATIC(CORRUPT, "bad message skeleton");

const struct skeleton *skeleton_behind(struct arena *a, const struct skeleton *s, u64 n,
				       u32 received)
{
	struct skeleton *out = arena_new_of(a, struct skeleton);
	struct skeleton_part *parts = arena_array_of(a, s->parts_n, struct skeleton_part);

	*out = *s;
	out->size += n;
	out->received += received;
	out->parts = parts;
	for (size_t i = 0; i < s->parts_n; i++) {
		parts[i] = s->parts[i];
		if (i > 0) /* the message's own header begins with the prefix */
			parts[i].header_at += n;
		parts[i].body_at += n;
		parts[i].end += n;
	}
	return out;
}

str skeleton_encode(struct arena *a, const struct skeleton *s)
{
	struct buf *bytes = buf_new(a, SKELETON_BYTES);
	struct encoder e = { .bytes = bytes };

	encode_skeleton(&e, s);
	CHECK(!bytes->full);
	return buf_str(bytes);
}

static bool envelope_is_good(const struct skeleton_envelope *e)
{
	return e->from_n <= SKELETON_ADDRESSES && e->sender_n <= SKELETON_ADDRESSES &&
	       e->reply_to_n <= SKELETON_ADDRESSES && e->to_n <= SKELETON_ADDRESSES &&
	       e->cc_n <= SKELETON_ADDRESSES && e->bcc_n <= SKELETON_ADDRESSES &&
	       e->from_n + e->sender_n + e->reply_to_n + e->to_n + e->cc_n + e->bcc_n <=
		   SKELETON_ADDRESSES;
}

static bool is_multipart(const struct skeleton_part *p)
{
	return str_eq(p->type, S("MULTIPART"));
}

static bool is_message(const struct skeleton_part *p)
{
	return str_eq(p->type, S("MESSAGE")) && str_eq(p->subtype, S("RFC822"));
}

static bool part_is_good(const struct skeleton_part *p, u64 size)
{
	return p->header_at <= p->body_at && p->body_at <= p->end && p->end <= size &&
	       p->lines <= (p->end - p->body_at) / 2 && p->depth <= SKELETON_DEPTH && p->type.n &&
	       p->subtype.n && p->params_n <= SKELETON_PARAMS &&
	       p->disposition_params_n <= SKELETON_PARAMS &&
	       p->envelope_n == (is_message(p) ? 1u : 0u) &&
	       (p->envelope_n == 0 || envelope_is_good(&p->envelope[0]));
}

/* How far the children seen so far reach, and how many they are. */
struct inside {
	u64 reach;
	u32 children;
};

/* Parts in the order of their first byte, each inside its parent's body and behind its sibling
 * (THREATS M02). */
static bool part_nests(const struct skeleton *s, size_t i, struct inside *inside)
{
	const struct skeleton_part *p = &s->parts[i], *parent;

	inside[i].reach = p->body_at;
	if (i == 0)
		return p->parent == 0 && p->depth == 0 && p->header_at == 0 && p->end == s->size;
	if (p->parent >= i || p->header_at < s->parts[i - 1].header_at)
		return false;
	parent = &s->parts[p->parent];
	if (p->depth != parent->depth + 1 || p->header_at < inside[p->parent].reach ||
	    p->end > parent->end || !(is_multipart(parent) || is_message(parent)) ||
	    (is_message(parent) && p->header_at != parent->body_at))
		return false;
	inside[p->parent].reach = p->end;
	inside[p->parent].children++;
	return true;
}

static bool children_are_good(const struct skeleton_part *p, u32 children)
{
	if (is_message(p))
		return children == 1;
	return is_multipart(p) ? children > 0 : children == 0;
}

static bool skeleton_is_good(struct arena *a, const struct skeleton *s)
{
	struct inside *inside;

	if (s->parts_n == 0 || s->parts_n > SKELETON_PARTS || s->preview.n > SKELETON_PREVIEW ||
	    !str_is_utf8(s->preview) || !envelope_is_good(&s->envelope))
		return false;
	inside = arena_array_of(a, s->parts_n, struct inside);
	for (size_t i = 0; i < s->parts_n; i++)
		if (!part_is_good(&s->parts[i], s->size) || !part_nests(s, i, inside))
			return false;
	for (size_t i = 0; i < s->parts_n; i++)
		if (!children_are_good(&s->parts[i], inside[i].children))
			return false;
	return true;
}

const struct fail *skeleton_decode(struct arena *a, str bytes, struct skeleton *out)
{
	struct decoder d = { .arena = a, .rest = bytes };

	if (bytes.n > SKELETON_BYTES)
		return &corrupt;
	decode_skeleton(&d, out);
	return decoder_done(&d) && skeleton_is_good(a, out) ? NULL : &corrupt;
}

const struct fail *skeleton_envelope_find(struct arena *a, str skeleton, str *envelope)
{
	struct decoder d = { .arena = a, .rest = skeleton };
	struct skeleton_envelope e;
	str from;

	decode_u64(&d); /* size, flags, received: see skeleton.tbl */
	decode_u32(&d);
	decode_u32(&d);
	from = d.rest;
	decode_skeleton_envelope(&d, &e);
	if (d.bad || !envelope_is_good(&e))
		return &corrupt;
	*envelope = str_slice(from, 0, from.n - d.rest.n);
	return NULL;
}

const struct fail *skeleton_envelope_decode(struct arena *a, str bytes,
					    struct skeleton_envelope *out)
{
	struct decoder d = { .arena = a, .rest = bytes };

	decode_skeleton_envelope(&d, out);
	return decoder_done(&d) && envelope_is_good(out) ? NULL : &corrupt;
}
