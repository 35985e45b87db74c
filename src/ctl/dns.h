/*
 * DNS for the commands that judge a message (`spf`, `auth`): the resolver of the relay, run inside this process, so that they need
 * no running system. --dns HOST:PORT asks only that server; --trust-anchor FILE is the DNSSEC anchor to believe; without --dns the
 * configuration file is followed when it can be read, and the defaults when it cannot.
 */
#ifndef CTL_DNS_H
#define CTL_DNS_H

#include "ctl/ctl_int.h"
#include "text/dns.h"
#include "verdict/spf.h"

enum ctl_dns_limit { CTL_DNS_BUDGET_MS = 20 * 1000 }; /* all questions together (THREATS D08) */

/* Lives as long as c->arena; the budget starts now. Options of the command: "dns= trust-anchor=". */
const struct fail *ctl_dns_source(struct ctl *c, struct dns_source *out);

/* --ip, --helo, --mail-from, as `spf` and `auth` have them. Strings live as long as c->arena. */
const struct fail *ctl_spf_query(struct ctl *c, struct spf_query *q);
const char *ctl_dns_type_name(u32 type);                 /* "AAAA" */
const char *ctl_dns_status_name(enum dns_status status); /* "no such name" */

#endif
