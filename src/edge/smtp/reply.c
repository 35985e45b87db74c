#include "edge/smtp/reply.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/id.h"

/* A class of fails, and the reply code of RFC 5321 4.2.3, 4.3.2 that says it. */
static unsigned code_of(const struct fail *f)
{
	switch (f->what) {
	case FAIL_SYNTAX:
		return 501;
	case FAIL_INVALID: /* a parameter; or an address that needs SMTPUTF8, RFC 6531 3.5 */
		return str_eq(f->code, S("5.6.7")) ? 553 : 555;
	case FAIL_TOO_LARGE:
		return 552;
	case FAIL_NOT_FOUND:
	case FAIL_DENIED:
	case FAIL_EXISTS:
		return 550;
	case FAIL_CONFLICT:
		return 503;
	case FAIL_LOGIN:
		return 535;
	case FAIL_QUOTA:
	case FAIL_STORAGE:
	case FAIL_LIMIT:
		return 452;
	case FAIL_INTERNAL:
	case FAIL_UNAVAILABLE:
	case FAIL_TIMEOUT:
	case FAIL_BUSY:
	case FAIL_CORRUPT:
	case FAIL_WHATS:
		break;
	}
	return 451;
}

/* A fail may carry a code of the other kind than its class has (fail_code): the kind decides. Faults of the content (X.6) and
 * of the way it came (X.4) are 554. */
static unsigned reply_code(const struct fail *f)
{
	unsigned code = code_of(f);

	if (f->kind == FAIL_TEMP)
		return code < 500 ? code : 450;
	if (code < 500)
		return 554;
	if (f->what == FAIL_DENIED &&
	    (str_starts(f->code, S("5.6.")) || str_starts(f->code, S("5.4."))))
		return 554;
	return code;
}

struct reply reply_from_fail(struct arena *a, const struct fail *f)
{
	return (struct reply){ .code = reply_code(f),
			       .enhanced = str_copy(a, f->code),
			       .text = str_copy(a, f->text) };
}

static void print_text(struct buf *out, str text, size_t room)
{
	for (size_t i = 0; i < text.n && i < room; i++)
		buf_add_byte(out, text.p[i] >= 0x20 && text.p[i] < 0x7F ? text.p[i] : '?');
}

static void print_line(struct buf *out, unsigned code, bool last, str enhanced, str text)
{
	size_t from = out->n;

	buf_printf(out, "%03u%c", code, last ? ' ' : '-');
	if (enhanced.n > 0) {
		print_text(out, enhanced, REPLY_LINE);
		buf_add_byte(out, ' ');
	}
	print_text(out, text, REPLY_LINE - (out->n - from));
	buf_add(out, S("\r\n"));
}

void reply_print(struct buf *out, const struct reply *r)
{
	size_t times = r->times > 0 ? r->times : 1;

	CHECK(r->code >= 200 && r->code < 600);
	for (size_t t = 0; t < times; t++) {
		for (size_t i = 0; i < r->lines_n; i++)
			print_line(out, r->code, false, STR_NONE, r->lines[i]);
		print_line(out, r->code, true, r->enhanced, r->text);
	}
}

enum { REPLY_ID = sizeof " (id )" + ID_ATTEMPT_TEXT, REPLY_BEFORE = 4 + 16 };

/* Behind a text that is cut, if it must be: the id is what is wanted. */
void reply_name(struct arena *a, struct reply *r, u64 attempt)
{
	str text = str_slice(r->text, 0, REPLY_LINE - REPLY_ID - REPLY_BEFORE);

	r->recorded = true;
	if (attempt)
		r->text =
		    str_format(a, "%.*s (id %.*s)", STR_ARG(text), STR_ARG(id_text(a, attempt)));
}

str reply_summary(struct arena *a, const struct reply *r)
{
	return str_format(a, "%u %.*s %.*s", r->code, STR_ARG(r->enhanced), STR_ARG(r->text));
}
