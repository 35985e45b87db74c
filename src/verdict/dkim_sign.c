/*
 * Our own signatures. Each field that matters is named once more than it stands there (RFC 6376 8.15 calls it oversigning), so that
 * none can be added later (THREATS D04). For List-* that has a price: a mailing list that changes nothing else adds them, and the
 * signature does not survive it; so those can be left to be signed only where they stand (RFC 6376 5.4.1 names them as worth signing,
 * not as worth forbidding).
 */
#include "base/check.h"
#include "base/fail.h"
#include "text/address.h"
#include "text/encoding.h"
#include "verdict/dkim_signature.h"

enum { LINE = 76 };

static const char *const signed_fields[] = {
	"From",
	"To",
	"Cc",
	"Subject",
	"Date",
	"Message-ID",
	"Reply-To",
	"Content-Type",
	"MIME-Version",
	"Content-Transfer-Encoding",
	"In-Reply-To",
	"References",
	"List-Id",
	"List-Help",
	"List-Unsubscribe",
	"List-Unsubscribe-Post",
	"List-Subscribe",
	"List-Post",
	"List-Owner",
	"List-Archive",
};

struct dkim_signer {
	struct arena *arena;
	struct dkim_sign_options options;
	struct dkim_fields *fields; /* NULL: too many */
	struct dkim_hash *hash;
	struct dkim_body *body;
	size_t want;
};

struct dkim_sign_options dkim_sign_defaults(u64 now)
{
	return (struct dkim_sign_options){ .header_canon = DKIM_RELAXED,
					   .body_canon = DKIM_RELAXED,
					   .now = now };
}

/* How often h= names it. */
static size_t times_named(str header, str name, const struct dkim_sign_options *o)
{
	size_t there = header_count(header, name);

	return there || !o->lists_may_add || !str_starts(name, S("List-")) ? there + 1 : 0;
}

static void own_list(struct arena *a, str header, struct dkim_sign_options *o)
{
	size_t counts[ARRAY_LEN(signed_fields)], n = 0;
	str *names;

	for (size_t i = 0; i < ARRAY_LEN(signed_fields); i++) {
		counts[i] = times_named(header, str_cstr(signed_fields[i]), o);
		n += counts[i];
	}
	o->names = names = arena_array_of(a, n, str);
	o->names_n = 0;
	for (size_t i = 0; i < ARRAY_LEN(signed_fields); i++)
		for (size_t k = 0; k < counts[i]; k++)
			names[o->names_n++] = str_cstr(signed_fields[i]);
}

struct dkim_signer *dkim_signer_new(struct arena *a, str header,
				    const struct dkim_sign_options *options)
{
	struct dkim_signer *s = arena_new_of(a, struct dkim_signer);

	s->arena = a;
	s->options = *options;
	if (s->options.names == NULL)
		own_list(a, header, &s->options);
	s->fields = dkim_fields_new(a, header);
	s->hash = dkim_hash_new(a);
	s->body = dkim_body_new(a);
	s->want = dkim_body_want(s->body, options->body_canon, DKIM_WHOLE);
	return s;
}

void dkim_signer_body(struct dkim_signer *s, str piece)
{
	dkim_body_feed(s->body, piece);
}

/* --- the field --- */

struct writer {
	struct buf *out;
	size_t column;
};

/* A piece that is not broken, on a new line when this one is full. */
static void put(struct writer *w, str piece, bool blank)
{
	if (w->column + blank + piece.n > LINE) {
		buf_add(w->out, S("\r\n\t"));
		w->column = 8;
	} else if (blank) {
		buf_add_byte(w->out, ' ');
		w->column++;
	}
	buf_add(w->out, piece);
	w->column += piece.n;
}

/* base64 may be broken anywhere. */
static void put_base64(struct writer *w, struct arena *a, str bytes)
{
	struct buf *text = buf_new(a, bytes.n * 2 + 4);
	str rest;

	base64_encode(text, bytes);
	for (rest = buf_str(text); rest.n;) {
		size_t room = w->column < LINE ? LINE - w->column : 0;
		str part = str_slice(rest, 0, room ? room : LINE - 8);
		put(w, part, false);
		rest = str_skip(rest, part.n);
	}
}

static void put_names(struct writer *w, struct arena *a, const str *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		put(w,
		    str_format(a, "%s%.*s%s", i ? "" : "h=", STR_ARG(names[i]),
			       i + 1 < n ? ":" : ";"),
		    i == 0);
}

static void put_tags(struct writer *w, struct dkim_signer *s, const struct dkim_identity *who)
{
	const struct dkim_sign_options *o = &s->options;
	struct arena *a = s->arena;

	put(w, S("DKIM-Signature: v=1;"), false);
	put(w, str_format(a, "a=%.*s;", STR_ARG(dkim_algorithm_name(who->algorithm))), true);
	put(w,
	    str_format(a, "c=%.*s/%.*s;", STR_ARG(dkim_canon_name(o->header_canon)),
		       STR_ARG(dkim_canon_name(o->body_canon))),
	    true);
	put(w, str_format(a, "d=%.*s;", STR_ARG(who->domain)), true);
	put(w, str_format(a, "s=%.*s;", STR_ARG(who->selector)), true);
	if (o->now)
		put(w, str_format(a, "t=%llu;", (unsigned long long)o->now), true);
	if (o->expires_at)
		put(w, str_format(a, "x=%llu;", (unsigned long long)o->expires_at), true);
	if (o->with_length)
		put(w,
		    str_format(a, "l=%llu;",
			       (unsigned long long)dkim_body_length(s->body, o->body_canon)),
		    true);
}

static bool identity_good(const struct dkim_identity *who)
{
	return (who->algorithm == DKIM_RSA_SHA256 || who->algorithm == DKIM_ED25519_SHA256) &&
	       domain_is_valid(who->domain, true, true) &&
	       domain_is_valid(who->selector, true, true);
}

const struct fail *dkim_signer_field(struct dkim_signer *s, const struct dkim_identity *who,
				     const struct dkim_key_holder *keys, struct buf *out)
{
	u8 digest[DKIM_DIGEST];
	size_t start = out->n;
	struct writer w = { out, 0 };
	str signature, field;
	bool longer;

	if (s->fields == NULL || !identity_good(who))
		return fail_new(s->arena, FAIL_INVALID, "this message cannot be signed");
	dkim_body_finish(s->body);
	CHECK(dkim_body_hash(s->body, s->want, digest, &longer));
	put_tags(&w, s, who);
	put_names(&w, s->arena, s->options.names, s->options.names_n);
	put(&w, S("bh="), true);
	put_base64(&w, s->arena, str_from(digest, sizeof digest));
	put(&w, S(";"), false);
	put(&w, S("b="), true);
	if (out->full)
		return fail_new(s->arena, FAIL_LIMIT, "the signature does not fit");
	field = str_skip(buf_str(out), start);
	dkim_fields_hash(s->fields, s->hash, s->options.header_canon, s->options.names,
			 s->options.names_n, field, digest);
	TRY(keys->sign(keys->context, s->arena, who, str_from(digest, sizeof digest), &signature));
	put_base64(&w, s->arena, signature);
	buf_add(out, S("\r\n"));
	return out->full ? fail_new(s->arena, FAIL_LIMIT, "the signature does not fit") : NULL;
}
