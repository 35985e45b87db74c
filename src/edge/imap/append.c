/*
 * APPEND, RFC 3501 6.3.11; APPENDUID of RFC 4315 3. The message goes to the gate while it comes; whether it may come is decided before
 * a synchronizing literal is asked for: too large, no such mailbox, no room.
 * not: MULTIAPPEND (RFC 3502).
 */
#include "edge/gate/gate.h"
#include "edge/imap/imap_int.h"
#include "text/date.h"
#include "text/imap_mailbox.h"

struct imap_append {
	struct arena *arena; /* holds this struct and the gate */
	struct gate *gate;
	str mailbox;
	struct imap_flags flags;
	u64 date;
};

enum { APPEND_ARENA = 8 << 20 };

/* Ours begin in 1970. Mail programs make dates of then and before from mail without one; it is kept all the same. */
static bool take_date(struct scan *s, u64 *date)
{
	str text;
	i64 ms;

	if (!scan_byte(s, '"') || !scan_until(s, '"', &text) || !scan_byte(s, '"') ||
	    !date_parse_imap(text, &ms, NULL))
		return false;
	*date = ms > 0 ? (u64)ms : 1; /* 0 is now */
	return true;
}

/* tag SP "APPEND" SP mailbox [SP flag-list] [SP date-time] SP, up to the literal at `literal`. */
static bool take_arguments(struct arena *a, str command, size_t literal, str *wire,
			   struct imap_append *out)
{
	struct scan s = scan_of(str_slice(command, 0, literal));
	str tag;

	if (!(imap_scan_tag(&s, &tag) && scan_sp(&s) && imap_scan_word(&s, S("APPEND")) &&
	      scan_sp(&s) && imap_scan_astring(a, &s, wire) && scan_sp(&s)))
		return false;
	if (scan_peek(&s) == '(' && !(imap_scan_flag_list(a, &s, &out->flags) && scan_sp(&s)))
		return false;
	if (scan_peek(&s) == '"' && !(take_date(&s, &out->date) && scan_sp(&s)))
		return false;
	return scan_end(&s);
}

static const struct fail too_large = FAIL_STATIC(TOO_LARGE, "the message is too large");
static const struct fail empty = FAIL_STATIC(INVALID, "a message is not empty");

static const struct fail *check_room(struct imap *i, u64 size)
{
	struct office_quota_get_request q = { .ticket = *imap_ticket(i) };
	struct office_quota_get_answer r;

	TRY(office_quota_get(imap_arena(i), imap_office(i), &q, &r));
	if (r.limit_bytes && (r.used_bytes >= r.limit_bytes || size > r.limit_bytes - r.used_bytes))
		return fail_new(imap_arena(i), FAIL_QUOTA, "no room left");
	return NULL;
}

/* All that can be known before the message comes. */
static const struct fail *admit_message(struct imap *i, str mailbox, u64 size)
{
	const struct mailbox_info *m;

	if (size == 0)
		return &empty;
	if (size > imap_config(i)->mail_size)
		return &too_large;
	TRY(imap_mailbox_find(i, mailbox, &m));
	return check_room(i, size);
}

static const struct fail *begin(struct imap *i, struct imap_append *append, str wire, u64 size)
{
	struct gate_rules rules = { .size_max = imap_config(i)->mail_size, .size_hint = size };

	TRY(imap_mailbox_decode(append->arena, wire, &append->mailbox));
	TRY(admit_message(i, append->mailbox, size));
	return gate_new(append->arena, imap_office(i), &rules, &append->gate);
}

static struct imap_reply append_fail(const struct fail *f)
{
	struct imap_reply r = imap_fail(f);

	if (f->what == FAIL_NOT_FOUND)
		r.code = S("TRYCREATE");
	if (f->what == FAIL_DENIED) /* of the gate: no message can be so, whoever brings it */
		r.code = S("CANNOT");
	return r;
}

enum imap_append_try imap_append_begin(struct imap *i, str command, const struct imap_literal *l,
				       struct imap_reply *refusal)
{
	struct arena *a;
	struct imap_append *append;
	struct imap_literal here;
	const struct fail *f;
	str wire;

	if (i->state == PLAIN || !imap_literal_announced(command, &here))
		return APPEND_NOT;
	a = arena_new(APPEND_ARENA);
	append = arena_new_of(a, struct imap_append);
	append->arena = a;
	/* The command will not outlive this turn; the flags must. */
	if (!take_arguments(a, str_copy(a, command), here.at, &wire, append)) {
		arena_free(&a);
		return APPEND_ARGUMENT;
	}
	f = begin(i, append, wire, l->size);
	if (f) {
		*refusal = append_fail(f);
		refusal->text = str_copy(session_turn_arena(i->session), refusal->text);
		arena_free(&a);
		return APPEND_REFUSED;
	}
	i->append = append;
	session_read_counted(i->session, l->size, gate_sink(append->gate));
	return APPEND_TAKEN;
}

void imap_append_forget(struct imap *i)
{
	struct arena *a;

	if (!i->append)
		return;
	a = i->append->arena;
	i->append = NULL;
	arena_free(&a);
}

static const struct fail *commit(struct imap *i, struct imap_append *append,
				 struct office_message_append_answer *r)
{
	struct office_message_append_request q = { .ticket = *imap_ticket(i),
						   .name = append->mailbox,
						   .flags = append->flags.system,
						   .keywords = append->flags.keywords,
						   .keywords_n = append->flags.keywords_n,
						   .internal_date = append->date };
	struct gate_message m;

	TRY(session_stretch_fail(i->session));
	TRY(gate_finish(append->gate, &m));
	q.body = m.body;
	return office_message_append(imap_arena(i), imap_office(i), &q, r);
}

struct imap_reply imap_append_end(struct imap *i, str rest_of_line)
{
	struct office_message_append_answer r;
	struct imap_reply reply;
	const struct fail *f;

	i->stage = STAGE_COMMAND;
	if (rest_of_line.n > 0) {
		imap_append_forget(i);
		return BAD_REPLY("the message is the last argument");
	}
	f = commit(i, i->append, &r);
	if (f) {
		reply = append_fail(f);
		reply.text = str_copy(imap_arena(i), reply.text);
		imap_append_forget(i);
		return reply;
	}
	imap_append_forget(i);
	i->dirty = i->view != NULL;
	return (struct imap_reply){
		IMAP_OK, str_format(imap_arena(i), "APPENDUID %u %u", r.uidvalidity, r.uid),
		S("stored")
	};
}

/* A line without a literal for the message: imap_append_begin did not recognize it. */
struct imap_reply imap_append(struct imap *i, struct scan *s)
{
	(void)i;
	(void)s;
	return BAD_REPLY(
	    "expected a mailbox name, perhaps flags and a date, and a message as literal");
}
