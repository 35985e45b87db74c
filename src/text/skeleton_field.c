/* What the header of a message or of a part says (RFC 5322 3.6, RFC 2045, 2183, 3282, 2557,
 * 1864). */
#include "text/skeleton_int.h"

#include "base/arena.h"
#include "base/chars.h"
#include "text/address.h"
#include "text/header.h"
#include "text/token.h"

enum { ENVELOPE_BYTES = 48, PART_BYTES = 128, ADDRESS_BYTES = 16, PARAM_BYTES = 8, LANGUAGES = 16 };

enum field_id {
	FIELD_TYPE,
	FIELD_ENCODING,
	FIELD_ID,
	FIELD_DESCRIPTION,
	FIELD_MD5,
	FIELD_DISPOSITION,
	FIELD_LANGUAGE,
	FIELD_LOCATION,
	FIELD_DATE,
	FIELD_SUBJECT,
	FIELD_FROM,
	FIELD_SENDER,
	FIELD_REPLY_TO,
	FIELD_TO,
	FIELD_CC,
	FIELD_BCC,
	FIELD_IN_REPLY_TO,
	FIELD_MESSAGE_ID,
	FIELD_RECEIVED,
	FIELDS
};

static const str names[FIELDS] = {
	[FIELD_TYPE] = S("Content-Type"),
	[FIELD_ENCODING] = S("Content-Transfer-Encoding"),
	[FIELD_ID] = S("Content-ID"),
	[FIELD_DESCRIPTION] = S("Content-Description"),
	[FIELD_MD5] = S("Content-MD5"),
	[FIELD_DISPOSITION] = S("Content-Disposition"),
	[FIELD_LANGUAGE] = S("Content-Language"),
	[FIELD_LOCATION] = S("Content-Location"),
	[FIELD_DATE] = S("Date"),
	[FIELD_SUBJECT] = S("Subject"),
	[FIELD_FROM] = S("From"),
	[FIELD_SENDER] = S("Sender"),
	[FIELD_REPLY_TO] = S("Reply-To"),
	[FIELD_TO] = S("To"),
	[FIELD_CC] = S("Cc"),
	[FIELD_BCC] = S("Bcc"),
	[FIELD_IN_REPLY_TO] = S("In-Reply-To"),
	[FIELD_MESSAGE_ID] = S("Message-ID"),
	[FIELD_RECEIVED] = S("Received"),
};

/* The first of each name, and how many there are. */
struct fields {
	str value[FIELDS];
	u32 count[FIELDS];
	size_t n;
};

bool skeleton_spend(struct skeleton_parser *p, size_t n)
{
	if (n > p->budget) {
		p->flags |= SKELETON_CUT;
		return false;
	}
	p->budget -= n;
	return true;
}

str skeleton_keep(struct skeleton_parser *p, str s)
{
	return skeleton_spend(p, s.n) ? str_copy(p->a, s) : STR_NONE;
}

static void find_fields(str header, struct fields *out)
{
	struct header_field field;

	for (; header_next(&header, &field); out->n++) {
		for (size_t i = 0; i < FIELDS; i++) {
			if (!str_eq_nocase(field.name, names[i]))
				continue;
			if (out->count[i]++ == 0)
				out->value[i] = field.value;
			break;
		}
	}
}

static str keep_text(struct skeleton_parser *p, str value)
{
	return skeleton_keep(p, header_unfold(p->scratch, value));
}

/* The value without its comments: ids, tokens. */
static str keep_token(struct skeleton_parser *p, str value)
{
	struct param_list params;
	str head;

	param_list_parse(p->scratch, value, 0, &head, &params);
	return skeleton_keep(p, head);
}

static const struct skeleton_param *keep_params(struct skeleton_parser *p,
						const struct param_list *list, size_t *n)
{
	struct skeleton_param *kept = arena_array_of(p->a, list->n, struct skeleton_param);

	if (list->cut)
		p->flags |= SKELETON_CUT;
	for (*n = 0; *n < list->n; ++*n) {
		const struct param *from = &list->params[*n];
		if (!skeleton_spend(p, PARAM_BYTES + from->name.n + from->value.n))
			break;
		kept[*n].name = str_copy(p->a, from->name);
		kept[*n].value = str_copy(p->a, from->value);
	}
	return kept;
}

static str upper(struct skeleton_parser *p, str token)
{
	u8 *at = arena_alloc(p->a, token.n);

	p->budget -= token.n < p->budget ? token.n : p->budget; /* SKELETON_PART_LEAST was there */
	for (size_t i = 0; i < token.n; i++)
		at[i] = char_upper(token.p[i]);
	return str_from(at, token.n);
}

static bool is_token(str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!char_is(s.p[i], CHAR_TOKEN))
			return false;
	return s.n > 0 && s.n <= SKELETON_TYPE;
}

/* type "/" subtype *(";" parameter); unreadable is TEXT PLAIN without parameters, RFC 2045 5.2. */
static void read_type(struct skeleton_parser *p, const struct fields *f, bool in_digest,
		      struct skeleton_part *part, str *boundary)
{
	struct param_list params;
	str head, type, subtype;
	size_t slash;

	*boundary = STR_NONE;
	part->type = in_digest ? S("MESSAGE") : S("TEXT"); /* RFC 2046 5.1.5 */
	part->subtype = in_digest ? S("RFC822") : S("PLAIN");
	if (f->count[FIELD_TYPE] == 0)
		return;
	param_list_parse(p->scratch, f->value[FIELD_TYPE], SKELETON_PARAMS, &head, &params);
	slash = str_find(head, '/');
	type = str_trim(str_slice(head, 0, slash));
	subtype = slash == SIZE_MAX ? STR_NONE : str_trim(str_skip(head, slash + 1));
	if (params.broken || f->count[FIELD_TYPE] > 1)
		p->flags |= SKELETON_BROKEN_MIME;
	if (!is_token(type) || !is_token(subtype)) {
		p->flags |= SKELETON_BROKEN_MIME;
		return;
	}
	part->type = upper(p, type);
	part->subtype = upper(p, subtype);
	part->params = keep_params(p, &params, &part->params_n);
	param_find(&params, S("boundary"), boundary);
}

static void read_disposition(struct skeleton_parser *p, str value, struct skeleton_part *part)
{
	struct param_list params;
	str head;

	param_list_parse(p->scratch, value, SKELETON_PARAMS, &head, &params);
	part->disposition = skeleton_keep(p, head);
	if (part->disposition.n)
		part->disposition_params = keep_params(p, &params, &part->disposition_params_n);
}

/* RFC 3282: tags between commas. */
static void read_languages(struct skeleton_parser *p, str value, struct skeleton_part *part)
{
	str *languages = arena_array_of(p->a, LANGUAGES, str);
	struct param_list none;
	str rest, tag;

	param_list_parse(p->scratch, value, 0, &rest, &none);
	for (size_t comma; rest.n; rest = str_skip(rest, tag.n + (comma != SIZE_MAX))) {
		str trimmed;
		comma = str_find(rest, ',');
		tag = str_slice(rest, 0, comma);
		trimmed = str_trim(tag);
		if (trimmed.n == 0)
			continue;
		if (part->languages_n == LANGUAGES || !skeleton_spend(p, 4 + trimmed.n)) {
			p->flags |= SKELETON_CUT;
			break;
		}
		languages[part->languages_n++] = str_copy(p->a, trimmed);
	}
	part->languages = languages;
}

static bool is_coded(str encoding)
{
	return str_eq_nocase(encoding, S("base64")) ||
	       str_eq_nocase(encoding, S("quoted-printable"));
}

static void read_part(struct skeleton_parser *p, const struct fields *f, bool in_digest,
		      struct skeleton_part *part, str *boundary)
{
	bool composite;

	read_type(p, f, in_digest, part, boundary);
	composite = str_eq(part->type, S("MULTIPART")) || str_eq(part->type, S("MESSAGE"));
	part->encoding = keep_token(p, f->value[FIELD_ENCODING]);
	if (f->count[FIELD_ENCODING] > 1 || (composite && is_coded(part->encoding)))
		p->flags |= SKELETON_BROKEN_MIME; /* THREATS M04; RFC 2045 6.4 */
	part->id = keep_text(p, f->value[FIELD_ID]);
	part->description = keep_text(p, f->value[FIELD_DESCRIPTION]);
	part->md5 = keep_token(p, f->value[FIELD_MD5]);
	part->location = keep_text(p, f->value[FIELD_LOCATION]);
	if (f->count[FIELD_DISPOSITION])
		read_disposition(p, f->value[FIELD_DISPOSITION], part);
	if (f->count[FIELD_LANGUAGE])
		read_languages(p, f->value[FIELD_LANGUAGE], part);
}

/* A group's name is in mailbox; a member without a local part or a host must not look like one. */
static bool keep_address(struct skeleton_parser *p, const struct address_entry *from,
			 struct skeleton_address *to)
{
	bool member = from->kind == ADDRESS_MEMBER;
	str mailbox = member && from->mailbox.n == 0 ? S("MISSING_MAILBOX") : from->mailbox;
	str host = member && from->host.n == 0 ? S("MISSING_DOMAIN") : from->host;

	if (!skeleton_spend(p, ADDRESS_BYTES + from->name.n + from->route.n + mailbox.n + host.n))
		return false;
	*to = (struct skeleton_address){ .name = str_copy(p->a, from->name),
					 .route = str_copy(p->a, from->route),
					 .mailbox = str_copy(p->a, mailbox),
					 .host = str_copy(p->a, host) };
	return true;
}

/* Of one field; *left is what the envelope may still have. */
static const struct skeleton_address *read_addresses(struct skeleton_parser *p, str value,
						     size_t *left, size_t *n)
{
	struct address_list list;
	struct skeleton_address *kept;

	address_list_parse(p->scratch, value, *left, &list);
	kept = arena_array_of(p->a, list.n, struct skeleton_address);
	if (list.cut)
		p->flags |= SKELETON_CUT;
	for (*n = 0; *n < list.n; ++*n)
		if (!keep_address(p, &list.entries[*n], &kept[*n]))
			break;
	*left -= *n;
	return kept;
}

static void read_envelope(struct skeleton_parser *p, const struct fields *f,
			  struct skeleton_envelope *e)
{
	size_t left = SKELETON_ADDRESSES;

	if (!skeleton_spend(p, ENVELOPE_BYTES))
		return;
	e->date = keep_text(p, f->value[FIELD_DATE]);
	e->subject = keep_text(p, f->value[FIELD_SUBJECT]);
	e->from = read_addresses(p, f->value[FIELD_FROM], &left, &e->from_n);
	e->sender = read_addresses(p, f->value[FIELD_SENDER], &left, &e->sender_n);
	e->reply_to = read_addresses(p, f->value[FIELD_REPLY_TO], &left, &e->reply_to_n);
	e->to = read_addresses(p, f->value[FIELD_TO], &left, &e->to_n);
	e->cc = read_addresses(p, f->value[FIELD_CC], &left, &e->cc_n);
	e->bcc = read_addresses(p, f->value[FIELD_BCC], &left, &e->bcc_n);
	e->in_reply_to = keep_text(p, f->value[FIELD_IN_REPLY_TO]);
	e->message_id = keep_text(p, f->value[FIELD_MESSAGE_ID]);
}

static const struct fail too_many_fields = FAIL_STATIC(TOO_LARGE, "too many header fields");

/* What the gate asks of the message's own header. */
static void note_message(struct skeleton_parser *p, const struct fields *f)
{
	if (f->n > SKELETON_HEADER_FIELDS)
		p->failed = &too_many_fields;
	p->received = f->count[FIELD_RECEIVED];
	if (f->count[FIELD_FROM] == 0 || p->envelope.from_n == 0)
		p->flags |= SKELETON_NO_FROM;
	if (f->count[FIELD_FROM] > 1 || p->envelope.from_n > 1)
		p->flags |= SKELETON_MANY_FROM;
	if (f->count[FIELD_DATE] == 0)
		p->flags |= SKELETON_NO_DATE;
	if (f->count[FIELD_MESSAGE_ID] == 0)
		p->flags |= SKELETON_NO_MESSAGE_ID;
}

void skeleton_read_header(struct skeleton_parser *p, struct skeleton_part *part, bool in_digest,
			  struct skeleton_envelope *envelope, str *boundary)
{
	struct fields *f = arena_new_of(p->scratch, struct fields);

	skeleton_spend(p, PART_BYTES);
	find_fields(buf_str(p->header), f);
	read_part(p, f, in_digest, part, boundary);
	if (envelope)
		read_envelope(p, f, envelope);
	if (envelope == &p->envelope)
		note_message(p, f);
}
