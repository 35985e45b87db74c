/* The configuration as a whole: defaults, --set, rules between settings, the pipe from parent. See config.h. */
#include "config/config.h"

#include "base/arena.h"
#include "base/check.h"
#include "config/setting.h"

enum { CONFIG_ENCODED_MAX = 1 << 20 };

struct config *config_default(struct arena *a)
{
	struct config *c = arena_new_of(a, struct config);

	for (size_t i = 0; i < settings_n; i++) {
		struct value v = { .kind = VALUE_ANY, .text = settings[i].default_ };
		CHECK(setting_assign(a, c, &settings[i], &v));
	}
	return c;
}

/* "section.name", where no name has a dot. */
static const struct setting *find_dotted(str name)
{
	size_t dot = str_find(name, '.');

	if (dot == SIZE_MAX)
		return NULL;
	return setting_find(str_slice(name, 0, dot), str_skip(name, dot + 1));
}

static const struct fail *expected(struct arena *a, const struct setting *s, str given)
{
	struct buf *what = buf_new(a, 300);

	setting_expected(what, s);
	return fail_new(a, FAIL_SYNTAX, "%.*s.%.*s: expected %.*s, not \"%.*s\"",
			STR_ARG(s->section), STR_ARG(s->name), STR_ARG(buf_str(what)),
			STR_ARG(str_slice(given, 0, 80)));
}

const struct fail *config_set(struct arena *a, struct config *c, str assignment)
{
	size_t equals = str_find(assignment, '=');
	str name = str_trim(str_slice(assignment, 0, equals));
	const struct setting *s = find_dotted(name);
	struct value v = { .kind = VALUE_ANY };
	const char *rule;

	if (equals == SIZE_MAX)
		return fail_new(a, FAIL_SYNTAX, "\"%.*s\": expected SECTION.NAME=VALUE",
				STR_ARG(str_slice(assignment, 0, 80)));
	if (s == NULL)
		return fail_new(a, FAIL_SYNTAX, "%.*s: there is no such setting",
				STR_ARG(str_slice(name, 0, 80)));
	v.text = str_trim(str_skip(assignment, equals + 1));
	if (!setting_assign(a, c, s, &v))
		return expected(a, s, v.text);
	rule = setting_rule(c, s);
	if (rule)
		return fail_new(a, FAIL_SYNTAX, "%.*s: expected %s, not \"%.*s\"", STR_ARG(name),
				rule, STR_ARG(str_slice(v.text, 0, 80)));
	return NULL;
}

/* --- Rules between settings ---------------------------------------------------------------------------------- */

static const struct fail *check_smarthost(const struct config *c)
{
	static const struct fail host =
	    FAIL_STATIC(SYNTAX, "relay.smarthost_user is set, so relay.smarthost must be");
	static const struct fail password = FAIL_STATIC(
	    SYNTAX, "relay.smarthost_user and relay.smarthost_password_file: set both or neither");
	static const struct fail tls = FAIL_STATIC(
	    SYNTAX,
	    "relay.smarthost_tls: a login needs starttls or implicit, or its password goes in clear");
	bool user = c->relay_smarthost_user.n != 0;

	if (user && c->relay_smarthost.n == 0)
		return &host;
	if (user != (c->relay_smarthost_password_file.n != 0))
		return &password;
	return user && str_eq(c->relay_smarthost_tls, S("may")) ? &tls : NULL;
}

static const struct fail *check_queue(const struct config *c)
{
	static const struct fail retry =
	    FAIL_STATIC(SYNTAX, "queue.retry_first must not be over queue.retry_most");
	static const struct fail notice =
	    FAIL_STATIC(SYNTAX, "queue.delay_notice must be under queue.expire");

	if (c->queue_retry_first > c->queue_retry_most)
		return &retry;
	return c->queue_delay_notice < c->queue_expire ? NULL : &notice;
}

/* The same address and port twice would be a bind that fails. */
static const struct fail *check_listeners(struct arena *a, const struct config *c)
{
	const struct str_list lists[] = { c->listen_smtp,        c->listen_lmtp,
					  c->listen_submissions, c->listen_submission,
					  c->listen_imap,        c->listen_imaps,
					  c->listen_pop3,        c->listen_pop3s };
	str all[ARRAY_LEN(lists) * 64];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		for (size_t k = 0; k < lists[i].n; k++) {
			for (size_t j = 0; j < n; j++)
				if (str_eq(all[j], lists[i].items[k]))
					return fail_new(a, FAIL_SYNTAX,
							"listen: \"%.*s\" is there twice",
							STR_ARG(all[j]));
			CHECK(n < ARRAY_LEN(all));
			all[n++] = lists[i].items[k];
		}
	}
	return NULL;
}

const struct fail *config_check(struct arena *a, const struct config *c)
{
	for (size_t i = 0; i < settings_n; i++) {
		const char *rule = setting_rule(c, &settings[i]);
		if (rule)
			return fail_new(a, FAIL_SYNTAX, "%.*s.%.*s: expected %s",
					STR_ARG(settings[i].section), STR_ARG(settings[i].name),
					rule);
	}
	TRY(check_smarthost(c));
	TRY(check_queue(c));
	return check_listeners(a, c);
}

/* --- The pipe from parent ------------------------------------------------------------------------------------ */

static void encode_list(struct encoder *e, struct str_list list)
{
	encode_u32(e, (u32)list.n);
	for (size_t i = 0; i < list.n; i++)
		encode_str(e, list.items[i]);
}

static struct str_list decode_texts(struct decoder *d)
{
	size_t n;
	str *items = decode_list(d, sizeof(str), &n);

	for (size_t i = 0; i < n; i++)
		items[i] = decode_str(d);
	return (struct str_list){ items, n };
}

#define ENCODE_TEXT encode_str
#define ENCODE_LIST encode_list
#define ENCODE_COUNT encode_u64
#define ENCODE_SIZE encode_u64
#define ENCODE_TIME encode_u64
#define ENCODE_SWITCH encode_u8
#define DECODE_TEXT decode_str
#define DECODE_LIST decode_texts
#define DECODE_COUNT decode_u64
#define DECODE_SIZE decode_u64
#define DECODE_TIME decode_u64
#define DECODE_SWITCH decode_bool

str config_encode(struct arena *a, const struct config *c)
{
	struct encoder e = { .bytes = buf_new(a, CONFIG_ENCODED_MAX) };

#define SETTING(section, name, type, default_, low, high, help) \
	ENCODE_##type(&e, c->section##_##name);
#include "config/config.tbl"
#undef SETTING
	CHECK(!e.bytes->full);
	return buf_str(e.bytes);
}

const struct fail *config_decode(struct arena *a, str bytes, struct config **out)
{
	static const struct fail bad = FAIL_STATIC(CORRUPT, "a configuration of another version");
	struct config *c = arena_new_of(a, struct config);
	struct decoder d = { .arena = a, .rest = str_copy(a, bytes) };

#define SETTING(section, name, type, default_, low, high, help) \
	c->section##_##name = DECODE_##type(&d);
#include "config/config.tbl"
#undef SETTING
	if (!decoder_done(&d))
		return &bad;
	*out = c;
	return NULL;
}
