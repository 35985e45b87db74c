/*
 * How wide is an SPF record: how many addresses it lets in, by itself and by each domain that it includes, what it costs to look up, and
 * what is unwise about it (THREATS D10: a stranger on an address that is let in passes SPF and, with it, DMARC). For the owner of a domain, not for
 * judging mail: what mechanisms ask about one client is not asked here, so the numbers are upper bounds.
 *
 * Every record is read once, in the order of its terms, through a queue: no recursion, SPF_WIDTH_RECORDS records, SPF_QUESTIONS questions.
 */
#ifndef VERDICT_SPF_WIDTH_H
#define VERDICT_SPF_WIDTH_H

#include "verdict/spf.h"

enum spf_width_limit {
	SPF_WIDTH_RECORDS = 32,
	SPF_WIDTH_PARTS = SPF_WIDTH_RECORDS + 1,
	SPF_WIDTH_FINDINGS = 40,
	SPF_WIDE =
	    65536, /* more addresses (a /16), or more /64 (a /48), are more than one sender needs */
};

enum spf_warning {
#define SPF_WARNING(NAME, code, text) SPF_WARN_##NAME,
#include "verdict/spf_warning.tbl"
#undef SPF_WARNING
	SPF_WARNINGS
};

struct spf_finding {
	enum spf_warning warning;
	str what, domain; /* printable; a term or a domain, and where it stands; may be empty */
	u64 n;
};

/* What one domain contributes: the record's own terms, or all below one include or redirect of it. */
struct spf_width_part {
	str term; /* as written; empty: the record's own */
	u64 ipv4; /* addresses, at most 2^32 */
	u64 ipv6; /* networks of /64, at most 2^63 */
};

struct spf_width {
	str record; /* printable; empty: none */
	u64 ipv4, ipv6;
	unsigned lookups, voids;
	bool uncounted; /* exists, ptr, macros: what they let in is not in the numbers */
	struct spf_width_part parts[SPF_WIDTH_PARTS];
	size_t parts_n; /* the first is the record's own, when there is a record */
	struct spf_finding findings[SPF_WIDTH_FINDINGS];
	size_t findings_n;
};

/* domain: A-labels. */
void spf_width_of(struct arena *a, const struct dns_source *source, str domain,
		  struct spf_width *out);
const char *spf_warning_code(enum spf_warning w);
/* The sentence of a finding. */
str spf_warning_text(struct arena *a, const struct spf_finding *f);

#endif
