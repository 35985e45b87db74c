/* What sign.c and its test share. */
#ifndef KEYS_SIGN_SIGN_INT_H
#define KEYS_SIGN_SIGN_INT_H

#include "serve/process.h"

/* Opens the DKIM keys and the bus server; after it peers may come. (The whole of after_jail but for the loop: tests run that.) */
const struct fail *sign_open(struct process *p);
/* The loop, until `stop`. */
void sign_run(struct process *p);
void sign_close(struct process *p);

#endif
