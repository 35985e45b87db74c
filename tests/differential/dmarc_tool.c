/*
 * Our DMARC for dmarc_diff.py: a job a line on standard input, one answer each on standard output. Fields end at tabs:
 *
 *	DOMAIN <TAB> ORGANIZATION <TAB> RECORD-OF-DOMAIN <TAB> RECORD-OF-ORGANIZATION <TAB> METHOD RESULT DOMAIN [METHOD RESULT DOMAIN...]
 *
 * An empty record is none; METHOD: mailfrom, helo or dkim; RESULT: pass or fail. Answer: "verdict spf dkim place tag p sp adkim aspf" with
 * verdict pass, none, quarantine, reject (what is to be done) or absent (no policy), where the rest is missing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "verdict/dmarc.h"
#include "verdict/zone_test.h"

enum { ARENA = 4 << 20, LINE = 8192, FIELDS = 5 };

static struct zone make_zone(struct arena *a, char **field)
{
	struct zone_record *records = arena_array_of(a, 2, struct zone_record);
	struct zone z = { .records = records, .missing = DNS_NODATA };

	for (size_t i = 0; i < 2; i++)
		if (field[2 + i][0] && !(i == 1 && strcmp(field[0], field[1]) == 0))
			records[z.n++] =
			    (struct zone_record){ cstr(a, str_format(a, "_dmarc.%s", field[i])),
						  field[2 + i] };
	return z;
}

static size_t read_identifiers(char *text, struct dmarc_identifier *out)
{
	size_t n = 0;
	char *save = NULL, *method = strtok_r(text, " ", &save);

	for (; method; method = strtok_r(NULL, " ", &save)) {
		const char *result = strtok_r(NULL, " ", &save);
		const char *domain = strtok_r(NULL, " ", &save);
		CHECK(result && domain && n < DMARC_IDENTIFIERS);
		if (strcmp(result, "pass") == 0)
			out[n++] = (struct dmarc_identifier){ .domain = str_cstr(domain),
							      .spf = strcmp(method, "dkim") != 0 };
	}
	return n;
}

static void print(const struct dmarc_verdict *v)
{
	const struct dmarc_record *r = &v->record;

	if (v->result == DMARC_NONE) {
		printf("absent\n");
		return;
	}
	CHECK(v->result == DMARC_PASS || v->result == DMARC_FAIL);
	printf("%s %d %d %.*s %s %s %s %c %c\n",
	       v->result == DMARC_PASS ? "pass" : dmarc_policy_name(v->policy), v->spf_aligned,
	       v->dkim_aligned, STR_ARG(v->policy_domain), v->policy_tag, dmarc_policy_name(r->p),
	       r->has_sp ? dmarc_policy_name(r->sp) : "-", r->strict_dkim ? 's' : 'r',
	       r->strict_spf ? 's' : 'r');
}

static void judge(struct arena *a, char **field)
{
	struct zone zone = make_zone(a, field);
	struct dns_source dns = { &zone, zone_query };
	struct dmarc_identifier identifiers[DMARC_IDENTIFIERS];
	size_t n = read_identifiers(field[4], identifiers);
	struct dmarc_author author;
	struct dmarc_verdict v;

	dmarc_author_find(a, str_format(a, "From: <a@%s>\r\n\r\n", field[0]), &author);
	CHECK(author.kind == DMARC_AUTHOR_ONE);
	dmarc_check(a, &dns, &author, identifiers, n, &v);
	print(&v);
}

int main(void)
{
	char line[LINE], *field[FIELDS];

	while (fgets(line, sizeof line, stdin)) {
		struct arena *a = arena_new(ARENA);
		char *rest = line;
		line[strcspn(line, "\n")] = 0;
		for (size_t i = 0; i < FIELDS; i++)
			CHECK((field[i] = strsep(&rest, "\t")) != NULL);
		judge(a, field);
		fflush(stdout);
		arena_free(&a);
	}
	return 0;
}
