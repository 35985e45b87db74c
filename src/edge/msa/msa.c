/*
 * What people may send (RFC 6409): after login (smtp.tbl), to anybody, as themselves. MAIL FROM and the header's From must be addresses
 * of the account: its own, an alias, a sub-address (sender_check). One From only: who sends for several is not known to us.
 * The null sender is good too: read receipts have it (RFC 8098 3). Bcc is the mail program's affair (RFC 5322 3.6.3): left as it is.
 */
#include "edge/msa/msa_int.h"

static const struct fail *check_own(struct smtp *s, struct arena *a, str address, const char *what,
				    struct permit *permit)
{
	struct office_sender_check_request q = { .ticket = smtp_login(s)->ticket,
						 .address = address };
	struct office_sender_check_answer r;
	const struct fail *f = office_sender_check(a, smtp_office(s), &q, &r);

	if (!f)
		*permit = r.permit;
	if (!f || f->what != FAIL_DENIED)
		return f;
	return fail_because(a, f, "%s is not an address of the account that is logged in", what);
}

static const struct fail *msa_sender(struct smtp *s, struct transaction *t)
{
	struct permit unused; /* it is From that vouches */

	if (t->mail.from.null)
		return NULL;
	return check_own(s, t->arena, t->sender, "MAIL FROM", &unused);
}

static const struct fail *msa_recipient(struct smtp *s, struct transaction *t, str address,
					str *out)
{
	return smtp_recipient_check(s, t, address, true, out);
}

/* RFC 8601 5, 7.1: a result in our name is believed here, so nobody else may write one, our own people neither. */
static const struct fail *msa_open(struct smtp *s, struct transaction *t, struct gate_rules *rules)
{
	(void)t;
	rules->names = &smtp_config(s)->server_hostname;
	rules->names_n = 1;
	return NULL;
}

/* The skeleton's form of an address is without quoting; here it becomes a mailbox again. */
static const struct fail *from_address(struct arena *a, const struct skeleton_address *from,
				       str *out)
{
	struct address m = { .local = from->mailbox, .domain = from->host };

	m.literal = str_starts(from->host, S("["));
	m.utf8 = !str_is_ascii(m.local) || !str_is_ascii(m.domain);
	if (m.domain.n == 0)
		return fail_code(a, FAIL_DENIED, "5.6.0", "From has no domain");
	return address_canonical(a, &m, out);
}

static const struct fail *msa_message(struct smtp *s, struct transaction *t,
				      const struct skeleton *k, struct smtp_judgement *out)
{
	struct permit permit;
	str address;

	if ((k->flags & SKELETON_NO_FROM) || k->envelope.from_n == 0)
		return fail_code(t->arena, FAIL_DENIED, "5.6.0", "no From in the header");
	if ((k->flags & SKELETON_MANY_FROM) || k->envelope.from_n != 1)
		return fail_code(t->arena, FAIL_DENIED, "5.7.1", "more than one From");
	TRY(from_address(t->arena, &k->envelope.from[0], &address));
	TRY(check_own(s, t->arena, address, "From", &permit));
	return msa_dkim(s, t, &permit, &out->fields);
}

const struct smtp_policy msa_policy = {
	.stage = "msa",
	.completes = true,
	.sender = msa_sender,
	.recipient = msa_recipient,
	.open = msa_open,
	.message = msa_message,
};
