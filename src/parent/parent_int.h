/* What the files of parent share. */
#ifndef PARENT_PARENT_INT_H
#define PARENT_PARENT_INT_H

#include <sys/socket.h>
#include <sys/types.h>

#include "config/config_history.h"
#include "parent/parent.h"
#include "serve/address_table.h"
#include "serve/process.h"

enum {
	CHILDREN_MAX = ROLES * 64,
	BACK_OFF_FIRST_MS = 100,
	BACK_OFF_MOST_MS =
	    2 * 1000, /* whoever finds a way to crash a child gains no more than that each time */
	BACK_OFF_FORGET_MS = 30 * 1000, /* a child that lived so long begins again at the first */
	START_FAILURES = 3,             /* of one child before everybody was ready: give up */
	READY_MS = 60 * 1000,           /* a child that is not ready by then is hung */
	SILENCE_MS = 60 * 1000,         /* and so is one that has said nothing for so long since */
	SILENCE_LOOKS =
	    12, /* we look so often meanwhile: an hour in which we stood ourselves is one look */
	TICKET_KEY_MS = 12 * 60 * 60 * 1000,
	STATUS_IN_USE = 7, /* ctl/exit.tbl CONFLICT */
};

struct child {
	enum role role;
	u32 instance;
	pid_t pid; /* 0: none now */
	int control;
	bool ready;
	bool heard;      /* since the last look */
	unsigned silent; /* looks at which it had said nothing */
	bool
	    reloaded; /* it may end now, in order, to begin anew with what changed (keys sign does) */
	u64 started, again; /* monotonic; again: when to start it the next time */
	u64 back_off;
	unsigned failures; /* before it was ready */
};

struct identity {
	u32 uid, gid;
};

struct parent {
	struct arena *arena;
	const struct parent_options *options;
	const struct config *config;
	struct config_history configs; /* of reloads */
	int program; /* /proc/self/exe as it was when we started: an upgrade never mixes versions */
	const char *path; /* and where it was */
	struct identity identities[ROLES];
	struct process_listener *listeners;
	size_t listeners_n;
	int *inherited; /* listening sockets of the program before this one; -1: adopted */
	size_t inherited_n;
	int ctl[ROLES];
	int run_folder;
	u8 ticket_secret[32], permit_secret[32];
	u8 ticket_keys[2][80]; /* of mx, of client */
	int address_fd;
	struct address_table *addresses;
	struct child children[CHILDREN_MAX];
	size_t children_n;
	int epoll, signals;
	bool was_ready, failed, upgrading, ending;
	bool oom_lowered;            /* and what it was: */
	int oom_given, oom_children; /* oom_score_adj of parent at first, and of its children */
	u64 next_key, next_look;
	u8 scratch[BUS_FRAME];
};

/* folders.c: the data folder, its lock, owners and modes, the sockets for ctl. */
const struct fail *folders_prepare(struct parent *p, bool *in_use);
void folders_release(struct parent *p);
/* identity.c: who the children will be. */
const struct fail *identities_find(struct parent *p);
/* out_of_memory.c: whom the kernel ends when it has no memory left. */
void memory_protect(struct parent *p);       /* parent is among the last */
void memory_expose(const struct parent *p);  /* a child, after fork: it is not */
void memory_release(const struct parent *p); /* before we are another program, or nobody */
/* listen.c: all that the configuration wants bound. */
const struct fail *listeners_bind(struct parent *p);

/* upgrade.c: another program in the place of this one. */
const struct fail *upgrade_remember(struct parent *p);
const struct fail *upgrade_check(struct parent *p); /* takes seconds at most */
void upgrade_run(struct parent *p);                 /* returns only when it failed: errno */
void upgrade_inherit(struct parent *p);
int upgrade_adopt(struct parent *p, const struct sockaddr_storage *wanted,
		  socklen_t n); /* -1: none */
void upgrade_close_rest(struct parent *p);

/* child.c */
void child_spawn(struct parent *p, struct child *c);
void child_kill(struct child *c);
/* Says number (enum control, without a body) or a reload; a child that does not listen is killed. */
void child_say(struct child *c, u32 number);
void child_reload(struct parent *p, struct child *c);
bool role_is_edge(enum role role);
/* Has role `client` any call at the server `server`? From the tables of the bus. */
bool role_calls(enum role client, enum role server);

#endif
