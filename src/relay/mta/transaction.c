/*
 * One mail transaction: MAIL, RCPT, DATA, the message, the verdict on it.
 *
 * With PIPELINING (RFC 2920) the three go in one write and the replies are read afterwards; without, one by one. Either way the
 * same functions take the replies. A recipient's fate is settled by the first of these that refuses: our own checks, MAIL, its RCPT,
 * DATA, the final dot; it is delivered when the final reply is positive. When the connection ends after the final dot nobody
 * knows: temporary, and it may arrive twice (RFC 5321 4.2.5 puts the duty on us until the reply).
 */
#include "base/arena.h"
#include "base/check.h"
#include "base/scan.h"
#include "relay/mta/client_int.h"
#include "text/encoding.h"

enum {
	COMMAND_LINE = 4096
}; /* RFC 5321 4.5.3.1.4 and what the extensions add: ENVID 100, ORCPT 500, addresses 256, xtext thrice that */

/* What is under way in one call of client_send. */
struct batch {
	struct arena *arena;
	struct smtp_client *client;
	struct client_transaction *transaction;
	struct client_recipient *recipients[MTA_RECIPIENTS];
	bool accepted[MTA_RECIPIENTS];
	size_t n, accepted_n;
	const struct fail *refused; /* by MAIL: all; by DATA: the accepted ones */
	bool mail_refused;
	bool go; /* 354 */
};

static void settle(struct client_recipient *r, const struct fail *f)
{
	r->fate = f->kind == FAIL_PERM ? FATE_PERM : FATE_TEMP;
	r->code = f->code;
	r->text = f->text;
}

static void settle_pending(struct batch *b, const struct fail *f)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->recipients[i]->fate == FATE_PENDING)
			settle(b->recipients[i], f);
}

/* Those whose RCPT was taken; the others are settled or wait for the next transaction. */
static void settle_accepted(struct batch *b, const struct fail *f)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->accepted[i])
			settle(b->recipients[i], f);
}

/* --- Commands ------------------------------------------------------------------------------------------------- */

/* False: something of it can be in no command. */
static bool command_is_clean(const struct buf *line)
{
	for (size_t i = 0; i < line->n; i++)
		if (char_is(line->p[i], CHAR_CTL))
			return false;
	return !line->full;
}

static bool utf8_is_needed(const struct client_transaction *t)
{
	bool needed = !str_is_ascii(t->job->sender) || (t->job->smtputf8 && t->body->header_8bit);

	for (size_t i = 0; i < t->recipients_n && !needed; i++)
		needed = !str_is_ascii(t->recipients[i].entry->address);
	return needed;
}

static void mail_parameters(const struct batch *b, struct buf *line)
{
	const struct client_transaction *t = b->transaction;
	u32 offers = b->client->offers;

	if (offers & OFFER_SIZE)
		buf_printf(line, " SIZE=%zu", t->body->bytes.n);
	if (t->body->eight_bit && (offers & OFFER_8BITMIME))
		buf_add(line, S(" BODY=8BITMIME"));
	if (utf8_is_needed(t))
		buf_add(line, S(" SMTPUTF8"));
	if (!(offers & OFFER_DSN))
		return;
	if (t->job->ret != DSN_RET_UNSAID)
		buf_add(line, t->job->ret == DSN_RET_FULL ? S(" RET=FULL") : S(" RET=HDRS"));
	if (t->job->envid.n) {
		buf_add(line, S(" ENVID="));
		xtext_encode(line, t->job->envid);
	}
}

static struct buf *mail_command(const struct batch *b)
{
	struct buf *line = buf_new(b->arena, COMMAND_LINE);

	buf_printf(line, "MAIL FROM:<%.*s>", STR_ARG(b->transaction->job->sender));
	mail_parameters(b, line);
	return line;
}

static void rcpt_notify(struct buf *line, u32 notify)
{
	static const struct {
		u32 bit;
		const char *name;
	} names[] = { { DSN_NOTIFY_NEVER, "NEVER" },
		      { DSN_NOTIFY_SUCCESS, "SUCCESS" },
		      { DSN_NOTIFY_FAILURE, "FAILURE" },
		      { DSN_NOTIFY_DELAY, "DELAY" } };
	const char *before = " NOTIFY=";

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (!(notify & names[i].bit))
			continue;
		buf_printf(line, "%s%s", before, names[i].name);
		before = ",";
	}
}

/* RFC 3461 4.2. not: a non-ASCII one (RFC 6533 3), because few read it and it is only a hint. */
static void rcpt_original(struct buf *line, str orcpt)
{
	size_t semicolon = str_find(orcpt, ';');

	if (semicolon == SIZE_MAX || !str_is_ascii(orcpt))
		return;
	buf_add(line, S(" ORCPT="));
	buf_add(line, str_slice(orcpt, 0, semicolon + 1));
	xtext_encode(line, str_skip(orcpt, semicolon + 1));
}

static struct buf *rcpt_command(const struct batch *b, const struct job_entry *e)
{
	struct buf *line = buf_new(b->arena, COMMAND_LINE);

	buf_printf(line, "RCPT TO:<%.*s>", STR_ARG(e->address));
	if (b->client->offers & OFFER_DSN) {
		rcpt_notify(line, e->notify);
		rcpt_original(line, e->orcpt);
	}
	return line;
}

/* --- Before the first byte ------------------------------------------------------------------------------------ */

static const struct fail *peer_can_take(const struct batch *b)
{
	const struct smtp_client *k = b->client;
	const struct body *body = b->transaction->body;

	if ((k->offers & OFFER_SIZE) && k->size_most && body->bytes.n > k->size_most)
		return fail_code(b->arena, FAIL_TOO_LARGE, "5.3.4",
				 "%.*s takes messages of at most %llu bytes", STR_ARG(k->host),
				 (unsigned long long)k->size_most);
	if (utf8_is_needed(b->transaction) && !(k->offers & OFFER_SMTPUTF8))
		return fail_code(b->arena, FAIL_INVALID, "5.6.7",
				 "%.*s cannot take internationalised addresses (SMTPUTF8)",
				 STR_ARG(k->host));
	if (body->eight_bit && !(k->offers & OFFER_8BITMIME))
		return fail_code(b->arena, FAIL_INVALID, "5.6.3",
				 "%.*s cannot take 8-bit content (8BITMIME)", STR_ARG(k->host));
	return NULL;
}

static void batch_fill(struct batch *b)
{
	struct client_transaction *t = b->transaction;

	for (size_t i = 0; i < t->recipients_n && b->n < MTA_RECIPIENTS; i++)
		if (t->recipients[i].fate == FATE_PENDING)
			b->recipients[b->n++] = &t->recipients[i];
}

/* --- Replies -------------------------------------------------------------------------------------------------- */

static const struct fail *mail_replied(struct batch *b, const struct smtp_reply *r)
{
	b->mail_refused = reply_is(r, 4) || reply_is(r, 5);
	if (b->mail_refused)
		b->refused = client_refusal(b->arena, r);
	else if (!reply_is(r, 2))
		return client_nonsense(b->arena, b->client, r);
	return NULL;
}

/* RFC 5321 4.5.3.1.10: 452, or 552 from old servers, to a later recipient means "too many": it stays pending and goes next. */
static const struct fail *rcpt_replied(struct batch *b, size_t i, const struct smtp_reply *r)
{
	bool too_many = (r->code == 452 || r->code == 552) && b->accepted_n > 0;

	if (reply_is(r, 2)) {
		b->accepted[i] = true;
		b->accepted_n++;
		return NULL;
	}
	if (!reply_is(r, 4) && !reply_is(r, 5))
		return client_nonsense(b->arena, b->client, r);
	if (b->refused == NULL && !too_many)
		settle(b->recipients[i], client_refusal(b->arena, r));
	return NULL;
}

static const struct fail *data_replied(struct batch *b, const struct smtp_reply *r)
{
	if (r->code == 354) {
		b->go = true;
		return NULL;
	}
	if (!reply_is(r, 4) && !reply_is(r, 5))
		return client_nonsense(b->arena, b->client, r);
	if (b->refused == NULL)
		b->refused = client_refusal(b->arena, r);
	return NULL;
}

/* --- The envelope --------------------------------------------------------------------------------------------- */

static const struct fail *ask(struct batch *b, u64 ms, str line, struct smtp_reply *r)
{
	return client_command(b->arena, b->client, ms, line, r);
}

static const struct fail *envelope_stepwise(struct batch *b, str mail, const str *rcpt)
{
	const struct mta_times *times = b->client->times;
	struct smtp_reply r;

	TRY(ask(b, times->mail, mail, &r));
	TRY(mail_replied(b, &r));
	for (size_t i = 0; i < b->n && !b->refused; i++) {
		TRY(ask(b, times->rcpt, rcpt[i], &r));
		TRY(rcpt_replied(b, i, &r));
	}
	if (b->refused || b->accepted_n == 0)
		return NULL;
	TRY(ask(b, times->data, S("DATA"), &r));
	return data_replied(b, &r);
}

static const struct fail *put_line(struct connection *c, str line)
{
	TRY(connection_write(c, line));
	return connection_write(c, S("\r\n"));
}

static const struct fail *envelope_write(struct batch *b, str mail, const str *rcpt)
{
	struct connection *c = b->client->connection;

	connection_deadline(c, b->client->times->mail);
	TRY(put_line(c, mail));
	for (size_t i = 0; i < b->n; i++)
		TRY(put_line(c, rcpt[i]));
	TRY(put_line(c, S("DATA")));
	return connection_flush(c);
}

static const struct fail *envelope_pipelined(struct batch *b, str mail, const str *rcpt)
{
	const struct mta_times *times = b->client->times;
	struct smtp_reply r;

	TRY(envelope_write(b, mail, rcpt));
	TRY(client_reply(b->arena, b->client, times->mail, &r));
	TRY(mail_replied(b, &r));
	for (size_t i = 0; i < b->n; i++) {
		TRY(client_reply(b->arena, b->client, times->rcpt, &r));
		TRY(rcpt_replied(b, i, &r));
	}
	TRY(client_reply(b->arena, b->client, times->data, &r));
	return data_replied(b, &r);
}

/* Composes the commands. A recipient whose address can be in no command is settled and left out. */
static bool batch_commands(struct batch *b, str *mail, str *rcpt)
{
	static const struct fail bad =
	    FAIL_STATIC(INVALID, "the address cannot be written in SMTP");
	struct buf *line = mail_command(b);
	size_t kept = 0;

	*mail = buf_str(line);
	if (!command_is_clean(line)) {
		settle_pending(b, &bad);
		return false;
	}
	for (size_t i = 0; i < b->n; i++) {
		line = rcpt_command(b, b->recipients[i]->entry);
		if (!command_is_clean(line)) {
			settle(b->recipients[i], &bad);
			continue;
		}
		rcpt[kept] = buf_str(line);
		b->recipients[kept++] = b->recipients[i];
	}
	b->n = kept;
	return kept > 0;
}

/* --- The message ---------------------------------------------------------------------------------------------- */

/* RFC 2920 3.1: DATA was taken although nobody was; an empty message ends it, and whatever is said to that does not matter. */
static const struct fail *data_cancel(struct batch *b)
{
	struct smtp_reply r;

	return ask(b, b->client->times->final, S("."), &r);
}

static void delivered(struct batch *b, const struct smtp_reply *r)
{
	str code = smtp_reply_status(b->arena, r), text = smtp_reply_text(b->arena, r);

	for (size_t i = 0; i < b->n; i++)
		if (b->accepted[i]) {
			b->recipients[i]->fate = FATE_DELIVERED;
			b->recipients[i]->code = code;
			b->recipients[i]->text = text;
		}
	if (b->client->offers & OFFER_DSN)
		b->transaction->dsn = true;
}

static const struct fail *message_lost(struct batch *b, const struct fail *f)
{
	settle_accepted(b, fail_code(b->arena, FAIL_UNAVAILABLE, "4.4.2",
				     "the connection ended before the server confirmed the "
				     "message; it may arrive twice: %.*s",
				     STR_ARG(f->text)));
	return f;
}

/* Cut short, so the server has no whole message: it may go elsewhere, unless the server refused it while it was sent, as many do with one that is too
 * large. Whether such a one still reads nobody knows, so the connection is good for nothing. */
static const struct fail *message_cut(struct batch *b)
{
	struct smtp_client *k = b->client;
	bool heard = connection_heard(k->connection);
	struct smtp_reply r = { 0 };
	const struct fail *f = heard ? client_reply(b->arena, k, k->times->data, &r) : NULL;

	k->closing = true;
	connection_close(k->connection);
	if (f && r.code == 421)
		return f;
	if (f || !heard)
		return fail_code(b->arena, FAIL_UNAVAILABLE, "4.4.2",
				 "the connection ended while the message was sent");
	if (!reply_is(&r, 4) && !reply_is(&r, 5))
		return client_nonsense(b->arena, k, &r);
	settle_accepted(b, client_refusal(b->arena, &r));
	return NULL;
}

static const struct fail *message_send(struct batch *b)
{
	struct smtp_client *k = b->client;
	struct smtp_reply r = { 0 };
	const struct fail *f;

	connection_listen(k->connection, true);
	f = body_send(k->connection, b->transaction->body, k->times);
	connection_listen(k->connection, false);
	if (f)
		return message_cut(b);
	f = client_reply(b->arena, k, k->times->final, &r);
	if (f && r.code == 421) { /* said no, and goes: nothing is doubtful */
		settle_accepted(b, f);
		return f;
	}
	if (f)
		return message_lost(b, f);
	if (reply_is(&r, 2))
		delivered(b, &r);
	else if (reply_is(&r, 3))
		return message_lost(b, client_nonsense(b->arena, k, &r));
	else
		settle_accepted(b, client_refusal(b->arena, &r));
	return NULL;
}

static const struct fail *batch_send(struct batch *b)
{
	str mail, *rcpt = arena_array_of(b->arena, b->n, str);
	bool pipelining = (b->client->offers & OFFER_PIPELINING) != 0;

	if (!batch_commands(b, &mail, rcpt))
		return NULL;
	b->client->messages++;
	TRY(pipelining ? envelope_pipelined(b, mail, rcpt) : envelope_stepwise(b, mail, rcpt));
	if (b->go && b->accepted_n && !b->refused)
		return message_send(b);
	if (b->mail_refused)
		settle_pending(b, b->refused);
	else if (b->refused)
		settle_accepted(b, b->refused);
	if (b->go)
		return data_cancel(b);
	if (!client_reset(b->client))
		b->client->closing = true;
	return NULL;
}

const struct fail *client_send(struct arena *a, struct smtp_client *k, struct client_transaction *t)
{
	struct batch *b = arena_new_of(a, struct batch);

	CHECK_MAGIC(k, CLIENT_MAGIC);
	*b = (struct batch){ .arena = a, .client = k, .transaction = t };
	batch_fill(b);
	const struct fail *f = peer_can_take(b);
	if (f) {
		settle_pending(b, f);
		return NULL;
	}
	f = batch_send(b);
	if (f)
		k->closing = true;
	return f;
}
