/* SELECT and EXAMINE, RFC 3501 6.3.1, 6.3.2; (CONDSTORE) of RFC 7162 3.1.8; CLOSED of RFC 7162 3.2.11. */
#include "edge/imap/imap_int.h"
#include "text/imap_print.h"

/* RFC 4466 2.1 select-params; the only one we know. */
static bool take_params(struct scan *s, bool *condstore)
{
	*condstore = scan_lit(s, S(" (CONDSTORE)"));
	return scan_end(s);
}

static const struct fail *open_mailbox(struct imap *i, str name, bool read_only,
				       struct office_mailbox_open_answer *r)
{
	struct office_mailbox_open_request q = { .ticket = *imap_ticket(i),
						 .name = name,
						 .claim_recent = !read_only };

	TRY(office_mailbox_open(imap_arena(i), imap_office(i), &q, r));
	TRY(view_open(r->chunks, r->chunks_n, r->rows, &i->view));
	i->view->modseq = r->modseq;
	i->view->recent_from = r->recent_from;
	view_keywords(i->view, r->keywords, r->keywords_n);
	i->mailbox = r->info.id;
	i->uidnext = r->info.uidnext;
	i->read_only = read_only;
	i->state = SELECTED;
	imap_watch(i);
	return NULL;
}

static void tell_permanent_flags(struct imap *i)
{
	struct buf *out = imap_out(i);

	buf_add(out, S("* OK [PERMANENTFLAGS ("));
	if (!i->read_only) {
		for (size_t k = 0; k < ARRAY_LEN(imap_flag_names); k++)
			buf_printf(out, "%.*s ", STR_ARG(imap_flag_names[k]));
		for (u32 k = 0; k < i->view->keywords_n; k++)
			buf_printf(out, "%.*s ", STR_ARG(i->view->keywords[k]));
		buf_add(out, S("\\*"));
	}
	buf_add(out, S(")] flags that stay\r\n"));
}

static void tell_mailbox(struct imap *i, const struct mailbox_info *info)
{
	struct buf *out = imap_out(i);
	const struct view *v = i->view;

	imap_put_flags_response(i);
	buf_printf(out, "* %u EXISTS\r\n* %u RECENT\r\n", v->n, view_recent(v));
	for (u32 k = 0; k < v->n; k++)
		if (!(v->rows[k].flags & FLAG_SEEN)) {
			buf_printf(out, "* OK [UNSEEN %u] first unseen\r\n", k + 1);
			break;
		}
	tell_permanent_flags(i);
	buf_printf(out,
		   "* OK [UIDVALIDITY %u] UIDs are valid\r\n* OK [UIDNEXT %u] next UID\r\n"
		   "* OK [HIGHESTMODSEQ %llu] highest\r\n",
		   info->uidvalidity, info->uidnext, (unsigned long long)v->modseq);
}

static struct imap_reply open_and_tell(struct imap *i, struct scan *s, bool read_only)
{
	struct office_mailbox_open_answer r;
	const struct fail *f;
	bool condstore;
	str name;

	f = imap_take_mailbox(i, s, &name);
	if (f && f->what == FAIL_SYNTAX)
		return imap_fail(f);
	if (!f && !take_params(s, &condstore))
		return BAD_REPLY("expected a mailbox name, perhaps (CONDSTORE)");
	/* RFC 3501 6.3.1: whatever comes of a SELECT, the mailbox that was open is no more. */
	if (i->view) {
		imap_unselect(i);
		imap_untagged(i, "OK", S("CLOSED"), S("the mailbox before is closed"));
	}
	if (f)
		return imap_fail(f);
	f = open_mailbox(i, name, read_only, &r);
	if (f)
		return imap_fail(f);
	i->condstore = i->condstore || condstore;
	tell_mailbox(i, &r.info);
	return read_only ? REPLY(IMAP_OK, "READ-ONLY", "open for reading")
			 : REPLY(IMAP_OK, "READ-WRITE", "open");
}

struct imap_reply imap_select(struct imap *i, struct scan *s)
{
	return open_and_tell(i, s, false);
}

struct imap_reply imap_examine(struct imap *i, struct scan *s)
{
	return open_and_tell(i, s, true);
}
