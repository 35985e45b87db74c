/* Folding of text for SEARCH, by utf8proc. Contract in imap_search.h. */
#include <utf8proc.h>

#include "text/charset.h"
#include "text/imap_search.h"

enum { PIECE = 512 }; /* bytes of non-ASCII text folded at once */

static void fold_ascii(struct buf *out, str s)
{
	u8 *p = buf_room(out, s.n);

	if (!p)
		return;
	for (size_t i = 0; i < s.n; i++)
		p[i] = char_lower(s.p[i]);
	buf_added(out, s.n);
}

/* s: at most PIECE bytes. A character becomes at most 18 others (U+FDFA), and a reencoded one takes up to 4 bytes; both
 * fit, since utf8proc packs the text into the room of the code points. */
static void fold_unicode(struct buf *out, str s)
{
	utf8proc_int32_t points[PIECE * 18];
	const utf8proc_option_t options = UTF8PROC_STABLE | UTF8PROC_COMPAT | UTF8PROC_COMPOSE |
					  UTF8PROC_IGNORE | UTF8PROC_CASEFOLD;
	utf8proc_ssize_t n =
	    utf8proc_decompose(s.p, (utf8proc_ssize_t)s.n, points, ARRAY_LEN(points) - 1, options);

	if (n < 0 || n > (utf8proc_ssize_t)ARRAY_LEN(points) - 1)
		return;
	n = utf8proc_reencode(points, n, options);
	if (n > 0)
		buf_add(out, str_from(points, (size_t)n));
}

/* The ASCII at the start of s; what a combining mark may follow is left to the other piece. */
static size_t ascii_length(str s)
{
	size_t n = 0;

	while (n < s.n && s.p[n] < 0x80)
		n++;
	return n > 0 && n < s.n ? n - 1 : n;
}

/* A piece that begins with what is not ASCII: to the next run of ASCII or PIECE bytes, whole characters. */
static size_t unicode_length(str s)
{
	size_t n = 1;

	while (n < s.n && n < PIECE && !(s.p[n] < 0x80 && n + 1 < s.n && s.p[n + 1] < 0x80))
		n++;
	return utf8_cut(s, n).n;
}

void imap_fold(struct buf *out, str utf8)
{
	while (utf8.n > 0) {
		size_t n = ascii_length(utf8);

		fold_ascii(out, str_slice(utf8, 0, n));
		utf8 = str_skip(utf8, n);
		if (utf8.n == 0)
			break;
		n = unicode_length(utf8);
		if (n == 0)
			break;
		fold_unicode(out, str_slice(utf8, 0, n));
		utf8 = str_skip(utf8, n);
	}
}
