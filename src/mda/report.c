/*
 * Reports to senders: what the office says is due becomes an RFC 3464 message (text/dsn.h does the form).
 * What is returned: the header, or all of it when the sender asked for it (RET=FULL, RFC 3461 4.3) and it is not long.
 */
#include "mda/mda.h"
#include "mda/message.h"

#include <unistd.h>

#include "base/arena.h"
#include "base/chars.h"
#include "base/env.h"
#include "base/fd.h"
#include "base/id.h"
#include "base/log.h"
#include "text/date.h"
#include "text/dsn.h"
#include "text/smtp_reply.h"

/* --- What happened, per recipient --------------------------------------------------------------------------- */

/* The class of the status says it: 2 for good news, which another server's silence on DSN makes "relayed". */
static enum dsn_action action_of(const struct job *job, const struct job_entry *e)
{
	if (job->kind == JOB_DSN_DELAY)
		return DSN_DELAYED;
	if (e->code.n && e->code.p[0] == '2')
		return e->remote_mta.n ? DSN_RELAYED : DSN_DELIVERED;
	return DSN_FAILED;
}

static struct dsn_recipient recipient_of(const struct job *job, const struct job_entry *e)
{
	struct dsn_recipient r = { .final = e->address,
				   .action = action_of(job, e),
				   .status = e->code,
				   .remote_mta = smtp_reply_is(e->text) ? e->remote_mta : STR_NONE,
				   .diagnostic = e->text,
				   .last_attempt = (i64)e->last_attempt };
	size_t type_end = str_find(e->orcpt, ';');

	if (type_end != SIZE_MAX) { /* RFC 3461 4.2: addr-type ";" address */
		r.original_type = str_slice(e->orcpt, 0, type_end);
		r.original = str_skip(e->orcpt, type_end + 1);
	}
	if (job->kind == JOB_DSN_DELAY)
		r.will_retry_until = (i64)job->expires;
	return r;
}

/* --- The text for people ------------------------------------------------------------------------------------- */

static const struct wording {
	const char *subject, *opening;
} wordings[] = {
	[DSN_FAILED] = { "Your message could not be delivered",
			 "Your message could not be delivered to the people below. It will not be "
			 "tried again." },
	[DSN_DELAYED] = { "Your message is delayed",
			  "Your message could not be delivered to the people below yet. You need "
			  "not send it again: we keep trying." },
	[DSN_DELIVERED] = { "Your message was delivered",
			    "Your message was delivered to the people below, as you asked to be "
			    "told." },
	[DSN_RELAYED] = { "Your message was passed on",
			  "Your message was passed on for the people below to a server that does "
			  "not report deliveries." },
	[DSN_EXPANDED] = { "Your message was passed on", "Your message was passed on." },
};

/* Bad news decides the wording of a report that tells several things. */
static enum dsn_action headline(const struct dsn_recipient *recipients, size_t n)
{
	enum dsn_action action = recipients[0].action;

	for (size_t i = 0; i < n; i++) {
		if (recipients[i].action == DSN_FAILED)
			action = DSN_FAILED;
	}
	return action;
}

/* What people read, an entry of it at most, and what a peer said in it. */
enum { PEOPLE_TEXT = 512 * 1024, PEOPLE_ENTRY = 8 * 1024, PEOPLE_SAID = 4 * 1024 };

/* What a peer said stays on its line. */
static void add_line(struct buf *out, str text)
{
	for (size_t i = 0; i < text.n; i++)
		buf_add_byte(out, char_is(text.p[i], CHAR_CTL) ? ' ' : text.p[i]);
}

/* A host's reply stands below its name; what we met on the way to it beside it. */
static void add_said(struct buf *out, const struct job_entry *e)
{
	if (e->text.n == 0)
		return;
	buf_add(out, S("    "));
	if (e->remote_mta.n) {
		add_line(out, e->remote_mta);
		buf_add(out, smtp_reply_is(e->text) ? S(" said:\n    ") : S(": "));
	}
	add_line(out, str_slice(e->text, 0, PEOPLE_SAID));
	buf_add(out, S("\n"));
}

static str people_text(struct arena *a, const struct config *c, const struct job *job,
		       enum dsn_action action)
{
	struct buf *out = buf_new(a, PEOPLE_TEXT);
	str since = date_print(a, (i64)job->arrived, 0);

	buf_printf(out, "This is the mail system of %.*s.\n\n%s\n\n", STR_ARG(c->server_hostname),
		   wordings[action].opening);
	for (size_t i = 0; i < job->entries_n; i++) {
		const struct job_entry *e = &job->entries[i];
		if (out->n > PEOPLE_TEXT - PEOPLE_ENTRY) {
			buf_printf(out, "... and %zu more.\n", job->entries_n - i);
			break;
		}
		buf_printf(out, "<%.*s>\n", STR_ARG(e->original.n ? e->original : e->address));
		add_said(out, e);
		if (action_of(job, e) == DSN_FAILED && e->code.n && e->code.p[0] == '4')
			buf_printf(out, "    tried since %.*s, then given up\n", STR_ARG(since));
	}
	return buf_str(out);
}

/* --- The message --------------------------------------------------------------------------------------------- */

static struct dsn dsn_of(struct arena *a, const struct config *c, const struct job *job, u64 now)
{
	size_t n = job->entries_n < DSN_RECIPIENTS ? job->entries_n : DSN_RECIPIENTS;
	struct dsn_recipient *recipients = arena_array_of(a, n, struct dsn_recipient);
	struct dsn d = { .from_name = S("Mail Delivery System"),
			 .to = job->sender,
			 .date = (i64)now,
			 .language = S("en"),
			 .reporting_mta = c->server_hostname,
			 .envelope_id = job->envid,
			 .arrival = (i64)job->arrived,
			 .recipients = recipients,
			 .recipients_n = n,
			 .return_full = job->ret == DSN_RET_FULL && job->size <= MDA_RETURN_BYTES,
			 .utf8 = job->smtputf8 };
	enum dsn_action action;

	for (size_t i = 0; i < n; i++)
		recipients[i] = recipient_of(job, &job->entries[i]);
	action = headline(recipients, n);
	d.from = str_format(a, "MAILER-DAEMON@%.*s", STR_ARG(c->server_hostname));
	d.message_id = str_format(a, "<%.*s.%.*s@%.*s>", STR_ARG(id_text(a, job->id)),
				  STR_ARG(id_text(a, now)), STR_ARG(c->server_hostname));
	d.subject = str_cstr(wordings[action].subject);
	d.text = people_text(a, c, job, action);
	return d;
}

const struct fail *mda_report_render(struct arena *a, const struct config *c, const struct job *job,
				     str original, u64 now, str *out)
{
	struct dsn d = dsn_of(a, c, job, now);
	struct buf *bytes = buf_new(a, 4 * MDA_RETURN_BYTES);

	d.original = original;
	TRY(dsn_print(a, &d, bytes));
	if (bytes->full && d.return_full) {
		d.return_full = false;
		buf_reset(bytes);
		TRY(dsn_print(a, &d, bytes));
	}
	if (bytes->full)
		return fail_new(a, FAIL_TOO_LARGE, "the report became too long");
	*out = buf_str(bytes);
	return NULL;
}

/* An unsigned report serves its reader better than none. */
static str report_sign(struct arena *a, struct bus *sign, const struct job *job, str message)
{
	bool is_signed;
	str out;
	const struct fail *f = message_sign(a, sign, &job->permit, message, &out, &is_signed);

	if (f)
		LOG(WARN, "mda.report_unsigned", LOG_ID("message", job->message),
		    LOG_FAIL("why", f));
	return out;
}

static const struct fail *body_render(struct arena *a, const struct mda_servers *to,
				      const struct config *c, const struct job *job,
				      struct office_dsn_commit_request *q)
{
	struct office_job_message_request ask = { .job = job->id };
	struct office_job_message_answer original;
	str message, bytes;

	TRY(office_job_message(a, to->office, &ask, &original));
	TRY(fd_map(a, original.body, original.size, &message));
	TRY(mda_report_render(a, c, job, message, env_now(env_system()), &bytes));
	return message_seal(a, report_sign(a, to->sign, job, bytes), &q->body);
}

static const struct fail *report_once(struct arena *a, const struct mda_servers *to,
				      const struct config *c, const struct job *job)
{
	struct office_dsn_commit_request q = { .job = job->id, .body = { .file = -1 } };
	struct office_dsn_commit_answer r;

	TRY(body_render(a, to, c, job, &q));
	return office_dsn_commit(a, to->office, &q, &r);
}

static bool is_worth_another_try(const struct fail *f)
{
	return f->kind == FAIL_TEMP && f->what != FAIL_CORRUPT && f->what != FAIL_UNAVAILABLE;
}

bool mda_office_is_away(const struct fail *f)
{
	return f && (f->what == FAIL_UNAVAILABLE || f->what == FAIL_TIMEOUT);
}

const struct fail *mda_report(struct arena *a, const struct mda_servers *to, const struct config *c,
			      const struct job *job)
{
	struct office_dsn_commit_request none = { .job = job->id, .body = { .file = -1 } };
	struct office_dsn_commit_answer r;
	const struct fail *f = report_once(a, to, c, job);

	for (int i = 1; i < MDA_TRIES && f && is_worth_another_try(f); i++) {
		usleep(MDA_PAUSE_MS * 1000);
		f = report_once(a, to, c, job);
	}
	if (f == NULL || mda_office_is_away(f) || f->what == FAIL_DENIED)
		return f; /* done, or no longer ours: the office has it, or will have it again */
	LOG(WARN, "mda.no_report", LOG_ID("message", job->message), LOG_FAIL("why", f));
	return office_dsn_commit(a, to->office, &none, &r);
}
