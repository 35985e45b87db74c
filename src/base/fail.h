/*
 * Everything expected that goes wrong is a `const struct fail *`; NULL is success.
 *
 * `what` is for programs (a row of fail.tbl), `kind` and `code` for SMTP, `text` for the peer (one
 * line, no CR or LF, no secrets, no paths), `cause` for the log. A fail lives as long as the arena
 * it was made in, or for ever when it is FAIL_STATIC. One function per protocol turns it into a reply.
 */
#ifndef BASE_FAIL_H
#define BASE_FAIL_H

#include "base/str.h"

enum fail_kind { FAIL_TEMP, FAIL_PERM };

enum fail_what {
#define WHAT(name, kind, code, text) FAIL_##name,
#include "base/fail.tbl"
#undef WHAT
	FAIL_WHATS
};

struct fail {
	enum fail_what what;
	enum fail_kind kind;
	str code; /* RFC 3463, "4.3.0" */
	str text;
	const struct fail *cause; /* may be NULL */
};

enum fail_kind fail_what_kind(enum fail_what what);
str fail_what_code(enum fail_what what);
str fail_what_text(enum fail_what what);
str fail_what_name(enum fail_what what); /* "NOT_FOUND" */

#define FAIL_STATIC(class, message)                                                             \
	{                                                                                       \
		.what = FAIL_##class, .kind = FAIL_##class##_KIND, .code = FAIL_##class##_CODE, \
		.text = {                                                                       \
			(const u8 *)("" message),                                               \
			sizeof(message) - 1                                                     \
		}                                                                               \
	}

/* Of the class's own kind and code; CR, LF and NUL in the text become '?'. */
const struct fail *fail_new(struct arena *a, enum fail_what what, const char *format, ...)
    PRINTF(3, 4);
/* The same, with a code of its own: "5.1.8". Its first digit decides the kind. */
const struct fail *fail_code(struct arena *a, enum fail_what what, const char *code,
			     const char *format, ...) PRINTF(4, 5);
/* Wraps: what the caller says, with cause chained for the log; class, kind and code of the cause. */
const struct fail *fail_because(struct arena *a, const struct fail *cause, const char *format, ...)
    PRINTF(3, 4);
/* From errno: ENOSPC, EDQUOT, EFBIG -> STORAGE; EMFILE, ENFILE, ENOMEM -> LIMIT; else INTERNAL. */
const struct fail *fail_errno(struct arena *a, int error, const char *doing);
/* The whole chain as one line for the log: "text: cause: cause". */
str fail_chain(struct arena *a, const struct fail *f);

#define TRY(call)                                  \
	do {                                       \
		const struct fail *fail_ = (call); \
		if (fail_)                         \
			return fail_;              \
	} while (0)

/* Constants that FAIL_STATIC needs, one pair a class; fail_test.c proves them equal to fail.tbl. */
#define FAIL_LIMIT_KIND FAIL_TEMP
#define FAIL_LIMIT_CODE                \
	{                              \
		(const u8 *)"4.3.1", 5 \
	}
#define FAIL_UNAVAILABLE_KIND FAIL_TEMP
#define FAIL_UNAVAILABLE_CODE          \
	{                              \
		(const u8 *)"4.3.0", 5 \
	}
#define FAIL_TIMEOUT_KIND FAIL_TEMP
#define FAIL_TIMEOUT_CODE              \
	{                              \
		(const u8 *)"4.4.7", 5 \
	}
#define FAIL_INTERNAL_KIND FAIL_TEMP
#define FAIL_INTERNAL_CODE             \
	{                              \
		(const u8 *)"4.3.0", 5 \
	}
#define FAIL_STORAGE_KIND FAIL_TEMP
#define FAIL_STORAGE_CODE              \
	{                              \
		(const u8 *)"4.3.1", 5 \
	}
#define FAIL_DENIED_KIND FAIL_PERM
#define FAIL_DENIED_CODE               \
	{                              \
		(const u8 *)"5.7.1", 5 \
	}
#define FAIL_NOT_FOUND_KIND FAIL_PERM
#define FAIL_NOT_FOUND_CODE            \
	{                              \
		(const u8 *)"5.1.1", 5 \
	}
#define FAIL_INVALID_KIND FAIL_PERM
#define FAIL_INVALID_CODE              \
	{                              \
		(const u8 *)"5.5.4", 5 \
	}
#define FAIL_SYNTAX_KIND FAIL_PERM
#define FAIL_SYNTAX_CODE               \
	{                              \
		(const u8 *)"5.5.2", 5 \
	}
#define FAIL_TOO_LARGE_KIND FAIL_PERM
#define FAIL_TOO_LARGE_CODE            \
	{                              \
		(const u8 *)"5.3.4", 5 \
	}
#define FAIL_CORRUPT_KIND FAIL_TEMP
#define FAIL_CORRUPT_CODE              \
	{                              \
		(const u8 *)"4.3.0", 5 \
	}

#endif
