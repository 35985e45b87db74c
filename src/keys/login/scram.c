#include "keys/login/scram.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/scan.h"

static const struct fail bad_syntax = FAIL_STATIC(SYNTAX, "malformed SCRAM message");
static const struct fail bad_proof = {
	.what = FAIL_LOGIN,
	.kind = FAIL_PERM,
	.code = { (const u8 *)"5.7.8", 5 },
	.text = { (const u8 *)"authentication failed", 21 },
};

/* RFC 5802 5.1: "=2C" is a comma, "=3D" an equals sign; any other "=" is an error. */
static bool unescape_name(struct arena *a, str in, str *out)
{
	u8 *p = arena_alloc(a, in.n);
	size_t n = 0;

	for (size_t i = 0; i < in.n; i++) {
		str tail = str_slice(in, i, i + 3);
		if (in.p[i] != '=') {
			p[n++] = in.p[i];
			continue;
		}
		if (!str_eq(tail, S("=2C")) && !str_eq(tail, S("=3D")))
			return false;
		p[n++] = tail.p[1] == '2' ? ',' : '=';
		i += 2;
	}
	*out = str_from(p, n);
	return str_is_utf8(*out) && !str_has(*out, 0);
}

static bool nonce_is_good(str nonce)
{
	if (nonce.n < SCRAM_NONCE_MIN || nonce.n > SCRAM_NONCE_MAX)
		return false;
	for (size_t i = 0; i < nonce.n; i++)
		if (!char_is(nonce.p[i], CHAR_VCHAR) || nonce.p[i] == ',')
			return false;
	return true;
}

/* "x=value" up to the next comma, which is taken too, or the end. */
static bool take_attribute(struct scan *s, str prefix, str *value)
{
	if (!str_starts(s->rest, prefix))
		return false;
	s->rest = str_skip(s->rest, prefix.n);
	if (!scan_until(s, ',', value)) {
		*value = s->rest;
		s->rest = STR_NONE;
	}
	scan_byte(s, ',');
	return true;
}

/* gs2-header = gs2-cbind-flag "," [ authzid ] "," (RFC 5802 7) */
static bool take_gs2_header(struct arena *a, struct scan *s, struct scram *out)
{
	str whole = s->rest, authzid = STR_NONE;

	if (!(scan_byte(s, 'n') || scan_byte(s, 'y')) || !scan_byte(s, ','))
		return false;
	if (str_starts(s->rest, S("a="))) {
		if (!take_attribute(s, S("a="), &authzid) || authzid.n == 0)
			return false;
	} else if (!scan_byte(s, ',')) {
		return false;
	}
	out->gs2_header = str_slice(whole, 0, whole.n - s->rest.n);
	return unescape_name(a, authzid, &out->authzid);
}

const struct fail *scram_client_first(struct arena *a, str message, struct scram *out)
{
	struct scan s;
	str name;

	*out = (struct scram){ 0 };
	if (message.n > SCRAM_MESSAGE_MAX)
		return &bad_syntax;
	s = scan_of(str_copy(a, message));
	if (!take_gs2_header(a, &s, out))
		return &bad_syntax;
	out->first_bare = s.rest;
	/* "m=" announces extensions that we must understand: we know none (RFC 5802 5.1). */
	if (!(take_attribute(&s, S("n="), &name) && name.n > 0 &&
	      unescape_name(a, name, &out->name) && take_attribute(&s, S("r="), &out->nonce) &&
	      nonce_is_good(out->nonce)))
		return &bad_syntax;
	return NULL;
}

static str base64(struct arena *a, const u8 *bytes, size_t n)
{
	u8 *text = arena_alloc(a, 4 * (n + 2) / 3 + 4);

	return str_from(text, (size_t)EVP_EncodeBlock(text, bytes, (int)n));
}

str scram_server_first(struct arena *a, struct scram *s, const struct verifier *v, str server_nonce)
{
	s->nonce = str_format(a, "%.*s%.*s", STR_ARG(s->nonce), STR_ARG(server_nonce));
	s->server_first = str_format(a, "r=%.*s,s=%.*s,i=%u", STR_ARG(s->nonce),
				     STR_ARG(base64(a, v->salt.p, v->salt.n)), v->iterations);
	return s->server_first;
}

static void hmac(const u8 key[VERIFIER_KEY], str data, u8 out[VERIFIER_KEY])
{
	unsigned n = VERIFIER_KEY;

	CHECK(HMAC(EVP_sha256(), key, VERIFIER_KEY, data.p, data.n, out, &n) && n == VERIFIER_KEY);
}

static bool decode_proof(str text, u8 out[VERIFIER_KEY])
{
	u8 decoded[48];

	if (text.n != 44 || text.p[43] != '=' || text.p[42] == '=')
		return false;
	if (EVP_DecodeBlock(decoded, text.p, (int)text.n) != 33)
		return false;
	for (size_t i = 0; i < VERIFIER_KEY; i++)
		out[i] = decoded[i];
	return true;
}

/* ClientKey = ClientProof XOR ClientSignature; it must hash to StoredKey (RFC 5802 3). */
static bool proof_is_right(const struct verifier *v, str auth_message, const u8 proof[VERIFIER_KEY])
{
	u8 signature[VERIFIER_KEY], key[VERIFIER_KEY], stored[VERIFIER_KEY];

	hmac(v->stored_key, auth_message, signature);
	for (size_t i = 0; i < VERIFIER_KEY; i++)
		key[i] = proof[i] ^ signature[i];
	CHECK(EVP_Digest(key, sizeof key, stored, NULL, EVP_sha256(), NULL));
	OPENSSL_cleanse(key, sizeof key);
	return CRYPTO_memcmp(stored, v->stored_key, VERIFIER_KEY) == 0;
}

const struct fail *scram_client_final(struct arena *a, const struct scram *s,
				      const struct verifier *v, str message, str *answer)
{
	struct scan scan = scan_of(message);
	str binding, nonce, proof_text = STR_NONE, without_proof, auth_message;
	u8 proof[VERIFIER_KEY], signature[VERIFIER_KEY];
	size_t at;

	if (message.n > SCRAM_MESSAGE_MAX || !take_attribute(&scan, S("c="), &binding) ||
	    !take_attribute(&scan, S("r="), &nonce))
		return &bad_syntax;
	at = message.n - scan.rest.n;
	while (scan.rest.n && !str_starts(scan.rest, S("p="))) { /* extensions are to be ignored */
		str skipped;
		if (!scan_until(&scan, ',', &skipped))
			return &bad_syntax;
		scan_byte(&scan, ',');
		at = message.n - scan.rest.n;
	}
	if (!take_attribute(&scan, S("p="), &proof_text) || !scan_end(&scan) ||
	    !decode_proof(proof_text, proof))
		return &bad_syntax;
	if (!str_eq(binding, base64(a, s->gs2_header.p, s->gs2_header.n)) ||
	    !str_eq(nonce, s->nonce))
		return &bad_proof;
	without_proof = str_slice(message, 0, at - 1);
	auth_message = str_format(a, "%.*s,%.*s,%.*s", STR_ARG(s->first_bare),
				  STR_ARG(s->server_first), STR_ARG(without_proof));
	if (!proof_is_right(v, auth_message, proof))
		return &bad_proof;
	hmac(v->server_key, auth_message, signature);
	*answer = str_format(a, "v=%.*s", STR_ARG(base64(a, signature, sizeof signature)));
	return NULL;
}
