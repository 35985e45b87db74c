/* Mailbox names and LIST patterns. Contract in imap_mailbox.h. */
#include <string.h>

#include "base/chars.h"
#include "text/encoding.h"
#include "text/imap_mailbox.h"

static const struct fail bad_utf7 = FAIL_STATIC(INVALID, "mailbox name is not modified UTF-7");
static const struct fail bad_length = FAIL_STATIC(INVALID, "mailbox name is too long or too deep");
static const struct fail bad_character =
    FAIL_STATIC(INVALID, "mailbox name has a character it may not have");
static const struct fail bad_level = FAIL_STATIC(INVALID, "mailbox name has an empty level");

static const struct fail *decode(struct arena *a, str wire, str *utf8)
{
	struct buf *b;

	if (wire.n > 3 * IMAP_MAILBOX_NAME)
		return &bad_length;
	b = buf_new(a, 4 * wire.n + 16);
	if (!utf7_decode(b, wire))
		return &bad_utf7;
	*utf8 = buf_str(b);
	return utf8->n > IMAP_MAILBOX_NAME ? &bad_length : NULL;
}

/* INBOX means the same in any case, also as the first level. */
static void inbox_upper(struct arena *a, str *name)
{
	if (!str_starts_nocase(*name, S("INBOX")) || (name->n > 5 && name->p[5] != '/') ||
	    str_starts(*name, S("INBOX")))
		return;
	*name = str_format(a, "INBOX%.*s", STR_ARG(str_skip(*name, 5)));
}

static const struct fail *check_levels(str name)
{
	size_t depth = 1;

	if (name.n == 0)
		return &bad_level;
	for (size_t i = 0; i < name.n; i++) {
		u8 c = name.p[i];

		if (c < 0x20 || c == 0x7F || c == '%' || c == '*')
			return &bad_character;
		if (c != '/')
			continue;
		if (i == 0 || i + 1 == name.n || name.p[i - 1] == '/')
			return &bad_level;
		depth++;
	}
	return depth > IMAP_MAILBOX_DEPTH ? &bad_length : NULL;
}

const struct fail *imap_mailbox_decode(struct arena *a, str wire, str *utf8)
{
	TRY(decode(a, wire, utf8));
	TRY(check_levels(*utf8));
	inbox_upper(a, utf8);
	return NULL;
}

const struct fail *imap_pattern_decode(struct arena *a, str wire, str *utf8)
{
	return decode(a, wire, utf8);
}

/* Does the byte of a pattern match the byte at i of a name? INBOX knows no case. */
static bool byte_matches(u8 pattern, str name, size_t i)
{
	if (pattern == name.p[i])
		return true;
	return i < 5 && char_upper(pattern) == name.p[i] && str_starts(name, S("INBOX")) &&
	       (name.n == 5 || name.p[5] == '/');
}

bool imap_pattern_matches(str pattern, str name)
{
	/* reach[i]: the pattern so far can end before byte i of the name. One row, updated per pattern byte. */
	bool reach[IMAP_MAILBOX_NAME + 1], any = true;

	if (name.n > IMAP_MAILBOX_NAME)
		return false;
	memset(reach, 0, sizeof(reach));
	reach[0] = true;
	for (size_t j = 0; j < pattern.n && any; j++) {
		u8 c = pattern.p[j];

		if (c == '*' || c == '%') {
			for (size_t i = 1; i <= name.n; i++)
				reach[i] = reach[i] ||
					   (reach[i - 1] && (c == '*' || name.p[i - 1] != '/'));
			continue;
		}
		any = false;
		for (size_t i = name.n; i > 0; i--) {
			reach[i] = reach[i - 1] && byte_matches(c, name, i - 1);
			any = any || reach[i];
		}
		reach[0] = false;
	}
	return reach[name.n];
}
