/*
 * A process taken over: only in a build with -Ddrill=true (serve/drill.h), told by a signal what to do. Whoever has the code of
 * a process may make any call to the kernel and send anything on any descriptor, so that is what is done here, in every role alike.
 *
 * SIGRTMIN + 1 with the value stage | index << 8; each try gives one line on stderr:
 *	drill ROLE STAGE TRY refused|DONE|works DETAIL
 * and the stage ends with `drill ROLE STAGE end`. DONE is a hole; `works` is what must go, as a control of the drill.
 */
#include "serve/drill.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../crash/faults.h"
#include "base/arena.h"
#include "base/env.h"
#include "base/fd.h"
#include "base/id.h"
#include "bus/frame.h"
#include "bus/login.h"
#include "bus/office.h"
#include "bus/relay.h"
#include "bus/sign.h"
#include "serve/process_control.h"
#include "text/skeleton.h"

enum {
	DRILL_STACK = 1 << 20,
	FDS = 4096,
	NEIGHBOURS = 40,
	DRILL_ARENA = 128 << 20,
	DAY_MS = 24 * 60 * 60 * 1000
};

enum stage {
	STAGE_SYSTEM = 1, /* files, network, other processes, privileges */
	STAGE_AUTHORITY,  /* calls that are ours to make, about what is not ours */
	STAGE_GARBAGE,    /* nonsense to every process that listens */
	STAGE_OVERSIZED,
	STAGE_DESCRIPTORS,
	STAGE_FLOOD,     /* calls whose answers nobody reads */
	STAGE_FORBIDDEN, /* one call that is not ours to make; index says which */
	STAGE_SHORT,     /* and the other faults; index is their amount */
	STAGE_INTERRUPT,
	STAGE_SLOW,
	STAGE_CLOCK,
};

static struct process *self;
static const char *stage_name;

/* --- Saying ------------------------------------------------------------------------------------------------- */

static void say(const char *try, const char *result, const char *detail)
{
	dprintf(2, "drill %s %s %s %s %s\n", process_roles[self->role].name, stage_name, try,
		result, detail);
}

static void tell(const char *try, bool done)
{
	char detail[32];

	snprintf(detail, sizeof detail, "errno=%d", done ? 0 : errno);
	say(try, done ? "DONE" : "refused", detail);
}

static void tell_fail(const char *try, const struct fail *f)
{
	char detail[64] = "-";

	if (f)
		snprintf(detail, sizeof detail, "%.*s", STR_ARG(fail_what_name(f->what)));
	say(try, f ? "refused" : "DONE", detail);
}

/* --- Files -------------------------------------------------------------------------------------------------- */

static bool can_read(const char *path)
{
	char byte;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool done = fd >= 0 && read(fd, &byte, 1) == 1;

	fd_close(&fd);
	return done;
}

static bool can_write(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	bool done = fd >= 0;

	fd_close(&fd);
	return done;
}

/* Below the data folder, by its full name and by the way up from where we are. */
static void try_file(const char *try, const char *name, bool (*can)(const char *path))
{
	char path[4096];
	static const char *const ups[] = { "../", "../../", "/../", "/proc/1/root/",
					   "/proc/self/cwd/../" };
	bool done;

	snprintf(path, sizeof path, "%.*s/%s", STR_ARG(self->config->server_data), name);
	done = can(path);
	for (size_t i = 0; i < ARRAY_LEN(ups) && !done; i++) {
		snprintf(path, sizeof path, "%s%s", ups[i], name);
		done = can(path);
	}
	tell(try, done);
}

/* A folder's descriptor is a way out of any root; a file's is a file more than we should see. */
static bool holds_way_out(void)
{
	for (int fd = 0; fd < FDS; fd++) {
		int out = openat(fd, "../../../../../../etc/passwd", O_RDONLY | O_CLOEXEC);
		if (out >= 0 && (close(out), true))
			return true;
	}
	return false;
}

static bool holds_file(void)
{
	for (int fd = 3; fd < FDS; fd++) {
		struct stat s;
		if (fstat(fd, &s) == 0 && s.st_nlink && (S_ISREG(s.st_mode) || S_ISDIR(s.st_mode)))
			return true;
	}
	return false;
}

static void try_files(void)
{
	const char *folder = process_roles[self->role].folder;

	if (folder == NULL || strcmp(folder, "store") != 0) {
		try_file("read_database", "store/postern.db", can_read);
		try_file("read_segment", "store/mail/00000001.seg", can_read);
		try_file("write_segment", "store/mail/00000001.seg", can_write);
	}
	if (folder == NULL || strcmp(folder, "login") != 0)
		try_file("read_passwords", "login/login.db", can_read);
	if (folder == NULL || strcmp(folder, "keys") != 0) {
		try_file("read_key", "keys/selfsigned.key", can_read);
		try_file("write_key", "keys/drill.key", can_write);
	}
	if (folder == NULL)
		try_file("write_data", "drill", can_write);
	tell("read_etc", can_read("/etc/passwd"));
	tell("read_proc", can_read("/proc/1/status") || can_read("/proc/self/maps"));
	tell("write_tmp", can_write("/tmp/postern-drill"));
	tell("holds_way_out", holds_way_out());
	if (folder == NULL)
		tell("holds_file", holds_file());
}

/* --- Network ------------------------------------------------------------------------------------------------ */

static bool can_connect(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr = { htonl(INADDR_LOOPBACK) },
				  .sin_port = htons(9) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* Nobody is there: refused by the peer is as good as connected, it went out. */
	bool done = fd >= 0 && (connect(fd, (struct sockaddr *)&at, sizeof at) == 0 ||
				errno == ECONNREFUSED || errno == EADDRNOTAVAIL);

	fd_close(&fd);
	return done;
}

static bool can_listen(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool done =
	    fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 1) == 0;

	fd_close(&fd);
	return done;
}

static bool can_send_udp(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr = { htonl(INADDR_LOOPBACK) },
				  .sin_port = htons(9) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool done = fd >= 0 && sendto(fd, "x", 1, 0, (struct sockaddr *)&at, sizeof at) == 1;

	fd_close(&fd);
	return done;
}

static bool can_administer(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	bool done;

	snprintf(at.sun_path, sizeof at.sun_path, "%.*s/run/office.ctl",
		 STR_ARG(self->config->server_data));
	done = fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0;
	fd_close(&fd);
	return done;
}

static bool can_make_socket(int family, int type)
{
	int fd = socket(family, type | SOCK_CLOEXEC, 0);
	bool done = fd >= 0;

	fd_close(&fd);
	return done;
}

static void try_network(void)
{
	if (!(process_roles[self->role].allow & JAIL_CONNECT)) {
		tell("connect", can_connect());
		tell("send_udp", can_send_udp());
	}
	tell("listen", can_listen());
	tell("administer", can_administer());
	tell("socket_unix", can_make_socket(AF_UNIX, SOCK_STREAM));
	tell("socket_netlink", can_make_socket(AF_NETLINK, SOCK_RAW));
	tell("socket_raw", can_make_socket(AF_INET, SOCK_RAW));
	tell("socket_packet", can_make_socket(AF_PACKET, SOCK_RAW));
}

/* --- Other processes ---------------------------------------------------------------------------------------- */

static bool is_other(pid_t pid)
{
	return pid > 1 && pid != getpid();
}

/* Parent and children of one start have numbers near to each other. */
static bool any_neighbour(bool (*can)(pid_t pid))
{
	pid_t me = getpid();

	for (pid_t pid = me - NEIGHBOURS; pid < me + NEIGHBOURS; pid++)
		if (is_other(pid) && can(pid))
			return true;
	return is_other(getppid()) && can(getppid());
}

static bool can_signal(pid_t pid)
{
	return kill(pid, 0) == 0 || syscall(SYS_tgkill, pid, pid, 0) == 0 ||
	       syscall(SYS_tkill, pid, 0) == 0;
}

static bool can_trace(pid_t pid)
{
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) != 0)
		return false;
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
	return true;
}

static bool can_look_into(pid_t pid)
{
	char byte;
	struct iovec v = { &byte, 1 }, there = { (void *)(uintptr_t)&is_other, 1 };

	/* The same program: often the same place; EFAULT says that we may. */
	return process_vm_readv(pid, &v, 1, &there, 1, 0) == 1 || errno == EFAULT;
}

static bool can_take_descriptor(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0), taken = -1;

	if (fd >= 0)
		taken = (int)syscall(SYS_pidfd_getfd, fd, 3, 0);
	fd_close(&fd);
	return taken >= 0 && (close(taken), true);
}

static void try_exec(void)
{
	char *const argv[] = { (char *)(uintptr_t) "true", NULL };
	pid_t child = (pid_t)syscall(SYS_fork);
	int status = -1;

	if (child == 0) {
		execve("/bin/true", argv, NULL);
		_exit(9);
	}
	tell("fork", child > 0);
	if (child > 0) {
		waitpid(child, &status, 0);
		tell("exec", WIFEXITED(status) && WEXITSTATUS(status) == 0);
	} else {
		execve("/bin/true", argv, NULL);
		tell("exec", false);
	}
}

static void try_processes(void)
{
	tell("kill", any_neighbour(can_signal));
	tell("ptrace", any_neighbour(can_trace));
	tell("read_memory", any_neighbour(can_look_into));
	tell("take_descriptor", any_neighbour(can_take_descriptor));
	try_exec();
}

/* --- Privileges --------------------------------------------------------------------------------------------- */

static bool can_map_code(void)
{
	u8 *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return page != MAP_FAILED && mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0;
}

static void try_privileges(void)
{
	struct rlimit more = { 1 << 20, 1 << 20 };

	tell("code", can_map_code());
	tell("chroot", chroot("/") == 0);
	tell("mount",
	     mount("x", "/mnt", "tmpfs", MS_RDONLY, "size=4k") == 0 && umount("/mnt") == 0);
	tell("unshare", syscall(SYS_unshare, CLONE_NEWUSER) == 0);
	tell("setuid", setuid(0) == 0);
	tell("setns", syscall(SYS_setns, 0, 0) == 0 || errno == EINVAL);
	tell("bpf", syscall(SYS_bpf, 1, NULL, 0) == 0 || errno == EINVAL || errno == EFAULT);
	tell("io_uring", syscall(SYS_io_uring_setup, 1, NULL) == 0 || errno == EFAULT);
	tell("keyring", syscall(SYS_keyctl, 0, -3, 0) >= 0);
	tell("userfaultfd", syscall(SYS_userfaultfd, 1) >= 0);
	tell("limit", setrlimit(RLIMIT_NOFILE, &more) == 0);
	tell("dumpable", prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0);
}

static void drill_system(u32 index)
{
	(void)index;
	try_files();
	try_network();
	try_privileges();
	try_processes();
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
	out[0] = (struct server){ &self->office, office_methods, office_methods_n };
	out[1] = (struct server){ &self->login, login_methods, login_methods_n };
	out[2] = (struct server){ &self->sign, sign_methods, sign_methods_n };
	out[3] = (struct server){ &self->relay, relay_methods, relay_methods_n };
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

		if (!m->needs_ticket || !(m->callers & process_roles[self->role].caller))
			continue;
		snprintf(try, sizeof try, "%s:%s", kind, m->name);
		tell_fail(try, call_with(a, self->office, m, t));
	}
}

/* What bob gets who knows bob's password: nothing but bob's. */
static bool log_in(struct arena *a, struct ticket *t)
{
	const struct login_sasl_start_request q = { .client = { .service = SERVICE_IMAP,
								.address = S("\x7F\0\0\1") },
						    .instance = self->instance,
						    .session = 7,
						    .mechanism = S("PLAIN"),
						    .has_response = true,
						    .response = S("\0bob@example.test\0bob") };
	struct login_sasl_start_answer r = { 0 };

	if (login_sasl_start(a, self->login, &q, &r) != NULL || r.ticket.account == 0)
		return false;
	*t = r.ticket;
	return true;
}

static void try_foreign_mailboxes(struct arena *a, const struct ticket *bob)
{
	const struct office_mailbox_list_request q = { .ticket = *bob };
	struct office_mailbox_list_answer own = { 0 };
	bool works = office_mailbox_list(a, self->office, &q, &own) == NULL && own.mailboxes_n > 0;

	say("own_mailboxes", works ? "works" : "FAILS", "-");
	for (u64 id = 1; id < 40; id++) {
		const struct office_mailbox_changes_request c = { .ticket = *bob, .mailbox = id };
		struct office_mailbox_changes_answer r = { 0 };
		bool mine = false;

		for (size_t i = 0; i < own.mailboxes_n; i++)
			mine = mine || own.mailboxes[i].id == id;
		if (!mine)
			tell_fail("foreign_mailbox",
				  office_mailbox_changes(a, self->office, &c, &r));
	}
}

static void try_client(struct arena *a)
{
	static const u8 zeroes[32];
	struct ticket t = { .generation = 1,
			    .instance = self->instance,
			    .session = 1,
			    .expires = UINT64_MAX / 2,
			    .mac = { zeroes, sizeof zeroes } },
		      bob = { 0 }, changed;

	for (u64 account = 1; account < 4; account++) {
		t.account = account;
		try_tickets(a, "forged", &t);
	}
	try_tickets(a, "none", NULL);
	if (!log_in(a, &bob)) {
		say("log_in", "FAILS", "-");
		return;
	}
	try_foreign_mailboxes(a, &bob);
	changed = bob, changed.account ^= 1;
	try_tickets(a, "other_account", &changed);
	changed = bob, changed.account ^= 3;
	try_tickets(a, "other_account", &changed);
	changed = bob, changed.generation++;
	try_tickets(a, "other_generation", &changed);
	changed = bob, changed.session++;
	try_tickets(a, "other_session", &changed);
	changed = bob, changed.instance++;
	try_tickets(a, "other_instance", &changed);
	changed = bob, changed.expires += 1000000;
	try_tickets(a, "longer", &changed);
}

/* A call on a job that nobody gave us. */
static void try_jobs(struct arena *a)
{
	for (u64 job = 0; job < 4; job++) {
		const struct office_job_message_request q = { .job = job };
		struct office_job_message_answer r = { .body = -1 };
		tell_fail("foreign_job_message", office_job_message(a, self->office, &q, &r));
	}
	if (self->role == ROLE_MDA) {
		const struct delivery d = { .job = 1, .special = SPECIAL_INBOX };
		const struct office_deliver_request q = { .deliveries = &d, .deliveries_n = 1 };
		struct office_deliver_answer r = { 0 };
		const struct office_dsn_commit_request e = { .job = 1, .body.file = -1 };
		struct office_dsn_commit_answer s = { 0 };
		tell_fail("foreign_deliver", office_deliver(a, self->office, &q, &r));
		tell_fail("foreign_dsn", office_dsn_commit(a, self->office, &e, &s));
	} else {
		const struct office_attempt_done_request q = { .job = 1 };
		struct office_attempt_done_answer r = { 0 };
		tell_fail("foreign_attempt", office_attempt_done(a, self->office, &q, &r));
	}
}

/* Mail that was never begun, a body that is not there, a ticket that is nobody's. */
static void try_commit(struct arena *a)
{
	static const u8 zeroes[32];
	const struct recipient to = { .address = S("alice@example.test") };
	struct office_message_commit_request q = { .id = 12345,
						   .envelope = { .sender = S("bob@example.test"),
								 .recipients = &to,
								 .recipients_n = 1 },
						   .client = { .service = SERVICE_SUBMISSION },
						   .body = { .file = -1, .size = 1 << 20 } };
	struct office_message_commit_answer r = { 0 };

	tell_fail("commit_nothing", office_message_commit(a, self->office, &q, &r));
	q.body.file = 2; /* no spool file of the office's */
	tell_fail("commit_descriptor", office_message_commit(a, self->office, &q, &r));
	q.body.file = memfd_create("drill", MFD_CLOEXEC); /* could change under the office */
	if (q.body.file >= 0 && ftruncate(q.body.file, 1 << 20) == 0) {
		tell_fail("commit_unsealed", office_message_commit(a, self->office, &q, &r));
		q.body.size = UINT64_MAX;
		tell_fail("commit_overlong", office_message_commit(a, self->office, &q, &r));
		q.ticket = (struct ticket){ .account = 1,
					    .generation = 1,
					    .expires = UINT64_MAX / 2,
					    .mac = { zeroes, 32 } };
		q.body.size = 1 << 20;
		tell_fail("commit_forged", office_message_commit(a, self->office, &q, &r));
	}
	fd_close(&q.body.file);
}

static str small_mail(struct arena *a, struct office_message_commit_request *q)
{
	static const str mail = S("From: bob@example.test\r\nSubject: drill\r\n\r\nDrill.\r\n");
	struct skeleton_parser *p = skeleton_parser_new(a);
	const struct skeleton *s;
	struct buf *both;
	str encoded;

	if (skeleton_feed(p, mail) || skeleton_finish(p, &s))
		return STR_NONE;
	encoded = skeleton_encode(a, s);
	q->body = (struct message_body){ .file = -1, .size = mail.n, .skeleton = encoded.n };
	both = buf_new(a, mail.n + encoded.n);
	buf_add(both, mail);
	buf_add(both, encoded);
	return buf_str(both);
}

/* A good mail under an id of the office's, of another edge's, of long ago and of tomorrow; and, as the control, under its own. */
static void try_message_ids(struct arena *a)
{
	const bool is_client = self->role == ROLE_CLIENT;
	const u8 own = office_edge_node(self->instance, is_client);
	const u8 others[] = { 0, (u8)(own + 2), office_edge_node(self->instance, !is_client) };
	const struct recipient to = { .address = S("alice@example.test") };
	struct office_message_commit_request q = {
		.envelope = { .sender = S("bob@example.test"),
			      .recipients = &to,
			      .recipients_n = 1 },
		.client = { .service = is_client ? SERVICE_SUBMISSION : SERVICE_SMTP,
			    .address = S("\x7F\0\0\1") },
	};
	struct office_message_commit_answer r = { 0 };
	_Atomic u64 last = 0;

	q.body.bytes = small_mail(a, &q);
	if (is_client && !log_in(a, &q.ticket))
		say("log_in", "FAILS", "-");
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		last = 0;
		q.id = id_next_shared(&last, others[i], env_system());
		tell_fail("foreign_id", office_message_commit(a, self->office, &q, &r));
	}
	last = 0;
	q.id = id_next_shared(&last, own, env_system());
	say("own_id", office_message_commit(a, self->office, &q, &r) == NULL ? "works" : "FAILS",
	    "-");
	tell_fail("own_id_again", office_message_commit(a, self->office, &q, &r));
	q.id = id_later(last, DAY_MS);
	tell_fail("id_of_tomorrow", office_message_commit(a, self->office, &q, &r));
	q.id = last - id_later(0, 2 * DAY_MS);
	tell_fail("id_of_long_ago", office_message_commit(a, self->office, &q, &r));
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

	return office_event_add(a, self->office, &q, &r);
}

/* Into the record of what others did: of another edge's attempt, of a message. */
static void try_attempt_ids(struct arena *a)
{
	const u32 own = self->instance + (self->role == ROLE_CLIENT ? ID_EDGES / 2 : 0);
	_Atomic u64 last = 0;

	tell_fail("foreign_attempt_id", add_event(a, id_attempt(env_system(), own ^ 1, 1)));
	tell_fail("foreign_attempt_id",
		  add_event(a, id_attempt(env_system(), own ^ (ID_EDGES / 2), 1)));
	tell_fail("event_of_a_message",
		  add_event(a, id_next_shared(&last, office_edge_node(self->instance, false),
					      env_system())));
	tell_fail("attempt_of_long_ago", add_event(a, 1 + ((u64)own << 13)));
	say("own_attempt_id",
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

	if (self->role != ROLE_MX)
		tell_fail("dkim_forged", sign_dkim_sign(a, self->sign, &forged, &o));
	for (size_t n = 0; n <= 64 && self->role != ROLE_MDA; n += n == 31 || n == 32 ? 1 : 31) {
		const struct sign_tls_sign_request q = { .key = 99,
							 .scheme = 1,
							 .digest = { digest, n } };
		struct sign_tls_sign_answer r = { 0 };
		tell_fail("tls_sign_other", sign_tls_sign(a, self->sign, &q, &r));
	}
}

static void try_edge(struct arena *a)
{
	try_commit(a);
	try_message_ids(a);
	try_attempt_ids(a);
}

static void drill_authority(u32 index)
{
	struct arena *a = arena_new(DRILL_ARENA);

	(void)index;
	if (self->role == ROLE_CLIENT)
		try_client(a);
	if (self->role == ROLE_MX || self->role == ROLE_CLIENT)
		try_edge(a);
	if (self->role == ROLE_MDA || self->role == ROLE_RELAY)
		try_jobs(a);
	if (self->sign)
		try_keys(a);
	arena_free(&a);
}

/* --- Nonsense to everybody ----------------------------------------------------------------------------------- */

static bool is_pair(int fd)
{
	int type = 0, listening = 0;
	socklen_t n = sizeof type;

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_SEQPACKET &&
	       getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &n) == 0 && !listening;
}

static bool put(int fd, const void *bytes, size_t n, int with, unsigned copies)
{
	union {
		char room[CMSG_SPACE(sizeof(int) * 253)];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec v = { (void *)(uintptr_t)bytes, n };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };

	if (copies) {
		m.msg_control = control.room;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * copies);
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		*c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int) * copies),
				       .cmsg_level = SOL_SOCKET,
				       .cmsg_type = SCM_RIGHTS };
		for (unsigned i = 0; i < copies; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &with, sizeof with);
	}
	return sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

static void everywhere(bool (*act)(int fd, u32 index), u32 index)
{
	u32 pairs = 0;
	char detail[32];

	for (int fd = FDS; fd > CONTROL_FD; fd--)
		if (is_pair(fd)) {
			pairs++;
			act(fd, index);
		}
	snprintf(detail, sizeof detail, "pairs=%u", pairs);
	say("sent", pairs ? "works" : "FAILS", detail);
	act(CONTROL_FD, index); /* the last thing we do: parent ends who speaks nonsense to it */
}

/* A head with numbers of real calls, and a body of anything. */
static bool act_garbage(int fd, u32 index)
{
	u8 bytes[512];
	u64 state = index * 0x9E3779B97F4A7C15u + 1;

	for (int round = 0; round < 64; round++) {
		size_t n = 1 + (size_t)(state >> 33) % sizeof bytes;
		for (size_t i = 0; i < n; i++) {
			state = state * 6364136223846793005u + 1442695040888963407u;
			bytes[i] = (u8)(state >> 56);
		}
		if (n > FRAME_HEAD && round % 2)
			memset(bytes + 9, 0, 3), bytes[8] = (u8)(state >> 40) % 96, bytes[12] %= 4;
		put(fd, bytes, n, -1, 0);
	}
	return true;
}

static bool act_oversized(int fd, u32 index)
{
	static u8 large[256 * 1024];
	u8 file[FRAME_HEAD + 8] = { [12] = FRAME_FILE };
	int empty = memfd_create("drill", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	memset(large, 0xFF, sizeof large);
	memset(file + FRAME_HEAD, index % 2 ? 0xFF : 0x01, 8);
	file[8] = 1;
	for (size_t n = BUS_FRAME - 1; n <= sizeof large; n += n < BUS_FRAME + 1 ? 1 : 16384)
		put(fd, large, n, -1, 0);
	put(fd, file, sizeof file, empty, 1); /* says more than is in it; not sealed */
	fd_close(&empty);
	return true;
}

static bool act_descriptors(int fd, u32 index)
{
	u8 head[FRAME_HEAD] = { [8] = (u8)(1 + index % 5) };

	for (int round = 0; round < 2000; round++)
		if (!put(fd, head, sizeof head, 2, round % 2 ? 253 : 16))
			break;
	return true;
}

static bool act_flood(int fd, u32 index)
{
	u8 call[FRAME_HEAD + 64] = { [8] = 1 };

	(void)index;
	for (u64 i = 0; i < 100000; i++) {
		memcpy(call, &i, sizeof i);
		if (!put(fd, call, sizeof call - i % 64, -1, 0) && errno != EAGAIN)
			break;
	}
	return true;
}

static void drill_garbage(u32 index)
{
	everywhere(act_garbage, index);
}

static void drill_oversized(u32 index)
{
	everywhere(act_oversized, index);
}

static void drill_descriptors(u32 index)
{
	everywhere(act_descriptors, index);
}

static void drill_flood(u32 index)
{
	everywhere(act_flood, index);
}

/* --- Calls that are not ours --------------------------------------------------------------------------------- */

/* One, since the server hangs up; `index` counts over all that are not ours. */
static void drill_forbidden(u32 index)
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
				if (m->callers & process_roles[self->role].caller)
					continue;
				if (round == 0)
					all++;
				else if (at++ == index % all)
					tell_fail(m->name, call_with(a, *servers[s].bus, m, NULL));
			}
	snprintf(detail, sizeof detail, "of=%u", all);
	say("count", "works", detail);
	arena_free(&a);
}

/* --- Faults: for tests/crash --------------------------------------------------------------------------------- */

static void drill_short(u32 amount)
{
	fault_set(FAULT_SHORT, amount);
}

static void drill_interrupt(u32 amount)
{
	fault_set(FAULT_INTERRUPT, amount);
}

static void drill_slow(u32 amount)
{
	fault_set(FAULT_SLOW, amount);
}

static void drill_clock(u32 amount)
{
	fault_set(FAULT_CLOCK, amount);
}

/* --- Told --------------------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	void (*run)(u32 index);
} stages[] = {
	[STAGE_SYSTEM] = { "system", drill_system },
	[STAGE_AUTHORITY] = { "authority", drill_authority },
	[STAGE_GARBAGE] = { "garbage", drill_garbage },
	[STAGE_OVERSIZED] = { "oversized", drill_oversized },
	[STAGE_DESCRIPTORS] = { "descriptors", drill_descriptors },
	[STAGE_FLOOD] = { "flood", drill_flood },
	[STAGE_FORBIDDEN] = { "forbidden", drill_forbidden },
	[STAGE_SHORT] = { "short", drill_short },
	[STAGE_INTERRUPT] = { "interrupt", drill_interrupt },
	[STAGE_SLOW] = { "slow", drill_slow },
	[STAGE_CLOCK] = { "clock", drill_clock },
};

static sigset_t orders(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	return set;
}

void drill_prepare(void)
{
	sigset_t set = orders();

	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

bool drill_without_jail(const struct process *p)
{
	char path[4096];

	snprintf(path, sizeof path, "%.*s/drill-without-jail", STR_ARG(p->config->server_data));
	return access(path, F_OK) == 0;
}

static void *wait_for_orders(void *unused)
{
	sigset_t set = orders();
	siginfo_t info;

	(void)unused;
	for (;;) {
		u32 value, stage;

		if (sigwaitinfo(&set, &info) < 0)
			continue;
		value = (u32)info.si_value.sival_int;
		stage = value & 0xFF;
		if (stage == 0 || stage >= ARRAY_LEN(stages))
			continue;
		stage_name = stages[stage].name;
		stages[stage].run(value >> 8);
		say("end", "works", "-");
	}
	return NULL;
}

void drill_start(struct process *p)
{
	pthread_attr_t attributes;
	pthread_t thread;

	self = p;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, DRILL_STACK);
	pthread_create(&thread, &attributes, wait_for_orders, NULL);
	pthread_attr_destroy(&attributes);
}
