/* CAPABILITY, RFC 3501 6.1.1. Generated from capability.tbl and the mechanisms that this session may use. */
#include "edge/imap/imap_int.h"

enum when { ALWAYS = 1, CLEAR = 2, LOCKED = 4, OPEN = 8, IN = 16 };

static const struct {
	const char *name;
	unsigned when;
} capabilities[] = {
#define LOGGED_IN IN
#define CAPABILITY(name, when, rfc) { name, when },
#include "edge/imap/capability.tbl"
#undef CAPABILITY
#undef LOGGED_IN
};

static unsigned conditions(struct imap *i, str mechanisms)
{
	unsigned now = ALWAYS;

	if (i->state != PLAIN)
		return now | IN;
	if (edge_offers_tls(i->session))
		now |= CLEAR;
	return now | (mechanisms.n ? OPEN : LOCKED);
}

void imap_put_capability(struct imap *i, struct buf *b)
{
	str mechanisms = sasl_mechanisms(i->session), name;
	unsigned now = conditions(i, mechanisms);
	struct scan s = scan_of(mechanisms);

	buf_add(b, S("CAPABILITY"));
	for (size_t k = 0; k < ARRAY_LEN(capabilities); k++)
		if (capabilities[k].when & now)
			buf_printf(b, " %s", capabilities[k].name);
	while (now & OPEN && scan_span(&s, CHAR_VCHAR, &name)) {
		buf_printf(b, " AUTH=%.*s", STR_ARG(name));
		scan_wsp0(&s);
	}
}

struct imap_reply imap_capability(struct imap *i, struct scan *s)
{
	struct buf *out = imap_out(i);

	if (!scan_end(s))
		return BAD_REPLY("CAPABILITY takes no arguments");
	buf_add(out, S("* "));
	imap_put_capability(i, out);
	buf_add(out, S("\r\n"));
	return OK_REPLY("that is all");
}
