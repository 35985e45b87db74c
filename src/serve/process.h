/*
 * What every process but parent has in common: it is the same binary, started by parent by re-exec (`postern @mx 0`), handed its
 * descriptors over the control socket, told its configuration, jailed, and ended by the close of that socket.
 *
 * A role (process_roles.tbl) gives two functions:
 *   before_jail  one thread, may still open files: load what the jail will keep away
 *   after_jail   starts threads and serves; returns when told to stop (process->stopping, or the control socket's end)
 */
#ifndef SERVE_PROCESS_H
#define SERVE_PROCESS_H

#include <stdatomic.h>

#include "bus/bus.h"
#include "config/config.h"
#include "serve/jail.h"

enum role { ROLE_MX, ROLE_CLIENT, ROLE_MDA, ROLE_OFFICE, ROLE_RELAY, ROLE_SIGN, ROLE_LOGIN, ROLES };

/* A socket that parent bound for us. */
struct process_listener {
	int fd;
	enum service service;
};

struct process {
	enum role role;
	u32 instance;                /* of this role, from 0 */
	struct arena *arena;         /* lives as long as the process */
	const struct config *config; /* replaced on reload through `reload` */

	/* Servers that this role calls; NULL when it calls none of that kind. Reconnected by the control thread. */
	struct bus *office, *login, *sign, *relay;
	int notices; /* edges of ROLE_CLIENT: the receiving end of the one-way pair from office; else -1 */
	struct process_listener *listeners;
	size_t listeners_n;
	u8 ticket_secret[32];  /* office and login */
	u8 permit_secret[32];  /* office and sign */
	u8 tls_ticket_key[80]; /* edges; parent sends a new one every 12 hours through `reload` */
	int address_table; /* memfd of per-address counts shared by all edges (serve/address_table.h); else -1 */
	/* The role's own folder as seen from where we are: its full path in before_jail; in after_jail "" when it became the root, else
	 * still its full path. Append "/name". Only for roles with JAIL_FILES; NULL for others. */
	const char *folder;
	int ctl; /* office, login, sign: listening seqpacket socket for ctl, else -1 */

	/* Set before the control thread starts, by before_jail or early in after_jail. Any may be NULL. Run on the control thread. */
	void (*peer)(struct process *p, u32 role, u32 instance, int fd,
		     int notices); /* servers: a new client; takes both */
	void (*reload)(
	    struct process *p,
	    const struct config *config); /* may keep config: lives as long as the process */
	void (*stop)(struct process *p);  /* make after_jail return soon: 5 s until SIGKILL */

	_Atomic bool stopping;
	void *state;                     /* the role's own */
	struct process_control *control; /* internal */
};

/* One row per role: name, functions, jail. Defined in process_roles.c from process_roles.tbl. */
struct process_role {
	const char *name; /* "mx"; argv[1] is "@mx" */
	u32 caller;       /* CALLER_ bit it has as a client of others; 0 when it calls nobody */
	unsigned allow;   /* enum jail_allow */
	const char
	    *folder; /* beneath server.data, for JAIL_FILES; "" is server.data itself; NULL none */
	const struct fail *(*before_jail)(struct process *p);
	const struct fail *(*after_jail)(struct process *p);
};
extern const struct process_role process_roles[ROLES];

/* Runs a child from its re-exec to its end; the exit status. control_fd: the socket from parent (descriptor 3). */
int process_main(enum role role, u32 instance, int control_fd);
/* Starts the control thread: new peers, reload, stop, ready. Called by after_jail of every role when it is set up; tells parent
 * that this process is ready. */
void process_ready(struct process *p);
/* From here on this process logs what server.log says. */
void process_log_level(const struct config *c);

/* The entry points that roles give; each in its own folder. */
const struct fail *mx_before_jail(struct process *p);
const struct fail *mx_after_jail(struct process *p);
const struct fail *client_before_jail(struct process *p);
const struct fail *client_after_jail(struct process *p);
const struct fail *mda_before_jail(struct process *p);
const struct fail *mda_after_jail(struct process *p);
const struct fail *office_before_jail(struct process *p);
const struct fail *office_after_jail(struct process *p);
const struct fail *relay_before_jail(struct process *p);
const struct fail *relay_after_jail(struct process *p);
const struct fail *sign_before_jail(struct process *p);
const struct fail *sign_after_jail(struct process *p);
const struct fail *login_before_jail(struct process *p);
const struct fail *login_after_jail(struct process *p);

#endif
