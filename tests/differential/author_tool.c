/*
 * Whose domains a From field names, for author_diff.py: a field's value a line on standard input, hex; one answer each on standard output: what DMARC
 * judges ("one", "several" or "none", then the domains) as verdict/dmarc_author.c finds it.
 */
#include <stdio.h>

#include "base/arena.h"
#include "base/check.h"
#include "text/encoding.h"
#include "verdict/dmarc.h"

enum { ARENA = 8 << 20, LINE = 64 * 1024 };

static u8 digit(char c)
{
	return (u8)(c >= 'a' ? c - 'a' + 10 : c - '0');
}

static str header_of(struct arena *a, const char *hex)
{
	struct buf *out = buf_new(a, LINE);

	buf_add(out, S("From:"));
	for (; hex[0] > ' ' && hex[1] > ' '; hex += 2)
		buf_add_byte(out, (u8)(digit(hex[0]) << 4 | digit(hex[1])));
	buf_add(out, S("\r\n\r\n"));
	CHECK(!out->full);
	return buf_str(out);
}

int main(void)
{
	static char line[LINE];
	struct arena *a = arena_new(ARENA);
	struct dmarc_author author;

	while (fgets(line, sizeof line, stdin)) {
		dmarc_author_find(a, header_of(a, line), &author);
		printf("%s", author.kind == DMARC_AUTHOR_ONE       ? "one"
			     : author.kind == DMARC_AUTHOR_SEVERAL ? "several"
								   : "none");
		for (size_t i = 0; i < author.domains_n; i++)
			printf(" %.*s", STR_ARG(author.domains[i]));
		printf("\n");
		fflush(stdout);
		arena_reset(a);
	}
	arena_free(&a);
	return 0;
}
