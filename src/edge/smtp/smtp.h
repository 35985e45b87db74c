/*
 * SMTP for everyone who brings mail: servers (port 25), filters (LMTP), people (submission). One protocol; what differs by service
 * is a policy (edge/mx, edge/msa) and columns of smtp.tbl. The contract stands in README.md of this folder.
 */
#ifndef EDGE_SMTP_SMTP_H
#define EDGE_SMTP_SMTP_H

#include "serve/serve.h"

extern const struct protocol smtp_protocol;

#endif
