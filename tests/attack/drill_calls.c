/*
 * The part of the drill (drill.c) that makes calls on the bus: those that are ours to make, about what is not ours, and those that are not.
 * Each is right but for one thing, and says as what it was refused: jail_test.py knows which answer means that this one thing was seen.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../attack/drill_calls.h"
#include "base/arena.h"
#include "base/env.h"
#include "base/fd.h"
#include "base/id.h"
#include "bus/login.h"
#include "bus/office.h"
#include "bus/relay.h"
#include "bus/sign.h"
#include "serve/process.h"
#include "text/skeleton.h"

enum { DRILL_ARENA = 128 << 20, DAY_MS = 24 * 60 * 60 * 1000 };

static void drill_tell_fail(const char *try, const struct fail *f)
{
	char detail[64] = "-";

	if (f)
		snprintf(detail, sizeof detail, "%.*s", STR_ARG(fail_what_name(f->what)));
	drill_say(try, f ? "refused" : "DONE", detail);
}

/* --- Calls that are ours, about what is not ------------------------------------------------------------------ */

struct server {
	struct bus **bus;
	const struct bus_method *methods;
	size_t n;
};

enum { SERVERS = 4 };

static void servers_get(struct server out[SERVERS])
{
	out[0] = (struct server){ &drill_self->office, office_methods, office_methods_n };
	out[1] = (struct server){ &drill_self->login, login_methods, login_methods_n };
	out[2] = (struct server){ &drill_self->sign, sign_methods, sign_methods_n };
	out[3] = (struct server){ &drill_self->relay, relay_methods, relay_methods_n };
}

/* A request of zeroes, with this ticket when it has one. */
static const struct fail *call_with(struct arena *a, struct bus *bus, const struct bus_method *m,
				    const struct ticket *t)
{
	void *request = arena_alloc(a, m->request_size + 1),
	     *answer = arena_alloc(a, m->answer_size + 1);

	if (m->needs_ticket && t)
		memcpy(request, t, sizeof *t);
	return bus_call(a, bus, m, request, answer);
}

static void try_tickets(struct arena *a, const char *kind, const struct ticket *t)
{
	for (size_t i = 0; i < office_methods_n; i++) {
		const struct bus_method *m = &office_methods[i];
		char try[96];

		if (!m->needs_ticket || !(m->callers & process_roles[drill_self->role].caller))
			continue;
		snprintf(try, sizeof try, "%s:%s", kind, m->name);
		drill_tell_fail(try, call_with(a, drill_self->office, m, t));
	}
}

/* What somebody gets who knows a password: nothing but what is his. */
static bool log_in(struct arena *a, str response, struct ticket *t)
{
	const struct login_sasl_start_request q = { .client = { .service = SERVICE_IMAP,
								.address = S("\x7F\0\0\1") },
						    .instance = drill_self->instance,
						    .session = 7,
						    .mechanism = S("PLAIN"),
						    .has_response = true,
						    .response = response };
	struct login_sasl_start_answer r = { 0 };

	if (login_sasl_start(a, drill_self->login, &q, &r) != NULL || r.ticket.account == 0) {
		drill_say("log_in", "FAILS", "-");
		return false;
	}
	*t = r.ticket;
	return true;
}

static const str bobs = S("\0bob@example.test\0bob"), alices = S("\0alice@example.test\0alice");

/* Everything that is done with a mailbox of this number. */
static void try_foreign_mailbox(struct arena *a, const struct ticket *bob, u64 id)
{
	static const struct uid_range all = { .low = 1, .high = UINT32_MAX };
	const struct office_mailbox_changes_request c = { .ticket = *bob, .mailbox = id };
	const struct office_watch_request w = { .ticket = *bob, .mailbox = id, .watch = 1 };
	const struct office_message_flags_request s = {
		.ticket = *bob, .mailbox = id, .uids = &all, .uids_n = 1, .flags = 1
	};
	const struct office_message_expunge_request e = {
		.ticket = *bob, .mailbox = id, .uids = &all, .uids_n = 1
	};
	const struct office_message_copy_request m = { .ticket = *bob,
						       .mailbox = id,
						       .uids = &all,
						       .uids_n = 1,
						       .target = S("INBOX"),
						       .move = true };
	const struct office_message_fetch_request f = {
		.ticket = *bob, .mailbox = id, .uids = &all, .uids_n = 1, .want = UINT32_MAX
	};
	struct office_mailbox_changes_answer changes = { 0 };
	struct office_watch_answer watch = { 0 };
	struct office_message_flags_answer flags = { 0 };
	struct office_message_expunge_answer expunge = { 0 };
	struct office_message_copy_answer copy = { 0 };
	struct office_message_fetch_answer fetch = { .data = -1 };

	drill_tell_fail("foreign_mailbox:changes",
			office_mailbox_changes(a, drill_self->office, &c, &changes));
	drill_tell_fail("foreign_mailbox:watch", office_watch(a, drill_self->office, &w, &watch));
	drill_tell_fail("foreign_mailbox:flags",
			office_message_flags(a, drill_self->office, &s, &flags));
	drill_tell_fail("foreign_mailbox:expunge",
			office_message_expunge(a, drill_self->office, &e, &expunge));
	drill_tell_fail("foreign_mailbox:move",
			office_message_copy(a, drill_self->office, &m, &copy));
	drill_tell_fail("foreign_mailbox:fetch",
			office_message_fetch(a, drill_self->office, &f, &fetch));
}

static void try_foreign_mailboxes(struct arena *a, const struct ticket *bob,
				  const struct ticket *alice)
{
	const struct office_mailbox_list_request own = { .ticket = *bob },
						 others = { .ticket = *alice };
	struct office_mailbox_list_answer r = { 0 }, other = { 0 };
	bool works = office_mailbox_list(a, drill_self->office, &own, &r) == NULL &&
		     r.mailboxes_n > 0 &&
		     office_mailbox_list(a, drill_self->office, &others, &other) == NULL &&
		     other.mailboxes_n > 0;

	drill_say("own_mailboxes", works ? "works" : "FAILS", "-");
	for (size_t i = 0; i < other.mailboxes_n; i++)
		try_foreign_mailbox(a, bob, other.mailboxes[i].id);
}

/* A real ticket of bob's, of which one field is another. `alice` only says which account there is to be had. */
static void try_changed_tickets(struct arena *a, const struct ticket *bob,
				const struct ticket *alice)
{
	struct ticket changed = *bob;

	changed.account = alice->account;
	try_tickets(a, "other_account", &changed);
	changed = *bob, changed.generation++;
	try_tickets(a, "other_generation", &changed);
	changed = *bob, changed.session++;
	try_tickets(a, "other_session", &changed);
	changed = *bob, changed.instance++;
	try_tickets(a, "other_instance", &changed);
	changed = *bob, changed.expires += 1000000;
	try_tickets(a, "longer", &changed);
}

/* What bob may have signed is mail of his domain, for a while. */
static void try_permits(struct arena *a, const struct ticket *bob)
{
	static const u8 digest[32];
	const struct office_sender_check_request q = { .ticket = *bob,
						       .address = S("bob@example.test") };
	struct office_sender_check_answer r = { 0 };
	struct sign_dkim_sign_request s = { .selector = S("x"),
					    .digest = { digest, sizeof digest } };
	struct sign_dkim_sign_answer o = { 0 };

	drill_say("own_permit",
		  office_sender_check(a, drill_self->office, &q, &r) == NULL ? "works" : "FAILS",
		  "-");
	s.permit = r.permit, s.permit.domain = S("elsewhere.test");
	drill_tell_fail("permit_other_domain", sign_dkim_sign(a, drill_self->sign, &s, &o));
	s.permit = r.permit, s.permit.expires++;
	drill_tell_fail("permit_longer", sign_dkim_sign(a, drill_self->sign, &s, &o));
}

static void try_client(struct arena *a)
{
	static const u8 zeroes[32];
	struct ticket bob = { 0 }, alice = { 0 }, forged;

	if (!log_in(a, bobs, &bob) || !log_in(a, alices, &alice))
		return;
	forged = alice, forged.mac = str_from(zeroes, sizeof zeroes);
	try_tickets(a, "forged", &forged);
	try_tickets(a, "none", NULL);
	try_changed_tickets(a, &bob, &alice);
	try_foreign_mailboxes(a, &bob, &alice);
	try_permits(a, &bob);
}

/* A call on a job that nobody gave us. */
static void try_jobs(struct arena *a)
{
	for (u64 job = 0; job < 4; job++) {
		const struct office_job_message_request q = { .job = job };
		struct office_job_message_answer r = { .body = -1 };
		drill_tell_fail("foreign_job_message",
				office_job_message(a, drill_self->office, &q, &r));
	}
	if (drill_self->role == ROLE_MDA) {
		const struct delivery d = { .job = 1, .special = SPECIAL_INBOX };
		const struct office_deliver_request q = { .deliveries = &d, .deliveries_n = 1 };
		struct office_deliver_answer r = { 0 };
		const struct office_dsn_commit_request e = { .job = 1, .body.file = -1 };
		struct office_dsn_commit_answer s = { 0 };
		drill_tell_fail("foreign_deliver", office_deliver(a, drill_self->office, &q, &r));
		drill_tell_fail("foreign_dsn", office_dsn_commit(a, drill_self->office, &e, &s));
	} else {
		const struct office_attempt_done_request q = { .job = 1 };
		struct office_attempt_done_answer r = { 0 };
		drill_tell_fail("foreign_attempt",
				office_attempt_done(a, drill_self->office, &q, &r));
	}
}

/* A good mail, so that what is refused is refused for the one thing that is wrong with it. */
struct letter {
	struct arena *arena;
	struct office_message_commit_request q;
	struct recipient to;
	_Atomic u64 last;
};

static bool is_client(void)
{
	return drill_self->role == ROLE_CLIENT;
}

static void letter_body(struct letter *l)
{
	static const str mail = S("From: bob@example.test\r\nSubject: drill\r\n\r\nDrill.\r\n");
	struct skeleton_parser *p = skeleton_parser_new(l->arena);
	const struct skeleton *s;
	struct buf *both;
	str encoded;

	if (skeleton_feed(p, mail) || skeleton_finish(p, &s))
		return;
	encoded = skeleton_encode(l->arena, s);
	both = buf_new(l->arena, mail.n + encoded.n);
	buf_add(both, mail);
	buf_add(both, encoded);
	l->q.body = (struct message_body){
		.file = -1, .size = mail.n, .skeleton = encoded.n, .bytes = buf_str(both)
	};
}

static void letter_begin(struct letter *l, struct arena *a, const struct ticket *t)
{
	*l = (struct letter){ .arena = a, .to.address = S("alice@example.test") };
	l->q.envelope = (struct envelope){ .sender = S("bob@example.test"),
					   .recipients = &l->to,
					   .recipients_n = 1 };
	l->q.client.service = is_client() ? SERVICE_SUBMISSION : SERVICE_SMTP;
	l->q.client.address = S("\x7F\0\0\1");
	l->q.ticket = *t;
	letter_body(l);
	l->q.id = id_next_shared(&l->last, office_edge_node(drill_self->instance, is_client()),
				 env_system());
}

static const struct fail *letter_send(struct letter *l)
{
	struct office_message_commit_answer r = { 0 };

	return office_message_commit(l->arena, drill_self->office, &l->q, &r);
}

/* A body that is not there, or could change under the office. */
static void try_bodies(struct arena *a, const struct ticket *t)
{
	struct letter l;
	int file = memfd_create("drill", MFD_CLOEXEC);

	letter_begin(&l, a, t);
	l.q.body.size += 1 << 20;
	drill_tell_fail("commit_nothing", letter_send(&l));
	l.q.body =
	    (struct message_body){ .file = 2, .size = 1 << 20 }; /* no spool file of the office's */
	drill_tell_fail("commit_descriptor", letter_send(&l));
	if (file >= 0 && ftruncate(file, 1 << 20) == 0) {
		l.q.body.file = file;
		drill_tell_fail("commit_unsealed", letter_send(&l));
		l.q.body.size = UINT64_MAX;
		drill_tell_fail("commit_overlong", letter_send(&l));
	}
	fd_close(&file);
}

/* Mail as somebody else, and mail for elsewhere by nobody. */
static void try_senders(struct arena *a, const struct ticket *own)
{
	static const u8 zeroes[32];
	struct ticket alice = { 0 };
	struct letter l;

	letter_begin(&l, a, own);
	if (!is_client()) {
		l.q.ticket = (struct ticket){ .account = 1,
					      .generation = 1,
					      .expires = UINT64_MAX / 2,
					      .mac = { zeroes, 32 } };
		drill_tell_fail("commit_login", letter_send(&l));
		letter_begin(&l, a, own);
		l.to.address = S("someone@elsewhere.test");
		drill_tell_fail("commit_relay", letter_send(&l));
		return;
	}
	if (!log_in(a, alices, &alice))
		return;
	l.q.envelope.sender = S("alice@example.test");
	drill_tell_fail("commit_as_another", letter_send(&l));
	l.q.ticket.account = alice.account;
	drill_tell_fail("commit_changed", letter_send(&l));
	l.q.ticket = alice, l.q.ticket.mac = str_from(zeroes, sizeof zeroes);
	drill_tell_fail("commit_forged", letter_send(&l));
	l.q.ticket = (struct ticket){ 0 };
	drill_tell_fail("commit_none", letter_send(&l));
}

/* A good mail under an id of the office's, of another edge's, of long ago and of tomorrow; and, as the control, under its own. */
static void try_message_ids(struct arena *a, const struct ticket *t)
{
	const u8 own = office_edge_node(drill_self->instance, is_client());
	const u8 others[] = { 0, (u8)(own + 2),
			      office_edge_node(drill_self->instance, !is_client()) };
	struct letter l;
	_Atomic u64 last;

	letter_begin(&l, a, t);
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		last = 0;
		l.q.id = id_next_shared(&last, others[i], env_system());
		drill_tell_fail("foreign_id", letter_send(&l));
	}
	letter_begin(&l, a, t);
	drill_say("own_id", letter_send(&l) == NULL ? "works" : "FAILS", "-");
	drill_tell_fail("own_id_again", letter_send(&l));
	l.q.id = id_later(l.last, DAY_MS);
	drill_tell_fail("id_of_tomorrow", letter_send(&l));
	l.q.id = l.last - id_later(0, 2 * DAY_MS);
	drill_tell_fail("id_of_long_ago", letter_send(&l));
}

static const struct fail *add_event(struct arena *a, u64 id)
{
	const struct event_record e = { .time = env_now(env_system()),
					.message = id,
					.source = S("\x7F\0\0\1"),
					.stage = S("mx"),
					.code = S("refused_command"),
					.arguments = S("{}") };
	const struct office_event_add_request q = { .events = &e, .events_n = 1 };
	struct office_event_add_answer r = { 0 };

	return office_event_add(a, drill_self->office, &q, &r);
}

/* Into the record of what others did: of another edge's attempt, of a message. */
static void try_attempt_ids(struct arena *a)
{
	const u32 own = drill_self->instance + (is_client() ? ID_EDGES / 2 : 0);
	_Atomic u64 last = 0;

	drill_tell_fail("foreign_attempt_id", add_event(a, id_attempt(env_system(), own ^ 1, 1)));
	drill_tell_fail("foreign_attempt_id",
			add_event(a, id_attempt(env_system(), own ^ (ID_EDGES / 2), 1)));
	drill_tell_fail(
	    "event_of_a_message",
	    add_event(a, id_next_shared(&last, office_edge_node(drill_self->instance, false),
					env_system())));
	drill_tell_fail("attempt_of_long_ago", add_event(a, 1 + ((u64)own << 13)));
	drill_say("own_attempt_id",
		  add_event(a, id_attempt(env_system(), own, 1)) == NULL ? "works" : "FAILS", "-");
}

static void try_keys(struct arena *a)
{
	static const u8 digest[64];
	static const u8 zeroes[32];
	const struct sign_dkim_sign_request forged = { .permit = { .domain = S("example.test"),
								   .expires = UINT64_MAX / 2,
								   .mac = { zeroes, 32 } },
						       .selector = S("x"),
						       .digest = { digest, 32 } };
	struct sign_dkim_sign_answer o = { 0 };

	if (drill_self->role != ROLE_MX)
		drill_tell_fail("dkim_forged", sign_dkim_sign(a, drill_self->sign, &forged, &o));
	for (size_t n = 0; n <= 64 && drill_self->role != ROLE_MDA;
	     n += n == 31 || n == 32 ? 1 : 31) {
		const struct sign_tls_sign_request q = { .key = 99,
							 .scheme = 1,
							 .digest = { digest, n } };
		struct sign_tls_sign_answer r = { 0 };
		drill_tell_fail("tls_sign_other", sign_tls_sign(a, drill_self->sign, &q, &r));
	}
}

static void try_edge(struct arena *a)
{
	struct ticket own = { 0 };

	if (is_client() && !log_in(a, bobs, &own))
		return;
	try_bodies(a, &own);
	try_senders(a, &own);
	try_message_ids(a, &own);
	try_attempt_ids(a);
}

void drill_authority(u32 index)
{
	struct arena *a = arena_new(DRILL_ARENA);

	(void)index;
	if (is_client())
		try_client(a);
	if (drill_self->role == ROLE_MX || is_client())
		try_edge(a);
	if (drill_self->role == ROLE_MDA || drill_self->role == ROLE_RELAY)
		try_jobs(a);
	if (drill_self->sign)
		try_keys(a);
	arena_free(&a);
}

/* --- Calls that are not ours --------------------------------------------------------------------------------- */

/* One, since the server hangs up; `index` counts over all that are not ours. */
void drill_forbidden(u32 index)
{
	struct arena *a = arena_new(DRILL_ARENA);
	struct server servers[SERVERS];
	u32 at = 0, all = 0;
	char detail[32];

	servers_get(servers);
	for (int round = 0; round < 2; round++, at = 0)
		for (size_t s = 0; s < SERVERS; s++)
			for (size_t i = 0; i < servers[s].n && *servers[s].bus; i++) {
				const struct bus_method *m = &servers[s].methods[i];
				if (m->callers & process_roles[drill_self->role].caller)
					continue;
				if (round == 0)
					all++;
				else if (at++ == index % all)
					drill_tell_fail(m->name,
							call_with(a, *servers[s].bus, m, NULL));
			}
	snprintf(detail, sizeof detail, "of=%u", all);
	drill_say("count", "works", detail);
	arena_free(&a);
}
