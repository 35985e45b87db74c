/* POP3 over the session skeleton: the one name that the process needs. See pop3.c for the contract. */
#ifndef EDGE_POP3_POP3_H
#define EDGE_POP3_POP3_H

#include "serve/serve.h"

extern const struct protocol pop3_protocol;

#endif
