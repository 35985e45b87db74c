#include "verdict/dkim.h"

#include "base/check.h"
#include "verdict/dkim_key.h"
#include "verdict/dkim_signature.h"

struct candidate {
	struct dkim_verdict *verdict;
	struct dkim_signature s;
	str raw;
	bool open; /* could still pass */
	size_t body_hash;
};

struct dkim_verifier {
	struct arena *arena;
	str header;
	struct dkim_body *body;
	struct candidate candidates[DKIM_REPORTED];
	size_t n, open_n;
	bool cut;
	struct dkim_fields *fields; /* made when first needed */
	struct dkim_hash *hash;
};

static void close_candidate(struct candidate *c, enum dkim_result result, str reason)
{
	c->verdict->result = result;
	c->verdict->reason = reason;
	c->open = false;
}

static void verdict_fill(struct dkim_verdict *v, const struct dkim_signature *s)
{
	v->domain = s->domain;
	v->selector = s->selector;
	v->auid = s->auid;
	v->signature = s->b;
	v->algorithm = s->algorithm;
	v->header_canon = s->header_canon;
	v->body_canon = s->body_canon;
	v->signed_at = s->signed_at;
	v->expires_at = s->expires_at;
	v->names = s->names;
	v->names_n = s->names_n;
	v->has_length = s->length != DKIM_WHOLE;
}

static void candidate_add(struct dkim_verifier *v, const struct header_field *field)
{
	struct candidate *c = &v->candidates[v->n++];
	str reason;
	enum dkim_result r;

	*c = (struct candidate){ .verdict = arena_new_of(v->arena, struct dkim_verdict),
				 .raw = field->raw,
				 .open = true };
	r = dkim_signature_parse(v->arena, field->value, DKIM_FLAVOUR_DKIM, &c->s, &reason);
	verdict_fill(c->verdict, &c->s);
	if (r != DKIM_NONE)
		close_candidate(c, r, reason);
	else if (c->s.algorithm == DKIM_RSA_SHA1)
		close_candidate(c, DKIM_POLICY, S("rsa-sha1 proves nothing any more"));
	else if (v->open_n == DKIM_SIGNATURES)
		close_candidate(c, DKIM_POLICY, S("too many signatures: this one was not checked"));
	if (!c->open)
		return;
	v->open_n++;
	c->body_hash = dkim_body_want(v->body, c->s.body_canon, c->s.length);
}

struct dkim_verifier *dkim_verifier_new(struct arena *a, str header)
{
	struct dkim_verifier *v = arena_new_of(a, struct dkim_verifier);
	struct header_field field;
	str rest = header;

	v->arena = a;
	v->header = header;
	v->body = dkim_body_new(a);
	while (header_next(&rest, &field)) {
		if (!str_eq_nocase(field.name, S("DKIM-Signature")))
			continue;
		v->cut = v->n == DKIM_REPORTED;
		if (v->cut)
			break;
		candidate_add(v, &field);
	}
	return v;
}

void dkim_verifier_body(struct dkim_verifier *v, str piece)
{
	dkim_body_feed(v->body, piece);
}

struct dkim_body *dkim_verifier_hashes(struct dkim_verifier *v)
{
	return v->body;
}

static void check_time(struct candidate *c, u64 now)
{
	c->verdict->expired = c->s.expires_at && now > c->s.expires_at;
	if (c->verdict->expired)
		close_candidate(c, DKIM_FAIL, S("the signature has expired"));
	else if (c->s.signed_at > now && c->s.signed_at - now > DKIM_AHEAD)
		close_candidate(c, DKIM_FAIL, S("the signature was made in the future"));
}

static void check_body(struct dkim_verifier *v, struct candidate *c)
{
	u8 digest[DKIM_DIGEST];

	if (!dkim_body_hash(v->body, c->body_hash, digest, &c->verdict->length_limited))
		close_candidate(c, DKIM_FAIL, S("the body is shorter than what was signed"));
	else if (!str_eq(c->s.body_hash, str_from(digest, sizeof digest)))
		close_candidate(c, DKIM_FAIL, S("the body was changed after it was signed"));
}

static bool header_hash(struct dkim_verifier *v, const struct candidate *c, u8 digest[DKIM_DIGEST])
{
	if (v->hash == NULL) {
		v->hash = dkim_hash_new(v->arena);
		v->fields = dkim_fields_new(v->arena, v->header);
	}
	if (v->fields == NULL)
		return false;
	dkim_fields_hash(v->fields, v->hash, c->s.header_canon, c->s.names, c->s.names_n, c->raw,
			 digest);
	return true;
}

/* RFC 6376 3.6.1 t=s: i= must be in d= itself. */
static bool auid_allowed(const struct candidate *c, const struct dkim_key *k)
{
	return !k->strict ||
	       str_eq(str_skip(c->s.auid, str_find_last(c->s.auid, '@') + 1), c->s.domain);
}

static void check_with(struct candidate *c, const struct dkim_key *k, const u8 digest[DKIM_DIGEST])
{
	c->verdict->key_bits = k->bits;
	c->verdict->testing = k->testing;
	if (!auid_allowed(c, k))
		close_candidate(c, DKIM_PERMERROR,
				S("i= is in a subdomain, which the key forbids"));
	else if (dkim_key_verify(k, digest, c->s.signature))
		close_candidate(c, DKIM_PASS, S("the signature is good"));
	else
		close_candidate(
		    c, DKIM_FAIL,
		    S("the header was changed after it was signed, or the key is another"));
}

static void check_signature(struct dkim_verifier *v, struct candidate *c,
			    const struct dns_source *dns)
{
	u8 digest[DKIM_DIGEST];
	struct dkim_keys keys;
	enum dkim_result r;
	str reason;

	if (!header_hash(v, c, digest)) {
		close_candidate(c, DKIM_POLICY, S("the header has too many fields"));
		return;
	}
	r = dkim_keys_find(v->arena, dns, c->s.selector, c->s.domain, c->s.algorithm, &keys,
			   &reason);
	c->verdict->looked_up = keys.name;
	c->verdict->dns = keys.dns;
	c->verdict->dns_secure = keys.secure;
	if (r != DKIM_NONE) {
		c->verdict->key_bits = keys.list[0].bits;
		c->verdict->testing = keys.list[0].testing;
		close_candidate(c, r, reason);
	}
	for (size_t i = 0; i < keys.n && c->verdict->result != DKIM_PASS; i++)
		check_with(c, &keys.list[i], digest);
}

void dkim_verifier_finish(struct dkim_verifier *v, const struct dns_source *dns, u64 now,
			  struct dkim_verdicts *out)
{
	struct dkim_verdict *list = arena_array_of(v->arena, v->n, struct dkim_verdict);

	dkim_body_finish(v->body);
	for (size_t i = 0; i < v->n; i++) {
		struct candidate *c = &v->candidates[i];
		if (c->open)
			check_time(c, now);
		if (c->open)
			check_body(v, c);
		if (c->open)
			check_signature(v, c, dns);
		list[i] = *c->verdict;
	}
	*out = (struct dkim_verdicts){ list, v->n, v->cut };
}

/* --- names --- */

str dkim_result_name(enum dkim_result r)
{
	static const char *const names[] = {
		[DKIM_NONE] = "none",           [DKIM_PASS] = "pass",
		[DKIM_FAIL] = "fail",           [DKIM_POLICY] = "policy",
		[DKIM_NEUTRAL] = "neutral",     [DKIM_TEMPERROR] = "temperror",
		[DKIM_PERMERROR] = "permerror",
	};

	CHECK((size_t)r < ARRAY_LEN(names));
	return str_cstr(names[r]);
}

str dkim_algorithm_name(enum dkim_algorithm g)
{
	static const char *const names[] = {
		[DKIM_ALGORITHM_OTHER] = "unknown",
		[DKIM_RSA_SHA1] = "rsa-sha1",
		[DKIM_RSA_SHA256] = "rsa-sha256",
		[DKIM_ED25519_SHA256] = "ed25519-sha256",
	};

	CHECK((size_t)g < ARRAY_LEN(names));
	return str_cstr(names[g]);
}

str dkim_canon_name(enum dkim_canon c)
{
	return c == DKIM_RELAXED ? S("relaxed") : S("simple");
}

enum dkim_result dkim_verdicts_best(const struct dkim_verdicts *v)
{
	static const enum dkim_result order[] = { DKIM_PASS,   DKIM_TEMPERROR, DKIM_FAIL,
						  DKIM_POLICY, DKIM_PERMERROR, DKIM_NEUTRAL };

	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		for (size_t k = 0; k < v->n; k++)
			if (v->list[k].result == order[i])
				return order[i];
	return DKIM_NONE;
}
