/*
 * A SCRAM exchange of any bytes: the client's first message up to the first line's end, its last one behind it. What is taken as a first
 * message is all of it and has a name; no last message is taken but the one that proves the key, and that one is, whatever extension
 * (the rest of the input) it has.
 */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "keys/login/scram.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t n);

static const u8 client_key[VERIFIER_KEY] = "the key that the client has.....";

static struct verifier verifier_of_key(void)
{
	struct verifier v = { .salt = S("0123456789abcdef"), .iterations = VERIFIER_ITERATIONS };

	CHECK(EVP_Digest(client_key, sizeof client_key, v.stored_key, NULL, EVP_sha256(), NULL));
	memset(v.server_key, 7, sizeof v.server_key);
	return v;
}

static str base64(struct arena *a, const u8 *bytes, size_t n)
{
	u8 *text = arena_alloc(a, 4 * (n + 2) / 3 + 4);

	return str_from(text, (size_t)EVP_EncodeBlock(text, bytes, (int)n));
}

static str proof_of(struct arena *a, const struct scram *s, const struct verifier *v, str without)
{
	str all = str_format(a, "%.*s,%.*s,%.*s", STR_ARG(s->first_bare), STR_ARG(s->server_first),
			     STR_ARG(without));
	u8 proof[VERIFIER_KEY];
	unsigned length = sizeof proof;

	CHECK(
	    HMAC(EVP_sha256(), v->stored_key, sizeof v->stored_key, all.p, all.n, proof, &length));
	for (size_t i = 0; i < sizeof proof; i++)
		proof[i] ^= client_key[i];
	return base64(a, proof, sizeof proof);
}

static bool is_extension(str s)
{
	return s.n && s.n < 500 && !str_has(s, ',') && !str_starts(s, S("p=")) && !str_has(s, 0);
}

/* The honest client's: taken; with another proof: not. */
static void check_honest(struct arena *a, const struct scram *s, const struct verifier *v, str rest)
{
	const bool more = is_extension(rest);
	str without = str_format(
	    a, "c=%.*s,r=%.*s%s%.*s", STR_ARG(base64(a, s->gs2_header.p, s->gs2_header.n)),
	    STR_ARG(s->nonce), more ? "," : "", more ? (int)rest.n : 0, (const char *)rest.p);
	str proof = proof_of(a, s, v, without), answer;
	u8 *wrong = arena_alloc(a, proof.n);

	if (without.n + proof.n + 3 > SCRAM_MESSAGE_MAX)
		return;
	CHECK(scram_client_final(a, s, v,
				 str_format(a, "%.*s,p=%.*s", STR_ARG(without), STR_ARG(proof)),
				 &answer) == NULL);
	CHECK(str_starts(answer, S("v=")));
	memcpy(wrong, proof.p, proof.n);
	wrong[0] = wrong[0] == 'A' ? 'B' : 'A';
	CHECK(scram_client_final(
	    a, s, v, str_format(a, "%.*s,p=%.*s", STR_ARG(without), (int)proof.n, (char *)wrong),
	    &answer));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t n)
{
	struct arena *a = arena_new(1 << 20);
	str all = str_from(data, n), first, rest, answer;
	size_t end = str_find(all, '\n');
	struct verifier v = verifier_of_key();
	struct scram s;

	first = str_slice(all, 0, end);
	rest = end == SIZE_MAX ? STR_NONE : str_skip(all, end + 1);
	if (scram_client_first(a, first, &s) == NULL) {
		CHECK(s.gs2_header.n + s.first_bare.n == first.n);
		CHECK(str_is_utf8(s.name) && s.name.n && s.name.n <= first.n &&
		      !str_has(s.name, 0));
		CHECK(!str_has(s.authzid, 0) && s.nonce.n >= SCRAM_NONCE_MIN);
		scram_server_first(a, &s, &v, S("server-nonce"));
		CHECK(str_ends_nocase(s.nonce, S("server-nonce")));
		CHECK(scram_client_final(a, &s, &v, rest, &answer));
		check_honest(a, &s, &v, rest);
	}
	arena_free(&a);
	return 0;
}
