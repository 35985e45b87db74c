/*
 * Signs what our own people send (serve/mail_signer.h): after all of the message is there, for the domain of the From address that the
 * office has just said belongs to the account (msa.c), by the permit that came with its word.
 */
#include "edge/msa/msa_int.h"
#include "serve/mail_signer.h"

static const struct fail *show_header(void *context, str header)
{
	mail_signer_header(context, header);
	return NULL;
}

static void show_body(void *context, str piece)
{
	mail_signer_body(context, piece);
}

static const struct fail *sign(struct transaction *t, struct bus *keys, const struct permit *permit,
			       str *fields)
{
	struct mail_signer *signer;
	struct gate_watch watch = { .header = show_header, .body = show_body };

	TRY(mail_signer_new(t->arena, keys, permit, &signer));
	if (signer == NULL)
		return NULL;
	watch.context = signer;
	TRY(gate_replay(t->gate, &watch));
	return mail_signer_fields(signer, fields);
}

const struct fail *msa_dkim(struct smtp *s, struct transaction *t, const struct permit *permit,
			    str *fields)
{
	*fields = STR_NONE;
	if (sign(t, smtp_sign(s), permit, fields) == NULL)
		return NULL;
	return fail_code(t->arena, FAIL_UNAVAILABLE, "4.7.5", "cannot sign this message now");
}
