/* maildrop: at most one POP3 session holds an account's maildrop (RFC 1939 4). Ends with the session or its edge. Any thread. */
#ifndef OFFICE_MAILDROP_H
#define OFFICE_MAILDROP_H

#include "base/env.h"
#include "base/fail.h"

struct maildrop;
struct maildrop *maildrop_new(const struct env *e);
void maildrop_free(struct maildrop **m);
/* BUSY when another session has it; taking it twice is no error. */
const struct fail *maildrop_take(struct maildrop *m, u64 account, u64 peer, u64 session);
void maildrop_give(struct maildrop *m, u64 account, u64 peer, u64 session);
void maildrop_peer_gone(struct maildrop *m, u64 peer);

#endif
