#include "report/failure_write.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/arena.h"
#include "base/chars.h"
#include "base/check.h"
#include "base/ip.h"
#include "report/mail_header.h"
#include "text/address.h"
#include "text/date.h"
#include "text/encoding.h"
#include "text/header.h"

/* --- Redaction, RFC 6590 ---------------------------------------------------------------------------------------- */

/* Case aside, as most systems have it: the same person looks the same. */
static void add_hidden(struct arena *a, str local, const u8 key[FAILURE_KEY], struct buf *out)
{
	u8 digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	str lower = str_lower(a, local);

	CHECK(HMAC(EVP_sha256(), key, FAILURE_KEY, lower.p ? lower.p : (const u8 *)"", lower.n,
		   digest, &n) != NULL);
	base64_encode(out, str_from(digest, FAILURE_HASH));
}

static bool is_local(u8 byte)
{
	return char_is(byte, CHAR_ATEXT) || byte == '.' || byte >= 0x80;
}

/* "smtp.mailfrom=joe@": '=' may stand in a local part, so only words of ours and of signatures are no part of it. */
static size_t label_length(str word)
{
	static const str labels[] = { { (const u8 *)"smtp.mailfrom=", 14 },
				      { (const u8 *)"header.i=", 9 },
				      { (const u8 *)"i=", 2 } };

	for (size_t i = 0; i < ARRAY_LEN(labels); i++)
		if (str_starts(word, labels[i]))
			return labels[i].n;
	return 0;
}

/* A quote that no backslash makes a part of what is quoted. */
static bool opens_quote(str text, size_t i)
{
	return text.p[i] == '"' && (i == 0 || text.p[i - 1] != '\\');
}

/* Where the local part before an '@' begins; a quoted one begins at its quote, or at that of the property that it is the value of. Not before done. */
static size_t local_start(str text, size_t done, size_t at)
{
	size_t from = at;

	if (at > 0 && text.p[at - 1] == '"') {
		for (from = at - 1; from > done && !opens_quote(text, from - 1);)
			from--;
		return from > done ? from - 1 : done;
	}
	while (from > done && is_local(text.p[from - 1]))
		from--;
	return from + label_length(str_slice(text, from, at));
}

static void add_plain(struct buf *out, str text)
{
	for (size_t i = 0; i < text.n; i++) {
		u8 byte = text.p[i];
		bool keep =
		    (byte >= ' ' && byte < 0x7F) || byte == '\t' || byte == '\r' || byte == '\n';
		buf_add_byte(out, keep ? byte : '?');
	}
}

/* Every local part in a text, wherever it stands. */
static void add_redacted(struct arena *a, str text, const u8 key[FAILURE_KEY], struct buf *out)
{
	size_t done = 0;

	for (size_t i = 0; i < text.n; i++) {
		size_t from;
		if (text.p[i] != '@')
			continue;
		from = local_start(text, done, i);
		add_plain(out, str_slice(text, done, from));
		if (from < i)
			add_hidden(a, str_slice(text, from, i), key, out);
		done = i;
	}
	add_plain(out, str_skip(text, done));
}

/* Addresses alone, without the names of people. */
static void add_people(struct arena *a, str name, str value, const u8 key[FAILURE_KEY],
		       struct buf *out)
{
	struct address_list list;

	address_list_parse(a, value, 10, &list);
	add_plain(out, name);
	buf_add(out, S(":"));
	for (size_t i = 0; i < list.n; i++) {
		const struct address_entry *e = &list.entries[i];
		if (e->kind != ADDRESS_MEMBER)
			continue;
		buf_add(out, i > 0 ? S(",\r\n <") : S(" <"));
		add_hidden(a, e->mailbox, key, out);
		buf_add_byte(out, '@');
		add_plain(out, str_slice(e->host, 0, ADDRESS_DOMAIN));
		buf_add_byte(out, '>');
	}
	buf_add(out, S("\r\n"));
}

static bool is_one_of(str name, const str *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq_nocase(name, list[i]))
			return true;
	return false;
}

static bool has_long_line(str text)
{
	size_t start = 0;

	for (size_t i = 0; i <= text.n; i++) {
		if (i < text.n && text.p[i] != '\n')
			continue;
		if (i - start > FAILURE_LINE)
			return true;
		start = i + 1;
	}
	return false;
}

/* z= holds copies of other fields (RFC 6376 3.5). */
static bool has_copies(str value)
{
	for (size_t i = 0; i + 1 < value.n; i++)
		if (value.p[i] == 'z' && value.p[i + 1] == '=' &&
		    (i == 0 || str_has(S("; \t\n"), value.p[i - 1])))
			return true;
	return false;
}

static void redact_field(struct arena *a, const struct header_field *f, const u8 key[FAILURE_KEY],
			 struct buf *out)
{
	static const str people[] = { { (const u8 *)"From", 4 }, { (const u8 *)"Sender", 6 } };
	static const str machines[] = {
		{ (const u8 *)"Received", 8 },
		{ (const u8 *)"Received-SPF", 12 },
		{ (const u8 *)"Return-Path", 11 },
		{ (const u8 *)"DKIM-Signature", 14 },
		{ (const u8 *)"Authentication-Results", 22 },
		{ (const u8 *)"ARC-Seal", 8 },
		{ (const u8 *)"ARC-Message-Signature", 21 },
		{ (const u8 *)"ARC-Authentication-Results", 26 },
		{ (const u8 *)"Date", 4 },
		{ (const u8 *)"List-Id", 7 },
		{ (const u8 *)"MIME-Version", 12 },
	};

	if (is_one_of(f->name, people, ARRAY_LEN(people)))
		add_people(a, f->name, f->value, key, out);
	else if (str_eq_nocase(f->name, S("Message-ID")) && !has_long_line(f->raw))
		add_plain(out, f->raw); /* a machine's name for it, by which its sender finds it */
	else if (is_one_of(f->name, machines, ARRAY_LEN(machines)) && !has_long_line(f->raw) &&
		 !has_copies(f->value))
		add_redacted(a, f->raw, key, out);
}

void failure_redact(struct arena *a, str header, const u8 key[FAILURE_KEY], struct buf *out)
{
	struct header_field f;
	str rest = header;

	while (header_next(&rest, &f) && !out->full)
		if (f.name.n > 0)
			redact_field(a, &f, key, out);
}

/* --- The machine's part, RFC 5965 3, RFC 6591 3, RFC 9991 4 ------------------------------------------------------ */

static void put_value(struct header_builder *h, const char *name, str value)
{
	if (value.n > 0)
		header_put(h, str_cstr(name), str_slice(value, 0, FAILURE_TEXT));
}

static const char *delivery_of(u8 disposition)
{
	return disposition == AGGREGATE_REJECT       ? "reject"
	       : disposition == AGGREGATE_QUARANTINE ? "spam"
						     : "delivered";
}

/* Which mechanisms gave no aligned identifier; "none" when none failed. */
static const char *alignment_of(const struct failure_mail *m)
{
	return m->dkim_aligned && m->spf_aligned ? "none"
	       : m->dkim_aligned                 ? "spf"
	       : m->spf_aligned                  ? "dkim"
						 : "dkim, spf";
}

static void put_mail_from(struct arena *a, struct header_builder *h, const struct failure_mail *m,
			  const u8 key[FAILURE_KEY])
{
	struct buf *text = buf_new(a, 2 * FAILURE_TEXT);

	buf_add_byte(text, '<');
	add_redacted(a, str_slice(m->mail_from, 0, FAILURE_TEXT), key, text);
	buf_add_byte(text, '>');
	header_put(h, S("Original-Mail-From"), buf_str(text));
}

/* "txt" : domain : "record"; a quote or backslash in the record is escaped. */
static void put_spf(struct arena *a, struct header_builder *h, const struct failure_mail *m)
{
	struct buf *text = buf_new(a, 4 * FAILURE_TEXT);
	str record = str_slice(m->spf_record, 0, FAILURE_TEXT);

	buf_printf(text, "txt : %.*s : ", STR_ARG(m->spf_domain));
	buf_add_quoted(text, record);
	header_start(h, S("SPF-DNS"));
	header_add(h, buf_str(text));
	header_end(h);
}

static void put_results(struct arena *a, struct header_builder *h, str results,
			const u8 key[FAILURE_KEY])
{
	struct buf *text = buf_new(a, FAILURE_HEADER);

	add_redacted(a, results, key, text);
	header_put_text(h, S("Authentication-Results"), buf_str(text));
}

/* i= without its local part. */
static str identity_of(struct arena *a, const struct failure_mail *m)
{
	size_t at = str_find_last(m->dkim_identity, '@');

	return at == SIZE_MAX ? str_format(a, "@%.*s", STR_ARG(m->dkim_domain))
			      : str_skip(m->dkim_identity, at);
}

static void put_feedback(struct arena *a, struct header_builder *h, const struct failure_mail *m,
			 const u8 key[FAILURE_KEY])
{
	put_value(h, "Feedback-Type", S("auth-failure"));
	put_value(h, "User-Agent", S("Postern/" POSTERN_VERSION));
	put_value(h, "Version", S("1"));
	put_mail_from(a, h, m, key);
	put_value(h, "Arrival-Date", date_print(a, (i64)m->arrival, 0));
	put_value(h, "Source-IP", ip_text(a, m->source));
	if (m->port > 0)
		put_value(h, "Source-Port", str_format(a, "%u", m->port));
	put_value(h, "Reported-Domain", m->domain);
	if (m->results.n > 0)
		put_results(a, h, m->results, key);
	put_value(h, "Auth-Failure", S("dmarc"));
	put_value(h, "Identity-Alignment", str_cstr(alignment_of(m)));
	put_value(h, "Delivery-Result", str_cstr(delivery_of(m->disposition)));
	if (m->dkim_domain.n > 0) {
		put_value(h, "DKIM-Domain", m->dkim_domain);
		put_value(h, "DKIM-Selector", m->dkim_selector);
		put_value(h, "DKIM-Identity", identity_of(a, m));
	}
	if (m->spf_record.n > 0 && m->spf_domain.n > 0)
		put_spf(a, h, m);
}

/* --- The mail ----------------------------------------------------------------------------------------------------- */

static void put_header(struct arena *a, struct header_builder *h, const struct failure_mail *m,
		       str boundary)
{
	mail_header_people(h, m->org, m->from, m->to, m->to_n);
	header_put_text(h, S("Subject"),
			str_format(a, "DMARC failure report about %.*s", STR_ARG(m->domain)));
	mail_header_machine(a, h, m->now, m->message_id);
	header_start(h, S("Content-Type"));
	header_add(h, S("multipart/report"));
	header_add_param(h, S("report-type"), S("feedback-report"));
	header_add_param(h, S("boundary"), boundary);
	header_end(h);
}

static void put_part(struct header_builder *h, str boundary, str type)
{
	buf_printf(h->out, "\r\n--%.*s\r\n", STR_ARG(boundary));
	header_put(h, S("Content-Type"), type);
	buf_add(h->out, S("\r\n"));
}

static void put_people(struct arena *a, struct header_builder *h, const struct failure_mail *m,
		       str boundary)
{
	put_part(h, boundary, S("text/plain; charset=us-ascii"));
	buf_printf(h->out,
		   "A message that says to be from %.*s did not prove it.\r\n"
		   "It came from %.*s on %.*s.\r\n"
		   "Persons in it are hidden, as RFC 6590 has it.\r\n",
		   STR_ARG(m->domain), STR_ARG(ip_text(a, m->source)),
		   STR_ARG(date_print(a, (i64)m->arrival, 0)));
}

const struct fail *failure_mail_write(struct arena *a, const struct failure_mail *m,
				      const u8 key[FAILURE_KEY], struct buf *out)
{
	struct buf *header = buf_new(a, FAILURE_HEADER);
	str boundary = str_format(a, "failure-%llx", (unsigned long long)m->now);
	struct header_builder h;

	failure_redact(a, m->header, key, header);
	while (str_find_str(buf_str(header), boundary) != SIZE_MAX)
		boundary = str_format(a, "%.*s-", STR_ARG(boundary));
	header_builder_init(&h, out);
	put_header(a, &h, m, boundary);
	put_people(a, &h, m, boundary);
	put_part(&h, boundary, S("message/feedback-report"));
	put_feedback(a, &h, m, key);
	put_part(&h, boundary, S("text/rfc822-headers"));
	buf_add(out, buf_str(header));
	buf_printf(out, "\r\n--%.*s--\r\n", STR_ARG(boundary));
	if (h.bad || out->full || m->to_n == 0)
		return fail_new(a, FAIL_INVALID, "the report cannot be written");
	return NULL;
}
