#include "report/uri.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/chars.h"
#include "base/scan.h"
#include "text/address.h"
#include "text/encoding.h"

enum { URI_MAX = 1024 };

/* 1*DIGIT [ "k" / "m" / "g" / "t" ], RFC 7489 6.4 */
static bool read_limit(str text, u64 *out)
{
	static const char units[] = "kmgt";
	struct scan s = scan_of(text);
	unsigned shift = 0;
	str digits;

	if (!scan_span(&s, CHAR_DIGIT, &digits) || !str_u64(digits, out) || *out == 0)
		return false;
	for (unsigned i = 0; units[i]; i++) {
		if (s.rest.n == 1 && (s.rest.p[0] | 0x20) == units[i]) {
			shift = 10 * (i + 1);
			s.rest = STR_NONE;
		}
	}
	if (*out > UINT64_MAX >> shift)
		return false;
	*out <<= shift;
	return scan_end(&s);
}

/* RFC 3986 2.1; a '%' that is no escape makes it no URI. */
static bool percent_decode(struct arena *a, str text, str *out)
{
	struct buf *bytes = buf_new(a, URI_MAX);

	for (size_t i = 0; i < text.n; i++) {
		u8 byte = text.p[i];
		if (byte == '%') {
			struct buf one;
			bool good;
			buf_init(&one, 1);
			good = hex_decode(&one, str_slice(text, i + 1, i + 3)) && one.n == 1;
			byte = good ? one.p[0] : 0;
			buf_free(&one);
			if (!good)
				return false;
			i += 2;
		}
		buf_add_byte(bytes, byte);
	}
	*out = buf_str(bytes);
	return !bytes->full;
}

static bool take_address(struct arena *a, str text, struct report_uri *out)
{
	struct address address;
	str decoded;

	if (!percent_decode(a, text, &decoded) || address_parse(a, decoded, 0, &address) ||
	    address.null || address.literal || address.domain.n == 0)
		return false;
	if (domain_to_ascii(a, address.domain, &out->host) || !str_has(out->host, '.'))
		return false;
	return address_canonical(a, &address, &out->address) == NULL;
}

bool report_uri_parse(struct arena *a, str uri, struct report_uri *out)
{
	size_t end;

	*out = (struct report_uri){ 0 };
	if (uri.n > URI_MAX || !str_starts_nocase(uri, S("mailto:")))
		return false;
	uri = str_skip(uri, 7);
	end = str_find_last(uri, '!');
	if (end != SIZE_MAX) {
		if (!read_limit(str_skip(uri, end + 1), &out->limit))
			return false;
		uri = str_slice(uri, 0, end);
	}
	end = str_find(uri, '?');
	return take_address(a, end == SIZE_MAX ? uri : str_slice(uri, 0, end), out);
}
