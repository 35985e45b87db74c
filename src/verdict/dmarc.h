/*
 * DMARC (RFC 9989): did the domain that people see in From have a hand in this message, and what does its owner want done if not?
 * Pure: a header, what SPF and DKIM found, and a place to ask DNS; a verdict with reasons comes out.
 *
 * The author's domain is taken from the first From field by the same splitter and the same address parser as the skeleton's
 * envelope.from, so the address judged is the address that IMAP shows (THREATS D01).
 *
 * What RFC 9989 leaves to us:
 *  - several From fields, and a From that is no address list at all: permerror, refused (RFC 5322 3.6 has exactly one);
 *  - one From with addresses of several domains: every domain is judged and the worst verdict counts, so that it passes only when
 *    all pass; when it does not it goes to Junk at least. More than DMARC_DOMAINS domains: permerror, refused;
 *  - no From: permerror, refused. Only a group without a member (RFC 6854), or an address without a domain: permerror, Junk;
 *  - an address literal is in nobody's domain: none;
 *  - a failed lookup of the policy: temperror, accepted; a key or SPF lookup that failed, where its success would have made the
 *    message pass and the policy is not "none": temperror, and DMARC_DEFER (try again later), or an attacker would only have to
 *    break a lookup to be let in;
 *  - not: RFC 9989 7.4 (treat "reject" as "quarantine" in the absence of other knowledge) is the administrator's choice,
 *    auth.dmarc_reject; lists and forwarders that he knows are overrides with a reason, see dmarc_override().
 * Nothing is ever refused because of SPF alone: SPF only counts here, beside DKIM.
 */
#ifndef VERDICT_DMARC_H
#define VERDICT_DMARC_H

#include "text/dns.h"

enum dmarc_limit {
	DMARC_WALK = 8,    /* queries of one tree walk, RFC 9989 4.10 */
	DMARC_LABELS = 7,  /* that a long name is cut to */
	DMARC_URIS = 10,   /* of rua or ruf that are kept */
	DMARC_TAGS = 64,   /* of one record; the rest is not read */
	DMARC_TEXTS = 64,  /* TXT records of one name that are looked at */
	DMARC_DOMAINS = 4, /* author domains that are judged */
	DMARC_IDENTIFIERS =
	    10, /* SPF and DKIM domains that are looked at; later ones do not count */
	DMARC_LOOKUPS = DMARC_WALK * (DMARC_IDENTIFIERS + DMARC_DOMAINS),
};

/* --- The record, RFC 9989 4.7 ------------------------------------------------------------------------------- */

enum dmarc_policy { DMARC_POLICY_NONE, DMARC_POLICY_QUARANTINE, DMARC_POLICY_REJECT };
enum dmarc_psd { DMARC_PSD_UNKNOWN, DMARC_PSD_YES, DMARC_PSD_NO };
enum dmarc_fo {
	DMARC_FO_ALL = 1 << 0,  /* "0": nothing aligned passed; the default */
	DMARC_FO_ANY = 1 << 1,  /* "1" */
	DMARC_FO_DKIM = 1 << 2, /* "d" */
	DMARC_FO_SPF = 1 << 3,  /* "s" */
};

struct dmarc_record {
	enum dmarc_policy p, sp, np; /* sp and np: p's or sp's when they were absent */
	bool has_sp, has_np;
	bool strict_dkim, strict_spf;
	enum dmarc_psd psd;
	bool testing; /* t=y */
	unsigned fo;  /* enum dmarc_fo */
	bool
	    inapplicable; /* p, sp or np is bad and no rua: no DMARC processing (RFC 9989 4.10.1) */
	str rua[DMARC_URIS], ruf[DMARC_URIS]; /* as written, syntactically URIs; any scheme */
	size_t rua_n, ruf_n;
};

/* False when text is not a DMARC record at all: "v=DMARC1" must come first, exactly. Everything else is forgiven. Borrows. */
bool dmarc_record_parse(str text, struct dmarc_record *out);

/* --- The author, RFC 9989 5.3.1 ------------------------------------------------------------------------------ */

enum dmarc_author_kind {
	DMARC_AUTHOR_ONE,
	DMARC_AUTHOR_SEVERAL, /* one field, several domains */
	DMARC_AUTHOR_ABSENT,
	DMARC_AUTHOR_FIELDS, /* several From fields */
	DMARC_AUTHOR_EMPTY,  /* no address in it */
	DMARC_AUTHOR_NO_DOMAIN,
	DMARC_AUTHOR_LITERAL,
	DMARC_AUTHOR_BAD_DOMAIN,
	DMARC_AUTHOR_BROKEN, /* more than one address, and not a list by any grammar */
	DMARC_AUTHOR_TOO_MANY,
};

struct dmarc_author {
	enum dmarc_author_kind kind;
	str address;                /* the first one, as IMAP shows it; may be empty */
	str domains[DMARC_DOMAINS]; /* A-labels, lower case, each once */
	size_t domains_n;           /* of kind ONE and SEVERAL; else 0 */
};

/* header: of the message, as it came (header_length). Strings live as long as the arena. */
void dmarc_author_find(struct arena *a, str header, struct dmarc_author *out);

/* --- The verdict ---------------------------------------------------------------------------------------------- */

enum dmarc_result {
	DMARC_PASS,
	DMARC_NONE, /* no policy is published, or nobody's domain */
	DMARC_TEMPERROR,
	DMARC_PERMERROR,
	DMARC_FAIL,
};
enum dmarc_disposition {
	DMARC_ACCEPT,
	DMARC_JUNK, /* quarantine */
	DMARC_DEFER,
	DMARC_REFUSE,
};

/* A domain that SPF or DKIM spoke for. Only those that passed, or whose lookup failed, belong here; a DKIM signature with l= does
 * not (THREATS D03). */
struct dmarc_identifier {
	str domain; /* A-labels */
	bool spf;   /* else DKIM */
	bool undecided;
};

/* Why a policy was not followed, as aggregate reports have it (RFC 9990 3.5). */
enum dmarc_override_kind {
	DMARC_OVERRIDE_NONE,
	DMARC_OVERRIDE_MAILING_LIST,
	DMARC_OVERRIDE_TRUSTED_FORWARDER,
};

struct dmarc_verdict {
	enum dmarc_result result;
	enum dmarc_disposition disposition;
	str author;               /* the domain that was judged */
	str organizational;       /* its organizational domain, when it was looked for */
	str policy_domain;        /* where the record stands */
	const char *policy_tag;   /* "p", "sp" or "np" */
	enum dmarc_policy policy; /* as published there, t=y counted in */
	bool testing;
	bool spf_aligned, dkim_aligned;
	str aligned; /* the domain that made it pass */
	struct dmarc_record record;
	str reason;   /* one sentence for people */
	str override; /* why the policy was not applied; empty: it was */
	enum dmarc_override_kind override_kind;
};

void dmarc_check(struct arena *a, const struct dns_source *dns, const struct dmarc_author *author,
		 const struct dmarc_identifier *identifiers, size_t n, struct dmarc_verdict *out);
/* A local reason to let a failure pass: disposition becomes DMARC_ACCEPT, the result stays. Only for DMARC_FAIL. */
void dmarc_override(struct dmarc_verdict *v, enum dmarc_override_kind kind, str reason);

/* The organizational domain (RFC 9989 4.10.2) of a name in A-labels; false when DNS does not tell now. */
bool dmarc_organization(struct arena *a, const struct dns_source *dns, str domain, str *out);

const char *dmarc_result_name(enum dmarc_result r); /* RFC 8601 2.7.3, RFC 9989 9.2: "pass" */
const char *dmarc_policy_name(enum dmarc_policy p);
const char *dmarc_disposition_name(
    enum dmarc_disposition d); /* "accept", "junk", "defer", "refuse" */
/* Is name the domain, or below it? Both A-labels. */
bool dmarc_domain_is_under(str name, str domain);

#endif
