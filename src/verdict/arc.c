/* Collecting the sets, checking their form (RFC 8617 5.2 steps 1 and 2), then the newest message signature and all seals. */
#include "verdict/arc.h"

#include "base/buf.h"
#include "base/scan.h"
#include "text/address.h"
#include "text/encoding.h"
#include "text/header.h"
#include "verdict/authres.h"
#include "verdict/dkim_key.h"
#include "verdict/dkim_signature.h"
#include "verdict/dkim_tag.h"
#include "verdict/dmarc.h"

enum arc_kind { ARC_RESULTS, ARC_MESSAGE, ARC_SEAL, ARC_KINDS };

/* An ARC-Seal read, RFC 8617 4.1.3. */
struct arc_seal {
	enum dkim_algorithm algorithm;
	str domain, selector, cv, signature;
};

struct arc_verifier {
	struct arena *a;
	str header;
	struct dkim_body *body;
	struct header_field fields[ARC_SETS][ARC_KINDS];
	struct arc_seal seals[ARC_SETS];
	size_t n;
	struct dkim_signature message; /* of the newest set */
	size_t want;                   /* its body hash */
	enum arc_result result;        /* ARC_PASS as long as nothing speaks against it */
	const char *reason;
};

static const str names[ARC_KINDS] = { [ARC_RESULTS] = S("ARC-Authentication-Results"),
				      [ARC_MESSAGE] = S("ARC-Message-Signature"),
				      [ARC_SEAL] = S("ARC-Seal") };

static void fail_chain_of(struct arc_verifier *v, const char *reason)
{
	if (v->result != ARC_PASS)
		return;
	v->result = ARC_FAIL;
	v->reason = reason;
}

/* --- Collecting ------------------------------------------------------------------------------------------------ */

static enum arc_kind kind_of(str name)
{
	enum arc_kind k = ARC_RESULTS;

	while (k < ARC_KINDS && !str_eq_nocase(name, names[k]))
		k++;
	return k;
}

/* "i=" number; of ARC-Authentication-Results it stands first, of the others anywhere. *rest: behind it and its ';'. */
static u64 leading_instance(str value, str *rest)
{
	struct scan s = scan_of(value);
	str blanks;
	u64 i = 0;

	scan_span0(&s, CHAR_WSP | CHAR_CRLF, &blanks);
	if (!scan_lit(&s, S("i")) || !scan_span0(&s, CHAR_WSP | CHAR_CRLF, &blanks) ||
	    !scan_byte(&s, '=') || !scan_span0(&s, CHAR_WSP | CHAR_CRLF, &blanks) ||
	    !scan_u64(&s, &i) || !scan_span0(&s, CHAR_WSP | CHAR_CRLF, &blanks) ||
	    !scan_byte(&s, ';'))
		return 0;
	*rest = s.rest;
	return i;
}

static u64 instance_of(struct arc_verifier *v, enum arc_kind kind, const struct header_field *f)
{
	struct dkim_tags tags;
	str value, unused;
	u64 i = 0;

	if (kind == ARC_RESULTS)
		return leading_instance(f->value, &unused);
	if (dkim_tags_parse(v->a, f->value, &tags) || !dkim_tags_find(&tags, S("i"), &value) ||
	    !str_u64(value, &i))
		return 0;
	return i;
}

static void take_field(struct arc_verifier *v, enum arc_kind kind, const struct header_field *f)
{
	u64 i = instance_of(v, kind, f);

	if (i == 0 || i > ARC_SETS) {
		fail_chain_of(v, i ? "too many sets" : "a field of a set has no instance number");
		return;
	}
	if (v->fields[i - 1][kind].raw.n > 0)
		fail_chain_of(v, "a set has a field twice");
	v->fields[i - 1][kind] = *f;
	if (v->n < i)
		v->n = (size_t)i;
}

static void collect(struct arc_verifier *v)
{
	struct header_field f;
	str rest = v->header;
	size_t n = 0;

	while (header_next(&rest, &f)) {
		enum arc_kind kind = kind_of(f.name);
		if (kind == ARC_KINDS)
			continue;
		if (++n > (size_t)ARC_SETS * ARC_KINDS) {
			fail_chain_of(v, "too many sets");
			return;
		}
		take_field(v, kind, &f);
	}
	if (n == 0)
		v->result = ARC_NONE;
}

/* --- The form of sets -------------------------------------------------------------------------------------------- */

static enum dkim_algorithm algorithm_of(str name)
{
	if (str_eq(name, dkim_algorithm_name(DKIM_RSA_SHA256)))
		return DKIM_RSA_SHA256;
	return str_eq(name, dkim_algorithm_name(DKIM_ED25519_SHA256)) ? DKIM_ED25519_SHA256
								      : DKIM_ALGORITHM_OTHER;
}

static bool decode_signature(struct arena *a, str b, str *out)
{
	struct buf *bytes = buf_new(a, DKIM_FIELD);

	if (!base64_decode(bytes, dkim_tag_squeeze(a, b)) || bytes->full)
		return false;
	*out = buf_str(bytes);
	return bytes->n > 0;
}

static bool read_seal(struct arc_verifier *v, str value, struct arc_seal *out)
{
	struct dkim_tags tags;
	str algorithm, b, h, domain;

	if (value.n > DKIM_FIELD || dkim_tags_parse(v->a, value, &tags) ||
	    !dkim_tags_find(&tags, S("a"), &algorithm) ||
	    !dkim_tags_find(&tags, S("cv"), &out->cv) || !dkim_tags_find(&tags, S("d"), &domain) ||
	    !dkim_tags_find(&tags, S("s"), &out->selector) || !dkim_tags_find(&tags, S("b"), &b) ||
	    dkim_tags_find(&tags, S("h"), &h)) /* RFC 8617 4.1.3: then it fails */
		return false;
	out->algorithm = algorithm_of(algorithm);
	return out->algorithm != DKIM_ALGORITHM_OTHER &&
	       domain_is_valid(out->selector, true, true) &&
	       !domain_to_ascii(v->a, domain, &out->domain) &&
	       decode_signature(v->a, b, &out->signature);
}

static void check_set(struct arc_verifier *v, size_t i)
{
	struct arc_seal *seal = &v->seals[i];

	for (enum arc_kind k = ARC_RESULTS; k < ARC_KINDS; k++)
		if (v->fields[i][k].raw.n == 0) {
			fail_chain_of(v, "a set is not complete");
			return;
		}
	if (!read_seal(v, v->fields[i][ARC_SEAL].value, seal)) {
		fail_chain_of(v, "a seal cannot be read");
		return;
	}
	if (str_eq_nocase(seal->cv, S("fail")))
		fail_chain_of(v, "a sealer found the chain broken");
	else if (!str_eq_nocase(seal->cv, i == 0 ? S("none") : S("pass")))
		fail_chain_of(v, "a seal does not say that the chain before it was good");
}

static void read_message_signature(struct arc_verifier *v)
{
	str reason;

	if (dkim_signature_parse(v->a, v->fields[v->n - 1][ARC_MESSAGE].value,
				 DKIM_FLAVOUR_ARC_MESSAGE, &v->message, &reason) != DKIM_NONE) {
		fail_chain_of(v, "the newest message signature cannot be read");
		return;
	}
	if (v->message.algorithm == DKIM_RSA_SHA1)
		fail_chain_of(v, "the newest message signature uses rsa-sha1");
	for (size_t i = 0; i < v->message.names_n; i++)
		if (str_eq_nocase(v->message.names[i], names[ARC_SEAL]))
			fail_chain_of(v, "a message signature covers a seal");
	v->want = dkim_body_want(v->body, v->message.body_canon, v->message.length);
}

struct arc_verifier *arc_verifier_new(struct arena *a, str header, struct dkim_body *body)
{
	struct arc_verifier *v = arena_new_of(a, struct arc_verifier);

	*v = (struct arc_verifier){ .a = a, .header = header, .body = body, .result = ARC_PASS };
	collect(v);
	for (size_t i = 0; i < v->n && v->result == ARC_PASS; i++)
		check_set(v, i);
	if (v->result == ARC_PASS)
		read_message_signature(v);
	return v;
}

/* --- Signatures -------------------------------------------------------------------------------------------------- */

static bool key_says_so(struct arc_verifier *v, const struct dns_source *dns, str selector,
			str domain, enum dkim_algorithm algorithm, const u8 digest[DKIM_DIGEST],
			str signature)
{
	struct dkim_keys keys;
	str reason;
	enum dkim_result r = dkim_keys_find(v->a, dns, selector, domain, algorithm, &keys, &reason);

	if (r == DKIM_TEMPERROR) {
		v->result = ARC_TEMPERROR;
		v->reason = "the key of a sealer could not be looked up just now";
	}
	for (size_t i = 0; r == DKIM_NONE && i < keys.n; i++)
		if (dkim_key_verify(&keys.list[i], digest, signature))
			return true;
	return false;
}

static void check_message(struct arc_verifier *v, const struct dns_source *dns, u64 now)
{
	const struct dkim_signature *m = &v->message;
	struct dkim_fields *fields = dkim_fields_new(v->a, v->header);
	u8 digest[DKIM_DIGEST];
	bool longer;

	if (m->expires_at > 0 && m->expires_at < now)
		fail_chain_of(v, "the newest message signature has expired");
	if (!fields || !dkim_body_hash(v->body, v->want, digest, &longer) || longer ||
	    !str_eq(str_from(digest, DKIM_DIGEST), m->body_hash))
		fail_chain_of(v, "the body was changed after the last seal");
	if (v->result != ARC_PASS)
		return;
	dkim_fields_hash(fields, dkim_hash_new(v->a), m->header_canon, m->names, m->names_n,
			 v->fields[v->n - 1][ARC_MESSAGE].raw, digest);
	if (!key_says_so(v, dns, m->selector, m->domain, m->algorithm, digest, m->signature))
		fail_chain_of(v, "the newest message signature is not good");
}

/* RFC 8617 5.1.1: all sets up to this one, each results, message signature, seal; relaxed. */
static void seal_digest(struct arc_verifier *v, struct dkim_hash *hash, size_t set,
			u8 digest[DKIM_DIGEST])
{
	struct dkim_sink sink = dkim_hash_sink(hash);

	for (size_t i = 0; i <= set; i++) {
		dkim_canon_field(DKIM_RELAXED, v->fields[i][ARC_RESULTS].raw, false, sink);
		dkim_canon_field(DKIM_RELAXED, v->fields[i][ARC_MESSAGE].raw, false, sink);
		if (i < set)
			dkim_canon_field(DKIM_RELAXED, v->fields[i][ARC_SEAL].raw, false, sink);
	}
	dkim_canon_signature(DKIM_RELAXED, v->fields[set][ARC_SEAL].raw, sink);
	dkim_hash_finish(hash, digest);
}

static void check_seals(struct arc_verifier *v, const struct dns_source *dns)
{
	struct dkim_hash *hash = dkim_hash_new(v->a);
	u8 digest[DKIM_DIGEST];

	for (size_t i = v->n; i > 0 && v->result == ARC_PASS; i--) {
		const struct arc_seal *s = &v->seals[i - 1];
		seal_digest(v, hash, i - 1, digest);
		if (!key_says_so(v, dns, s->selector, s->domain, s->algorithm, digest,
				 s->signature))
			fail_chain_of(v, "a seal is not good");
	}
}

static void report(struct arc_verifier *v, struct arc_verdict *out)
{
	struct arc_set *sets = arena_array_of(v->a, v->n, struct arc_set);

	*out = (struct arc_verdict){ .result = v->result, .sets = sets };
	if (v->result == ARC_NONE)
		v->reason = "nobody sealed the message";
	out->reason = str_cstr(v->result == ARC_PASS ? "all seals are good" : v->reason);
	if (v->result != ARC_PASS)
		return;
	for (; out->sets_n < v->n; out->sets_n++) {
		struct arc_set *s = &sets[out->sets_n];
		s->domain = v->seals[out->sets_n].domain;
		s->selector = v->seals[out->sets_n].selector;
		leading_instance(v->fields[out->sets_n][ARC_RESULTS].value, &s->results);
	}
}

void arc_verifier_finish(struct arc_verifier *v, const struct dns_source *dns, u64 now,
			 struct arc_verdict *out)
{
	dkim_body_finish(v->body);
	if (v->result == ARC_PASS)
		check_message(v, dns, now);
	if (v->result == ARC_PASS)
		check_seals(v, dns);
	report(v, out);
}

/* --- What it means ----------------------------------------------------------------------------------------------- */

str arc_result_name(enum arc_result r)
{
	static const str words[] = { [ARC_NONE] = S("none"),
				     [ARC_PASS] = S("pass"),
				     [ARC_FAIL] = S("fail"),
				     [ARC_TEMPERROR] = S("temperror") };

	return words[r];
}

bool arc_is_trusted(const struct arc_verdict *v, const str *domains, size_t n)
{
	for (size_t i = 0; i < v->sets_n; i++) {
		bool listed = false;
		for (size_t j = 0; j < n; j++)
			listed |= dmarc_domain_is_under(v->sets[i].domain, domains[j]);
		if (!listed)
			return false;
	}
	return v->result == ARC_PASS && v->sets_n > 0;
}

bool arc_saw_dmarc_pass(struct arena *a, const struct arc_verdict *v, str author)
{
	struct authres seen;

	if (v->result != ARC_PASS || v->sets_n == 0)
		return false;
	authres_parse(a, v->sets[0].results, &seen);
	for (size_t i = 0; i < seen.results_n; i++) {
		const struct authres_result_read *r = &seen.results[i];
		if (!str_eq_nocase(r->method, S("dmarc")) || !str_eq_nocase(r->result, S("pass")))
			continue;
		for (size_t j = 0; j < r->properties_n; j++)
			if (str_eq_nocase(r->properties[j].name, S("header.from")) &&
			    str_eq_nocase(r->properties[j].value, author))
				return true;
	}
	return false;
}
