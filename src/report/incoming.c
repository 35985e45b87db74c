#include "report/incoming.h"

#include "report/aggregate_read.h"
#include "report/feedback.h"
#include "report/tlsrpt.h"
#include "report/unpack.h"
#include "text/encoding.h"

static const char *const proofs[] = {
	[INCOMING_UNPROVEN] = "unproven",
	[INCOMING_PROVEN] = "proven",
	[INCOMING_FORGED] = "forged",
};

const char *incoming_proof_name(enum incoming_proof p)
{
	return (unsigned)p < ARRAY_LEN(proofs) ? proofs[p] : "unproven";
}

struct looking {
	struct arena *a;
	str message;
	const struct skeleton *skeleton;
	struct incoming_report *out;
	const struct fail *first; /* that went wrong */
	size_t opened;
};

/* --- Parts --------------------------------------------------------------------------------------------------- */

static bool is_type(const struct skeleton_part *p, const char *type, const char *subtype)
{
	return str_eq_nocase(p->type, str_cstr(type)) &&
	       (subtype == NULL || str_eq_nocase(p->subtype, str_cstr(subtype)));
}

static str param(const struct skeleton_param *params, size_t n, str name)
{
	for (size_t i = 0; i < n; i++) {
		if (str_eq_nocase(params[i].name, name))
			return params[i].value;
	}
	return STR_NONE;
}

static bool has_report_name(const struct skeleton_part *p)
{
	static const str endings[] = { S(".xml"), S(".xml.gz"), S(".zip"),
				       S(".gz"),  S(".json"),   S(".json.gz") };
	str names[] = { param(p->disposition_params, p->disposition_params_n, S("filename")),
			param(p->params, p->params_n, S("name")) };

	for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
		if (str_ends_nocase(names[0], endings[i]) || str_ends_nocase(names[1], endings[i]))
			return true;
	}
	return false;
}

/* RFC 9990 3.5.2, RFC 8460 5.3, and what is in use beside them. */
static bool has_report_type(const struct skeleton_part *p)
{
	static const char *const subtypes[] = {
		"GZIP",  "X-GZIP",          "ZIP",  "X-ZIP",       "X-ZIP-COMPRESSED",
		"XML",   "TLSRPT+GZIP",     "JSON", "TLSRPT+JSON", "OCTET-STREAM",
		"XGZIP", "GZIP-COMPRESSED",
	};

	if (is_type(p, "TEXT", "XML"))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(subtypes); i++) {
		if (is_type(p, "APPLICATION", subtypes[i]))
			return true;
	}
	return false;
}

static str content(const struct looking *l, const struct skeleton_part *p)
{
	str body = str_slice(l->message, p->body_at, p->end);
	struct buf *out;

	if (str_eq_nocase(p->encoding, S("base64"))) {
		struct base64_reader reader = { 0 };
		out = buf_new(l->a, body.n);
		base64_read(&reader, body, out);
		base64_finish(&reader, out);
		return buf_str(out);
	}
	if (str_eq_nocase(p->encoding, S("quoted-printable"))) {
		struct qp_reader reader = { 0 };
		out = buf_new(l->a, body.n);
		qp_read(&reader, body, out);
		qp_finish(&reader, out);
		return buf_str(out);
	}
	return body;
}

/* --- What it may be ------------------------------------------------------------------------------------------ */

/* The message or header that the report is about: the part of that type behind it with the same parent. */
static str original_of(const struct looking *l, size_t report)
{
	const struct skeleton_part *parts = l->skeleton->parts;

	for (size_t i = report + 1; i < l->skeleton->parts_n; i++) {
		if (parts[i].parent != parts[report].parent)
			continue;
		if (is_type(&parts[i], "MESSAGE", "RFC822") ||
		    is_type(&parts[i], "TEXT", "RFC822-HEADERS") ||
		    is_type(&parts[i], "MESSAGE", "RFC822-HEADERS"))
			return content(l, &parts[i]);
	}
	return STR_NONE;
}

static bool try_feedback(struct looking *l)
{
	for (size_t i = 0; i < l->skeleton->parts_n; i++) {
		const struct skeleton_part *p = &l->skeleton->parts[i];
		const struct fail *f;
		if (!is_type(p, "MESSAGE", "FEEDBACK-REPORT"))
			continue;
		f = feedback_read(l->a, content(l, p), original_of(l, i), &l->out->feedback);
		if (f == NULL)
			l->out->kind = INCOMING_FEEDBACK;
		l->first = f;
		return true;
	}
	return false;
}

/* An ordinary attachment is no report and nothing is wrong with it. */
static const struct fail *read_packed(struct looking *l, str packed)
{
	const struct fail *f;
	str bytes;

	TRY(unpack(l->a, packed, &bytes));
	if (aggregate_looks_like(bytes)) {
		f = aggregate_read(l->a, bytes, &l->out->aggregate);
		if (f == NULL)
			l->out->kind = INCOMING_AGGREGATE;
		return f;
	}
	if (tlsrpt_looks_like(bytes)) {
		f = tlsrpt_read(l->a, bytes, &l->out->tls);
		if (f == NULL)
			l->out->kind = INCOMING_TLS;
		return f;
	}
	return NULL;
}

static void try_part(struct looking *l, const struct skeleton_part *p)
{
	const struct fail *f;

	if (!has_report_type(p) && !has_report_name(p))
		return;
	if (l->opened++ == INCOMING_PARTS)
		return;
	f = read_packed(l, content(l, p));
	if (f && l->first == NULL)
		l->first = f;
}

const struct fail *incoming_read(struct arena *a, str message, const struct skeleton *s,
				 struct incoming_report *out)
{
	struct looking l = { .a = a, .message = message, .skeleton = s, .out = out };

	*out = (struct incoming_report){ .kind = INCOMING_NOTHING };
	if (message.n > INCOMING_BYTES)
		return NULL;
	if (try_feedback(&l))
		return l.first;
	for (size_t i = 0;
	     i < s->parts_n && out->kind == INCOMING_NOTHING && l.opened < INCOMING_PARTS; i++)
		try_part(&l, &s->parts[i]);
	return out->kind == INCOMING_NOTHING ? l.first : NULL;
}
