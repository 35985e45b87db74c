/* What the files of this folder share. */
#ifndef EDGE_MSA_MSA_INT_H
#define EDGE_MSA_MSA_INT_H

#include "edge/smtp/policy.h"

/* DKIM-Signature fields of this message, one for each active key of the permit's domain; empty when the domain has
 * none. After gate_end. A fail is temporary: mail that its domain says is signed does not leave unsigned. */
const struct fail *msa_dkim(struct smtp *s, struct transaction *t, const struct permit *permit,
			    str *fields);

#endif
