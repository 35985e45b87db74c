/*
 * libopendmarc for dmarc_diff.py: the same jobs and answers as dmarc_tool.c. Argument 1 is a file of public suffixes. DNS is the library's
 * own table of made-up records, which it asks instead of the network as soon as it holds one, and in which the first of a name counts:
 * no two jobs have a domain in common.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <opendmarc/dmarc.h>

enum { LINE = 8192, FIELDS = 5 };

static void fake(const char *domain, const char *record)
{
	char name[DMARC_MAXHOSTNAMELEN + 16];

	snprintf(name, sizeof name, "_dmarc.%s", domain);
	if (record[0])
		opendmarc_dns_fake_record(name, record);
}

static void store(DMARC_POLICY_T *p, char *text)
{
	char *save = NULL, *method = strtok_r(text, " ", &save);

	for (; method; method = strtok_r(NULL, " ", &save)) {
		const char *result = strtok_r(NULL, " ", &save);
		unsigned char *domain = (unsigned char *)strtok_r(NULL, " ", &save);
		int passed = strcmp(result, "pass") == 0;
		if (strcmp(method, "dkim") == 0)
			opendmarc_policy_store_dkim(p, domain, (unsigned char *)"s",
						    passed ? DMARC_POLICY_DKIM_OUTCOME_PASS
							   : DMARC_POLICY_DKIM_OUTCOME_FAIL,
						    NULL);
		else
			opendmarc_policy_store_spf(
			    p, domain,
			    passed ? DMARC_POLICY_SPF_OUTCOME_PASS : DMARC_POLICY_SPF_OUTCOME_FAIL,
			    strcmp(method, "helo") == 0 ? DMARC_POLICY_SPF_ORIGIN_HELO
							: DMARC_POLICY_SPF_ORIGIN_MAILFROM,
			    NULL);
	}
}

static const char *policy_name(int p)
{
	return p == DMARC_RECORD_P_NONE         ? "none"
	       : p == DMARC_RECORD_P_QUARANTINE ? "quarantine"
	       : p == DMARC_RECORD_P_REJECT     ? "reject"
						: "-";
}

static const char *verdict_name(int s)
{
	return s == DMARC_POLICY_PASS         ? "pass"
	       : s == DMARC_POLICY_NONE       ? "none"
	       : s == DMARC_POLICY_QUARANTINE ? "quarantine"
	       : s == DMARC_POLICY_REJECT     ? "reject"
					      : "absent";
}

static char alignment_name(int a)
{
	return a == DMARC_RECORD_A_STRICT ? 's' : 'r';
}

static void print(DMARC_POLICY_T *p)
{
	unsigned char place[DMARC_MAXHOSTNAMELEN] = "-";
	int verdict = opendmarc_get_policy_to_enforce(p), dkim = 0, spf = 0;
	int policy = 0, sub = 0, adkim = 0, aspf = 0;

	opendmarc_policy_fetch_alignment(p, &dkim, &spf);
	opendmarc_policy_fetch_utilized_domain(p, place, sizeof place);
	opendmarc_policy_fetch_p(p, &policy);
	opendmarc_policy_fetch_sp(p, &sub);
	opendmarc_policy_fetch_adkim(p, &adkim);
	opendmarc_policy_fetch_aspf(p, &aspf);
	printf("%s %d %d %s %s %s %s %c %c\n", verdict_name(verdict),
	       spf == DMARC_POLICY_SPF_ALIGNMENT_PASS, dkim == DMARC_POLICY_DKIM_ALIGNMENT_PASS,
	       (char *)place,
	       opendmarc_get_policy_token_used(p) == DMARC_USED_POLICY_IS_SP ? "sp" : "p",
	       policy_name(policy), policy_name(sub), alignment_name(adkim), alignment_name(aspf));
}

static void judge(char **field)
{
	DMARC_POLICY_T *p =
	    opendmarc_policy_connect_init((unsigned char *)"192.0.2.1", DMARC_POLICY_IP_TYPE_IPV4);
	OPENDMARC_STATUS_T s;

	fake(field[0], field[2]);
	if (strcmp(field[0], field[1]) != 0)
		fake(field[1], field[3]);
	opendmarc_policy_store_from_domain(p, (unsigned char *)field[0]);
	store(p, field[4]);
	s = opendmarc_policy_query_dmarc(p, NULL);
	if (s == DMARC_PARSE_OKAY)
		print(p);
	else
		printf("absent\n");
	opendmarc_policy_connect_shutdown(p);
}

int main(int argc, char **argv)
{
	OPENDMARC_LIB_T lib = { .tld_type = OPENDMARC_TLD_TYPE_MOZILLA };
	char line[LINE], *field[FIELDS];

	if (argc != 2 || strlen(argv[1]) >= sizeof lib.tld_source_file)
		return 2;
	memcpy(lib.tld_source_file, argv[1], strlen(argv[1]) + 1);
	if (opendmarc_policy_library_init(&lib) != DMARC_PARSE_OKAY)
		return 2;
	opendmarc_dns_fake_record("nothing.invalid", "x");
	while (fgets(line, sizeof line, stdin)) {
		char *rest = line;
		line[strcspn(line, "\n")] = 0;
		for (size_t i = 0; i < FIELDS; i++)
			if ((field[i] = strsep(&rest, "\t")) == NULL)
				return 2;
		judge(field);
		fflush(stdout);
	}
	return 0;
}
