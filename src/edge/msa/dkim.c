/*
 * Signs what our own people send (RFC 6376): after all of the message is there, once for each active key of the From domain, with the
 * private keys in keys sign. The domain is the one of an address that the office has just said belongs to the account (msa.c).
 */
#include "base/env.h"
#include "bus/sign.h"
#include "edge/msa/msa_int.h"
#include "text/address.h"
#include "verdict/dkim.h"

enum { MSA_FIELDS = 8 * 1024 };

struct signing {
	struct arena *arena;
	struct bus *keys;
	struct dkim_signer *signer;
};

static const struct fail *show_header(void *context, str header)
{
	struct signing *x = context;
	struct dkim_sign_options o = dkim_sign_defaults(env_now(env_system()) / 1000);

	x->signer = dkim_signer_new(x->arena, header, &o);
	return NULL;
}

static void show_body(void *context, str piece)
{
	struct signing *x = context;

	dkim_signer_body(x->signer, piece);
}

static const struct fail *ask_sign(void *context, struct arena *a, const struct dkim_identity *who,
				   str digest, str *signature)
{
	struct signing *x = context;
	struct sign_dkim_sign_request q = { .domain = who->domain,
					    .selector = who->selector,
					    .digest = digest };
	struct sign_dkim_sign_answer r;

	TRY(sign_dkim_sign(a, x->keys, &q, &r));
	*signature = r.signature;
	return NULL;
}

static const struct fail *add_field(struct signing *x, const struct dkim_key_info *key,
				    struct buf *out)
{
	const struct dkim_key_holder holder = { .context = x, .sign = ask_sign };
	struct dkim_identity who = { .domain = key->domain,
				     .selector = key->selector,
				     .algorithm = str_eq(key->algorithm, S("rsa-sha256"))
						      ? DKIM_RSA_SHA256
						      : DKIM_ED25519_SHA256 };

	return dkim_signer_field(x->signer, &who, &holder, out);
}

static const struct fail *add_fields(struct signing *x, struct transaction *t,
				     const struct sign_dkim_keys_list_answer *keys, struct buf *out)
{
	const struct gate_watch watch = { .context = x, .header = show_header, .body = show_body };

	for (size_t i = 0; i < keys->keys_n; i++) {
		if (keys->keys[i].state != DKIM_KEY_ACTIVE)
			continue;
		if (x->signer == NULL)
			TRY(gate_replay(t->gate, &watch));
		TRY(add_field(x, &keys->keys[i], out));
	}
	return NULL;
}

const struct fail *msa_dkim(struct smtp *s, struct transaction *t, str domain, str *fields)
{
	struct signing x = { .arena = t->arena, .keys = smtp_sign(s) };
	struct buf *out = buf_new(t->arena, MSA_FIELDS);
	struct sign_dkim_keys_list_request q;
	struct sign_dkim_keys_list_answer keys;
	const struct fail *f;

	*fields = STR_NONE;
	if (x.keys == NULL || domain_to_ascii(t->arena, domain, &q.domain) != NULL)
		return NULL;
	TRY(sign_dkim_keys_list(t->arena, x.keys, &q, &keys));
	f = add_fields(&x, t, &keys, out);
	if (f || out->full)
		return fail_code(t->arena, FAIL_UNAVAILABLE, "4.7.5",
				 "cannot sign this message now");
	*fields = buf_str(out);
	return NULL;
}
