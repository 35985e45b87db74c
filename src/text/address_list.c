/*
 * Address lists of header fields, RFC 5322 3.4 with the obsolete forms of 4.4.
 *
 * One loop over tokens. Words are gathered twice: with blanks between them (should they turn out to
 * be a name) and without (should they be a local part); the next special byte decides which they
 * were.
 */
#include "text/address.h"

#include "base/arena.h"
#include "base/buf.h"
#include "text/token.h"

struct list_parser {
	struct arena *a;
	struct scan s;
	struct buf *spaced, *tight; /* the words so far */
	struct buf *comment;        /* the last one: the old place of a name */
	struct buf *host;
	struct address_list *out;
	struct address_entry *entries;
	size_t room, max;
	bool in_group;
	bool after_word; /* the last piece was no dot */
	bool apart; /* two words without a dot between: good for a name, not for a local part */
};

static str copy(struct list_parser *p, const struct buf *b)
{
	return str_trim(token_clean(p->a, buf_str(b)));
}

static void add_entry(struct list_parser *p, struct address_entry entry)
{
	struct address_entry *grown;

	if (p->out->n == p->max) {
		p->out->cut = true;
		return;
	}
	if (p->out->n == p->room) {
		p->room = p->room ? p->room * 2 : 2;
		grown = arena_array_of(p->a, p->room, struct address_entry);
		for (size_t i = 0; i < p->out->n; i++)
			grown[i] = p->entries[i];
		p->entries = grown;
	}
	p->entries[p->out->n++] = entry;
	p->out->entries = p->entries;
}

static void forget_words(struct list_parser *p)
{
	buf_reset(p->spaced);
	buf_reset(p->tight);
	buf_reset(p->comment);
	p->after_word = false;
	p->apart = false;
}

/* Past blanks and comments; a comment may turn out to be the name. Were there any? */
static bool skip_blanks(struct list_parser *p)
{
	size_t before = p->s.rest.n;
	str blanks;

	for (;;) {
		scan_span0(&p->s, CHAR_WSP | CHAR_CRLF, &blanks);
		if (scan_peek(&p->s) != '(')
			return p->s.rest.n < before;
		buf_reset(p->comment);
		token_comment(&p->s, p->comment, &p->out->broken);
	}
}

/* An atom, a dot or a quoted string to both bufs; false at anything else. */
static bool take_word(struct list_parser *p, bool after_blank)
{
	size_t from = p->tight->n;
	int next = scan_peek(&p->s);
	str atom;

	if (next == '"')
		token_quoted(&p->s, p->tight, &p->out->broken);
	else if (scan_byte(&p->s, '.'))
		buf_add_byte(p->tight, '.');
	else if (scan_span(&p->s, CHAR_ATEXT | CHAR_8BIT, &atom))
		buf_add(p->tight, atom);
	else
		return false;
	if (next != '.' && p->after_word)
		p->apart = true;
	p->after_word = next != '.';
	if (p->spaced->n && after_blank)
		buf_add_byte(p->spaced, ' ');
	buf_add(p->spaced, str_skip(buf_str(p->tight), from));
	return true;
}

static void take_words(struct list_parser *p)
{
	while (take_word(p, skip_blanks(p)))
		;
}

/* "[...]", its folds gone, a quoted pair as it stands. */
static void take_literal(struct list_parser *p, struct buf *out)
{
	str text;

	if (!scan_until(&p->s, ']', &text)) {
		p->out->broken = true;
		scan_take(&p->s, p->s.rest.n, &text);
	}
	buf_add(out, text);
	if (scan_byte(&p->s, ']'))
		buf_add_byte(out, ']');
}

/* Atoms and dots with CFWS anywhere (RFC 5322 4.4 obs-domain), or a literal. */
static void take_domain(struct list_parser *p, struct buf *out)
{
	str atom;

	for (;;) {
		skip_blanks(p);
		if (scan_peek(&p->s) == '[')
			take_literal(p, out);
		else if (scan_byte(&p->s, '.'))
			buf_add_byte(out, '.');
		else if (scan_span(&p->s, CHAR_ATEXT | CHAR_8BIT, &atom))
			buf_add(out, atom);
		else
			return;
	}
}

static str take_host(struct list_parser *p)
{
	buf_reset(p->host);
	if (!scan_byte(&p->s, '@'))
		return STR_NONE;
	take_domain(p, p->host);
	if (p->host->n == 0)
		p->out->broken = true;
	return copy(p, p->host);
}

/* obs-route: "@a,@b:" */
static str take_route(struct list_parser *p)
{
	buf_reset(p->host);
	while (scan_peek(&p->s) == '@' || scan_peek(&p->s) == ',') {
		buf_add_byte(p->host, p->s.rest.p[0]);
		p->s.rest = str_skip(p->s.rest, 1);
		take_domain(p, p->host);
	}
	if (!scan_byte(&p->s, ':'))
		p->out->broken = true;
	return copy(p, p->host);
}

/* At "<": angle-addr. */
static void take_angle(struct list_parser *p)
{
	struct address_entry entry = { .name = copy(p, p->spaced) };

	scan_byte(&p->s, '<');
	forget_words(p);
	skip_blanks(p);
	if (scan_peek(&p->s) == '@')
		entry.route = take_route(p);
	take_words(p);
	entry.mailbox = copy(p, p->tight);
	entry.host = take_host(p);
	if (!scan_byte(&p->s, '>') || p->apart || entry.mailbox.n == 0 || entry.host.n == 0)
		p->out->broken = true;
	add_entry(p, entry);
	forget_words(p);
}

/* addr-spec without brackets, or words that are no address at all. */
static void take_plain(struct list_parser *p)
{
	struct address_entry entry = { .mailbox = copy(p, p->tight) };

	buf_reset(p->comment);
	entry.host = take_host(p);
	skip_blanks(p);
	entry.name = copy(p, p->comment);
	if (p->apart || entry.mailbox.n == 0 || entry.host.n == 0)
		p->out->broken = true;
	if (entry.mailbox.n || entry.host.n)
		add_entry(p, entry);
	forget_words(p);
}

static void end_group(struct list_parser *p)
{
	if (p->in_group)
		add_entry(p, (struct address_entry){ .kind = ADDRESS_GROUP_END });
	p->in_group = false;
}

static void start_group(struct list_parser *p)
{
	if (p->in_group || p->spaced->n == 0) /* RFC 5322 3.4: groups do not nest */
		p->out->broken = true;
	end_group(p);
	add_entry(p,
		  (struct address_entry){ .kind = ADDRESS_GROUP, .mailbox = copy(p, p->spaced) });
	p->in_group = true;
	forget_words(p);
}

/* What comes after the words: decides what they were. */
static void take_special(struct list_parser *p)
{
	int special = scan_peek(&p->s);

	if (special == '<') {
		take_angle(p);
		return;
	}
	if (special == '@' || (p->tight->n && special != ':')) {
		take_plain(p);
		return;
	}
	if (special == ':')
		start_group(p);
	else if (special == ';' && p->in_group)
		end_group(p);
	else if (special != ',')
		p->out->broken = true;
	p->s.rest = str_skip(p->s.rest, 1);
}

void address_list_parse(struct arena *a, str value, size_t max, struct address_list *out)
{
	size_t room = value.n + 1;
	struct list_parser p = { .a = a,
				 .s = scan_of(value),
				 .spaced = buf_new(a, room),
				 .tight = buf_new(a, room),
				 .comment = buf_new(a, room),
				 .host = buf_new(a, room),
				 .out = out,
				 .max = max };

	*out = (struct address_list){ 0 };
	take_words(&p);
	while (!scan_end(&p.s) && !out->cut) {
		take_special(&p);
		take_words(&p);
	}
	if (p.tight->n && !out->cut)
		take_plain(&p);
	if (p.in_group)
		out->broken = true;
	end_group(&p);
}
