/* Parses and runs SEARCH programs. Contract in imap_search.h. */
#include "text/date.h"
#include "text/imap_scan.h"
#include "text/imap_search.h"

static const struct fail syntax =
    FAIL_STATIC(SYNTAX, "not a search key, or its argument is missing");
static const struct fail too_many = FAIL_STATIC(LIMIT, "too many search keys");
static const struct fail too_deep = FAIL_STATIC(LIMIT, "search keys nested too deep");
static const struct fail charset = FAIL_STATIC(INVALID, "charset must be US-ASCII or UTF-8");

enum argument {
	ARG_NONE,
	ARG_FLAG,
	ARG_KEYWORD,
	ARG_SIZE,
	ARG_DAY,
	ARG_TEXT,
	ARG_HEADER,
	ARG_UIDS,
	ARG_MODSEQ
};
enum { SEEN = 1, ANSWERED = 2, FLAGGED = 4, DELETED = 8, DRAFT = 16 }; /* as in imap_flag_names */

/* Every key with a name. `not`: followed by a NOT. field: of an ARG_TEXT that is a HEADER key. */
static const struct word {
	const char *name;
	enum imap_key key;
	enum argument argument;
	u64 number;
	const char *field;
	bool not ;
} words[] = {
	{ "ALL", IMAP_KEY_ALL, ARG_NONE, 0, NULL, false },
	{ "ANSWERED", IMAP_KEY_FLAG, ARG_FLAG, ANSWERED, NULL, false },
	{ "BCC", IMAP_KEY_HEADER, ARG_TEXT, 0, "Bcc", false },
	{ "BEFORE", IMAP_KEY_BEFORE, ARG_DAY, 0, NULL, false },
	{ "BODY", IMAP_KEY_BODY, ARG_TEXT, 0, NULL, false },
	{ "CC", IMAP_KEY_HEADER, ARG_TEXT, 0, "Cc", false },
	{ "DELETED", IMAP_KEY_FLAG, ARG_FLAG, DELETED, NULL, false },
	{ "DRAFT", IMAP_KEY_FLAG, ARG_FLAG, DRAFT, NULL, false },
	{ "FLAGGED", IMAP_KEY_FLAG, ARG_FLAG, FLAGGED, NULL, false },
	{ "FROM", IMAP_KEY_HEADER, ARG_TEXT, 0, "From", false },
	{ "HEADER", IMAP_KEY_HEADER, ARG_HEADER, 0, NULL, false },
	{ "KEYWORD", IMAP_KEY_KEYWORD, ARG_KEYWORD, 0, NULL, false },
	{ "LARGER", IMAP_KEY_LARGER, ARG_SIZE, 0, NULL, false },
	{ "MODSEQ", IMAP_KEY_MODSEQ, ARG_MODSEQ, 0, NULL, false },
	{ "OLD", IMAP_KEY_RECENT, ARG_NONE, 0, NULL, true },
	{ "ON", IMAP_KEY_ON, ARG_DAY, 0, NULL, false },
	{ "RECENT", IMAP_KEY_RECENT, ARG_NONE, 0, NULL, false },
	{ "SEEN", IMAP_KEY_FLAG, ARG_FLAG, SEEN, NULL, false },
	{ "SENTBEFORE", IMAP_KEY_SENTBEFORE, ARG_DAY, 0, NULL, false },
	{ "SENTON", IMAP_KEY_SENTON, ARG_DAY, 0, NULL, false },
	{ "SENTSINCE", IMAP_KEY_SENTSINCE, ARG_DAY, 0, NULL, false },
	{ "SINCE", IMAP_KEY_SINCE, ARG_DAY, 0, NULL, false },
	{ "SMALLER", IMAP_KEY_SMALLER, ARG_SIZE, 0, NULL, false },
	{ "SUBJECT", IMAP_KEY_HEADER, ARG_TEXT, 0, "Subject", false },
	{ "TEXT", IMAP_KEY_TEXT, ARG_TEXT, 0, NULL, false },
	{ "TO", IMAP_KEY_HEADER, ARG_TEXT, 0, "To", false },
	{ "UID", IMAP_KEY_UIDS, ARG_UIDS, 0, NULL, false },
	{ "UNANSWERED", IMAP_KEY_FLAG, ARG_FLAG, ANSWERED, NULL, true },
	{ "UNDELETED", IMAP_KEY_FLAG, ARG_FLAG, DELETED, NULL, true },
	{ "UNDRAFT", IMAP_KEY_FLAG, ARG_FLAG, DRAFT, NULL, true },
	{ "UNFLAGGED", IMAP_KEY_FLAG, ARG_FLAG, FLAGGED, NULL, true },
	{ "UNKEYWORD", IMAP_KEY_KEYWORD, ARG_KEYWORD, 0, NULL, true },
	{ "UNSEEN", IMAP_KEY_FLAG, ARG_FLAG, SEEN, NULL, true },
};

/* What is open: a list (the whole program or brackets), a NOT, or an OR that waits for `left` more keys. */
struct frame {
	enum { FRAME_LIST, FRAME_NOT, FRAME_OR } kind;
	u32 keys; /* LIST: how many are done; OR: how many are still to come */
};

struct parser {
	struct arena *arena;
	struct scan *in;
	struct imap_search *out;
	struct frame frames[IMAP_SEARCH_FRAMES];
	size_t depth, bodies;
};

enum imap_need imap_key_need(enum imap_key key)
{
	if (key >= IMAP_KEY_NOT)
		return IMAP_NEED_VIEW;
	if (key >= IMAP_KEY_BODY)
		return IMAP_NEED_BODY;
	if (key >= IMAP_KEY_SENTBEFORE)
		return IMAP_NEED_HEADER;
	return key >= IMAP_KEY_BEFORE ? IMAP_NEED_DATE : IMAP_NEED_VIEW;
}

static bool scan_argument_text(struct parser *p, str *out)
{
	struct buf *folded;
	str raw;

	if (!scan_sp(p->in) || !imap_scan_astring(p->arena, p->in, &raw) || !str_is_utf8(raw))
		return false;
	folded = buf_new(p->arena,
			 18 * raw.n + 64); /* the longest NFKC expansion of a character is 18 */
	imap_fold(folded, raw);
	*out = buf_str(folded);
	return !folded->full;
}

static bool scan_day(struct scan *s, u64 *out)
{
	struct scan saved = *s;
	bool quoted = scan_byte(s, '"');
	i64 ms;
	str day;

	if (scan_span(s, CHAR_ALPHA | CHAR_DIGIT | CHAR_LDH, &day) &&
	    date_parse_imap_day(day, &ms) && (!quoted || scan_byte(s, '"'))) {
		*out = (u64)ms;
		return true;
	}
	*s = saved;
	return false;
}

/* RFC 7162 3.1.5: [SP entry-name SP entry-type-req] SP mod-sequence-valzer; all entries share one value here. */
static bool scan_modseq(struct parser *p, u64 *out)
{
	str entry, type;

	if (scan_peek(p->in) == '"' &&
	    !(imap_scan_string(p->arena, p->in, &entry) && scan_sp(p->in) &&
	      imap_scan_atom(p->in, &type) && scan_sp(p->in)))
		return false;
	return imap_scan_u63(p->in, out);
}

static bool scan_argument(struct parser *p, const struct word *w, struct imap_search_node *n)
{
	u32 size;

	switch (w->argument) {
	case ARG_NONE:
	case ARG_FLAG:
		return true;
	case ARG_KEYWORD:
		return scan_sp(p->in) && imap_scan_atom(p->in, &n->text);
	case ARG_SIZE:
		if (!scan_sp(p->in) || !scan_u32(p->in, &size))
			return false;
		n->number = size;
		return true;
	case ARG_DAY:
		return scan_sp(p->in) && scan_day(p->in, &n->number);
	case ARG_TEXT:
		return scan_argument_text(p, &n->text);
	case ARG_HEADER:
		return scan_sp(p->in) && imap_scan_astring(p->arena, p->in, &n->name) &&
		       scan_argument_text(p, &n->text);
	case ARG_UIDS:
		return scan_sp(p->in) && imap_scan_set(p->arena, p->in, &n->set);
	case ARG_MODSEQ:
		p->out->modseq = true;
		return scan_sp(p->in) && scan_modseq(p, &n->number);
	}
	return false;
}

static void emit(struct parser *p, struct imap_search_node n)
{
	/* Past the end nothing is kept, only counted; imap_search_parse looks at the count. */
	if (p->out->n < IMAP_SEARCH_NODES)
		p->out->nodes[p->out->n] = n;
	p->out->n++;
	p->bodies += imap_key_need(n.key) == IMAP_NEED_BODY;
}

static void emit_operator(struct parser *p, enum imap_key key)
{
	emit(p, (struct imap_search_node){ .key = key });
}

/* A key is complete: the NOTs and ORs that waited for it are too. */
static void complete(struct parser *p)
{
	for (;;) {
		struct frame *f = &p->frames[p->depth - 1];

		if (f->kind == FRAME_LIST) {
			if (f->keys++ > 0)
				emit_operator(p, IMAP_KEY_AND);
			return;
		}
		if (f->kind == FRAME_OR && --f->keys > 0)
			return;
		emit_operator(p, f->kind == FRAME_OR ? IMAP_KEY_OR : IMAP_KEY_NOT);
		p->depth--;
	}
}

static const struct fail *open_frame(struct parser *p, struct frame f)
{
	if (p->depth == IMAP_SEARCH_FRAMES)
		return &too_deep;
	p->frames[p->depth++] = f;
	return NULL;
}

/* A key with a name, or a sequence set. */
static const struct fail *parse_leaf(struct parser *p)
{
	struct imap_search_node n = { 0 };

	if (imap_scan_set(p->arena, p->in, &n.set)) {
		n.key = IMAP_KEY_NUMBERS;
		emit(p, n);
		return NULL;
	}
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		const struct word *w = &words[i];

		if (!imap_scan_word(p->in, str_cstr(w->name)))
			continue;
		n.key = w->key;
		n.number = w->number;
		n.name = str_cstr(w->field);
		if (!scan_argument(p, w, &n))
			return &syntax;
		emit(p, n);
		if (w->not )
			emit_operator(p, IMAP_KEY_NOT);
		return NULL;
	}
	return &syntax;
}

/* NEW is RECENT UNSEEN. */
static bool parse_new(struct parser *p)
{
	if (!imap_scan_word(p->in, S("NEW")))
		return false;
	emit_operator(p, IMAP_KEY_RECENT);
	emit(p, (struct imap_search_node){ .key = IMAP_KEY_FLAG, .number = SEEN });
	emit_operator(p, IMAP_KEY_NOT);
	emit_operator(p, IMAP_KEY_AND);
	return true;
}

/* Opens NOT, OR and brackets up to the next leaf, and reads that. */
static const struct fail *parse_key(struct parser *p)
{
	for (;;) {
		if (scan_byte(p->in, '('))
			TRY(open_frame(p, (struct frame){ FRAME_LIST, 0 }));
		else if (scan_lit(p->in, S("NOT ")))
			TRY(open_frame(p, (struct frame){ FRAME_NOT, 0 }));
		else if (scan_lit(p->in, S("OR ")))
			TRY(open_frame(p, (struct frame){ FRAME_OR, 2 }));
		else
			break;
	}
	if (!parse_new(p))
		TRY(parse_leaf(p));
	complete(p);
	return NULL;
}

/* Brackets that close here; each completes the list it ends. */
static const struct fail *close_lists(struct parser *p)
{
	while (scan_byte(p->in, ')')) {
		if (p->depth < 2 || p->frames[p->depth - 1].kind != FRAME_LIST)
			return &syntax;
		p->depth--;
		complete(p);
	}
	return NULL;
}

static const struct fail *parse_charset(struct parser *p)
{
	str name;

	if (!scan_lit(p->in, S("CHARSET ")))
		return NULL;
	if (!imap_scan_astring(p->arena, p->in, &name) || !scan_sp(p->in))
		return &syntax;
	return str_eq_nocase(name, S("UTF-8")) || str_eq_nocase(name, S("US-ASCII")) ? NULL
										     : &charset;
}

const struct fail *imap_search_parse(struct arena *a, struct scan *s, struct imap_search *out)
{
	struct parser p = { .arena = a, .in = s, .out = out };

	*out = (struct imap_search){ .nodes = arena_array_of(a, IMAP_SEARCH_NODES,
							     struct imap_search_node) };
	TRY(open_frame(&p, (struct frame){ FRAME_LIST, 0 }));
	TRY(parse_charset(&p));
	for (;;) {
		TRY(parse_key(&p));
		TRY(close_lists(&p));
		TRY(arena_check(a));
		if (out->n > IMAP_SEARCH_NODES || p.bodies > IMAP_SEARCH_BODIES)
			return &too_many;
		if (scan_end(s))
			break;
		if (!scan_sp(s))
			return &syntax;
	}
	if (p.depth != 1)
		return &syntax;
	out->stack = arena_alloc(a, out->n);
	return NULL;
}

static u8 truth_not(u8 x)
{
	return x == IMAP_UNKNOWN ? x : x == IMAP_FALSE ? IMAP_TRUE : IMAP_FALSE;
}

static u8 truth_and(u8 x, u8 y)
{
	if (x == IMAP_FALSE || y == IMAP_FALSE)
		return IMAP_FALSE;
	return x == IMAP_TRUE && y == IMAP_TRUE ? IMAP_TRUE : IMAP_UNKNOWN;
}

enum imap_truth imap_search_run(const struct imap_search *p,
				enum imap_truth (*leaf)(void *context,
							const struct imap_search_node *n),
				void *context)
{
	u8 *top = p->stack; /* behind the last value */

	for (size_t i = 0; i < p->n; i++) {
		const struct imap_search_node *n = &p->nodes[i];

		if (n->key == IMAP_KEY_NOT) {
			top[-1] = truth_not(top[-1]);
		} else if (n->key == IMAP_KEY_AND) {
			top--;
			top[-1] = truth_and(top[-1], top[0]);
		} else if (n->key == IMAP_KEY_OR) {
			top--;
			top[-1] = truth_not(truth_and(truth_not(top[-1]), truth_not(top[0])));
		} else {
			*top++ = (u8)leaf(context, n);
		}
	}
	return (enum imap_truth)top[-1];
}

enum imap_need imap_search_need(const struct imap_search *p)
{
	enum imap_need need = IMAP_NEED_VIEW;

	for (size_t i = 0; i < p->n; i++)
		if (imap_key_need(p->nodes[i].key) > need)
			need = imap_key_need(p->nodes[i].key);
	return need;
}

u32 imap_search_looks(const struct imap_search *p)
{
	static const u32 looks[] = { [IMAP_NEED_VIEW] = 0,
				     [IMAP_NEED_DATE] = 0,
				     [IMAP_NEED_HEADER] = 1,
				     [IMAP_NEED_BODY] = IMAP_SEARCH_BODY_LOOKS };
	u32 n = 0;

	for (size_t i = 0; i < p->n; i++)
		n += looks[imap_key_need(p->nodes[i].key)];
	return n;
}
