/*
 * The relay process: the only one that connects out. It pulls jobs from the office and carries their messages to other servers
 * (mta/), and answers DNS questions for those who may not connect (dns/). Between them: nothing but the resolver.
 *
 * Before the jail: trust anchors, certificate authorities, the smarthost's password. After it: threads, sockets to the
 * outside, and the bus; no files.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/env.h"
#include "relay/dns/service.h"
#include "relay/mta/mta.h"
#include "serve/process.h"

enum { RELAY_GRACE_MS = 3000, RELAY_SWEEP_MS = 5000 };

struct relay {
	struct resolver *resolver;
	struct bus_server *questions;
	struct mta *mta;
	pthread_t thread; /* serves the questions */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool stopping;
};

const struct fail *relay_before_jail(struct process *p)
{
	struct relay *r = arena_new_of(p->arena, struct relay);

	signal(SIGPIPE, SIG_IGN); /* OpenSSL writes with write(2) */
	CHECK(pthread_mutex_init(&r->lock, NULL) == 0);
	env_condition_init(&r->changed);
	p->state = r;
	TRY(resolver_new(p->arena, p->config, &r->resolver));
	return mta_new(p->arena, p->config, r->resolver, &mta_times_rfc, &r->mta);
}

static void relay_peer(struct process *p, u32 role, u32 instance, int fd, int notices)
{
	struct relay *r = p->state;

	(void)notices; /* -1: relay has nothing to tell */
	bus_server_add(r->questions, fd, role, instance);
}

static void relay_stop(struct process *p)
{
	struct relay *r = p->state;

	pthread_mutex_lock(&r->lock);
	r->stopping = true;
	pthread_cond_signal(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

static bool lists_equal(struct str_list a, struct str_list b)
{
	size_t i = 0;

	while (i < a.n && i < b.n && str_eq(a.items[i], b.items[i]))
		i++;
	return i == a.n && i == b.n;
}

/* What was read before the jail cannot be read in it: the next relay does. A password may be new under the same name. */
static bool needs_new_process(const struct config *old, const struct config *new)
{
	return old->relay_smarthost_password_file.n || new->relay_smarthost_password_file.n ||
	       !lists_equal(old->dns_servers, new->dns_servers) ||
	       !lists_equal(old->dns_trust_anchors, new->dns_trust_anchors);
}

static void relay_reload(struct process *p, const struct config *config)
{
	struct relay *r = p->state;

	if (needs_new_process(p->config, config))
		relay_stop(p);
	else
		mta_reload(r->mta, config);
}

static void *questions_run(void *context)
{
	bus_server_run(context);
	return NULL;
}

/* Until relay_stop; in between, the little that is to be done now and then. */
static void relay_wait(struct relay *r)
{
	struct timespec t;

	pthread_mutex_lock(&r->lock);
	while (!r->stopping) {
		clock_gettime(CLOCK_MONOTONIC, &t);
		t.tv_sec += RELAY_SWEEP_MS / 1000;
		if (pthread_cond_timedwait(&r->changed, &r->lock, &t) != ETIMEDOUT)
			continue;
		pthread_mutex_unlock(&r->lock);
		mta_sweep(r->mta);
		pthread_mutex_lock(&r->lock);
	}
	pthread_mutex_unlock(&r->lock);
}

const struct fail *relay_after_jail(struct process *p)
{
	struct relay *r = p->state;

	TRY(resolver_start(r->resolver));
	r->questions = dns_service_new(r->resolver);
	if (pthread_create(&r->thread, NULL, questions_run, r->questions) != 0)
		return fail_new(p->arena, FAIL_LIMIT, "relay: no thread could be started");
	p->peer = relay_peer;
	p->reload = relay_reload;
	p->stop = relay_stop;
	TRY(mta_start(r->mta, p->office));
	process_ready(p);
	relay_wait(r);
	mta_stop(r->mta, RELAY_GRACE_MS);
	bus_server_stop(r->questions);
	pthread_join(r->thread, NULL);
	return NULL; /* the process ends here, and with it whoever still waits */
}
