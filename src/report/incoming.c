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
	bool found;               /* a report, good or bad: nothing else is looked at */
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

static str content(struct arena *a, str message, const struct skeleton_part *p)
{
	str body = str_slice(message, p->body_at, p->end);
	struct buf *out;

	if (str_eq_nocase(p->encoding, S("base64"))) {
		struct base64_reader reader = { 0 };
		out = buf_new(a, body.n);
		base64_read(&reader, body, out);
		base64_finish(&reader, out);
		return buf_str(out);
	}
	if (str_eq_nocase(p->encoding, S("quoted-printable"))) {
		struct qp_reader reader = { 0 };
		out = buf_new(a, body.n);
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
			return content(l->a, l->message, &parts[i]);
	}
	return STR_NONE;
}

static void try_feedback(struct looking *l)
{
	for (size_t i = 0; i < l->skeleton->parts_n && !l->found; i++) {
		const struct skeleton_part *p = &l->skeleton->parts[i];
		if (!is_type(p, "MESSAGE", "FEEDBACK-REPORT"))
			continue;
		l->found = true;
		l->first = feedback_read(l->a, content(l->a, l->message, p), original_of(l, i),
					 &l->out->feedback);
		l->out->kind = l->first ? INCOMING_NOTHING : INCOMING_FEEDBACK;
	}
}

static const struct fail *read_bytes(struct looking *l, str bytes)
{
	struct incoming_report *out = l->out;
	const struct fail *f = NULL;

	l->found = true;
	if (aggregate_looks_like(bytes)) {
		f = aggregate_read(l->a, bytes, &out->aggregate);
		out->kind = f ? INCOMING_NOTHING : INCOMING_AGGREGATE;
	} else if (tlsrpt_looks_like(bytes)) {
		f = tlsrpt_read(l->a, bytes, &out->tls);
		out->kind = f ? INCOMING_NOTHING : INCOMING_TLS;
	} else {
		l->found = false; /* an ordinary attachment, and nothing is wrong with it */
	}
	return f;
}

/* What is unpacked lives for this part only: several large ones take no more than one. */
static void try_part(struct looking *l, const struct skeleton_part *p)
{
	struct arena *own = arena_new(INCOMING_PART_ARENA);
	const struct fail *f;
	str bytes;

	f = unpack(own, content(own, l->message, p), &bytes);
	if (f == NULL)
		f = read_bytes(l, bytes);
	if (f && l->first == NULL)
		l->first = fail_new(l->a, f->what, "%.*s", STR_ARG(f->text));
	arena_free(&own);
}

static void try_packed(struct looking *l)
{
	size_t opened = 0;

	for (size_t i = 0; i < l->skeleton->parts_n && !l->found && opened < INCOMING_PARTS; i++) {
		const struct skeleton_part *p = &l->skeleton->parts[i];
		if (!has_report_type(p) && !has_report_name(p))
			continue;
		opened++;
		try_part(l, p);
	}
}

const struct fail *incoming_read(struct arena *a, str message, const struct skeleton *s,
				 struct incoming_report *out)
{
	struct looking l = { .a = a, .message = message, .skeleton = s, .out = out };

	*out = (struct incoming_report){ .kind = INCOMING_NOTHING };
	if (message.n > INCOMING_BYTES)
		return NULL;
	try_feedback(&l);
	if (!l.found)
		try_packed(&l);
	return out->kind == INCOMING_NOTHING ? l.first : NULL;
}
