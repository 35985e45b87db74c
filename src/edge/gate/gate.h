/*
 * The gate: every message enters through here, once. A sink that is fed the bytes as they come from the peer, and while they pass
 *
 *  - keeps room in front for our trace fields, which are written last: Received (RFC 5321 4.4) and what a verdict over the whole
 *    message has to say (RFC 8601); for mail of strangers and of our own people holds the header back until it is complete, shows it
 *    to a watcher as it came, and takes out the fields that only we may write (verdict/authres.h); for submission, adds Date and
 *    Message-ID at the end of the header when they are missing (RFC 6409 8.1, 8.2, 8.3),
 *  - refuses what must not be stored: a bare CR or LF anywhere (BDAT and literals can carry them; THREATS S01, S02), a NUL in the
 *    header (S14), a line over GATE_LINE, more bytes than allowed (S20, S22), more Received fields than `hops`,
 *  - parses the skeleton (text/skeleton.h),
 *  - stores: in memory, from OFFICE_LARGE on in the unlinked file that the office hands out.
 *
 * What is stored is what came, byte for byte, behind our own fields (less those that were taken out): lines of 999 bytes up to GATE_LINE are kept as they are (S13;
 * relay sees SKELETON_LONG_LINE), NULs in the body too, 8-bit bytes whatever BODY= or SMTPUTF8 said (as every large server does;
 * SKELETON_8BIT and SKELETON_HEADER_8BIT tell relay).
 *
 * Owned by one thread at a time. Everything lives as long as the arena given to gate_new.
 */
#ifndef EDGE_GATE_GATE_H
#define EDGE_GATE_GATE_H

#include "bus/office.h"
#include "serve/serve.h"
#include "text/skeleton.h"

enum gate_limit {
	GATE_LINE = 64 * 1024,   /* bytes of a line without its CRLF */
	GATE_PREFIX = 16 * 1024, /* of our own fields together, less than OFFICE_OWN_FIELDS */
	GATE_WINDOW = 64 * 1024, /* of the body, shown again */
};

/* What Received says (RFC 5321 4.4). Strings are checked here again: nothing a peer said can break the field. */
struct gate_trace {
	str helo;    /* as the client gave it: a domain or an address literal */
	str address; /* of the client, "192.0.2.1" or "2001:db8::1" */
	bool address_is_ipv6;
	str by;        /* our name */
	str with;      /* "ESMTPSA": RFC 3848, RFC 6531 4.3 */
	str tls;       /* "TLSv1.3 TLS_AES_256_GCM_SHA384", or empty */
	str recipient; /* the only one, or empty (more would tell of hidden ones) */
};

/* Somebody who looks at the message as it came, whatever is taken out of it or put before it. */
struct gate_watch {
	void *context;
	/* Once, with the empty line if there is one; header lives as long as the gate. */
	const struct fail *(*header)(void *context, str header);
	void (*body)(void *context, str piece);
};

struct gate_rules {
	u64 id;                         /* of the message, for its trace fields; 0 without any */
	const struct gate_trace *trace; /* NULL: no Received (APPEND) */
	u64 size_max;                   /* of what the peer sends; our fields are not counted */
	u64 size_hint;                  /* what SIZE= said; 0: not known */
	u64 hops;      /* most Received fields, ours not counted; 0: not looked at */
	bool complete; /* add Date and Message-ID when missing */
	str domain;    /* of a Message-ID made here */
	/* Our names: what others wrote in them is taken out. None: nothing is, and nobody watches. */
	const str *names;
	size_t names_n;
	const struct gate_watch *watch; /* NULL: nobody */
};

struct gate;

/* Asks the office for a file when size_hint says large. office is borrowed. */
const struct fail *gate_new(struct arena *a, struct bus *office, const struct gate_rules *rules,
			    struct gate **out);
struct sink *gate_sink(struct gate *g);
u64 gate_received(const struct gate *g); /* bytes from the peer so far */
u64 gate_id(const struct gate *g);

/* The message as message_commit and message_append want it. */
struct gate_message {
	u64 id;
	struct message_body body;
	const struct skeleton *skeleton;
};

/* The last byte has come. Once; after a fail (here or in the sink) the gate is good for nothing. *out: of what is stored so far,
 * without our trace fields; lives as long as the gate. */
const struct fail *gate_end(struct gate *g, const struct skeleton **out);
/* Between the two: shows the message as it will be stored below our trace fields, what was added to its header included. For whoever
 * can only speak when all is there (a signature). */
const struct fail *gate_replay(struct gate *g, const struct gate_watch *w);
/* Then this, once: writes the trace fields in front, `above` (whole fields, no Received among them) over our Received, and closes
 * the spool. above is only for gates with a trace. */
const struct fail *gate_seal(struct gate *g, str above, struct gate_message *out);
/* Both, when nobody has anything to say in between. */
const struct fail *gate_finish(struct gate *g, struct gate_message *out);

#endif
