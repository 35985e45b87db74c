/*
 * For tests and fuzzers of the edge: the processes that one asks, in this process, over real buses. What the office
 * says is each fake's own; login knows alice@example.test with the password "alice" and nobody else.
 *
 * PLAIN and LOGIN go as in src/keys/login; a response of "proof" is a SCRAM that ends with the server's own proof.
 */
#ifndef EDGE_FAKE_TEST_H
#define EDGE_FAKE_TEST_H

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/fd.h"
#include "bus/login.h"
#include "bus/office.h"
#include "bus/server.h"
#include "config/config.h"
#include "edge/edge.h"
#include "edge/gate/body_test.h"

/* The first member of each fake. */
struct fake_peers {
	struct arena
	    *arena; /* lives as long as the fake; calls come on one thread, so it needs no lock */
	struct process process;
	struct edge edge;
	struct config *config;
	struct bus_server *office, *login;
	pthread_t office_thread, login_thread;
	atomic_uint checked;  /* logins */
	atomic_uint delay_ms; /* that login imposes */
	atomic_bool crowded;  /* there are too many logins at once */
};

/* --- Login ------------------------------------------------------------------------------------------------------- */

static void fake_verdict(struct fake_peers *x, str response, u8 *status, struct ticket *ticket,
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

	if (((struct fake_peers *)call->context)->crowded)
		return fail_new(call->arena, FAIL_BUSY, "too many logins at once");
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

static const struct fail *fake_nothing(struct bus_call *call)
{
	(void)call;
	return NULL;
}

static void fake_login(void *context, struct bus_call *call)
{
	static const bus_serve_function table[] = {
		[1] = fake_sasl_start, [2] = fake_sasl_step, [3] = fake_nothing
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

/* Fuzzers have one thread: there a server runs when who waits for an answer has nothing else to do. */
static void fake_serve(struct bus_server *server, int fd, pthread_t *thread)
{
	bus_server_add(server, fd, CALLER_CLIENT, 0);
#ifdef BASE_LOOPBACK_TEST_H
	(void)thread;
	loopback_reside(fd, fake_run, server);
#else
	CHECK(pthread_create(thread, NULL, fake_run, server) == 0);
#endif
}

static void fake_join(struct bus_server *server, pthread_t thread)
{
#ifdef BASE_LOOPBACK_TEST_H
	(void)thread;
	loopback_leave(server);
#else
	(void)server;
	pthread_join(thread, NULL);
#endif
}

static struct bus *fake_bus(struct bus_server *server, pthread_t *thread)
{
	int pair[2];

	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	fake_serve(server, pair[0], thread);
	return bus_new(pair[1]);
}

/* `office` is called on a thread of its own, with x as its context. */
static inline void fake_peers_start(struct fake_peers *x, struct arena *a, str hostname,
				    void (*office)(void *, struct bus_call *))
{
	x->arena = a;
	x->config = config_default(a);
	x->config->server_hostname = hostname;
	x->config->login_plaintext = true;
	x->office = bus_server_new(office_methods, office_methods_n, office, fake_gone, x);
	x->login = bus_server_new(login_methods, login_methods_n, fake_login, fake_gone, x);
	x->process = (struct process){ .role = ROLE_CLIENT,
				       .arena = a,
				       .config = x->config,
				       .notices = -1,
				       .office = fake_bus(x->office, &x->office_thread),
				       .login = fake_bus(x->login, &x->login_thread),
				       .state = &x->edge };
	x->edge = (struct edge){ .process = &x->process };
}

static inline void fake_peers_stop(struct fake_peers *x)
{
	bus_free(&x->process.office);
	bus_free(&x->process.login);
	bus_server_stop(x->office);
	bus_server_stop(x->login);
	fake_join(x->office, x->office_thread);
	fake_join(x->login, x->login_thread);
	bus_server_free(&x->office);
	bus_server_free(&x->login);
}

#endif
