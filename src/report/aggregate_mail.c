/* The mail that carries an aggregate report (RFC 9990 3.6.2). */
#include <zlib.h>

#include "base/arena.h"
#include "base/chars.h"
#include "report/aggregate_write.h"
#include "report/mail_header.h"
#include "text/date.h"
#include "text/encoding.h"
#include "text/header.h"

enum {
	GZIP_WINDOW = 15 + 16, /* 16: a gzip header */
	GZIP_PIECE = 64 * 1024,
	FILE_NAME = 700,
};

/* --- Packing -------------------------------------------------------------------------------------------------- */

static bool deflate_all(z_stream *z, struct buf *out)
{
	int status;

	do {
		u8 *room = buf_room(out, GZIP_PIECE);
		if (room == NULL)
			return true; /* out->full tells */
		z->next_out = room;
		z->avail_out = GZIP_PIECE;
		status = deflate(z, Z_FINISH);
		buf_added(out, GZIP_PIECE - z->avail_out);
	} while (status == Z_OK || (status == Z_BUF_ERROR && z->avail_out == 0));
	return status == Z_STREAM_END;
}

const struct fail *report_gzip(struct arena *a, str bytes, struct buf *out)
{
	z_stream z = { .avail_in = (uInt)bytes.n };
	bool good;

	if (bytes.n > UINT32_MAX / 2)
		return fail_new(a, FAIL_TOO_LARGE, "too long to compress");
	if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, 8,
			 Z_DEFAULT_STRATEGY) != Z_OK)
		return fail_new(a, FAIL_LIMIT, "no memory to compress");
	z.next_in = (z_const Bytef *)(uintptr_t)bytes.p;
	good = deflate_all(&z, out);
	deflateEnd(&z);
	return good ? NULL : fail_new(a, FAIL_INTERNAL, "cannot compress");
}

const struct fail *aggregate_pack(struct arena *a, const struct aggregate_report *r, str *packed)
{
	struct buf *xml = buf_new(a, AGGREGATE_XML), *gzip, *text;

	aggregate_write(r, xml);
	gzip = buf_new(a, xml->n + 4 * GZIP_PIECE);
	text = buf_new(a, 2 * gzip->max);
	TRY(report_gzip(a, buf_str(xml), gzip));
	base64_encode_lines(text, buf_str(gzip));
	if (xml->full || gzip->full || text->full)
		return fail_new(a, FAIL_TOO_LARGE, "the report is too long");
	*packed = buf_str(text);
	return NULL;
}

/* --- The mail ------------------------------------------------------------------------------------------------- */

/* receiver "!" policy-domain "!" begin "!" end "!" unique-id ".xml.gz" */
static str file_name(struct arena *a, const struct aggregate_mail *m)
{
	const struct aggregate_report *r = m->report;

	return str_format(a, "%.*s!%.*s!%llu!%llu!%.*s.xml.gz", STR_ARG(m->submitter),
			  STR_ARG(r->policy.domain), (unsigned long long)(r->begin / 1000),
			  (unsigned long long)(r->end / 1000), STR_ARG(r->report_id));
}

/* "Report Domain: a Submitter: b Report-ID: <c>": the only words that automata look for. */
static void put_subject(struct arena *a, struct header_builder *h, const struct aggregate_mail *m)
{
	header_start(h, S("Subject"));
	header_add(h, S("Report"));
	header_add(h, S("Domain:"));
	header_add(h, m->report->policy.domain);
	header_add(h, S("Submitter:"));
	header_add(h, m->submitter);
	header_add(h, S("Report-ID:"));
	header_add(h, str_format(a, "<%.*s>", STR_ARG(m->report->report_id)));
	header_end(h);
}

static void put_header(struct arena *a, struct header_builder *h, const struct aggregate_mail *m,
		       str boundary)
{
	mail_header_people(h, m->report->org, m->report->email, m->to, m->to_n);
	put_subject(a, h, m);
	mail_header_machine(a, h, m->now, m->message_id);
	header_start(h, S("Content-Type"));
	header_add(h, S("multipart/mixed"));
	header_add_param(h, S("boundary"), boundary);
	header_end(h);
}

static void put_people(struct arena *a, struct header_builder *h, const struct aggregate_mail *m)
{
	const struct aggregate_report *r = m->report;

	header_put(h, S("Content-Type"), S("text/plain; charset=us-ascii"));
	buf_printf(h->out,
		   "\r\nThis is a DMARC aggregate report (RFC 9990) about %.*s\r\n"
		   "from %.*s, for %.*s\r\n"
		   "to %.*s. It is meant for programs.\r\n%.*s%s",
		   STR_ARG(r->policy.domain), STR_ARG(m->submitter),
		   STR_ARG(date_print(a, (i64)r->begin, 0)), STR_ARG(date_print(a, (i64)r->end, 0)),
		   STR_ARG(m->note), m->note.n ? "\r\n" : "");
}

static void put_attachment(struct header_builder *h, str name)
{
	header_start(h, S("Content-Type"));
	header_add(h, S("application/gzip"));
	header_add_param(h, S("name"), name);
	header_end(h);
	header_put(h, S("Content-Transfer-Encoding"), S("base64"));
	header_start(h, S("Content-Disposition"));
	header_add(h, S("attachment"));
	header_add_param(h, S("filename"), name);
	header_end(h);
}

const struct fail *aggregate_mail_write(struct arena *a, const struct aggregate_mail *m,
					struct buf *out)
{
	str boundary = str_format(a, "report-%.*s", STR_ARG(m->report->report_id));
	str name = file_name(a, m);
	struct header_builder h;

	if (m->to_n == 0 || m->to_n > AGGREGATE_MAIL_TO || name.n > FILE_NAME)
		return fail_new(a, FAIL_INVALID, "not a report that can be sent");
	header_builder_init(&h, out);
	put_header(a, &h, m, boundary);
	buf_printf(out, "\r\n--%.*s\r\n", STR_ARG(boundary));
	put_people(a, &h, m);
	buf_printf(out, "\r\n--%.*s\r\n", STR_ARG(boundary));
	put_attachment(&h, name);
	buf_add(out, S("\r\n"));
	buf_add(out, m->packed);
	buf_printf(out, "--%.*s--\r\n", STR_ARG(boundary));
	if (h.bad || out->full)
		return fail_new(a, FAIL_INVALID, "the report cannot be written");
	return NULL;
}
