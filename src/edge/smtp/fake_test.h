/*
 * For tests and fuzzers of this folder: an office (and a login, see edge/fake_test.h) in this process, and a client that
 * talks to one session (serve_one on a thread of its own).
 *
 * example.test is ours: alice and bob have mailboxes, full@ is full, off@ suspended, everybody else unknown.
 */
#ifndef EDGE_SMTP_FAKE_TEST_H
#define EDGE_SMTP_FAKE_TEST_H

#include <netinet/in.h>
#include <stdio.h>

#include "base/id.h"
#include "edge/fake_test.h"
#include "edge/smtp/smtp.h"
#include "text/skeleton.h"

enum { FAKE_KEPT = 64 };

struct fake_message {
	str sender, bytes, recipients, decision; /* recipients: "a@b c@d" */
	u8 body_type;
	bool smtputf8, has_ticket;
};

struct fake {
	struct fake_peers peers;
	struct fake_message kept[FAKE_KEPT]; /* the newest FAKE_KEPT */
	atomic_uint committed, events;
	u64 last_attempt; /* that was recorded */
	atomic_bool refuse_commit;
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
	CHECK(q->body.size <= OFFICE_LARGE ||
	      q->body.file >= 0); /* a small one too, when SIZE lied */
	TRY(body_bytes(call->arena, &q->body, &bytes, &tail));
	TRY(skeleton_decode(call->arena, tail, &skeleton));
	CHECK(skeleton.size == q->body.size);
	*m = (struct fake_message){ .sender = str_copy(x->peers.arena, q->envelope.sender),
				    .recipients = fake_addresses(x->peers.arena, &q->envelope),
				    .body_type = q->envelope.body_type,
				    .smtputf8 = q->envelope.smtputf8,
				    .has_ticket = q->ticket.account != 0 };
	m->decision = str_copy(x->peers.arena, q->decision);
	m->bytes = str_copy(x->peers.arena, bytes);
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

static inline struct fake *fake_new(void)
{
	struct arena *a = arena_new((size_t)1 << 30);
	struct fake *x = arena_new_of(a, struct fake);

	fake_peers_start(&x->peers, a, S("mx.example.test"), fake_office);
	return x;
}

static inline void fake_free(struct fake **x)
{
	struct arena *a = (*x)->peers.arena;

	fake_peers_stop(&(*x)->peers);
	*x = NULL;
	arena_free(&a);
}

/* The fixture of a test: a fake of its own. */
static inline int fake_setup(void **state)
{
	*state = fake_new();
	return 0;
}

static inline int fake_teardown(void **state)
{
	struct fake *x = *state;

	fake_free(&x);
	return 0;
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

	serve_one(&t->fake->peers.process, &smtp_protocol, t->service, t->other);
	return NULL;
}

/* Nothing is read or sent yet: what is sent before talk_start is there before the greeting. */
static inline void talk_open(struct talk *t, struct fake *x, enum service service)
{
	int pair[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	*t = (struct talk){ .fake = x, .service = service, .fd = pair[0], .other = pair[1] };
}

/* As talk_open, but over a connection: the session sees its client at 127.0.0.1. */
static inline void talk_connect(struct talk *t, struct fake *x, enum service service)
{
	struct sockaddr_in here = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof here;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*t = (struct talk){ .fake = x, .service = service };
	t->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(bind(listener, (struct sockaddr *)&here, n) == 0 && listen(listener, 1) == 0);
	CHECK(getsockname(listener, (struct sockaddr *)&here, &n) == 0);
	CHECK(connect(t->fd, (struct sockaddr *)&here, n) == 0);
	t->other = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	CHECK(t->other >= 0);
	close(listener);
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
