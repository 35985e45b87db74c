/*
 * The parent: binds, forks, passes descriptors, restarts. It never reads a byte from the network or of a mail.
 *
 * parent_run() returns when it was told to stop (SIGTERM, SIGINT) and every child is gone; see parent.c for the order of things.
 */
#ifndef PARENT_PARENT_H
#define PARENT_PARENT_H

#include "config/config.h"

struct parent_options {
	const struct config *config; /* checked */
	str config_path;             /* read again at SIGHUP; empty: there is none */
	/* As root: role r runs as uid and gid uid_base + r (numbers that need no account); 0: as the users _postern_mx,
	 * _postern_client, ... of the system. Not root: everybody stays who they are. */
	u32 uid_base;
	bool
	    upgrade; /* at SIGUSR2 the command line of this process starts the program that is now where ours was */
	bool lived_in; /* the data folder was made before: what is missing there is not made anew */
	u64 silence_ms; /* a child that says nothing for so long is hung; 0: SILENCE_MS of parent_int.h */
	void (*ready)(void *context); /* every child serves; may be NULL */
	void *context;
};

/* The exit status: 0 after an orderly stop; 1 when it could not start or go on (said on stderr), 7 when the data folder
 * or a port is in use. */
int parent_run(struct arena *a, const struct parent_options *o);

#endif
