/* Output for people (aligned tables, "name: value") and for programs (JSON) from the same rows; errors in their one form. */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fd.h"
#include "base/id.h"
#include "ctl/ctl_int.h"
#include "text/json.h"
#include "text/shown.h"

enum { LISTING_COLUMNS = 16, LISTING_FIRST = 64 };

struct cell {
	enum { CELL_STR, CELL_NUMBER, CELL_RATE, CELL_LIST, CELL_JSON } type;
	str text; /* as people see it */
	u64 number;
	const str *items;
	size_t items_n;
};

struct listing {
	struct ctl *ctl;
	const char *const *columns;
	size_t columns_n;
	struct cell *cells; /* row by row */
	size_t n, room;
};

static bool print_to(int fd, str text)
{
	struct arena *a = arena_new(text.n + 4096);
	struct buf *shown = buf_new(a, text.n);
	bool done;

	shown_add(shown, text, '?', S("\n\t"));
	done = fd_write_all(fd, buf_str(shown));
	arena_free(&a);
	return done;
}

void ctl_print(str text)
{
	/* A reader that went away (head) is no failure of ours. */
	if (!print_to(STDOUT_FILENO, text))
		_exit(EXIT_FAILED);
}

enum exit_status ctl_error(const struct ctl *c, enum exit_status status, const char *id, str what,
			   str seen, str advice)
{
	struct buf *out = buf_new(c->arena, 64 * 1024);
	struct json j = json_to(out);

	if (c->json) {
		json_object(&j);
		json_key(&j, "error"), json_str(&j, str_cstr(id));
		json_key(&j, "what"), json_str(&j, what);
		json_key(&j, "seen"), json_str(&j, seen);
		json_key(&j, "do"), json_str(&j, advice);
		json_object_end(&j);
		buf_add(out, S("\n"));
	} else {
		buf_printf(out, "postern: error %s: %.*s\n", id, STR_ARG(what));
		if (seen.n)
			buf_printf(out, "  seen: %.*s\n", STR_ARG(seen));
		if (advice.n)
			buf_printf(out, "  do:   %.*s\n", STR_ARG(advice));
	}
	return print_to(STDERR_FILENO, buf_str(out)) ? status : EXIT_FAILED;
}

/* Class of a fail -> exit status, error id, advice. */
static const struct {
	enum fail_what what;
	enum exit_status status;
	const char *id, *advice;
} classes[] = {
	{ FAIL_NOT_FOUND, EXIT_NOT_FOUND, "E1004", "" },
	{ FAIL_EXISTS, EXIT_CONFLICT, "E1007", "" },
	{ FAIL_CONFLICT, EXIT_CONFLICT, "E1008", "" },
	{ FAIL_DENIED, EXIT_PERMISSION, "E1005",
	  "run it as root, or as the user that postern runs as" },
	{ FAIL_UNAVAILABLE, EXIT_UNREACHABLE, "E1006",
	  "start it: postern serve  (or see: systemctl status postern)" },
	{ FAIL_SYNTAX, EXIT_USAGE, "E1003", "" },
	{ FAIL_INVALID, EXIT_USAGE, "E1003", "" },
	{ FAIL_TIMEOUT, EXIT_TEMPORARY, "E1075", "try again" },
	{ FAIL_BUSY, EXIT_TEMPORARY, "E1075", "try again" },
	{ FAIL_STORAGE, EXIT_TEMPORARY, "E1076", "make room on the disk" },
	{ FAIL_CORRUPT, EXIT_FAILED, "E1009", "postern verify" },
	{ FAIL_INTERNAL, EXIT_FAILED, "E1010", "" },
};

enum exit_status ctl_fail(const struct ctl *c, const struct fail *f, const char *doing)
{
	str what = str_format(c->arena, "cannot %s: %.*s", doing, STR_ARG(f->text));
	str seen = f->cause ? fail_chain(c->arena, f->cause) : STR_NONE;

	for (size_t i = 0; i < ARRAY_LEN(classes); i++)
		if (classes[i].what == f->what)
			return ctl_error(c, classes[i].status, classes[i].id, what, seen,
					 str_cstr(classes[i].advice));
	return ctl_error(c, f->kind == FAIL_TEMP ? EXIT_TEMPORARY : EXIT_FAILED, "E1010", what,
			 seen, STR_NONE);
}

struct listing *listing_new(struct ctl *c, const char *const *columns, size_t columns_n)
{
	struct listing *l = arena_new_of(c->arena, struct listing);

	CHECK(columns_n <= LISTING_COLUMNS);
	*l = (struct listing){ .ctl = c, .columns = columns, .columns_n = columns_n };
	return l;
}

static struct cell *cell_new(struct listing *l)
{
	if (l->n == l->room) {
		size_t room = l->room ? l->room * 2 : LISTING_FIRST;
		struct cell *cells = arena_array_of(l->ctl->arena, room, struct cell);
		for (size_t i = 0; i < l->n; i++)
			cells[i] = l->cells[i];
		l->cells = cells;
		l->room = room;
	}
	return &l->cells[l->n++];
}

/* For people a cell is one line, whoever wrote it. */
static str cell_text(const struct listing *l, str s)
{
	return l->ctl->json ? str_copy(l->ctl->arena, s) : shown_line(l->ctl->arena, s, '?');
}

void listing_str(struct listing *l, str s)
{
	*cell_new(l) = (struct cell){ .type = CELL_STR, .text = cell_text(l, s) };
}

static void listing_number(struct listing *l, u64 n, str text)
{
	*cell_new(l) = (struct cell){ .type = CELL_NUMBER, .text = text, .number = n };
}

void listing_u64(struct listing *l, u64 n)
{
	listing_number(l, n, str_format(l->ctl->arena, "%llu", (unsigned long long)n));
}

void listing_size(struct listing *l, u64 bytes)
{
	static const char units[] = "BKMGTPE";
	double shown = (double)bytes;
	size_t unit = 0;

	while (shown >= 1024 && unit + 2 < sizeof units) {
		shown /= 1024;
		unit++;
	}
	listing_number(l, bytes,
		       str_format(l->ctl->arena, unit ? "%.1f%c" : "%.0f%c", shown, units[unit]));
}

void listing_rate(struct listing *l, u64 part, u64 whole)
{
	u64 permille = whole ? (u64)((double)part / (double)whole * 1000) : 0;
	str text = str_format(l->ctl->arena, "%llu.%llu%%", (unsigned long long)(permille / 10),
			      (unsigned long long)(permille % 10));

	*cell_new(l) = (struct cell){ .type = CELL_RATE, .text = whole ? text : S("-") };
}

str ctl_time(const struct ctl *c, u64 ms)
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm t;

	gmtime_r(&seconds, &t);
	return str_format(c->arena, "%04d-%02d-%02d%c%02d:%02d:%02d%s", t.tm_year + 1900,
			  t.tm_mon + 1, t.tm_mday, c->json ? 'T' : ' ', t.tm_hour, t.tm_min,
			  t.tm_sec, c->json ? "Z" : "");
}

void listing_time(struct listing *l, u64 ms)
{
	if (ms == 0)
		listing_str(l, l->ctl->json ? STR_NONE : S("-"));
	else
		listing_str(l, ctl_time(l->ctl, ms));
}

void listing_id(struct listing *l, u64 id)
{
	listing_str(l, id_text(l->ctl->arena, id));
}

void listing_list(struct listing *l, const str *items, size_t n)
{
	struct buf *out = buf_new(l->ctl->arena, 1024 * 1024);

	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_add(out, S(", "));
		buf_add(out, items[i]);
	}
	*cell_new(l) = (struct cell){
		.type = CELL_LIST, .text = cell_text(l, buf_str(out)), .items = items, .items_n = n
	};
}

void listing_json(struct listing *l, str json)
{
	CHECK(l->ctl->json);
	*cell_new(l) = (struct cell){ .type = CELL_JSON, .text = json };
}

static void add_json_cell(struct json *j, const struct cell *c)
{
	if (c->type == CELL_NUMBER) {
		json_u64(j, c->number);
	} else if (c->type == CELL_STR) {
		json_str(j, c->text);
	} else if (c->type == CELL_JSON) {
		json_raw(j, c->text);
	} else if (c->type == CELL_RATE && c->text.n > 1) {
		json_raw(j, str_slice(c->text, 0, c->text.n - 1));
	} else if (c->type == CELL_RATE) {
		json_null(j);
	} else {
		json_array(j);
		for (size_t i = 0; i < c->items_n; i++)
			json_str(j, c->items[i]);
		json_array_end(j);
	}
}

static void add_json_row(struct listing *l, struct json *j, const struct cell *row)
{
	json_object(j);
	for (size_t i = 0; i < l->columns_n; i++) {
		json_key(j, l->columns[i]);
		add_json_cell(j, &row[i]);
	}
	json_object_end(j);
}

/* In characters. */
static size_t width_of(str text)
{
	size_t width = 0;

	for (size_t i = 0; i < text.n; i++)
		width += (text.p[i] & 0xC0) != 0x80;
	return width;
}

static void add_padded(struct buf *out, str text, size_t width, bool right)
{
	size_t pad = width > width_of(text) ? width - width_of(text) : 0;

	if (!right)
		buf_add(out, text);
	while (pad--)
		buf_add(out, S(" "));
	if (right)
		buf_add(out, text);
}

static bool is_number(const struct cell *c)
{
	return c->type == CELL_NUMBER || c->type == CELL_RATE;
}

static void add_table(struct listing *l, struct buf *out)
{
	size_t widths[LISTING_COLUMNS];

	for (size_t i = 0; i < l->columns_n; i++) {
		widths[i] = str_cstr(l->columns[i]).n;
		for (size_t k = i; k < l->n; k += l->columns_n)
			if (width_of(l->cells[k].text) > widths[i])
				widths[i] = width_of(l->cells[k].text);
	}
	widths[l->columns_n - 1] = 0;
	for (size_t i = 0; i < l->columns_n; i++) {
		bool right = l->n && is_number(&l->cells[i]);
		add_padded(out, str_cstr(l->columns[i]), widths[i], right);
		buf_add(out, i + 1 < l->columns_n ? S("  ") : S("\n"));
	}
	for (size_t k = 0; k < l->n; k++) {
		size_t i = k % l->columns_n;
		add_padded(out, l->cells[k].text, widths[i], is_number(&l->cells[k]));
		buf_add(out, i + 1 < l->columns_n ? S("  ") : S("\n"));
	}
}

void listing_print(struct listing *l, const char *when_empty)
{
	struct buf *out = buf_new(l->ctl->arena, CTL_ARENA);
	struct json j = json_to(out);

	CHECK(l->n % l->columns_n == 0);
	if (l->ctl->json) {
		json_array(&j);
		for (size_t k = 0; k < l->n; k += l->columns_n)
			add_json_row(l, &j, &l->cells[k]);
		json_array_end(&j);
		buf_add(out, S("\n"));
	} else if (l->n == 0) {
		buf_printf(out, "%s\n", when_empty);
	} else {
		add_table(l, out);
	}
	ctl_print(buf_str(out));
}

void listing_print_one(struct listing *l)
{
	struct buf *out = buf_new(l->ctl->arena, CTL_ARENA);
	struct json j = json_to(out);

	CHECK(l->n == l->columns_n);
	if (l->ctl->json) {
		add_json_row(l, &j, l->cells);
		buf_add(out, S("\n"));
	} else {
		for (size_t i = 0; i < l->columns_n; i++)
			buf_printf(out, "%-14s %.*s\n", l->columns[i], STR_ARG(l->cells[i].text));
	}
	ctl_print(buf_str(out));
}
