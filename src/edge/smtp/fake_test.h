/*
 * For tests and fuzzers of this folder: an office and a login in this process, over real buses, and a client that talks to
 * one session (serve_one on a thread of its own).
 *
 * example.test is ours: alice (password "alice") and bob have mailboxes, full@ is full, off@ suspended, everybody else unknown.
 */
#ifndef EDGE_SMTP_FAKE_TEST_H
#define EDGE_SMTP_FAKE_TEST_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/fd.h"
#include "base/id.h"
#include "edge/edge.h"
#include "edge/gate/body_test.h"
#include "bus/login.h"
#include "bus/office.h"
#include "bus/server.h"
#include "config/config.h"
#include "edge/smtp/smtp.h"
#include "text/skeleton.h"

enum { FAKE_KEPT = 64 };

struct fake_message {
	str sender, bytes, recipients; /* recipients: "a@b c@d" */
	u8 body_type;
	bool smtputf8, has_ticket;
};

struct fake {
	struct arena *
	    arena; /* of what was committed; one commit at a time, since one session talks at a time */
	struct process process;
	struct config *config;
	struct bus_server *office, *login;
	pthread_t office_thread, login_thread;
	struct fake_message kept[FAKE_KEPT]; /* the newest FAKE_KEPT */
	atomic_uint committed, events, checked;
	u64 last_attempt; /* that was recorded */
	atomic_bool refuse_commit;
	atomic_uint delay_ms;
	struct edge edge;
};

/* --- Office ------------------------------------------------------------------------------------------------------ */

static const struct fail *fake_recipient_check(struct bus_call *call)
{
	const struct office_recipient_check_request *q = call->request;
	struct office_recipient_check_answer *r = call->answer;
	str address = str_lower(call->arena, q->address);

	r->canonical = address;
	if (str_eq(address, S("postmaster")))
		r->canonical = S("postmaster@example.test");
	else if (!str_ends_nocase(address, S("@example.test")))
		r->result = RECIPIENT_REMOTE;
	else if (str_eq(address, S("alice@example.test")) ||
		 str_eq(address, S("bob@example.test")) ||
		 str_eq(address, S("postmaster@example.test")))
		r->result = RECIPIENT_LOCAL;
	else if (str_eq(address, S("full@example.test")))
		r->result = RECIPIENT_FULL;
	else if (str_eq(address, S("off@example.test")))
		r->result = RECIPIENT_SUSPENDED;
	else
		r->result = RECIPIENT_UNKNOWN;
	return NULL;
}

static const struct fail *fake_sender_check(struct bus_call *call)
{
	const struct office_sender_check_request *q = call->request;

	if (q->ticket.account == 1 && str_eq(q->address, S("alice@example.test")))
		return NULL;
	return fail_new(call->arena, FAIL_DENIED, "not yours");
}

static const struct fail *fake_spool_file(struct bus_call *call)
{
	struct office_spool_file_answer *r = call->answer;

	r->file = arena_own_fd(call->arena, fd_memory("fake file"));
	return NULL;
}

static str fake_addresses(struct arena *a, const struct envelope *e)
{
	struct buf *out = buf_new(a, 1 << 20);

	for (size_t i = 0; i < e->recipients_n; i++) {
		if (i > 0)
			buf_add_byte(out, ' ');
		buf_add(out, e->recipients[i].address);
	}
	return buf_str(out);
}

static const struct fail *fake_message_commit(struct bus_call *call)
{
	const struct office_message_commit_request *q = call->request;
	struct fake *x = call->context;
	struct fake_message *m = &x->kept[x->committed % FAKE_KEPT];
	struct skeleton skeleton;
	str bytes, tail;

	if (x->refuse_commit)
		return fail_new(call->arena, FAIL_STORAGE, "disk full");
	CHECK((q->body.size > OFFICE_LARGE) == (q->body.file >= 0));
	TRY(body_bytes(call->arena, &q->body, &bytes, &tail));
	TRY(skeleton_decode(call->arena, tail, &skeleton));
	CHECK(skeleton.size == q->body.size);
	*m = (struct fake_message){ .sender = str_copy(x->arena, q->envelope.sender),
				    .recipients = fake_addresses(x->arena, &q->envelope),
				    .body_type = q->envelope.body_type,
				    .smtputf8 = q->envelope.smtputf8,
				    .has_ticket = q->ticket.account != 0 };
	m->bytes = str_copy(x->arena, bytes);
	x->committed++;
	return NULL;
}

static const struct fail *fake_event_add(struct bus_call *call)
{
	const struct office_event_add_request *q = call->request;
	struct fake *x = call->context;

	for (size_t i = 0; i < q->events_n; i++)
		CHECK(q->events[i].arguments.n > 1 && q->events[i].code.n > 0);
	if (q->events_n)
		x->last_attempt = q->events[q->events_n - 1].message;
	x->events += (unsigned)q->events_n;
	return NULL;
}

static void fake_office(void *context, struct bus_call *call)
{
	static const bus_serve_function table[] = { [1] = fake_recipient_check,
						    [2] = fake_sender_check,
						    [6] = fake_spool_file,
						    [4] = fake_message_commit,
						    [5] = fake_event_add };

	call->context = context;
	bus_serve(table, ARRAY_LEN(table), call);
}

/* --- Login ------------------------------------------------------------------------------------------------------- */

static void fake_verdict(struct fake *x, str response, u8 *status, struct ticket *ticket,
			 str *address, u32 *delay_ms)
{
	x->checked++;
	*status = SASL_FAILED;
	*delay_ms = x->delay_ms;
	if (!str_eq(response, str_from("\0alice@example.test\0alice", 25)) &&
	    !str_eq(response, S("alice")))
		return;
	*status = SASL_DONE;
	*address = S("alice@example.test");
	*ticket = (struct ticket){ .account = 1, .mac = S("0123456789abcdef0123456789abcdef") };
}

static const struct fail *fake_sasl_start(struct bus_call *call)
{
	const struct login_sasl_start_request *q = call->request;
	struct login_sasl_start_answer *r = call->answer;

	if (q->has_response && str_eq(q->mechanism, S("PLAIN"))) {
		fake_verdict(call->context, q->response, &r->status, &r->ticket, &r->address,
			     &r->delay_ms);
		return NULL;
	}
	r->status = SASL_CONTINUE;
	r->exchange = 7;
	r->has_challenge = true;
	r->challenge = str_eq(q->mechanism, S("LOGIN")) ? S("Password:") : STR_NONE;
	return NULL;
}

/* A response of "proof" is a SCRAM that ends with the server's own proof. */
static const struct fail *fake_sasl_step(struct bus_call *call)
{
	const struct login_sasl_step_request *q = call->request;
	struct login_sasl_step_answer *r = call->answer;

	r->has_challenge = str_eq(q->response, S("proof"));
	r->challenge = r->has_challenge ? S("v=mine") : STR_NONE;
	fake_verdict(call->context, r->has_challenge ? S("alice") : q->response, &r->status,
		     &r->ticket, &r->address, &r->delay_ms);
	return NULL;
}

static const struct fail *fake_sasl_abort(struct bus_call *call)
{
	(void)call;
	return NULL;
}

static void fake_login(void *context, struct bus_call *call)
{
	static const bus_serve_function table[] = {
		[1] = fake_sasl_start, [2] = fake_sasl_step, [3] = fake_sasl_abort
	};

	call->context = context;
	bus_serve(table, ARRAY_LEN(table), call);
}

/* --- Both -------------------------------------------------------------------------------------------------------- */

static void fake_gone(void *context, const struct bus_peer *peer)
{
	(void)context;
	(void)peer;
}

static void *fake_run(void *server)
{
	bus_server_run(server);
	return NULL;
}

/* A bus lives as long as the process, so the two are used again by the next fake. */
static struct bus *fake_bus(struct bus **bus, struct bus_server *server, pthread_t *thread)
{
	int pair[2];

	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	bus_server_add(server, pair[0], CALLER_CLIENT, 0);
	CHECK(pthread_create(thread, NULL, fake_run, server) == 0);
	if (!*bus)
		*bus = bus_new(-1);
	bus_replace(*bus, pair[1]);
	return *bus;
}

static struct fake *fake_new(void)
{
	static struct bus *office, *login;
	struct arena *a = arena_new((size_t)1 << 30);
	struct fake *x = arena_new_of(a, struct fake);

	x->arena = a;
	x->config = config_default(a);
	x->config->server_hostname = S("mx.example.test");
	x->config->login_plaintext = true;
	x->office = bus_server_new(office_methods, office_methods_n, fake_office, fake_gone, x);
	x->login = bus_server_new(login_methods, login_methods_n, fake_login, fake_gone, x);
	x->process = (struct process){ .role = ROLE_CLIENT,
				       .arena = a,
				       .config = x->config,
				       .office = fake_bus(&office, x->office, &x->office_thread),
				       .login = fake_bus(&login, x->login, &x->login_thread),
				       .notices = -1,
				       .state = &x->edge };
	return x;
}

static inline void fake_free(struct fake **x)
{
	struct arena *a = (*x)->arena;

	bus_replace((*x)->process.office, -1);
	bus_replace((*x)->process.login, -1);
	bus_server_stop((*x)->office);
	bus_server_stop((*x)->login);
	pthread_join((*x)->office_thread, NULL);
	pthread_join((*x)->login_thread, NULL);
	bus_server_free(&(*x)->office);
	bus_server_free(&(*x)->login);
	*x = NULL;
	arena_free(&a);
}

/* --- A client ---------------------------------------------------------------------------------------------------- */

struct talk {
	struct fake *fake;
	enum service service;
	int fd, other;
	pthread_t thread;
	char text[64 * 1024]; /* the last reply, or all that was left */
	size_t n;
};

static void *talk_serve(void *context)
{
	struct talk *t = context;

	serve_one(&t->fake->process, &smtp_protocol, t->service, t->other);
	return NULL;
}

/* Nothing is read or sent yet: what is sent before talk_start is there before the greeting. */
static inline void talk_open(struct talk *t, struct fake *x, enum service service)
{
	int pair[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	*t = (struct talk){ .fake = x, .service = service, .fd = pair[0], .other = pair[1] };
}

static inline void talk_start(struct talk *t)
{
	CHECK(pthread_create(&t->thread, NULL, talk_serve, t) == 0);
}

static inline void talk_send(struct talk *t, str bytes)
{
	while (bytes.n > 0) {
		ssize_t n = send(t->fd, bytes.p, bytes.n, MSG_NOSIGNAL);
		if (n <= 0)
			return; /* the session has ended: its last words say why */
		bytes = str_skip(bytes, (size_t)n);
	}
}

static inline bool talk_read(struct talk *t)
{
	ssize_t n = recv(t->fd, t->text + t->n, sizeof t->text - 1 - t->n, 0);

	if (n <= 0)
		return false;
	t->n += (size_t)n;
	t->text[t->n] = 0;
	return true;
}

/* Where the last whole line begins, when it ends a reply ("250 "). */
static inline bool talk_reply_ended(const struct talk *t)
{
	size_t at;

	if (t->n < 6 || t->text[t->n - 1] != '\n')
		return false;
	for (at = t->n - 1; at > 0 && t->text[at - 1] != '\n'; at--)
		;
	return t->text[at + 3] == ' ';
}

/* One whole reply (the peer must not have pipelined); "" at the end of the session. */
static inline str talk_reply(struct talk *t)
{
	t->n = 0;
	t->text[0] = 0;
	while (!talk_reply_ended(t) && talk_read(t))
		;
	return str_from(t->text, t->n);
}

static inline str talk_say(struct talk *t, str line)
{
	talk_send(t, line);
	return talk_reply(t);
}

/* Without the first " (id ...)" of a reply, which must be there. */
static inline str unnamed(struct arena *a, str said)
{
	size_t at = str_find_str(said, S(" (id "));
	size_t end = at == SIZE_MAX ? SIZE_MAX : at + 5 + ID_ATTEMPT_TEXT + 1;

	CHECK(end <= said.n && said.p[end - 1] == ')');
	return str_format(a, "%.*s%.*s", (int)at, (const char *)said.p, (int)(said.n - end),
			  (const char *)said.p + end);
}

/* Says nothing more, hears all that is left, and waits for the session's end. */
static inline str talk_end(struct talk *t)
{
	t->n = 0;
	t->text[0] = 0;
	shutdown(t->fd, SHUT_WR);
	while (talk_read(t))
		;
	pthread_join(t->thread, NULL);
	close(t->fd);
	return str_from(t->text, t->n);
}

#endif
