/*
 * Signs what our own people send (serve/mail_signer.h): after all of the message is there, for the domain of the From address that the
 * office has just said belongs to the account (msa.c), by the permit that came with its word.
 */
#include "edge/msa/msa_int.h"
#include "serve/mail_signer.h"

struct signing {
	struct mail_signer *signer;
	bool lists_may_add;
};

static const struct fail *show_header(void *context, str header)
{
	const struct signing *x = context;

	mail_signer_header(x->signer, header, x->lists_may_add);
	return NULL;
}

static void show_body(void *context, str piece)
{
	mail_signer_body(((struct signing *)context)->signer, piece);
}

static const struct fail *sign(struct smtp *s, struct transaction *t, const struct permit *permit,
			       str *fields)
{
	struct signing x = { .lists_may_add = smtp_config(s)->dkim_lists_may_add };
	const struct gate_watch watch = { .context = &x, .header = show_header, .body = show_body };

	TRY(mail_signer_new(t->arena, smtp_sign(s), permit, &x.signer));
	if (x.signer == NULL)
		return NULL;
	TRY(gate_replay(t->gate, &watch));
	return mail_signer_fields(x.signer, fields);
}

const struct fail *msa_dkim(struct smtp *s, struct transaction *t, const struct permit *permit,
			    str *fields)
{
	*fields = STR_NONE;
	if (sign(s, t, permit, fields) == NULL)
		return NULL;
	return fail_code(t->arena, FAIL_UNAVAILABLE, "4.7.5", "cannot sign this message now");
}
