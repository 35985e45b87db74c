/*
 * What each SASL mechanism does with the client's responses: PLAIN (RFC 4616), LOGIN (as mail programs know it), SCRAM-SHA-256
 * (RFC 7677). Unknown names and wrong passwords take the same path: the same lookups, one password check, the same answer and wait.
 */
#include "base/log.h"
#include "base/scan.h"
#include "bus/ticket.h"
#include "keys/login/login_int.h"

static const struct fail malformed = FAIL_STATIC(SYNTAX, "malformed authentication response");

/* sasl_start and sasl_step have the same answer; its struct is written in terms of the first. */
_Static_assert(sizeof(struct login_sasl_start_answer) == sizeof(struct login_sasl_step_answer),
	       "both answers are alike");

/* A password to be checked on a hashing thread. Lives in the call's arena. */
struct check {
	struct hashing_job job;
	struct login *login;
	struct bus_call *call;
	struct exchange *exchange;
	str name, password; /* password: prepared; empty when it cannot be one */
	struct login_account account;
};

static const struct fail *answer_continue(struct bus_call *call, struct exchange *x, str challenge)
{
	struct login_sasl_start_answer *r = call->answer;

	r->status = SASL_CONTINUE;
	r->exchange = x->number;
	r->has_challenge = true;
	r->challenge = challenge;
	x->step++;
	return NULL;
}

static const struct fail *answer_done(struct login *l, struct bus_call *call,
				      const struct exchange *x, u64 account, u64 generation,
				      str name)
{
	struct login_sasl_start_answer *r = call->answer;

	penalty_succeeded(l->penalty, x->address, name);
	r->status = SASL_DONE;
	r->address = str_copy(call->arena, name);
	r->ticket = (struct ticket){ .account = account,
				     .generation = generation,
				     .instance = x->instance,
				     .session = x->session,
				     .expires = env_now(env_system()) + LOGIN_TICKET_MS };
	ticket_make(call->arena, l->process->ticket_secret, &r->ticket);
	LOG(INFO, "login.done", LOG_STR("address", name), LOG_U64("account", account));
	return NULL;
}

/* delay: of penalty_delay before this failure was counted. */
static const struct fail *answer_failed(struct login *l, struct bus_call *call,
					const struct exchange *x, str name)
{
	struct login_sasl_start_answer *r = call->answer;
	bool refuse;

	penalty_failed(l->penalty, x->address, name);
	r->status = SASL_FAILED;
	r->address =
	    str_copy(call->arena, name); /* as it was tried; whether it is one, nobody learns */
	r->delay_ms = penalty_delay(l->penalty, x->address, name, &refuse);
	LOG(INFO, "login.failed", LOG_STR("name", name), LOG_U64("delay", r->delay_ms));
	return NULL;
}

const struct fail *login_find(struct login *l, struct arena *a, str name, struct login_account *out)
{
	const struct fail *f;

	pthread_mutex_lock(&l->db_lock);
	f = login_db_find(a, l->db, name, out);
	pthread_mutex_unlock(&l->db_lock);
	if (f == NULL || f->what != FAIL_NOT_FOUND)
		return f;
	*out = (struct login_account){ .address = name };
	verifier_fake(a, l->secret, name, &out->verifier);
	return NULL;
}

static bool may_log_in(const struct login_account *account)
{
	return account->account != 0 && !account->suspended;
}

/* On a hashing thread. */
static void check_run(struct hashing_job *job)
{
	struct check *k = (struct check *)job;
	struct login_account *account = &k->account;
	bool right;
	const struct fail *f =
	    verifier_check(k->call->arena, account->verifier.crypt, k->password, &right);

	if (f) {
		LOG(WARN, "login.unknown", LOG_STR("name", k->name), LOG_FAIL("why", f));
	} else if (right && k->password.n > 0 && may_log_in(account)) {
		hashing_remember(k->login->hashing, account->account, account->generation,
				 k->password);
		f = answer_done(k->login, k->call, k->exchange, account->account,
				account->generation, k->name);
	} else {
		f = answer_failed(k->login, k->call, k->exchange, k->name);
	}
	bus_answer(&k->call, f);
}

/* The last step of PLAIN and LOGIN. */
static const struct fail *password_check(struct login *l, struct bus_call *call, struct exchange *x,
					 str name, str password)
{
	struct arena *a = call->arena;
	struct check *k = arena_new_of(a, struct check);
	bool refuse;

	exchange_take(&l->exchanges, x, a);
	*k = (struct check){ .job.run = check_run, .login = l, .call = call, .exchange = x };
	k->name = str_lower(a, name);
	penalty_delay(l->penalty, x->address, k->name, &refuse);
	if (refuse)
		return answer_failed(l, call, x, k->name);
	TRY(login_find(l, a, k->name, &k->account));
	if (verifier_prepare(a, password, &k->password))
		k->password = STR_NONE;
	if (k->password.n && may_log_in(&k->account) &&
	    hashing_remembers(l->hashing, k->account.account, k->account.generation, k->password))
		return answer_done(l, call, x, k->account.account, k->account.generation, k->name);
	TRY(hashing_submit(l->hashing, &k->job));
	return BUS_LATER;
}

/* RFC 4616 2: [authzid] NUL authcid NUL passwd; acting for somebody else is not offered. */
static const struct fail *plain_step(struct login *l, struct bus_call *call, struct exchange *x,
				     str response)
{
	struct scan s = scan_of(response);
	str authzid, authcid;

	if (!(scan_until(&s, 0, &authzid) && scan_byte(&s, 0) && scan_until(&s, 0, &authcid) &&
	      scan_byte(&s, 0)) ||
	    authcid.n == 0 || str_has(s.rest, 0)) {
		exchange_drop(&l->exchanges, &x);
		return &malformed;
	}
	if (authzid.n && !str_eq_nocase(authzid, authcid)) {
		exchange_take(&l->exchanges, x, call->arena);
		return answer_failed(l, call, x, str_lower(call->arena, authcid));
	}
	return password_check(l, call, x, authcid, s.rest);
}

static const struct fail *login_step(struct login *l, struct bus_call *call, struct exchange *x,
				     str response)
{
	if (x->step == 1) {
		x->name = str_copy(x->arena, response);
		return answer_continue(call, x, S("Password:"));
	}
	return password_check(l, call, x, x->name, response);
}

static const struct fail *scram_first(struct login *l, struct bus_call *call, struct exchange *x,
				      str response)
{
	const struct env *e = env_system();
	struct login_account account;
	str nonce;

	TRY(scram_client_first(x->arena, response, &x->scram));
	x->name = str_lower(x->arena, x->scram.name);
	TRY(login_find(l, x->arena, x->name, &account));
	if (may_log_in(&account)) {
		x->account = account.account;
		x->generation = account.generation;
	}
	x->verifier = account.verifier;
	nonce = str_format(x->arena, "%016llx%016llx", (unsigned long long)env_random_u64(e),
			   (unsigned long long)env_random_u64(e));
	return answer_continue(call, x,
			       scram_server_first(x->arena, &x->scram, &x->verifier, nonce));
}

static const struct fail *scram_final(struct login *l, struct bus_call *call, struct exchange *x,
				      str response)
{
	struct login_sasl_start_answer *r = call->answer;
	const struct fail *f;
	bool refuse;
	str last;

	exchange_take(&l->exchanges, x, call->arena);
	penalty_delay(l->penalty, x->address, x->name, &refuse);
	f = scram_client_final(x->arena, &x->scram, &x->verifier, response, &last);
	if (f && f->what != FAIL_LOGIN)
		return f;
	if (f || refuse || x->account == 0 ||
	    (x->scram.authzid.n && !str_eq_nocase(x->scram.authzid, x->name)))
		return answer_failed(l, call, x, x->name);
	r->has_challenge = true;
	r->challenge = last;
	return answer_done(l, call, x, x->account, x->generation, x->name);
}

static const struct fail *scram_step(struct login *l, struct bus_call *call, struct exchange *x,
				     str response)
{
	const struct fail *f;

	if (x->step > 1)
		return scram_final(l, call, x, response);
	f = scram_first(l, call, x, response);
	if (f)
		exchange_drop(&l->exchanges, &x);
	return f;
}

const struct fail *mechanism_step(struct login *l, struct bus_call *call, struct exchange *x,
				  bool has_response, str response)
{
	static const struct fail *(*const steps[MECHANISMS])(struct login *, struct bus_call *,
							     struct exchange *, str) = {
		[MECHANISM_PLAIN] = plain_step,
		[MECHANISM_LOGIN] = login_step,
		[MECHANISM_SCRAM_SHA_256] = scram_step,
	};

	/* The client speaks first in PLAIN and SCRAM: an empty challenge asks it to. LOGIN asks for the name. */
	if (x->step == 0 && !has_response)
		return answer_continue(call, x,
				       x->mechanism == MECHANISM_LOGIN ? S("Username:") : S(""));
	if (x->step == 0)
		x->step = 1;
	return steps[x->mechanism](l, call, x, response);
}
