/* See mail_signer.h. */
#include "serve/mail_signer.h"

#include "base/arena.h"
#include "base/env.h"

struct mail_signer {
	struct arena *arena;
	struct bus *sign;
	const struct permit *permit;
	const struct dkim_key_info *keys;
	size_t keys_n;
	struct dkim_signer *dkim;
};

/* A reload starts a new sign process: its moment of absence is no reason to refuse a mail. */
static u64 signer_patience(void)
{
	return env_monotonic(env_system()) + BUS_RESTART_MS;
}

const struct fail *mail_signer_new(struct arena *a, struct bus *sign, const struct permit *permit,
				   struct mail_signer **out)
{
	struct sign_dkim_keys_list_request q = { .domain = permit->domain };
	struct sign_dkim_keys_list_answer r;
	u64 until = signer_patience();
	struct dkim_key_info *active;
	const struct fail *f;
	size_t n = 0;

	*out = NULL;
	if (sign == NULL || permit->domain.n == 0)
		return NULL;
	do
		f = sign_dkim_keys_list(a, sign, &q, &r);
	while (f && f->what == FAIL_UNAVAILABLE && bus_wait(sign, until));
	TRY(f);
	active = arena_array_of(a, r.keys_n, struct dkim_key_info);
	for (size_t i = 0; i < r.keys_n; i++)
		if (r.keys[i].state == DKIM_KEY_ACTIVE)
			active[n++] = r.keys[i];
	if (n == 0)
		return NULL;
	*out = arena_new_of(a, struct mail_signer);
	**out = (struct mail_signer){
		.arena = a, .sign = sign, .permit = permit, .keys = active, .keys_n = n
	};
	return NULL;
}

void mail_signer_header(struct mail_signer *s, str header, bool lists_may_add)
{
	struct dkim_sign_options o = dkim_sign_defaults(env_now(env_system()) / 1000);

	o.lists_may_add = lists_may_add;
	s->dkim = dkim_signer_new(s->arena, header, &o);
}

void mail_signer_body(struct mail_signer *s, str piece)
{
	dkim_signer_body(s->dkim, piece);
}

static const struct fail *ask(void *context, struct arena *a, const struct dkim_identity *who,
			      str digest, str *signature)
{
	const struct mail_signer *s = context;
	struct sign_dkim_sign_request q = { .permit = *s->permit,
					    .selector = who->selector,
					    .digest = digest };
	struct sign_dkim_sign_answer r;
	u64 until = signer_patience();
	const struct fail *f;

	do
		f = sign_dkim_sign(a, s->sign, &q, &r);
	while (f && f->what == FAIL_UNAVAILABLE && bus_wait(s->sign, until));
	TRY(f);
	*signature = r.signature;
	return NULL;
}

const struct fail *mail_signer_fields(struct mail_signer *s, str *out)
{
	const struct dkim_key_holder holder = { .context = s, .sign = ask };
	struct buf *fields = buf_new(s->arena, MAIL_SIGNER_FIELDS);

	for (size_t i = 0; i < s->keys_n; i++) {
		struct dkim_identity who = { .domain = s->keys[i].domain,
					     .selector = s->keys[i].selector,
					     .algorithm =
						 str_eq(s->keys[i].algorithm, S("rsa-sha256"))
						     ? DKIM_RSA_SHA256
						     : DKIM_ED25519_SHA256 };
		TRY(dkim_signer_field(s->dkim, &who, &holder, fields));
	}
	if (fields->full)
		return fail_new(s->arena, FAIL_LIMIT, "too many DKIM signatures");
	*out = buf_str(fields);
	return NULL;
}
