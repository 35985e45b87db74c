/* LOGIN, RFC 3501 6.2.3. */
#include "edge/imap/imap_int.h"

struct imap_reply imap_login(struct imap *i, struct scan *s)
{
	struct sasl_result r;
	str user, password;
	const struct fail *f;

	if (!(scan_sp(s) && imap_scan_astring(imap_arena(i), s, &user) && scan_sp(s) &&
	      imap_scan_astring(imap_arena(i), s, &password) && scan_end(s)))
		return BAD_REPLY("expected a name and a password");
	f = sasl_password(i->session, user, password, &r);
	return imap_sasl_result(i, f, &r);
}
