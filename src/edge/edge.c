#include "edge/edge.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/env.h"
#include "base/id.h"
#include "bus/office.h"
#include "edge/imap/imap.h"
#include "edge/pop3/pop3.h"
#include "edge/smtp/smtp.h"
#include "text/charset.h"
#include "verdict/dkim_key.h"

enum { NOTICE_BYTES = 8, NOTICE_RETRY_MS = 1000 };

const struct config *edge_config(struct process *p)
{
	return __atomic_load_n(&p->config, __ATOMIC_ACQUIRE);
}

u64 edge_message_id(struct process *p)
{
	struct edge *e = p->state;
	u8 node = office_edge_node(p->instance, p->role == ROLE_CLIENT);

	return id_next_shared(&e->last_id, node, env_system());
}

/* Ids go on from where we were when the clock is set back. An id that is ahead and was not taken may be of a time that the office never
 * saw; it would refuse all that follow, until the clock comes there: so they begin anew. */
void edge_message_id_refused(struct process *p, u64 id)
{
	struct edge *e = p->state;

	if (id_time(id) > env_now(env_system()))
		atomic_store(&e->last_id, 0);
}

bool edge_offers_tls(struct session *s)
{
	const struct edge *e = session_process(s)->state;

	return e && e->tls && !session_is_tls(s);
}

/* --- Notices: the office tells which sessions have something to look at ------------------------------------------- */

static u64 notice_decode(const u8 bytes[NOTICE_BYTES])
{
	u64 watch = 0;

	for (int i = NOTICE_BYTES - 1; i >= 0; i--)
		watch = watch << 8 | bytes[i];
	return watch;
}

/* Passes on what comes over the pair until it ends. */
static void notices_read(struct edge *e, int fd)
{
	u8 bytes[NOTICE_BYTES + 1];
	ssize_t n;

	while ((n = recv(fd, bytes, sizeof bytes, 0)) > 0 || (n < 0 && errno == EINTR)) {
		u64 watch = n == NOTICE_BYTES ? notice_decode(bytes) : NOTICE_OVERFLOW;
		if (watch == NOTICE_OVERFLOW)
			session_wake_all(e->server);
		else
			session_wake(e->server, watch);
	}
}

/* An office that restarted forgot every notice under way, so all sessions look for changes; the control thread
 * puts the new pair in place of the old one. */
static void *notices_run(void *context)
{
	struct edge *e = context;
	struct process *p = e->process;

	while (!p->stopping) {
		int fd = __atomic_load_n(&p->notices, __ATOMIC_ACQUIRE);
		if (fd >= 0)
			notices_read(e, fd);
		if (p->stopping) /* no second of an orderly end is slept through */
			break;
		session_wake_all(e->server);
		poll(NULL, 0, NOTICE_RETRY_MS);
	}
	return NULL;
}

static void notices_start(struct edge *e)
{
	if (e->process->notices < 0)
		return;
	CHECK(pthread_create(&e->notices, NULL, notices_run, e) == 0);
	e->notices_run = true;
}

static void notices_stop(struct edge *e)
{
	if (!e->notices_run)
		return;
	e->process->stopping = true;
	shutdown(e->process->notices, SHUT_RDWR);
	pthread_join(e->notices, NULL);
}

/* --- The process --------------------------------------------------------------------------------------------------- */

static void edge_reload(struct process *p, const struct config *config)
{
	struct edge *e = p->state;

	__atomic_store_n(&p->config, config, __ATOMIC_RELEASE);
	tls_server_ticket_key(e->tls, p->tls_ticket_key);
	server_reload(e->server, config);
}

static void edge_stop(struct process *p)
{
	struct edge *e = p->state;

	server_stop(e->server);
}

static const struct fail *edge_before_jail(struct process *p)
{
	struct edge *e = arena_new_of(p->arena, struct edge);

	e->process = p;
	p->state = e;
	charset_prepare();
	dkim_prepare();
	return tls_server_new(p, &e->tls);
}

static const struct fail *edge_after_jail(struct process *p,
					  const struct protocol *const protocols[SERVICES])
{
	struct edge *e = p->state;

	TRY(tls_server_start(e->tls));
	e->server = server_new(p, protocols, e->tls);
	p->reload = edge_reload;
	p->stop = edge_stop;
	e->outbox = outbox_start(p->arena, p->office);
	process_ready(p);
	notices_start(e);
	server_run(e->server);
	notices_stop(e);
	outbox_stop(e->outbox);
	return NULL;
}

const struct fail *mx_before_jail(struct process *p)
{
	return edge_before_jail(p);
}

const struct fail *mx_after_jail(struct process *p)
{
	static const struct protocol *const protocols[SERVICES] = {
		[SERVICE_SMTP] = &smtp_protocol,
		[SERVICE_LMTP] = &smtp_protocol,
	};

	return edge_after_jail(p, protocols);
}

const struct fail *client_before_jail(struct process *p)
{
	return edge_before_jail(p);
}

const struct fail *client_after_jail(struct process *p)
{
	static const struct protocol *const protocols[SERVICES] = {
		[SERVICE_SUBMISSIONS] = &smtp_protocol, [SERVICE_SUBMISSION] = &smtp_protocol,
		[SERVICE_IMAP] = &imap_protocol,        [SERVICE_IMAPS] = &imap_protocol,
		[SERVICE_POP3] = &pop3_protocol,        [SERVICE_POP3S] = &pop3_protocol,
	};

	return edge_after_jail(p, protocols);
}
