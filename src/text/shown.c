#include "text/shown.h"

#include "base/arena.h"
#include "text/utf8.h"

bool shown_is_hidden(u32 code)
{
	return code < 0x20 || (code >= 0x7F && code < 0xA0) || (code >= 0x2028 && code <= 0x202E) ||
	       (code >= 0x2066 && code <= 0x2069);
}

void shown_add(struct buf *out, str text, u8 instead, str keep)
{
	for (size_t i = 0, n; i < text.n; i += n) {
		u32 code;
		bool valid = utf8_next(text, i, &code, &n);
		if (str_has(keep, text.p[i]) || (valid && !shown_is_hidden(code)))
			buf_add(out, str_slice(text, i, i + n));
		else
			buf_add_byte(out, instead);
	}
}

str shown_line(struct arena *a, str text, u8 instead)
{
	struct buf *out = buf_new(a, text.n);

	shown_add(out, text, instead, STR_NONE);
	return buf_str(out);
}
