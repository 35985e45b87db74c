#include "mda/dmarc.h"

#include <unistd.h>

#include "base/arena.h"
#include "base/env.h"
#include "base/id.h"
#include "base/log.h"
#include "bus/relay_dns.h"
#include "report/aggregate_write.h"
#include "report/failure_write.h"
#include "verdict/dkim.h"
#include "verdict/dmarc.h"
#include "verdict/spf.h"

enum { PULL_PAUSE_MS = 1000 };

/* --- From the office's words to the report's ---------------------------------------------------------------------- */

static u8 dkim_result(u8 result)
{
	static const u8 map[] = {
		[DKIM_NONE] = AGGREGATE_RESULT_NONE,
		[DKIM_PASS] = AGGREGATE_RESULT_PASS,
		[DKIM_FAIL] = AGGREGATE_RESULT_FAIL,
		[DKIM_POLICY] = AGGREGATE_RESULT_POLICY,
		[DKIM_NEUTRAL] = AGGREGATE_RESULT_NEUTRAL,
		[DKIM_TEMPERROR] = AGGREGATE_RESULT_TEMPERROR,
		[DKIM_PERMERROR] = AGGREGATE_RESULT_PERMERROR,
	};

	return result < ARRAY_LEN(map) ? map[result] : AGGREGATE_RESULT_NONE;
}

static u8 spf_result(u8 result)
{
	static const u8 map[] = {
		[SPF_NONE] = AGGREGATE_RESULT_NONE,
		[SPF_NEUTRAL] = AGGREGATE_RESULT_NEUTRAL,
		[SPF_PASS] = AGGREGATE_RESULT_PASS,
		[SPF_FAIL] = AGGREGATE_RESULT_FAIL,
		[SPF_SOFTFAIL] = AGGREGATE_RESULT_SOFTFAIL,
		[SPF_TEMPERROR] = AGGREGATE_RESULT_TEMPERROR,
		[SPF_PERMERROR] = AGGREGATE_RESULT_PERMERROR,
	};

	return result < ARRAY_LEN(map) ? map[result] : AGGREGATE_RESULT_NONE;
}

static u8 policy_action(u8 policy)
{
	return policy == DMARC_POLICY_REJECT       ? AGGREGATE_POLICY_REJECT
	       : policy == DMARC_POLICY_QUARANTINE ? AGGREGATE_POLICY_QUARANTINE
						   : AGGREGATE_POLICY_NONE;
}

static str fo_text(struct arena *a, unsigned fo)
{
	static const char letters[] = "01ds"; /* in the order of enum dmarc_fo */
	struct buf *out = buf_new(a, 16);

	for (unsigned i = 0; letters[i]; i++)
		if (fo & 1U << i)
			buf_printf(out, "%s%c", out->n ? ":" : "", letters[i]);
	return buf_str(out);
}

static void take_record(struct arena *a, const struct dmarc_row *row, struct aggregate_record *out)
{
	struct aggregate_dkim *dkim = arena_array_of(a, row->signatures_n, struct aggregate_dkim);
	struct aggregate_spf *spf = arena_new_of(a, struct aggregate_spf);
	struct aggregate_reason *reason = arena_new_of(a, struct aggregate_reason);

	for (size_t i = 0; i < row->signatures_n; i++)
		dkim[i] =
		    (struct aggregate_dkim){ .domain = row->signatures[i].domain,
					     .selector = row->signatures[i].selector,
					     .result = dkim_result(row->signatures[i].result) };
	*spf = (struct aggregate_spf){ .domain = row->spf_domain,
				       .result = spf_result(row->spf_result) };
	*reason = (struct aggregate_reason){ .type = row->reason, .comment = row->comment };
	*out = (struct aggregate_record){ .source = row->source,
					  .count = row->count,
					  .disposition = row->disposition,
					  .dkim = row->dkim_aligned,
					  .spf = row->spf_aligned,
					  .reasons = reason,
					  .reasons_n = row->reason != AGGREGATE_OTHER,
					  .header_from = row->header_from,
					  .envelope_from = row->envelope_from,
					  .dkim_results = dkim,
					  .dkim_results_n = row->signatures_n,
					  .spf_results = spf,
					  .spf_results_n = row->has_spf };
}

static str domain_of(str address)
{
	return str_skip(address, str_find_last(address, '@') + 1);
}

static str org_of(const struct config *c)
{
	return c->dmarc_report_org.n > 0 ? c->dmarc_report_org : domain_of(c->dmarc_report_from);
}

static struct aggregate_report report_of(struct arena *a, const struct config *c,
					 const struct office_report_next_answer *r)
{
	struct aggregate_record *records = arena_array_of(a, r->rows_n, struct aggregate_record);
	const struct dmarc_published *p = &r->published;

	for (size_t i = 0; i < r->rows_n; i++)
		take_record(a, &r->rows[i], &records[i]);
	return (struct aggregate_report){ .org = org_of(c),
					  .email = c->dmarc_report_from,
					  .report_id = id_text(a, r->id),
					  .generator = S("Postern " POSTERN_VERSION),
					  .begin = r->begin * 1000,
					  .end = r->end * 1000,
					  .policy = { .domain = p->domain,
						      .discovery = AGGREGATE_TREEWALK,
						      .p = policy_action(p->p),
						      .sp = policy_action(p->sp),
						      .np = policy_action(p->np),
						      .strict_dkim = p->strict_dkim,
						      .strict_spf = p->strict_spf,
						      .fo = fo_text(a, p->fo),
						      .testing = p->testing,
						      .percent = 100 },
					  .records = records,
					  .records_n = r->rows_n };
}

/* --- Who gets it ---------------------------------------------------------------------------------------------------- */

/* A limit ("!10m", RFC 7489 6.2) counts against the payload: the compressed file, before the mail encodes it. */
static void take_recipients(struct arena *a, const struct destinations *d, size_t size,
			    struct office_report_commit_request *out)
{
	str *list = arena_array_of(a, DESTINATIONS, str);

	out->recipients = list;
	for (size_t i = 0; i < d->n; i++) {
		const struct report_uri *u = &d->list[i];
		if (u->limit == 0 || size <= u->limit)
			list[out->recipients_n++] = u->address;
		else
			buf_printf(d->why, "%s%.*s: takes %llu bytes, these are %zu",
				   d->why->n ? "; " : "", STR_ARG(u->address),
				   (unsigned long long)u->limit, size);
	}
	out->outcome = (u8)(out->recipients_n > 0 ? REPORT_OUTCOME_SEND : REPORT_OUTCOME_NONE);
	out->why = buf_str(d->why);
}

static str message_id(struct arena *a, const struct config *c, u64 id)
{
	return str_format(a, "<%.*s.dmarc@%.*s>", STR_ARG(id_text(a, id)),
			  STR_ARG(domain_of(c->dmarc_report_from)));
}

/* Later, or never; in the office's list it says why. */
static const struct fail *end_as(struct office_report_commit_request *out,
				 enum report_outcome outcome, str why)
{
	out->outcome = (u8)outcome;
	out->why = why;
	out->recipients_n = 0;
	return NULL;
}

static const struct fail *hand_over(struct arena *a, const struct dmarc_writer *w,
				    const struct permit *permit, str message,
				    struct office_report_commit_request *out)
{
	bool is_signed;

	if (message.n > w->config->dmarc_report_size)
		return end_as(out, REPORT_OUTCOME_NONE,
			      str_format(a, "%zu bytes are over dmarc.report_size", message.n));
	TRY(message_sign(a, w->sign, permit, message, &message, &is_signed));
	if (!is_signed)
		return end_as(out, REPORT_OUTCOME_LATER,
			      str_format(a, "there is no active DKIM key of %.*s",
					 STR_ARG(domain_of(w->config->dmarc_report_from))));
	return message_seal(a, message, &out->body);
}

/* --- The two kinds ---------------------------------------------------------------------------------------------------- */

static const struct fail *write_aggregate(struct arena *a, const struct dmarc_writer *w,
					  const struct office_report_next_answer *r,
					  const struct destinations *d,
					  struct office_report_commit_request *out)
{
	struct aggregate_report report = report_of(a, w->config, r);
	struct aggregate_mail mail = { .report = &report,
				       .submitter = domain_of(w->config->dmarc_report_from),
				       .message_id = message_id(a, w->config, r->id),
				       .now = w->now };
	struct buf *bytes;

	TRY(aggregate_pack(a, &report, &mail.packed));
	take_recipients(a, d, mail.packed.n, out);
	if (out->outcome != REPORT_OUTCOME_SEND)
		return NULL;
	mail.to = out->recipients;
	mail.to_n = out->recipients_n;
	if (r->dropped > 0)
		mail.note = str_format(a, "%llu more messages are not in it: they were too many.",
				       (unsigned long long)r->dropped);
	bytes = buf_new(a, mail.packed.n + DMARC_MAIL);
	TRY(aggregate_mail_write(a, &mail, bytes));
	return hand_over(a, w, &r->permit, buf_str(bytes), out);
}

static const struct fail *write_failure(struct arena *a, const struct dmarc_writer *w,
					const struct office_report_next_answer *r,
					const struct destinations *d,
					struct office_report_commit_request *out)
{
	const struct dmarc_failure *f = &r->failures[0];
	const struct dmarc_row *row = &r->rows[0];
	bool spf_failed = row->has_spf && row->spf_result != SPF_PASS;
	struct failure_mail mail = { .org = org_of(w->config),
				     .from = w->config->dmarc_report_from,
				     .message_id = message_id(a, w->config, r->id),
				     .now = w->now,
				     .arrival = f->time,
				     .domain = row->header_from,
				     .source = row->source,
				     .port = f->port,
				     .mail_from = f->mail_from,
				     .results = f->results,
				     .dkim_aligned = row->dkim_aligned,
				     .spf_aligned = row->spf_aligned,
				     .disposition = row->disposition,
				     .dkim_domain = f->dkim_domain,
				     .dkim_selector = f->dkim_selector,
				     .dkim_identity = f->dkim_identity,
				     .spf_domain = spf_failed ? row->spf_domain : STR_NONE,
				     .spf_record = spf_failed ? f->spf_record : STR_NONE,
				     .header = f->header };
	struct buf *bytes = buf_new(a, DMARC_MAIL);

	take_recipients(a, d, 0, out);
	if (out->outcome != REPORT_OUTCOME_SEND)
		return NULL;
	mail.to = out->recipients;
	mail.to_n = out->recipients_n;
	TRY(failure_mail_write(a, &mail, w->key, bytes));
	return hand_over(a, w, &r->permit, buf_str(bytes), out);
}

const struct fail *dmarc_report_write(struct arena *a, const struct dmarc_writer *w,
				      const struct office_report_next_answer *r,
				      struct office_report_commit_request *out)
{
	bool failure = r->failures_n > 0;
	const struct dmarc_published *p = &r->published;
	struct destinations d;

	*out = (struct office_report_commit_request){ .id = r->id,
						      .attempt = r->attempt,
						      .body = { .file = -1 } };
	if (w->config->dmarc_report_from.n == 0 || r->rows_n == 0)
		return end_as(out, REPORT_OUTCOME_LATER, S("dmarc.report_from is not set"));
	destinations_find(a, w->dns, p->domain, failure ? p->ruf : p->rua,
			  failure ? p->ruf_n : p->rua_n, failure, &d);
	if (d.undecided && r->attempt < DMARC_PATIENCE)
		return end_as(out, REPORT_OUTCOME_LATER, buf_str(d.why));
	return failure ? write_failure(a, w, r, &d, out) : write_aggregate(a, w, r, &d, out);
}

/* --- The thread --------------------------------------------------------------------------------------------------------- */

static const struct fail *write_one(struct arena *a, const struct dmarc_puller *p,
				    const u8 key[FAILURE_KEY],
				    const struct office_report_next_answer *r)
{
	struct relay_dns dns;
	struct dns_source source = relay_dns_source(&dns, p->relay, DMARC_DNS_MS);
	struct dmarc_writer w = { .sign = p->sign,
				  .dns = &source,
				  .config = p->config(p->context),
				  .key = key,
				  .now = env_now(env_system()) };
	struct office_report_commit_request q;
	struct office_report_commit_answer done;
	const struct fail *f = dmarc_report_write(a, &w, r, &q);

	if (f) {
		LOG(WARN, "mda.dmarc_report", LOG_ID("report", r->id), LOG_FAIL("why", f));
		end_as(&q, REPORT_OUTCOME_LATER, f->text);
	}
	return office_report_commit(a, p->office, &q, &done);
}

static const struct fail *pull_one(struct arena *a, const struct dmarc_puller *p,
				   const u8 key[FAILURE_KEY])
{
	struct office_report_next_request q = { 0 };
	struct office_report_next_answer r;

	TRY(office_report_next(a, p->office, &q, &r));
	return r.id ? write_one(a, p, key, &r) : NULL;
}

/* An attempt that ends badly is the office's to repeat, later; this thread goes on with the next. */
void dmarc_pull(const struct dmarc_puller *p)
{
	struct arena *a = arena_new(DMARC_REPORT_ARENA);
	u8 key[FAILURE_KEY]; /* hidden persons look the same until this process ends */

	env_system()->random(env_system()->context, key, sizeof key);
	while (!p->stopping(p->context)) {
		const struct fail *f = pull_one(a, p, key);
		if (f) {
			LOG(INFO, "mda.dmarc_pull", LOG_FAIL("why", f));
			usleep(PULL_PAUSE_MS * 1000);
		}
		arena_reset(a);
	}
	arena_free(&a);
}
