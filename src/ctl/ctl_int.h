/*
 * What the commands share: their context, errors in one form, output for people or as JSON from the same data.
 *
 * Data goes to stdout, messages to stderr. An error says what happened, why (evidence), what to do; its id never changes meaning.
 */
#ifndef CTL_CTL_INT_H
#define CTL_CTL_INT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/fail.h"
#include "bus/login.h"
#include "bus/office.h"
#include "bus/sign.h"
#include "config/config.h"

enum exit_status {
#define EXIT(name, status, meaning) EXIT_##name = status,
#include "ctl/exit.tbl"
#undef EXIT
};

enum ctl_limit {
	CTL_ARENA = 256 * 1024 * 1024, /* listings of large sites */
	CTL_OPTIONS = 64,
	CTL_QUEUE_PAGE = 500,
	CTL_CHANGES = 100,          /* of an account that others change too, until they let us */
	CTL_TRACE_MAX = 20,         /* messages, unless --max says otherwise */
	CTL_FILE_MAX = 1024 * 1024, /* configuration, password file */
	CTL_MAIL_MAX = 64 * 1024 * 1024,
};

struct ctl_option {
	str name, value; /* name without "--"; value empty for a switch */
};

struct ctl {
	struct arena *arena;
	const struct command *command;
	bool json;
	str config_path;
	const str *arguments;
	size_t arguments_n;
	struct ctl_option options[CTL_OPTIONS];
	size_t options_n;
	struct config *config;             /* after ctl_config() */
	struct bus *office, *login, *sign; /* after ctl_connect() */
};

struct command {
	const char *name;
	enum exit_status (*run)(struct ctl *c);
	const char *arguments;
	size_t fewest, most;
	const char *options, *summary, *example;
};
extern const struct command ctl_commands[];
extern const size_t ctl_commands_n;

/* STR_NONE (p NULL) when it was not given; the last one when given more than once. */
str ctl_option(const struct ctl *c, const char *name);
bool ctl_has(const struct ctl *c, const char *name);

/* --- Errors ---------------------------------------------------------------------------------------------- */

/* "postern: error E1002: what", then "  seen: ...", "  do: ..." when they are not empty. Answers status. */
enum exit_status ctl_error(const struct ctl *c, enum exit_status status, const char *id, str what,
			   str seen, str advice);
/* The same from a fail: its class decides id, status and advice. */
enum exit_status ctl_fail(const struct ctl *c, const struct fail *f, const char *doing);

/* Of a file that was named to us: whose fault it is decides the exit status. */
const struct fail *ctl_errno(struct arena *a, int error, const char *doing);

/* --- Talking to the running system ------------------------------------------------------------------------ */

/* Reads and checks the configuration file into c->config. */
const struct fail *ctl_config(struct ctl *c);
/* ctl_config, and the sockets: c->office, c->login, c->sign. UNAVAILABLE when nothing answers there. */
const struct fail *ctl_connect(struct ctl *c);
/* The sockets below a data folder. */
const struct fail *ctl_connect_to(struct ctl *c, str data);
/* Whole of a small file ("-": standard input). */
const struct fail *ctl_read_file(struct arena *a, str path, str *out);
/* A message from a file ("-": standard input), with CRLF where the file has LF alone. */
const struct fail *ctl_read_mail(struct ctl *c, str path, str *out);
/* From --password-file (first line), else typed twice without echo, else the first line of standard input. */
const struct fail *ctl_password(struct ctl *c, str *out);
/* Irreversible: true with --yes, or when the person types `word`. */
bool ctl_confirm(struct ctl *c, str word, const char *what);
/* "2G", "500M", "0" as bytes. */
const struct fail *ctl_size(struct ctl *c, str text, u64 *out);

/* Shared by dev and setup. */
const struct fail *ctl_add_user(struct ctl *c, str address, str password, u64 quota);

/* --- Output ------------------------------------------------------------------------------------------------ */

/* Rows of cells, printed as an aligned table or as a JSON array of objects. */
struct listing;
struct listing *listing_new(struct ctl *c, const char *const *columns, size_t columns_n);
void listing_str(struct listing *l, str s); /* for people one line */
void listing_u64(struct listing *l, u64 n);
void listing_size(struct listing *l, u64 bytes); /* "4.9M"; JSON: a number */
void listing_rate(struct listing *l, u64 part,
		  u64 whole); /* "98.7%", JSON: 98.7; of nothing: "-", null */
void listing_time(struct listing *l,
		  u64 ms); /* "2026-11-21 19:08:00" UTC; JSON: the same as RFC 3339; 0: "-" */
void listing_id(struct listing *l, u64 id);
void listing_list(struct listing *l, const str *items, size_t n); /* "a, b"; JSON: an array */
void listing_json(struct listing *l, str json); /* for programs only: a value as it is */
void listing_print(struct listing *l, const char *when_empty);
/* One object: the first row as "name: value" lines, or one JSON object. */
void listing_print_one(struct listing *l);

/* "2026-11-21 19:08:00", UTC; for JSON as RFC 3339. */
str ctl_time(const struct ctl *c, u64 ms);
/* Writes to stdout, all of it; what text/shown.h hides comes out as '?', but LF and HTAB. Errors go the same way. */
void ctl_print(str text);

#define COMMAND(name, function, arguments, fewest, most, options, summary, example) \
	enum exit_status ctl_##function(struct ctl *c);
#include "ctl/command.tbl"
#undef COMMAND

#endif
