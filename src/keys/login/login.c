/*
 * keys login: holds the password verifiers (login.db), answers SASL exchanges of the edges, gives account tickets. It never gives a
 * verifier or a password out. Threads: the bus thread (exchanges, lookups), HASHING_THREADS for the slow part.
 */
#include <stdio.h>

#include "base/log.h"
#include "keys/login/login_int.h"
#include "sql/sql.h"

static const struct {
	str name;
	enum mechanism mechanism;
} mechanisms[] = {
	{ { (const u8 *)"PLAIN", 5 }, MECHANISM_PLAIN },
	{ { (const u8 *)"LOGIN", 5 }, MECHANISM_LOGIN },
	{ { (const u8 *)"SCRAM-SHA-256", 13 }, MECHANISM_SCRAM_SHA_256 },
};

const struct fail *login_serve_sasl_start(struct bus_call *call,
					  const struct login_sasl_start_request *q,
					  struct login_sasl_start_answer *r)
{
	struct login *l = call->context;
	struct exchange *x;
	size_t i;

	(void)r;
	for (i = 0; i < ARRAY_LEN(mechanisms); i++)
		if (str_eq_nocase(q->mechanism, mechanisms[i].name))
			break;
	if (i == ARRAY_LEN(mechanisms))
		return fail_code(call->arena, FAIL_INVALID, "5.5.4", "no such mechanism");
	if (q->response.n > LOGIN_RESPONSE_MAX || q->client.address.n > 16)
		return fail_code(call->arena, FAIL_INVALID, "5.5.6", "response too long");
	TRY(exchange_new(&l->exchanges, &call->peer, env_monotonic(env_system()), &x));
	x->mechanism = mechanisms[i].mechanism;
	x->session = q->session;
	x->address = str_copy(x->arena, q->client.address);
	return mechanism_step(l, call, x, q->has_response, q->response);
}

const struct fail *login_serve_sasl_step(struct bus_call *call,
					 const struct login_sasl_step_request *q,
					 struct login_sasl_step_answer *r)
{
	struct login *l = call->context;
	struct exchange *x = exchange_find(&l->exchanges, &call->peer, q->exchange);

	(void)r;
	if (x == NULL)
		return fail_new(call->arena, FAIL_TIMEOUT, "the login took too long, start again");
	if (q->response.n > LOGIN_RESPONSE_MAX) {
		exchange_drop(&l->exchanges, &x);
		return fail_code(call->arena, FAIL_INVALID, "5.5.6", "response too long");
	}
	return mechanism_step(l, call, x, true, q->response);
}

const struct fail *login_serve_sasl_abort(struct bus_call *call,
					  const struct login_sasl_abort_request *q,
					  struct login_sasl_abort_answer *r)
{
	struct login *l = call->context;
	struct exchange *x = exchange_find(&l->exchanges, &call->peer, q->exchange);

	(void)r;
	if (x)
		exchange_drop(&l->exchanges, &x);
	return NULL;
}

/* password_set runs on a hashing thread: it makes a yescrypt hash and waits for the disk. */
struct set {
	struct hashing_job job;
	struct login *login;
	struct bus_call *call;
	struct login_account account;
	str password;
};

static const struct fail *set_password(struct set *s)
{
	struct login_password_set_answer *r = s->call->answer;
	const struct fail *f;

	TRY(verifier_make(s->call->arena, s->password, &s->account.verifier));
	pthread_mutex_lock(&s->login->db_lock);
	f = login_db_set(s->call->arena, s->login->db, &s->account, &r->generation);
	pthread_mutex_unlock(&s->login->db_lock);
	return f;
}

static void set_run(struct hashing_job *job)
{
	struct set *s = (struct set *)job;

	bus_answer(&s->call, set_password(s));
}

const struct fail *login_serve_password_set(struct bus_call *call,
					    const struct login_password_set_request *q,
					    struct login_password_set_answer *r)
{
	struct login *l = call->context;
	struct set *s = arena_new_of(call->arena, struct set);

	(void)r;
	*s = (struct set){ .job.run = set_run, .login = l, .call = call };
	s->account = (struct login_account){ .address = str_lower(call->arena, q->address),
					     .account = q->account,
					     .generation = q->generation,
					     .suspended = q->suspended };
	if (q->account == 0 || q->address.n == 0 || q->address.n > 320)
		return fail_new(call->arena, FAIL_INVALID, "no account to set a password for");
	TRY(verifier_prepare(call->arena, q->password, &s->password));
	TRY(hashing_submit(l->hashing, &s->job));
	return BUS_LATER;
}

const struct fail *login_serve_account_change(struct bus_call *call,
					      const struct login_account_change_request *q,
					      struct login_account_change_answer *r)
{
	struct login *l = call->context;
	const struct login_account account = { .address = str_lower(call->arena, q->address),
					       .account = q->account,
					       .generation = q->generation,
					       .suspended = q->suspended };
	const struct fail *f;

	pthread_mutex_lock(&l->db_lock);
	f = login_db_change(call->arena, l->db, &account, &r->generation);
	pthread_mutex_unlock(&l->db_lock);
	return f;
}

const struct fail *login_serve_account_remove(struct bus_call *call,
					      const struct login_account_remove_request *q,
					      struct login_account_remove_answer *r)
{
	struct login *l = call->context;
	const struct fail *f;

	(void)r;
	pthread_mutex_lock(&l->db_lock);
	f = login_db_remove(call->arena, l->db, str_lower(call->arena, q->address));
	pthread_mutex_unlock(&l->db_lock);
	return f;
}

#define SERVE_FUNCTIONS
#include "bus/server.h"
#include "bus/login.tbl"
#include "bus/server_end.h"

static const bus_serve_function functions[] = {
#define SERVE_ROWS
#include "bus/server.h"
#include "bus/login.tbl"
#include "bus/server_end.h"
};

static void dispatch(void *context, struct bus_call *call)
{
	call->context = context;
	bus_serve(functions, ARRAY_LEN(functions), call);
}

static void peer_gone(void *context, const struct bus_peer *peer)
{
	struct login *l = context;

	exchanges_drop_peer(&l->exchanges, peer->number);
}

static void peer_new(struct process *p, u32 role, u32 instance, int fd, int notices)
{
	struct login *l = p->state;

	(void)notices; /* login has none to send */
	bus_server_add(l->server, fd, role, instance);
}

static void stop(struct process *p)
{
	struct login *l = p->state;

	bus_server_stop(l->server);
}

const struct fail *login_before_jail(struct process *p)
{
	struct login *l = arena_new_of(p->arena, struct login);

	sql_before_jail();
	l->process = p;
	l->penalty = penalty_new(p->arena, env_system());
	l->hashing = hashing_new(p->arena, env_system());
	exchanges_init(&l->exchanges);
	pthread_mutex_init(&l->db_lock, NULL);
	p->state = l;
	return NULL;
}

const struct fail *login_open(struct process *p)
{
	struct login *l = p->state;
	str path = str_format(p->arena, "%s/login.db", p->folder);

	TRY(login_db_open(p->arena, cstr(p->arena, path), &l->db));
	TRY(login_db_secret(p->arena, l->db, &l->secret));
	l->server = bus_server_new(login_methods, login_methods_n, dispatch, peer_gone, l);
	hashing_start(l->hashing);
	p->peer = peer_new;
	p->stop = stop;
	return NULL;
}

const struct fail *login_after_jail(struct process *p)
{
	struct login *l = p->state;

	TRY(login_open(p));
	if (p->ctl >= 0)
		bus_server_listen(l->server, p->ctl, CALLER_CTL);
	process_ready(p);
	bus_server_run(l->server);
	hashing_stop(l->hashing);
	login_db_close(&l->db);
	return NULL;
}
