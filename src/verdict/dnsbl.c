#include "verdict/dnsbl.h"

#include <string.h>

#include "base/scan.h"
#include "text/address.h"
#include "verdict/iprev.h"

static bool parse_code(str text, u8 code[4])
{
	struct scan s = scan_of(text);

	for (int i = 0; i < 4; i++) {
		u32 value;
		if ((i > 0 && !scan_byte(&s, '.')) || !scan_u32(&s, &value) || value > 255)
			return false;
		code[i] = (u8)value;
	}
	return scan_end(&s) && code[0] == 127;
}

static bool parse_weight(str text, int *weight)
{
	bool negative = str_starts(text, S("-"));
	u64 value;

	if (!str_u64(str_skip(text, negative), &value) || value > DNSBL_WEIGHT)
		return false;
	*weight = negative ? -(int)value : (int)value;
	return true;
}

bool dnsbl_list_parse(struct arena *a, str text, struct dnsbl_list *out)
{
	size_t colon = str_find_last(text, ':'), equals;
	str zone = str_slice(text, 0, colon);

	*out = (struct dnsbl_list){ 0 };
	if (colon == SIZE_MAX || !parse_weight(str_skip(text, colon + 1), &out->weight))
		return false;
	equals = str_find(zone, '=');
	out->has_code = equals != SIZE_MAX;
	if (out->has_code && !parse_code(str_skip(zone, equals + 1), out->code))
		return false;
	return !domain_to_ascii(a, str_slice(zone, 0, equals), &out->zone);
}

str dnsbl_result_name(enum dnsbl_result r)
{
	static const str names[] = { [DNSBL_CLEAR] = S("clear"),
				     [DNSBL_LISTED] = S("listed"),
				     [DNSBL_OTHER_CODE] = S("other code"),
				     [DNSBL_REFUSED] = S("our question was refused"),
				     [DNSBL_NO_ANSWER] = S("no answer") };

	return names[r];
}

/* What one address in the answer says of this list. */
static enum dnsbl_result judge(const struct dnsbl_list *list, const u8 code[4])
{
	if (code[0] != 127)
		return DNSBL_CLEAR; /* a resolver or a domain grabber that answers everything */
	if (code[1] == 255 && code[2] == 255)
		return DNSBL_REFUSED;
	return list->has_code && memcmp(list->code, code, 4) != 0 ? DNSBL_OTHER_CODE : DNSBL_LISTED;
}

static str why(struct arena *a, const struct dns_source *dns, str name)
{
	struct dns_answer answer = { .status = DNS_TEMPFAIL };
	str text;
	u8 *clean;

	dns->query(dns->context, a, name, DNS_TYPE_TXT, &answer);
	if (answer.status != DNS_OK || answer.records_n == 0 ||
	    !rdata_txt(a, answer.records[0], &text))
		return STR_NONE;
	text = str_slice(text, 0, DNSBL_TEXT);
	clean = arena_alloc(a, text.n);
	for (size_t i = 0; i < text.n; i++)
		clean[i] = text.p[i] >= 0x20 && text.p[i] < 0x7F ? text.p[i] : '?';
	return str_from(clean, text.n);
}

static void ask(struct arena *a, const struct dns_source *dns, str name, struct dnsbl_hit *hit)
{
	struct dns_answer answer = { .status = DNS_TEMPFAIL };

	dns->query(dns->context, a, name, DNS_TYPE_A, &answer);
	if (dns_is_trouble(answer.status))
		hit->result = DNSBL_NO_ANSWER;
	for (size_t i = 0; answer.status == DNS_OK && i < answer.records_n; i++) {
		struct dns_address code;
		enum dnsbl_result r;
		if (!rdata_address(answer.records[i], ADDRESS_IPV4, &code))
			continue;
		r = judge(hit->list, code.bytes);
		if (r == DNSBL_CLEAR || hit->result == DNSBL_LISTED)
			continue;
		hit->result = r;
		memcpy(hit->code, code.bytes, 4);
	}
}

void dnsbl_check(struct arena *a, const struct dns_source *dns, const struct dns_address *client,
		 const struct dnsbl_list *lists, size_t n, struct dnsbl_verdict *out)
{
	struct dnsbl_hit *hits;

	n = n < DNSBL_LISTS ? n : DNSBL_LISTS;
	hits = arena_array_of(a, n, struct dnsbl_hit);
	*out = (struct dnsbl_verdict){ .hits = hits, .n = n };
	for (size_t i = 0; i < n; i++) {
		str name = iprev_reverse(a, client, lists[i].zone);
		hits[i].list = &lists[i];
		ask(a, dns, name, &hits[i]);
		if (hits[i].result != DNSBL_LISTED)
			continue;
		out->score += lists[i].weight;
		hits[i].text = why(a, dns, name);
	}
}
