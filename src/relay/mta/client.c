#include "relay/mta/client.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/scan.h"
#include "relay/mta/client_int.h"
#include "text/encoding.h"

enum { REPLY_ARENA = 2 * SMTP_REPLY_LINE * SMTP_REPLY_LINES, AUTH_LINE = 2048 };

/* --- Replies -------------------------------------------------------------------------------------------------- */

/* A copy that outlives the connection. */
static const struct fail *keep(struct arena *a, const struct fail *f)
{
	struct fail *copy = arena_new_of(a, struct fail);

	*copy = *f;
	copy->code = str_copy(a, f->code);
	copy->text = str_copy(a, f->text);
	copy->cause = NULL;
	return copy;
}

const struct fail *client_refusal(struct arena *a, const struct smtp_reply *reply)
{
	struct fail *f = arena_new_of(a, struct fail);
	str status = smtp_reply_status(a, reply);
	bool perm = reply_is(reply, 5);

	f->what = perm ? FAIL_DENIED : FAIL_UNAVAILABLE;
	f->kind = perm ? FAIL_PERM : FAIL_TEMP;
	f->code = str_format(a, "%c%.*s", perm ? '5' : '4', STR_ARG(str_skip(status, 1)));
	f->text = smtp_reply_text(a, reply);
	return f;
}

const struct fail *client_nonsense(struct arena *a, struct smtp_client *k,
				   const struct smtp_reply *reply)
{
	k->closing = true;
	return fail_code(a, FAIL_UNAVAILABLE, "4.5.0", "the server said out of place: %.*s",
			 STR_ARG(smtp_reply_text(k->reply, reply)));
}

static const struct fail *read_reply(struct smtp_client *k, u64 ms, struct smtp_reply *out)
{
	struct smtp_reply_reader reader;
	bool done = false;
	str line;

	arena_reset(k->reply);
	smtp_reply_start(&reader, k->reply);
	connection_deadline(k->connection, ms);
	while (!done) {
		TRY(connection_line(k->connection, &line));
		TRY(smtp_reply_feed(&reader, line, &done, out));
	}
	return NULL;
}

const struct fail *client_reply(struct arena *a, struct smtp_client *k, u64 ms,
				struct smtp_reply *out)
{
	const struct fail *f = read_reply(k, ms, out);

	if (f == NULL && out->code == 421)
		f = client_refusal(a, out);
	if (f == NULL)
		return NULL;
	k->closing = true;
	return keep(a, f);
}

const struct fail *client_command(struct arena *a, struct smtp_client *k, u64 ms, str line,
				  struct smtp_reply *out)
{
	const struct fail *f;

	for (size_t i = 0; i < line.n; i++)
		CHECK(!char_is(line.p[i], CHAR_CTL));
	connection_deadline(k->connection, ms);
	f = connection_write(k->connection, line);
	if (f == NULL)
		f = connection_write(k->connection, S("\r\n"));
	if (f == NULL)
		f = connection_flush(k->connection);
	return f ? keep(a, f) : client_reply(a, k, ms, out);
}

/* --- Greeting and EHLO ---------------------------------------------------------------------------------------- */

/* The server names itself first in its greeting and in its EHLO reply (RFC 5321 4.2, 4.1.1.1): our own name there is a loop. */
static const struct fail *not_ourselves(struct arena *a, const struct smtp_client *k,
					const struct smtp_reply *r, str own)
{
	struct scan s = scan_of(r->lines_n ? r->lines[0] : STR_NONE);
	str name;

	if (scan_wsp0(&s) && scan_span(&s, CHAR_VCHAR, &name) && str_eq_nocase(name, own))
		return fail_code(a, FAIL_CONFLICT, "5.4.6",
				 "mail loops back to me: %.*s is %.*s itself", STR_ARG(k->host),
				 STR_ARG(own));
	return NULL;
}

static const struct fail *greeting(struct arena *a, struct smtp_client *k,
				   const struct client_target *t)
{
	struct smtp_reply r;

	TRY(client_reply(a, k, t->times->greeting, &r));
	if (reply_is(&r, 4) || reply_is(&r, 5))
		return client_refusal(a, &r);
	if (!reply_is(&r, 2))
		return client_nonsense(a, k, &r);
	return not_ourselves(a, k, &r, t->own_name);
}

static u32 auth_offers(str mechanisms)
{
	struct scan s = scan_of(mechanisms);
	u32 offers = 0;
	str name;

	while (scan_wsp0(&s) && scan_span(&s, CHAR_VCHAR, &name)) {
		if (str_eq_nocase(name, S("PLAIN")))
			offers |= OFFER_AUTH_PLAIN;
		if (str_eq_nocase(name, S("LOGIN")))
			offers |= OFFER_AUTH_LOGIN;
	}
	return offers;
}

static void read_offers(struct smtp_client *k, const struct smtp_reply *r)
{
	static const struct {
		const char *keyword;
		u32 offer;
	} plain[] = {
		{ "PIPELINING", OFFER_PIPELINING },
		{ "SIZE", OFFER_SIZE },
		{ "8BITMIME", OFFER_8BITMIME },
		{ "SMTPUTF8", OFFER_SMTPUTF8 },
		{ "DSN", OFFER_DSN },
		{ "STARTTLS", OFFER_STARTTLS },
	};
	str params;

	k->offers = 0;
	k->size_most = 0;
	for (size_t i = 0; i < ARRAY_LEN(plain); i++)
		if (smtp_reply_extension(r, str_cstr(plain[i].keyword), &params))
			k->offers |= plain[i].offer;
	if (smtp_reply_extension(r, S("SIZE"), &params) &&
	    !str_u64(str_trim(params), &k->size_most))
		k->size_most = 0; /* RFC 1870 4: without a number there is no fixed limit */
	if (smtp_reply_extension(r, S("AUTH"), &params))
		k->offers |= auth_offers(params);
}

/* RFC 5321 3.2: HELO for a server that does not know EHLO. */
static const struct fail *hello(struct arena *a, struct smtp_client *k,
				const struct client_target *t)
{
	struct smtp_reply r;
	u64 ms = t->times->command;

	TRY(client_command(a, k, ms, str_format(a, "EHLO %.*s", STR_ARG(t->own_name)), &r));
	if (reply_is(&r, 5)) {
		str line = str_format(a, "HELO %.*s", STR_ARG(t->own_name));
		TRY(client_command(a, k, ms, line, &r));
		r.lines_n =
		    r.lines_n ? 1 : 0; /* whatever it adds, extensions come with EHLO alone */
	}
	if (reply_is(&r, 4) || reply_is(&r, 5))
		return client_refusal(a, &r);
	if (!reply_is(&r, 2))
		return client_nonsense(a, k, &r);
	read_offers(k, &r);
	return not_ourselves(a, k, &r, t->own_name);
}

/* --- TLS ------------------------------------------------------------------------------------------------------ */

static const struct fail *handshake(struct arena *a, struct smtp_client *k,
				    const struct client_target *t)
{
	bool verify = t->login.user.n && t->login.verify;
	SSL_CTX *context = verify ? t->contexts->verified : t->contexts->opportunistic;

	connection_deadline(k->connection, t->times->handshake);
	const struct fail *f = connection_start_tls(k->connection, context, t->host, verify);
	return f ? keep(a, f) : NULL;
}

/* RFC 3207. What EHLO said before is forgotten (4.2). */
static const struct fail *start_tls(struct arena *a, struct smtp_client *k,
				    const struct client_target *t, bool *tls_failed)
{
	bool required = t->tls == ROUTE_TLS_REQUIRED;
	struct smtp_reply r;

	if (!(k->offers & OFFER_STARTTLS))
		return required ? fail_code(a, FAIL_UNAVAILABLE, "4.7.4",
					    "TLS is required but the server does not offer it")
				: NULL;
	TRY(client_command(a, k, t->times->command, S("STARTTLS"), &r));
	if (!reply_is(&r, 2))
		return required ? fail_code(a, FAIL_UNAVAILABLE, "4.7.4",
					    "TLS is required but the server refused it: %.*s",
					    STR_ARG(smtp_reply_text(a, &r)))
				: NULL;
	const struct fail *f = handshake(a, k, t);
	*tls_failed = f && !required;
	return f ? f : hello(a, k, t);
}

/* --- Login ---------------------------------------------------------------------------------------------------- */

/* A wrong password is our own mistake, not the sender's: no mail goes back for it. */
static const struct fail *login_failed(struct arena *a, const struct smtp_reply *r)
{
	return fail_code(a, FAIL_UNAVAILABLE, "4.7.8", "login at the smarthost failed: %.*s",
			 STR_ARG(smtp_reply_text(a, r)));
}

static const struct fail *login_step(struct arena *a, struct smtp_client *k, struct buf *line,
				     u32 expected)
{
	struct smtp_reply r;

	CHECK(!line->full);
	TRY(client_command(a, k, k->times->command, buf_str(line), &r));
	buf_reset(line);
	return r.code == expected ? NULL : login_failed(a, &r);
}

/* RFC 4616 */
static const struct fail *login_plain(struct arena *a, struct smtp_client *k,
				      const struct client_login *l)
{
	struct buf *line = buf_new(a, AUTH_LINE), *message = buf_new(a, AUTH_LINE);

	buf_add_byte(message, 0);
	buf_add(message, l->user);
	buf_add_byte(message, 0);
	buf_add(message, l->password);
	buf_add(line, S("AUTH PLAIN "));
	base64_encode(line, buf_str(message));
	return login_step(a, k, line, 235);
}

static const struct fail *login_login(struct arena *a, struct smtp_client *k,
				      const struct client_login *l)
{
	struct buf *line = buf_new(a, AUTH_LINE);

	buf_add(line, S("AUTH LOGIN"));
	TRY(login_step(a, k, line, 334));
	base64_encode(line, l->user);
	TRY(login_step(a, k, line, 334));
	base64_encode(line, l->password);
	return login_step(a, k, line, 235);
}

static const struct fail *login(struct arena *a, struct smtp_client *k,
				const struct client_target *t)
{
	if (t->login.user.n == 0)
		return NULL;
	if (!connection_is_tls(k->connection))
		return fail_code(a, FAIL_UNAVAILABLE, "4.7.11", "no login without TLS");
	if (k->offers & OFFER_AUTH_PLAIN)
		return login_plain(a, k, &t->login);
	if (k->offers & OFFER_AUTH_LOGIN)
		return login_login(a, k, &t->login);
	return fail_code(a, FAIL_UNAVAILABLE, "4.7.4",
			 "the smarthost offers no login that we know");
}

/* --- Opening and closing -------------------------------------------------------------------------------------- */

static struct smtp_client *client_new(const struct client_target *t)
{
	struct arena *own = arena_new(MTA_CLIENT_ARENA);
	struct smtp_client *k = arena_new_of(own, struct smtp_client);

	k->magic = CLIENT_MAGIC;
	k->arena = own;
	k->reply = arena_new(REPLY_ARENA);
	k->times = t->times;
	k->host = str_copy(own, t->host);
	k->address = address_text(own, &t->address);
	return k;
}

static const struct fail *converse(struct arena *a, struct smtp_client *k,
				   const struct client_target *t, bool *tls_failed)
{
	if (t->tls == ROUTE_TLS_IMPLICIT)
		TRY(handshake(a, k, t));
	TRY(greeting(a, k, t));
	TRY(hello(a, k, t));
	if (t->tls == ROUTE_TLS_MAY || t->tls == ROUTE_TLS_REQUIRED)
		TRY(start_tls(a, k, t, tls_failed));
	return login(a, k, t);
}

static const struct fail *client_begin(struct arena *a, struct smtp_client *k,
				       const struct client_target *t, struct smtp_client **out,
				       bool *tls_failed)
{
	const struct fail *f = converse(a, k, t, tls_failed);

	if (f)
		client_free(&k);
	*out = k;
	return f;
}

const struct fail *client_adopt(struct arena *a, int fd, const struct client_target *t,
				struct smtp_client **out, bool *tls_failed)
{
	struct smtp_client *k = client_new(t);

	*tls_failed = false;
	k->connection = connection_adopt(k->arena, fd);
	return client_begin(a, k, t, out, tls_failed);
}

const struct fail *client_open(struct arena *a, const struct client_target *t,
			       struct smtp_client **out, bool *tls_failed)
{
	struct smtp_client *k = client_new(t);
	const struct fail *f =
	    connection_open(k->arena, &t->address, t->port, t->times->connect, &k->connection);

	*tls_failed = false;
	*out = NULL;
	if (f == NULL)
		return client_begin(a, k, t, out, tls_failed);
	f = keep(a, f);
	client_free(&k);
	return f;
}

void client_free(struct smtp_client **at)
{
	struct smtp_client *k = *at;
	struct arena *own;

	if (k == NULL)
		return;
	CHECK_MAGIC(k, CLIENT_MAGIC);
	if (k->connection && !k->closing && connection_error(k->connection) == NULL) {
		connection_deadline(k->connection, k->times->quit);
		if (connection_write(k->connection, S("QUIT\r\n")) == NULL)
			(void)!connection_flush(k->connection); /* it is over either way */
	}
	arena_free(&k->reply);
	own = k->arena;
	arena_free(&own);
	*at = NULL;
}

bool client_reset(struct smtp_client *k)
{
	struct arena *a = arena_new(MTA_CLIENT_ARENA);
	struct smtp_reply r;
	bool good =
	    client_command(a, k, k->times->command, S("RSET"), &r) == NULL && reply_is(&r, 2);

	arena_free(&a);
	return good;
}

bool client_is_good(struct smtp_client *k)
{
	return !k->closing && k->messages < MTA_MESSAGES && !connection_has_input(k->connection);
}

str client_host(const struct smtp_client *k)
{
	return k->host;
}

str client_address(const struct smtp_client *k)
{
	return k->address;
}

str client_tls(const struct smtp_client *k)
{
	return connection_tls_text(k->connection);
}
