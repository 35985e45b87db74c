/* IMAP4rev1 for people (ports 143 and 993): what the client process needs to know of it. */
#ifndef EDGE_IMAP_IMAP_H
#define EDGE_IMAP_IMAP_H

#include "serve/serve.h"

extern const struct protocol imap_protocol;

#endif
