/*
 * Addresses: SMTP paths (RFC 5321 4.1.2, RFC 6531 3.3), mailboxes and their canonical forms, and
 * the address lists of header fields (RFC 5322 3.4, 4.4). Iterative and linear throughout (THREATS
 * H09).
 *
 * A local part is kept decoded: `"joe\ q"@x` has the local part `joe q`, equal to `"joe q"@x`.
 * Nothing in it has a meaning to us (THREATS H03): no '%', '!' or '|' is ever interpreted.
 * Controls, NUL included, are refused in paths, also behind a backslash.
 */
#ifndef TEXT_ADDRESS_H
#define TEXT_ADDRESS_H

#include "base/fail.h"
#include "base/scan.h"

enum address_limit {
	ADDRESS_LOCAL = 64,   /* octets, as it stands on the wire, RFC 5321 4.5.3.1.1 */
	ADDRESS_DOMAIN = 255, /* octets, RFC 5321 4.5.3.1.2 */
	ADDRESS_LABEL =
	    63, /* octets of a label, RFC 1035 2.3.4 (of its A-label when it is a U-label) */
	ADDRESS_MAILBOX = 254, /* RFC 5321 4.5.3.1.3: a path is 256 with its < and > */
};

enum address_option {
	ADDRESS_UTF8 =
	    1 << 0, /* SMTPUTF8 was agreed on: non-ASCII local parts and U-labels are good */
	ADDRESS_NULL = 1 << 1, /* "<>" is good: MAIL FROM, AUTH= */
	ADDRESS_POSTMASTER =
	    1 << 2, /* "<Postmaster>" without a domain is good: RCPT TO, RFC 5321 4.5.1 */
};

struct address {
	str local; /* decoded; empty in the null path (a mailbox may have one too: `""@x`) */
	/* as given, without trailing dot; literals with brackets; empty: null path or Postmaster */
	str domain;
	bool null;    /* <> */
	bool literal; /* domain is [192.0.2.1] or [IPv6:2001:db8::1] */
	bool utf8;    /* a non-ASCII byte somewhere: can only go where SMTPUTF8 is */
};

/* "<...>" at the cursor; source routes are checked and thrown away (RFC 5321 C). Strings live as
 * long as the arena. Fails: SYNTAX 5.1.3 (wrong form or too long), INVALID 5.6.7 (non-ASCII
 * without ADDRESS_UTF8). */
const struct fail *address_scan_path(struct arena *a, struct scan *s, unsigned options,
				     struct address *out);
/* Whole of s as local@domain, without brackets. */
const struct fail *address_parse(struct arena *a, str s, unsigned options, struct address *out);
/* As it goes on the wire: local part quoted only when it must be, "@", domain as it is. "" for
 * null. */
str address_print(struct arena *a, const struct address *m);

/*
 * Canonical forms, for comparing and storing: local part as address_print gives it (case kept),
 * domain lower case. A-label form is what the directory and DNS use; U-label form is for people. A
 * literal is printed anew from its number ([IPv6:2001:db8::1]). Fails: SYNTAX 5.1.2 when a label is
 * no IDNA2008 label (UTS 46, non-transitional).
 */
const struct fail *address_canonical(struct arena *a, const struct address *m, str *out);
const struct fail *address_for_people(struct arena *a, const struct address *m, str *out);

/* Labels of letters, digits, hyphens, not at the ends ('_' too when said), or U-labels with
 * utf8; at least one; one trailing dot is good. Not a literal. */
bool domain_is_valid(str domain, bool utf8, bool underscore);
/* Lower case, no trailing dot. SYNTAX 5.1.2 when it cannot be. */
const struct fail *domain_to_ascii(struct arena *a, str domain, str *out);
/* U-labels where they round-trip, the A-label otherwise: always succeeds on what domain_to_ascii
 * gave. */
const struct fail *domain_to_unicode(struct arena *a, str domain, str *out);

enum address_family { ADDRESS_IPV4, ADDRESS_IPV6 };
/* "[192.0.2.1]" or "[IPv6:...]" (RFC 5321 4.1.3): 4 or 16 bytes in network order. */
bool address_literal(str s, enum address_family *family, u8 bytes[16]);

/* joe+list with '+': user "joe", tag "list". Without the separator, or with nothing before it:
 * user is all of it, tag empty, false. Borrows. */
bool address_split_tag(str local, u8 separator, str *user, str *tag);

/*
 * Lists of a header field (From, To, ...). Strings are without quoting, comments and folding, not
 * decoded (RFC 3501 7.4.2: addr-name, addr-adl, addr-mailbox, addr-host), CR, LF, NUL become SP.
 * Groups are flat: GROUP (mailbox is the group's name), its members, GROUP_END.
 */
enum address_kind { ADDRESS_MEMBER, ADDRESS_GROUP, ADDRESS_GROUP_END };

struct address_entry {
	enum address_kind kind;
	str name, route, mailbox, host; /* host is empty when there was no '@' */
};

struct address_list {
	const struct address_entry *entries;
	size_t n;
	/* something was not as RFC 5322 has it, even in its obsolete forms */
	bool broken;
	bool cut; /* more than max entries: the rest is left out */
};

/* value: raw, as in struct header_field. At most max entries. Reads anything. */
void address_list_parse(struct arena *a, str value, size_t max, struct address_list *out);

#endif
