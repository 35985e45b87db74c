/* Command lines and replies: nothing that is accepted holds a control byte. */
#include "text/smtp_command.h"
#include "text/smtp_reply.h"

#include "base/arena.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

enum { ALL = 0x3F };

static void check_clean(str s)
{
	for (size_t i = 0; i < s.n; i++)
		CHECK(!char_is(s.p[i], CHAR_CTL));
}

static void command(struct arena *a, str line)
{
	struct smtp_command c;
	struct smtp_mail m;
	struct smtp_rcpt r;
	str name, mechanism, initial;
	u64 n;
	bool flag;

	if (smtp_command_parse(a, line, &c))
		return;
	if (smtp_mail_parse(a, c.argument, ALL, &m) == NULL) {
		check_clean(m.from.local);
		check_clean(m.envid);
		check_clean(m.auth);
		CHECK(m.smtputf8 || !m.from.utf8);
	}
	if (smtp_rcpt_parse(a, c.argument, ALL, true, &r) == NULL) {
		check_clean(r.to.local);
		check_clean(r.orcpt);
		CHECK(str_is_utf8(r.orcpt) && !r.to.null);
	}
	if (smtp_ehlo_parse(a, c.argument, &name) == NULL)
		check_clean(name);
	(void)!smtp_bdat_parse(a, c.argument, &n, &flag);
	(void)!smtp_auth_parse(a, c.argument, &mechanism, &flag, &initial);
}

static void reply(struct arena *a, str lines)
{
	struct smtp_reply_reader r;
	struct smtp_reply out;
	bool done = false;
	str params;

	smtp_reply_start(&r, a);
	while (lines.n && !done) {
		str line = str_slice(lines, 0, str_find(lines, '\n'));
		if (smtp_reply_feed(&r, line, &done, &out))
			return;
		lines = str_skip(lines, line.n + 1);
	}
	if (!done)
		return;
	check_clean(smtp_reply_text(a, &out));
	check_clean(smtp_reply_status(a, &out));
	smtp_reply_extension(&out, S("SIZE"), &params);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct arena *a = arena_new(64 * 1024 * 1024);

	command(a, str_from(data, size));
	reply(a, str_from(data, size));
	arena_free(&a);
	return 0;
}
