/*
 * What the files of this folder share: the state of an IMAP session, replies, and the steps that commands are made of.
 *
 * A command is a function of its arguments that answers with a reply. It writes untagged responses to the output as it goes; the
 * tagged line comes from the reply, after the news of the mailbox (news.c). A reply IMAP_LATER means that the command goes on:
 * the stage says with what.
 */
#ifndef EDGE_IMAP_IMAP_INT_H
#define EDGE_IMAP_IMAP_INT_H

#include "base/scan.h"
#include "bus/office.h"
#include "edge/event.h"
#include "edge/edge.h"
#include "edge/imap/view.h"
#include "edge/sasl.h"
#include "serve/serve.h"
#include "text/imap_scan.h"

/* Every limit of the protocol; lower before login (THREATS I01, I02). Those of the grammar stand in text/imap_*.h. */
enum imap_limit {
	IMAP_LINE = 8192, /* before login */
	IMAP_LINE_LOGGED_IN = 64 * 1024,
	IMAP_COMMAND = 64 * 1024,   /* lines and literals of a command together */
	IMAP_LITERAL_PLAIN = 4096,  /* one literal before login */
	IMAP_LITERALS_PLAIN = 8192, /* all of them */
	IMAP_DISCARD =
	    1
	    << 20, /* a non-synchronizing literal that is too large: so much is read and dropped */
	IMAP_TURN = 32 << 20,    /* budget of one turn */
	IMAP_KEEP = 64 * 1024,   /* of a session */
	IMAP_JOB = 16 << 20,     /* of a long command */
	IMAP_MESSAGE = 8 << 20,  /* of the work on one message in a long command */
	IMAP_SMALL = 256 * 1024, /* larger messages are asked alone, in windows */
	IMAP_FRONT = 64 * 1024,  /* so much of a larger one comes with its skeleton */
	IMAP_WINDOW = 512 * 1024,
	IMAP_RANGES = 1024,        /* of one office call */
	IMAP_AHEAD = 64,           /* batches asked for while another is printed, in one process */
	IMAP_CODE_MAX = 64 * 1024, /* a COPYUID that is longer is left out */
	IMAP_CHANGES_ROUNDS = 256, /* calls of one synchronisation */
	IMAP_LOOK_AGAIN_MS = 5000, /* while idle, when the office does not tell us of changes */
	/* Work of one command (THREATS I06, I09), counted before it begins; beyond: NO [LIMIT]. */
	IMAP_SEARCH_STEPS = 1 << 26, /* keys times messages, as far as the view can tell */
	IMAP_SEARCH_LOOKS =
	    2000000, /* looks (imap_search_looks) times messages that must be read... */
	IMAP_SEARCH_LOOKS_ANY = 32, /* ...unless a message takes no more than these */
	IMAP_LIST_STEPS = 1 << 28,  /* bytes of the pattern times bytes of all names */
};

enum imap_state { PLAIN = 1, LOGGED_IN = 2, SELECTED = 4, ANY = 7 };

enum imap_stage {
	STAGE_COMMAND,  /* a line begins a command, or goes on with it behind a literal */
	STAGE_LITERAL,  /* an argument */
	STAGE_DISCARD,  /* a literal that was refused but comes all the same */
	STAGE_REFUSED,  /* what follows such a literal */
	STAGE_APPEND,   /* the message of an APPEND */
	STAGE_APPENDED, /* the end of its line */
	STAGE_SASL,     /* a line is a response */
	STAGE_IDLE,     /* a line ends it */
	STAGE_JOB,      /* a long command waits for room in the output */
	STAGE_NEWS,     /* the same, while telling what changed */
	STAGE_PENALTY,  /* the answer waits for the end of the pause */
	STAGE_BYE,      /* nothing more is read */
};

enum imap_status { IMAP_OK, IMAP_NO, IMAP_BAD, IMAP_LATER };

/* code: of a resp-text-code, without its brackets; may be empty. Both must be ours or printed by a builder. */
struct imap_reply {
	enum imap_status status;
	str code, text;
};

struct imap;

struct imap_command {
	const char *name;
	struct imap_reply (*run)(struct imap *i, struct scan *arguments);
	unsigned states;
	bool expunge, uid;
};

/* A command that takes more than one turn. First member of its own struct, which lives in `arena`. */
struct imap_job {
	struct arena *arena;
	struct imap_reply (*step)(struct imap *i, struct imap_job *job);
};

struct imap_literal_sink {
	struct sink sink;
	struct buf *to;
};

struct imap {
	struct session *session;
	enum imap_state state;
	enum imap_stage stage;
	const struct imap_command *command; /* under way */
	u8 tag[IMAP_TAG];
	size_t tag_n;
	struct buf input; /* a command with literals, as far as it came */
	struct imap_literal_sink literal_sink;
	u64 literals_plain; /* bytes of literals before login */
	u64 errors;
	bool rude;           /* over the limit of errors: BYE */
	u64 privacy_refused; /* the event that tells of it, once a session; 0: none */
	u64 login_refused;   /* the event of the login that failed last */

	struct sasl sasl;
	const struct sasl_login *login;
	bool tls_wanted; /* STARTTLS was answered */

	u64 mailbox; /* of the office; while SELECTED */
	struct view *view;
	u32 uidnext;
	bool read_only;
	bool watched;   /* the office tells us of changes */
	u64 watched_by; /* bus_servers() when it was asked to: a new office was not */
	bool dirty;     /* and has done so */
	bool condstore; /* RFC 7162 3.1 */
	const char *
	    lost; /* why there is nothing left to do here, the mailbox or the login being gone: BYE; NULL: not */

	struct imap_job *job;
	struct imap_append *append;
	struct buf tagged; /* the answer that waits for the news */
	u32 news_at;       /* how far they were told */
	u32 news_expunged;
	bool news_checked; /* the office was asked */
	bool broken_off;   /* in the midst of an answer */
};

static inline struct arena *imap_arena(struct imap *i)
{
	return session_turn_arena(i->session);
}

static inline struct buf *imap_out(struct imap *i)
{
	return session_out(i->session);
}

static inline struct bus *imap_office(struct imap *i)
{
	return session_process(i->session)->office;
}

static inline const struct config *imap_config(struct imap *i)
{
	return edge_config(session_process(i->session));
}

static inline const struct ticket *imap_ticket(const struct imap *i)
{
	return &i->login->ticket;
}

#define LOGIN_LOST \
	"log in again" /* its time is over, the password is another, or the account is suspended */

/* --- reply.c ----------------------------------------------------------------------------------------------- */

#define REPLY(status_, code_, text_) ((struct imap_reply){ (status_), S(code_), S(text_) })
#define OK_REPLY(text_) REPLY(IMAP_OK, "", text_)
#define BAD_REPLY(text_) REPLY(IMAP_BAD, "", text_)
#define LATER REPLY(IMAP_LATER, "", "")

/* NO (or BAD for syntax) with the code of RFC 5530 that fits. */
struct imap_reply imap_fail(const struct fail *f);
/* One line: "* OK [code] text". */
void imap_untagged(struct imap *i, const char *status, str code, str text);
/* A tagged line with an explicit tag part. */
void imap_put_reply(struct imap *i, struct buf *b, struct imap_reply r);
bool imap_full(struct imap *i); /* enough output for now: go on after it has left */
/* Half an answer is said and the rest cannot be had: the end of the connection is all that says so. */
struct imap_reply imap_break_off(struct imap *i, const struct fail *f);

/* --- command.c ----------------------------------------------------------------------------------------------- */

/* Looks up and runs one complete command. */
struct imap_reply imap_run(struct imap *i, str command);
/* Starts a long command; takes job. */
struct imap_reply imap_job_run(struct imap *i, struct imap_job *job);
struct imap_reply imap_job_go_on(struct imap *i);
void imap_job_end(struct imap *i);
void imap_put_capability(struct imap *i, struct buf *b);

/* --- news.c -------------------------------------------------------------------------------------------------- */

/* From now on the office tells of changes in the mailbox that is open; without that every command asks. */
void imap_watch(struct imap *i);
/* Asks the office what changed in the mailbox that is open. */
const struct fail *imap_synchronize(struct imap *i);
/* Tells what the client does not know yet. True: all of it; false: the output is full, come again. */
bool imap_tell_news(struct imap *i, bool expunge);
/* One untagged FETCH of flags for a row. */
void imap_put_row_flags(struct imap *i, struct buf *b, u32 row);
void imap_put_flags_response(struct imap *i);
/* The mailbox that is open is closed. */
void imap_unselect(struct imap *i);
/* Those of the UIDs that are \Deleted go. */
const struct fail *imap_expunge_deleted(struct imap *i, const struct uid_range *uids, size_t n);
/* From now on the client knows of mod-sequences (RFC 7162 3.1). */
void imap_condstore_on(struct imap *i);

/* --- bodies.c: messages from the office ------------------------------------------------------------------------ */

struct imap_bodies {
	str bytes; /* all of `data`, mapped */
	int fd;    /* of it; the arena's */
	const struct fetch_item *items;
	size_t n;
	u32 next;     /* UID that did not fit, 0: none */
	bool damaged; /* one of them cannot be read */
};

const struct fail *imap_bodies(struct imap *i, struct arena *a, const struct uid_range *uids,
			       size_t n, u32 want, u64 offset, u64 length, struct imap_bodies *out);
/* The same in two steps: what is asked now comes while its caller does something else. */
struct bus_pending *imap_bodies_ask(struct imap *i, struct arena *a, const struct uid_range *uids,
				    size_t n, u32 want, u64 offset, u64 length);
const struct fail *imap_bodies_take(struct arena *a, struct bus_pending *p,
				    struct imap_bodies *out);
/* [from, to) of one message's body, at most max bytes of it. */
const struct fail *imap_body_read(struct imap *i, struct arena *a, u32 uid, u64 from, u64 to,
				  size_t max, str *out);

/* --- mailbox names (mailbox.c) --------------------------------------------------------------------------------- */

/* SP mailbox, decoded. */
const struct fail *imap_take_mailbox(struct imap *i, struct scan *s, str *name);
/* The mailboxes of the account, by name. */
const struct fail *imap_mailboxes(struct imap *i, struct office_mailbox_list_answer *out);
/* One of them; NOT_FOUND. */
const struct fail *imap_mailbox_find(struct imap *i, str name, const struct mailbox_info **out);
/* "\Sent", or empty. */
str imap_special_name(u32 special);
bool imap_special_parse(str name, u32 *special);

/* --- append.c, idle.c, authenticate.c: stages of their own ------------------------------------------------------ */

enum imap_append_try { APPEND_NOT, APPEND_ARGUMENT, APPEND_TAKEN, APPEND_REFUSED };
/* A line that announces a literal: is that the message of an APPEND? TAKEN: it is being read. */
enum imap_append_try imap_append_begin(struct imap *i, str command, const struct imap_literal *l,
				       struct imap_reply *refusal);
struct imap_reply imap_append_end(struct imap *i, str rest_of_line);
void imap_append_forget(struct imap *i);
struct imap_reply imap_sasl_line(struct imap *i, str line);
struct imap_reply imap_sasl_result(struct imap *i, const struct fail *f,
				   const struct sasl_result *r);

#define COMMAND(name, handler, states, expunge, uid, rfc) \
	struct imap_reply imap_##handler(struct imap *i, struct scan *s);
#include "edge/imap/imap.tbl"
#undef COMMAND

#endif
