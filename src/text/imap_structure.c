/* ENVELOPE and BODYSTRUCTURE. Contract in imap_structure.h. */
#include <string.h>

#include "text/imap_print.h"
#include "text/imap_structure.h"

static void put_address(struct buf *b, const struct skeleton_address *x)
{
	buf_add_byte(b, '(');
	imap_put_nstring(b, x->name);
	buf_add_byte(b, ' ');
	imap_put_nstring(b, x->route);
	buf_add_byte(b, ' ');
	imap_put_nstring(b, x->mailbox);
	buf_add_byte(b, ' ');
	/* A host of NIL would turn a member without '@' into a group's start (RFC 3501 7.4.2). */
	if (x->host.n == 0 && x->mailbox.n > 0 && x->name.n > 0)
		buf_add(b, S("\"\""));
	else
		imap_put_nstring(b, x->host);
	buf_add_byte(b, ')');
}

static void put_addresses(struct buf *b, const struct skeleton_address *list, size_t n)
{
	buf_add(b, n == 0 ? S("NIL") : S("("));
	for (size_t i = 0; i < n; i++)
		put_address(b, &list[i]);
	buf_add(b, n == 0 ? S(" ") : S(") "));
}

/* n bytes that stand in b already, once more. */
static void put_again(struct buf *b, size_t from, size_t n)
{
	u8 *at = buf_room(b, n);

	if (at == NULL)
		return;
	memcpy(at, b->p + from, n);
	buf_added(b, n);
}

/* RFC 3501 7.4.2: absent or empty, Sender and Reply-To are those of From. */
static void put_senders(struct buf *b, const struct skeleton_envelope *e)
{
	size_t from = b->n, n;

	put_addresses(b, e->from, e->from_n);
	n = b->n - from;
	if (e->sender_n > 0)
		put_addresses(b, e->sender, e->sender_n);
	else
		put_again(b, from, n);
	if (e->reply_to_n > 0)
		put_addresses(b, e->reply_to, e->reply_to_n);
	else
		put_again(b, from, n);
}

void imap_put_envelope(struct buf *b, const struct skeleton_envelope *e)
{
	buf_add_byte(b, '(');
	imap_put_nstring(b, e->date);
	buf_add_byte(b, ' ');
	imap_put_nstring(b, e->subject);
	buf_add_byte(b, ' ');
	put_senders(b, e);
	put_addresses(b, e->to, e->to_n);
	put_addresses(b, e->cc, e->cc_n);
	put_addresses(b, e->bcc, e->bcc_n);
	imap_put_nstring(b, e->in_reply_to);
	buf_add_byte(b, ' ');
	imap_put_nstring(b, e->message_id);
	buf_add_byte(b, ')');
}

static void put_params(struct buf *b, const struct skeleton_param *params, size_t n)
{
	if (n == 0) {
		buf_add(b, S("NIL"));
		return;
	}
	for (size_t i = 0; i < n; i++) {
		buf_add_byte(b, i == 0 ? '(' : ' ');
		imap_put_string(b, params[i].name);
		buf_add_byte(b, ' ');
		imap_put_string(b, params[i].value);
	}
	buf_add_byte(b, ')');
}

static void put_disposition(struct buf *b, const struct skeleton_part *p)
{
	if (p->disposition.n == 0) {
		buf_add(b, S("NIL"));
		return;
	}
	buf_add_byte(b, '(');
	imap_put_string(b, p->disposition);
	buf_add_byte(b, ' ');
	put_params(b, p->disposition_params, p->disposition_params_n);
	buf_add_byte(b, ')');
}

static void put_languages(struct buf *b, const struct skeleton_part *p)
{
	if (p->languages_n == 0)
		buf_add(b, S("NIL"));
	else if (p->languages_n == 1)
		imap_put_string(b, p->languages[0]);
	for (size_t i = 0; p->languages_n > 1 && i < p->languages_n; i++) {
		buf_add_byte(b, i == 0 ? '(' : ' ');
		imap_put_string(b, p->languages[i]);
	}
	if (p->languages_n > 1)
		buf_add_byte(b, ')');
}

/* body-fld-dsp, body-fld-lang, body-fld-loc: the tail of both kinds of extension data. */
static void put_extension(struct buf *b, const struct skeleton_part *p)
{
	buf_add_byte(b, ' ');
	put_disposition(b, p);
	buf_add_byte(b, ' ');
	put_languages(b, p);
	buf_add_byte(b, ' ');
	imap_put_nstring(b, p->location);
}

static bool is_multipart(const struct skeleton_part *p)
{
	return str_eq(p->type, S("MULTIPART"));
}

static bool is_message(const struct skeleton *k, size_t at)
{
	return k->parts[at].envelope_n > 0 && at + 1 < k->parts_n && k->parts[at + 1].parent == at;
}

/* What stands before the children of a part. */
static void put_opening(struct buf *b, const struct skeleton *k, size_t at)
{
	const struct skeleton_part *p = &k->parts[at];

	buf_add_byte(b, '(');
	if (is_multipart(p))
		return;
	imap_put_string(b, p->type.n ? p->type : S("APPLICATION"));
	buf_add_byte(b, ' ');
	imap_put_string(b, p->subtype.n ? p->subtype : S("OCTET-STREAM"));
	buf_add_byte(b, ' ');
	put_params(b, p->params, p->params_n);
	buf_add_byte(b, ' ');
	imap_put_nstring(b, p->id);
	buf_add_byte(b, ' ');
	imap_put_nstring(b, p->description);
	buf_add_byte(b, ' ');
	imap_put_string(b, p->encoding.n ? p->encoding : S("7BIT"));
	buf_printf(b, " %llu", (unsigned long long)(p->end - p->body_at));
	if (is_message(k, at)) {
		buf_add_byte(b, ' ');
		imap_put_envelope(b, &p->envelope[0]);
		buf_add_byte(b, ' ');
	}
}

/* What stands behind them. childless: a multipart in which no part was found still needs one (RFC 3501 9). */
static void put_closing(struct buf *b, const struct skeleton *k, size_t at, bool childless,
			bool extended)
{
	const struct skeleton_part *p = &k->parts[at];

	if (is_multipart(p)) {
		if (childless)
			buf_add(b, S("(\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 0 0)"));
		buf_add_byte(b, ' ');
		imap_put_string(b, p->subtype.n ? p->subtype : S("MIXED"));
		if (extended) {
			buf_add_byte(b, ' ');
			put_params(b, p->params, p->params_n);
		}
	} else {
		if (str_eq(p->type, S("TEXT")) || is_message(k, at))
			buf_printf(b, " %llu", (unsigned long long)p->lines);
		if (extended) {
			buf_add_byte(b, ' ');
			imap_put_nstring(b, p->md5);
		}
	}
	if (extended)
		put_extension(b, p);
	buf_add_byte(b, ')');
}

void imap_put_structure(struct buf *b, const struct skeleton *k, bool extended)
{
	size_t open = 0; /* the part under way; its parents are open too */

	for (size_t i = 0; i < k->parts_n; i++) {
		/* Close what does not hold part i. Part 0 holds everything. */
		for (bool leaf = true; i > 0 && open != k->parts[i].parent && open != 0;
		     leaf = false) {
			put_closing(b, k, open, leaf, extended);
			open = k->parts[open].parent;
		}
		put_opening(b, k, i);
		open = i;
	}
	for (bool leaf = true; k->parts_n > 0; leaf = false) {
		put_closing(b, k, open, leaf, extended);
		if (open == 0)
			break;
		open = k->parts[open].parent;
	}
	if (k->parts_n == 0)
		buf_add(b, S("(\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 0 0)"));
}
