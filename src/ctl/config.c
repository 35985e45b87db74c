/* config and status commands. */
#include "ctl/ctl_int.h"

enum { CONFIG_TEXT = 1024 * 1024 };

enum exit_status ctl_config_check(struct ctl *c)
{
	const struct fail *f = ctl_config(c);

	if (f)
		return ctl_fail(c, f, "use the configuration");
	ctl_print(c->json ? S("{}\n")
			  : str_format(c->arena, "%.*s is good\n", STR_ARG(c->config_path)));
	return EXIT_OK;
}

enum exit_status ctl_config_show(struct ctl *c)
{
	struct buf *out = buf_new(c->arena, CONFIG_TEXT);
	const struct fail *f = ctl_config(c);

	if (f)
		return ctl_fail(c, f, "show the configuration");
	if (c->json)
		config_print_json(out, c->config, ctl_has(c, "all"));
	else
		config_print(out, c->config, ctl_has(c, "all"));
	ctl_print(buf_str(out));
	return EXIT_OK;
}

enum exit_status ctl_config_sample(struct ctl *c)
{
	struct buf *out = buf_new(c->arena, CONFIG_TEXT);

	config_print_sample(out);
	ctl_print(buf_str(out));
	return EXIT_OK;
}

static const struct fail *status(struct ctl *c, struct office_status_answer *r)
{
	struct office_status_request q = { 0 };

	TRY(ctl_connect(c));
	return office_status(c->arena, c->office, &q, r);
}

enum exit_status ctl_status(struct ctl *c)
{
	static const char *const columns[] = { "queued",   "oldest_queued", "accounts",
					       "messages", "segment_bytes", "events" };
	struct listing *l = listing_new(c, columns, ARRAY_LEN(columns));
	struct office_status_answer r;
	const struct fail *f = status(c, &r);

	if (f)
		return ctl_fail(c, f, "ask the running system");
	listing_u64(l, r.queued);
	listing_time(l, r.oldest_queued);
	listing_u64(l, r.accounts);
	listing_u64(l, r.messages);
	listing_size(l, r.segment_bytes);
	listing_u64(l, r.events);
	listing_print_one(l);
	return EXIT_OK;
}
