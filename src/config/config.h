/*
 * The configuration: rows of config.tbl as struct config, `c->queue_expire`, `c->listen_smtp`, ... Read by parent alone, pushed to the
 * others in encoded form; immutable once made, so any thread may read it.
 *
 * The file is a small TOML subset: `[section]`, `name = value`, `#` comments; values are "text", 123, "50M", "4h", true/false,
 * ["list", "of", "texts"]. An unknown key, a second one, a bad value: an error that names file, line and what was expected.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/codec.h"
#include "base/fail.h"

struct str_list {
	const str *items;
	size_t n;
};

#define CONFIG_TYPE_TEXT str
#define CONFIG_TYPE_LIST struct str_list
#define CONFIG_TYPE_COUNT u64
#define CONFIG_TYPE_SIZE u64
#define CONFIG_TYPE_TIME u64
#define CONFIG_TYPE_SWITCH bool

struct config {
#define SETTING(section, name, type, default_, low, high, help) CONFIG_TYPE_##type section##_##name;
#include "config/config.tbl"
#undef SETTING
};

/* All defaults. */
struct config *config_default(struct arena *a);
/* text: a whole file; name: for messages ("/etc/postern.conf"). Starts from the defaults. SYNTAX with
 * "postern.conf:12: limit.workers: expected a number from 2 to 1000, not \"many\"". */
const struct fail *config_parse(struct arena *a, str name, str text, struct config **out);
/* One --set: "queue.retry_first=2s"; a list's items are separated by spaces. Changes c, which nobody else may see yet. */
const struct fail *config_set(struct arena *a, struct config *c, str assignment);
/* Rules between settings (both ends of a range, smarthost_user needs TLS ...). */
const struct fail *config_check(struct arena *a, const struct config *c);
/* Both of a file; every message names it. */
const struct fail *config_load(struct arena *a, str name, str text, struct config **out);

/* For the pipe from parent. */
str config_encode(struct arena *a, const struct config *c);
const struct fail *config_decode(struct arena *a, str bytes, struct config **out);

/* The annotated sample with all defaults (conf/postern.conf), what differs from the defaults (`config show`), and the table for
 * the manual page (mdoc). */
void config_print_sample(struct buf *out);
void config_print(struct buf *out, const struct config *c, bool all);
void config_print_json(struct buf *out, const struct config *c, bool all);
void config_print_manual(struct buf *out);

#endif
