#include "relay/dns/lookup.h"

#include "base/arena.h"

/* A shuffle (Fisher and Yates), then an insertion sort, which leaves equal ones as they stand. */
void dns_mx_sort(struct dns_mx *hosts, size_t n, const struct env *e)
{
	for (size_t i = n; i > 1; i--) {
		size_t j = (size_t)env_random_below(e, i);
		struct dns_mx other = hosts[j];
		hosts[j] = hosts[i - 1];
		hosts[i - 1] = other;
	}
	for (size_t i = 1; i < n; i++) {
		struct dns_mx moving = hosts[i];
		size_t to = i;
		for (; to > 0 && hosts[to - 1].preference > moving.preference; to--)
			hosts[to] = hosts[to - 1];
		hosts[to] = moving;
	}
}

static size_t mx_hosts(struct arena *a, const struct dns_answer *answer, struct dns_mx *hosts)
{
	size_t n = 0;

	for (size_t i = 0; i < answer->records_n; i++)
		if (rdata_mx(a, answer->records[i], &hosts[n]))
			n++;
	return n;
}

/* RFC 7505 3: a root host beside others is no null MX and no host either. */
static size_t mx_without_root(struct dns_mx *hosts, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (hosts[i].host.n)
			hosts[kept++] = hosts[i];
	return kept;
}

struct dns_mx_list dns_lookup_mx(struct arena *a, struct resolver *r, str domain, u64 budget_ms)
{
	struct dns_answer answer = dns_lookup(a, r, domain, DNS_TYPE_MX, budget_ms);
	struct dns_mx_list list = { answer.status, answer.secure, .why_bogus = answer.why_bogus };
	struct dns_mx *hosts = arena_array_of(a, answer.records_n + 1, struct dns_mx);
	size_t n;

	if (answer.status != DNS_OK)
		return list;
	n = mx_hosts(a, &answer, hosts);
	list.null_mx = n == 1 && hosts[0].host.n == 0;
	n = mx_without_root(hosts, n);
	dns_mx_sort(hosts, n, env_system());
	list.hosts = hosts;
	list.hosts_n = n < LOOKUP_MX ? n : LOOKUP_MX;
	if (n == 0 && !list.null_mx) /* records, but none that we can read: says nothing for sure */
		list.status = DNS_TEMPFAIL;
	return list;
}

static size_t addresses(struct arena *a, const struct dns_answer *answer,
			enum address_family family, const struct dns_address **out)
{
	struct dns_address *list = arena_array_of(a, LOOKUP_ADDRESSES, struct dns_address);
	size_t n = 0;

	for (size_t i = 0; i < answer->records_n && n < LOOKUP_ADDRESSES; i++)
		if (rdata_address(answer->records[i], family, &list[n]))
			n++;
	*out = list;
	return n;
}

/* What two negative answers say together: the less certain one. */
static enum dns_status both_status(enum dns_status a, enum dns_status b)
{
	static const u8 doubt[] = { [DNS_NXDOMAIN] = 0,
				    [DNS_NODATA] = 1,
				    [DNS_OK] = 1, /* without a usable record */
				    [DNS_TEMPFAIL] = 2,
				    [DNS_BOGUS] = 3 };
	enum dns_status worse = doubt[a] > doubt[b] ? a : b;

	return worse == DNS_OK ? DNS_NODATA : worse;
}

struct dns_address_list dns_lookup_addresses(struct arena *a, struct resolver *r, str host,
					     u64 budget_ms)
{
	struct dns_wait *wait6 = dns_ask(a, r, host, DNS_TYPE_AAAA, budget_ms);
	struct dns_wait *wait4 = dns_ask(a, r, host, DNS_TYPE_A, budget_ms);
	struct dns_answer six = dns_answer_of(wait6), four = dns_answer_of(wait4);
	struct dns_address_list list = { .secure = six.secure && four.secure };

	list.ipv6_n = addresses(a, &six, ADDRESS_IPV6, &list.ipv6);
	list.ipv4_n = addresses(a, &four, ADDRESS_IPV4, &list.ipv4);
	list.status = list.ipv6_n + list.ipv4_n ? DNS_OK : both_status(six.status, four.status);
	list.why_bogus = six.status == DNS_BOGUS ? six.why_bogus : four.why_bogus;
	return list;
}

static struct dns_text_list texts(struct arena *a, const struct dns_answer *answer,
				  bool (*read)(struct arena *, str, str *))
{
	struct dns_text_list list = { answer->status, answer->secure, NULL, 0 };
	str *items = arena_array_of(a, answer->records_n, str);

	for (size_t i = 0; i < answer->records_n; i++)
		if (read(a, answer->records[i], &items[list.n]))
			list.n++;
	list.items = items;
	return list;
}

struct dns_text_list dns_lookup_txt(struct arena *a, struct resolver *r, str name, u64 budget_ms)
{
	struct dns_answer answer = dns_lookup(a, r, name, DNS_TYPE_TXT, budget_ms);

	return texts(a, &answer, rdata_txt);
}

/* RFC 1035 3.5, RFC 3596 2.5. */
str dns_reverse_name(struct arena *a, const struct dns_address *address)
{
	static const char digits[] = "0123456789abcdef";
	const u8 *b = address->bytes;
	struct buf *name = buf_new(a, 80);

	if (address->family == ADDRESS_IPV4)
		return str_format(a, "%u.%u.%u.%u.in-addr.arpa", b[3], b[2], b[1], b[0]);
	for (size_t i = 16; i-- > 0;) {
		const u8 nibbles[] = { (u8)digits[b[i] & 15], '.', (u8)digits[b[i] >> 4], '.' };
		buf_add(name, str_from(nibbles, sizeof nibbles));
	}
	buf_add(name, S("ip6.arpa"));
	return buf_str(name);
}

struct dns_text_list dns_lookup_ptr(struct arena *a, struct resolver *r,
				    const struct dns_address *address, u64 budget_ms)
{
	struct dns_answer answer =
	    dns_lookup(a, r, dns_reverse_name(a, address), DNS_TYPE_PTR, budget_ms);

	return texts(a, &answer, rdata_name);
}

struct dns_tlsa_list dns_lookup_tlsa(struct arena *a, struct resolver *r, str host, u32 port,
				     u64 budget_ms)
{
	str name = str_format(a, "_%u._tcp.%.*s", port, STR_ARG(host));
	struct dns_answer answer = dns_lookup(a, r, name, DNS_TYPE_TLSA, budget_ms);
	struct dns_tlsa_list list = { answer.status, answer.secure, NULL, 0 };
	struct dns_tlsa *records = arena_array_of(a, answer.records_n, struct dns_tlsa);

	for (size_t i = 0; i < answer.records_n; i++)
		if (rdata_tlsa(answer.records[i], &records[list.n]))
			list.n++;
	list.records = records;
	return list;
}
