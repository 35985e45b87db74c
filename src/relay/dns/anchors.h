/*
 * DNSSEC trust anchors from files, as strings, because the resolver lives in a jail without files. Read before the jail.
 *
 * Understood, line by line: DS and DNSKEY records in zone file form (root.key, ldns-keygen's .key and .ds files), ';' comments, and
 * the state notes of RFC 5011 files: a key that such a file does not call valid is left out.
 */
#ifndef RELAY_DNS_ANCHORS_H
#define RELAY_DNS_ANCHORS_H

#include "base/fail.h"

enum anchors_limit { ANCHORS_FILE = 64 * 1024, ANCHORS_MAX = 64 };

struct anchors {
	const char *records[ANCHORS_MAX];
	size_t n;
};

/* Adds what text holds; strings live as long as the arena. INVALID: a line that is no anchor, or too many. */
const struct fail *anchors_parse(struct arena *a, str text, struct anchors *out);
/* A file that is not there is NOT_FOUND; one without an anchor INVALID. */
const struct fail *anchors_read(struct arena *a, str path, struct anchors *out);

#endif
