#include "text/dns_rdata.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/scan.h"

static bool label_is_plain(str label)
{
	for (size_t i = 0; i < label.n; i++)
		if (!char_is(label.p[i], CHAR_LDH) && label.p[i] != '_')
			return false;
	return true;
}

/* One label at the cursor; its length byte has no compression bits. */
static bool scan_label(struct scan *s, str *label)
{
	int n = scan_peek(s);
	str head;

	return n >= 0 && n <= RDATA_LABEL && scan_take(s, 1, &head) &&
	       scan_take(s, (size_t)n, label);
}

static bool scan_name(struct arena *a, struct scan *s, str *name)
{
	struct buf *text = buf_new(a, RDATA_NAME_TEXT);
	str label;

	for (;;) {
		if (!scan_label(s, &label))
			return false;
		if (label.n == 0)
			break;
		if (!label_is_plain(label))
			return false;
		if (text->n)
			buf_add_byte(text, '.');
		buf_add(text, label);
		if (text->full)
			return false;
	}
	*name = str_lower(a, buf_str(text));
	return true;
}

bool rdata_name(struct arena *a, str rdata, str *name)
{
	struct scan s = scan_of(rdata);

	return rdata.n <= RDATA_NAME && scan_name(a, &s, name) && scan_end(&s);
}

bool rdata_mx(struct arena *a, str rdata, struct dns_mx *out)
{
	struct scan s = scan_of(rdata);
	str preference;

	if (!scan_take(&s, 2, &preference) || s.rest.n > RDATA_NAME)
		return false;
	out->preference = (u16)(preference.p[0] << 8 | preference.p[1]);
	return scan_name(a, &s, &out->host) && scan_end(&s);
}

bool rdata_address(str rdata, enum address_family family, struct dns_address *out)
{
	if (rdata.n != (family == ADDRESS_IPV4 ? 4U : 16U))
		return false;
	*out = (struct dns_address){ .family = family };
	memcpy(out->bytes, rdata.p, rdata.n);
	return true;
}

bool rdata_txt(struct arena *a, str rdata, str *text)
{
	struct scan s = scan_of(rdata);
	struct buf *out = buf_new(a, rdata.n);
	str head, piece;

	if (rdata.n == 0)
		return false;
	while (!scan_end(&s)) {
		if (!scan_take(&s, 1, &head) || !scan_take(&s, head.p[0], &piece))
			return false;
		buf_add(out, piece);
	}
	*text = buf_str(out);
	return true;
}

/* RFC 6698 2.1.3, 2.1.4: an association of a length that its matching type cannot have matches nothing. */
bool rdata_tlsa(str rdata, struct dns_tlsa *out)
{
	static const size_t digest[] = { [1] = 32, [2] = 64 };

	if (rdata.n < 4)
		return false;
	*out = (struct dns_tlsa){ rdata.p[0], rdata.p[1], rdata.p[2], str_skip(rdata, 3) };
	if (out->matching == 1 || out->matching == 2)
		return out->data.n == digest[out->matching];
	return true;
}
