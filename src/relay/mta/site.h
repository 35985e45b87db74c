/*
 * Sites: a site is a set of MX hosts, whatever domains point at it. Per site: how many deliveries are under way (queue.per_site),
 * and which address family did not answer of late. A bounded table; the oldest idle site is forgotten. Any thread.
 */
#ifndef RELAY_MTA_SITE_H
#define RELAY_MTA_SITE_H

#include "base/str.h"
#include "relay/mta/limit.h"
#include "text/address.h"

struct sites;

struct sites *sites_new(struct arena *a);
/* A readable key of the set, whatever the order of its names: sorted, joined by commas; a long one is cut and ends in a
 * hash of all. At most MTA_SITE_NAME bytes. */
str site_key(struct arena *a, const str *hosts, size_t n, u32 port);

/* One more delivery to the site; false when `most` are under way already (or no room for one more site). */
bool site_enter(struct sites *s, str key, u64 most);
void site_leave(struct sites *s, str key);
/* A connection of this family could (not) be made. */
void site_family_seen(struct sites *s, str key, enum address_family family, bool good,
		      u64 remember_ms);
/* The family failed a little while ago. */
bool site_family_is_bad(struct sites *s, str key, enum address_family family);

#endif
