#include "report/feedback.h"

#include "report/clean.h"
#include "text/address.h"
#include "text/date.h"
#include "text/header.h"

static const char *const kinds[] = {
	[FEEDBACK_OTHER] = "other",       [FEEDBACK_ABUSE] = "abuse",
	[FEEDBACK_FRAUD] = "fraud",       [FEEDBACK_VIRUS] = "virus",
	[FEEDBACK_NOT_SPAM] = "not-spam", [FEEDBACK_AUTH_FAILURE] = "auth-failure",
};

const char *feedback_kind_name(enum feedback_kind k)
{
	return (unsigned)k < ARRAY_LEN(kinds) ? kinds[k] : "other";
}

static enum feedback_kind kind_of(str type)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (str_eq_nocase(type, str_cstr(kinds[i])))
			return (enum feedback_kind)i;
	}
	return FEEDBACK_OTHER;
}

/* --- Fields -------------------------------------------------------------------------------------------------- */

static str value_of(struct arena *a, const struct header_field *f)
{
	return clean_text(a, header_unfold(a, f->value));
}

static str field(struct arena *a, str fields, str name)
{
	struct header_field f;

	return header_find(fields, name, 0, &f) ? value_of(a, &f) : STR_NONE;
}

static size_t field_list(struct arena *a, str fields, str name, const str **out)
{
	str *list = arena_array_of(a, FEEDBACK_LIST, str);
	struct header_field f;
	size_t n = 0;

	while (header_next(&fields, &f)) {
		if (n < FEEDBACK_LIST && str_eq_nocase(f.name, name))
			list[n++] = value_of(a, &f);
	}
	*out = list;
	return n;
}

static str without_brackets(str s)
{
	return s.n >= 2 && s.p[0] == '<' && s.p[s.n - 1] == '>' ? str_slice(s, 1, s.n - 1) : s;
}

/* "dns; mail.example.net" */
static str after_type(str s)
{
	size_t at = str_find(s, ';');

	return at == SIZE_MAX ? s : str_trim(str_skip(s, at + 1));
}

/* RFC 5965 3.2: Arrival-Date; older reporters write Received-Date. */
static u64 arrival_of(struct arena *a, str fields)
{
	str text = field(a, fields, S("Arrival-Date"));
	i64 ms;

	if (text.n == 0)
		text = field(a, fields, S("Received-Date"));
	return date_parse(text, &ms, NULL) && ms > 0 ? (u64)ms : 0;
}

static u64 incidents_of(struct arena *a, str fields)
{
	u64 n;

	return str_u64(field(a, fields, S("Incidents")), &n) && n && n <= FEEDBACK_INCIDENTS ? n
											     : 1;
}

/* --- The message it is about --------------------------------------------------------------------------------- */

static void read_original(struct arena *a, str original, struct feedback_report *out)
{
	str header = str_slice(original, 0, header_length(original));
	struct address_list from;
	struct header_field f;

	if (header_find(header, S("From"), 0, &f)) {
		address_list_parse(a, f.value, 1, &from);
		if (from.n)
			out->header_from = clean_domain(a, from.entries[0].host);
	}
	if (header_find(header, S("Subject"), 0, &f))
		out->subject = clean_text(a, header_text(a, f.value));
	out->message_id = without_brackets(field(a, header, S("Message-ID")));
}

static void read_lists(struct arena *a, str fields, struct feedback_report *out)
{
	str *list;

	out->original_to_n = field_list(a, fields, S("Original-Rcpt-To"), &out->original_to);
	out->auth_results_n =
	    field_list(a, fields, S("Authentication-Results"), &out->auth_results);
	out->domains_n = field_list(a, fields, S("Reported-Domain"), &out->domains);
	list = arena_array_of(a, out->original_to_n, str);
	for (size_t i = 0; i < out->original_to_n; i++)
		list[i] = without_brackets(out->original_to[i]);
	out->original_to = list;
	list = arena_array_of(a, out->domains_n, str);
	for (size_t i = 0; i < out->domains_n; i++)
		list[i] = clean_domain(a, out->domains[i]);
	out->domains = list;
}

const struct fail *feedback_read(struct arena *a, str fields, str original,
				 struct feedback_report *out)
{
	*out = (struct feedback_report){ 0 };
	if (fields.n > FEEDBACK_BYTES)
		return fail_new(a, FAIL_TOO_LARGE, "a feedback report too long");
	out->type = field(a, fields, S("Feedback-Type"));
	if (out->type.n == 0)
		return fail_new(a, FAIL_SYNTAX, "a feedback report without a Feedback-Type");
	out->kind = (u8)kind_of(out->type);
	out->user_agent = field(a, fields, S("User-Agent"));
	out->original_from = without_brackets(field(a, fields, S("Original-Mail-From")));
	out->envelope_id = field(a, fields, S("Original-Envelope-Id"));
	out->arrival = arrival_of(a, fields);
	out->source = clean_ip(a, field(a, fields, S("Source-IP")));
	out->reporting_mta = after_type(field(a, fields, S("Reporting-MTA")));
	out->incidents = incidents_of(a, fields);
	out->auth_failure = field(a, fields, S("Auth-Failure"));
	out->alignment = field(a, fields, S("Identity-Alignment"));
	out->dkim_domain = clean_domain(a, field(a, fields, S("DKIM-Domain")));
	out->dkim_selector = clean_domain(a, field(a, fields, S("DKIM-Selector")));
	out->delivery = field(a, fields, S("Delivery-Result"));
	read_lists(a, fields, out);
	read_original(a, original, out);
	return arena_check(a);
}
