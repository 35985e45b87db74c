#include "report/aggregate_read.h"

#include <expat.h>
#include <stdlib.h>

#include "base/check.h"
#include "report/clean.h"

enum { CHUNK = 32 * 1024, FIELD = AGGREGATE_TEXT * 2, MAX_SECONDS = 253402300 };

enum element {
	ELEMENT_NOTHING,
#define ELEMENT(NAME, parent, name) ELEMENT_##NAME,
#include "report/aggregate_element.tbl"
#undef ELEMENT
	ELEMENTS
};

static const struct row {
	enum element parent;
	const char *name;
} rows[] = {
	[ELEMENT_NOTHING] = { ELEMENTS, "" },
#define ELEMENT(NAME, parent, name) [ELEMENT_##NAME] = { ELEMENT_##parent, name },
#include "report/aggregate_element.tbl"
#undef ELEMENT
};

struct reader {
	struct arena *a;
	XML_Parser xml;
	struct aggregate_report *report;
	const struct fail *f; /* the first thing that was wrong; parsing stops */
	enum element at;
	size_t depth, skipped; /* elements open; of them those that are passed over */
	size_t strange;
	bool progress;    /* something ended since the last chunk */
	str name_space;   /* of the root element */
	struct buf *text; /* of the element that is open */
	bool has_policy, has_begin, has_end;

	struct aggregate_record *records;
	size_t records_room;
	struct aggregate_record record; /* the one that is open, and its lists */
	bool has_count;
	u64 messages; /* of all records */
	struct aggregate_reason reasons[AGGREGATE_REASONS], reason;
	struct aggregate_dkim dkim[AGGREGATE_SIGNATURES], dkim_one;
	struct aggregate_spf spf[AGGREGATE_SPF_RESULTS], spf_one;
	str errors[AGGREGATE_ERRORS];
};

static void stop(struct reader *r, const struct fail *f)
{
	if (r->f == NULL)
		r->f = f;
	XML_StopParser(r->xml, XML_FALSE);
}

static void stop_saying(struct reader *r, enum fail_what what, const char *text)
{
	stop(r, fail_new(r->a, what, "%s", text));
}

/* --- Words --------------------------------------------------------------------------------------------------- */

static u8 word_of(str word, const char *(*name)(unsigned), unsigned n, u8 otherwise)
{
	for (unsigned i = 0; i < n; i++) {
		if (str_eq_nocase(word, str_cstr(name(i))))
			return (u8)i;
	}
	return otherwise;
}

static const char *disposition(unsigned i)
{
	return aggregate_disposition_name(i);
}

static const char *policy(unsigned i)
{
	return aggregate_policy_name(i);
}

static const char * override(unsigned i)
{
	return aggregate_override_name(i);
}

static const char *result(unsigned i)
{
	return aggregate_result_name(i);
}

/* RFC 7489 C knows "hardfail", "unknown" and "error" as what others say for these. */
static u8 result_of(str word)
{
	if (str_eq_nocase(word, S("hardfail")))
		return AGGREGATE_RESULT_FAIL;
	if (str_eq_nocase(word, S("unknown")))
		return AGGREGATE_RESULT_TEMPERROR;
	if (str_eq_nocase(word, S("error")))
		return AGGREGATE_RESULT_PERMERROR;
	return word_of(word, result, AGGREGATE_RESULT_PERMERROR + 1, AGGREGATE_RESULT_NONE);
}

static u8 policy_of(str word)
{
	return word_of(word, policy, AGGREGATE_POLICY_REJECT + 1, AGGREGATE_POLICY_UNSAID);
}

static bool is_pass(str word)
{
	return str_eq_nocase(word, S("pass"));
}

/* Some write milliseconds' fractions; whole seconds count. */
static bool take_seconds(str text, u64 *ms)
{
	size_t dot = str_find(text, '.');
	u64 seconds;

	if (dot != SIZE_MAX)
		text = str_slice(text, 0, dot);
	if (!str_u64(text, &seconds) || seconds / 1000 > MAX_SECONDS)
		return false;
	*ms = seconds * 1000;
	return true;
}

/* --- What an element says ------------------------------------------------------------------------------------ */

static void take_metadata(struct reader *r, str text)
{
	struct aggregate_report *out = r->report;
	str line = clean_text(r->a, text);

	switch ((unsigned)r->at) {
	case ELEMENT_ORG:
		out->org = line;
		break;
	case ELEMENT_EMAIL:
		out->email = line;
		break;
	case ELEMENT_CONTACT:
		out->contact = line;
		break;
	case ELEMENT_REPORT_ID:
		out->report_id = line;
		break;
	case ELEMENT_GENERATOR:
		out->generator = line;
		break;
	case ELEMENT_ERROR:
		if (line.n && out->errors_n < AGGREGATE_ERRORS)
			r->errors[out->errors_n++] = line;
		break;
	case ELEMENT_BEGIN:
		r->has_begin = take_seconds(line, &out->begin);
		break;
	case ELEMENT_END:
		r->has_end = take_seconds(line, &out->end);
		break;
	}
}

static void take_policy(struct reader *r, str text)
{
	struct aggregate_policy *p = &r->report->policy;
	u64 number;

	switch ((unsigned)r->at) {
	case ELEMENT_POLICY_DOMAIN:
		p->domain = clean_domain(r->a, text);
		break;
	case ELEMENT_DISCOVERY:
		p->discovery = str_eq_nocase(text, S("treewalk")) ? AGGREGATE_TREEWALK
			       : str_eq_nocase(text, S("psl"))    ? AGGREGATE_PSL
								  : AGGREGATE_UNSAID;
		break;
	case ELEMENT_P:
		p->p = policy_of(text);
		break;
	case ELEMENT_SP:
		p->sp = policy_of(text);
		break;
	case ELEMENT_NP:
		p->np = policy_of(text);
		break;
	case ELEMENT_ADKIM:
		p->strict_dkim = str_eq_nocase(text, S("s"));
		break;
	case ELEMENT_ASPF:
		p->strict_spf = str_eq_nocase(text, S("s"));
		break;
	case ELEMENT_FO:
		p->fo = clean_text(r->a, text);
		break;
	case ELEMENT_TESTING:
		p->testing = str_eq_nocase(text, S("y"));
		break;
	case ELEMENT_PCT:
		if (str_u64(text, &number) && number <= 100)
			p->percent = (u32)number;
		break;
	}
}

static void take_row(struct reader *r, str text)
{
	struct aggregate_record *out = &r->record;

	switch ((unsigned)r->at) {
	case ELEMENT_SOURCE_IP:
		out->source = clean_ip(r->a, text);
		break;
	case ELEMENT_COUNT:
		r->has_count = str_u64(text, &out->count) && out->count <= AGGREGATE_COUNT;
		break;
	case ELEMENT_DISPOSITION:
		out->disposition = word_of(text, disposition, AGGREGATE_REJECT + 1, AGGREGATE_NONE);
		break;
	case ELEMENT_EVALUATED_DKIM:
		out->dkim = is_pass(text);
		break;
	case ELEMENT_EVALUATED_SPF:
		out->spf = is_pass(text);
		break;
	case ELEMENT_REASON_TYPE:
		r->reason.type =
		    word_of(text, override, AGGREGATE_SAMPLED_OUT + 1, AGGREGATE_OTHER);
		break;
	case ELEMENT_REASON_COMMENT:
		r->reason.comment = clean_text(r->a, text);
		break;
	case ELEMENT_HEADER_FROM:
	case ELEMENT_OLD_HEADER_FROM:
		out->header_from = clean_domain(r->a, text);
		break;
	case ELEMENT_ENVELOPE_FROM:
	case ELEMENT_OLD_ENVELOPE_FROM:
		out->envelope_from = clean_domain(r->a, text);
		break;
	case ELEMENT_ENVELOPE_TO:
		out->envelope_to = clean_domain(r->a, text);
		break;
	}
}

static void take_result(struct reader *r, str text)
{
	switch ((unsigned)r->at) {
	case ELEMENT_DKIM_DOMAIN:
		r->dkim_one.domain = clean_domain(r->a, text);
		break;
	case ELEMENT_DKIM_SELECTOR:
		r->dkim_one.selector = clean_domain(r->a, text);
		break;
	case ELEMENT_DKIM_RESULT:
		r->dkim_one.result = result_of(text);
		break;
	case ELEMENT_DKIM_HUMAN:
		r->dkim_one.human_result = clean_text(r->a, text);
		break;
	case ELEMENT_SPF_DOMAIN:
		r->spf_one.domain = clean_domain(r->a, text);
		break;
	case ELEMENT_SPF_SCOPE:
		r->spf_one.helo = str_eq_nocase(text, S("helo"));
		break;
	case ELEMENT_SPF_RESULT:
		r->spf_one.result = result_of(text);
		break;
	case ELEMENT_SPF_HUMAN:
		r->spf_one.human_result = clean_text(r->a, text);
		break;
	}
}

/* --- Groups that end ----------------------------------------------------------------------------------------- */

static void *copy_list(struct arena *a, const void *list, size_t n, size_t size)
{
	return (void *)(uintptr_t)str_copy(a, str_from(list, n * size)).p;
}

static struct aggregate_record *record_room(struct reader *r)
{
	struct aggregate_report *out = r->report;

	if (out->records_n == r->records_room) {
		size_t room = r->records_room ? r->records_room * 2 : 16;
		struct aggregate_record *grown =
		    arena_array_of(r->a, room, struct aggregate_record);
		for (size_t i = 0; i < out->records_n; i++)
			grown[i] = r->records[i];
		r->records = grown;
		r->records_room = room;
		out->records = grown;
	}
	return &r->records[out->records_n++];
}

static void record_end(struct reader *r)
{
	struct aggregate_record *one = &r->record;

	if (!r->has_count) {
		stop_saying(r, FAIL_SYNTAX, "a row without a number of messages");
		return;
	}
	r->messages += one->count;
	if (r->report->records_n == AGGREGATE_RECORDS || r->messages > aggregate_messages_most) {
		stop_saying(r, FAIL_TOO_LARGE, "too many rows, or too many messages in them");
		return;
	}
	one->reasons = copy_list(r->a, r->reasons, one->reasons_n, sizeof(struct aggregate_reason));
	one->dkim_results =
	    copy_list(r->a, r->dkim, one->dkim_results_n, sizeof(struct aggregate_dkim));
	one->spf_results =
	    copy_list(r->a, r->spf, one->spf_results_n, sizeof(struct aggregate_spf));
	*record_room(r) = *one;
	r->record = (struct aggregate_record){ 0 };
	r->has_count = false;
}

static void group_end(struct reader *r)
{
	switch ((unsigned)r->at) {
	case ELEMENT_POLICY:
		r->has_policy = true;
		break;
	case ELEMENT_RECORD:
		record_end(r);
		break;
	case ELEMENT_REASON:
		if (r->record.reasons_n < AGGREGATE_REASONS)
			r->reasons[r->record.reasons_n++] = r->reason;
		r->reason = (struct aggregate_reason){ 0 };
		break;
	case ELEMENT_DKIM:
		if (r->record.dkim_results_n < AGGREGATE_SIGNATURES)
			r->dkim[r->record.dkim_results_n++] = r->dkim_one;
		r->dkim_one = (struct aggregate_dkim){ 0 };
		break;
	case ELEMENT_SPF:
		if (r->record.spf_results_n < AGGREGATE_SPF_RESULTS)
			r->spf[r->record.spf_results_n++] = r->spf_one;
		r->spf_one = (struct aggregate_spf){ 0 };
		break;
	}
}

/* --- What expat tells ---------------------------------------------------------------------------------------- */

/* "namespace\nname", or the name alone. An element of another namespace than the root's is somebody's extension. */
static bool is_ours(struct reader *r, str *name)
{
	size_t end = str_find(*name, '\n');
	str name_space = end == SIZE_MAX ? STR_NONE : str_slice(*name, 0, end);

	if (end != SIZE_MAX)
		*name = str_skip(*name, end + 1);
	if (r->depth == 0)
		r->name_space = str_copy(r->a, name_space);
	return name_space.n == 0 || str_eq(name_space, r->name_space);
}

static enum element child_of(enum element parent, str name)
{
	for (unsigned i = 1; i < ELEMENTS; i++) {
		if (rows[i].parent == parent && str_eq(name, str_cstr(rows[i].name)))
			return (enum element)i;
	}
	return ELEMENT_NOTHING;
}

static void on_start(void *context, const XML_Char *text, const XML_Char **attributes)
{
	struct reader *r = context;
	str name = str_cstr(text);
	bool ours = is_ours(r, &name);
	enum element child = ELEMENT_NOTHING;

	r->progress = true;
	for (size_t i = 0; attributes[i]; i += 2)
		r->strange++;
	if (r->strange > AGGREGATE_STRANGE) {
		stop_saying(r, FAIL_TOO_LARGE, "too many elements that no report has");
		return;
	}
	if (r->skipped == 0 && ours)
		child = child_of(r->at, name);
	if (r->depth == 0 && child != ELEMENT_FEEDBACK) {
		stop_saying(r, FAIL_SYNTAX, "not a DMARC report: its first element is another");
		return;
	}
	if (++r->depth > AGGREGATE_DEPTH) {
		stop_saying(r, FAIL_TOO_LARGE, "elements too deep inside each other");
		return;
	}
	if (child == ELEMENT_NOTHING) {
		r->skipped++;
		r->strange++;
		return;
	}
	r->at = child;
	buf_reset(r->text);
}

static void on_text(void *context, const XML_Char *text, int n)
{
	struct reader *r = context;
	size_t room = r->text->max - r->text->n, size = n > 0 ? (size_t)n : 0;

	r->progress = true;
	if (r->skipped == 0)
		buf_add(r->text, str_from(text, size < room ? size : room));
}

static void on_end(void *context, const XML_Char *name)
{
	struct reader *r = context;
	str text;

	(void)name;
	r->progress = true;
	r->depth--;
	if (r->skipped) {
		r->skipped--;
		return;
	}
	text = str_trim(buf_str(r->text));
	take_metadata(r, text);
	take_policy(r, text);
	take_row(r, text);
	take_result(r, text);
	group_end(r);
	buf_reset(r->text);
	r->at = rows[r->at].parent;
	if (arena_check(r->a))
		stop_saying(r, FAIL_TOO_LARGE, "it needs too much memory");
}

static void on_doctype(void *context, const XML_Char *name, const XML_Char *system,
		       const XML_Char *public, int internal)
{
	(void)name, (void)system, (void)public, (void)internal;
	stop_saying(context, FAIL_SYNTAX, "a document type is not allowed in a report");
}

/* windows-125x are met in the wild. What differs from Latin-1 is of no interest here. */
static int on_encoding(void *context, const XML_Char *name, XML_Encoding *out)
{
	(void)context;
	if (!str_starts_nocase(str_cstr(name), S("windows-125")))
		return XML_STATUS_ERROR;
	*out = (XML_Encoding){ .data = NULL };
	for (int i = 0; i < 256; i++)
		out->map[i] = i >= 0x80 && i < 0xA0 ? 0xFFFD : i;
	return XML_STATUS_OK;
}

/* --- All of it ----------------------------------------------------------------------------------------------- */

static void release(void *xml)
{
	XML_ParserFree(xml); /* library's */
}

static void reader_begin(struct reader *r)
{
	r->xml = XML_ParserCreateNS(NULL, '\n');
	CHECK(r->xml != NULL);
	arena_own(r->a, release, r->xml);
	XML_SetUserData(r->xml, r);
	XML_SetElementHandler(r->xml, on_start, on_end);
	XML_SetCharacterDataHandler(r->xml, on_text);
	XML_SetStartDoctypeDeclHandler(r->xml, on_doctype);
	XML_SetUnknownEncodingHandler(r->xml, on_encoding, NULL);
	r->text = buf_new(r->a, FIELD);
	r->report->policy.percent = 100;
	r->report->errors = r->errors;
}

static const struct fail *syntax(struct reader *r)
{
	if (r->f)
		return r->f;
	return fail_new(r->a, FAIL_SYNTAX, "not well-formed XML in line %lu: %s",
			XML_GetCurrentLineNumber(r->xml),
			XML_ErrorString(XML_GetErrorCode(r->xml)));
}

/* In pieces: a tag that never ends would make expat collect all of the rest. */
static const struct fail *parse(struct reader *r, str xml)
{
	size_t silent = 0;

	for (size_t at = 0; at < xml.n; at += CHUNK) {
		str piece = str_slice(xml, at, at + CHUNK);
		r->progress = false;
		if (XML_Parse(r->xml, (const char *)piece.p, (int)piece.n, at + CHUNK >= xml.n) !=
		    XML_STATUS_OK)
			return syntax(r);
		silent = r->progress ? 0 : silent + piece.n;
		if (silent > AGGREGATE_TOKEN)
			return fail_new(r->a, FAIL_TOO_LARGE, "a tag or comment too long");
	}
	return NULL;
}

static const struct fail *check(struct reader *r)
{
	const struct aggregate_report *out = r->report;
	const u64 longest = (u64)AGGREGATE_PERIOD_DAYS * 24 * 60 * 60 * 1000;

	if (out->report_id.n == 0)
		return fail_new(r->a, FAIL_SYNTAX, "a DMARC report without an id");
	if (!r->has_policy || out->policy.domain.n == 0)
		return fail_new(r->a, FAIL_SYNTAX, "a DMARC report that names no domain");
	if (!r->has_begin || !r->has_end || out->end < out->begin ||
	    out->end - out->begin > longest)
		return fail_new(r->a, FAIL_SYNTAX, "a DMARC report for no period that makes sense");
	if (out->records_n == 0)
		return fail_new(r->a, FAIL_SYNTAX, "a DMARC report without a row");
	return NULL;
}

const struct fail *aggregate_read(struct arena *a, str xml, struct aggregate_report *out)
{
	struct reader *r = arena_new_of(a, struct reader);

	const struct fail *f;

	*out = (struct aggregate_report){ 0 };
	r->a = a;
	r->report = out;
	if (xml.n == 0)
		return fail_new(a, FAIL_SYNTAX, "it is empty");
	reader_begin(r);
	f = parse(r, xml);
	if (f == NULL)
		f = check(r);
	if (f)
		*out = (struct aggregate_report){ 0 }; /* no halves */
	return f;
}

/* Up to the name of the first element, in one-byte encodings. */
bool aggregate_looks_like(str bytes)
{
	str head = str_slice(bytes, 0, 4096);
	size_t at;

	while ((at = str_find(head, '<')) != SIZE_MAX) {
		size_t colon;
		str name;
		head = str_skip(head, at + 1);
		if (head.n == 0 || head.p[0] == '?' || head.p[0] == '!')
			continue;
		name = str_slice(head, 0, 100);
		for (size_t i = 0; i < name.n; i++) {
			if (name.p[i] <= ' ' || name.p[i] == '>' || name.p[i] == '/')
				name.n = i;
		}
		colon = str_find(name, ':');
		return str_eq(colon == SIZE_MAX ? name : str_skip(name, colon + 1), S("feedback"));
	}
	return false;
}
