/*
 * Authentication-Results (RFC 8601): written by us, read for people, and taken out on entry when others wrote it in our name.
 *
 * The printer takes anything: a value that is not a plain name is quoted, bytes that could break out (controls, non-ASCII) become
 * '?', so nothing a peer said can add a result or end a field (THREATS D01 a3-a7, OpenDMARC CVE-2020-12272).
 */
#ifndef VERDICT_AUTHRES_H
#define VERDICT_AUTHRES_H

#include "text/header.h"

enum authres_limit {
	AUTHRES_VALUE = 320,   /* bytes of one property value or reason; the rest is cut */
	AUTHRES_RESULTS = 100, /* of one field that are read */
	AUTHRES_PROPERTIES = 16,
	AUTHRES_WORDS = 512, /* of an authserv-id, before ';' */
	AUTHRES_NAME = 1024, /* bytes of one in letters that are not ASCII */
};

/* --- Writing ------------------------------------------------------------------------------------------------- */

/* "Authentication-Results: id" into h; then results, each with its properties; then the end. */
struct authres_printer {
	struct header_builder *h; /* borrows */
	bool any;
};

void authres_start(struct authres_printer *p, struct header_builder *h, str id);
/* "; method=result", then " (comment)" and " reason=..." when not empty. method and result are words of ours. */
void authres_result(struct authres_printer *p, const char *method, str result, str comment,
		    str reason);
/* " ptype.property=value": nothing when value is empty. An address with a non-ASCII local part is written as "@domain". */
void authres_property(struct authres_printer *p, const char *name, str value);
void authres_end(struct authres_printer *p); /* "; none" when there was no result */

/* --- Reading: for people only, never to decide ------------------------------------------------------------------ */

struct authres_property_read {
	str name, value; /* "header.d", "example.org" */
};
struct authres_result_read {
	str method, result, reason;
	struct authres_property_read properties[AUTHRES_PROPERTIES];
	size_t properties_n;
};
struct authres {
	str id; /* of the host that wrote it */
	const struct authres_result_read *results;
	size_t results_n;
	bool broken;
};

/* value: as in struct header_field. Reads anything. */
void authres_parse(struct arena *a, str value, struct authres *out);

/* --- On entry -------------------------------------------------------------------------------------------------- */

struct authres_range {
	size_t from, to; /* of the header: [from, to) */
};

/* Does this Authentication-Results claim to come from id: in any case, quoted, with comments, folding, a version, a trailing dot,
 * in an encoded word, in letters that IDNA makes ours, between bytes that are no letters, or cut in pieces that a careless reader joins? */
bool authres_is_from(struct arena *a, str value, str id);
/*
 * The fields of a header, as it came from a stranger, that only we may write (RFC 8601 5; THREATS H12): Authentication-Results and
 * Received-SPF in the name of one of ids, Return-Path (RFC 5321 4.4), and X-Postern-*. Whole fields, ascending, not touching. Everything
 * else stays: other hosts' results and ARC sets are parts of chains. Lives as long as the arena.
 */
const struct authres_range *authres_forbidden(struct arena *a, str header, const str *ids,
					      size_t ids_n, size_t *n);

#endif
