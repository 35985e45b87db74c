/* Commands: the table, the rules it states, and long commands. */
#include "edge/imap/imap_int.h"

enum { YES = true, NO = false };

static const struct imap_command commands[] = {
#define COMMAND(name, handler, states, expunge, uid, rfc) \
	{ name, imap_##handler, states, expunge, uid },
#include "edge/imap/imap.tbl"
#undef COMMAND
};

static const struct imap_command *find(struct scan *s)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (imap_scan_word(s, str_cstr(commands[i].name)))
			return &commands[i];
	return NULL;
}

struct imap_reply imap_run(struct imap *i, str command)
{
	struct scan s = scan_of(command);
	str tag;

	i->tag_n = 0;
	i->command = NULL;
	if (!imap_scan_tag(&s, &tag) || !scan_sp(&s))
		return BAD_REPLY("a command is: tag SP name");
	for (size_t k = 0; k < tag.n; k++)
		i->tag[k] = tag.p[k];
	i->tag_n = tag.n;
	i->command = find(&s);
	if (!i->command)
		return BAD_REPLY("unknown command");
	if (!(i->command->states & i->state))
		return BAD_REPLY("not in this state");
	return i->command->run(i, &s);
}

/* --- Long commands -------------------------------------------------------------------------------------------- */

void imap_job_end(struct imap *i)
{
	struct arena *a;

	if (!i->job)
		return;
	a = i->job->arena;
	i->job = NULL;
	arena_free(&a);
}

struct imap_reply imap_job_go_on(struct imap *i)
{
	struct imap_reply r = i->job->step(i, i->job);

	if (r.status == IMAP_LATER) {
		i->stage = STAGE_JOB;
		session_continue(i->session);
		return r;
	}
	r.code = str_copy(imap_arena(i), r.code);
	r.text = str_copy(imap_arena(i), r.text);
	imap_job_end(i);
	return r;
}

struct imap_reply imap_job_run(struct imap *i, struct imap_job *job)
{
	i->job = job;
	return imap_job_go_on(i);
}
