/* One setting: its row, reading, checking and printing its value. See setting.h. */
#include "config/setting.h"

#include <string.h>

#include "base/arena.h"
#include "base/chars.h"
#include "base/check.h"
#include "base/scan.h"
#include "config/endpoint.h"
#include "text/address.h"

#define STR_OF(literal)                                       \
	{                                                     \
		(const u8 *)("" literal), sizeof(literal) - 1 \
	}

const struct setting settings[] = {
#define SETTING(section_, name_, type_, default_text, low_, high_, help_) \
	{ .section = STR_OF(#section_),                                   \
	  .name = STR_OF(#name_),                                         \
	  .default_ = STR_OF(default_text),                               \
	  .help = STR_OF(help_),                                          \
	  .type = SETTING_##type_,                                        \
	  .low = (low_),                                                  \
	  .high = (high_),                                                \
	  .offset = offsetof(struct config, section_##_##name_) },
#include "config/config.tbl"
#undef SETTING
};
const size_t settings_n = ARRAY_LEN(settings);

/* Longest unit first, so that printing finds the shortest text. */
static const struct unit {
	const char *name;
	u64 factor;
} size_units[] = { { "G", 1 << 30 }, { "M", 1 << 20 }, { "K", 1 << 10 }, { "", 1 } },
  time_units[] = { { "d", 86400000 },
		   { "h", 3600000 },
		   { "m", 60000 },
		   { "s", 1000 },
		   { "ms", 1 } };

const struct setting *setting_find(str section, str name)
{
	for (size_t i = 0; i < settings_n; i++)
		if (str_eq(settings[i].section, section) && str_eq(settings[i].name, name))
			return &settings[i];
	return NULL;
}

static void *field(struct config *c, const struct setting *s)
{
	return (u8 *)c + s->offset;
}

static const void *field_of(const struct config *c, const struct setting *s)
{
	return (const u8 *)c + s->offset;
}

static bool in_range(const struct setting *s, u64 value)
{
	return value >= s->low && value <= s->high;
}

/* A number and one of the units, or a number alone where that is clear. */
static bool quantity_parse(str text, const struct unit *units, size_t n, bool unit_needed, u64 *out)
{
	struct scan s = scan_of(text);
	u64 number;

	if (!scan_u64(&s, &number))
		return false;
	for (size_t i = 0; i < n; i++)
		if (str_eq(s.rest, str_cstr(units[i].name)))
			return size_mul(number, units[i].factor, out);
	*out = number;
	return scan_end(&s) && (number == 0 || !unit_needed);
}

static bool number_parse(const struct setting *s, str text, u64 *out)
{
	if (s->type == SETTING_SIZE)
		return quantity_parse(text, size_units, ARRAY_LEN(size_units), false, out);
	if (s->type == SETTING_TIME)
		return quantity_parse(text, time_units, ARRAY_LEN(time_units), true, out);
	return str_u64(text, out);
}

static bool assign_number(struct config *c, const struct setting *s, const struct value *v)
{
	u64 number;

	/* A number with a unit is a text in the file, one without is bare. */
	if (v->kind == VALUE_LIST || (v->kind == VALUE_TEXT && s->type == SETTING_COUNT))
		return false;
	if (!number_parse(s, v->text, &number) || !in_range(s, number))
		return false;
	*(u64 *)field(c, s) = number;
	return true;
}

static bool assign_switch(struct config *c, const struct setting *s, const struct value *v)
{
	bool on = str_eq(v->text, S("true")), off = str_eq(v->text, S("false"));

	if (v->kind == VALUE_ANY) {
		on = on || str_eq(v->text, S("yes"));
		off = off || str_eq(v->text, S("no"));
	}
	if ((v->kind != VALUE_ANY && v->kind != VALUE_BARE) || on == off)
		return false;
	*(bool *)field(c, s) = on;
	return true;
}

static bool text_is_clean(str text)
{
	for (size_t i = 0; i < text.n; i++)
		if (char_is(text.p[i], CHAR_CTL))
			return false;
	return str_is_utf8(text);
}

static bool assign_text(struct arena *a, struct config *c, const struct setting *s,
			const struct value *v)
{
	if ((v->kind != VALUE_ANY && v->kind != VALUE_TEXT) || !in_range(s, v->text.n) ||
	    !text_is_clean(v->text))
		return false;
	*(str *)field(c, s) = str_copy(a, v->text);
	return true;
}

/* Items apart by spaces: "a b". */
static struct str_list list_split(struct arena *a, str text)
{
	str *items = arena_array_of(a, text.n / 2 + 1, str);
	struct str_list list = { items, 0 };

	while (text.n) {
		size_t end = str_find(text, ' ');
		str item = str_slice(text, 0, end);

		if (item.n)
			items[list.n++] = item;
		text = str_skip(text, end == SIZE_MAX ? text.n : end + 1);
	}
	return list;
}

static bool assign_list(struct arena *a, struct config *c, const struct setting *s,
			const struct value *v)
{
	struct str_list from = v->list, *to = field(c, s);
	str *items;

	if (v->kind == VALUE_ANY)
		from = list_split(a, v->text);
	else if (v->kind != VALUE_LIST)
		return false;
	if (!in_range(s, from.n))
		return false;
	items = arena_array_of(a, from.n, str);
	for (size_t i = 0; i < from.n; i++) {
		if (from.items[i].n == 0 || !text_is_clean(from.items[i]))
			return false;
		items[i] = str_copy(a, from.items[i]);
	}
	*to = (struct str_list){ items, from.n };
	return true;
}

bool setting_assign(struct arena *a, struct config *c, const struct setting *s,
		    const struct value *v)
{
	switch (s->type) {
	case SETTING_TEXT:
		return assign_text(a, c, s, v);
	case SETTING_LIST:
		return assign_list(a, c, s, v);
	case SETTING_SWITCH:
		return assign_switch(c, s, v);
	case SETTING_COUNT:
	case SETTING_SIZE:
	case SETTING_TIME:
		break;
	}
	return assign_number(c, s, v);
}

/* --- Rules of single settings -------------------------------------------------------------------------------- */

static bool one_of(str text, const char *a, const char *b, const char *c, const char *d)
{
	return str_eq(text, str_cstr(a)) || str_eq(text, str_cstr(b)) ||
	       (c && str_eq(text, str_cstr(c))) || (d && str_eq(text, str_cstr(d)));
}

static bool all_endpoints(struct str_list list)
{
	struct endpoint e;

	for (size_t i = 0; i < list.n; i++)
		if (!endpoint_parse(list.items[i], &e))
			return false;
	return true;
}

/* HOST:PORT or ADDRESS:PORT; empty is good. */
static bool is_host_port(str text)
{
	size_t colon = str_find_last(text, ':');
	struct endpoint e;
	u64 port;

	if (text.n == 0 || endpoint_parse(text, &e))
		return true;
	if (colon == SIZE_MAX || colon == 0 || !str_u64(str_skip(text, colon + 1), &port))
		return false;
	for (size_t i = 0; i < colon; i++)
		if (!char_is(text.p[i], CHAR_LDH) && text.p[i] != '.')
			return false;
	return port > 0 && port <= UINT16_MAX;
}

static bool is_host_name(str text)
{
	return domain_is_valid(text, false, false) && !str_ends_nocase(text, S("."));
}

/* What a mail address has before its @, as far as to tell it from a slip. */
static bool is_local_part(str text)
{
	for (size_t i = 0; i < text.n; i++)
		if (!char_is(text.p[i], CHAR_ATEXT | CHAR_8BIT) && text.p[i] != '.')
			return false;
	return text.n != 0;
}

static bool is_mail_address(str text)
{
	size_t at = str_find_last(text, '@');

	return at != SIZE_MAX && is_local_part(str_slice(text, 0, at)) &&
	       domain_is_valid(str_skip(text, at + 1), true, false);
}

static bool is_report_address(str text)
{
	return is_local_part(text) || is_mail_address(text);
}

static bool is_ip(str text)
{
	struct endpoint e;

	return endpoint_parse_address(text, &e);
}

/* ZONE:WEIGHT, ZONE=127.0.0.2:WEIGHT: what verdict/dnsbl.c reads. */
static bool is_weighed_zone(str text)
{
	size_t colon = str_find_last(text, ':');
	str zone = str_slice(text, 0, colon), weight;
	size_t equals = str_find(zone, '=');
	u64 number;

	if (colon == SIZE_MAX)
		return false;
	weight = str_skip(text, colon + 1);
	if (!str_u64(str_skip(weight, str_starts(weight, S("-"))), &number) || number > 1000)
		return false;
	if (equals != SIZE_MAX && !(str_starts(str_skip(zone, equals + 1), S("127.")) &&
				    is_ip(str_skip(zone, equals + 1))))
		return false;
	return domain_is_valid(str_slice(zone, 0, equals), true, false);
}

static bool is_domain(str text)
{
	return domain_is_valid(text, true, false);
}

static bool is_pair(str text)
{
	return str_has(text, ':');
}

static bool all_are(struct str_list list, bool (*one)(str text))
{
	for (size_t i = 0; i < list.n; i++)
		if (!one(list.items[i]))
			return false;
	return true;
}

static const char *rule_list(const struct config *c, const struct setting *s)
{
	static const struct {
		size_t offset;
		bool (*one)(str text);
		const char *expected;
	} rules[] = {
		{ offsetof(struct config, tls_certificate), is_pair,
		  "pairs of files as \"CERT:KEY\"" },
		{ offsetof(struct config, auth_dnsbl), is_weighed_zone,
		  "\"ZONE:WEIGHT\" or \"ZONE=127.0.0.2:WEIGHT\", a weight from -1000 to 1000" },
		{ offsetof(struct config, auth_mailing_lists), is_domain, "domains" },
		{ offsetof(struct config, auth_trusted_sealers), is_domain, "domains" },
		{ offsetof(struct config, reports_addresses), is_report_address,
		  "addresses, or what stands before the @ alone" },
		{ offsetof(struct config, reports_own_addresses), is_ip, "IP addresses" },
	};
	struct str_list list = *(const struct str_list *)field_of(c, s);

	if (str_eq(s->section, S("listen")) && !all_endpoints(list))
		return "numeric addresses with ports, such as \"0.0.0.0:25\" or \"[::]:25\"";
	if (s->offset == offsetof(struct config, dns_servers) && !all_endpoints(list))
		return "numeric addresses with ports, such as \"9.9.9.9:53\"";
	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		if (s->offset == rules[i].offset && !all_are(list, rules[i].one))
			return rules[i].expected;
	return NULL;
}

static const char *rule_text(const struct config *c, const struct setting *s)
{
	str text = *(const str *)field_of(c, s);

	switch (s->offset) {
	case offsetof(struct config, server_log):
		return one_of(text, "debug", "info", "warn", "error")
			   ? NULL
			   : "debug, info, warn or error";
	case offsetof(struct config, tls_minimum):
		return one_of(text, "1.2", "1.3", NULL, NULL) ? NULL : "\"1.2\" or \"1.3\"";
	case offsetof(struct config, record_language):
		return one_of(text, "en", "nl", NULL, NULL) ? NULL : "\"en\" or \"nl\"";
	case offsetof(struct config, relay_smarthost_tls):
		return one_of(text, "implicit", "starttls", "may", NULL)
			   ? NULL
			   : "implicit, starttls or may";
	case offsetof(struct config, relay_smarthost):
		return is_host_port(text) ? NULL : "HOST:PORT";
	case offsetof(struct config, server_hostname):
		return is_host_name(text) ? NULL : "a host name in ASCII";
	case offsetof(struct config, relay_helo):
		return text.n == 0 || is_host_name(text) ? NULL : "a host name in ASCII";
	case offsetof(struct config, dmarc_report_from):
		return text.n == 0 || is_mail_address(text) ? NULL : "an address of mail";
	case offsetof(struct config, server_data):
		return str_starts(text, S("/")) ? NULL : "a path that begins with /";
	case offsetof(struct config, mail_subaddress):
		return text.n == 0 || (char_is(text.p[0], CHAR_ATEXT) &&
				       !char_is(text.p[0], CHAR_ALPHA | CHAR_DIGIT))
			   ? NULL
			   : "one character such as \"+\" or \"-\"";
	default:
		return NULL;
	}
}

const char *setting_rule(const struct config *c, const struct setting *s)
{
	if (s->type == SETTING_LIST)
		return rule_list(c, s);
	if (s->type == SETTING_TEXT)
		return rule_text(c, s);
	return NULL;
}

/* --- Printing ------------------------------------------------------------------------------------------------ */

static void quantity_print(struct buf *out, u64 value, const struct unit *units, size_t n)
{
	size_t i = 0;

	while (i + 1 < n && (value % units[i].factor || value == 0))
		i++;
	buf_add_u64(out, value / units[i].factor);
	buf_add(out, str_cstr(units[i].name));
}

void size_print(struct buf *out, u64 bytes)
{
	quantity_print(out, bytes, size_units, ARRAY_LEN(size_units));
}

void time_print(struct buf *out, u64 milliseconds)
{
	quantity_print(out, milliseconds, time_units, ARRAY_LEN(time_units));
}

static void list_print(struct buf *out, struct str_list list)
{
	buf_add_byte(out, '[');
	for (size_t i = 0; i < list.n; i++) {
		if (i)
			buf_add(out, S(", "));
		buf_add_quoted(out, list.items[i]);
	}
	buf_add_byte(out, ']');
}

void setting_print(struct buf *out, const struct config *c, const struct setting *s)
{
	const void *at = field_of(c, s);

	switch (s->type) {
	case SETTING_TEXT:
		buf_add_quoted(out, *(const str *)at);
		break;
	case SETTING_LIST:
		list_print(out, *(const struct str_list *)at);
		break;
	case SETTING_COUNT:
		buf_add_u64(out, *(const u64 *)at);
		break;
	case SETTING_SIZE:
		buf_add_byte(out, '"');
		size_print(out, *(const u64 *)at);
		buf_add_byte(out, '"');
		break;
	case SETTING_TIME:
		buf_add_byte(out, '"');
		time_print(out, *(const u64 *)at);
		buf_add_byte(out, '"');
		break;
	case SETTING_SWITCH:
		buf_add(out, *(const bool *)at ? S("true") : S("false"));
		break;
	}
}

void setting_print_json(struct json *j, const struct config *c, const struct setting *s)
{
	const void *at = field_of(c, s);
	const struct str_list *list = at;

	switch (s->type) {
	case SETTING_TEXT:
		json_str(j, *(const str *)at);
		break;
	case SETTING_LIST:
		json_array(j);
		for (size_t i = 0; i < list->n; i++)
			json_str(j, list->items[i]);
		json_array_end(j);
		break;
	case SETTING_COUNT:
	case SETTING_SIZE:
	case SETTING_TIME:
		json_u64(j, *(const u64 *)at);
		break;
	case SETTING_SWITCH:
		json_bool(j, *(const bool *)at);
		break;
	}
}

bool setting_is_default(struct arena *a, const struct config *c, const struct setting *s)
{
	struct buf *mine = buf_new(a, 1 << 16), *theirs = buf_new(a, 1 << 16);

	setting_print(mine, c, s);
	setting_print(theirs, config_default(a), s);
	return str_eq(buf_str(mine), buf_str(theirs));
}

static void range_print(struct buf *out, const struct setting *s,
			void (*print)(struct buf *out, u64 value), const char *example)
{
	buf_add(out, S(" from "));
	print(out, s->low);
	buf_add(out, S(" to "));
	print(out, s->high);
	buf_add(out, str_cstr(example));
}

void setting_expected(struct buf *out, const struct setting *s)
{
	switch (s->type) {
	case SETTING_TEXT:
		buf_printf(out, "a text in quotes of %llu to %llu bytes",
			   (unsigned long long)s->low, (unsigned long long)s->high);
		break;
	case SETTING_LIST:
		buf_printf(out, "a list of at most %llu texts, such as [\"one\", \"two\"]",
			   (unsigned long long)s->high);
		break;
	case SETTING_COUNT:
		buf_add(out, S("a number"));
		range_print(out, s, buf_add_u64, "");
		break;
	case SETTING_SIZE:
		buf_add(out, S("a size"));
		range_print(out, s, size_print, ", such as \"50M\"");
		break;
	case SETTING_TIME:
		buf_add(out, S("a time"));
		range_print(out, s, time_print, ", such as \"5m\"");
		break;
	case SETTING_SWITCH:
		buf_add(out, S("true or false"));
		break;
	}
}
