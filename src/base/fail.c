#include "base/fail.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/chars.h"
#include "base/check.h"

enum { FAIL_TEXT_MAX = 400, FAIL_CHAIN_MAX = 8 };

static const struct {
	enum fail_kind kind;
	str code, text, name;
} whats[] = {
#define WHAT(name_, kind_, code_, text_)                                     \
	[FAIL_##name_] = { .kind = FAIL_##kind_,                             \
			   .code = { (const u8 *)code_, sizeof(code_) - 1 }, \
			   .text = { (const u8 *)text_, sizeof(text_) - 1 }, \
			   .name = { (const u8 *)#name_, sizeof(#name_) - 1 } },
#include "base/fail.tbl"
#undef WHAT
};

enum fail_kind fail_what_kind(enum fail_what what)
{
	CHECK((unsigned)what < FAIL_WHATS);
	return whats[what].kind;
}

str fail_what_code(enum fail_what what)
{
	CHECK((unsigned)what < FAIL_WHATS);
	return whats[what].code;
}

str fail_what_text(enum fail_what what)
{
	CHECK((unsigned)what < FAIL_WHATS);
	return whats[what].text;
}

str fail_what_name(enum fail_what what)
{
	CHECK((unsigned)what < FAIL_WHATS);
	return whats[what].name;
}

/* The text goes into replies: never more than a line, whatever the arguments hold. */
static str one_line(struct arena *a, const char *format, va_list args)
{
	char text[FAIL_TEXT_MAX];
	int n = vsnprintf(text, sizeof text, format, args);

	CHECK(n >= 0);
	if ((size_t)n >= sizeof text)
		n = (int)sizeof text - 1;
	for (int i = 0; i < n; i++)
		if (char_is((u8)text[i], CHAR_CTL))
			text[i] = '?';
	return str_copy(a, str_from(text, (size_t)n));
}

static struct fail *make(struct arena *a, enum fail_what what, str text)
{
	struct fail *f = arena_new_of(a, struct fail);

	*f = (struct fail){ .what = what,
			    .kind = fail_what_kind(what),
			    .code = fail_what_code(what),
			    .text = text };
	return f;
}

const struct fail *fail_new(struct arena *a, enum fail_what what, const char *format, ...)
{
	va_list args;
	struct fail *f;

	va_start(args, format);
	f = make(a, what, one_line(a, format, args));
	va_end(args);
	return f;
}

const struct fail *fail_code(struct arena *a, enum fail_what what, const char *code,
			     const char *format, ...)
{
	va_list args;
	struct fail *f;

	va_start(args, format);
	f = make(a, what, one_line(a, format, args));
	va_end(args);
	f->code = str_copy(a, str_cstr(code));
	f->kind = code[0] == '5' ? FAIL_PERM : FAIL_TEMP;
	return f;
}

const struct fail *fail_because(struct arena *a, const struct fail *cause, const char *format, ...)
{
	va_list args;
	struct fail *f = arena_new_of(a, struct fail);

	*f = *cause;
	va_start(args, format);
	f->text = one_line(a, format, args);
	va_end(args);
	f->cause = cause;
	return f;
}

const struct fail *fail_errno(struct arena *a, int error, const char *doing)
{
	enum fail_what what = FAIL_INTERNAL;

	if (error == ENOSPC || error == EDQUOT || error == EFBIG)
		what = FAIL_STORAGE;
	if (error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS)
		what = FAIL_LIMIT;
	return fail_new(a, what, "%s: %s", doing, strerrordesc_np(error) ?: "unknown error");
}

str fail_chain(struct arena *a, const struct fail *f)
{
	str line = f->text;

	for (int i = 0; f->cause && i < FAIL_CHAIN_MAX; i++) {
		f = f->cause;
		line = str_format(a, "%.*s: %.*s", STR_ARG(line), STR_ARG(f->text));
	}
	return line;
}
