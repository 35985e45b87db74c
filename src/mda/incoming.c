/*
 * Reports of others (DMARC, TLS, complaints) in mail to the addresses of reports.addresses: read here, in memory, in the jail, and
 * handed to the office together with the delivery. A mail that is no report, or none that can be read, is delivered as any other.
 */
#include "mda/mda.h"

#include "base/arena.h"
#include "base/fd.h"
#include "report/aggregate_read.h"
#include "report/incoming.h"
#include "text/address.h"
#include "text/header.h"
#include "verdict/authres.h"

/* --- Whether to look ----------------------------------------------------------------------------------------- */

static bool is_report_address(const struct config *c, str address)
{
	size_t at = str_find_last(address, '@');
	str local = str_slice(address, 0, at), user = local, tag;

	if (at == SIZE_MAX)
		return false;
	if (c->mail_subaddress.n && !str_starts(local, S("\"")))
		address_split_tag(local, c->mail_subaddress.p[0], &user, &tag);
	for (size_t i = 0; i < c->reports_addresses.n; i++) {
		str one = c->reports_addresses.items[i];
		if (str_eq_nocase(one, str_has(one, '@') ? address : user))
			return true;
	}
	return false;
}

bool mda_may_be_report(const struct config *c, const struct job *job)
{
	if (job->kind != JOB_DELIVER || job->size > INCOMING_BYTES || job->entries_n == 0)
		return false;
	return is_report_address(c, job->entries[0].original) ||
	       is_report_address(c, job->entries[0].address);
}

/* --- Who sent it --------------------------------------------------------------------------------------------- */

static str sender_of(struct arena *a, const struct skeleton *s)
{
	str domain;

	if (s->envelope.from_n == 0 ||
	    domain_to_ascii(a, s->envelope.from[0].host, &domain) != NULL)
		return STR_NONE;
	return domain;
}

/* The topmost field is ours when its name is: on entry edge takes out what strangers wrote in our name (THREATS H12). */
u8 mda_report_proof(struct arena *a, str message, str hostname)
{
	str header = str_slice(message, 0, header_length(message));
	struct header_field f;
	struct authres results;

	if (!header_find(header, S("Authentication-Results"), 0, &f))
		return INCOMING_UNPROVEN;
	authres_parse(a, f.value, &results);
	if (results.broken || !str_eq_nocase(results.id, hostname))
		return INCOMING_UNPROVEN;
	for (size_t i = 0; i < results.results_n; i++) {
		if (!str_eq_nocase(results.results[i].method, S("dmarc")))
			continue;
		if (str_eq_nocase(results.results[i].result, S("pass")))
			return INCOMING_PROVEN;
		return str_eq_nocase(results.results[i].result, S("fail")) ? INCOMING_FORGED
									   : INCOMING_UNPROVEN;
	}
	return INCOMING_UNPROVEN;
}

/* --- One mail ------------------------------------------------------------------------------------------------ */

static const struct fail *read_mail(struct arena *a, struct bus *office, const struct config *c,
				    const struct job *job, struct incoming_report *out)
{
	struct office_job_message_request ask = { .job = job->id };
	struct office_job_message_answer mail;
	struct skeleton s;
	str message, encoded, both;

	TRY(office_job_message(a, office, &ask, &mail));
	TRY(fd_map(a, mail.body, mail.size + mail.skeleton, &both));
	message = str_slice(both, 0, mail.size);
	encoded = str_skip(both, mail.size);
	TRY(skeleton_decode(a, encoded, &s));
	TRY(incoming_read(a, message, &s, out));
	if (out->kind == INCOMING_AGGREGATE)
		aggregate_fold(a, &out->aggregate, MDA_REPORT_ROWS);
	out->sender = sender_of(a, &s);
	out->proof = mda_report_proof(a, message, c->server_hostname);
	return NULL;
}

const struct fail *mda_incoming(struct arena *a, struct bus *office, const struct config *c,
				const struct job *job, bool *taken)
{
	struct office_received_add_request q = { .delivery = mda_decide(job) };
	struct office_received_add_answer r;
	const struct fail *f = read_mail(a, office, c, job, &q.report);

	*taken = false;
	if (f && (mda_office_is_away(f) || f->what == FAIL_DENIED))
		return f;
	if (f) {
		q.report = (struct incoming_report){ .kind = INCOMING_NOTHING };
		q.bad = f->text.n ? f->text : S("it cannot be read");
	}
	if (f == NULL && q.report.kind == INCOMING_NOTHING)
		return NULL;
	*taken = true;
	return office_received_add(a, office, &q, &r);
}
