#include "report/mail_header.h"

#include "base/arena.h"
#include "text/date.h"

void mail_header_people(struct header_builder *h, str name, str from, const str *to, size_t to_n)
{
	header_start(h, S("From"));
	header_add_address(h, name, from);
	header_end(h);
	header_start(h, S("To"));
	for (size_t i = 0; i < to_n; i++) {
		header_add_address(h, STR_NONE, to[i]);
		if (i + 1 < to_n)
			header_add_close(h, S(","));
	}
	header_end(h);
}

void mail_header_machine(struct arena *a, struct header_builder *h, u64 now, str message_id)
{
	header_put(h, S("Date"), date_print(a, (i64)now, 0));
	header_put(h, S("Message-ID"), message_id);
	header_put(h, S("Auto-Submitted"), S("auto-generated")); /* RFC 3834 5 */
	header_put(h, S("MIME-Version"), S("1.0"));
}
