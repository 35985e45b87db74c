/* DNS records for people to publish: lines of a zone file, or rows of name, type and value as JSON. */
#ifndef CTL_RECORDS_H
#define CTL_RECORDS_H

#include "ctl/ctl_int.h"

struct records {
	struct ctl *c;
	struct listing *rows;
};

struct records records_begin(struct ctl *c);
/* value: of TXT the whole text; of others as a zone file has it. */
void records_add(struct records *r, str name, const char *type, str value);
/* A comment of the zone file; JSON has none. */
void records_say(struct records *r, str text);
void records_keys(struct records *r, const struct dkim_key_info *keys, size_t n);
void records_end(struct records *r);

#endif
