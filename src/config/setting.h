/* The rows of config.tbl as data, and how one value is read, checked and printed. Inside this folder only. */
#ifndef CONFIG_SETTING_H
#define CONFIG_SETTING_H

#include "base/buf.h"
#include "config/config.h"
#include "text/json.h"

enum setting_type {
	SETTING_TEXT,
	SETTING_LIST,
	SETTING_COUNT,
	SETTING_SIZE,
	SETTING_TIME,
	SETTING_SWITCH,
};

struct setting {
	str section, name, default_, help;
	enum setting_type type;
	u64 low, high;
	size_t offset; /* in struct config */
};

extern const struct setting settings[];
extern const size_t settings_n;

/* A value as written, before anybody knows its type. In a file the way it is written tells; --set and defaults are VALUE_ANY. */
enum value_kind { VALUE_ANY, VALUE_TEXT, VALUE_BARE, VALUE_LIST };
struct value {
	enum value_kind kind;
	str text;
	struct str_list list;
};

const struct setting *setting_find(str section, str name); /* NULL */
/* False when the value does not fit; c is unchanged then. */
bool setting_assign(struct arena *a, struct config *c, const struct setting *s,
		    const struct value *v);
/* "a number from 2 to 1000" */
void setting_expected(struct buf *out, const struct setting *s);
/* As config_parse reads it: 64, "50M", true, ["a", "b"]. */
void setting_print(struct buf *out, const struct config *c, const struct setting *s);
/* For programs: sizes in bytes, times in milliseconds. */
void setting_print_json(struct json *j, const struct config *c, const struct setting *s);
bool setting_is_default(struct arena *a, const struct config *c, const struct setting *s);
/* Beyond type and range: one of a few words, an address, a path ... NULL when good, else what was expected. */
const char *setting_rule(const struct config *c, const struct setting *s);

/* 50M and 1G, 5m and 2h, as short as it goes. */
void size_print(struct buf *out, u64 bytes);
void time_print(struct buf *out, u64 milliseconds);

#endif
